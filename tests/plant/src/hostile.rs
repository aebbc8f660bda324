use std::collections::BTreeMap;
use std::future::Future;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::model::Area;
use crate::sent;
use crate::server::State;

/// What a device does with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    #[default]
    Honest,
    /// Takes requests and never answers.
    Silent,
    /// Answers rightly after this time.
    Late(Duration),
    /// Sends its answer byte by byte with this time between them.
    Drip(Duration),
    /// Answers every request with this exception code.
    Exception(u8),
    /// Answers exception 2 to every request that touches this register (or bit).
    Hole(Area, u16),
    /// One register (or eight bits) fewer than asked, in a frame that is right in itself.
    TooFew,
    TooMany,
    /// Sends half of the answer and closes.
    ClosesInTheMiddle,
    /// The answer bears the transaction id of the next request.
    WrongTransaction,
    WrongUnit,
    WrongProtocol,
    /// A holding register's answer for an input register's request, and the other way round.
    WrongFunction,
    /// Right answers, each followed by this many stray bytes.
    Trailing(usize),
}

/// The wire as the device sees it: taps the function codes that come in and distorts what goes out.
pub(crate) struct Wire {
    stream: TcpStream,
    state: Arc<State>,
    /// Of a request that is not complete yet.
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    is_closing: bool,
    drip: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, state: Arc<State>) -> Wire {
        Wire { stream, state, incoming: Vec::new(), outgoing: Vec::new(), is_closing: false, drip: None }
    }

    /// Counts the function code of every whole frame, whether or not the server understands it.
    fn tap(&mut self, bytes: &[u8]) {
        self.incoming.extend_from_slice(bytes);
        while let [_, _, _, _, high, low, _, function, ..] = self.incoming[..] {
            let frame = 6 + usize::from(u16::from_be_bytes([high, low])).max(2);
            // The rest of a frame is not the beginning of the next one.
            if self.incoming.len() < frame {
                return;
            }
            sent::MODBUS.count(!sent::is_read(function));
            self.state.count(|served| *served.functions.entry(function).or_insert(0) += 1);
            self.incoming.drain(..frame);
        }
    }

    fn distort(&mut self, frame: &[u8]) {
        let mut frame = frame.to_vec();
        match self.state.behaviour() {
            Behaviour::ClosesInTheMiddle => {
                frame.truncate(frame.len() / 2);
                self.is_closing = true;
            }
            Behaviour::WrongTransaction => frame[1] = frame[1].wrapping_add(1),
            Behaviour::WrongProtocol => frame[3] = 1,
            Behaviour::WrongUnit => frame[6] = frame[6].wrapping_add(1),
            Behaviour::WrongFunction => frame[7] = [0, 2, 1, 4, 3][usize::from(frame[7] & 0x7F).min(4)],
            Behaviour::Trailing(count) => frame.extend(std::iter::repeat_n(0xA5, count)),
            _ => {}
        }
        self.outgoing.extend_from_slice(&frame);
    }

    /// The time to wait before the next byte, if bytes drip.
    fn poll_drip(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Behaviour::Drip(pause) = self.state.behaviour() else { return Poll::Ready(()) };
        ready!(self.drip.get_or_insert_with(|| Box::pin(sleep(pause))).as_mut().poll(cx));
        self.drip = None;
        Poll::Ready(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let wire = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut wire.stream).poll_read(cx, buf))?;
        wire.tap(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    /// One whole answer at a time.
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, frame: &[u8]) -> Poll<Result<usize>> {
        self.get_mut().distort(frame);
        Poll::Ready(Ok(frame.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let wire = self.get_mut();
        while !wire.outgoing.is_empty() {
            ready!(wire.poll_drip(cx));
            let is_dripping = matches!(wire.state.behaviour(), Behaviour::Drip(_));
            let count = if is_dripping { 1 } else { wire.outgoing.len() };
            let written = ready!(Pin::new(&mut wire.stream).poll_write(cx, &wire.outgoing[..count]))?;
            wire.outgoing.drain(..written);
        }
        if wire.is_closing {
            return Poll::Ready(Err(Error::from(ErrorKind::BrokenPipe)));
        }
        Pin::new(&mut wire.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Function codes and how often each came.
pub type Functions = BTreeMap<u8, u64>;
