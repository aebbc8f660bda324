//! A disk in memory for tests: it keeps what was synced apart from what was only written, loses power at will, fails
//! at the call that you name, fills up, and flips bits. Not for production.
//!
//! A `FakeDisk` is a handle; clones share the disk. Give one to the buffer and keep one to do harm with.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::{Disk, DiskError, Entry, FileId};

const SECTOR: usize = 512;

/// What a power cut leaves of the writes, creations and removals that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Nothing: a disk with a large volatile cache.
    DropAll,
    /// Everything: the process was killed, the machine lives.
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

#[derive(Default)]
struct State {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    directories: BTreeSet<String>,
    durable_names: BTreeMap<String, usize>,
    durable_directories: BTreeSet<String>,
    unsynced_names: Vec<(u64, NameChange)>,
    open: BTreeMap<FileId, usize>,
    is_locked: bool,
    clock: u64,
    calls: u64,
    power_until: Option<u64>,
    failures: BTreeMap<u64, ErrorKind>,
    failing: BTreeMap<Call, (u64, ErrorKind)>,
    capacity: Option<u64>,
    record: Option<Vec<(Call, String)>>,
}

#[derive(Clone, Default)]
struct File {
    path: String,
    visible: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(u64, Change)>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

#[derive(Clone)]
enum NameChange {
    Directory(String),
    Create(String, usize),
    Remove(String),
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

    /// All failures that were ordered and have not come are off.
    pub fn heal(&self) {
        let mut state = self.state();
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
        let (synced, left) =
            std::mem::take(&mut state.unsynced_names).into_iter().partition(|(_, change)| parent(change.path()) == directory);
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

impl State {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn is_off(&self) -> bool {
        self.power_until.is_some_and(|calls| self.calls > calls)
    }

    /// Counts and notes the call, and fails it if that was ordered.
    fn call(&mut self, call: Call, path: &str) -> Result<(), DiskError> {
        self.calls += 1;
        if self.is_off() {
            return Err(io::Error::other("the power is off"));
        }
        let calls = self.calls;
        if let Some(kind) = self.failures.remove(&calls) {
            return Err(kind.into());
        }
        if let Some((count, kind)) = self.failing.get_mut(&call).filter(|(count, _)| *count > 0) {
            *count -= 1;
            return Err((*kind).into());
        }
        let is_noted = !matches!(call, Call::Read | Call::Open | Call::List);
        if let Some(record) = self.record.as_mut().filter(|_| is_noted) {
            record.push((call, path.to_owned()));
        }
        Ok(())
    }

    fn needs(&self, directory: &str) -> Result<(), DiskError> {
        if directory.is_empty() || self.directories.contains(directory) {
            return Ok(());
        }
        Err(ErrorKind::NotFound.into())
    }

    fn file(&self, id: FileId) -> Result<usize, DiskError> {
        self.open.get(&id).copied().ok_or_else(|| ErrorKind::InvalidInput.into())
    }

    fn used(&self) -> u64 {
        self.names.values().map(|file| self.files[*file].visible.len() as u64).sum()
    }

    fn change(&mut self, file: usize, change: Change) {
        let at = self.tick();
        change.apply(&mut self.files[file].visible);
        self.files[file].unsynced.push((at, change));
    }

    fn put(&mut self, path: &str, bytes: &[u8]) {
        let directory = parent(path).to_owned();
        self.directories.insert(directory.clone());
        self.durable_directories.insert(directory);
        let bytes = bytes.to_vec();
        let (path, file) = (path.to_owned(), self.files.len());
        self.files.push(File { path: path.clone(), visible: bytes.clone(), durable: bytes, unsynced: Vec::new() });
        self.names.insert(path.clone(), file);
        self.durable_names.insert(path, file);
    }

    fn after(&self, crash: Crash) -> State {
        let mut chance = Chance::new(crash);
        let mut state = State {
            files: self.files.iter().map(|file| File { unsynced: Vec::new(), ..file.clone() }).collect(),
            durable_names: self.durable_names.clone(),
            durable_directories: self.durable_directories.clone(),
            clock: self.clock,
            capacity: self.capacity,
            ..State::default()
        };
        let writes = self.files.iter().enumerate().flat_map(|(file, of)| {
            of.unsynced.iter().map(move |(at, change)| (*at, Err((file, change.clone()))))
        });
        let names = self.unsynced_names.iter().map(|(at, change)| (*at, Ok(change.clone())));
        let mut changes: Vec<_> = writes.chain(names).collect();
        changes.sort_by_key(|(at, _)| *at);
        for (_, change) in changes {
            if !chance.keeps() {
                continue;
            }
            match change {
                Ok(name) => name.apply(&mut state),
                Err((file, change)) => chance.tear(change).apply(&mut state.files[file].durable),
            }
        }
        state.settle();
        state
    }

    /// What is durable is what is there.
    fn settle(&mut self) {
        let directories = self.durable_directories.clone();
        self.durable_names.retain(|path, _| parent(path).is_empty() || directories.contains(parent(path)));
        self.names = self.durable_names.clone();
        self.directories = directories;
        for file in &mut self.files {
            file.visible = file.durable.clone();
        }
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Truncate(length) => to.resize(*length, 0),
            Change::Write { bytes, .. } if bytes.is_empty() => {}
            Change::Write { offset, bytes } => {
                to.resize(to.len().max(offset + bytes.len()), 0);
                to[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

impl NameChange {
    fn path(&self) -> &str {
        match self {
            NameChange::Directory(path) | NameChange::Create(path, _) | NameChange::Remove(path) => path,
        }
    }

    fn apply(self, state: &mut State) {
        match self {
            NameChange::Directory(path) => {
                state.durable_directories.insert(path);
            }
            NameChange::Create(path, file) => {
                state.durable_names.insert(path, file);
            }
            NameChange::Remove(path) => {
                state.durable_names.remove(&path);
            }
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// Decides what survives.
struct Chance {
    crash: Crash,
    seen: u64,
    state: u64,
}

impl Chance {
    fn new(crash: Crash) -> Chance {
        let seed = if let Crash::Random(seed) = crash { seed } else { 0 };
        Chance { crash, seen: 0, state: seed }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn keeps(&mut self) -> bool {
        self.seen += 1;
        match self.crash {
            Crash::DropAll => false,
            Crash::KeepAll => true,
            Crash::Prefix(count) => self.seen <= count,
            Crash::Random(_) => self.next().is_multiple_of(2),
        }
    }

    /// Half of the writes that a random crash keeps are torn: they lose everything from some sector boundary on, or
    /// everything before it.
    fn tear(&mut self, change: Change) -> Change {
        let Change::Write { offset, bytes } = &change else { return change };
        let is_torn = matches!(self.crash, Crash::Random(_)) && self.next().is_multiple_of(2);
        let boundaries = (offset + bytes.len()) / SECTOR - offset / SECTOR;
        if !is_torn || boundaries == 0 {
            return change;
        }
        let boundary = offset / SECTOR + 1 + (self.next() % boundaries as u64) as usize;
        let at = boundary * SECTOR - offset;
        if self.next().is_multiple_of(2) {
            return Change::Write { offset: *offset, bytes: bytes[..at].to_vec() };
        }
        Change::Write { offset: offset + at, bytes: bytes[at..].to_vec() }
    }
}
