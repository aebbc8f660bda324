//! How a log makes room: the losses of its oldest segment are written down, then the segment goes.

use std::ops::Range;

use crate::cursor::Save;
use crate::disk::{is_full, remove_if_present};
use crate::ledger;
use crate::log::Log;
use crate::report::Loss;
use crate::{Disk, DiskError};

/// The ledgers of a class take no more room than so many segments.
const LEDGER_SEGMENTS: u64 = 3;

impl Log {
    /// Drops the oldest segment with a record in it. `false` if there is none. From here on its records are not handed
    /// out, also after a restart, and its losses are told until they are declared.
    pub(crate) fn drop_oldest(&mut self, disk: &mut dyn Disk) -> Result<bool, DiskError> {
        let oldest = self.segments.keys().copied().find(|first| self.end_of(*first) > self.condemned.max(*first));
        let Some(first) = oldest else { return Ok(false) };
        let positions = first..self.end_of(first);
        if self.active.as_ref().is_some_and(|active| active.first == first) {
            self.seal(disk);
        }
        let losses = self.survey(disk, positions.clone())?;
        let undeclared = self.survey_undeclared(disk, &positions)?;
        self.write_down(disk, &positions, &undeclared)?;
        let before = (self.condemned, self.dead.clone());
        self.condemned = positions.end;
        losses.iter().for_each(|loss| self.bury(loss));
        if let Err(error) = self.save(disk, Save::Sync) {
            (self.condemned, self.dead) = before;
            return Err(error);
        }
        self.give_up(losses, positions);
        // One that stays is removed with those that are done.
        let _ = self.remove_segments(disk, vec![first]);
        Ok(true)
    }

    /// With what was told before and is not declared: a ledger has to say that as well.
    fn survey_undeclared(&mut self, disk: &mut dyn Disk, positions: &Range<u64>) -> Result<Vec<Loss>, DiskError> {
        let (skip, damaged) = (std::mem::replace(&mut self.skip, self.done.clone()), self.damaged);
        let survey = self.survey(disk, positions.clone());
        (self.skip, self.damaged) = (skip, damaged);
        survey
    }

    /// On a full disk it goes without: then a process that ends before the gap record is written leaves a hole, which
    /// the next one finds and tells.
    fn write_down(&mut self, disk: &mut dyn Disk, positions: &Range<u64>, losses: &[Loss]) -> Result<(), DiskError> {
        if losses.is_empty() {
            return Ok(());
        }
        match ledger::write(disk, self.class, positions, losses) {
            Ok(bytes) => {
                self.ledgers.insert(positions.start, (positions.end, bytes));
                self.bound_ledgers(disk);
                Ok(())
            }
            Err(error) if is_full(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// An owner that declares nothing for ever does not get the disk: the oldest are then known to this process alone.
    fn bound_ledgers(&mut self, disk: &mut dyn Disk) {
        while self.ledger_bytes() > LEDGER_SEGMENTS * self.segment_bytes {
            let Some((first, _)) = self.ledgers.pop_first() else { return };
            let _ = remove_if_present(disk, &ledger::path(self.class, first));
        }
    }

    pub(crate) fn ledger_bytes(&self) -> u64 {
        self.ledgers.values().map(|(_, bytes)| bytes).sum()
    }

    /// Half of the room for names is used: what is still there to be lost needs the other.
    pub(crate) fn ledgers_are_long(&self) -> bool {
        self.ledger_bytes() > LEDGER_SEGMENTS * self.segment_bytes / 2
    }

    /// Its KEY or catalogue is lost: nobody could understand what is left of this epoch. An older epoch of the stream
    /// has nothing left behind this one's KEY.
    pub(crate) fn bury(&mut self, loss: &Loss) {
        if let Some(alias) = loss.alias.clone().filter(|_| loss.loses_epoch) {
            self.dead.insert(alias, loss.kid);
        }
    }

    fn give_up(&mut self, losses: Vec<Loss>, positions: Range<u64>) {
        self.skip.insert(positions.clone());
        // Without any, each of them is done or was told before.
        if !losses.is_empty() {
            self.losses.push(losses, positions);
        }
    }

    /// Losses that were perhaps not declared before the process ended are told again.
    pub(crate) fn recall_dropped(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        for entry in disk.list(self.class.name())? {
            let Some(first) = ledger::parse_name(&entry.name) else { continue };
            let found = ledger::read(disk, self.class, first, entry.bytes);
            let undeclared = |range: &Range<u64>| range.end <= self.condemned && range.end > self.done.floor();
            match found.filter(|(positions, _)| undeclared(positions)) {
                Some((positions, losses)) => {
                    self.ledgers.insert(first, (positions.end, entry.bytes));
                    self.give_up(losses, positions);
                }
                None => drop(remove_if_present(disk, &ledger::path(self.class, first))),
            }
        }
        self.recall_unwritten(disk);
        Ok(())
    }

    /// What was given up without a ledger, or with one that cannot be read.
    fn recall_unwritten(&mut self, disk: &mut dyn Disk) {
        for positions in self.skip.missing(self.done.floor()..self.condemned) {
            // If it cannot be read now, it stays given up and is told at the next start.
            let survey = self.survey(disk, positions.clone());
            survey.into_iter().for_each(|losses| self.give_up(losses, positions.clone()));
        }
    }
}
