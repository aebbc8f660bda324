use std::collections::BTreeMap;
use std::time::Duration;

use lingate_model::{DeviceName, Missed, MissedCause, Now, PointId, UtcMicros};

/// Up to when the slots of each point are told, by readings or as missed. A subscribed point whose subscription lives
/// needs no telling: its slots without reading are slots without change.
#[derive(Debug)]
pub(crate) struct Accounts {
    told: Vec<Duration>,
}

/// Slots that are missed for one reason, being gathered.
#[derive(Debug, Default)]
pub(crate) struct Debt {
    slots: BTreeMap<PointId, u64>,
    from: Option<Duration>,
}

impl Accounts {
    pub(crate) fn new(points: usize, start: Duration) -> Accounts {
        Accounts { told: vec![start; points] }
    }

    /// Everything up to then is told.
    pub(crate) fn settle(&mut self, point: usize, until: Duration) {
        self.told[point] = self.told[point].max(until);
    }

    /// Puts the slots of a point that were due until then, and are not told, into the debt.
    pub(crate) fn owe(&mut self, debt: &mut Debt, point: usize, id: PointId, interval: Duration, until: Duration) {
        let from = self.told[point];
        let due = until.saturating_sub(from).as_nanos() / interval.as_nanos().max(1);
        let Some(slots) = u64::try_from(due).ok().filter(|slots| *slots > 0) else { return };
        let settled = interval.as_nanos().saturating_mul(due);
        self.told[point] = from.saturating_add(Duration::from_nanos(u64::try_from(settled).unwrap_or(u64::MAX)));
        debt.add(id, slots, from);
    }
}

impl Debt {
    pub(crate) fn add(&mut self, id: PointId, slots: u64, from: Duration) {
        let owed = self.slots.entry(id).or_default();
        *owed = owed.saturating_add(slots);
        self.from = Some(self.from.map_or(from, |earliest| earliest.min(from)));
    }

    pub(crate) fn merge(&mut self, other: Debt) {
        let Some(from) = other.from else { return };
        other.slots.into_iter().for_each(|(id, slots)| self.add(id, slots, from));
    }

    /// `None`: nothing is owed.
    pub(crate) fn into_missed(self, device: &DeviceName, cause: MissedCause, now: Now) -> Option<Missed> {
        let from = utc_at(self.from?, now);
        let slots = self.slots.into_iter().collect();
        // The wall clock may have been set back meanwhile.
        Some(Missed { device: device.clone(), from: from.min(now.utc), to: now.utc.max(from), slots, cause })
    }
}

/// What the wall clock showed then, as far as it shows the right time now.
pub(crate) fn utc_at(monotonic: Duration, now: Now) -> UtcMicros {
    let ago = now.monotonic.saturating_sub(monotonic).as_micros();
    UtcMicros(now.utc.0.saturating_sub(i64::try_from(ago).unwrap_or(i64::MAX)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::ClockState;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn every_slot_is_owed_once_and_no_part_of_one_is_lost_between_two_tellings() {
        let mut accounts = Accounts::new(1, ms(1_000));
        let mut told = 0;
        for until in [1_099, 1_100, 1_250, 1_250, 1_390, 2_000] {
            let mut debt = Debt::default();
            accounts.owe(&mut debt, 0, PointId(7), ms(100), ms(until));
            told += debt.slots.values().sum::<u64>();
        }
        assert_eq!(told, 10);
        accounts.settle(0, ms(500));
        let mut debt = Debt::default();
        accounts.owe(&mut debt, 0, PointId(7), ms(100), ms(2_099));
        assert!(debt.slots.is_empty());
    }

    #[test]
    fn a_debt_begins_where_its_first_slot_was_due() {
        let mut accounts = Accounts::new(2, ms(1_000));
        accounts.settle(1, ms(400));
        let mut debt = Debt::default();
        accounts.owe(&mut debt, 1, PointId(9), ms(100), ms(1_500));
        accounts.owe(&mut debt, 0, PointId(8), ms(200), ms(1_500));
        let now = Now { monotonic: ms(2_000), utc: UtcMicros(50_000_000), clock: ClockState::Synced };
        let device: DeviceName = "etch-3".parse().unwrap();
        let missed = debt.into_missed(&device, MissedCause::DeviceDown, now).unwrap();
        assert_eq!((missed.from, missed.to), (UtcMicros(49_000_000), UtcMicros(50_000_000)));
        assert_eq!(missed.slots, [(PointId(8), 2), (PointId(9), 5)]);
        assert_eq!(Debt::default().into_missed(&device, MissedCause::DeviceDown, now), None);
    }
}
