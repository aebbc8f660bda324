//! The log of one priority class: its state, and how records get into it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use lingate_model::defect::{Defect, is_seeded};
use lingate_model::{DatasetAlias, Priority, UtcMicros};
use lingate_seal::Kid;

use crate::ahead::Ahead;
use crate::cursor::{Cursor, CursorFile, Save};
use crate::disk::{is_full, remove_if_present};
use crate::frame::{self, Identity, Place};
use crate::ledger;
use crate::positions::Positions;
use crate::reading::Reader;
use crate::report::{Losses, Lost};
use crate::segment::{self, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::{Disk, DiskError, FileId};

/// So many acknowledgements go without a written cursor.
const ACKNOWLEDGEMENTS: u64 = 1024;

pub(crate) struct Log {
    pub(crate) class: Priority,
    pub(crate) segment_bytes: u64,
    /// Length of each segment file, by first position. A segment ends where the next begins, the last at `durable`.
    pub(crate) segments: BTreeMap<u64, u64>,
    /// The last segment, if it can still be written.
    pub(crate) active: Option<Active>,
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) pending_bytes: u64,
    /// Everything below was confirmed by the disk.
    pub(crate) durable: u64,
    /// Readings of everything below `durable`.
    pub(crate) total: u64,
    /// Needs nothing more: acknowledged, or lost and declared.
    pub(crate) done: Positions,
    /// Will not be handed out any more: done, condemned, or lost and not yet declared.
    pub(crate) skip: Positions,
    /// Readings of what is done.
    pub(crate) retired: u64,
    /// Given up below, to make room.
    pub(crate) condemned: u64,
    /// Losses that are written down and not declared: end and file length, by first position.
    pub(crate) ledgers: BTreeMap<u64, (u64, u64)>,
    /// The newest epoch of each stream that lost its KEY or catalogue: the rest of it is lost as well.
    pub(crate) dead: BTreeMap<DatasetAlias, Kid>,
    /// What was told is not declared yet, see `Buffer::hold_losses`.
    pub(crate) holds_losses: bool,
    /// The next position to hand out.
    pub(crate) read: u64,
    /// Handed out below, by this process or by one that may have.
    pub(crate) handed: u64,
    /// Handed out and not done: readings and commit time.
    pub(crate) in_flight: BTreeMap<u64, (u32, UtcMicros)>,
    pub(crate) reader: Option<Reader>,
    pub(crate) ahead: Ahead,
    pub(crate) losses: Losses,
    /// Of the last hole that was found.
    pub(crate) names: crate::names::Names,
    /// A lower bound of the commit time of what waits.
    pub(crate) oldest: Option<UtcMicros>,
    pub(crate) last_commit: Option<UtcMicros>,
    pub(crate) damaged: u64,
    pub(crate) repaired: u64,
    /// Frame bytes that became durable since `open`.
    pub(crate) written: u64,
    pub(crate) cursor: CursorFile,
    /// The disk says that this process has begun. Nothing is committed before.
    pub(crate) has_begun: bool,
    pub(crate) unsaved: bool,
    pub(crate) unsaved_acknowledgements: u64,
    /// Losses were retired that the synced cursor does not know of.
    pub(crate) has_declared: bool,
}

pub(crate) struct Active {
    pub(crate) file: FileId,
    pub(crate) first: u64,
    pub(crate) bytes: u64,
    /// Its directory entry is durable.
    pub(crate) is_named: bool,
}

pub(crate) struct Pending {
    pub(crate) identity: Identity,
    pub(crate) payload: Arc<[u8]>,
    /// Over all classes, so that a commit is reported in the order of the appends.
    pub(crate) order: u64,
}

/// A pending record that became durable.
pub(crate) struct Stored {
    pub(crate) order: u64,
    pub(crate) priority: Priority,
    pub(crate) position: u64,
    pub(crate) identity: Identity,
}

impl Log {
    pub(crate) fn record_limit(segment_bytes: u64) -> u64 {
        segment_bytes.saturating_sub(SEGMENT_HEADER_BYTES + frame::HEADER_BYTES as u64)
    }

    pub(crate) fn append(&mut self, record: Pending) -> u64 {
        self.pending_bytes += frame::frame_bytes(record.payload.len());
        self.pending.push_back(record);
        self.durable + self.pending.len() as u64 - 1
    }

    /// Where the segment that begins at `first` ends.
    pub(crate) fn end_of(&self, first: u64) -> u64 {
        self.segments.range(first + 1..).next().map_or(self.durable, |(next, _)| *next)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.values().sum::<u64>() + self.ledger_bytes()
    }

    /// Of segments that `drop_oldest` would take.
    pub(crate) fn droppable_bytes(&self) -> u64 {
        let still = |first: &u64| self.end_of(*first) > self.condemned.max(*first);
        self.segments.iter().filter(|(first, _)| still(first)).map(|(_, bytes)| bytes).sum()
    }

    /// That came back: those that are lost and not yet declared are among them.
    pub(crate) fn records_kept(&self) -> u64 {
        self.done.count_missing(self.done.floor()..self.durable)
    }

    /// For delivery: what is lost and only waits to be declared is not among them.
    pub(crate) fn records_waiting(&self) -> u64 {
        self.skip.count_missing(self.skip.floor()..self.durable)
    }

    pub(crate) fn readings_waiting(&self) -> u64 {
        self.total.saturating_sub(self.retired + self.losses.readings())
    }

    /// Writes pending records and syncs them, segment by segment; what is durable is added to `stored` even if an
    /// error follows.
    pub(crate) fn commit(
        &mut self,
        disk: &mut dyn Disk,
        utc: UtcMicros,
        stored: &mut Vec<Stored>,
    ) -> Result<(), DiskError> {
        self.begin(disk)?;
        while let Some(next) = self.pending.front() {
            let needed = frame::frame_bytes(next.payload.len());
            if self.active.as_ref().is_some_and(|active| active.bytes + needed > self.segment_bytes) {
                self.seal(disk);
            }
            if self.active.is_none() {
                self.start_segment(disk, utc)?;
            }
            self.write_frames(disk, utc, stored)?;
        }
        Ok(())
    }

    /// The mark of a clean end goes before anything new comes.
    fn begin(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        if !self.has_begun {
            self.save(disk, Save::Sync)?;
            self.has_begun = true;
        }
        Ok(())
    }

    /// Nothing is written to this segment any more.
    pub(crate) fn seal(&mut self, disk: &mut dyn Disk) {
        if let Some(active) = self.active.take() {
            disk.close(active.file);
        }
    }

    /// One that holds nothing durable may be in the way, after a failed sync: it goes.
    fn start_segment(&mut self, disk: &mut dyn Disk, utc: UtcMicros) -> Result<(), DiskError> {
        let (first, path) = (self.durable, segment::path(self.class, self.durable));
        let file = match disk.create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.forget_reader(disk, first);
                disk.remove(&path)?;
                self.segments.remove(&first);
                disk.create(&path)?
            }
            other => other?,
        };
        let header = SegmentHeader { class: self.class, first, total: self.total, utc }.encode();
        if let Err(error) = disk.write_at(file, 0, &header) {
            disk.close(file);
            // It holds nothing; if it stays, the next start removes it.
            let _ = remove_if_present(disk, &path);
            return Err(error);
        }
        self.active = Some(Active { file, first, bytes: header.len() as u64, is_named: false });
        self.segments.insert(first, header.len() as u64);
        Ok(())
    }

    /// As many pending frames as fit, in one write and one sync.
    fn write_frames(&mut self, disk: &mut dyn Disk, utc: UtcMicros, stored: &mut Vec<Stored>) -> Result<(), DiskError> {
        let active = self.active.as_ref().expect("a segment was started");
        let (file, is_named, offset) = (active.file, active.is_named, active.bytes);
        let (bytes, count, total) = self.encode_pending(self.segment_bytes - offset, utc);
        if let Err(error) = disk.write_at(file, offset, &bytes) {
            if is_full(&error) {
                // What was written in part lies behind the end and is written over; a failed cut changes nothing.
                let _ = disk.truncate(file, offset);
            } else {
                self.abandon(disk);
            }
            // It may hold bytes that will be written over.
            self.close_reader(disk);
            return Err(error);
        }
        let synced = if is_seeded(Defect::AcknowledgeBeforeSync) { Ok(()) } else { disk.sync_data(file) };
        let named = if is_named { Ok(()) } else { disk.sync_directory(self.class.name()) };
        if let Err(error) = synced.and(named) {
            self.abandon(disk);
            return Err(error);
        }
        if self.done.floor() >= self.durable {
            self.oldest = Some(utc);
        }
        let active = self.active.as_mut().expect("a segment was started");
        active.bytes += bytes.len() as u64;
        active.is_named = true;
        self.segments.insert(active.first, active.bytes);
        self.pending_bytes -= bytes.len() as u64;
        self.written += bytes.len() as u64;
        for record in self.pending.drain(..count) {
            let Pending { order, identity, .. } = record;
            stored.push(Stored { order, priority: self.class, position: self.durable, identity });
            self.durable += 1;
        }
        (self.total, self.last_commit, self.unsaved) = (total, Some(utc), true);
        Ok(())
    }

    fn encode_pending(&self, room: u64, utc: UtcMicros) -> (Vec<u8>, usize, u64) {
        let (mut bytes, mut count, mut total) = (Vec::new(), 0, self.total);
        for (position, record) in (self.durable..).zip(&self.pending) {
            if bytes.len() as u64 + frame::frame_bytes(record.payload.len()) > room {
                break;
            }
            let place = Place { class: self.class, position, stable: self.durable, total, utc };
            frame::encode(&record.identity, &place, &record.payload, &mut bytes);
            total = total.saturating_add(u64::from(record.identity.readings));
            count += 1;
        }
        (bytes, count, total)
    }

    /// The disk failed on this segment: what it confirmed before stays readable, nothing else is written to it.
    fn abandon(&mut self, disk: &mut dyn Disk) {
        let Some(first) = self.active.as_ref().map(|active| active.first) else { return };
        self.seal(disk);
        if first == self.durable {
            self.segments.remove(&first);
            self.forget_reader(disk, first);
            // If it stays, the next start removes it.
            let _ = remove_if_present(disk, &segment::path(self.class, first));
        }
    }

    pub(crate) fn acknowledge(&mut self, disk: &mut dyn Disk, position: u64) -> Result<(), DiskError> {
        if position >= self.durable || self.done.contains(position) {
            return Ok(());
        }
        self.retire(position..position + 1, None);
        self.unsaved_acknowledgements += 1;
        if self.unsaved_acknowledgements >= ACKNOWLEDGEMENTS {
            self.save(disk, Save::Write)?;
        }
        self.free(disk)
    }

    /// These positions need nothing more. `lost_readings` if they were lost, without it they were acknowledged.
    pub(crate) fn retire(&mut self, positions: Range<u64>, lost_readings: Option<u64>) {
        let mut readings = 0;
        for (_, (count, utc)) in self.in_flight.extract_if(positions.clone(), |_, _| true) {
            readings += u64::from(count);
            self.oldest = self.oldest.max(Some(utc));
        }
        self.retired = self.retired.saturating_add(lost_readings.unwrap_or(readings));
        self.ahead.remove(&positions);
        self.skip.insert(positions.clone());
        self.done.insert(positions);
        self.unsaved = true;
        if self.done.floor() >= self.durable {
            self.retired = self.total;
        }
    }

    /// A commit went through after these losses were told: their gap records are durable.
    pub(crate) fn retire_declared(&mut self, told: Vec<Lost>) {
        for (positions, readings) in told {
            self.has_declared = true;
            self.retire(positions, Some(readings));
        }
    }

    pub(crate) fn oldest(&self) -> Option<UtcMicros> {
        let waits_at = self.skip.floor();
        let in_flight = self.in_flight.first_key_value().filter(|(position, _)| **position == waits_at);
        let known = in_flight.map(|(_, (_, utc))| *utc).or(self.oldest);
        known.filter(|_| self.records_waiting() > 0)
    }

    /// Removes the segments and ledgers that are wholly below the floor: cursor first, and durable, then the files.
    pub(crate) fn free(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        let writable = self.active.as_ref().map(|active| active.first);
        let is_free = |first: &u64| Some(*first) != writable && self.end_of(*first) <= self.done.floor();
        let free: Vec<u64> = self.segments.keys().copied().take_while(is_free).collect();
        let floor = self.done.floor();
        let declared: Vec<u64> = self.ledgers.iter().filter(|(_, (end, _))| *end <= floor).map(|it| *it.0).collect();
        if free.is_empty() && declared.is_empty() {
            return Ok(());
        }
        self.save(disk, Save::Sync)?;
        for first in declared {
            remove_if_present(disk, &ledger::path(self.class, first))?;
            self.ledgers.remove(&first);
        }
        self.remove_segments(disk, free)
    }

    /// The cursor that makes these segments needless is durable.
    pub(crate) fn remove_segments(&mut self, disk: &mut dyn Disk, firsts: Vec<u64>) -> Result<(), DiskError> {
        for first in firsts {
            self.forget_reader(disk, first);
            remove_if_present(disk, &segment::path(self.class, first))?;
            self.segments.remove(&first);
        }
        disk.sync_directory(self.class.name())
    }

    pub(crate) fn save(&mut self, disk: &mut dyn Disk, how: Save) -> Result<(), DiskError> {
        self.save_as(disk, how, false)
    }

    pub(crate) fn save_as(&mut self, disk: &mut dyn Disk, how: Save, clean: bool) -> Result<(), DiskError> {
        let cursor = Cursor {
            done: self.done.clone(),
            durable: self.durable,
            total: self.total,
            retired: self.retired,
            condemned: self.condemned,
            handed: self.handed,
            dead: self.dead.clone(),
            last_commit: self.last_commit,
            clean,
        };
        self.cursor.save(disk, &cursor, how)?;
        (self.unsaved, self.unsaved_acknowledgements) = (false, 0);
        self.has_declared &= how == Save::Write;
        Ok(())
    }
}
