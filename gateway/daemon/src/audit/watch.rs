//! What can be seen of the daemon from outside of its line: changes of its status, and of the clock.

use std::collections::BTreeMap;
use std::time::Duration;

use lingate_audit::{Event, Kind, shown};
use lingate_engine::Status;
use lingate_model::{Now, UtcMicros};

/// The wall clock may drift so far from the monotonic one between two looks before it jumped.
const JUMP_MICROS: i64 = 2_000_000;
/// A start before the newest line by more than this is told.
const BEFORE_MICROS: i64 = 300_000_000;
/// Parts of a hundred of the buffer at which it is high, and low enough to be told again.
const HIGH: u64 = 80;
const LOW: u64 = 70;

pub(super) struct Watch {
    /// Wall clock less monotonic clock, in microseconds.
    offset: i64,
    is_high: bool,
    denied: BTreeMap<String, String>,
    ended: BTreeMap<String, UtcMicros>,
}

impl Watch {
    pub(super) fn started(now: Now) -> Watch {
        Watch { offset: offset(now), is_high: false, denied: BTreeMap::new(), ended: BTreeMap::new() }
    }

    pub(super) fn clock(&mut self, now: Now) -> Vec<Event> {
        let jump = offset(now).saturating_sub(std::mem::replace(&mut self.offset, offset(now)));
        if jump.saturating_abs() < JUMP_MICROS {
            return Vec::new();
        }
        let direction = if jump < 0 { "back" } else { "forward" };
        let millis = jump.unsigned_abs() / 1000;
        vec![
            Event::new(Kind::ClockAnomaly)
                .text("jump", direction)
                .count("ms", millis)
                .text("clock", now.clock.to_string()),
        ]
    }

    pub(super) fn status(&mut self, status: &Status, now: Now) -> Vec<Event> {
        let mut events = Vec::new();
        events.extend(self.buffer(status));
        events.extend(self.denials(status));
        events.extend(self.endings(status, now));
        events
    }

    fn buffer(&mut self, status: &Status) -> Option<Event> {
        let usage = &status.buffer;
        let percent = usage.bytes.saturating_mul(100).checked_div(usage.max_bytes).unwrap_or(0);
        let is_high = if self.is_high { percent >= LOW } else { percent >= HIGH };
        let was_high = std::mem::replace(&mut self.is_high, is_high);
        let told = || Event::new(Kind::BufferHigh).count("percent", percent).count("bytes", usage.bytes);
        (is_high && !was_high).then(|| told().count("records", usage.records_waiting))
    }

    fn denials(&mut self, status: &Status) -> Vec<Event> {
        let denied = status.datasets.iter().filter_map(|it| Some((it.id.clone(), it.denied.clone()?)));
        let denied: BTreeMap<String, String> = denied.collect();
        let before = std::mem::replace(&mut self.denied, denied);
        let new = self.denied.iter().filter(|(id, why)| before.get(*id) != Some(*why));
        new.map(|(id, why)| Event::new(Kind::PolicyDenied).text("dataset", id).text("reason", why)).collect()
    }

    fn endings(&mut self, status: &Status, now: Now) -> Vec<Event> {
        let is_purpose = |what: &str| what.starts_with("purpose ");
        let ended = status.rights.endings.iter().filter(|ending| is_purpose(&ending.what) && ending.at <= now.utc);
        let ended: BTreeMap<String, UtcMicros> = ended.map(|ending| (ending.what.clone(), ending.at)).collect();
        let before = std::mem::replace(&mut self.ended, ended);
        let new = self.ended.iter().filter(|(what, at)| before.get(*what) != Some(at));
        let name = |what: &str| what.trim_start_matches("purpose ").to_owned();
        new.map(|(what, at)| Event::new(Kind::PurposeExpired).text("purpose", name(what)).text("at", shown(*at)))
            .collect()
    }
}

/// The clock was set back while the daemon was not running, or the state is from the future.
pub(super) fn stands_before(now: Now, newest: UtcMicros) -> Option<Event> {
    let behind = newest.0.saturating_sub(now.utc.0);
    let told = || {
        Event::new(Kind::ClockAnomaly).text("jump", "before the newest line").count("ms", behind.unsigned_abs() / 1000)
    };
    (behind > BEFORE_MICROS).then(told)
}

fn offset(now: Now) -> i64 {
    now.utc.0.saturating_sub(micros(now.monotonic))
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use lingate_model::ClockState;

    use super::*;

    fn at(monotonic: u64, utc: i64) -> Now {
        let (monotonic, utc) = (Duration::from_secs(monotonic), UtcMicros(utc * 1_000_000));
        Now { monotonic, utc, clock: ClockState::Synced }
    }

    #[test]
    fn a_jump_of_the_clock_is_told_once() {
        let mut watch = Watch::started(at(0, 1000));
        let told = [at(2, 1002), at(4, 1005), at(6, 900), at(8, 902), at(10, 2000)].map(|now| watch.clock(now).len());
        assert_eq!(told, [0, 0, 1, 0, 1]);
        assert!(stands_before(at(0, 100), UtcMicros(399_000_000)).is_none());
        assert!(stands_before(at(0, 100), UtcMicros(401_000_000)).is_some());
    }

    #[test]
    fn a_full_buffer_and_a_denied_dataset_are_told_when_they_begin() {
        let (mut watch, mut status) = (Watch::started(at(0, 0)), crate::health::tests::status());
        let mut told = |bytes: u64, denied: Option<&str>| {
            (status.buffer.bytes, status.buffer.max_bytes) = (bytes, 100);
            status.datasets[0].denied = denied.map(str::to_owned);
            let events = watch.status(&status, at(0, 0));
            events.iter().map(|event| event.kind().name()).collect::<Vec<_>>().join(" ")
        };
        let told = [
            told(79, None),
            told(81, None),
            told(75, None),
            told(85, Some("x")),
            told(60, Some("x")),
            told(90, Some("y")),
        ];
        assert_eq!(told, ["", "buffer.high", "", "policy.denied", "", "buffer.high policy.denied"]);
    }
}
