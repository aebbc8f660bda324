use crate::{DeviceName, PointId, StatusCode, UtcMicros, Value};

/// What a device said about one point, once.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub point: PointId,
    /// `None` exactly when there is nothing to tell: a bad reading never repeats an older value.
    pub value: Option<Value>,
    pub status: StatusCode,
    /// The device's own time stamp, as it came. Modbus has none.
    pub source_time: Option<UtcMicros>,
    /// When the answer was complete at the gateway.
    pub gateway_time: UtcMicros,
}

impl Reading {
    pub fn good(point: PointId, value: Value, gateway_time: UtcMicros) -> Reading {
        Reading { point, value: Some(value), status: StatusCode::GOOD, source_time: None, gateway_time }
    }

    pub fn bad(point: PointId, status: StatusCode, gateway_time: UtcMicros) -> Reading {
        Reading { point, value: None, status, source_time: None, gateway_time }
    }
}

/// Acquisition slots that gave nothing at all (delivery promise D1): they become a gap record.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    pub device: DeviceName,
    pub from: UtcMicros,
    pub to: UtcMicros,
    /// (point, number of its slots).
    pub slots: Vec<(PointId, u64)>,
    pub cause: MissedCause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MissedCause {
    /// The device could not be reached.
    DeviceDown,
    /// The gateway itself was late or its queue was full.
    Overload,
}

/// What the status shows of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceState {
    Connecting,
    Connected,
    /// With the reason in words, without any process value.
    BackingOff {
        reason: String,
    },
}
