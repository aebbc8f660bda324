//! How a log is opened: from a listing, the segments' headers, and a scan of the last segment alone.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use lingate_model::{DatasetAlias, Priority, UtcMicros};
use lingate_seal::{Kid, RecordKind};

use crate::cursor::{Cursor, CursorFile, Save};
use crate::frame::Identity;
use crate::log::{Active, Log};
use crate::report::{Losses, Recovery};
use crate::segment::{self, Found, OnError, SEGMENT_HEADER_BYTES, Walk};
use crate::{Disk, DiskError};

const COPY_BYTES: u64 = 1024 * 1024;

impl Log {
    /// Refuses only if the directory cannot be listed or no cursor can be made in it.
    pub(crate) fn open(disk: &mut dyn Disk, class: Priority, segment_bytes: u64) -> Result<(Log, Recovery), DiskError> {
        disk.create_directory(class.name())?;
        let segments = list_segments(disk, class)?;
        let (mut cursor_file, found) = CursorFile::open(disk, class)?;
        // A cursor that cannot be synced can still be read; saving it is tried again before the first commit.
        let _ = cursor_file.settle(disk);
        let is_clean = found.as_ref().map_or(segments.is_empty(), |cursor| cursor.clean);
        let cursor = found.unwrap_or_else(|| without_cursor(disk, class, &segments));
        let mut log = Log::from_cursor(class, segment_bytes, segments, cursor_file, cursor);
        let (torn_bytes, heads) = log.recover_tail(disk);
        log.oldest = log.began_at(disk, log.done.floor());
        if !is_clean {
            log.handed = log.durable;
        }
        log.recall_dropped(disk)?;
        log.has_begun = log.save(disk, Save::Sync).is_ok();
        // What cannot be freed now is freed with the next acknowledgement.
        let _ = log.free(disk);
        let (last_commit, records) = (log.last_commit, log.records_kept());
        let recovery = Recovery { clean: is_clean, last_commit, records, torn_bytes, heads };
        Ok((log, recovery))
    }

    fn from_cursor(
        class: Priority,
        segment_bytes: u64,
        segments: BTreeMap<u64, u64>,
        file: CursorFile,
        cursor: Cursor,
    ) -> Log {
        Log {
            class,
            segment_bytes,
            segments,
            active: None,
            pending: VecDeque::new(),
            pending_bytes: 0,
            durable: cursor.durable,
            total: cursor.total,
            skip: cursor.done.clone(),
            retired: cursor.retired,
            condemned: cursor.condemned.min(cursor.durable),
            ledgers: BTreeMap::new(),
            dead: cursor.dead,
            holds_losses: false,
            read: 0,
            handed: cursor.handed.min(cursor.durable),
            in_flight: BTreeMap::new(),
            reader: None,
            ahead: crate::ahead::Ahead::default(),
            losses: Losses::default(),
            names: crate::names::Names::default(),
            oldest: None,
            last_commit: cursor.last_commit,
            damaged: 0,
            repaired: 0,
            written: 0,
            cursor: file,
            has_begun: false,
            unsaved: false,
            unsaved_acknowledgements: 0,
            has_declared: false,
            done: cursor.done,
        }
    }

    /// Finds where the last segment ends, cuts what was torn, and makes it ready to be written on.
    fn recover_tail(&mut self, disk: &mut dyn Disk) -> (u64, Heads) {
        let Some((&first, &bytes)) = self.segments.last_key_value() else { return (0, Heads::new()) };
        let Ok(mut walk) = Walk::open(disk, self.class, first) else {
            self.durable = self.durable.max(first);
            return (0, Heads::new());
        };
        let tail = scan(disk, &mut walk, self.durable);
        self.last_commit = self.last_commit.max(tail.utc).max(walk.header.map(|header| header.utc));
        if tail.end >= self.durable {
            self.total = tail.total.unwrap_or(self.total);
        }
        let is_lost = tail.end < self.durable;
        self.durable = self.durable.max(tail.end);
        let torn = if is_lost { 0 } else { bytes.saturating_sub(tail.bytes.end) };
        let is_whole = walk.header.is_some() && !tail.is_damaged && !is_lost;
        // Behind damage as well: frames that count from here on must not go with the next loss of power.
        let is_durable = is_lost || make_durable(disk, &walk, self.class, is_whole && torn > 0, &tail).is_ok();
        if is_whole && is_durable {
            let active = Active { file: walk.file, first, bytes: tail.bytes.end, is_named: true };
            self.segments.insert(first, active.bytes);
            self.active = Some(active);
        } else {
            disk.close(walk.file);
        }
        // Of what was durable behind the last frame nobody knows whose it was.
        (torn, if is_lost { Heads::new() } else { tail.heads })
    }

    /// When the segment that holds a position was begun.
    fn began_at(&self, disk: &mut dyn Disk, position: u64) -> Option<UtcMicros> {
        let (first, _) = self.segments.range(..=position).next_back()?;
        let walk = Walk::open(disk, self.class, *first).ok()?;
        disk.close(walk.file);
        walk.header.map(|header| header.utc)
    }
}

/// Whether a later version has been here: the first segment that it wrote.
pub(crate) fn newer_segment(disk: &mut dyn Disk) -> Option<String> {
    Priority::ALL.into_iter().find_map(|class| {
        let entries = disk.list(class.name()).unwrap_or_default();
        let first = entries.iter().filter_map(|entry| segment::parse_name(&entry.name));
        let newer = first.into_iter().find(|first| segment::is_newer(disk, class, *first))?;
        Some(segment::path(class, newer))
    })
}

/// Files that are named like a segment and hold something of one.
fn list_segments(disk: &mut dyn Disk, class: Priority) -> Result<BTreeMap<u64, u64>, DiskError> {
    let entries = disk.list(class.name())?;
    let named = entries.into_iter().filter_map(|entry| Some((segment::parse_name(&entry.name)?, entry.bytes)));
    Ok(named.filter(|(first, _)| is_segment(disk, class, *first)).collect())
}

/// A header, or at least one frame. What cannot be read at this moment is believed to be one.
fn is_segment(disk: &mut dyn Disk, class: Priority, first: u64) -> bool {
    let Ok(mut walk) = Walk::open(disk, class, first) else { return true };
    let is_one = walk.header.is_some() || !matches!(walk.step(disk, first, None, OnError::Tell), Ok(Found::End));
    disk.close(walk.file);
    is_one
}

/// Everything that is there waits, and may have been handed out.
fn without_cursor(disk: &mut dyn Disk, class: Priority, segments: &BTreeMap<u64, u64>) -> Cursor {
    let Some((&first, _)) = segments.first_key_value() else { return Cursor::default() };
    let total = Walk::open(disk, class, first).ok().and_then(|walk| {
        disk.close(walk.file);
        walk.total()
    });
    let total = total.unwrap_or(0);
    Cursor {
        done: crate::positions::Positions::below(first),
        durable: first,
        total,
        retired: total,
        ..Cursor::default()
    }
}

/// What a scan of the last segment found.
struct Tail {
    /// The position after the last frame that counts.
    end: u64,
    /// From the first frame that nothing proves durable to the end of the last frame that counts.
    bytes: Range<u64>,
    total: Option<u64>,
    utc: Option<UtcMicros>,
    is_damaged: bool,
    heads: Heads,
}

/// Whose a record is, and its number; `None` for a KEY or one that was purged.
fn head(identity: Identity) -> (DatasetAlias, Kid, Option<u64>) {
    let kind = RecordKind::from_number(identity.kind).filter(|kind| *kind != RecordKind::Key);
    (identity.alias, identity.kid, kind.map(|_| identity.seq))
}

type Heads = BTreeMap<DatasetAlias, (Kid, Option<u64>)>;

struct Step {
    positions: Range<u64>,
    bytes: Range<u64>,
    total: Option<u64>,
    utc: Option<UtcMicros>,
    head: Option<(DatasetAlias, Kid, Option<u64>)>,
}

/// Everything below `reported` was reported durable; frames raise that by what they say of those before them. Damage
/// below it is damage and is left for the reader. Damage above it is a torn write: the log ends before it.
fn scan(disk: &mut dyn Disk, walk: &mut Walk, reported: u64) -> Tail {
    let first = walk.position();
    let (steps, proven) = walk_through(disk, walk, reported);
    let start = SEGMENT_HEADER_BYTES..SEGMENT_HEADER_BYTES;
    let total = walk.header.map(|header| header.total);
    let mut tail = Tail { end: first, bytes: start, total, utc: None, is_damaged: false, heads: Heads::new() };
    for step in steps {
        let is_damage = step.utc.is_none();
        if is_damage && step.positions.end > proven {
            tail.end = tail.end.max(proven.min(step.positions.end));
            tail.is_damaged |= tail.end > step.positions.start;
            break;
        }
        tail.is_damaged |= is_damage;
        tail.end = step.positions.end;
        tail.bytes.end = step.bytes.end;
        if tail.end <= proven {
            tail.bytes.start = step.bytes.end;
        }
        (tail.total, tail.utc) = (step.total, tail.utc.max(step.utc));
        match step.head {
            Some((alias, kid, seq)) => drop(tail.heads.insert(alias, (kid, seq))),
            // Whose it was is not known: it may be newer than what is known of any stream.
            None => tail.heads.clear(),
        }
    }
    tail
}

fn walk_through(disk: &mut dyn Disk, walk: &mut Walk, reported: u64) -> (Vec<Step>, u64) {
    let (mut steps, mut proven) = (Vec::new(), reported);
    loop {
        let before = walk.offset();
        let (positions, utc, head) = match walk.step(disk, 0, None, OnError::GoOn) {
            Ok(Found::Frame { header, .. }) => {
                let place = header.place;
                proven = proven.max(place.stable.min(place.position));
                (place.position..place.position + 1, Some(place.utc), Some(head(header.identity)))
            }
            Ok(Found::Damage { from, to, header, .. }) => (from..to, None, header.map(|it| head(it.identity))),
            Ok(Found::End) | Err(_) => return (steps, proven),
        };
        steps.push(Step { positions, bytes: before..walk.offset(), total: walk.total(), utc, head });
    }
}

/// Frames that were complete but perhaps never synced, or whose sync failed, are written once more over themselves: so
/// the sync that follows covers them.
fn make_durable(
    disk: &mut dyn Disk,
    walk: &Walk,
    class: Priority,
    is_torn: bool,
    tail: &Tail,
) -> Result<(), DiskError> {
    if is_torn {
        disk.truncate(walk.file, tail.bytes.end)?;
    }
    let from = if tail.bytes.start == SEGMENT_HEADER_BYTES { 0 } else { tail.bytes.start };
    let mut at = from;
    while at < tail.bytes.end {
        let mut chunk = vec![0; (tail.bytes.end - at).min(COPY_BYTES) as usize];
        let count = disk.read_at(walk.file, at, &mut chunk)?;
        disk.write_at(walk.file, at, &chunk[..count])?;
        at += chunk.len() as u64;
    }
    if is_torn || from < tail.bytes.end {
        disk.sync_data(walk.file)?;
        disk.sync_directory(class.name())?;
    }
    Ok(())
}
