use std::time::Duration;

use lingate_seal::DescribedDevice;

/// For the devices that connect one after the other.
const SETTLE: Duration = Duration::from_secs(5);
/// Between two epochs that begin only because a device says another thing of itself.
const EVERY: Duration = Duration::from_secs(300);

/// What a stream's catalogue tells of its devices, and when an open epoch must end because that is not true any more. A
/// device that changes its mind all the time costs an epoch every five minutes and no more.
#[derive(Default)]
pub(crate) struct Description {
    devices: Vec<DescribedDevice>,
    /// By the newest epoch, parallel; empty before the first.
    told: Vec<DescribedDevice>,
    due_at: Option<Duration>,
    /// Not before this monotonic time.
    earliest: Duration,
}

impl Description {
    pub(crate) fn new(devices: Vec<DescribedDevice>) -> Description {
        Description { devices, ..Description::default() }
    }

    /// Nothing happens if the stream has no point of the device.
    pub(crate) fn change(&mut self, monotonic: Duration, device: &DescribedDevice) {
        let Some(place) = self.devices.iter().position(|known| known.name == device.name) else { return };
        self.devices[place] = device.clone();
        if self.told.get(place).is_some_and(|told| told != device) {
            self.due_at.get_or_insert(monotonic.saturating_add(SETTLE).max(self.earliest));
        } else if self.told == self.devices {
            self.due_at = None;
        }
    }

    /// When the open epoch ends for it.
    pub(crate) fn due_at(&self) -> Option<Duration> {
        self.due_at
    }

    /// For the catalogue of an epoch that opens.
    pub(crate) fn tell(&mut self, monotonic: Duration) -> Vec<DescribedDevice> {
        if self.due_at.take().is_some_and(|at| at <= monotonic) {
            self.earliest = monotonic.saturating_add(EVERY);
        }
        self.told.clone_from(&self.devices);
        self.devices.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, security: &str) -> DescribedDevice {
        DescribedDevice { name: name.to_owned(), security: Some(security.to_owned()), ..DescribedDevice::default() }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_change_is_told_soon_and_only_if_it_is_one() {
        let mut description = Description::new(vec![device("3", ""), device("7", "")]);
        description.change(seconds(1), &device("7", "a"));
        assert_eq!(description.due_at(), None, "the first epoch tells it anyway");
        assert_eq!(description.tell(seconds(2)), [device("3", ""), device("7", "a")]);
        description.change(seconds(10), &device("3", ""));
        description.change(seconds(10), &device("5", "b"));
        assert_eq!(description.due_at(), None, "nothing changed, and number 5 is another stream's");
        description.change(seconds(11), &device("3", "b"));
        description.change(seconds(12), &device("7", "b"));
        assert_eq!(description.due_at(), Some(seconds(16)));
        description.change(seconds(13), &device("3", ""));
        description.change(seconds(14), &device("7", "a"));
        assert_eq!(description.due_at(), None, "all is again as it was told");
    }

    #[test]
    fn a_device_that_changes_its_mind_costs_an_epoch_in_five_minutes() {
        let mut description = Description::new(vec![device("0", "")]);
        description.tell(seconds(0));
        let mut epochs = 0;
        for second in 1..=3600 {
            description.change(seconds(second), &device("0", &second.to_string()));
            if description.due_at().is_some_and(|at| at <= seconds(second)) {
                description.tell(seconds(second));
                epochs += 1;
            }
        }
        assert!((10..=12).contains(&epochs), "{epochs} epochs in an hour");
    }
}
