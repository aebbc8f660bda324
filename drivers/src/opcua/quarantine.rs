use std::collections::BTreeMap;
use std::time::Duration;

use lingate_model::{Now, StatusCode, UtcMicros};

/// Points that the server refuses: set aside, so that they disturb nothing, and tried again alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quarantine {
    entries: BTreeMap<usize, Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) status: StatusCode,
    pub(crate) since: UtcMicros,
    pub(crate) retry_at: Duration,
    pub(crate) retry_utc: UtcMicros,
    failures: usize,
}

/// Within this time a new item brings its first value.
const FIRST_VALUE: Duration = Duration::from_secs(60);

/// Quick at first, because a server that starts may not have all its nodes yet; then as rare as a mistake in the file
/// deserves.
const PAUSES: [u64; 9] = [1, 2, 5, 10, 30, 60, 300, 600, 1_800];

impl Quarantine {
    /// Set aside, or set aside for longer.
    pub(crate) fn put(&mut self, point: usize, status: StatusCode, now: Now) {
        self.put_for(Duration::ZERO, point, status, now);
    }

    fn put_for(&mut self, pause_min: Duration, point: usize, status: StatusCode, now: Now) {
        let failures = self.entries.get(&point).map_or(0, |entry| entry.failures + 1);
        let since = self.entries.get(&point).map_or(now.utc, |entry| entry.since);
        let pause = Duration::from_secs(PAUSES[failures.min(PAUSES.len() - 1)]).max(pause_min);
        let micros = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
        let retry_utc = UtcMicros(now.utc.0.saturating_add(micros));
        let retry_at = now.monotonic.saturating_add(pause);
        self.entries.insert(point, Entry { status, since, retry_at, retry_utc, failures });
    }

    /// It is read again. `false`: it was not set aside.
    pub(crate) fn release(&mut self, point: usize) -> bool {
        self.entries.remove(&point).is_some()
    }

    /// The server has the node again: the next try is the item itself, which tells how it went.
    pub(crate) fn wait_for_item(&mut self, point: usize) {
        if let Some(entry) = self.entries.get_mut(&point) {
            entry.retry_at = Duration::MAX;
        }
    }

    /// The item is there; only its first value shows that it is good for something.
    pub(crate) fn wait_for_value(&mut self, point: usize, now: Now) {
        if let Some(status) = self.entries.get(&point).map(|entry| entry.status) {
            self.put_for(FIRST_VALUE, point, status, now);
        }
    }

    pub(crate) fn holds(&self, point: usize) -> bool {
        self.entries.contains_key(&point)
    }

    /// The one to try now: whose turn came first.
    pub(crate) fn due(&self, now: Duration) -> Option<usize> {
        let due = self.entries.iter().filter(|(_, entry)| entry.retry_at <= now);
        due.min_by_key(|(_, entry)| entry.retry_at).map(|(point, _)| *point)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries.iter().map(|(point, entry)| (*point, entry))
    }
}

/// Whether an answer speaks of the node and not of its value at the moment (OPC 10000-4, 7.39.2): asking again with the
/// next slot gives the same.
pub(crate) fn is_refusal(status: StatusCode) -> bool {
    const REFUSALS: [u32; 11] = [
        0x8007_0000, // BadDecodingError: an answer that cannot be read
        0x801F_0000, // BadUserAccessDenied
        0x8033_0000, // BadNodeIdInvalid
        0x8034_0000, // BadNodeIdUnknown
        0x8035_0000, // BadAttributeIdInvalid
        0x8036_0000, // BadIndexRangeInvalid
        0x8037_0000, // BadIndexRangeNoData
        0x8038_0000, // BadDataEncodingInvalid
        0x8039_0000, // BadDataEncodingUnsupported
        0x803A_0000, // BadNotReadable
        0x806F_0000, // BadNoMatch
    ];
    REFUSALS.contains(&(status.0 & 0xFFFF_0000))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::ClockState;

    use super::*;

    fn now(seconds: u64) -> Now {
        let monotonic = Duration::from_secs(seconds);
        Now { monotonic, utc: UtcMicros(monotonic.as_micros() as i64), clock: ClockState::Synced }
    }

    #[test]
    fn a_refused_point_is_tried_quickly_and_then_more_and_more_rarely() {
        let mut quarantine = Quarantine::default();
        let mut seconds = 100;
        let mut pauses = Vec::new();
        for _ in 0..11 {
            quarantine.put(7, StatusCode::BAD_NODE_ID_UNKNOWN, now(seconds));
            let next = (seconds..).find(|s| quarantine.due(Duration::from_secs(*s)).is_some()).unwrap();
            pauses.push(next - seconds);
            seconds = next;
        }
        assert_eq!(pauses, [1, 2, 5, 10, 30, 60, 300, 600, 1_800, 1_800, 1_800]);
        assert_eq!(quarantine.iter().next().unwrap().1.since, now(100).utc);
        assert!(quarantine.release(7));
        assert!(!quarantine.release(7));
        quarantine.put(7, StatusCode::BAD_NODE_ID_UNKNOWN, now(seconds));
        assert_eq!(quarantine.due(Duration::from_secs(seconds + 1)), Some(7), "it begins anew");
    }

    #[test]
    fn an_item_that_never_brings_a_value_is_made_more_and_more_rarely() {
        let mut quarantine = Quarantine::default();
        let mut seconds = 100;
        let mut pauses = Vec::new();
        quarantine.put(7, StatusCode::BAD_NODE_ID_UNKNOWN, now(seconds));
        for _ in 0..9 {
            quarantine.wait_for_item(7);
            assert_eq!(quarantine.due(Duration::from_secs(seconds + 10_000)), None, "it is being made");
            quarantine.wait_for_value(7, now(seconds));
            let next = (seconds..).find(|s| quarantine.due(Duration::from_secs(*s)).is_some()).unwrap();
            pauses.push(next - seconds);
            seconds = next;
        }
        assert_eq!(pauses, [60, 60, 60, 60, 60, 300, 600, 1_800, 1_800]);
    }

    #[test]
    fn points_come_one_by_one_in_the_order_of_their_turns() {
        let mut quarantine = Quarantine::default();
        quarantine.put(1, StatusCode::BAD, now(12));
        quarantine.put(2, StatusCode::BAD, now(10));
        assert_eq!(quarantine.due(Duration::from_secs(10)), None);
        assert_eq!(quarantine.due(Duration::from_secs(20)), Some(2));
        quarantine.put(2, StatusCode::BAD, now(20));
        assert_eq!(quarantine.due(Duration::from_secs(20)), Some(1));
    }

    #[test]
    fn a_bad_value_is_not_a_refusal() {
        assert!(is_refusal(StatusCode::BAD_NODE_ID_UNKNOWN) && is_refusal(StatusCode(0x803A_0000)));
        for status in [StatusCode::GOOD, StatusCode::BAD_SENSOR_FAILURE, StatusCode::BAD_WAITING_FOR_INITIAL_DATA] {
            assert!(!is_refusal(status), "{status}");
        }
    }
}
