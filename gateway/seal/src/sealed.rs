use std::fmt;

use lingate_model::DatasetAlias;

use crate::{DataMessage, KeyMessage};

/// Eight bytes that name a key: an epoch's content key, a signer or a role.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid(pub [u8; 8]);

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a sealed message is to the line. The number is what the buffer's frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    Key = 1,
    Catalogue = 2,
    Lineage = 3,
    Batch = 4,
    Gap = 5,
    EpochClose = 6,
}

impl RecordKind {
    pub fn from_number(number: u8) -> Option<RecordKind> {
        use RecordKind::*;
        [Key, Catalogue, Lineage, Batch, Gap, EpochClose].into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A signed and encrypted message. The only thing that a buffer takes. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub(crate) kind: RecordKind,
    pub(crate) alias: DatasetAlias,
    pub(crate) kid: Kid,
    pub(crate) seq: u64,
    pub(crate) readings: u32,
    pub(crate) bytes: std::sync::Arc<[u8]>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sealed message: {0}")]
pub struct NotSealed(pub &'static str);

impl Sealed {
    /// From storage: the bytes must already be a KEY (COSE_Sign1 over COSE_Encrypt) or DATA (COSE_Sign1 over
    /// COSE_Encrypt0) message that agrees with `kind`, `kid` and `seq`. A KEY has the number 0.
    pub fn from_stored(
        kind: RecordKind,
        alias: DatasetAlias,
        kid: Kid,
        seq: u64,
        readings: u32,
        bytes: &[u8],
    ) -> Result<Sealed, NotSealed> {
        let (found_kid, found_seq) = match kind {
            RecordKind::Key => (KeyMessage::parse(bytes).map_err(|_| NotSealed("no KEY message"))?.kid(), 0),
            _ => {
                DataMessage::parse(bytes).map(|data| (data.kid, data.seq)).map_err(|_| NotSealed("no DATA message"))?
            }
        };
        if found_kid != kid {
            return Err(NotSealed("it belongs to another epoch"));
        }
        if found_seq != seq {
            return Err(NotSealed("it has another number"));
        }
        Ok(Sealed { kind, alias, kid, seq, readings, bytes: bytes.into() })
    }

    pub fn kind(&self) -> RecordKind {
        self.kind
    }
    /// The dataset's name in topics.
    pub fn alias(&self) -> &DatasetAlias {
        &self.alias
    }
    /// The epoch's content key.
    pub fn kid(&self) -> Kid {
        self.kid
    }
    /// Dense from 0 within the epoch; a KEY has 0 and shares it with the first DATA.
    pub fn seq(&self) -> u64 {
        self.seq
    }
    /// Readings inside; for a gap, the readings that it declares lost is not counted here.
    pub fn readings(&self) -> u32 {
        self.readings
    }
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// The same bytes, shared: what the link publishes.
    pub fn shared_bytes(&self) -> std::sync::Arc<[u8]> {
        self.bytes.clone()
    }
}
