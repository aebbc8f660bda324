use lingate_model::{StatusCode, UtcMicros, Value};

use crate::{DatasetIndex, Stamp};

/// A reading that passed every step of its point. Only these enter a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimized {
    pub(crate) dataset: DatasetIndex,
    pub(crate) alias: u32,
    pub(crate) stamp: Stamp,
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
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }
    /// [`Stamp::slot_time`]
    pub fn time(&self) -> UtcMicros {
        self.stamp.slot_time()
    }
    pub fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

/// What goes through a point's steps: one reading, or the one value that a window made of many.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) stamp: Stamp,
    pub(crate) value: Option<Value>,
    pub(crate) status: StatusCode,
    /// [`PointClock`] time.
    pub(crate) at: i64,
    /// How many readings it bears.
    pub(crate) readings: u64,
}
