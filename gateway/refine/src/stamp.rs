use std::time::Duration;

use lingate_model::{DeviceTime, Origin, Reading, UtcMicros};

/// When and how a reading came: as it came, unless a step makes times coarser (M10) or one value of many (M5).
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

    /// M10: every time goes back to a multiple of `to` since 1970 (UTC).
    pub(crate) fn coarsen(&mut self, to: Duration) {
        let micros = i64::try_from(to.as_micros()).unwrap_or(i64::MAX).max(1);
        let back = |time: i64, by: i64| time.saturating_sub(time.rem_euclid(by));
        let unix_epoch = DeviceTime::from(UtcMicros(0)).0;
        let device = |DeviceTime(ticks): DeviceTime| {
            let since = ticks.saturating_sub(unix_epoch);
            DeviceTime(back(since, micros.saturating_mul(10)).saturating_add(unix_epoch))
        };
        self.gateway_time = UtcMicros(back(self.gateway_time.0, micros));
        self.source_time = self.source_time.map(device);
        self.server_time = self.server_time.map(device);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_times_are_multiples_since_1970_and_never_later() {
        let time = |micros: i64| Some(DeviceTime(DeviceTime::from(UtcMicros(micros)).0 + 7));
        let stamp = |gateway: i64| Stamp {
            gateway_time: UtcMicros(gateway),
            source_time: time(gateway - 5),
            server_time: None,
            origin: Origin::Live,
        };
        for (gateway, told, source) in
            [(2_999_999, 2_000_000, 2_000_000), (2_000_000, 2_000_000, 1_000_000), (-1, -1_000_000, -1_000_000)]
        {
            let mut coarse = stamp(gateway);
            coarse.coarsen(Duration::from_secs(1));
            assert_eq!(coarse.gateway_time, UtcMicros(told));
            assert_eq!(coarse.source_time, Some(UtcMicros(source).into()), "{gateway}");
            assert_eq!(coarse.server_time, None);
        }
    }
}
