use std::fmt::Debug;
use std::time::Duration;

use lingate_model::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::{Error, ExceptionCode, ProtocolError, Response, Slave};

use super::guard::{Broken, Guard};
use super::plan::Request;
use super::register::Area;
use crate::LinkError;

/// A connection that can do the four reads and nothing else.
///
/// tokio-modbus has no deadline, checks the length of an answer in debug builds only (and then by a panic), and its
/// `Reader` trait holds function 23, which writes. So nothing of it is visible outside this file.
pub(crate) struct Talk {
    context: Context,
    timeout: Duration,
}

/// As many as were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Registers(Vec<u16>),
    Bits(Vec<bool>),
}

#[derive(Debug)]
pub(crate) enum Refusal {
    /// The device answered that it cannot; the connection is in order.
    Exception(ExceptionCode),
    /// The connection is in doubt and must be dropped: a late answer would be taken for the next one.
    Link(LinkError),
}

impl Talk {
    /// `timeout`: for one request and its whole answer.
    pub(crate) fn over<S>(stream: S, unit: u8, timeout: Duration) -> Talk
    where
        S: AsyncRead + AsyncWrite + Debug + Send + Unpin + 'static,
    {
        Talk { context: tcp::attach_slave(Guard::new(stream), Slave(unit)), timeout }
    }

    pub(crate) async fn read(&mut self, request: &Request) -> Result<Answer, Refusal> {
        let call = self.context.call(to_library(request));
        let Ok(result) = tokio::time::timeout(self.timeout, call).await else {
            return Err(Refusal::Link(LinkError::Timeout { doing: "reading", after: self.timeout }));
        };
        match result {
            Ok(Ok(response)) => answer(response, request).ok_or_else(|| broken("an answer of another length")),
            Ok(Err(exception)) => Err(Refusal::Exception(exception)),
            Err(error) => Err(refusal(&error)),
        }
    }
}

fn to_library(request: &Request) -> tokio_modbus::Request<'static> {
    let (address, count) = (request.start.address, request.count);
    match request.start.area {
        Area::Coil => tokio_modbus::Request::ReadCoils(address, count),
        Area::Discrete => tokio_modbus::Request::ReadDiscreteInputs(address, count),
        Area::Holding => tokio_modbus::Request::ReadHoldingRegisters(address, count),
        Area::Input => tokio_modbus::Request::ReadInputRegisters(address, count),
    }
}

/// `None` for an answer of another length or kind. Bits come in whole bytes, the last one padded.
fn answer(response: Response, request: &Request) -> Option<Answer> {
    let count = usize::from(request.count);
    match response {
        Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) => {
            (words.len() == count).then_some(Answer::Registers(words))
        }
        Response::ReadCoils(mut bits) | Response::ReadDiscreteInputs(mut bits) => {
            let is_complete = bits.len() == count.next_multiple_of(8);
            bits.truncate(count);
            is_complete.then_some(Answer::Bits(bits))
        }
        _ => None,
    }
}

/// The library's own texts may quote the answer, which holds process values.
fn refusal(error: &Error) -> Refusal {
    match error {
        Error::Protocol(ProtocolError::HeaderMismatch { .. }) => {
            broken("an answer with a transaction or unit id that was not asked")
        }
        Error::Protocol(ProtocolError::FunctionCodeMismatch { .. }) => broken("an answer to another function"),
        Error::Transport(error) => match Broken::in_error(error) {
            Some(what) => Refusal::Link(LinkError::Protocol { what: what.to_string() }),
            None if error.kind() == std::io::ErrorKind::InvalidData => broken("an answer that cannot be decoded"),
            None => Refusal::Link(LinkError::Closed),
        },
    }
}

fn broken(what: &str) -> Refusal {
    Refusal::Link(LinkError::Protocol { what: what.to_owned() })
}

/// | exception | name | status of every reading of the request |
/// |---|---|---|
/// | 1 | illegal function | BadNotSupported |
/// | 2, 3 | illegal data address, illegal data value (for a read: the count) | BadConfigurationError |
/// | 4, 8 | server device failure, memory parity error | BadDeviceFailure |
/// | 5, 6 | acknowledge, server device busy | BadResourceUnavailable |
/// | 10, 11 | gateway path unavailable, gateway target failed to respond | BadNoCommunication |
/// | others | not in Modbus Application Protocol V1.1b3, 7 | Bad |
pub(crate) fn status_of(exception: ExceptionCode) -> StatusCode {
    match exception.into() {
        1_u8 => StatusCode::BAD_NOT_SUPPORTED,
        2 | 3 => StatusCode::BAD_CONFIGURATION_ERROR,
        4 | 8 => StatusCode::BAD_DEVICE_FAILURE,
        5 | 6 => StatusCode::BAD_RESOURCE_UNAVAILABLE,
        10 | 11 => StatusCode::BAD_NO_COMMUNICATION,
        _ => StatusCode::BAD,
    }
}

/// Of the readings whose request broke the link.
pub(crate) fn status_of_loss(loss: &LinkError) -> StatusCode {
    match loss {
        LinkError::Timeout { .. } => StatusCode::BAD_TIMEOUT,
        LinkError::Protocol { .. } => StatusCode::BAD_DECODING_ERROR,
        _ => StatusCode::BAD_COMMUNICATION_ERROR,
    }
}
