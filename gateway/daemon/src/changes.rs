use std::collections::BTreeMap;
use std::time::Duration;

use lingate_engine::{Input, Level};
use lingate_model::{DeviceName, DeviceState};

/// Which devices, and whether the link, are lost, so that the journal has one line for each change of state.
#[derive(Default)]
pub(crate) struct Changes {
    devices: BTreeMap<DeviceName, Duration>,
    link: Option<Duration>,
}

/// One line for the journal, with what it is about.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) level: Level,
    pub(crate) text: String,
    pub(crate) device: Option<String>,
    pub(crate) cause: Option<String>,
}

impl Changes {
    /// The line for the journal, if this input is a change. Reasons never hold a process value.
    pub(crate) fn of(&mut self, input: &Input, now: Duration) -> Option<Change> {
        match input {
            Input::Device(name, DeviceState::BackingOff { reason }) if !self.devices.contains_key(name) => {
                self.devices.insert(name.clone(), now);
                let text = format!("device {name} is lost: {reason}; it is tried again until it answers");
                Some(Change::lost(text, Some(name), reason))
            }
            Input::Device(name, DeviceState::Connected) => {
                let since = self.devices.remove(name)?;
                let text = format!("device {name} is connected again after {} s", seconds(since, now));
                Some(Change::back(text, Some(name)))
            }
            Input::LinkDown(loss) if self.link.is_none() => {
                self.link = Some(now);
                let text = format!("the link is lost: {}; readings are kept on disk until it is back", loss.0);
                Some(Change::lost(text, None, &loss.0))
            }
            Input::LinkUp(_) => {
                let since = self.link.take()?;
                Some(Change::back(format!("the link is back after {} s", seconds(since, now)), None))
            }
            _ => None,
        }
    }
}

impl Change {
    fn lost(text: String, device: Option<&DeviceName>, cause: &str) -> Change {
        let device = device.map(ToString::to_string);
        Change { level: Level::Warning, text, device, cause: Some(cause.to_owned()) }
    }

    fn back(text: String, device: Option<&DeviceName>) -> Change {
        Change { level: Level::Info, text, device: device.map(ToString::to_string), cause: None }
    }
}

fn seconds(since: Duration, now: Duration) -> u64 {
    now.saturating_sub(since).as_secs()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_engine::{LinkLimits, LinkLoss};

    use super::*;

    #[test]
    fn each_change_of_state_is_one_line_with_its_reason_or_its_length() {
        let lost = || Input::LinkDown(LinkLoss("the cable is cut".to_owned()));
        let back = || Input::LinkUp(LinkLimits { in_flight: 1, packet_bytes: 1 });
        let device = |state| Input::Device("press-1".parse().unwrap(), state);
        let off = || device(DeviceState::BackingOff { reason: "no answer".to_owned() });
        let on = || device(DeviceState::Connected);
        let mut changes = Changes::default();
        let inputs = [on(), back(), off(), lost(), lost(), off(), on(), on(), back(), back(), off()];
        let told = (0..).zip(&inputs).filter_map(|(at, input)| changes.of(input, Duration::from_secs(at)));
        let told: Vec<Change> = told.collect();
        assert_eq!((told[0].device.as_deref(), told[0].cause.as_deref()), (Some("press-1"), Some("no answer")));
        assert_eq!((told[1].device.as_deref(), told[1].cause.as_deref()), (None, Some("the cable is cut")));
        assert_eq!((told[2].device.as_deref(), told[2].cause.as_deref()), (Some("press-1"), None));
        let lines: Vec<String> = told.into_iter().map(|change| change.text).collect();
        assert_eq!(
            lines,
            [
                "device press-1 is lost: no answer; it is tried again until it answers",
                "the link is lost: the cable is cut; readings are kept on disk until it is back",
                "device press-1 is connected again after 4 s",
                "the link is back after 5 s",
                "device press-1 is lost: no answer; it is tried again until it answers",
            ]
        );
    }
}
