//! Which slots of a running session are accounted for, so that those it takes with it can be told.

use std::time::Duration;

use lingate_drivers::{Acquisition, DeviceEvent, Point};
use lingate_model::{DeviceName, Missed, MissedCause, Now, Origin, PointId, Reading, UtcMicros};

/// Every polled point has a grid of slots, `since + k * interval`, from the begin of the session on. A subscribed point
/// has none: its device says what changes, and only from its last word on nobody knows.
pub(crate) struct Ledger {
    began: Now,
    last_event: Duration,
    has_ended: bool,
    /// Slots that gave a reading or were told as missed, by point behind `first`: a device's points are numbered densely.
    told: Vec<u64>,
    first: PointId,
    /// The downtime before the session, as far as nothing was told of it. The session's to tell once it took it.
    downtime: Option<Missed>,
}

impl Ledger {
    pub(crate) fn start(now: Now, points: &[Point], downtime: Option<Missed>) -> Ledger {
        let first = points.iter().map(|point| point.id).min().unwrap_or(PointId(0));
        let beyond = points.iter().map(|point| point.id.index() + 1).max().unwrap_or(0);
        let told = vec![0; beyond - first.index().min(beyond)];
        Ledger { began: now, last_event: now.monotonic, has_ended: false, told, first, downtime }
    }

    pub(crate) fn enter(&mut self, now: Now, event: &DeviceEvent) {
        self.last_event = now.monotonic;
        match event {
            DeviceEvent::Readings(readings) => readings.iter().for_each(|reading| self.enter_reading(reading)),
            DeviceEvent::Missed(missed) if self.is_of_downtime(missed) => {
                missed.slots.iter().for_each(|(point, slots)| self.fill(*point, *slots));
            }
            DeviceEvent::Missed(missed) => missed.slots.iter().for_each(|(point, slots)| self.tell(*point, *slots)),
            DeviceEvent::Report(..) => {}
        }
    }

    /// By itself, not cut: then subscribed points have nothing left to tell.
    pub(crate) fn ended(&mut self) {
        self.has_ended = true;
    }

    fn enter_reading(&mut self, reading: &Reading) {
        match reading.origin {
            Origin::Live => self.tell(reading.point, 1),
            Origin::Backfilled => self.fill(reading.point, 1),
        }
    }

    fn is_of_downtime(&self, missed: &Missed) -> bool {
        self.downtime.as_ref().is_some_and(|downtime| missed.from <= downtime.to)
    }

    fn tell(&mut self, point: PointId, slots: u64) {
        if let Some(told) = self.place(point).and_then(|place| self.told.get_mut(place)) {
            *told = told.saturating_add(slots);
        }
    }

    fn place(&self, point: PointId) -> Option<usize> {
        point.index().checked_sub(self.first.index())
    }

    fn fill(&mut self, point: PointId, slots: u64) {
        let owed = self.downtime.iter_mut().flat_map(|downtime| &mut downtime.slots);
        owed.filter(|(id, _)| *id == point).for_each(|(_, owed)| *owed = owed.saturating_sub(slots));
    }

    /// Of the downtime that a session took and was cut before it told all of it. `None` after an end by itself.
    pub(crate) fn untold_downtime(&mut self) -> Option<Missed> {
        let mut downtime = self.downtime.take().filter(|_| !self.has_ended)?;
        downtime.slots.retain(|(_, owed)| *owed > 0);
        (!downtime.slots.is_empty()).then_some(downtime)
    }

    /// The slots that were due until now and that nothing was told of.
    pub(crate) fn rest(&self, device: &DeviceName, points: &[Point], now: Now) -> Option<Missed> {
        let mut oldest = None;
        let mut slots = Vec::new();
        for point in points {
            let (rest, age) = match point.acquisition {
                Acquisition::Polled => self.rest_of_polled(point, now),
                Acquisition::Subscribed => self.rest_of_subscribed(point, now),
            };
            if rest > 0 {
                slots.push((point.id, rest));
                oldest = oldest.max(Some(age));
            }
        }
        let age = i64::try_from(oldest? / 1000).unwrap_or(i64::MAX);
        let from = UtcMicros(now.utc.0.saturating_sub(age));
        Some(Missed { device: device.clone(), from, to: now.utc, slots, cause: MissedCause::Overload })
    }

    /// How many, and for how many nanoseconds the first of them is due.
    fn rest_of_polled(&self, point: &Point, now: Now) -> (u64, u128) {
        let ago = now.monotonic.saturating_sub(self.began.monotonic).as_nanos();
        let interval = point.interval.as_nanos().max(1);
        let told = self.place(point.id).and_then(|place| self.told.get(place)).copied().unwrap_or(0);
        let due = u64::try_from(ago / interval + 1).unwrap_or(u64::MAX);
        // The slots of a point are told in their order.
        (due.saturating_sub(told), ago.saturating_sub(interval.saturating_mul(u128::from(told))))
    }

    fn rest_of_subscribed(&self, point: &Point, now: Now) -> (u64, u128) {
        if self.has_ended {
            return (0, 0);
        }
        let silent = now.monotonic.saturating_sub(self.last_event).as_nanos();
        (u64::try_from(silent / point.interval.as_nanos().max(1)).unwrap_or(u64::MAX), silent)
    }
}
