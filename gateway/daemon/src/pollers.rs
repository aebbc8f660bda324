//! The pollers of all devices, each with its own stop: a device that stays the same is not touched by another's change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use lingate_drivers::{Device, DeviceEvent, Site};
use lingate_model::{Clock, DeviceName, Missed, MissedCause, Now, PointId};
use tokio::sync::mpsc;

use crate::heart::{Heart, Message};
use crate::panics::Panics;
use crate::poller::{Downtime, Poller};
use crate::pulse::Pulse;
use crate::supervise::{Restarted, Stopper, stop};

pub(crate) struct Pollers {
    pub(crate) site: Arc<Site>,
    heart: mpsc::Sender<Message>,
    events: mpsc::Sender<DeviceEvent>,
    clock: Arc<dyn Clock>,
    pulse: Pulse,
    panics: Panics,
    running: BTreeMap<DeviceName, (Stopper, Restarted)>,
}

impl Pollers {
    pub(crate) fn new(site: Arc<Site>, heart: &Heart, clock: Arc<dyn Clock>) -> Pollers {
        let (pulse, panics) = (heart.pulse.clone(), heart.panics.clone());
        let (heart, events) = (heart.messages.clone(), heart.devices.clone());
        Pollers { site, heart, events, clock, pulse, panics, running: BTreeMap::new() }
    }

    /// `first`: the number of its first point for the engine. `down_since`: slots from then on belong to this device, although
    /// nobody read it.
    pub(crate) fn start(&mut self, name: DeviceName, device: Arc<dyn Device>, first: PointId, down_since: Option<Now>) {
        let downtime = down_since.map(|since| Downtime::start(&*device, since, MissedCause::DeviceDown));
        let poller = Poller {
            name: name.clone(),
            numbers: Numbers::of(&*device, first),
            device,
            site: self.site.clone(),
            heart: self.heart.clone(),
            events: self.events.clone(),
            clock: self.clock.clone(),
            downtime: Arc::new(downtime.into()),
            ledger: Arc::default(),
            handed_over: Arc::default(),
            pulse: self.pulse.clone(),
            panics: self.panics.clone(),
        };
        let (stopper, told) = stop();
        let mut tasks = Restarted::new(told.clone());
        tasks.spawn(format!("poller {name}"), move || poller.clone().run(told.clone()));
        self.running.insert(name, (stopper, tasks));
    }

    /// Returns when the last word of each is in the engine's queue, or after `deadline`; gives how many were cut.
    pub(crate) async fn stop(&mut self, names: impl IntoIterator<Item = &DeviceName>, deadline: Duration) -> usize {
        let stopped = names.into_iter().filter_map(|name| self.running.remove(name)).map(|(stopper, tasks)| {
            stopper.stop();
            tasks.ended(deadline)
        });
        join_all(stopped.collect::<Vec<_>>()).await.into_iter().sum()
    }

    pub(crate) async fn stop_all(mut self, deadline: Duration) -> usize {
        let names: Vec<DeviceName> = self.running.keys().cloned().collect();
        self.stop(&names, deadline).await
    }
}

/// A device numbers its points as its file does; the engine's numbers stay the same over reloads.
#[derive(Clone, Copy, Default)]
pub(crate) struct Numbers {
    written: u32,
    running: u32,
}

impl Numbers {
    pub(crate) fn of(device: &dyn Device, first: PointId) -> Numbers {
        Numbers { written: device.points().first().map_or(first.0, |point| point.id.0), running: first.0 }
    }

    /// As the engine knows it.
    pub(crate) fn running(self, event: DeviceEvent) -> DeviceEvent {
        if self.written == self.running {
            return event;
        }
        match event {
            DeviceEvent::Readings(mut readings) => {
                readings.iter_mut().for_each(|reading| reading.point = self.number(reading.point));
                DeviceEvent::Readings(readings)
            }
            DeviceEvent::Missed(Missed { device, from, to, mut slots, cause }) => {
                slots.iter_mut().for_each(|(point, _)| *point = self.number(*point));
                DeviceEvent::Missed(Missed { device, from, to, slots, cause })
            }
            report @ DeviceEvent::Report(..) => report,
        }
    }

    fn number(self, point: PointId) -> PointId {
        PointId(point.0.wrapping_sub(self.written).wrapping_add(self.running))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::{Reading, UtcMicros, Value};

    use super::*;

    #[test]
    fn what_a_device_tells_bears_the_engine_s_numbers() {
        let numbers = Numbers { written: 7, running: 3 };
        let reading = Reading::good(PointId(8), Value::Boolean(true), UtcMicros(0));
        let DeviceEvent::Readings(readings) = numbers.running(DeviceEvent::Readings(vec![reading])) else { panic!() };
        assert_eq!(readings[0].point, PointId(4));
        let (from, to, cause) = (UtcMicros(0), UtcMicros(1), MissedCause::Overload);
        let missed = Missed { device: "a".parse().unwrap(), from, to, slots: vec![(PointId(7), 2)], cause };
        let DeviceEvent::Missed(missed) = numbers.running(DeviceEvent::Missed(missed)) else { panic!() };
        assert_eq!(missed.slots, [(PointId(3), 2)]);
    }
}
