use lingate_model::{StatusCode, UtcMicros, Value};

use crate::{DatasetIndex, StepId};

/// A reading that passed every step of its point. Only these enter a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimized {
    pub(crate) dataset: DatasetIndex,
    pub(crate) alias: u32,
    /// Source time if the device gave one, else gateway time.
    pub(crate) time: UtcMicros,
    /// `None` exactly if `status` is bad.
    pub(crate) value: Option<Value>,
    pub(crate) status: StatusCode,
}

impl Minimized {
    pub fn dataset(&self) -> DatasetIndex {
        self.dataset
    }
    pub fn alias(&self) -> u32 {
        self.alias
    }
    pub fn time(&self) -> UtcMicros {
        self.time
    }
    pub fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

/// What one step did since the batch before: `seen - kept` readings were suppressed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepCount {
    pub step: StepId,
    pub seen: u64,
    pub kept: u64,
}
