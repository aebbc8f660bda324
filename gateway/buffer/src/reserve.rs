use crate::disk::remove_if_present;
use crate::{Disk, DiskError, FileId};

const PATH: &str = "reserve";
const CHUNK: usize = 256 * 1024;

/// A file of zeros that holds room for the worst moment: a full disk.
pub(crate) struct Reserve {
    bytes: u64,
    is_held: bool,
}

impl Reserve {
    /// Fills the file up if there is room for it; it is no error if there is none.
    pub(crate) fn open(disk: &mut dyn Disk, bytes: u64) -> Reserve {
        let mut reserve = Reserve { bytes, is_held: false };
        let found = disk.list("").ok().and_then(|files| files.into_iter().find(|file| file.name == PATH));
        reserve.is_held = bytes > 0 && found.is_some_and(|file| file.bytes == bytes);
        reserve.restore(disk);
        reserve
    }

    pub(crate) fn bytes(&self) -> u64 {
        if self.is_held { self.bytes } else { 0 }
    }

    /// `true` if it was there to be given up.
    pub(crate) fn release(&mut self, disk: &mut dyn Disk) -> Result<bool, DiskError> {
        if !self.is_held {
            return Ok(false);
        }
        remove_if_present(disk, PATH)?;
        self.is_held = false;
        disk.sync_directory("")?;
        Ok(true)
    }

    pub(crate) fn restore(&mut self, disk: &mut dyn Disk) {
        if self.is_held || self.bytes == 0 {
            return;
        }
        self.is_held = fill(disk, self.bytes).is_ok();
        if !self.is_held {
            // A part of it would only make the disk fuller.
            let _ = remove_if_present(disk, PATH);
        }
    }
}

fn fill(disk: &mut dyn Disk, bytes: u64) -> Result<(), DiskError> {
    remove_if_present(disk, PATH)?;
    let file = disk.create(PATH)?;
    let filled = write_zeros(disk, file, bytes);
    disk.close(file);
    filled?;
    disk.sync_directory("")
}

fn write_zeros(disk: &mut dyn Disk, file: FileId, bytes: u64) -> Result<(), DiskError> {
    let zeros = vec![0; CHUNK];
    let mut at = 0;
    while at < bytes {
        let length = (bytes - at).min(CHUNK as u64) as usize;
        disk.write_at(file, at, &zeros[..length])?;
        at += length as u64;
    }
    disk.sync_data(file)
}
