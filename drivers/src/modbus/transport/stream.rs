use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use serial2_tokio::SerialPort;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What lay in a transport before anything was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stray {
    Nothing,
    Bytes,
    /// The peer closed it, or it broke.
    Closed,
}

/// A transport of bytes.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Throws away what is there already, as far as it fits into a kilobyte; asks the kernel itself, because the
    /// runtime may not have heard of the bytes yet.
    fn sweep(&mut self) -> Stray;
}

impl Stream for TcpStream {
    fn sweep(&mut self) -> Stray {
        let mut bytes = [0; 1024];
        match (&*socket2::SockRef::from(&*self)).read(&mut bytes) {
            Ok(0) => Stray::Closed,
            Ok(_) => Stray::Bytes,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Stray::Nothing,
            Err(_) => Stray::Closed,
        }
    }
}

impl Stream for SerialPort {
    fn sweep(&mut self) -> Stray {
        let known = poll_once(self);
        match self.discard_input_buffer() {
            Ok(()) => known,
            Err(_) => Stray::Closed,
        }
    }
}

/// TLS has its own frames, and what it carries here has transaction ids.
impl Stream for tokio_rustls::client::TlsStream<TcpStream> {
    fn sweep(&mut self) -> Stray {
        poll_once(self)
    }
}

#[cfg(test)]
impl Stream for tokio::io::DuplexStream {
    fn sweep(&mut self) -> Stray {
        poll_once(self)
    }
}

fn poll_once(stream: &mut (impl AsyncRead + Unpin)) -> Stray {
    let mut bytes = [0; 1024];
    let mut read = ReadBuf::new(&mut bytes);
    match Pin::new(stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut read) {
        Poll::Pending => Stray::Nothing,
        Poll::Ready(Ok(())) if !read.filled().is_empty() => Stray::Bytes,
        Poll::Ready(_) => Stray::Closed,
    }
}
