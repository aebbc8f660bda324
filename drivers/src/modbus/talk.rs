use std::io;
use std::time::Duration;

use lingate_model::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use tokio_modbus::ExceptionCode;
use tokio_modbus::bytes::Bytes;

use super::frame::{Ask, Exchange, Fault, Parsed, Passed};
use super::transport::{Link, Stream};
use crate::LinkError;

/// As many as were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Registers(Vec<u16>),
    Bits(Vec<bool>),
    /// The PDU that answers 43/14.
    Identity(Vec<u8>),
}

#[derive(Debug)]
pub(crate) enum Refusal {
    /// The device answered that it cannot; the link is in order.
    Exception(ExceptionCode),
    /// No answer that can be believed.
    Link(LinkError),
}

/// How an exchange went wrong; what of it the deadline ended is not here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Broken {
    Fault(Fault),
    Closed,
}

/// One request and its answer; the caller brings the deadline. Cancelled or broken, it leaves a link that may hold bytes
/// of an answer.
pub(crate) async fn talk(
    link: &mut Link,
    exchange: &Exchange,
    quiet: Duration,
    passed: &mut Passed,
) -> Result<Vec<u8>, Broken> {
    match link {
        Link::Stream(stream) => over_stream(&mut **stream, exchange, quiet, passed).await,
        Link::Datagrams(socket) => over_datagrams(socket, exchange, passed).await,
    }
}

async fn over_stream(
    stream: &mut dyn Stream,
    exchange: &Exchange,
    quiet: Duration,
    passed: &mut Passed,
) -> Result<Vec<u8>, Broken> {
    stream.write_all(exchange.request()).await?;
    stream.flush().await?;
    let room = exchange.room();
    // An answer comes in one piece: with room for all of it, it is one call of the kernel.
    let mut received = Vec::with_capacity(room);
    let mut is_quiet = false;
    loop {
        let (parsed, now_passed) = exchange.parse(&received, is_quiet);
        *passed = now_passed;
        match parsed {
            Parsed::Answer(pdu) => return Ok(pdu),
            Parsed::Broken(fault) => return Err(Broken::Fault(fault)),
            Parsed::More if received.len() >= room => return Err(Broken::Fault(Fault::Unasked)),
            Parsed::More => {}
        }
        let mut more = (&mut *stream).take(u64::try_from(room - received.len()).unwrap_or(0));
        let reading = more.read_buf(&mut received);
        // Quiet is told once; after that only bytes can change anything.
        let read = match received_is_waiting(is_quiet, exchange) {
            true => reading.await?,
            false => match timeout(quiet, reading).await {
                Ok(read) => read?,
                Err(_) => {
                    is_quiet = true;
                    continue;
                }
            },
        };
        if read == 0 {
            return Err(Broken::Closed);
        }
        is_quiet = false;
    }
}

/// Frames with a length need no silence to be told apart.
fn received_is_waiting(is_quiet: bool, exchange: &Exchange) -> bool {
    is_quiet || exchange.framing.has_transactions()
}

/// A datagram that is not the answer harms nobody: the right one may be behind it.
async fn over_datagrams(socket: &UdpSocket, exchange: &Exchange, passed: &mut Passed) -> Result<Vec<u8>, Broken> {
    socket.send(exchange.request()).await?;
    let mut datagram = vec![0; exchange.room()];
    loop {
        let length = socket.recv(&mut datagram).await?;
        match exchange.parse(&datagram[..length], true).0 {
            Parsed::Answer(pdu) => return Ok(pdu),
            Parsed::Broken(Fault::Transaction) => passed.late += 1,
            Parsed::Broken(fault @ (Fault::Length { .. } | Fault::Function(_))) => return Err(Broken::Fault(fault)),
            Parsed::Broken(_) | Parsed::More => passed.foreign += 1,
        }
    }
}

/// Whatever the system calls it: the way to the device is gone.
impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Broken {
        Broken::Closed
    }
}

/// What the PDU that answered says. Its length was checked before.
pub(crate) fn answer(pdu: Vec<u8>, ask: Ask) -> Result<Answer, Refusal> {
    if let [function, code, ..] = pdu[..]
        && function >= 0x80
    {
        return Err(Refusal::Exception(ExceptionCode::new(code)));
    }
    let Ask::Read { count, .. } = ask else { return Ok(Answer::Identity(pdu)) };
    let count = usize::from(count);
    match tokio_modbus::Response::try_from(Bytes::from(pdu)) {
        Ok(tokio_modbus::Response::ReadHoldingRegisters(words) | tokio_modbus::Response::ReadInputRegisters(words))
            if words.len() == count =>
        {
            Ok(Answer::Registers(words))
        }
        Ok(tokio_modbus::Response::ReadCoils(mut bits) | tokio_modbus::Response::ReadDiscreteInputs(mut bits))
            if bits.len() == count.next_multiple_of(8) =>
        {
            bits.truncate(count);
            Ok(Answer::Bits(bits))
        }
        _ => Err(Refusal::Link(LinkError::Protocol { what: "an answer that cannot be decoded".to_owned() })),
    }
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

/// Of the readings whose request got no answer that can be believed.
pub(crate) fn status_of_loss(loss: &LinkError) -> StatusCode {
    match loss {
        LinkError::Timeout { .. } => StatusCode::BAD_TIMEOUT,
        LinkError::Protocol { .. } => StatusCode::BAD_DECODING_ERROR,
        _ => StatusCode::BAD_COMMUNICATION_ERROR,
    }
}
