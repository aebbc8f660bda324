use std::io;

use lingate_model::{DatasetAlias, Priority, UtcMicros};
use lingate_seal::{Kid, RecordKind, Sealed};

use crate::cursor::{self, Save};
use crate::disk::is_full;
use crate::frame::{Identity, frame_bytes};
use crate::log::{Log, Pending, Stored};
use crate::quarantine::{self, Quarantine};
use crate::recovery::newer_segment;
use crate::reserve::Reserve;
use crate::{
    AppendError, BufferError, Committed, Disk, DiskError, Loss, LossCause, Overflow, Purged, RecordId, Recovery,
    Settings, Usage,
};

/// So many losses are told at a time.
const LOSSES: usize = 1000;

/// Three logs, one per priority class, that share a disk and its limits.
pub struct Buffer<D: Disk> {
    disk: D,
    settings: Settings,
    /// In the order of `Priority::ALL`: highest first.
    logs: Vec<Log>,
    reserve: Reserve,
    quarantine: Quarantine,
    appended: u64,
    /// A segment was dropped since the last commit.
    has_dropped: bool,
}

impl<D: Disk> Buffer<D> {
    /// Never refuses because of torn, corrupt or missing files: it cuts, skips, counts and goes on.
    pub fn open(mut disk: D, settings: Settings) -> Result<(Buffer<D>, Recovery), BufferError> {
        match disk.lock() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(BufferError::Locked),
            other => other.map_err(BufferError::Disk)?,
        }
        if let Some(segment) = newer_segment(&mut disk) {
            return Err(BufferError::Newer(segment));
        }
        let (logs, recovery) = open_logs(&mut disk, &settings).map_err(BufferError::Disk)?;
        let reserve = Reserve::open(&mut disk, settings.reserve_bytes);
        let quarantine = Quarantine::open(&mut disk);
        Ok((Buffer { disk, settings, logs, reserve, quarantine, appended: 0, has_dropped: false }, recovery))
    }

    /// Takes a record into memory; it is durable only when a later `commit` names it. A gap record has room that others
    /// have not.
    pub fn append(&mut self, priority: Priority, sealed: &Sealed) -> Result<RecordId, AppendError> {
        self.append_noted(priority, sealed, &[])
    }

    /// With a note of at most 255 bytes in clear, which comes back with the record's `Loss`; of a longer one nothing
    /// is kept.
    pub fn append_noted(&mut self, priority: Priority, sealed: &Sealed, note: &[u8]) -> Result<RecordId, AppendError> {
        let (note_bytes, note) = u8::try_from(note.len()).map_or((0, &[][..]), |length| (length, note));
        let limit = Log::record_limit(self.settings.segment_bytes);
        let bytes = (sealed.bytes().len() + note.len()) as u64;
        if bytes > limit {
            return Err(AppendError::TooLarge { bytes, limit });
        }
        let frame = frame_bytes(sealed.bytes().len() + note.len());
        let waiting: u64 = self.logs.iter().map(|log| log.pending_bytes).sum();
        let limit = self.settings.uncommitted_bytes;
        if waiting > 0 && waiting + frame > limit {
            return Err(AppendError::Uncommitted { bytes: waiting, limit });
        }
        self.make_room(priority, frame, sealed.kind() == RecordKind::Gap)?;
        self.appended += 1;
        let payload = if note.is_empty() { sealed.shared_bytes() } else { [sealed.bytes(), note].concat().into() };
        let record = Pending { identity: identity(sealed, note_bytes), payload, order: self.appended };
        Ok(RecordId { priority, position: self.log(priority).append(record) })
    }

    /// Writes what was appended and syncs it (`fdatasync` of data, directory entries included). On an error nothing of
    /// this call is durable; a segment whose sync failed is closed for ever, and the same records are written to a new
    /// one at the next call. Records that are not named stay uncommitted (`has_uncommitted`).
    ///
    /// Losses that were told by `losses` before this call count as declared when nothing stays uncommitted: append
    /// their gap records first, or hold them.
    pub fn commit(&mut self, utc: UtcMicros) -> Result<Committed, DiskError> {
        let mut stored = Vec::new();
        let written = self.write_all(utc, &mut stored);
        if written.is_ok() {
            self.declare();
        }
        // The records are durable: a cursor that cannot be saved costs a second delivery or a second declaration at
        // worst, and a segment that cannot be removed is removed later.
        let _ = self.save_cursors();
        let _ = self.free();
        match written {
            Err(error) if stored.is_empty() => Err(error),
            _ => Ok(committed(stored)),
        }
    }

    /// Destroys the sealed bytes of these datasets on the disk, whether they were delivered or not, in every class. What
    /// still waited is told by `losses`. Commit first: what was appended and not committed is not reached.
    pub fn purge(&mut self, is_meant: &dyn Fn(&DatasetAlias) -> bool) -> Result<Purged, DiskError> {
        let mut all = Purged::default();
        let Buffer { logs, disk, .. } = self;
        for log in logs {
            let purged = log.purge(disk, is_meant)?;
            all.records += purged.records;
            all.bytes += purged.bytes;
            all.lost += purged.lost;
        }
        let (records, bytes) = self.quarantine.shred(&mut self.disk, is_meant)?;
        all.records += records;
        all.bytes += bytes;
        Ok(all)
    }

    /// The next durable record of the class that was not handed out since `open` or `rewind` and is not acknowledged.
    pub fn next(&mut self, priority: Priority) -> Result<Option<(RecordId, Sealed)>, DiskError> {
        let Buffer { logs, disk, .. } = self;
        let log = &mut logs[index(priority)];
        while let Some((position, identity, payload)) = log.next(disk)? {
            match sealed(&identity, &payload) {
                Some(sealed) => return Ok(Some((RecordId { priority, position }, sealed))),
                None => log.lose_unsealed(disk, position, &identity),
            }
        }
        Ok(None)
    }

    /// After a lost link: everything unacknowledged is handed out again, in order.
    pub fn rewind(&mut self) {
        let Buffer { logs, disk, .. } = self;
        logs.iter_mut().for_each(|log| log.rewind(disk));
    }

    /// This record needs no more delivery. Any order; twice is harmless. Space returns by whole segments.
    pub fn acknowledge(&mut self, record: RecordId) -> Result<(), DiskError> {
        let Buffer { logs, disk, quarantine, .. } = self;
        if quarantine.holds(record) {
            quarantine.remove(disk, record)?;
        }
        logs[index(record.priority)].acknowledge(disk, record.position)
    }

    /// A broker refuses this record for ever: its bytes are set aside, and it is told by `losses`, `maybe_delivered`. Of
    /// a gap record nothing is set aside: its note comes with the loss, to be declared again. `reason` is the owner's
    /// number for why. Durable when it returns; after an error nothing has changed.
    pub fn quarantine(&mut self, record: RecordId, reason: u8, utc: UtcMicros) -> Result<(), DiskError> {
        let Buffer { logs, disk, quarantine, settings, .. } = self;
        let log = &mut logs[index(record.priority)];
        let Some((header, payload)) = log.reread(disk, record.position)? else { return Ok(()) };
        if header.identity.kind != RecordKind::Gap as u8 {
            let mut frame = Vec::new();
            let (bytes, note) = header.identity.split(&payload);
            let identity = Identity { note: 0, ..header.identity.clone() };
            crate::frame::encode(&identity, &header.place, bytes, &mut frame);
            debug_assert!(note.is_empty(), "only gap records have notes");
            quarantine.put(disk, (record, reason, utc), &frame, settings.segment_bytes)?;
        }
        log.lose_one(record.position, &header.identity, &payload, LossCause::Quarantine, true);
        Ok(())
    }

    /// Records that were set aside, and not delivered, purged or pushed out since.
    pub fn quarantined(&self) -> impl Iterator<Item = &crate::Quarantined> {
        self.quarantine.held()
    }

    /// One of them, to be sent again; `acknowledge` takes it away for good.
    pub fn read_quarantined(&mut self, record: RecordId) -> Result<Option<Sealed>, DiskError> {
        if !self.quarantine.holds(record) {
            return Ok(None);
        }
        Ok(quarantine::read(&mut self.disk, record)?.map(|(_, sealed)| sealed))
    }

    /// The position that `next` looks at first. Everything that is committed later is behind it.
    pub fn next_position(&self, priority: Priority) -> u64 {
        let log = &self.logs[index(priority)];
        log.next_waiting().min(log.durable)
    }

    /// The first position that is not durable yet.
    pub fn end(&self, priority: Priority) -> u64 {
        self.logs[index(priority)].durable
    }

    /// As `next`, for those at or behind `from` that are meant (by alias, epoch and kind); the others are left for
    /// `next`, which does not hand out again what this handed out. `None` also when so much was acknowledged out of
    /// order that it would not be remembered.
    pub fn next_ahead(
        &mut self,
        priority: Priority,
        from: u64,
        is_meant: &dyn Fn(&DatasetAlias, Kid, RecordKind) -> bool,
    ) -> Result<Option<(RecordId, Sealed)>, DiskError> {
        let Buffer { logs, disk, .. } = self;
        let log = &mut logs[index(priority)];
        let meant = |identity: &Identity| {
            RecordKind::from_number(identity.kind).is_some_and(|kind| is_meant(&identity.alias, identity.kid, kind))
        };
        while let Some((position, identity, payload)) = log.next_ahead(disk, from, &meant)? {
            match sealed(&identity, &payload) {
                Some(sealed) => return Ok(Some((RecordId { priority, position }, sealed))),
                None => log.lose_unsealed(disk, position, &identity),
            }
        }
        Ok(None)
    }

    /// A record that was handed out and will not be sent before the next `rewind`: it takes no room meanwhile.
    pub fn put_back(&mut self, record: RecordId) {
        self.log(record.priority).in_flight.remove(&record.position);
    }

    /// Losses found since the last call, at most 1,000 at a time; call until empty. Each is told again after a restart
    /// until a commit has come after it.
    pub fn losses(&mut self) -> Vec<Loss> {
        let mut losses = Vec::new();
        for log in &mut self.logs {
            losses.extend(log.losses.tell(LOSSES - losses.len()));
        }
        losses
    }

    /// While a class is held, none of its losses counts as declared: the owner told some of them to nobody yet.
    pub fn hold_losses(&mut self, priority: Priority, holds: bool) {
        self.log(priority).holds_losses = holds;
    }

    /// Bytes that can be appended before something is pushed out that was not delivered yet; `None`: nothing ever is.
    pub fn room(&self) -> Option<u64> {
        if self.settings.overflow == Overflow::RefuseNew {
            return None;
        }
        let segment = self.settings.segment_bytes;
        if self.logs.iter().any(|log| log.records_waiting() > 0 || !log.pending.is_empty()) {
            return Some(self.free_bytes(0).saturating_sub(segment));
        }
        let droppable = self.logs.iter().map(Log::droppable_bytes).sum();
        Some(self.free_bytes(droppable).max(segment))
    }

    /// Whether an epoch may be opened that needs so many bytes of this class at first. They fit, at worst when older records
    /// of it or of lower classes go, and there is room to write down whose those were: each epoch that is lost needs some.
    pub fn takes_epoch(&self, priority: Priority, bytes: u64) -> bool {
        if self.settings.overflow == Overflow::RefuseNew {
            return self.free_bytes(0) >= bytes;
        }
        let below = || self.logs.iter().filter(|log| log.class <= priority);
        let droppable: u64 = below().map(Log::droppable_bytes).sum();
        self.free_bytes(droppable) >= bytes
            && (self.room().is_none_or(|room| room >= bytes) || !below().any(Log::ledgers_are_long))
    }

    /// Of what records other than gap records may take, if so many bytes were dropped.
    fn free_bytes(&self, droppable: u64) -> u64 {
        let waiting: u64 = self.logs.iter().map(|log| log.pending_bytes).sum();
        (self.capacity() + droppable).saturating_sub(self.settings.segment_bytes + self.used() + waiting)
    }

    /// Anything appended and not yet committed?
    pub fn has_uncommitted(&self) -> bool {
        self.logs.iter().any(|log| !log.pending.is_empty())
    }

    pub fn usage(&self) -> Usage {
        let sum = |of: fn(&Log) -> u64| self.logs.iter().map(of).sum::<u64>();
        Usage {
            bytes: self.used() + fixed_bytes() + self.reserve.bytes(),
            max_bytes: self.settings.max_bytes,
            records_waiting: sum(Log::records_waiting),
            readings_waiting: sum(Log::readings_waiting),
            oldest: self.logs.iter().filter_map(Log::oldest).min(),
            segments: sum(|log| log.segments.len() as u64),
            damaged: sum(|log| log.damaged),
            repaired: sum(|log| log.repaired),
            committed_bytes: sum(|log| log.written),
            quarantined: self.quarantine.held().count() as u64,
        }
    }

    /// Commit, cursor, and the mark of a clean end.
    pub fn close(mut self, utc: UtcMicros) -> Result<(), DiskError> {
        self.commit(utc)?;
        let Buffer { logs, disk, .. } = &mut self;
        if logs.iter().any(|log| !log.pending.is_empty()) {
            return Err(io::Error::other("the disk did not take all records"));
        }
        logs.iter_mut().try_for_each(|log| log.save_as(disk, Save::Sync, true))
    }

    fn log(&mut self, priority: Priority) -> &mut Log {
        &mut self.logs[index(priority)]
    }

    /// Bytes of segments, ledgers and quarantine.
    fn used(&self) -> u64 {
        self.logs.iter().map(Log::bytes).sum::<u64>() + self.quarantine.bytes()
    }

    /// Room for segments.
    fn capacity(&self) -> u64 {
        let Settings { max_bytes, reserve_bytes, segment_bytes, .. } = self.settings;
        max_bytes.saturating_sub(reserve_bytes + fixed_bytes()).max(4 * segment_bytes)
    }

    /// One segment of the capacity is kept free for gap records.
    fn make_room(&mut self, priority: Priority, frame: u64, is_gap: bool) -> Result<(), AppendError> {
        let waiting: u64 = self.logs.iter().map(|log| log.pending_bytes).sum();
        let slack = if is_gap { 0 } else { self.settings.segment_bytes };
        let limit = self.capacity() - slack;
        let may_drop = self.settings.overflow == Overflow::DropOldest;
        while self.used() + waiting + frame > limit {
            if !(may_drop && self.drop_oldest(priority).map_err(AppendError::Disk)?) {
                return Err(AppendError::Full);
            }
        }
        Ok(())
    }

    /// Drops the oldest segment of the lowest class that has one, but never for the sake of a lower class.
    fn drop_oldest(&mut self, highest: Priority) -> Result<bool, DiskError> {
        let Buffer { logs, disk, .. } = self;
        for log in logs.iter_mut().rev().filter(|log| log.class <= highest) {
            if log.drop_oldest(disk)? {
                self.has_dropped = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All classes, the highest first; a full disk is tried again as long as something makes room.
    fn write_all(&mut self, utc: UtcMicros, stored: &mut Vec<Stored>) -> Result<(), DiskError> {
        loop {
            let Buffer { logs, disk, .. } = self;
            let mut dirty = logs.iter_mut().filter(|log| !log.pending.is_empty());
            let written = dirty.try_for_each(|log| log.commit(disk, utc, stored));
            match written {
                Err(error) if is_full(&error) && self.relieve()? => {}
                other => return other,
            }
        }
    }

    /// A full disk: give up the reserve, and drop so much that what waits and the reserve will fit. `true` if the disk
    /// has more room than before.
    fn relieve(&mut self) -> Result<bool, DiskError> {
        let dirty = self.logs.iter().find(|log| !log.pending.is_empty()).map_or(Priority::Low, |log| log.class);
        let waiting: u64 = self.logs.iter().map(|log| log.pending_bytes).sum();
        let (before, wanted) = (self.used(), self.settings.reserve_bytes + waiting);
        let mut has_room = self.reserve.release(&mut self.disk)?;
        while self.settings.overflow == Overflow::DropOldest
            && before.saturating_sub(self.used()) < wanted
            && self.drop_oldest(dirty)?
        {
            has_room = true;
        }
        Ok(has_room)
    }

    fn declare(&mut self) {
        for log in self.logs.iter_mut().filter(|log| !log.holds_losses) {
            let told = log.losses.take_told();
            log.retire_declared(told);
        }
    }

    fn save_cursors(&mut self) -> Result<(), DiskError> {
        let Buffer { logs, disk, .. } = self;
        logs.iter_mut().filter(|log| log.unsaved).try_for_each(|log| {
            // What was declared is not declared again after a power cut.
            let how = if log.has_declared { Save::Sync } else { Save::Write };
            log.save(disk, how)
        })
    }

    fn free(&mut self) -> Result<(), DiskError> {
        let before = self.used();
        let Buffer { logs, disk, .. } = self;
        let freed = logs.iter_mut().try_for_each(|log| log.free(disk));
        if std::mem::take(&mut self.has_dropped) || self.used() < before {
            self.reserve.restore(&mut self.disk);
        }
        freed
    }
}

fn open_logs<D: Disk>(disk: &mut D, settings: &Settings) -> Result<(Vec<Log>, Recovery), DiskError> {
    let mut all = Recovery { clean: true, ..Recovery::default() };
    let (mut logs, mut doubtful) = (Vec::new(), Vec::new());
    for class in Priority::ALL {
        let (log, recovery) = Log::open(disk, class, settings.segment_bytes)?;
        all.clean &= recovery.clean;
        all.last_commit = all.last_commit.max(recovery.last_commit);
        all.records += recovery.records;
        all.torn_bytes += recovery.torn_bytes;
        for (alias, head) in recovery.heads {
            if all.heads.insert(alias.clone(), head).is_some() {
                doubtful.push(alias);
            }
        }
        logs.push(log);
    }
    all.heads.retain(|alias, _| !doubtful.contains(alias));
    disk.sync_directory("")?;
    Ok((logs, all))
}

fn fixed_bytes() -> u64 {
    Priority::ALL.len() as u64 * cursor::FILE_BYTES
}

fn index(priority: Priority) -> usize {
    Priority::ALL.iter().position(|class| *class == priority).expect("ALL holds every class")
}

fn identity(sealed: &Sealed, note: u8) -> Identity {
    Identity {
        kind: sealed.kind() as u8,
        alias: sealed.alias().clone(),
        kid: sealed.kid(),
        seq: sealed.seq(),
        readings: sealed.readings(),
        note,
    }
}

/// `None` if the bytes, whole as they are, are no sealed message of that identity.
pub(crate) fn sealed(identity: &Identity, payload: &[u8]) -> Option<Sealed> {
    let kind = RecordKind::from_number(identity.kind)?;
    let Identity { alias, kid, seq, readings, .. } = identity;
    Sealed::from_stored(kind, alias.clone(), *kid, *seq, *readings, identity.split(payload).0).ok()
}

fn committed(mut stored: Vec<Stored>) -> Committed {
    stored.sort_by_key(|record| record.order);
    Committed {
        readings: stored.iter().map(|record| u64::from(record.identity.readings)).sum(),
        records: stored
            .into_iter()
            .map(|record| {
                let id = RecordId { priority: record.priority, position: record.position };
                (id, record.identity.kid, record.identity.seq)
            })
            .collect(),
    }
}
