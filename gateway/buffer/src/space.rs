//! How a log makes room: its oldest segment is condemned, told, and removed when the gap record is durable.

use crate::cursor::Save;
use crate::log::Log;
use crate::{Disk, DiskError};

impl Log {
    /// Bytes of segments that only wait for their gap record.
    pub(crate) fn condemned_bytes(&self) -> u64 {
        self.condemned_segments().map(|first| self.segments[&first]).sum()
    }

    fn condemned_segments(&self) -> impl Iterator<Item = u64> {
        let is_condemned = |first: &u64| *first < self.condemned && self.end_of(*first) <= self.condemned;
        self.segments.keys().copied().take_while(is_condemned)
    }

    /// Gives up the oldest segment with a record in it. `false` if there is none. From here on its records are not
    /// handed out, also after a restart: either they are declared, or they are told again.
    pub(crate) fn condemn_oldest(&mut self, disk: &mut dyn Disk) -> Result<bool, DiskError> {
        let oldest = self.segments.keys().copied().find(|first| self.end_of(*first) > self.condemned.max(*first));
        let Some(first) = oldest else { return Ok(false) };
        let (end, before) = (self.end_of(first), self.condemned);
        if self.active.as_ref().is_some_and(|active| active.first == first) {
            self.seal(disk);
        }
        let losses = self.survey(disk, first..end)?;
        self.condemned = end;
        if let Err(error) = self.save(disk, Save::Sync) {
            self.condemned = before;
            return Err(error);
        }
        self.skip.insert(first..end);
        self.forget_reader(disk, first);
        if losses.is_empty() {
            self.retire(first..end, None);
        } else {
            self.losses.push(losses, first..end);
        }
        Ok(true)
    }

    /// Removes condemned segments before their gap record is durable: the last resort of a full disk. If the process
    /// ends before the gap record is written, the next start finds the hole and tells it.
    pub(crate) fn remove_condemned(&mut self, disk: &mut dyn Disk) -> Result<bool, DiskError> {
        let firsts: Vec<u64> = self.condemned_segments().collect();
        let any = !firsts.is_empty();
        if any {
            self.remove_segments(disk, firsts)?;
        }
        Ok(any)
    }
}
