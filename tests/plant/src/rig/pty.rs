use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;

/// The far end of a serial line.
pub(crate) struct Pty {
    far: AsyncFd<File>,
    /// Kept open, so that the far end does not see a hang-up while nobody has the port open.
    _near: serial2::SerialPort,
}

impl Pty {
    /// With the path of the near end.
    pub(crate) fn open() -> io::Result<(Pty, PathBuf)> {
        let (far, near) = serial2::SerialPort::pair()?;
        let path = std::fs::read_link(format!("/proc/self/fd/{}", near.as_raw_fd()))?;
        #[expect(deprecated, reason = "its successor is unsafe code, and a File owns its descriptor")]
        let far = AsyncFd::new(File::from(OwnedFd::from(far)))?;
        Ok((Pty { far, _near: near }, path))
    }
}

/// Two serial ports of this machine, joined. Dropping it cuts it.
pub struct Cable {
    pub ends: [PathBuf; 2],
    task: JoinHandle<()>,
}

impl Cable {
    pub fn new() -> io::Result<Cable> {
        let ((mut left, first), (mut right, second)) = (Pty::open()?, Pty::open()?);
        let task = tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut left, &mut right).await;
        });
        Ok(Cable { ends: [first, second], task })
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl AsyncRead for Pty {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.far.poll_read_ready(cx))?;
            let mut bytes = [0; 1024];
            let room = buf.remaining().min(bytes.len());
            if let Ok(read) = guard.try_io(|far| far.get_ref().read(&mut bytes[..room])) {
                return Poll::Ready(read.map(|count| buf.put_slice(&bytes[..count])));
            }
        }
    }
}

impl AsyncWrite for Pty {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.far.poll_write_ready(cx))?;
            if let Ok(written) = guard.try_io(|far| far.get_ref().write(bytes)) {
                return Poll::Ready(written);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
