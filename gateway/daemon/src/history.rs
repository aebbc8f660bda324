//! The last 24 hours in memory: how much went through each step of the line. Counts only; a restart begins anew.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lingate_engine::Status;
use lingate_model::{DeviceState, Now};

/// Rates are those of about so long.
const NOW: Duration = Duration::from_secs(15);
const MINUTE: Duration = Duration::from_secs(60);
const MINUTES_MAX: usize = 24 * 60;

#[derive(Clone, Default)]
pub(crate) struct History(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    /// The oldest is at most `NOW` and one look old.
    newest: VecDeque<Totals>,
    minute_began: Option<Totals>,
    minutes: VecDeque<Minute>,
}

/// Since the start, at one moment of monotonic time.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    at: Duration,
    read: u64,
    kept: u64,
    durable: u64,
    acknowledged: u64,
}

/// Readings a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) read: f32,
    pub(crate) kept: f32,
    pub(crate) durable: f32,
    pub(crate) acknowledged: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Minute {
    pub(crate) rates: Rates,
    /// Of the space that the buffer may use, 0 to 1.
    pub(crate) buffer_share: f32,
    pub(crate) is_link_up: bool,
    /// Connected ones, 0 to 1.
    pub(crate) devices_share: f32,
}

impl History {
    pub(crate) fn look(&self, status: &Status, now: Now) {
        self.with(|memory| memory.look(status, now.monotonic));
    }

    /// `None`: too early to tell.
    pub(crate) fn rates(&self) -> Option<Rates> {
        self.with(|memory| memory.newest.back()?.since(memory.newest.front()?))
    }

    /// The oldest first, one each minute, at most 24 h.
    pub(crate) fn minutes(&self) -> Vec<Minute> {
        self.with(|memory| memory.minutes.iter().copied().collect())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.0.lock().expect("nothing panics while it holds this lock"))
    }
}

impl Memory {
    fn look(&mut self, status: &Status, at: Duration) {
        let totals = Totals::of(status, at);
        self.newest.push_back(totals);
        while self.newest.get(1).is_some_and(|second| at.saturating_sub(second.at) >= NOW) {
            self.newest.pop_front();
        }
        let began = *self.minute_began.get_or_insert(totals);
        if at.saturating_sub(began.at) < MINUTE {
            return;
        }
        let rates = totals.since(&began).unwrap_or_default();
        self.minutes.push_back(Minute::of(status, rates));
        if self.minutes.len() > MINUTES_MAX {
            self.minutes.pop_front();
        }
        self.minute_began = Some(totals);
    }
}

impl Totals {
    fn of(status: &Status, at: Duration) -> Totals {
        let sum =
            |of: fn(&lingate_engine::DatasetStatus) -> u64| status.datasets.iter().map(of).fold(0, u64::saturating_add);
        let read = status.devices.iter().map(|device| device.readings).fold(0, u64::saturating_add);
        Totals {
            at,
            read,
            kept: sum(|dataset| dataset.kept),
            durable: sum(|dataset| dataset.accepted_readings),
            acknowledged: sum(|dataset| dataset.acknowledged_readings),
        }
    }

    fn since(&self, before: &Totals) -> Option<Rates> {
        let seconds = self.at.checked_sub(before.at)?.as_secs_f32();
        let rate = |now: u64, then: u64| approximate(now.saturating_sub(then)) / seconds;
        (seconds > 0.0).then(|| Rates {
            read: rate(self.read, before.read),
            kept: rate(self.kept, before.kept),
            durable: rate(self.durable, before.durable),
            acknowledged: rate(self.acknowledged, before.acknowledged),
        })
    }
}

impl Minute {
    fn of(status: &Status, rates: Rates) -> Minute {
        let up = status.devices.iter().filter(|device| device.state == DeviceState::Connected).count();
        Minute {
            rates,
            buffer_share: approximate(status.buffer.bytes) / approximate(status.buffer.max_bytes.max(1)),
            is_link_up: status.link.up,
            devices_share: approximate(up as u64) / approximate(status.devices.len().max(1) as u64),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "drawn, and shown with three digits")]
fn approximate(count: u64) -> f32 {
    count as f32
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::{ClockState, UtcMicros};

    use super::*;

    fn at(seconds: u64) -> Now {
        Now { monotonic: Duration::from_secs(seconds), utc: UtcMicros(0), clock: ClockState::Synced }
    }

    fn status(readings: u64) -> Status {
        let mut status = crate::health::tests::status();
        (status.devices[0].readings, status.datasets[0].kept) = (readings, readings / 2);
        status
    }

    #[test]
    fn the_rates_are_those_of_the_last_seconds() {
        let history = History::default();
        assert_eq!(history.rates(), None);
        for second in (0_u64..60).step_by(5) {
            // 10 readings a second, and 100 from the 30th second on.
            let readings = second * 10 + second.saturating_sub(30) * 90;
            history.look(&status(readings), at(second));
        }
        let rates = history.rates().unwrap();
        assert_eq!((rates.read, rates.kept), (100.0, 50.0));
    }

    #[test]
    fn a_day_is_kept_and_no_more() {
        let history = History::default();
        for minute in 0..=2000 {
            history.look(&status(minute * 600), at(minute * 60));
        }
        let minutes = history.minutes();
        assert_eq!(minutes.len(), 24 * 60);
        assert!(minutes.iter().all(|minute| minute.rates.read == 10.0 && minute.devices_share == 0.0));
    }
}
