use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::{Disk, DiskError, Entry, FileId};

/// Files below one directory, mode 0700, locked against a second process; files have mode 0600.
pub struct RealDisk {
    root: PathBuf,
    /// `None`: only to look at.
    lock: Option<File>,
    files: BTreeMap<FileId, File>,
    last: FileId,
}

impl RealDisk {
    /// Makes the directory if it is missing and takes it out of other users' reach. `Disk::lock` comes later, by the
    /// buffer.
    pub fn open(directory: &Path) -> Result<RealDisk, DiskError> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(directory.join("LOCK"))?;
        Ok(RealDisk { root: directory.to_owned(), lock: Some(lock), files: BTreeMap::new(), last: 0 })
    }

    /// For a look from outside, also while another process has the directory: makes nothing, and every write fails.
    pub fn look(directory: &Path) -> Result<RealDisk, DiskError> {
        fs::read_dir(directory)?;
        Ok(RealDisk { root: directory.to_owned(), lock: None, files: BTreeMap::new(), last: 0 })
    }

    fn keep(&mut self, file: File) -> FileId {
        self.last += 1;
        self.files.insert(self.last, file);
        self.last
    }

    fn file(&self, file: FileId) -> Result<&File, DiskError> {
        self.files.get(&file).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the file is not open"))
    }
}

impl Disk for RealDisk {
    fn lock(&mut self) -> Result<(), DiskError> {
        let lock = self.lock.as_ref().ok_or(io::ErrorKind::ReadOnlyFilesystem)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })
    }

    fn create_directory(&mut self, path: &str) -> Result<(), DiskError> {
        match DirBuilder::new().mode(0o700).create(self.root.join(path)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn list(&mut self, directory: &str) -> Result<Vec<Entry>, DiskError> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.root.join(directory))? {
            let entry = entry?;
            // A file that vanishes or cannot be looked at while the list is made is not a file of the log.
            let (Ok(metadata), Ok(name)) = (entry.metadata(), entry.file_name().into_string()) else { continue };
            if metadata.is_file() {
                entries.push(Entry { name, bytes: metadata.len() });
            }
        }
        Ok(entries)
    }

    fn create(&mut self, path: &str) -> Result<FileId, DiskError> {
        let options =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(self.root.join(path))?;
        Ok(self.keep(options))
    }

    fn open(&mut self, path: &str) -> Result<FileId, DiskError> {
        let file = OpenOptions::new().read(true).write(self.lock.is_some()).open(self.root.join(path))?;
        Ok(self.keep(file))
    }

    fn close(&mut self, file: FileId) {
        self.files.remove(&file);
    }

    fn read_at(&mut self, file: FileId, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let file = self.file(file)?;
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.file(file)?.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, file: FileId, bytes: u64) -> Result<(), DiskError> {
        self.file(file)?.set_len(bytes)
    }

    fn sync_data(&mut self, file: FileId) -> Result<(), DiskError> {
        self.file(file)?.sync_data()
    }

    fn sync_directory(&mut self, directory: &str) -> Result<(), DiskError> {
        File::open(self.root.join(directory))?.sync_all()
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        fs::remove_file(self.root.join(path))
    }
}
