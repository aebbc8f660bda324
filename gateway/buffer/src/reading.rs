//! How records get out of a log again, and what is told about those that do not.

use std::ops::Range;

use lingate_model::defect::{Defect, is_seeded};
use lingate_model::{Priority, UtcMicros};

use crate::frame::{Header, Identity};
use crate::log::Log;
use crate::report::{Loss, LossCause, merge};
use crate::segment::{Found, OnError, Walk};
use crate::{Disk, DiskError};

/// So many records may be handed out and not acknowledged; far more than any window of a link.
const IN_FLIGHT: usize = 65_536;
/// So many losses may be found and not taken before nothing more is handed out.
const LOSSES_MAX: usize = 16_384;
/// So many refusals to read at one place are believed; then the blocks count as damaged.
const READ_ATTEMPTS: u32 = 3;

/// Readings of the class before and after a hole, as far as they are known.
type Totals = (Option<u64>, Option<u64>);

pub(crate) struct Reader {
    first: u64,
    walk: Walk,
    failures: u32,
}

impl Log {
    /// The next durable record that waits, with its place.
    pub(crate) fn next(&mut self, disk: &mut dyn Disk) -> Result<Option<(u64, Identity, Vec<u8>)>, DiskError> {
        loop {
            self.read = self.next_waiting();
            if self.read >= self.durable || !self.may_hand_out(self.read) {
                return Ok(None);
            }
            let Some(first) = self.segments.range(..=self.read).next_back().map(|(first, _)| *first) else {
                let to = self.segments.keys().next().map_or(self.durable, |first| (*first).min(self.durable));
                let before = (self.read == self.done.floor()).then_some(self.retired);
                self.lose(disk, self.read..to, None, (before, None));
                continue;
            };
            let end = self.end_of(first);
            let Some(found) = step(&mut self.reader, disk, (self.class, first), self.read, end)? else {
                self.lose(disk, self.read..end, None, (None, None));
                continue;
            };
            match found {
                Found::Frame { header, payload, repaired } => {
                    self.repaired += u64::from(repaired);
                    let position = header.place.position;
                    if position < self.read || self.skip.contains(position) {
                        continue;
                    }
                    let is_dead = self.dead.get(&header.identity.alias) == Some(&header.identity.kid);
                    if is_dead || header.identity.is_purged() {
                        let maybe_delivered = position < self.handed;
                        self.lose_one(position, &header.identity, &payload, LossCause::Overflow, maybe_delivered);
                        continue;
                    }
                    self.read = position + 1;
                    self.hand_out(position, header.identity.readings, header.place.utc);
                    return Ok(Some((position, header.identity, payload)));
                }
                Found::Damage { from, to, header, before, after } => {
                    let identity = header.as_ref().map(|header| &header.identity);
                    self.lose(disk, from..to, identity, (before, after));
                }
                Found::End => self.forget_reader(disk, first),
            }
        }
    }

    /// Losses that nobody takes and records that nobody acknowledges end the handing out, and no memory.
    pub(crate) fn may_hand_out(&self, position: u64) -> bool {
        let is_again = self.in_flight.contains_key(&position);
        self.losses.len() < LOSSES_MAX && (self.in_flight.len() < IN_FLIGHT || is_again)
    }

    /// A record that is whole and will not come: of an epoch that nobody could understand, or destroyed, or refused for
    /// ever.
    pub(crate) fn lose_one(
        &mut self,
        position: u64,
        identity: &Identity,
        payload: &[u8],
        cause: LossCause,
        maybe_delivered: bool,
    ) {
        let positions = position..position + 1;
        self.in_flight.remove(&position);
        self.ahead.remove(&positions);
        self.skip.insert(positions.clone());
        let loss = Loss::of(self.class, identity, cause, maybe_delivered);
        self.bury(&loss);
        if is_seeded(Defect::RetireBeforeGap) {
            self.retire(positions.clone(), Some(loss.readings));
        }
        self.losses.push(vec![loss.with_note(identity, payload)], positions);
    }

    /// A record that waits, once more; `None` if it does not wait any more or cannot be read.
    pub(crate) fn reread(
        &mut self,
        disk: &mut dyn Disk,
        position: u64,
    ) -> Result<Option<(Header, Vec<u8>)>, DiskError> {
        let segment = self.segments.range(..=position).next_back().map(|(first, _)| *first);
        let Some(first) = segment.filter(|_| position < self.durable && !self.skip.contains(position)) else {
            return Ok(None);
        };
        let mut walk = Walk::open(disk, self.class, first)?;
        let found = loop {
            match walk.step(disk, position, Some(position + 1), OnError::Tell) {
                Ok(Found::Frame { header, payload, .. }) if header.place.position == position => {
                    break Ok(Some((header, payload)));
                }
                Ok(Found::Frame { .. }) => {}
                Ok(Found::Damage { .. } | Found::End) => break Ok(None),
                Err(error) => break Err(error),
            }
        };
        disk.close(walk.file);
        found
    }

    pub(crate) fn hand_out(&mut self, position: u64, readings: u32, utc: UtcMicros) {
        self.in_flight.insert(position, (readings, utc));
        self.handed = self.handed.max(position + 1);
    }

    /// A record that was handed out by the log and is no sealed message.
    pub(crate) fn lose_unsealed(&mut self, disk: &mut dyn Disk, position: u64, identity: &Identity) {
        self.in_flight.remove(&position);
        self.tell_missing(disk, position..position + 1, Some(identity), u64::from(identity.readings));
    }

    /// Positions that were durable and cannot be read: told once, done when declared.
    fn lose(&mut self, disk: &mut dyn Disk, hole: Range<u64>, identity: Option<&Identity>, totals: Totals) {
        let readings = self.readings_between(disk, hole.end, totals);
        self.read = self.read.max(hole.end);
        self.tell_missing(disk, hole, identity, readings);
    }

    fn tell_missing(&mut self, disk: &mut dyn Disk, hole: Range<u64>, identity: Option<&Identity>, readings: u64) {
        for (losses, missing) in self.missing(disk, hole, identity, readings) {
            losses.iter().for_each(|loss| self.bury(loss));
            self.skip.insert(missing.clone());
            self.losses.push(losses, missing);
        }
    }

    /// The parts of a hole that nobody has given up or told of yet.
    fn missing(
        &mut self,
        disk: &mut dyn Disk,
        hole: Range<u64>,
        identity: Option<&Identity>,
        readings: u64,
    ) -> Vec<(Vec<Loss>, Range<u64>)> {
        let parts = self.skip.missing(hole.clone());
        self.damaged += parts.iter().map(|part| part.end - part.start).sum::<u64>();
        let readings = if parts == [hole] { readings } else { 0 };
        parts.into_iter().map(|part| (self.corruption(disk, &part, identity, readings), part)).collect()
    }

    fn corruption(
        &mut self,
        disk: &mut dyn Disk,
        positions: &Range<u64>,
        identity: Option<&Identity>,
        readings: u64,
    ) -> Vec<Loss> {
        let maybe_delivered = positions.start < self.handed;
        match identity {
            Some(identity) => vec![Loss::of(self.class, identity, LossCause::Corruption, maybe_delivered)],
            None => self.nameless(disk, positions, readings),
        }
    }

    /// The readings in a hole that ends at `end`; where the frames could not tell, the next segment's header may.
    fn readings_between(&mut self, disk: &mut dyn Disk, end: u64, (before, after): Totals) -> u64 {
        let Some(before) = before else { return 0 };
        let after = after.or_else(|| self.total_at(disk, end));
        after.map_or(0, |after| after.saturating_sub(before))
    }

    fn total_at(&mut self, disk: &mut dyn Disk, position: u64) -> Option<u64> {
        if position == self.durable {
            return Some(self.total);
        }
        let walk = Walk::open(disk, self.class, position).ok()?;
        disk.close(walk.file);
        walk.total()
    }

    /// Hand out again whatever is not done.
    pub(crate) fn rewind(&mut self, disk: &mut dyn Disk) {
        self.close_reader(disk);
        self.ahead.forget();
        self.read = 0;
    }

    /// Also the one that reads ahead.
    pub(crate) fn close_reader(&mut self, disk: &mut dyn Disk) {
        for reader in [self.reader.take(), self.ahead.reader.take()].into_iter().flatten() {
            disk.close(reader.walk.file);
        }
    }

    pub(crate) fn forget_reader(&mut self, disk: &mut dyn Disk, first: u64) {
        if [&self.reader, &self.ahead.reader].into_iter().flatten().any(|reader| reader.first == first) {
            self.close_reader(disk);
        }
    }

    /// What would be lost if everything in `range` that is not skipped were given up.
    pub(crate) fn survey(&mut self, disk: &mut dyn Disk, range: Range<u64>) -> Result<Vec<Loss>, DiskError> {
        let mut losses = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let first = self.segments.range(..=at).next_back().map(|(first, _)| *first);
            let end = match first {
                Some(first) => self.end_of(first),
                None => self.segments.keys().next().map_or(range.end, |first| *first),
            };
            let end = end.clamp(at + 1, range.end);
            match first.map(|first| Walk::open(disk, self.class, first)) {
                Some(Ok(mut walk)) => {
                    let surveyed = self.survey_segment(disk, &mut walk, at..end, &mut losses);
                    disk.close(walk.file);
                    surveyed?;
                }
                Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => losses.extend(self.missing(disk, at..end, None, 0).into_iter().flat_map(|(losses, _)| losses)),
            }
            at = end;
        }
        Ok(merge(losses))
    }

    fn survey_segment(
        &mut self,
        disk: &mut dyn Disk,
        walk: &mut Walk,
        range: Range<u64>,
        losses: &mut Vec<Loss>,
    ) -> Result<(), DiskError> {
        loop {
            match walk.step(disk, range.start, Some(range.end), OnError::GoOn)? {
                Found::Frame { header, payload, .. } if !self.skip.contains(header.place.position) => {
                    let maybe_delivered = header.place.position < self.handed;
                    let loss = Loss::of(self.class, &header.identity, LossCause::Overflow, maybe_delivered);
                    losses.push(loss.with_note(&header.identity, &payload));
                }
                Found::Frame { .. } => {}
                Found::Damage { from, to, header, before, after } => {
                    let readings = self.readings_between(disk, to, (before, after));
                    let identity = header.map(|header| header.identity);
                    let missing = self.missing(disk, from.max(range.start)..to, identity.as_ref(), readings);
                    losses.extend(missing.into_iter().flat_map(|(losses, _)| losses));
                }
                Found::End => return Ok(()),
            }
        }
    }
}

/// What a reader finds at `read` in the segment `first`, which ends at `end`. `None`: the segment's file is not there.
pub(crate) fn step(
    reader: &mut Option<Reader>,
    disk: &mut dyn Disk,
    (class, first): (Priority, u64),
    read: u64,
    end: u64,
) -> Result<Option<Found>, DiskError> {
    if !reader.as_ref().is_some_and(|reader| reader.first == first && reader.walk.position() <= read) {
        if let Some(other) = reader.take() {
            disk.close(other.walk.file);
        }
        let walk = match Walk::open(disk, class, first) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        *reader = Some(Reader { first, walk, failures: 0 });
    }
    let reader = reader.as_mut().expect("it was opened");
    let on_error = if reader.failures < READ_ATTEMPTS { OnError::Tell } else { OnError::GoOn };
    let found = reader.walk.step(disk, read, Some(end), on_error);
    reader.failures = if found.is_ok() { 0 } else { reader.failures.saturating_add(1) };
    found.map(Some)
}
