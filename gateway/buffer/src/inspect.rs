//! A look at a buffer from outside, also while its daemon runs: reads, and changes nothing.

use lingate_model::{Priority, UtcMicros};
use lingate_seal::Sealed;

use crate::cursor::{Cursor, CursorFile};
use crate::quarantine::{self, Quarantined};
use crate::report::RecordId;
use crate::segment::{self, Found, OnError, Walk};
use crate::{Disk, DiskError, FileId};

const CHUNK: usize = 256 * 1024;
/// No file that is read whole is longer: a segment holds at most 64 MiB.
const FILE_MAX: usize = 64 << 20;

/// One priority class on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassView {
    pub priority: Priority,
    /// `None`: neither slot of the cursor can be read.
    pub cursor: Option<CursorView>,
    pub segments: Vec<SegmentView>,
    /// Files with losses of dropped segments that are not declared yet.
    pub ledgers: u64,
    pub ledger_bytes: u64,
}

/// What was written down last; a running daemon may be some acknowledgements ahead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorView {
    /// Everything below is done.
    pub floor: u64,
    /// Everything below is durable.
    pub durable: u64,
    pub last_commit: Option<UtcMicros>,
    pub clean: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentView {
    pub first: u64,
    pub bytes: u64,
    /// When it was begun; `None`: its header cannot be read.
    pub utc: Option<UtcMicros>,
    /// What a walk found, if one was asked for.
    pub walked: Option<Walked>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    pub records: u64,
    pub readings: u64,
    pub sealed_bytes: u64,
    /// Records that were overwritten by a purge.
    pub purged: u64,
    /// Positions that cannot be read, below what the cursor says is durable; of all without a cursor.
    pub damaged: Vec<std::ops::Range<u64>>,
}

/// Takes no lock. A segment that its daemon removes meanwhile is not in the view.
pub fn inspect(disk: &mut dyn Disk, walks: bool) -> Result<Vec<ClassView>, DiskError> {
    Priority::ALL.into_iter().map(|class| view(disk, class, walks, &mut |_| ())).collect()
}

/// As [`inspect`] with walks; `watch` hears after each segment how many bytes of how many were read.
pub fn inspect_watched(disk: &mut dyn Disk, watch: &mut dyn FnMut(u64, u64)) -> Result<Vec<ClassView>, DiskError> {
    let total = inspect(disk, false)?.iter().flat_map(|class| &class.segments).map(|segment| segment.bytes).sum();
    let mut done = 0_u64;
    let mut read = |bytes: u64| {
        done = done.saturating_add(bytes);
        watch(done, total);
    };
    Priority::ALL.into_iter().map(|class| view(disk, class, true, &mut read)).collect()
}

/// What was set aside because a broker refused it; what is not whole is left out.
pub fn quarantined(disk: &mut dyn Disk) -> Result<Vec<Quarantined>, DiskError> {
    let entries = match disk.list(quarantine::DIRECTORY) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut held = Vec::new();
    for record in entries.iter().filter_map(|entry| quarantine::parse_name(&entry.name)) {
        held.extend(quarantine::read(disk, record)?.map(|(found, _)| found));
    }
    held.sort_by_key(|found| found.record);
    Ok(held)
}

/// The sealed message of one that was set aside.
pub fn read_quarantined(disk: &mut dyn Disk, record: RecordId) -> Result<Option<Sealed>, DiskError> {
    Ok(quarantine::read(disk, record)?.map(|(_, sealed)| sealed))
}

pub(crate) fn whole(disk: &mut dyn Disk, file: FileId) -> Result<Vec<u8>, DiskError> {
    let mut content = Vec::new();
    loop {
        let at = content.len();
        content.resize(at + CHUNK, 0);
        let count = disk.read_at(file, at as u64, &mut content[at..])?;
        content.truncate(at + count);
        if count < CHUNK || content.len() >= FILE_MAX {
            return Ok(content);
        }
    }
}

fn view(disk: &mut dyn Disk, class: Priority, walks: bool, read: &mut dyn FnMut(u64)) -> Result<ClassView, DiskError> {
    let mut view = ClassView { priority: class, cursor: None, segments: Vec::new(), ledgers: 0, ledger_bytes: 0 };
    let entries = match disk.list(class.name()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(view),
        other => other?,
    };
    view.cursor = CursorFile::look(disk, class)?.map(|cursor| cursor_view(&cursor));
    let mut firsts: Vec<(u64, u64)> =
        entries.iter().filter_map(|entry| Some((segment::parse_name(&entry.name)?, entry.bytes))).collect();
    firsts.sort_unstable();
    for (at, (first, bytes)) in firsts.iter().enumerate() {
        let next = firsts.get(at + 1).map(|(next, _)| *next);
        let durable = next.or(view.cursor.map(|cursor| cursor.durable));
        view.segments.extend(segment_view(disk, class, (*first, *bytes), durable, walks)?);
        read(*bytes);
    }
    for entry in entries.iter().filter(|entry| crate::ledger::parse_name(&entry.name).is_some()) {
        view.ledgers += 1;
        view.ledger_bytes += entry.bytes;
    }
    Ok(view)
}

fn cursor_view(cursor: &Cursor) -> CursorView {
    CursorView {
        floor: cursor.done.floor(),
        durable: cursor.durable,
        last_commit: cursor.last_commit,
        clean: cursor.clean,
    }
}

/// `None`: it was removed while we looked.
fn segment_view(
    disk: &mut dyn Disk,
    class: Priority,
    (first, bytes): (u64, u64),
    durable: Option<u64>,
    walks: bool,
) -> Result<Option<SegmentView>, DiskError> {
    let mut walk = match Walk::open(disk, class, first) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let utc = walk.header.map(|header| header.utc);
    let walked = if walks { Some(walk_through(disk, &mut walk, durable)) } else { None };
    disk.close(walk.file);
    Ok(Some(SegmentView { first, bytes, utc, walked: walked.transpose()? }))
}

/// Behind `durable` a daemon may be writing: what is not whole there is no damage. `None`: nobody knows how far that is, so
/// everything counts but what no whole record follows.
fn walk_through(disk: &mut dyn Disk, walk: &mut Walk, durable: Option<u64>) -> Result<Walked, DiskError> {
    let mut walked = Walked::default();
    loop {
        let limit = durable.filter(|durable| walk.position() < *durable);
        match walk.step(disk, 0, limit, OnError::GoOn)? {
            Found::Frame { header, payload, .. } => {
                walked.records += 1;
                walked.readings += u64::from(header.identity.readings);
                walked.sealed_bytes += header.identity.split(&payload).0.len() as u64;
                walked.purged += u64::from(header.identity.is_purged());
            }
            Found::Damage { from, to, .. } if durable.is_none_or(|durable| from < durable) => {
                walked.damaged.push(from..durable.map_or(to, |durable| to.min(durable)));
            }
            Found::Damage { .. } => {}
            Found::End => return Ok(walked),
        }
    }
}
