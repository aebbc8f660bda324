use std::collections::VecDeque;

use lingate_model::Now;

use crate::batch::{Batch, Batcher};
use crate::count::Tally;
use crate::minimized::{Item, Minimized};
use crate::tag::Rule;
use crate::{PseudonymKey, StepId};

/// Where the steps of one point give what becomes of its readings: every item once.
pub(crate) struct Outlet<'a> {
    pub(crate) now: Now,
    pub(crate) rule: &'a Rule,
    /// The point's steps, M1 and M2 first.
    pub(crate) path: &'a [StepId],
    pub(crate) tally: &'a mut Tally,
    pub(crate) batcher: &'a mut Batcher,
    /// Of the dataset, for M11.
    pub(crate) pseudonyms: Option<&'a PseudonymKey>,
    /// Batches that were filled.
    pub(crate) ready: &'a mut VecDeque<Batch>,
}

impl Outlet<'_> {
    pub(crate) fn suppress(&mut self, item: &Item, by: StepId) {
        self.tally.settle(self.path, item.readings, Some(by));
    }

    pub(crate) fn keep(&mut self, item: Item) {
        let Item { stamp, value, status, readings, .. } = item;
        self.tally.settle(self.path, readings, None);
        let (dataset, alias) = (self.rule.dataset, self.rule.alias);
        let minimized = Minimized { dataset, alias, stamp, value, status };
        match self.rule.context {
            Some(kind) => self.batcher.push_context(self.now, kind, minimized),
            None => self.batcher.push(self.now, minimized),
        }
        if self.batcher.is_full() {
            self.ready.push_back(self.batcher.close(self.now, self.tally.take()));
        }
    }
}
