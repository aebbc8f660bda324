use std::time::Duration;

use lingate_model::{Class, Now, Reading};

use crate::{Batch, DatasetIndex, ExportPlan, StepId};

/// Tag, minimize, batch: the three steps for all datasets.
pub struct Refinery {
    _plan: ExportPlan,
}

/// Since the start, over all epochs: what became of a dataset's readings. `read = kept + sum(suppressed)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub read: u64,
    pub kept: u64,
    pub suppressed: Vec<(StepId, u64)>,
}

impl Refinery {
    pub fn new(_plan: ExportPlan) -> Refinery {
        todo!()
    }

    /// Takes one reading; gives a batch when it completes one.
    pub fn refine(&mut self, _now: Now, _reading: Reading) -> Option<Batch> {
        todo!()
    }

    /// A batch whose age is over; call until `None`.
    pub fn due(&mut self, _now: Now) -> Option<Batch> {
        todo!()
    }

    /// The monotonic time at which `due` has something to give.
    pub fn wake_at(&self) -> Option<Duration> {
        todo!()
    }

    /// What is pending of this dataset, even if it is only counts; `None` if there is nothing at all.
    pub fn close(&mut self, _now: Now, _dataset: DatasetIndex) -> Option<Batch> {
        todo!()
    }

    /// `None`: the bundle does not grant the dataset, every reading of it is suppressed by M1.
    pub fn set_ceiling(&mut self, _dataset: DatasetIndex, _ceiling: Option<Class>) {
        todo!()
    }

    pub fn totals(&self, _dataset: DatasetIndex) -> &Totals {
        todo!()
    }

    /// Readings of points that no dataset names (M1).
    pub fn unassigned(&self) -> u64 {
        todo!()
    }
}
