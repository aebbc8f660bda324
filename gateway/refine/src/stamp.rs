use lingate_model::{DeviceTime, Origin, Reading, UtcMicros};

/// When and how a reading came, untouched by every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub gateway_time: UtcMicros,
    pub source_time: Option<DeviceTime>,
    pub server_time: Option<DeviceTime>,
    pub origin: Origin,
}

impl Stamp {
    pub(crate) fn of(reading: &Reading) -> Stamp {
        let &Reading { gateway_time, source_time, server_time, origin, .. } = reading;
        Stamp { gateway_time, source_time, server_time, origin }
    }

    /// Bytes that the device's times may need on the wire.
    pub(crate) fn weight(&self) -> usize {
        const TIME: usize = 10;
        TIME * (usize::from(self.source_time.is_some()) + usize::from(self.server_time.is_some()))
    }

    /// The time of the slot that the reading fills, for gap records and for what is shown: the gateway's, but for a
    /// reading out of the device's history, which was read long after its slot.
    pub fn slot_time(&self) -> UtcMicros {
        match self.origin {
            Origin::Live => self.gateway_time,
            Origin::Backfilled => self.source_time.map_or(self.gateway_time, DeviceTime::utc),
        }
    }
}
