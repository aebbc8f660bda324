//! Stands between the socket and the library, which would buffer whatever size a frame's header claims (4 GiB) and takes
//! any certificate that signs the opening of the channel. What passes here is a sequence of frames of known type and
//! bounded size (OPC 10000-6, 6.7.2 and 7.1.2); everything else closes the connection before it is stored.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// What one connection may send.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Bytes of one frame, its header included; what the client offers in its HEL.
    pub(crate) chunk: u32,
    /// Bytes of all frames of one message.
    pub(crate) message: u32,
    /// The policy that opens the channel, and the certificate that must sign it; `None`: no certificate is expected.
    pub(crate) policy_uri: &'static str,
    pub(crate) certificate: Option<Arc<[u8]>>,
}

/// Why a connection was closed from this side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    Type([u8; 4]),
    /// A size that frames of this type cannot have.
    Size { kind: [u8; 3], size: u32 },
    MessageTooLong,
    TooManyChunks,
    /// The channel was opened with another policy than the configured one, or signed by somebody else.
    Policy,
    Certificate,
}

/// What the guard saw, for the one who explains why a connection failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) breach: Option<Breach>,
    /// Answers to OpenSecureChannel.
    pub(crate) channels: u32,
    /// Other messages: the first one proves that the channel works.
    pub(crate) messages: u64,
}

/// Shared by the guard and its owner.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Mutex<Seen>>);

impl Watch {
    pub(crate) fn seen(&self) -> Seen {
        self.with(|seen| seen.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Seen) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) struct Guarded<R> {
    inner: R,
    frames: Frames,
    watch: Watch,
}

impl<R> Guarded<R> {
    pub(crate) fn new(inner: R, limits: Limits, watch: Watch) -> Guarded<R> {
        Guarded { inner, frames: Frames::new(limits), watch }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Guarded<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Guarded { inner, frames, watch } = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(inner).poll_read(cx, buf))?;
        let passed = frames.pass(&buf.filled()[before..], watch);
        Poll::Ready(passed.map_err(|breach| {
            let text = breach.to_string();
            watch.with(|seen| seen.breach.get_or_insert(breach).clone());
            io::Error::new(io::ErrorKind::InvalidData, text)
        }))
    }
}

const HEADER: usize = 8;
const ACKNOWLEDGE: u32 = 28;
/// Code, and a reason of at most 4,096 bytes (OPC 10000-6, 7.1.2.5).
const ERROR: std::ops::RangeInclusive<u32> = 16..=16 + 4096;
/// Channel, token or at least the lengths of an asymmetric header, sequence number and request id.
const CHUNK_MIN: u32 = 24;
/// Far more than honest servers need, which fill their chunks.
const CHUNKS_MAX: u32 = 1024;

/// The frames of one connection, from the first byte on.
#[derive(Debug)]
struct Frames {
    limits: Limits,
    header: [u8; HEADER],
    have: usize,
    /// Of the frame that is passing.
    left: u32,
    acknowledged: bool,
    /// Of the message that is passing, its final chunk not seen yet.
    bytes: u32,
    chunks: u32,
    /// The body of an OpenSecureChannel answer, as far as it came.
    opening: Option<Vec<u8>>,
}

impl Frames {
    fn new(limits: Limits) -> Frames {
        Frames { limits, header: [0; HEADER], have: 0, left: 0, acknowledged: false, bytes: 0, chunks: 0, opening: None }
    }

    fn pass(&mut self, mut bytes: &[u8], watch: &Watch) -> Result<(), Breach> {
        while !bytes.is_empty() {
            if self.left == 0 {
                bytes = self.take_header(bytes, watch)?;
                continue;
            }
            let (body, rest) = bytes.split_at(bytes.len().min(self.left as usize));
            bytes = rest;
            self.left -= u32::try_from(body.len()).expect("cut to what is left");
            if let Some(opening) = &mut self.opening {
                opening.extend_from_slice(body);
            }
            if self.left == 0 && let Some(opening) = self.opening.take() {
                self.judge(&opening)?;
            }
        }
        Ok(())
    }

    fn take_header<'b>(&mut self, bytes: &'b [u8], watch: &Watch) -> Result<&'b [u8], Breach> {
        let (part, rest) = bytes.split_at(bytes.len().min(HEADER - self.have));
        self.header[self.have..self.have + part.len()].copy_from_slice(part);
        self.have += part.len();
        if self.have == HEADER {
            self.have = 0;
            self.left = self.begin(watch)?;
        }
        Ok(rest)
    }

    /// The number of bytes that follow the header.
    fn begin(&mut self, watch: &Watch) -> Result<u32, Breach> {
        let [a, b, c, last, size @ ..] = self.header;
        let (kind, size) = ([a, b, c], u32::from_le_bytes(size));
        let allowed = match (&kind, last, self.acknowledged) {
            (b"ACK", b'F', false) => ACKNOWLEDGE..=ACKNOWLEDGE,
            (b"ERR", b'F', _) => ERROR,
            (b"OPN", b'F', true) | (b"MSG", b'F' | b'C' | b'A', true) => CHUNK_MIN..=self.limits.chunk,
            _ => return Err(Breach::Type([a, b, c, last])),
        };
        if !allowed.contains(&size) {
            return Err(Breach::Size { kind, size });
        }
        self.acknowledged = true;
        match &kind {
            b"OPN" => {
                self.opening = Some(Vec::new());
                watch.with(|seen| seen.channels = seen.channels.saturating_add(1));
            }
            b"MSG" => self.count(last, size, watch)?,
            _ => {}
        }
        Ok(size - HEADER as u32)
    }

    fn count(&mut self, last: u8, size: u32, watch: &Watch) -> Result<(), Breach> {
        watch.with(|seen| seen.messages = seen.messages.saturating_add(1));
        self.bytes = self.bytes.saturating_add(size);
        self.chunks += 1;
        // Headers and signatures of the chunks do not count as message.
        if self.bytes > self.limits.message.saturating_add(self.limits.chunk) {
            return Err(Breach::MessageTooLong);
        }
        if self.chunks > CHUNKS_MAX {
            return Err(Breach::TooManyChunks);
        }
        if last != b'C' {
            (self.bytes, self.chunks) = (0, 0);
        }
        Ok(())
    }

    /// The clear part of the opening (OPC 10000-6, 6.7.2.3): channel id, policy, sender's certificate.
    fn judge(&self, opening: &[u8]) -> Result<(), Breach> {
        let mut rest = opening.get(4..).unwrap_or_default();
        if take_string(&mut rest) != Some(self.limits.policy_uri.as_bytes()) {
            return Err(Breach::Policy);
        }
        let sender = take_string(&mut rest);
        match (&self.limits.certificate, sender) {
            (None, None | Some([])) => Ok(()),
            (Some(expected), Some(sender)) if sender == &expected[..] => Ok(()),
            _ => Err(Breach::Certificate),
        }
    }
}

/// Length and bytes; `None` for null, and for what is not there.
fn take_string<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    let length = usize::try_from(i32::from_le_bytes(*length)).ok()?;
    let (string, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(string)
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Breach::Type(kind) => write!(f, "a frame of type \"{}\"", kind.escape_ascii()),
            Breach::Size { kind, size } => write!(f, "a frame {} of {size} bytes", kind.escape_ascii()),
            Breach::MessageTooLong => f.write_str("an answer longer than max_message"),
            Breach::TooManyChunks => write!(f, "an answer of more than {CHUNKS_MAX} chunks"),
            Breach::Policy => f.write_str("another security policy than the one that was agreed"),
            Breach::Certificate => f.write_str("another certificate than the one that is trusted signed the channel"),
        }
    }
}

#[cfg(test)]
mod tests;
