use lingate_seal::GapRecord;

use super::{Denied, Stream};

impl Stream {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The dataset goes on under another policy: its counts, what it has to declare, and where its last epoch ended. Its
    /// epoch has been closed, and it has no grant yet.
    pub(crate) fn replan(&mut self, new: Stream) {
        self.points = new.points;
        self.description = new.description;
        self.grant = new.grant;
        self.slots.hold_for(new.slots.hold());
    }

    /// The configuration has it no more. What is on disk goes its way without it; gives what others can declare.
    pub(crate) fn retire(&mut self) -> [Vec<GapRecord>; 2] {
        self.points.clear();
        self.description = super::Description::default();
        self.grant = Err(Denied::retired());
        self.alias = None;
        [self.gaps.take_records(), self.told.take_records()]
    }

    pub(crate) fn declare_for_another(&mut self, [gaps, told]: [Vec<GapRecord>; 2]) {
        gaps.into_iter().for_each(|gap| self.gaps.add(gap));
        told.into_iter().for_each(|gap| self.told.add_as_told(gap));
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.grant.as_ref().is_err_and(Denied::is_retired)
    }
}
