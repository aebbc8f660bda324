//! The few things that the log asks of a disk. Names are relative paths with `/`, below the buffer's directory.

use std::io;
use std::path::Path;

/// A file of the log, by a number that the disk gave at `create` or `open`.
pub type FileId = u64;

pub type DiskError = io::Error;

pub trait Disk: Send {
    // the buffer's author completes this trait: create, open, list, read_at, append/write_at, sync_data, sync_dir,
    // truncate, remove, free_bytes ...
}

/// Files below one directory, mode 0700, locked against a second process.
pub struct RealDisk;

impl RealDisk {
    pub fn open(_directory: &Path) -> Result<RealDisk, DiskError> {
        todo!()
    }
}

impl Disk for RealDisk {}
