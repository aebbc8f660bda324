use lingate_model::{Priority, UtcMicros};
use lingate_seal::{Kid, Sealed};

use crate::{Disk, DiskError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes on disk, all classes, cursors and reserve included; at least 4 segments.
    pub max_bytes: u64,
    /// 64 KiB to 64 MiB; 8 MiB in production, tiny in tests.
    pub segment_bytes: u64,
    pub overflow: Overflow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest segment of the lowest class goes, counted and declared.
    DropOldest,
    RefuseNew,
}

/// A record's place: `position` is dense per class, from 0, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    pub priority: Priority,
    pub position: u64,
}

/// What one `commit` made durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// In append order.
    pub records: Vec<(RecordId, Kid, u64)>,
    pub readings: u64,
}

/// Records that were durable and will never be read again. The engine turns each into a gap record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    pub priority: Priority,
    /// The dataset's alias, if the lost frames could still tell.
    pub alias: Option<lingate_model::DatasetAlias>,
    pub kid: Kid,
    pub first_seq: u64,
    pub last_seq: u64,
    pub records: u64,
    pub readings: u64,
    pub cause: LossCause,
    /// It had been handed out for sending, so it may have arrived.
    pub maybe_delivered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossCause {
    Overflow,
    Corruption,
}

/// What `open` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The last process ended with `close`. An empty directory counts as clean.
    pub clean: bool,
    /// Wall time of the last commit that is known; `None` on a new disk.
    pub last_commit: Option<UtcMicros>,
    /// Durable records that wait for delivery.
    pub records: u64,
    /// Bytes of a torn, never reported tail that was cut.
    pub torn_bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub max_bytes: u64,
    pub records_waiting: u64,
    pub readings_waiting: u64,
    /// Commit time of the oldest record that waits.
    pub oldest: Option<UtcMicros>,
    pub segments: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum BufferError {
    #[error("the buffer directory cannot be used: {0}")]
    Disk(#[source] DiskError),
    #[error("another process uses this buffer")]
    Locked,
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("the buffer is full and its policy is to refuse new records")]
    Full,
    #[error("one record of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("the disk refused: {0}")]
    Disk(#[source] DiskError),
}

pub struct Buffer<D: Disk> {
    _disk: D,
}

impl<D: Disk> Buffer<D> {
    /// Never refuses because of torn, corrupt or missing files: it cuts, skips, counts and goes on.
    pub fn open(_disk: D, _settings: Settings) -> Result<(Buffer<D>, Recovery), BufferError> {
        todo!()
    }

    /// Takes a record into memory; it is durable only when a later `commit` names it.
    pub fn append(&mut self, _priority: Priority, _sealed: &Sealed) -> Result<RecordId, AppendError> {
        todo!()
    }

    /// Writes what was appended and syncs it (`fdatasync` of data, directory entries included). On an error nothing is
    /// durable, the segment is closed for ever, and the same records are written to a new one at the next call.
    pub fn commit(&mut self, _utc: UtcMicros) -> Result<Committed, DiskError> {
        todo!()
    }

    /// The next durable record of the class that was not handed out since `open` or `rewind` and is not acknowledged.
    pub fn next(&mut self, _priority: Priority) -> Result<Option<(RecordId, Sealed)>, DiskError> {
        todo!()
    }

    /// After a lost link: everything unacknowledged is handed out again, in order.
    pub fn rewind(&mut self) {
        todo!()
    }

    /// This record needs no more delivery. Any order; twice is harmless. Space returns by whole segments.
    pub fn acknowledge(&mut self, _record: RecordId) -> Result<(), DiskError> {
        todo!()
    }

    /// Losses found since the last call, at most 1,000 at a time; call until empty.
    pub fn losses(&mut self) -> Vec<Loss> {
        todo!()
    }

    /// Anything appended and not yet committed?
    pub fn has_uncommitted(&self) -> bool {
        todo!()
    }

    pub fn usage(&self) -> Usage {
        todo!()
    }

    /// Commit, cursor, and the mark of a clean end.
    pub fn close(self, _utc: UtcMicros) -> Result<(), DiskError> {
        todo!()
    }
}
