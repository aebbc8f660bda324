//! Lines into files: what is not durable has not happened, and what is lost is declared.
//!
//! ```text
//! tell ──▶ pending ──append, sync──▶ durable: only now does the log count it
//!             │ full                └─ failed: the file is cut back, everything waits
//!             ▼
//!          counted ──▶ audit.gap, the first line when the disk is back
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::io;

use lingate_audit::{Checkpoint, Event, Hash, Header, Kind, Line, Log, Signer, Tree, leaf_hash, prove_consistency};
use lingate_model::UtcMicros;

use super::shelf::Shelf;

/// A file that has more bytes is followed by another.
const FILE_BYTES: u64 = 4 << 20;
/// All files together; the oldest go.
const ALL_BYTES: u64 = 256 << 20;
/// Three years (Network Data Security Regulations 2025, records of important data), and a day.
const KEPT_MICROS: i64 = 1_097 * 86_400_000_000;
/// What is only old never leaves fewer files than these (64 MiB): a wrong clock must not delete a log.
const KEPT_FILES: usize = 16;
/// The wall clock passes by at most so much between two looks; more is a jump, and makes nothing older.
const STEP_MICROS: i64 = 3_600_000_000;
/// Events that wait while the disk refuses.
const PENDING_MAX: usize = 1024;
/// Events of one append.
const APPEND_MAX: usize = 256;

#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) file_bytes: u64,
    pub(super) all_bytes: u64,
    pub(super) kept_micros: i64,
    pub(super) kept_files: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { file_bytes: FILE_BYTES, all_bytes: ALL_BYTES, kept_micros: KEPT_MICROS, kept_files: KEPT_FILES }
    }
}

pub(super) struct Writer<S> {
    shelf: S,
    limits: Limits,
    /// What every file's first line says.
    opening: Event,
    /// As far as it is durable.
    log: Log,
    files: BTreeMap<u64, Filed>,
    growing: Option<u64>,
    /// Bytes behind the durable ones may stand in the growing file.
    is_torn: bool,
    pending: VecDeque<(UtcMicros, Event)>,
    /// The first line that somebody removed and that no line declares yet.
    deleted: Option<u64>,
    /// A file that is declared pruned and could not be removed yet.
    pruned: Option<u64>,
    /// Events for which there was no room, and why.
    lost: u64,
    lost_in_all: u64,
    fault: Option<String>,
    /// Of the newest line.
    newest: Option<UtcMicros>,
    /// The wall clock without its jumps, and as it was seen last: how old files are.
    steady: Option<UtcMicros>,
    seen: Option<UtcMicros>,
    config: String,
}

/// A file of the log.
#[derive(Clone, Copy)]
struct Filed {
    /// Number of its first line.
    start: u64,
    begun: UtcMicros,
    bytes: u64,
}

impl<S: Shelf> Writer<S> {
    /// Takes up what is there. What is missing or damaged is declared by the first lines that are written.
    pub(super) fn open(shelf: S, limits: Limits, opening: Event) -> Writer<S> {
        let mut writer = Writer {
            shelf,
            limits,
            opening,
            log: Log::default(),
            files: BTreeMap::new(),
            growing: None,
            is_torn: false,
            pending: VecDeque::new(),
            deleted: None,
            pruned: None,
            lost: 0,
            lost_in_all: 0,
            fault: None,
            newest: None,
            steady: None,
            seen: None,
            config: String::new(),
        };
        if let Err(error) = writer.take_up() {
            writer.fault = Some(error.to_string());
        }
        writer.steady = writer.newest;
        writer
    }

    fn take_up(&mut self) -> io::Result<()> {
        let listed = self.shelf.list()?;
        for (number, bytes) in &listed {
            let mut first = None;
            // Of a whole file only the first line is needed; the newest is read below.
            self.shelf.read(*number, &mut |line| {
                first = Some(Line::parse(line));
                false
            })?;
            let header = first.and_then(Result::ok).and_then(|line| Some((Header::of(&line).ok()?, line.at()?)));
            if let Some((header, begun)) = header {
                self.files.insert(*number, Filed { start: header.log.size(), begun, bytes: *bytes });
            }
        }
        let Some((newest, bytes)) = listed.last().copied() else { return Ok(()) };
        let sound = self.files.last_key_value().map(|(number, _)| *number);
        for (number, _) in listed.iter().filter(|(number, _)| sound.is_none_or(|sound| *number >= sound)) {
            self.replay(*number)?;
        }
        if sound != Some(newest) {
            self.declare("damaged");
            return Ok(());
        }
        let complete = self.files.get(&newest).map_or(0, |filed| filed.bytes);
        self.shelf.open(newest, complete)?;
        self.growing = Some(newest);
        if bytes > complete {
            self.declare("torn");
        }
        Ok(())
    }

    /// As the file is, whatever its lines say: the log goes on from what is there.
    fn replay(&mut self, number: u64) -> io::Result<()> {
        let (mut log, mut newest, mut config) = (self.log.clone(), self.newest, std::mem::take(&mut self.config));
        let mut is_first = true;
        let complete = self.shelf.read(number, &mut |bytes| {
            let tells = is_first || contains(bytes, b"\"ev\":\"start\"");
            if let Some(line) = tells.then(|| Line::parse(bytes).ok()).flatten() {
                if let Some(header) = Header::of(&line).ok().filter(|_| is_first) {
                    log = header.log;
                }
                line.text("config").into_iter().for_each(|text| config = text.to_owned());
                newest = line.at().or(newest);
            }
            is_first = false;
            log.take(bytes);
            true
        })?;
        (self.log, self.newest, self.config) = (log, newest, config);
        self.files.entry(number).and_modify(|filed| filed.bytes = complete);
        Ok(())
    }

    /// Something of the log itself went wrong before this start.
    pub(super) fn declare(&mut self, cause: &str) {
        let gap = Event::new(Kind::AuditGap).text("cause", cause);
        self.pending.push_front((self.newest.unwrap_or_default(), gap));
    }

    pub(super) fn record(&mut self, at: UtcMicros, event: Event) {
        match self.pending.len() < PENDING_MAX {
            true => self.pending.push_back((at, event)),
            false => self.lose(1),
        }
    }

    pub(super) fn lose(&mut self, events: u64) {
        self.lost = self.lost.saturating_add(events);
        self.lost_in_all = self.lost_in_all.saturating_add(events);
    }

    /// Makes everything durable that waits, or says why not.
    pub(super) fn flush(&mut self, at: UtcMicros) {
        while !self.pending.is_empty() || self.lost > 0 {
            match self.write(at) {
                Ok(()) => self.fault = None,
                Err(error) => {
                    self.fault = Some(error.to_string());
                    return;
                }
            }
        }
        self.prune(at);
    }

    fn write(&mut self, at: UtcMicros) -> io::Result<()> {
        self.mend()?;
        let (mut log, mut text) = (self.log.clone(), String::new());
        let is_deleted = self.growing.is_some() && !self.shelf.is_there();
        let number = self.number_for(is_deleted)?;
        let is_new = self.growing != Some(number);
        if is_new {
            text.push_str(&log.append_header(at, number, &self.opening.clone().text("config", &self.config)));
        }
        if is_deleted {
            let deleted = self.missing();
            self.deleted = self.deleted.into_iter().chain(deleted).min();
        }
        if let Some(gap) = self.gap() {
            text.push_str(&log.append(at, &gap));
        }
        let taken = self.pending.len().min(APPEND_MAX);
        self.pending.iter().take(taken).for_each(|(at, event)| text.push_str(&log.append(*at, event)));
        if is_new {
            self.shelf.create(number)?;
            self.growing = Some(number);
            self.files.insert(number, Filed { start: self.log.size(), begun: at, bytes: 0 });
        }
        self.put(number, text.as_bytes())?;
        self.pending.drain(..taken);
        (self.log, self.lost, self.deleted, self.newest) = (log, 0, None, Some(at));
        Ok(())
    }

    fn put(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        self.is_torn = true;
        self.shelf.append(bytes)?;
        if let Err(error) = self.shelf.sync() {
            // What a failed sync left is unknown: nothing more is written into this file (fsync(2), errors are told once).
            let _ = self.mend();
            self.growing = None;
            return Err(error);
        }
        self.is_torn = false;
        self.files.entry(number).and_modify(|filed| filed.bytes += bytes.len() as u64);
        Ok(())
    }

    fn mend(&mut self) -> io::Result<()> {
        let filed = self.growing.and_then(|number| self.files.get(&number)).copied();
        let Some(filed) = filed.filter(|_| self.is_torn) else { return Ok(()) };
        match self.shelf.is_there() {
            true if filed.bytes == 0 => self.remove_empty(),
            true => self.shelf.cut(filed.bytes)?,
            false => {}
        }
        self.is_torn = false;
        Ok(())
    }

    /// A file of which not even the first line became durable.
    fn remove_empty(&mut self) {
        let Some(number) = self.growing.take() else { return };
        self.files.remove(&number);
        let _ = self.shelf.remove(number);
    }

    /// The growing file, or the one that follows it.
    fn number_for(&mut self, is_deleted: bool) -> io::Result<u64> {
        let growing = self.growing.and_then(|number| Some((number, *self.files.get(&number)?)));
        match growing.filter(|(_, filed)| !is_deleted && filed.bytes < self.limits.file_bytes) {
            Some((number, _)) => Ok(number),
            None => {
                let known = self.files.last_key_value().map(|(number, _)| *number);
                let listed = self.shelf.list()?.last().map(|(number, _)| *number);
                Ok(known.max(listed).unwrap_or(0) + 1)
            }
        }
    }

    /// Somebody removed the growing file, and perhaps others: the number of the first line that is missing.
    fn missing(&mut self) -> Option<u64> {
        let left: Vec<u64> = self.shelf.list().unwrap_or_default().into_iter().map(|(number, _)| number).collect();
        let missing = self.files.extract_if(.., |number, _| !left.contains(number));
        missing.map(|(_, filed)| filed.start).min()
    }

    fn gap(&self) -> Option<Event> {
        let gap = Event::new(Kind::AuditGap);
        match (self.deleted, &self.fault) {
            (Some(from), _) => {
                let gap = gap.text("cause", "deleted").count("lost", self.lost);
                Some(gap.count("from", from).count("upto", self.log.size()))
            }
            (None, Some(fault)) => Some(gap.text("cause", fault).count("lost", self.lost)),
            (None, None) if self.lost > 0 => Some(gap.text("cause", "too many at once").count("lost", self.lost)),
            (None, None) => None,
        }
    }

    /// Deletes what is too old or too much, and says so first: once, however often the disk refuses to remove it.
    fn prune(&mut self, at: UtcMicros) {
        let steady = self.pass(at);
        while let Some((number, next)) = self.superfluous(steady) {
            if self.pruned != Some(number) {
                let cause = if self.bytes() > self.limits.all_bytes { "size" } else { "retention" };
                let pruned = Event::new(Kind::AuditPruned).text("cause", cause).count("file", number);
                self.record(at, pruned.count("upto", next));
                if self.write(at).is_err() {
                    return;
                }
                self.pruned = Some(number);
            }
            if self.shelf.remove(number).is_err() {
                return;
            }
            self.files.remove(&number);
        }
    }

    /// How late it is for whoever lived through every moment since the newest line: never later than the wall clock says,
    /// and a clock that jumps ahead makes nothing older. What passed while the process was not there is added at the next
    /// start, by its newest line.
    fn pass(&mut self, at: UtcMicros) -> UtcMicros {
        let passed = at.0.saturating_sub(self.seen.replace(at).unwrap_or(at).0);
        let steady = self.steady.get_or_insert(at);
        if (0..=STEP_MICROS).contains(&passed) {
            steady.0 = steady.0.saturating_add(passed);
        }
        (*steady).min(at)
    }

    /// The oldest file, and where the next one begins. The newest two are never superfluous.
    fn superfluous(&self, steady: UtcMicros) -> Option<(u64, u64)> {
        let mut files = self.files.iter();
        let ((oldest, _), (_, next)) = (files.next()?, files.next()?);
        let is_old = steady.0.saturating_sub(next.begun.0) > self.limits.kept_micros;
        let is_old = is_old && self.files.len() > self.limits.kept_files;
        let is_much = self.bytes() > self.limits.all_bytes;
        (files.next().is_some() && (is_old || is_much)).then_some((*oldest, next.start))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.values().map(|filed| filed.bytes).sum()
    }

    pub(super) fn files(&self) -> u64 {
        self.files.len() as u64
    }

    pub(super) fn size(&self) -> u64 {
        self.log.size()
    }

    pub(super) fn lost_in_all(&self) -> u64 {
        self.lost_in_all
    }

    pub(super) fn fault(&self) -> Option<&String> {
        self.fault.as_ref()
    }

    /// Of the newest line before this start.
    pub(super) fn newest(&self) -> Option<UtcMicros> {
        self.newest
    }

    /// What the configuration was called at the last start; from here on this one.
    pub(super) fn begin_config(&mut self, config: &str) -> String {
        std::mem::replace(&mut self.config, config.to_owned())
    }

    pub(super) fn checkpoint(&self, signer: &Signer) -> lingate_audit::Note {
        let origin = signer.verifier().name().to_owned();
        Checkpoint { origin, size: self.log.size(), root: self.log.root() }.sign(signer)
    }

    /// The file in which a log of this size ends.
    pub(super) fn file_of(&self, size: u64) -> Option<u64> {
        self.files.iter().rev().find(|(_, filed)| filed.start < size).map(|(number, _)| *number)
    }

    /// The root at a smaller size, and the proof from there to here. `None`: those lines are gone.
    pub(super) fn prove(&self, old: u64) -> Option<(Hash, Vec<Hash>)> {
        let newest = self.log.size();
        if old == 0 || old >= newest {
            return (old <= newest).then(|| (self.log.root(), Vec::new()));
        }
        let from = self.file_of(old)?;
        let (mut tree, mut leaves, mut is_begun) = (Tree::default(), Vec::new(), false);
        for number in self.files.range(from..).map(|(number, _)| *number) {
            let read = self.shelf.read(number, &mut |bytes| {
                if !std::mem::replace(&mut is_begun, true) {
                    let header = Line::parse(bytes).ok().and_then(|line| Header::of(&line).ok());
                    tree = header.map(|header| header.log.tree().clone()).unwrap_or_default();
                }
                let leaf = leaf_hash(bytes);
                if tree.size() < old {
                    tree.push_hash(leaf);
                } else {
                    leaves.push(leaf);
                }
                true
            });
            read.ok()?;
        }
        leaves.truncate(usize::try_from(newest - old).ok()?);
        (tree.size() == old).then(|| (tree.root(), prove_consistency(&tree, &leaves)))
    }
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[cfg(test)]
mod tests;
