//! A disk as somebody writes it who knows only what POSIX promises: files are numbers, names point to them, and what was
//! not synced may be kept or lost, each change by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard};

use lingate_buffer::fake::FakeDisk;
use lingate_buffer::{Disk, DiskError, Entry, FileId};

const SECTOR: usize = 512;

/// One call that changes something, or that makes changes durable.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Create(String, usize),
    Remove(String),
    Write(usize, usize, Vec<u8>),
    Truncate(usize, usize),
    SyncData(usize),
    SyncDirectory(String),
}

#[derive(Clone, Default)]
pub(super) struct Files {
    names: BTreeMap<String, usize>,
    content: BTreeMap<usize, Vec<u8>>,
}

impl Files {
    fn apply(&mut self, call: &Call) {
        match call {
            Call::Create(name, file) => {
                self.names.insert(name.clone(), *file);
                self.content.entry(*file).or_default();
            }
            Call::Remove(name) => drop(self.names.remove(name)),
            Call::Write(file, offset, bytes) => {
                let content = self.content.entry(*file).or_default();
                let end = offset + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*offset..end].copy_from_slice(bytes);
            }
            Call::Truncate(file, length) => self.content.entry(*file).or_default().resize(*length, 0),
            Call::SyncData(_) | Call::SyncDirectory(_) => {}
        }
    }

    pub(super) fn to_disk(&self) -> FakeDisk {
        let disk = FakeDisk::new();
        for (name, file) in &self.names {
            disk.put(name, self.content.get(file).map_or(&[], Vec::as_slice));
        }
        disk
    }

    fn forget_unnamed(&mut self, pending: &[Call]) {
        let mut used: BTreeSet<usize> = self.names.values().copied().collect();
        used.extend(
            pending.iter().filter_map(|call| if let Call::Create(_, file) = call { Some(*file) } else { None }),
        );
        self.content.retain(|file, _| used.contains(file));
    }
}

/// What is durable, and what came since.
#[derive(Clone, Default)]
pub(super) struct Image {
    durable: Files,
    pub(super) pending: Vec<Call>,
}

impl Image {
    pub(super) fn apply(&mut self, call: &Call) {
        let is_synced = |pending: &Call| match (call, pending) {
            (Call::SyncData(file), Call::Write(of, ..) | Call::Truncate(of, _)) => file == of,
            (Call::SyncDirectory(directory), Call::Create(name, _) | Call::Remove(name)) => parent(name) == directory,
            _ => false,
        };
        match call {
            Call::SyncData(_) | Call::SyncDirectory(_) => {
                let (synced, left): (Vec<_>, Vec<_>) =
                    std::mem::take(&mut self.pending).into_iter().partition(is_synced);
                self.pending = left;
                synced.iter().for_each(|call| self.durable.apply(call));
                self.durable.forget_unnamed(&self.pending);
            }
            change => self.pending.push(change.clone()),
        }
    }

    /// With the changes whose bit is set, and the last of them torn at a sector if `tear` says so.
    pub(super) fn crashed(&self, kept: u64, tear: Option<Tear>) -> Files {
        let mut files = self.durable.clone();
        let kept: Vec<&Call> =
            self.pending.iter().enumerate().filter(|(at, _)| kept >> at & 1 == 1).map(|(_, call)| call).collect();
        for (at, call) in kept.iter().enumerate() {
            match tear.filter(|_| at + 1 == kept.len()).and_then(|tear| tear.of(call)) {
                Some(torn) => files.apply(&torn),
                None => files.apply(call),
            }
        }
        files
    }
}

/// Of a write, only what lies before or only what lies behind some sector's border.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tear {
    pub(super) sectors: usize,
    pub(super) keeps_end: bool,
}

impl Tear {
    fn of(self, call: &Call) -> Option<Call> {
        let Call::Write(file, offset, bytes) = call else { return None };
        let at = (offset / SECTOR + self.sectors) * SECTOR;
        let cut = at.checked_sub(*offset).filter(|cut| *cut > 0 && *cut < bytes.len())?;
        Some(match self.keeps_end {
            false => Call::Write(*file, *offset, bytes[..cut].to_vec()),
            true => Call::Write(*file, at, bytes[cut..].to_vec()),
        })
    }
}

/// Takes down every call of one process, or of several that follow one another.
#[derive(Clone, Default)]
pub(super) struct Tape(Arc<Mutex<Taped>>);

#[derive(Default)]
struct Taped {
    files: Files,
    open: BTreeMap<FileId, usize>,
    calls: Vec<Call>,
    last: u64,
}

impl Tape {
    pub(super) fn calls(&self) -> usize {
        self.taped().calls.len()
    }

    pub(super) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.taped().calls)
    }

    fn taped(&self) -> MutexGuard<'_, Taped> {
        self.0.lock().expect("nobody panics with it")
    }
}

impl Taped {
    fn change(&mut self, call: Call) {
        self.files.apply(&call);
        self.calls.push(call);
    }

    fn id(&mut self, file: usize) -> FileId {
        self.last += 1;
        self.open.insert(self.last, file);
        self.last
    }

    fn file(&self, id: FileId) -> Result<usize, DiskError> {
        self.open.get(&id).copied().ok_or_else(|| ErrorKind::InvalidInput.into())
    }
}

impl Disk for Tape {
    fn lock(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    fn create_directory(&mut self, _: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn list(&mut self, directory: &str) -> Result<Vec<Entry>, DiskError> {
        let taped = self.taped();
        let inside = taped.files.names.iter().filter(|(name, _)| parent(name) == directory);
        let entry = |(name, file): (&String, &usize)| Entry {
            name: name.rsplit('/').next().unwrap_or(name).to_owned(),
            bytes: taped.files.content.get(file).map_or(0, |content| content.len() as u64),
        };
        Ok(inside.map(entry).collect())
    }

    fn create(&mut self, path: &str) -> Result<FileId, DiskError> {
        let mut taped = self.taped();
        if taped.files.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        taped.last += 1;
        let file = taped.last as usize;
        taped.change(Call::Create(path.to_owned(), file));
        Ok(taped.id(file))
    }

    fn open(&mut self, path: &str) -> Result<FileId, DiskError> {
        let mut taped = self.taped();
        let file = *taped.files.names.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(taped.id(file))
    }

    fn close(&mut self, file: FileId) {
        self.taped().open.remove(&file);
    }

    fn read_at(&mut self, file: FileId, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let taped = self.taped();
        let content = taped.files.content.get(&taped.file(file)?).map_or(&[][..], Vec::as_slice);
        let rest = content.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut taped = self.taped();
        let file = taped.file(file)?;
        taped.change(Call::Write(file, offset as usize, bytes.to_vec()));
        Ok(())
    }

    fn truncate(&mut self, file: FileId, bytes: u64) -> Result<(), DiskError> {
        let mut taped = self.taped();
        let file = taped.file(file)?;
        taped.change(Call::Truncate(file, bytes as usize));
        Ok(())
    }

    fn sync_data(&mut self, file: FileId) -> Result<(), DiskError> {
        let mut taped = self.taped();
        let file = taped.file(file)?;
        taped.change(Call::SyncData(file));
        Ok(())
    }

    fn sync_directory(&mut self, directory: &str) -> Result<(), DiskError> {
        self.taped().change(Call::SyncDirectory(directory.to_owned()));
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        let mut taped = self.taped();
        if !taped.files.names.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        taped.change(Call::Remove(path.to_owned()));
        Ok(())
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}
