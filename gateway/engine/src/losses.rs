//! What the disk lost, and which stream declares it.

use lingate_buffer::{Disk, Loss};
use lingate_model::Priority;
use lingate_model::defect::{Defect, strikes};

use crate::engine::Engine;
use crate::lost::Lost;

/// More runs of lost records without a stream are counted and not declared by this process.
const ORPHANS_MAX: usize = 4_096;

impl<D: Disk> Engine<D> {
    /// What no gap record says yet is told again at the next start.
    pub(crate) fn hold_losses(&mut self) {
        for priority in Priority::ALL {
            let mut of_class = self.streams.iter().zip(&self.export.datasets).filter(|it| it.1.priority == priority);
            let holds = of_class.any(|(stream, _)| !stream.has_declared_all());
            let waits = self.orphans.iter().any(|loss| loss.priority == priority);
            self.store.hold_losses(priority, holds || waits);
        }
    }

    pub(crate) fn take_losses(&mut self) {
        loop {
            let losses = self.store.losses();
            if losses.is_empty() {
                return;
            }
            for loss in losses.into_iter().filter(|_| !strikes(Defect::GapMissing, 3)) {
                let lost = match self.declarer(&loss) {
                    Some(index) => self.streams[index].lost_on_disk(&loss),
                    None => {
                        let lost = Lost::undeclared(&loss);
                        if self.orphans.len() < ORPHANS_MAX {
                            self.orphans.push(loss);
                        }
                        lost
                    }
                };
                self.lose(lost);
            }
        }
    }

    /// After a reload there may be a stream for what had none. It is counted already.
    pub(crate) fn adopt_orphans(&mut self) {
        for loss in std::mem::take(&mut self.orphans) {
            match self.declarer(&loss) {
                Some(index) => drop(self.streams[index].lost_on_disk(&loss)),
                None => self.orphans.push(loss),
            }
        }
    }

    fn declarer(&self, loss: &Loss) -> Option<usize> {
        let named = loss.alias.as_ref().and_then(|alias| self.stream_of(alias));
        named.or_else(|| self.stream_of_class(loss.priority))
    }
}
