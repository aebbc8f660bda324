//! What the service manager is told (sd_notify(3)); without one, nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::supervise::Stop;
use crate::view::View;

pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("polling, sealing, publishing")]);
}

pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("putting everything on disk")]);
}

/// Feeds the watchdog as long as the heart beats: a daemon whose engine is stuck is killed and starts from the disk.
pub(crate) async fn watchdog(view: View, mut stop: Stop) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return stop.told().await };
    let every = (limit / 3).max(Duration::from_millis(100));
    while stop.pause(every).await {
        if view.is_alive() {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("the engine does not answer, so the watchdog is not fed");
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
