use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Closed until a moment. It asks nobody for the time: the timer knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gate(Option<Instant>);

impl Gate {
    pub(crate) fn closed_for(time: Duration) -> Gate {
        Gate((time > Duration::ZERO).then(|| sleep(time).deadline()))
    }

    pub(crate) fn and(self, other: Gate) -> Gate {
        Gate(self.0.max(other.0))
    }

    pub(crate) async fn opened(self) {
        if let Some(moment) = self.0 {
            sleep_until(moment).await;
        }
    }

    pub(crate) async fn is_open(self) -> bool {
        timeout(Duration::ZERO, self.opened()).await.is_ok()
    }

    /// `false`: it stays closed for longer.
    pub(crate) async fn opens_within(self, time: Duration) -> bool {
        timeout(time, self.opened()).await.is_ok()
    }
}
