//! What waits on a gateway's disk, found by opening a copy of its buffer as the gateway would.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use lingate_buffer::{Buffer, RealDisk, Settings};
use lingate_model::Priority;

use crate::Identity;

/// Taken while no gateway runs.
#[derive(Clone, Debug, Default)]
pub struct DiskImage {
    /// Reported durable until then.
    pub accepted: BTreeSet<Identity>,
    /// Waiting on the disk.
    pub waiting: BTreeSet<Identity>,
    /// What the receiver had, and what gaps declared, when the image was taken.
    pub arrived: BTreeSet<Identity>,
}

impl DiskImage {
    /// `buffer`: the folder that holds `LOCK`; it is copied and not touched.
    pub fn waiting_in(buffer: &Path) -> Result<BTreeSet<Identity>> {
        let copy = tempfile::tempdir()?;
        copy_all(buffer, copy.path())?;
        let disk = RealDisk::open(copy.path()).context("the copy of the buffer")?;
        let (mut buffer, _) = Buffer::open(disk, Settings::new(u64::MAX / 4)).context("the copy of the buffer")?;
        let mut waiting = BTreeSet::new();
        for priority in Priority::ALL {
            while let Some((record, sealed)) = buffer.next(priority)? {
                let kid = sealed.kid().0.iter().map(|byte| format!("{byte:02x}")).collect();
                waiting.insert((kid, sealed.seq()));
                buffer.acknowledge(record)?;
            }
        }
        Ok(waiting)
    }
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().context("an entry has a name")?);
        if path.is_dir() {
            copy_all(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
