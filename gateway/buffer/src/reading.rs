//! How records get out of a log again, and what is told about those that do not.

use std::ops::Range;

use lingate_model::UtcMicros;

use crate::frame::Identity;
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
            self.read = self.skip.next_missing(self.read);
            let is_again = self.in_flight.contains_key(&self.read);
            if self.losses.len() >= LOSSES_MAX
                || self.read >= self.durable
                || (self.in_flight.len() >= IN_FLIGHT && !is_again)
            {
                return Ok(None);
            }
            let Some(first) = self.segments.range(..=self.read).next_back().map(|(first, _)| *first) else {
                let to = self.segments.keys().next().map_or(self.durable, |first| (*first).min(self.durable));
                let before = (self.read == self.done.floor()).then_some(self.retired);
                self.lose(disk, self.read..to, None, (before, None));
                continue;
            };
            let end = self.end_of(first);
            let Some(found) = self.step(disk, first, end)? else {
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
                    if header.identity.is_purged() {
                        self.lose_purged(position, &header, &payload);
                        continue;
                    }
                    if self.dead.get(&header.identity.alias) == Some(&header.identity.kid) {
                        self.lose_dead(position, &header.identity, &payload);
                        continue;
                    }
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

    /// A record of an epoch that nobody could understand.
    fn lose_dead(&mut self, position: u64, identity: &Identity, payload: &[u8]) {
        let (positions, maybe_delivered) = (position..position + 1, position < self.handed);
        self.read = positions.end;
        self.in_flight.remove(&position);
        self.skip.insert(positions.clone());
        let loss = Loss::of(self.class, identity, LossCause::Overflow, maybe_delivered);
        self.losses.push(vec![loss.with_note(identity, payload)], positions);
    }

    fn hand_out(&mut self, position: u64, readings: u32, utc: UtcMicros) {
        self.in_flight.insert(position, (readings, utc));
        self.read = position + 1;
        self.handed = self.handed.max(self.read);
    }

    /// `None`: the segment's file is not there.
    fn step(&mut self, disk: &mut dyn Disk, first: u64, end: u64) -> Result<Option<Found>, DiskError> {
        let fits = |reader: &Reader| reader.first == first && reader.walk.position() <= self.read;
        if !self.reader.as_ref().is_some_and(fits) {
            self.close_reader(disk);
            let walk = match Walk::open(disk, self.class, first) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                other => other?,
            };
            self.reader = Some(Reader { first, walk, failures: 0 });
        }
        let reader = self.reader.as_mut().expect("it was opened");
        let on_error = if reader.failures < READ_ATTEMPTS { OnError::Tell } else { OnError::GoOn };
        let found = reader.walk.step(disk, self.read, Some(end), on_error);
        reader.failures = if found.is_ok() { 0 } else { reader.failures.saturating_add(1) };
        found.map(Some)
    }

    /// A record that was handed out by the log and is no sealed message.
    pub(crate) fn lose_unsealed(&mut self, position: u64, identity: &Identity) {
        self.in_flight.remove(&position);
        self.tell_missing(position..position + 1, Some(identity), u64::from(identity.readings));
    }

    /// Positions that were durable and cannot be read: told once, done when declared.
    fn lose(&mut self, disk: &mut dyn Disk, hole: Range<u64>, identity: Option<&Identity>, totals: Totals) {
        let readings = self.readings_between(disk, hole.end, totals);
        self.read = self.read.max(hole.end);
        self.tell_missing(hole, identity, readings);
    }

    fn tell_missing(&mut self, hole: Range<u64>, identity: Option<&Identity>, readings: u64) {
        for (loss, missing) in self.missing(hole, identity, readings) {
            self.bury(&loss);
            self.skip.insert(missing.clone());
            self.losses.push(vec![loss], missing);
        }
    }

    /// The parts of a hole that nobody has given up or told of yet.
    fn missing(&mut self, hole: Range<u64>, identity: Option<&Identity>, readings: u64) -> Vec<(Loss, Range<u64>)> {
        let parts = self.skip.missing(hole.clone());
        self.damaged += parts.iter().map(|part| part.end - part.start).sum::<u64>();
        let readings = if parts == [hole] { readings } else { 0 };
        parts.into_iter().map(|part| (self.corruption(&part, identity, readings), part)).collect()
    }

    fn corruption(&self, positions: &Range<u64>, identity: Option<&Identity>, readings: u64) -> Loss {
        let maybe_delivered = positions.start < self.handed;
        match identity {
            Some(identity) => Loss::of(self.class, identity, LossCause::Corruption, maybe_delivered),
            None => Loss::unknown(self.class, positions.end - positions.start, readings, maybe_delivered),
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
        self.read = 0;
    }

    pub(crate) fn close_reader(&mut self, disk: &mut dyn Disk) {
        if let Some(reader) = self.reader.take() {
            disk.close(reader.walk.file);
        }
    }

    pub(crate) fn forget_reader(&mut self, disk: &mut dyn Disk, first: u64) {
        if self.reader.as_ref().is_some_and(|reader| reader.first == first) {
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
                _ => losses.extend(self.missing(at..end, None, 0).into_iter().map(|(loss, _)| loss)),
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
                    let missing = self.missing(from.max(range.start)..to, identity.as_ref(), readings);
                    losses.extend(missing.into_iter().map(|(loss, _)| loss));
                }
                Found::End => return Ok(()),
            }
        }
    }
}
