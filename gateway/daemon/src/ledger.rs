//! Which slots of a running session are accounted for, so that those it takes with it can be told.

use std::collections::BTreeMap;
use std::time::Duration;

use lingate_drivers::{DeviceEvent, Point};
use lingate_model::{DeviceName, Missed, MissedCause, Now, PointId, UtcMicros};

/// Every point has a grid of slots, `since + k * interval`, from the begin of the session on.
pub(crate) struct Ledger {
    since: Duration,
    /// Slots that gave a reading or were told as missed, by point.
    told: BTreeMap<PointId, u64>,
}

impl Ledger {
    pub(crate) fn start(now: Now) -> Ledger {
        Ledger { since: now.monotonic, told: BTreeMap::new() }
    }

    pub(crate) fn enter(&mut self, event: &DeviceEvent) {
        let mut count = |point: PointId, slots: u64| {
            let told = self.told.entry(point).or_default();
            *told = told.saturating_add(slots);
        };
        match event {
            DeviceEvent::Readings(readings) => readings.iter().for_each(|reading| count(reading.point, 1)),
            DeviceEvent::Missed(missed) => missed.slots.iter().for_each(|(point, slots)| count(*point, *slots)),
            DeviceEvent::Report(..) => {}
        }
    }

    /// The slots that were due until now and that nothing was told of.
    pub(crate) fn rest(&self, device: &DeviceName, points: &[Point], now: Now) -> Option<Missed> {
        let ago = now.monotonic.saturating_sub(self.since).as_nanos();
        let mut oldest = None;
        let mut slots = Vec::new();
        for point in points {
            let interval = point.interval.as_nanos().max(1);
            let told = self.told.get(&point.id).copied().unwrap_or(0);
            let due = u64::try_from(ago / interval + 1).unwrap_or(u64::MAX);
            if due > told {
                slots.push((point.id, due - told));
                // The slots of a point are told in their order.
                oldest = oldest.max(Some(ago - interval * u128::from(told)));
            }
        }
        let age = i64::try_from(oldest? / 1000).unwrap_or(i64::MAX);
        let from = UtcMicros(now.utc.0.saturating_sub(age));
        Some(Missed { device: device.clone(), from, to: now.utc, slots, cause: MissedCause::Overload })
    }
}
