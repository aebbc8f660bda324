use std::fmt;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Transaction id, protocol id, length: what precedes the counted bytes of a frame (Modbus Messaging on TCP/IP
/// Implementation Guide V1.0b, 3.1.3).
const HEADER: usize = 6;
/// Header, unit, function, address, count: every read request.
const REQUEST: usize = 12;
/// Unit, function with its top bit set, exception code.
const EXCEPTION: usize = 3;

/// Stands between the Modbus library and the socket.
///
/// Only read requests (function codes 1 to 4) get out. Only an answer of exactly the length that the request asks for,
/// or of an exception, gets in, one frame at a time: no more than 260 bytes are ever buffered, whatever the device
/// sends, and bytes behind an answer make the next answer fail.
#[derive(Debug)]
pub(crate) struct Guard<S> {
    stream: S,
    /// Bytes of the request that are not yet written; a new request may begin at 0.
    unsent: usize,
    /// Counted bytes that the answer has: unit, function, byte count, payload.
    expected: usize,
    header: [u8; HEADER],
    /// Bytes of the current answer that were read.
    received: usize,
}

/// How a frame broke the protocol; travels inside an [`Error`] of kind `InvalidData`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    ProtocolId(u16),
    Length { counted: usize, expected: usize },
    /// The library tried to send something else than a read.
    NotARead,
    /// More bytes than the answer.
    Unasked,
}

impl<S> Guard<S> {
    pub(crate) fn new(stream: S) -> Guard<S> {
        Guard { stream, unsent: 0, expected: 0, header: [0; HEADER], received: 0 }
    }

    fn begin_request(&mut self, frame: &[u8]) -> Result<()> {
        let (&[.., function], true) = (&frame[..8.min(frame.len())], frame.len() == REQUEST) else {
            return Err(Broken::NotARead.into());
        };
        let count = usize::from(u16::from_be_bytes([frame[10], frame[11]]));
        let payload = match function {
            1 | 2 => count.div_ceil(8),
            3 | 4 => count * 2,
            _ => return Err(Broken::NotARead.into()),
        };
        (self.unsent, self.expected, self.received) = (REQUEST, EXCEPTION + payload, 0);
        Ok(())
    }

    /// How much of the current answer is still to come.
    fn missing(&self) -> usize {
        let counted = if self.received < HEADER { 0 } else { self.counted() };
        HEADER + counted - self.received
    }

    fn counted(&self) -> usize {
        usize::from(u16::from_be_bytes([self.header[4], self.header[5]]))
    }

    fn accept(&mut self, bytes: &[u8]) -> Result<()> {
        let had = self.received;
        self.received += bytes.len();
        if had >= HEADER {
            return Ok(());
        }
        self.header[had..self.received].copy_from_slice(bytes);
        if self.received < HEADER {
            return Ok(());
        }
        let protocol = u16::from_be_bytes([self.header[2], self.header[3]]);
        if protocol != 0 {
            return Err(Broken::ProtocolId(protocol).into());
        }
        let (counted, expected) = (self.counted(), self.expected);
        if counted != expected && counted != EXCEPTION {
            return Err(Broken::Length { counted, expected }.into());
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let guard = self.get_mut();
        let want = guard.missing().min(buf.remaining());
        if want == 0 {
            return Poll::Ready(Err(Broken::Unasked.into()));
        }
        let mut bytes = [0; HEADER + u8::MAX as usize];
        let want = want.min(bytes.len());
        let mut answer = ReadBuf::new(&mut bytes[..want]);
        ready!(Pin::new(&mut guard.stream).poll_read(cx, &mut answer))?;
        guard.accept(answer.filled())?;
        buf.put_slice(answer.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let guard = self.get_mut();
        if guard.unsent == 0 {
            guard.begin_request(bytes)?;
        }
        let bytes = &bytes[..guard.unsent.min(bytes.len())];
        let written = ready!(Pin::new(&mut guard.stream).poll_write(cx, bytes))?;
        guard.unsent -= written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl Broken {
    pub(crate) fn in_error(error: &Error) -> Option<Broken> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl std::error::Error for Broken {}

impl From<Broken> for Error {
    fn from(broken: Broken) -> Error {
        Error::new(ErrorKind::InvalidData, broken)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::ProtocolId(id) => write!(f, "an answer with protocol id {id}, which is not Modbus"),
            Broken::Length { counted, expected } => {
                write!(
                    f,
                    "an answer of {counted} bytes where {expected} were due for the registers that were asked; compare \
                     the points' registers and max_registers with the device's manual"
                )
            }
            Broken::NotARead => f.write_str("a request that is not a read was stopped"),
            Broken::Unasked => f.write_str("more bytes than the answer"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// Asks for two holding registers.
    const READ: [u8; 12] = [0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2];

    async fn asked() -> (Guard<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(1024);
        let mut guard = Guard::new(near);
        guard.write_all(&READ).await.unwrap();
        (guard, far)
    }

    async fn answer(frame: &[u8]) -> Result<Vec<u8>> {
        let (mut guard, mut far) = asked().await;
        far.write_all(frame).await.unwrap();
        drop(far);
        let mut bytes = Vec::new();
        let mut chunk = [0; 512];
        while bytes.len() < frame.len() {
            let read = guard.read(&mut chunk).await?;
            bytes.extend_from_slice(&chunk[..read]);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn the_answer_that_is_due_and_an_exception_pass() {
        let due = [0, 1, 0, 0, 0, 7, 1, 3, 4, 0, 7, 0, 8];
        assert_eq!(answer(&due).await.unwrap(), due);
        let exception = [0, 1, 0, 0, 0, 3, 1, 0x83, 2];
        assert_eq!(answer(&exception).await.unwrap(), exception);
    }

    #[tokio::test]
    async fn an_answer_of_any_other_length_is_refused_by_its_header() {
        for length in (0..=u16::MAX).filter(|length| !matches!(length, 3 | 7)).step_by(41).chain([5, 9, 254, 255, 256]) {
            let [high, low] = length.to_be_bytes();
            let error = answer(&[0, 1, 0, 0, high, low, 1, 3, 4, 0, 7, 0, 8]).await.unwrap_err();
            let counted = usize::from(length);
            assert_eq!(Broken::in_error(&error), Some(Broken::Length { counted, expected: 7 }));
        }
        let error = answer(&[0, 1, 0, 7, 0, 7, 1, 3, 4, 0, 7, 0, 8]).await.unwrap_err();
        assert_eq!(Broken::in_error(&error), Some(Broken::ProtocolId(7)));
    }

    #[tokio::test]
    async fn bytes_behind_the_answer_are_not_taken() {
        let error = answer(&[0, 1, 0, 0, 0, 7, 1, 3, 4, 0, 7, 0, 8, 99]).await.unwrap_err();
        assert_eq!(Broken::in_error(&error), Some(Broken::Unasked));
    }

    #[tokio::test]
    async fn only_the_four_reads_get_out() {
        for function in (0..=u8::MAX).filter(|function| !(1..=4).contains(function)) {
            let mut request = READ;
            request[7] = function;
            let (near, mut far) = duplex(1024);
            let mut guard = Guard::new(near);
            let error = guard.write_all(&request).await.unwrap_err();
            assert_eq!(Broken::in_error(&error), Some(Broken::NotARead), "{function}");
            drop(guard);
            assert_eq!(far.read(&mut [0; 16]).await.unwrap(), 0, "bytes were sent");
        }
    }
}
