use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lingate_drivers::{Device, DeviceEvent, Sink, Site};
use lingate_model::{Clock, ClockState, DeviceReport, Now, Reading, StatusCode, UtcMicros, Value};
use lingate_plant::rig::{Rig, Wire};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Motion};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::device::parse;

/// Waits for nothing real: honest units answer at once, but this machine may be busy.
pub(crate) const PATIENT: &str = "timeout = \"20s\"\n";
/// For units that do not answer.
pub(crate) const HASTY: &str = "timeout = \"100ms\"\n";

/// A line with its units, and gateways that poll them.
pub(crate) struct Bench {
    pub(crate) rig: Rig,
    site: Arc<Site>,
    clock: Arc<TestClock>,
}

/// One device of the gateway, connected again and again as the daemon does it. Dropping it stops it.
pub(crate) struct Poller {
    unit: u8,
    spec: DeviceSpec,
    events: mpsc::Receiver<DeviceEvent>,
    /// When the poll before was complete.
    before: Option<Instant>,
    /// Between the newest poll and the one before.
    pub(crate) since_before: Duration,
    task: JoinHandle<()>,
    pub(crate) seen: Seen,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) polls: u64,
    pub(crate) good: u64,
    pub(crate) bad: BTreeMap<StatusCode, u64>,
    pub(crate) missed: u64,
    pub(crate) report: Option<DeviceReport>,
}

impl Bench {
    /// Units 1 to `units`, each with so many values of two registers.
    pub(crate) async fn start(wire: Wire, units: u8, tags: u16) -> Bench {
        let spec = |unit: u8| {
            let mut spec = DeviceSpec::new(format!("unit-{unit}"), Kind::Numbered(tags), Mode::SelfDescribing);
            spec.unit = unit;
            spec
        };
        let rig = Rig::start(wire, (1..=units).map(spec)).await.unwrap();
        let mut site = Site::bare(std::env::temp_dir());
        if let Some(key) = rig.client_key() {
            let key = key.as_bytes().to_vec();
            site.secret = Arc::new(move |_| Ok(key.clone().into()));
        }
        Bench { rig, site: Arc::new(site), clock: Arc::new(TestClock(Instant::now())) }
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    pub(crate) fn device(&self, unit: u8, every: &str, settings: &str) -> Box<dyn Device> {
        let text = self.rig.toml(unit, &Labels { every, ..Labels::new("ds-1") }, settings);
        parse(&text)
    }

    pub(crate) fn poll(&self, unit: u8, every: &str, settings: &str) -> Poller {
        self.poll_device(unit, self.device(unit, every, settings))
    }

    /// The unit's serve counter must change, or after so many equal values it is stale.
    pub(crate) fn poll_with_heartbeat(&self, unit: u8, every: &str, settings: &str, equal: usize) -> Poller {
        let text = self.rig.toml(unit, &Labels { every, ..Labels::new("ds-1") }, settings);
        let spec = self.rig.spec(unit);
        let counter = spec.tags().iter().find(|tag| tag.motion == Motion::Counter).unwrap();
        let name = format!("name = {:?}\n", counter.name);
        self.poll_device(unit, parse(&text.replacen(&name, &format!("{name}heartbeat = {equal}\n"), 1)))
    }

    /// A device with the points of the first unit, somewhere else.
    pub(crate) fn poll_at(&self, address: &str, every: &str, settings: &str) -> Poller {
        let text = self.rig.toml(1, &Labels { every, ..Labels::new("ds-1") }, settings);
        self.poll_device(1, parse(&text.replacen(self.rig.address(), address, 1)))
    }

    fn poll_device(&self, unit: u8, device: Box<dyn Device>) -> Poller {
        let (sender, events) = mpsc::channel(16);
        let sink = Sink::new(sender.clone(), Arc::clone(&self.clock) as Arc<dyn Clock>);
        let site = Arc::clone(&self.site);
        let task = tokio::spawn(async move {
            while !sender.is_closed() {
                if let Ok(mut session) = device.connect(&site).await {
                    session.run(&sink).await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Poller {
            unit,
            spec: self.rig.spec(unit),
            events,
            before: None,
            since_before: Duration::ZERO,
            task,
            seen: Seen::default(),
        }
    }

    /// Nothing but reads and the identification was ever sent.
    pub(crate) fn assert_only_reads(&self) {
        let functions = self.rig.asked().functions;
        let is_read = |function: &u8| matches!(function, 1..=4 | 43);
        assert!(!functions.is_empty() && functions.keys().all(is_read), "{functions:?}");
    }
}

impl Poller {
    /// The next poll's readings, judged: whatever is told as good is what the unit served, in this very poll.
    pub(crate) async fn next(&mut self, bench: &Bench) -> Vec<Reading> {
        loop {
            let event = timeout(Duration::from_secs(60), self.events.recv()).await.expect("nothing comes any more");
            match event.expect("the poller runs") {
                DeviceEvent::Readings(readings) => {
                    self.judge(&readings, bench);
                    return readings;
                }
                DeviceEvent::Missed(missed) => {
                    self.seen.missed += missed.slots.iter().map(|(_, slots)| slots).sum::<u64>();
                }
                DeviceEvent::Report(_, report) => self.seen.report = Some(*report),
            }
        }
    }

    pub(crate) async fn polls(&mut self, bench: &Bench, count: usize) {
        for _ in 0..count {
            self.next(bench).await;
        }
    }

    /// Until all readings of a poll are good; within so much time.
    pub(crate) async fn until_good(&mut self, bench: &Bench, within: Duration) {
        let wait = async { while !self.next(bench).await.iter().all(|reading| reading.value.is_some()) {} };
        timeout(within, wait).await.unwrap_or_else(|_| panic!("unit {} does not come back", self.unit));
    }

    pub(crate) async fn until_played(&mut self, bench: &Bench) {
        while bench.rig.left() > 0 {
            self.next(bench).await;
        }
    }

    /// An answer belongs to this poll only if it was asked for after the poll before was over.
    fn judge_age(&mut self, counter: Option<u32>, readings: &[Reading], bench: &Bench) {
        let Some(reading) = readings.first() else { return };
        let micros = u64::try_from(reading.gateway_time.0 - EPOCH).unwrap();
        let complete = bench.clock.0 + Duration::from_micros(micros + 1);
        let before = self.before.replace(complete);
        self.since_before = before.map_or(Duration::ZERO, |before| complete.saturating_duration_since(before));
        if let (Some(n), Some(before)) = (counter, before)
            && let Some(begun) = bench.rig.begun(self.unit, n)
        {
            assert!(
                begun + Duration::from_micros(2) >= before,
                "poll {n} of unit {} answers an earlier request",
                self.unit
            );
        }
    }

    fn judge(&mut self, readings: &[Reading], bench: &Bench) {
        self.seen.polls += 1;
        let counter = readings.iter().find_map(|reading| match reading.value {
            Some(Value::UInt32(n)) if self.spec.tags()[reading.point.index()].motion == Motion::Counter => Some(n),
            _ => None,
        });
        let now = bench.rig.polls(self.unit);
        self.judge_age(counter, readings, bench);
        for reading in readings {
            let name = &self.spec.tags()[reading.point.index()].name;
            let Some(value) = &reading.value else {
                *self.seen.bad.entry(reading.status).or_default() += 1;
                continue;
            };
            self.seen.good += 1;
            let is_right = match counter {
                Some(n) => self.spec.accepts(name, n, value),
                // The request with the counter failed: the value must be of the unit's newest poll or the one before.
                None => (now.saturating_sub(1)..=now).any(|n| self.spec.accepts(name, n, value)),
            };
            assert!(is_right, "{name} of unit {} is wrong: {value:?} at n = {counter:?}, now {now}", self.unit);
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const EPOCH: i64 = 1_700_000_000_000_000;

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Now {
        let monotonic = self.0.elapsed();
        let utc = UtcMicros(EPOCH + i64::try_from(monotonic.as_micros()).unwrap());
        Now { monotonic, utc, clock: ClockState::Synced }
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(TestClock(Instant::now()))
}
