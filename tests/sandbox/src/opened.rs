//! What a receiver hands on: opened records, in the order in which they were taken.

use std::fmt;
use std::sync::Arc;

use lingate_model::{DeviceTime, Origin, StatusCode, UtcMicros, Value};
use lingate_seal::{Kid, wire};

use crate::store::Alarm;

#[derive(Clone, Debug)]
pub enum Event {
    Batch(OpenedBatch),
    Gap(OpenedGap),
    Duplicate { dataset: Arc<str>, kid: Kid, seq: u64 },
    Alarm(Alarm),
}

#[derive(Clone, Debug)]
pub struct OpenedBatch {
    pub gateway: Arc<str>,
    pub dataset: Arc<str>,
    pub kid: Kid,
    pub seq: u64,
    /// In the order of rows.
    pub readings: Vec<OpenedReading>,
}

/// Debug shows the point only, so that no log line can carry a process value.
#[derive(Clone, PartialEq)]
pub struct OpenedReading {
    /// As the catalogue names it: `device/point`.
    pub point: Arc<str>,
    /// When the gateway had it.
    pub time: UtcMicros,
    /// As the device gave them.
    pub source_time: Option<DeviceTime>,
    pub server_time: Option<DeviceTime>,
    pub origin: Origin,
    /// `None` exactly if `status` is bad.
    pub value: Option<Value>,
    pub status: StatusCode,
}

impl fmt::Debug for OpenedReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedReading {{ point: {:?} }}", self.point)
    }
}

#[derive(Clone, Debug)]
pub struct OpenedGap {
    pub gateway: Arc<str>,
    pub dataset: Arc<str>,
    pub kid: Kid,
    pub seq: u64,
    pub gap: wire::Gap,
}
