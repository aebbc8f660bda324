use crate::DiskError;

const MIB: u64 = 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes on disk, all classes, cursors and reserve included. Counts as at least four segments beside the 24 KiB of
    /// cursors and the reserve.
    pub max_bytes: u64,
    /// 64 KiB to 64 MiB; 8 MiB in production, tiny in tests.
    pub segment_bytes: u64,
    pub overflow: Overflow,
    /// A file of zeros that is given up when the disk is full, so that the losses of a dropped segment can be written
    /// down before it is removed. 0 for none.
    pub reserve_bytes: u64,
    /// Frames in memory between two commits, all classes; one record alone may be larger.
    pub uncommitted_bytes: u64,
}

impl Settings {
    /// Segments of 8 MiB, a reserve of 16 MiB, the oldest records dropped on overflow; smaller for a small buffer.
    pub fn new(max_bytes: u64) -> Settings {
        Settings {
            max_bytes,
            segment_bytes: (max_bytes / 16).clamp(MIB / 16, 8 * MIB),
            overflow: Overflow::DropOldest,
            reserve_bytes: (max_bytes / 16).min(16 * MIB),
            uncommitted_bytes: 4 * MIB,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest segment of the lowest class goes, counted and declared.
    DropOldest,
    RefuseNew,
}

#[derive(Debug, thiserror::Error)]
pub enum BufferError {
    #[error("the buffer directory cannot be used")]
    Disk(#[source] DiskError),
    #[error("another process uses this buffer")]
    Locked,
    /// Nothing was touched: what is not understood must not be taken for damage.
    #[error("{0} was written by a newer version of lingate")]
    Newer(String),
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("the buffer is full and nothing of this priority or below can make room")]
    Full,
    #[error("one record of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge { bytes: u64, limit: u64 },
    /// A commit has to come first.
    #[error("{bytes} bytes wait for a commit, the limit is {limit}")]
    Uncommitted { bytes: u64, limit: u64 },
    #[error("the disk refused")]
    Disk(#[source] DiskError),
}
