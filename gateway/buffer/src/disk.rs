//! The few things that the log asks of a disk.

use std::io;

/// A file of the log, by a number that the disk gave at `create` or `open`.
pub type FileId = u64;

pub type DiskError = io::Error;

/// A regular file in a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub name: String,
    pub bytes: u64,
}

/// Files below one directory. Paths are relative, parted by `/`; the empty path is the directory itself.
///
/// What the log relies on: after `sync_data` returned `Ok`, every write before it survives a power cut; after
/// `sync_directory` returned `Ok`, so does every `create` and `remove` before it in that directory. Nothing else is
/// assumed: writes that were not synced may be kept, lost or torn in any order.
///
/// Errors: `NotFound`, `AlreadyExists`, `StorageFull` and `QuotaExceeded` are told apart from all others.
pub trait Disk: Send {
    /// Takes the directory for this process. `WouldBlock`: another process has it.
    fn lock(&mut self) -> Result<(), DiskError>;
    /// Makes one directory; one that exists is no error.
    fn create_directory(&mut self, path: &str) -> Result<(), DiskError>;
    /// The regular files of a directory, in any order.
    fn list(&mut self, directory: &str) -> Result<Vec<Entry>, DiskError>;
    /// A new empty file; `AlreadyExists` if there is one.
    fn create(&mut self, path: &str) -> Result<FileId, DiskError>;
    /// For reading and writing.
    fn open(&mut self, path: &str) -> Result<FileId, DiskError>;
    /// Forgets the number. Syncs nothing.
    fn close(&mut self, file: FileId);
    /// Fills the buffer as far as the file goes and says how far that was: less than asked only at the file's end.
    fn read_at(&mut self, file: FileId, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError>;
    /// All bytes or an error, after which any part of them may have been written.
    fn write_at(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;
    fn truncate(&mut self, file: FileId, bytes: u64) -> Result<(), DiskError>;
    /// `fdatasync`: the file's content and its length.
    fn sync_data(&mut self, file: FileId) -> Result<(), DiskError>;
    /// Makes the directory's entries durable.
    fn sync_directory(&mut self, directory: &str) -> Result<(), DiskError>;
    fn remove(&mut self, path: &str) -> Result<(), DiskError>;
}

/// No room, for whatever reason: the one failure that making room can cure.
pub(crate) fn is_full(error: &DiskError) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// `remove` where "it was not there" is as good.
pub(crate) fn remove_if_present(disk: &mut dyn Disk, path: &str) -> Result<(), DiskError> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
