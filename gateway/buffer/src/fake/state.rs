//! What the fake disk remembers: what is visible, what is durable, and what lies between.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::ops::Range;

use super::{Call, Crash};
use crate::{DiskError, FileId};

const SECTOR: usize = 512;

#[derive(Default)]
pub(super) struct State {
    pub(super) files: Vec<File>,
    pub(super) names: BTreeMap<String, usize>,
    pub(super) directories: BTreeSet<String>,
    pub(super) durable_names: BTreeMap<String, usize>,
    pub(super) durable_directories: BTreeSet<String>,
    pub(super) unsynced_names: Vec<(u64, NameChange)>,
    pub(super) open: BTreeMap<FileId, usize>,
    pub(super) is_locked: bool,
    pub(super) clock: u64,
    pub(super) calls: u64,
    pub(super) power_until: Option<u64>,
    pub(super) failures: BTreeMap<u64, ErrorKind>,
    pub(super) failing: BTreeMap<Call, (u64, ErrorKind)>,
    pub(super) capacity: Option<u64>,
    pub(super) unreadable: Vec<(String, Range<u64>)>,
    pub(super) record: Option<Vec<(Call, String)>>,
}

#[derive(Clone, Default)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) visible: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) unsynced: Vec<(u64, Change)>,
}

#[derive(Clone)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

#[derive(Clone)]
pub(super) enum NameChange {
    Directory(String),
    Create(String, usize),
    Remove(String),
}

impl State {
    pub(super) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(super) fn is_off(&self) -> bool {
        self.power_until.is_some_and(|calls| self.calls > calls)
    }

    /// Counts and notes the call, and fails it if that was ordered.
    pub(super) fn call(&mut self, call: Call, path: &str) -> Result<(), DiskError> {
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

    pub(super) fn needs(&self, directory: &str) -> Result<(), DiskError> {
        if directory.is_empty() || self.directories.contains(directory) {
            return Ok(());
        }
        Err(ErrorKind::NotFound.into())
    }

    pub(super) fn file(&self, id: FileId) -> Result<usize, DiskError> {
        self.open.get(&id).copied().ok_or_else(|| ErrorKind::InvalidInput.into())
    }

    pub(super) fn used(&self) -> u64 {
        self.names.values().map(|file| self.files[*file].visible.len() as u64).sum()
    }

    pub(super) fn change(&mut self, file: usize, change: Change) {
        let at = self.tick();
        change.apply(&mut self.files[file].visible);
        self.files[file].unsynced.push((at, change));
    }

    pub(super) fn put(&mut self, path: &str, bytes: &[u8]) {
        let directory = parent(path).to_owned();
        self.directories.insert(directory.clone());
        self.durable_directories.insert(directory);
        let bytes = bytes.to_vec();
        let (path, file) = (path.to_owned(), self.files.len());
        self.files.push(File { path: path.clone(), visible: bytes.clone(), durable: bytes, unsynced: Vec::new() });
        self.names.insert(path.clone(), file);
        self.durable_names.insert(path, file);
    }

    pub(super) fn after(&self, crash: Crash) -> State {
        if crash == Crash::KeepAll {
            return self.after_kill();
        }
        let mut chance = Chance::new(crash);
        let mut state = State {
            files: self.files.iter().map(|file| File { unsynced: Vec::new(), ..file.clone() }).collect(),
            durable_names: self.durable_names.clone(),
            durable_directories: self.durable_directories.clone(),
            clock: self.clock,
            capacity: self.capacity,
            ..State::default()
        };
        let writes = self
            .files
            .iter()
            .enumerate()
            .flat_map(|(file, of)| of.unsynced.iter().map(move |(at, change)| (*at, Err((file, change.clone())))));
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

    /// The machine lives: what was visible still is, and what was not durable is not.
    fn after_kill(&self) -> State {
        State {
            files: self.files.clone(),
            names: self.names.clone(),
            directories: self.directories.clone(),
            durable_names: self.durable_names.clone(),
            durable_directories: self.durable_directories.clone(),
            unsynced_names: self.unsynced_names.clone(),
            clock: self.clock,
            capacity: self.capacity,
            ..State::default()
        }
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
    pub(super) fn apply(&self, to: &mut Vec<u8>) {
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
    pub(super) fn path(&self) -> &str {
        match self {
            NameChange::Directory(path) | NameChange::Create(path, _) | NameChange::Remove(path) => path,
        }
    }

    pub(super) fn apply(self, state: &mut State) {
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

pub(super) fn parent(path: &str) -> &str {
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
