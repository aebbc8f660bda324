//! What the service manager is told (sd_notify(3)); without one, nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::pulse::Pulse;
use crate::supervise::Stop;

/// Between two beats where no service manager waits for them: a stage that is stuck is told in the log at least.
const UNWATCHED: Duration = Duration::from_secs(60);

pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("polling, sealing, publishing")]);
}

pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("putting everything on disk")]);
}

/// Feeds the watchdog with each beat that crossed the whole line: a daemon that is stuck anywhere is killed and starts
/// from the disk.
pub(crate) async fn watchdog(pulse: Pulse, mut stop: Stop) {
    let every = (sd_notify::watchdog_enabled().unwrap_or(UNWATCHED) / 4).max(Duration::from_millis(50));
    loop {
        let beat = pulse.begin();
        tokio::select! {
            biased;
            () = stop.told() => return,
            () = crossed(&pulse, beat, every) => tell(&[NotifyState::Watchdog]),
        }
        if !stop.pause(every).await {
            return;
        }
    }
}

/// Tells once for each beat who holds it back.
async fn crossed(pulse: &Pulse, beat: u64, patience: Duration) {
    if tokio::time::timeout(patience, pulse.crossed(beat)).await.is_ok() {
        return;
    }
    tracing::error!(held_by = pulse.held_by(beat), "a heartbeat does not cross the line, so the watchdog is not fed");
    pulse.crossed(beat).await;
    tracing::info!("the heartbeat crossed the line");
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
