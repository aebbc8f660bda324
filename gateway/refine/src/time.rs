use std::time::Duration;

use lingate_model::{DeviceTime, Now, Origin, UtcMicros};

use crate::Stamp;

/// One clock per point, in microseconds since 1970: the source's where the source tells its time, else the gateway's. A
/// reading without source time among others that have one - the gateway's own word that the device is silent - is put
/// where the source's clock would stand, so that two clocks that differ are never mixed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PointClock {
    /// What the source's clock is ahead of the gateway's.
    ahead: i64,
}

impl PointClock {
    pub(crate) fn time(&mut self, stamp: &Stamp) -> i64 {
        let gateway = stamp.gateway_time.0;
        match (stamp.source_time.map(DeviceTime::utc), stamp.origin) {
            (Some(source), Origin::Backfilled) => source.0,
            (Some(source), Origin::Live) => {
                self.ahead = source.0.saturating_sub(gateway);
                source.0
            }
            (None, _) => gateway.saturating_add(self.ahead),
        }
    }

    /// What this clock shows at `now`.
    pub(crate) fn shows(&self, now: Now) -> i64 {
        self.at(now.utc)
    }

    /// What this clock shows at a time of the gateway.
    pub(crate) fn at(&self, gateway: UtcMicros) -> i64 {
        gateway.0.saturating_add(self.ahead)
    }
}

/// How long a step waits for readings that are on their way before it goes on without them. It is long enough that the
/// way which a reading took to here does not change what leaves: two readings of the point and two seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    grace: Duration,
}

impl Deadline {
    /// A reading is at most this long under way.
    const DELIVERY: Duration = Duration::from_secs(2);

    pub(crate) fn of(interval: Duration) -> Deadline {
        Deadline { grace: interval.saturating_mul(2).saturating_add(Deadline::DELIVERY) }
    }

    /// The monotonic time at which a point whose clock showed `at` when `now` was has certainly told everything up to
    /// `due`. A wall clock that jumps does not move it.
    pub(crate) fn at(self, now: Now, at: i64, due: i64) -> Duration {
        let left = Duration::from_micros(u64::try_from(due.saturating_sub(at)).unwrap_or(0));
        now.monotonic.saturating_add(left).saturating_add(self.grace)
    }
}

impl Default for Deadline {
    fn default() -> Deadline {
        Deadline::of(Duration::ZERO)
    }
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
