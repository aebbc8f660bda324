use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lingate_engine::Status;
use lingate_model::Now;

use crate::supervise::Stop;
use crate::view::View;

/// What "the newest readings" of a device are: those of the last so many seconds in which it gave any.
const WINDOW: Duration = Duration::from_secs(5);

/// What the counts of the status do not tell: how they changed lately.
#[derive(Clone, Default)]
pub(crate) struct Recent(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    devices: BTreeMap<String, Counts>,
    acknowledged: u64,
    /// Monotonic: when something was acknowledged last, or nothing waited.
    progress_at: Duration,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    readings: u64,
    bad: u64,
    all_bad: bool,
}

impl Recent {
    /// Looks at the counts every few seconds, whether somebody asks for them or not.
    pub(crate) async fn watch(view: View, mut stop: Stop) {
        while stop.pause(WINDOW).await {
            let (status, now) = (view.status(), view.clock.now());
            view.recent.look(&status, now);
            view.history.look(&status, now);
        }
    }

    pub(crate) fn started(now: Now) -> Recent {
        Recent(Arc::new(Mutex::new(Memory { progress_at: now.monotonic, ..Memory::default() })))
    }

    pub(crate) fn look(&self, status: &Status, now: Now) {
        self.with(|memory| {
            for device in &status.devices {
                let seen = memory.devices.entry(device.name.clone()).or_default();
                let readings = device.readings.saturating_sub(seen.readings);
                // A device that is asked once an hour is judged by its last answer for an hour.
                if readings > 0 {
                    let bad = device.bad_readings.saturating_sub(seen.bad);
                    *seen = Counts { readings: device.readings, bad: device.bad_readings, all_bad: bad >= readings };
                }
            }
            memory.progress(status, now);
        });
    }

    pub(crate) fn newest_are_bad(&self, device: &str) -> bool {
        self.with(|memory| memory.devices.get(device).is_some_and(|counts| counts.all_bad))
    }

    /// For how long nothing was acknowledged although something waits.
    pub(crate) fn stalled(&self, status: &Status, now: Now) -> Duration {
        self.with(|memory| {
            memory.progress(status, now);
            now.monotonic.saturating_sub(memory.progress_at)
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.0.lock().expect("nothing panics while it holds this lock"))
    }
}

impl Memory {
    fn progress(&mut self, status: &Status, now: Now) {
        let records = status.datasets.iter().map(|dataset| dataset.acknowledged_records);
        let acknowledged = records.fold(0, u64::saturating_add);
        if acknowledged != self.acknowledged || status.buffer.records_waiting == 0 {
            self.acknowledged = acknowledged;
            self.progress_at = now.monotonic;
        }
    }
}
