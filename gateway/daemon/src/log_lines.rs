//! How many lines of the log each device may cause: one that comes and goes takes nobody else's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lingate_engine::Status;

use crate::limiter::Limiter;

/// At once, and then one in so long.
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(10);
/// Among the device's events.
pub(crate) const COUNTER: &str = "log_lines_withheld";

/// By name of the device; as many as the configuration had.
#[derive(Default)]
pub(crate) struct LogLines(BTreeMap<String, Budget>);

struct Budget {
    limiter: Limiter,
    withheld: u64,
}

impl LogLines {
    /// `Some(withheld)`: write this line about the device, and say how many of it were not written before.
    pub(crate) fn allows(&mut self, device: &str, now: Duration) -> Option<u64> {
        if !self.0.contains_key(device) {
            let budget = Budget { limiter: Limiter::new(BURST, REFILL), withheld: 0 };
            self.0.insert(device.to_owned(), budget);
        }
        let budget = self.0.get_mut(device)?;
        let allowed = budget.limiter.allows(now);
        if allowed.is_none() {
            budget.withheld = budget.withheld.saturating_add(1);
        }
        allowed
    }

    /// Into what the device's driver counts.
    pub(crate) fn tell(&self, status: &mut Status) {
        for device in &mut status.devices {
            if let Some(budget) = self.0.get(&device.name).filter(|budget| budget.withheld > 0) {
                Arc::make_mut(&mut device.report).counters.insert(COUNTER, budget.withheld);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_comes_and_goes_spends_its_own_lines_and_nobody_elses_and_they_are_counted() {
        let mut lines = LogLines::default();
        let second = Duration::from_secs;
        let mut written =
            |device: &str, at: u64| (0..100).filter(|_| lines.allows(device, second(at)).is_some()).count();
        assert_eq!((written("flaps", 0), written("good", 0)), (10, 10));
        assert_eq!((written("flaps", 60), written("flaps", 60)), (6, 0));
        assert_eq!(lines.allows("flaps", second(70)), Some(194), "the next line says what was withheld");
        let mut status = crate::health::tests::status();
        status.devices[0].name = "flaps".to_owned();
        lines.tell(&mut status);
        assert_eq!(status.devices[0].report.counters[COUNTER], 284);
        let mut other = crate::health::tests::status();
        lines.tell(&mut other);
        assert!(!other.devices[0].report.counters.contains_key(COUNTER));
    }
}
