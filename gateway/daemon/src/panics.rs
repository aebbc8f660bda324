//! How often a driver panicked, by device: a defect of lingate, which costs its own device a pause and nobody else's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use lingate_engine::Status;
use lingate_model::DeviceName;

/// Among the device's events.
pub(crate) const COUNTER: &str = "panics";

/// Shared by the pollers that count and the heart that tells.
#[derive(Clone, Default)]
pub(crate) struct Panics(Arc<Mutex<BTreeMap<DeviceName, u64>>>);

impl Panics {
    pub(crate) fn count(&self, device: &DeviceName) {
        *self.lock().entry(device.clone()).or_default() += 1;
    }

    #[cfg(test)]
    pub(crate) fn of(&self, device: &DeviceName) -> u64 {
        self.lock().get(device).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DeviceName, u64>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }

    /// Into what the device's driver counts.
    pub(crate) fn tell(&self, status: &mut Status) {
        let panics = self.lock();
        for device in &mut status.devices {
            if let Some((_, count)) = panics.iter().find(|(name, _)| name.as_str() == device.name.as_str()) {
                Arc::make_mut(&mut device.report).counters.insert(COUNTER, *count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted_among_the_events_of_its_own_device() {
        let (panics, mut status) = (Panics::default(), crate::health::tests::status());
        let name: DeviceName = status.devices[0].name.parse().expect("a device's name");
        (0..3).for_each(|_| panics.count(&name));
        panics.count(&"another".parse().expect("a device's name"));
        panics.tell(&mut status);
        let counted: Vec<u64> =
            status.devices.iter().filter_map(|it| it.report.counters.get(COUNTER).copied()).collect();
        assert_eq!(counted, [3]);
    }
}
