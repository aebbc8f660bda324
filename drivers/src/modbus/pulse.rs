//! Whether a device lives behind its answers: points that must change, and what holds while one of them does not. A
//! controller that hangs, a converter that repeats what it read last and a recording that somebody plays back all answer
//! in time and in order; only a counter that stands still tells of them. Pure: the time comes in.

use lingate_model::{Heartbeat, UtcMicros, Value};

/// Of one device, as long as the gateway runs.
#[derive(Default)]
pub(crate) struct Pulse {
    beats: Vec<Beat>,
    /// Readings whose value was told as no longer updated.
    stale: u64,
}

struct Beat {
    /// Index into the plan's points.
    point: usize,
    source: String,
    /// So many equal values in a row mean that it stands still.
    limit: u32,
    newest: Option<Value>,
    equal: u32,
    /// When the first of the equal values came.
    since: UtcMicros,
}

impl Pulse {
    /// (point, where it is read, its limit)
    pub(crate) fn of(points: impl Iterator<Item = (usize, String, u32)>) -> Pulse {
        let beats = points.map(|(point, source, limit)| {
            Beat { point, source, limit, newest: None, equal: 0, since: UtcMicros(0) }
        });
        Pulse { beats: beats.collect(), stale: 0 }
    }

    /// What a poll read of one point. A reading without value says nothing of whether the device lives.
    pub(crate) fn feel(&mut self, point: usize, value: &Value, now: UtcMicros) {
        for beat in self.beats.iter_mut().filter(|beat| beat.point == point) {
            if beat.newest.as_ref() == Some(value) {
                beat.equal = beat.equal.saturating_add(1);
            } else {
                (beat.newest, beat.equal, beat.since) = (Some(value.clone()), 1, now);
            }
        }
    }

    pub(crate) fn is_watched(&self) -> bool {
        !self.beats.is_empty()
    }

    pub(crate) fn stands_still(&self) -> bool {
        self.beats.iter().any(Beat::stands_still)
    }

    pub(crate) fn told_stale(&mut self, readings: u64) {
        self.stale = self.stale.saturating_add(readings);
    }

    pub(crate) fn stale(&self) -> u64 {
        self.stale
    }

    /// Of several the one that stands still for longest. `None`: none is watched.
    pub(crate) fn report(&self) -> Option<Heartbeat> {
        let still = self.beats.iter().filter(|beat| beat.stands_still()).min_by_key(|beat| beat.since);
        let shown = still.or(self.beats.first())?;
        Some(Heartbeat { what: shown.source.clone(), still_since: still.map(|beat| beat.since) })
    }
}

impl Beat {
    fn stands_still(&self) -> bool {
        self.equal >= self.limit
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn pulse(limits: &[u32]) -> Pulse {
        Pulse::of((0..).zip(limits).map(|(point, limit)| (point, format!("holding:{point}"), *limit)))
    }

    fn feel(pulse: &mut Pulse, point: usize, values: &[u16], from: i64) -> Vec<bool> {
        let times = (from..).map(UtcMicros);
        values.iter().zip(times).map(|(value, now)| {
            pulse.feel(point, &Value::UInt16(*value), now);
            pulse.stands_still()
        }).collect()
    }

    #[test]
    fn so_many_equal_values_in_a_row_are_a_stand_still_and_the_next_change_ends_it() {
        let mut pulse = pulse(&[3]);
        let still = feel(&mut pulse, 0, &[1, 1, 2, 2, 2, 2, 3, 3], 100);
        assert_eq!(still, [false, false, false, false, true, true, false, false]);
    }

    #[test]
    fn a_stand_still_is_told_with_the_time_of_its_first_value() {
        let mut pulse = pulse(&[3]);
        feel(&mut pulse, 0, &[1, 1], 100);
        assert_eq!(pulse.report().unwrap(), Heartbeat { what: "holding:0".to_owned(), still_since: None });
        feel(&mut pulse, 0, &[1], 200);
        assert_eq!(pulse.report().unwrap().still_since, Some(UtcMicros(100)));
    }

    #[test]
    fn of_several_one_is_enough_and_the_one_that_stands_for_longest_is_told() {
        let mut pulse = pulse(&[2, 2]);
        feel(&mut pulse, 1, &[7, 7], 50);
        feel(&mut pulse, 0, &[1, 2, 3], 60);
        assert!(pulse.stands_still());
        feel(&mut pulse, 0, &[3], 70);
        let told = pulse.report().unwrap();
        assert_eq!((told.what.as_str(), told.still_since), ("holding:1", Some(UtcMicros(50))));
    }

    #[test]
    fn nothing_is_told_of_a_device_without_a_heartbeat() {
        let mut pulse = pulse(&[]);
        feel(&mut pulse, 0, &[1, 1, 1, 1], 0);
        assert!(!pulse.is_watched() && !pulse.stands_still() && pulse.report().is_none());
    }
}
