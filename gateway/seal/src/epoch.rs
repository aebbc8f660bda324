use std::sync::Arc;
use std::time::Duration;

use lingate_model::{Class, DatasetId, GatewayId, Now, PurposeId, UtcMicros};
use lingate_refine::{Batch, DatasetPlan, PointPlan};

use crate::{Entropy, EntropyFailed, Grant, Kid, Sealed, SigningKey};

/// Everything that an epoch is for. Any difference means another epoch.
#[derive(Clone, Debug)]
pub struct EpochTerms {
    pub gateway: GatewayId,
    /// `name version sha256:...` of the running software, for lineage.
    pub software: String,
    pub dataset: DatasetPlan,
    /// The points of the dataset by alias, dense from 0.
    pub points: Vec<Arc<PointPlan>>,
    /// What the bundle grants for it: recipients, alias in topics, purpose statement, approval, rotation.
    pub grant: Grant,
}

/// CLAIMS -70008: the stream's epoch before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousEpoch {
    pub kid: Kid,
    pub last_seq: u64,
}

/// A declared loss (wire.md section 5, `Gap`).
#[derive(Clone, Debug, PartialEq)]
pub enum GapRecord {
    /// Sealed records that will not come.
    Records { kid: Kid, first_seq: u64, last_seq: u64, readings: u64, cause: GapCause, maybe_delivered: bool },
    /// Acquisition slots that gave nothing.
    Slots { device: String, from: UtcMicros, to: UtcMicros, readings: u64, cause: GapCause },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GapCause {
    Overflow = 1,
    DeviceDown = 2,
    Quarantine = 3,
    DecodeFailure = 4,
    PolicyExpired = 5,
    Corruption = 6,
    UncleanStop = 7,
    Purge = 8,
    Overload = 9,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
    #[error("recipient key {0} is not a usable X25519 key")]
    Recipient(Kid),
    #[error("the dataset's class is important and the bundle has no approval reference for it")]
    ApprovalMissing,
    #[error("the epoch has no sequence number left")]
    Exhausted,
    #[error("the catalogue has {points} points, the limit of one epoch is {limit}")]
    TooLarge { points: usize, limit: usize },
}

/// An open epoch: it holds the content key, only in memory, and wipes it when it ends.
pub struct Epoch {
    _private: (),
}

impl Epoch {
    /// Draws a key and gives the messages that open the stream, in order: KEY, Catalogue (seq 0), Lineage (seq 1).
    pub fn open(
        _terms: EpochTerms,
        _previous: Option<PreviousEpoch>,
        _now: Now,
        _signer: &SigningKey,
        _entropy: &mut dyn Entropy,
    ) -> Result<(Epoch, Vec<Sealed>), SealError> {
        todo!()
    }

    pub fn kid(&self) -> Kid {
        todo!()
    }
    pub fn dataset(&self) -> &DatasetId {
        todo!()
    }
    pub fn purpose(&self) -> &PurposeId {
        todo!()
    }
    pub fn class(&self) -> Class {
        todo!()
    }
    /// Age (monotonic) or number of messages is at the bundle's limit: close it and open another.
    pub fn is_spent(&self, _now: Now) -> bool {
        todo!()
    }
    /// When `is_spent` becomes true by age.
    pub fn ends_at(&self) -> Duration {
        todo!()
    }
    pub fn seal_batch(&mut self, _batch: &Batch, _signer: &SigningKey) -> Result<Sealed, SealError> {
        todo!()
    }
    pub fn seal_gap(&mut self, _gap: &GapRecord, _signer: &SigningKey) -> Result<Sealed, SealError> {
        todo!()
    }
    /// The last message of the epoch: count, readings and RFC 9162 root over the DATA digests.
    pub fn close(self, _signer: &SigningKey) -> (Sealed, PreviousEpoch) {
        todo!()
    }
}
