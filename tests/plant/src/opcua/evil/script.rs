use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opcua::core::{RequestMessage, ResponseMessage};
use opcua::types::StatusCode;

/// One bad manner: an occasion, and what happens then.
#[derive(Clone, Debug)]
pub struct Script {
    pub when: When,
    pub say: Say,
    /// Occasions that are let pass first.
    pub skip: usize,
    /// Occasions on which it is played; then the server is honest.
    pub times: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Hello,
    Open,
    /// The channel is opened again, to renew its token.
    Renew,
    /// A service, by the number of its request's encoding (OPC 10000-6, annex A).
    Service(u32),
}

type Twist = Arc<dyn Fn(&RequestMessage, ResponseMessage) -> ResponseMessage + Send + Sync>;

#[derive(Clone)]
pub enum Say {
    /// Nothing, and the connection stays.
    Silence,
    Close,
    /// These in place of the answer, so many times.
    Bytes(Vec<u8>, usize),
    /// The honest answer, byte by byte with this time between them.
    Drip(Duration),
    Fault(StatusCode),
    /// These behind the response header, in an honest envelope.
    Body(Vec<u8>),
    /// The honest answer, changed.
    Twist(Twist),
    /// The honest answer in a wrong envelope.
    Frame(Frame),
    /// So many chunks of so many bytes of which none is the last; each for another request if `is_spread`.
    Flood {
        chunks: usize,
        size: usize,
        is_spread: bool,
    },
    /// The honest answer so many times.
    Again(usize),
}

/// What differs from the honest envelope.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame {
    pub size: Option<u32>,
    pub sequence: Option<u32>,
    pub request: Option<u32>,
    pub channel: Option<u32>,
    pub token: Option<u32>,
    /// `F`, `C`, `A`
    pub kind: Option<u8>,
    pub message: Option<[u8; 3]>,
}

impl Script {
    /// From the first occasion on, for ever.
    pub fn always(when: When, say: Say) -> Script {
        Script { when, say, skip: 0, times: usize::MAX }
    }

    pub fn after(self, skip: usize) -> Script {
        Script { skip, ..self }
    }

    pub fn times(self, times: usize) -> Script {
        Script { times, ..self }
    }

    pub(super) fn take(&mut self, when: When) -> Option<Say> {
        if self.when != when || self.times == 0 {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.times -= 1;
        Some(self.say.clone())
    }
}

impl Say {
    pub fn twist(twist: impl Fn(&RequestMessage, ResponseMessage) -> ResponseMessage + Send + Sync + 'static) -> Say {
        Say::Twist(Arc::new(twist))
    }
}

impl fmt::Debug for Say {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Say::Silence => "silence",
            Say::Close => "close",
            Say::Bytes(..) => "bytes",
            Say::Drip(_) => "drip",
            Say::Fault(_) => "fault",
            Say::Body(_) => "body",
            Say::Twist(_) => "twist",
            Say::Frame(_) => "frame",
            Say::Flood { .. } => "flood",
            Say::Again(_) => "again",
        };
        f.write_str(name)
    }
}
