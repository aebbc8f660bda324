use lingate_model::ClockState;

use crate::{DatasetIndex, Minimized, StepCount};

/// The minimized readings of one dataset, in the order in which they were read, with the counts of every step.
/// A batch without readings carries only counts: the last word of an epoch in which everything was suppressed.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub(crate) dataset: DatasetIndex,
    pub(crate) readings: Vec<Minimized>,
    pub(crate) steps: Vec<StepCount>,
    pub(crate) clock: ClockState,
}

impl Batch {
    pub fn dataset(&self) -> DatasetIndex {
        self.dataset
    }
    pub fn readings(&self) -> &[Minimized] {
        &self.readings
    }
    /// Ascending by step; steps that no point of the dataset uses are left out.
    pub fn steps(&self) -> &[StepCount] {
        &self.steps
    }
    pub fn clock(&self) -> ClockState {
        self.clock
    }
}
