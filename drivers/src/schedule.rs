use std::time::Duration;

/// When polled groups are due. Every group has a grid of slots, `start + k * interval`; a slot is either served or
/// told to the caller as lost, so that the sum is exact. Holds no clock: all times are monotonic and come in.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    grids: Vec<Grid>,
}

#[derive(Clone, Copy, Debug)]
struct Grid {
    interval: Duration,
    due: Duration,
}

/// Consecutive slots of one group that were due and will not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) group: usize,
    pub(crate) slots: u64,
    /// When the first and the last of them were due.
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// The first readings of a device come within this time, however rare they are.
const SPREAD_MAX: Duration = Duration::from_secs(5);

impl Schedule {
    /// Every group is due at `start`. `intervals` are at least a millisecond.
    pub(crate) fn new(start: Duration, intervals: impl IntoIterator<Item = Duration>) -> Schedule {
        let grid = |interval: Duration| Grid { interval: interval.max(Duration::from_millis(1)), due: start };
        Schedule { grids: intervals.into_iter().map(grid).collect() }
    }

    /// Spread over their intervals, so that the groups of a device and the devices of a plant are not all due at once:
    /// each group begins within its interval and within 5 s, at a place that follows from `name` and stays the same.
    pub(crate) fn staggered(start: Duration, name: &str, intervals: impl IntoIterator<Item = Duration>) -> Schedule {
        let mut schedule = Schedule::new(start, intervals);
        let mut place =
            name.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        for grid in &mut schedule.grids {
            let within = u64::try_from(grid.interval.min(SPREAD_MAX).as_millis()).unwrap_or(0);
            grid.due = start.saturating_add(Duration::from_millis((within * u64::from(place)) >> 32));
            // The golden ratio: however many groups, none lie close together.
            place = place.wrapping_add(0x9E37_79B9);
        }
        schedule
    }

    /// The group that is due first, and when; of several, the first. `None` without groups.
    pub(crate) fn next(&self) -> Option<(usize, Duration)> {
        self.grids.iter().enumerate().map(|(group, grid)| (group, grid.due)).min_by_key(|(_, due)| *due)
    }

    pub(crate) fn due_at(&self, group: usize) -> Duration {
        self.grids[group].due
    }

    /// Takes the newest slot of `group` that is due at `now` in order to serve it; the older ones are lost.
    pub(crate) fn claim(&mut self, group: usize, now: Duration) -> Option<Lost> {
        let slots = self.grids[group].slots_due(now).saturating_sub(1);
        let lost = self.grids[group].skip(group, slots);
        self.grids[group].skip(group, 1);
        lost
    }

    /// Gives up every slot that is due at `now`.
    pub(crate) fn give_up(&mut self, now: Duration) -> Vec<Lost> {
        let give_up = |(group, grid): (usize, &mut Grid)| grid.skip(group, grid.slots_due(now));
        self.grids.iter_mut().enumerate().filter_map(give_up).collect()
    }
}

impl Grid {
    fn slots_due(&self, now: Duration) -> u64 {
        let Some(late) = now.checked_sub(self.due) else { return 0 };
        u64::try_from(late.as_nanos() / self.interval.as_nanos() + 1).unwrap_or(u64::MAX)
    }

    fn skip(&mut self, group: usize, slots: u64) -> Option<Lost> {
        let last = self.interval_times(slots.checked_sub(1)?);
        let lost = Lost { group, slots, from: self.due, to: self.due.saturating_add(last) };
        self.due = lost.to.saturating_add(self.interval);
        Some(lost)
    }

    fn interval_times(&self, count: u64) -> Duration {
        let nanos = self.interval.as_nanos().saturating_mul(u128::from(count));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_late_poll_keeps_the_cadence_and_tells_what_it_skipped() {
        let mut schedule = Schedule::new(ms(1000), [ms(500)]);
        assert_eq!(schedule.next(), Some((0, ms(1000))));
        assert_eq!(schedule.claim(0, ms(1003)), None);
        assert_eq!(schedule.next(), Some((0, ms(1500))));
        let lost = Lost { group: 0, slots: 2, from: ms(1500), to: ms(2000) };
        assert_eq!(schedule.claim(0, ms(2999)), Some(lost));
        assert_eq!(schedule.next(), Some((0, ms(3000))));
    }

    #[test]
    fn an_hour_asleep_is_counted_to_the_slot() {
        let mut schedule = Schedule::new(ms(0), [ms(10), ms(1000)]);
        let hour = Duration::from_secs(3600);
        let slots: Vec<_> = schedule.give_up(hour).iter().map(|lost| (lost.group, lost.slots)).collect();
        assert_eq!(slots, [(0, 360_001), (1, 3601)]);
        assert_eq!(schedule.give_up(hour), []);
    }

    proptest! {
        #[test]
        fn every_slot_is_served_or_lost_exactly_once(
            intervals in prop::collection::vec(1..200_u64, 1..4),
            waits in prop::collection::vec(0..700_u64, 0..60),
        ) {
            let mut schedule = Schedule::new(ms(5), intervals.iter().map(|interval| ms(*interval)));
            let mut counted = vec![0; intervals.len()];
            let mut now = 0;
            for wait in waits {
                now += wait;
                let (group, due) = schedule.next().unwrap();
                if due <= ms(now) {
                    counted[group] += 1 + schedule.claim(group, ms(now)).map_or(0, |lost| lost.slots);
                }
            }
            for lost in schedule.give_up(ms(now)) {
                counted[lost.group] += lost.slots;
            }
            for (interval, counted) in intervals.iter().zip(counted) {
                prop_assert_eq!(counted, (0..).map(|k| 5 + k * interval).take_while(|due| *due <= now).count() as u64);
            }
        }
    }
}
