use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lingate_model::{Clock, ClockState, Now, UtcMicros};

pub(crate) struct RealClock(pub(crate) Instant);

impl Clock for RealClock {
    fn now(&self) -> Now {
        let utc = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        Now { monotonic: self.0.elapsed(), utc: UtcMicros(utc as i64), clock: ClockState::Synced }
    }
}
