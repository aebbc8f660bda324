use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lingate_config::{DevicePlan, Plan};
use lingate_drivers::{Device, DeviceEvent, Site};
use lingate_engine::Input;
use lingate_model::{Clock, DeviceState, Now, PointId, UtcMicros};
use lingate_refine::{Batch, DatasetIndex, PseudonymKey, Refinery};
use lingate_seal::Entropy;
use tokio::sync::mpsc;

use crate::entropy::SystemEntropy;
use crate::heart::Message;
use crate::policy::{Policy, State};
use crate::poller::Poller;
use crate::pollers::Numbers;
use crate::preview::split::split;
use crate::preview::{DeviceSeen, PointSeen, Preview};
use crate::supervise::{Restarted, Stopper, stop};
use crate::tls::show_time;

/// As the daemon's.
const QUEUE: usize = 64;
/// How often windows that are over are looked for, and how often progress is told.
const BEAT: Duration = Duration::from_millis(250);
const POLLERS_END: Duration = Duration::from_secs(4);

/// What has been read so far.
pub(crate) struct Reader {
    refinery: Refinery,
    /// By the index of the refinery's datasets.
    order: Vec<PointId>,
    began: Now,
    policy: Policy,
    pub(crate) points: Vec<PointSeen>,
    pub(crate) devices: Vec<DeviceSeen>,
}

/// Reads until the time is over or `ended` is; `progress` is told now and then, with the seconds that passed.
pub(crate) async fn read(
    plan: Plan,
    policy: Policy,
    site: Site,
    seconds: u64,
    ended: impl Future<Output = ()>,
    mut progress: impl FnMut(&Reader, f64),
) -> Preview {
    let clock = site.clock.clone();
    let mut reader = Reader::new(&plan, policy, clock.now());
    let (events, mut read) = mpsc::channel(QUEUE);
    let (messages, mut told) = mpsc::channel(QUEUE);
    let (stopper, tasks) = start(plan.devices, &Arc::new(site), &messages, &events, &clock);
    let over = tokio::time::sleep(Duration::from_secs(seconds));
    let mut beat = tokio::time::interval(BEAT);
    tokio::pin!(over, ended);
    loop {
        tokio::select! {
            biased;
            () = &mut ended => break,
            () = &mut over => break,
            Some(message) = told.recv() => reader.hear(clock.now(), message),
            _ = beat.tick() => {
                reader.look(clock.now());
                progress(&reader, reader.seconds(clock.now()));
            }
            Some(event) = read.recv() => reader.take(clock.now(), event),
        }
    }
    // Nobody waits for a queue that nobody empties.
    drop((read, told));
    stopper.stop();
    let preview = reader.finish(clock.now());
    tasks.ended(POLLERS_END).await;
    preview
}

/// The daemon's pollers; what they say comes here.
fn start(
    devices: Vec<DevicePlan>,
    site: &Arc<Site>,
    heart: &mpsc::Sender<Message>,
    events: &mpsc::Sender<DeviceEvent>,
    clock: &Arc<dyn Clock>,
) -> (Stopper, Restarted) {
    let (stopper, told) = stop();
    let mut tasks = Restarted::new(told.clone());
    for DevicePlan { name, device, .. } in devices {
        let device: Arc<dyn Device> = Arc::from(device);
        let task = format!("poller {name}");
        let (site, heart, events, clock) = (site.clone(), heart.clone(), events.clone(), clock.clone());
        let poller = Poller {
            name,
            device,
            numbers: Numbers::default(),
            site,
            heart,
            events,
            clock,
            downtime: Arc::default(),
            ledger: Arc::default(),
            handed_over: Arc::default(),
            pulse: Default::default(),
            panics: Default::default(),
        };
        let stop = told.clone();
        tasks.spawn(task, move || poller.clone().run(stop.clone()));
    }
    (stopper, tasks)
}

impl Reader {
    fn new(plan: &Plan, policy: Policy, began: Now) -> Reader {
        let (export, order) = split(&plan.export, |point| policy.points[point.index()].state != State::Stays);
        let seen = |device: &DevicePlan| DeviceSeen {
            name: device.name.to_string(),
            address: device.device.address(),
            connected: false,
            reason: None,
        };
        let mut refinery = Refinery::new(export);
        // Pseudonyms look as they do when they leave, and stand for nothing behind this preview.
        let mut secret = [0; 32];
        if SystemEntropy::new().fill(&mut secret).is_ok() {
            let all = (0..order.len()).filter_map(|index| u16::try_from(index).ok());
            all.for_each(|index| refinery.set_pseudonym_key(DatasetIndex(index), PseudonymKey::new(&secret)));
        }
        Reader {
            refinery,
            order,
            began,
            points: policy
                .points
                .iter()
                .map(|point| PointSeen { name: point.name.clone(), ..PointSeen::default() })
                .collect(),
            policy,
            devices: plan.devices.iter().map(seen).collect(),
        }
    }

    fn seconds(&self, now: Now) -> f64 {
        now.monotonic.saturating_sub(self.began.monotonic).as_secs_f64()
    }

    /// Of a reading.
    fn since(&self, time: UtcMicros) -> f64 {
        Duration::from_micros(u64::try_from(time.0.saturating_sub(self.began.utc.0)).unwrap_or(0)).as_secs_f64()
    }

    fn hear(&mut self, now: Now, message: Message) {
        let Message::Input(Input::Device(name, state)) = message else { return };
        let Some(device) = self.devices.iter_mut().find(|device| device.name == name.as_str()) else { return };
        if state != DeviceState::Connected {
            // As the engine does: gates close, and what a window knew is over.
            let is_of = |point: &PointSeen| point.name.strip_prefix(&device.name).is_some_and(|it| it.starts_with('/'));
            let points = (0..).zip(&self.points).filter(|(_, point)| is_of(point));
            points.for_each(|(number, _)| self.refinery.away(PointId(number), now.utc));
        }
        (device.connected, device.reason) = match state {
            DeviceState::Connecting => (false, None),
            DeviceState::Connected => (true, None),
            DeviceState::BackingOff { reason } => (false, Some(reason)),
        };
    }

    fn take(&mut self, now: Now, event: DeviceEvent) {
        match event {
            DeviceEvent::Readings(readings) => {
                for reading in readings {
                    let seconds = self.since(reading.gateway_time);
                    let point = &mut self.points[reading.point.index()];
                    point.raw.push(seconds, reading.value.as_ref(), reading.status);
                    if let Some(batch) = self.refinery.refine(now, reading) {
                        self.left(&batch);
                    }
                    self.look(now);
                }
            }
            DeviceEvent::Missed(missed) => {
                let from = missed.unknown_from();
                for (point, slots) in missed.slots {
                    self.refinery.unknown(point, from);
                    self.points[point.index()].missed += slots;
                }
            }
            DeviceEvent::Report(..) => {}
        }
    }

    fn look(&mut self, now: Now) {
        while let Some(batch) = self.refinery.due(now) {
            self.left(&batch);
        }
    }

    fn left(&mut self, batch: &Batch) {
        let point = self.order[batch.dataset().index()].index();
        for reading in batch.readings() {
            let seconds = self.since(reading.stamp().gateway_time);
            self.points[point].left.push(seconds, reading.value(), reading.status());
        }
        self.points[point].count(batch.steps());
    }

    /// What a window or a swinging door holds is shown as if the gateway stopped here.
    fn finish(mut self, now: Now) -> Preview {
        self.look(now);
        for index in 0..self.order.len() {
            let index = DatasetIndex(u16::try_from(index).expect("the split made no more"));
            if let Some(batch) = self.refinery.end(now, index) {
                self.left(&batch);
            }
        }
        let leaving = self.order.iter().map(|point| &self.points[point.index()]);
        let kept: BTreeMap<String, u64> = leaving.map(|point| (point.name.clone(), point.left.count)).collect();
        Preview {
            started: show_time(self.began.utc),
            seconds: self.seconds(now),
            policy: self.policy,
            devices: self.devices,
            points: self.points,
            kept,
        }
    }
}
