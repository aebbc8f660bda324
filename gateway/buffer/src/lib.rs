//! Floor 3: store and forward. An append-only segment log per priority class; the disk is behind a trait.

mod disk;
mod store;

pub use disk::{Disk, DiskError, RealDisk};
pub use store::{
    AppendError, Buffer, BufferError, Committed, LossCause, Loss, Overflow, RecordId, Recovery, Settings, Usage,
};
