use crate::{DeviceName, DeviceTime, PointId, StatusCode, UtcMicros, Value};

/// What a device said about one point, once.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub point: PointId,
    /// `None` exactly when there is nothing to tell: a bad reading never repeats an older value.
    pub value: Option<Value>,
    pub status: StatusCode,
    /// SourceTimestamp, as it came. Modbus has none.
    pub source_time: Option<DeviceTime>,
    /// ServerTimestamp, as it came.
    pub server_time: Option<DeviceTime>,
    /// When the answer was complete at the gateway.
    pub gateway_time: UtcMicros,
    pub origin: Origin,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Origin {
    #[default]
    Live,
    /// Out of the device's own history, to fill what was missed.
    Backfilled,
}

impl Reading {
    pub fn good(point: PointId, value: Value, gateway_time: UtcMicros) -> Reading {
        Reading { value: Some(value), status: StatusCode::GOOD, ..Reading::bad(point, StatusCode::BAD, gateway_time) }
    }

    pub fn bad(point: PointId, status: StatusCode, gateway_time: UtcMicros) -> Reading {
        let (source_time, server_time) = (None, None);
        Reading { point, value: None, status, source_time, server_time, gateway_time, origin: Origin::Live }
    }

    /// When the value was true, as far as anybody told: the source's time, else the gateway's.
    pub fn time(&self) -> UtcMicros {
        self.source_time.map_or(self.gateway_time, DeviceTime::utc)
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

impl Missed {
    /// What was read before this time is not known any more. A change that was lost may be newer than all that was read.
    pub fn unknown_from(&self) -> UtcMicros {
        match self.cause {
            MissedCause::NotificationLost => self.to,
            _ => self.from,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MissedCause {
    /// The device could not be reached.
    DeviceDown,
    /// The gateway itself was late or its queue was full.
    Overload,
    /// The point was set aside after it failed again and again, and was not asked.
    Quarantine,
    /// The device threw changes away before they were fetched (OPC UA overflow bit); at least so many.
    DeviceOverflow,
    /// The device sent changes that did not arrive, and could not send them again.
    NotificationLost,
    /// The device answered with what its protocol forbids, again and again, and was given up for it.
    DecodeFailure,
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
