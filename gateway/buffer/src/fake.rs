//! A disk in memory for tests: it keeps what was synced apart from what was only written, loses power at will, fails
//! at the call that you name, fills up, and flips bits. Not for production.
//!
//! A `FakeDisk` is a handle; clones share the disk. Give one to the buffer and keep one to do harm with.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::{Disk, DiskError, Entry, FileId};

mod state;

use state::{Change, File, NameChange, State, parent};

/// What a power cut leaves of the writes, creations and removals that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Nothing: a disk with a large volatile cache.
    DropAll,
    /// Everything, for the process was killed and the machine lives: the power may still go later.
    KeepAll,
    /// The first so many, in the order of the calls.
    Prefix(u64),
    /// Any subset, drawn from this seed; writes torn at sectors of 512 bytes.
    Random(u64),
}

/// The calls that can fail or be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    CreateDirectory,
    List,
    Create,
    Open,
    Read,
    Write,
    Truncate,
    SyncData,
    SyncDirectory,
    Remove,
}

/// See the module's page.
pub struct FakeDisk {
    state: Arc<Mutex<State>>,
    holds_lock: bool,
}

impl FakeDisk {
    pub fn new() -> FakeDisk {
        FakeDisk { state: Arc::new(Mutex::new(State::default())), holds_lock: false }
    }

    /// The disk as another process finds it after the power or the process was lost. This one stays as it is.
    pub fn crash(&self, crash: Crash) -> FakeDisk {
        let state = self.state().after(crash);
        FakeDisk { state: Arc::new(Mutex::new(state)), holds_lock: false }
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Changes that a power cut could take away.
    pub fn unsynced(&self) -> u64 {
        let state = self.state();
        state.files.iter().map(|file| file.unsynced.len() as u64).sum::<u64>() + state.unsynced_names.len() as u64
    }

    /// The power goes when so many calls have been made: later ones fail and change nothing.
    pub fn cut_power_after(&self, calls: u64) {
        self.state().power_until = Some(calls);
    }

    /// The call with this number (the first is 1) fails. A write then leaves half of its bytes; a sync leaves what it
    /// should have synced visible, but no later sync makes it durable, as Linux file systems do.
    pub fn fail_call(&self, number: u64, kind: ErrorKind) {
        self.state().failures.insert(number, kind);
    }

    /// The next so many calls of this sort fail.
    pub fn fail_next(&self, call: Call, count: u64, kind: ErrorKind) {
        self.state().failing.insert(call, (count, kind));
    }

    /// These bytes of a file cannot be read any more.
    pub fn make_unreadable(&self, path: &str, bytes: Range<u64>) {
        self.state().unreadable.push((path.to_owned(), bytes));
    }

    /// All failures that were ordered and have not come are off.
    pub fn heal(&self) {
        let mut state = self.state();
        state.unreadable.clear();
        state.failing.clear();
        state.failures.clear();
        state.power_until = None;
    }

    /// No more than so many bytes in files, from now on.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes in all files.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// All files, as the running system sees them.
    pub fn paths(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).map(|file| state.files[*file].visible.clone())
    }

    /// Puts a file there, durable at once; the directory too.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        self.state().put(path, bytes);
    }

    /// Takes a file away, durable at once.
    pub fn take(&self, path: &str) {
        let mut state = self.state();
        state.names.remove(path);
        state.durable_names.remove(path);
    }

    /// Damage at rest: one bit, numbered from the file's first.
    pub fn flip(&self, path: &str, bit: u64) {
        let mut state = self.state();
        let Some(file) = state.names.get(path).copied() else { return };
        let File { visible, durable, .. } = &mut state.files[file];
        for bytes in [visible, durable] {
            if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// From now on, every call but reads, opens and listings is noted with its path.
    pub fn record(&self) {
        self.state().record = Some(Vec::new());
    }

    pub fn recorded(&self) -> Vec<(Call, String)> {
        self.state().record.clone().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Default for FakeDisk {
    fn default() -> FakeDisk {
        FakeDisk::new()
    }
}

impl Clone for FakeDisk {
    fn clone(&self) -> FakeDisk {
        FakeDisk { state: self.state.clone(), holds_lock: false }
    }
}

impl Drop for FakeDisk {
    fn drop(&mut self) {
        if self.holds_lock {
            self.state().is_locked = false;
        }
    }
}

impl Disk for FakeDisk {
    fn lock(&mut self) -> Result<(), DiskError> {
        if std::mem::replace(&mut self.state().is_locked, true) {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.holds_lock = true;
        Ok(())
    }

    fn create_directory(&mut self, path: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        state.call(Call::CreateDirectory, path)?;
        if state.directories.insert(path.to_owned()) {
            let at = state.tick();
            state.unsynced_names.push((at, NameChange::Directory(path.to_owned())));
        }
        Ok(())
    }

    fn list(&mut self, directory: &str) -> Result<Vec<Entry>, DiskError> {
        let mut state = self.state();
        state.call(Call::List, directory)?;
        state.needs(directory)?;
        let inside = state.names.iter().filter(|(path, _)| parent(path) == directory);
        Ok(inside
            .map(|(path, file)| Entry {
                name: path.rsplit('/').next().unwrap_or(path).to_owned(),
                bytes: state.files[*file].visible.len() as u64,
            })
            .collect())
    }

    fn create(&mut self, path: &str) -> Result<FileId, DiskError> {
        let mut state = self.state();
        state.call(Call::Create, path)?;
        state.needs(parent(path))?;
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if state.capacity.is_some_and(|capacity| state.used() >= capacity) {
            return Err(ErrorKind::StorageFull.into());
        }
        let file = state.files.len();
        state.files.push(File { path: path.to_owned(), ..File::default() });
        state.names.insert(path.to_owned(), file);
        let at = state.tick();
        state.unsynced_names.push((at, NameChange::Create(path.to_owned(), file)));
        state.open.insert(at, file);
        Ok(at)
    }

    fn open(&mut self, path: &str) -> Result<FileId, DiskError> {
        let mut state = self.state();
        state.call(Call::Open, path)?;
        let file = *state.names.get(path).ok_or(ErrorKind::NotFound)?;
        let id = state.tick();
        state.open.insert(id, file);
        Ok(id)
    }

    fn close(&mut self, file: FileId) {
        self.state().open.remove(&file);
    }

    fn read_at(&mut self, file: FileId, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let mut state = self.state();
        let file = state.file(file)?;
        let path = state.files[file].path.clone();
        state.call(Call::Read, &path)?;
        let wanted = offset..offset + buffer.len() as u64;
        let is_hit = |bad: &Range<u64>| bad.start < wanted.end && wanted.start < bad.end;
        if state.unreadable.iter().any(|(of, bad)| *of == path && is_hit(bad)) {
            return Err(io::Error::other("a bad sector"));
        }
        let bytes = state.files[file].visible.get(offset as usize..).unwrap_or_default();
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut state = self.state();
        let file = state.file(file)?;
        let path = state.files[file].path.clone();
        let result = state.call(Call::Write, &path);
        if state.is_off() {
            return result;
        }
        let (length, offset) = (state.files[file].visible.len(), offset as usize);
        let free = state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())) as usize;
        let fits = length.saturating_add(free).saturating_sub(offset).min(bytes.len());
        let kept = if result.is_err() { fits.min(bytes.len() / 2) } else { fits };
        state.change(file, Change::Write { offset, bytes: bytes[..kept].to_vec() });
        result.and(if fits < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) })
    }

    fn truncate(&mut self, file: FileId, bytes: u64) -> Result<(), DiskError> {
        let mut state = self.state();
        let file = state.file(file)?;
        let path = state.files[file].path.clone();
        state.call(Call::Truncate, &path)?;
        state.change(file, Change::Truncate(bytes as usize));
        Ok(())
    }

    fn sync_data(&mut self, file: FileId) -> Result<(), DiskError> {
        let mut state = self.state();
        let file = state.file(file)?;
        let path = state.files[file].path.clone();
        let result = state.call(Call::SyncData, &path);
        if state.is_off() {
            return result;
        }
        let file = &mut state.files[file];
        for (_, change) in std::mem::take(&mut file.unsynced) {
            if result.is_ok() {
                change.apply(&mut file.durable);
            }
        }
        result
    }

    fn sync_directory(&mut self, directory: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        state.call(Call::SyncDirectory, directory)?;
        state.needs(directory)?;
        let (synced, left) = std::mem::take(&mut state.unsynced_names)
            .into_iter()
            .partition(|(_, change)| parent(change.path()) == directory);
        state.unsynced_names = left;
        for (_, change) in synced {
            change.apply(&mut state);
        }
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        state.call(Call::Remove, path)?;
        state.names.remove(path).ok_or(ErrorKind::NotFound)?;
        let at = state.tick();
        state.unsynced_names.push((at, NameChange::Remove(path.to_owned())));
        Ok(())
    }
}
