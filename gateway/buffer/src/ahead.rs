//! Records that are handed out before their turn: live data of a stream that does not wait behind its own backlog.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::frame::Identity;
use crate::log::Log;
use crate::reading::{Reader, step};
use crate::segment::Found;
use crate::{Disk, DiskError};

/// What was acknowledged out of order is remembered as ranges; with more of them, everything takes its turn again.
const RANGES_MAX: usize = 16_384;

/// A second place at which a log is read.
#[derive(Default)]
pub(crate) struct Ahead {
    read: u64,
    /// Handed out from here and not done; gone over when their turn comes.
    handed: BTreeSet<u64>,
    pub(crate) reader: Option<Reader>,
}

impl Ahead {
    pub(crate) fn forget(&mut self) {
        self.read = 0;
        self.handed.clear();
    }

    pub(crate) fn remove(&mut self, positions: &Range<u64>) {
        let done: Vec<u64> = self.handed.range(positions.clone()).copied().collect();
        for position in done {
            self.handed.remove(&position);
        }
    }
}

impl Log {
    /// The first position at or behind the reader that is neither done nor lost nor handed out ahead.
    pub(crate) fn next_waiting(&self) -> u64 {
        self.waiting_from(self.read)
    }

    fn waiting_from(&self, read: u64) -> u64 {
        let mut at = self.skip.next_missing(read);
        while self.ahead.handed.contains(&at) {
            at = self.skip.next_missing(at + 1);
        }
        at
    }

    /// The next record at or behind `from` that is meant. What is damaged or lost there is told when its turn comes.
    pub(crate) fn next_ahead(
        &mut self,
        disk: &mut dyn Disk,
        from: u64,
        is_meant: &dyn Fn(&Identity) -> bool,
    ) -> Result<Option<(u64, Identity, Vec<u8>)>, DiskError> {
        loop {
            let read = self.waiting_from(self.ahead.read.max(from).max(self.read));
            self.ahead.read = read;
            if read >= self.durable || self.done.ranges() >= RANGES_MAX || !self.may_hand_out(read) {
                return Ok(None);
            }
            let Some((&first, _)) = self.segments.range(..=read).next_back() else { return Ok(None) };
            let end = self.end_of(first);
            let (class, reader) = (self.class, &mut self.ahead.reader);
            let Some(found) = step(reader, disk, (class, first), read, end)? else { return Ok(None) };
            match found {
                Found::Frame { header, payload, .. } => {
                    let position = header.place.position;
                    self.ahead.read = position + 1;
                    let is_dead = self.dead.get(&header.identity.alias) == Some(&header.identity.kid);
                    let waits = position >= read && self.waiting_from(position) == position;
                    if waits && !is_dead && !header.identity.is_purged() && is_meant(&header.identity) {
                        self.ahead.handed.insert(position);
                        self.hand_out(position, header.identity.readings, header.place.utc);
                        return Ok(Some((position, header.identity, payload)));
                    }
                }
                Found::Damage { to, .. } => self.ahead.read = to.max(read + 1),
                Found::End => self.ahead.read = end.max(read + 1),
            }
        }
    }
}
