//! The driver against simulated machines: every change arrives, exactly, and what does not is told.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and brings its own clock")]

#[path = "session/clock.rs"]
mod clock;

#[path = "common/device.rs"]
mod device;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::RealClock;
use device::parse;
use lingate_drivers::{Device, DeviceEvent, LinkError, Sink, Site};
use lingate_model::{Clock, DeviceReport, Missed, MissedCause, Now, Origin, Reading, StatusCode};
use lingate_plant::opcua::{
    Connection, Evil, INSECURE, Machine, MachineKind, MachineLimits, MachineOptions, MachineSpec, Say, Script, When,
    machine_toml,
};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const TICK: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_a_subscribed_machine_arrives_once_and_exactly() {
    let mut bench = Bench::start(MachineKind::Numbered(200), MachineLimits::default(), "");
    bench.run_for(Duration::from_secs(3)).await;
    bench.stop().await;
    for point in 0..201 {
        let seen = bench.numbers_of(point);
        assert!(seen.len() >= 20, "{} of {point}", seen.len());
        assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{point}: {seen:?}");
    }
    assert_eq!(bench.machine.sessions(), (0, 1));
    // Slots before the items were there, and behind the last message at the stop, are told; no others are missed.
    let of_its_own = [MissedCause::DeviceDown, MissedCause::Overload];
    assert!(bench.missed.iter().all(|missed| of_its_own.contains(&missed.cause)), "{:?}", bench.missed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polled_values_of_every_type_are_the_same_as_subscribed_ones() {
    for point in ["mode = \"poll\"\n", ""] {
        let mut bench = Bench::start(MachineKind::Types, MachineLimits::default(), point);
        let points = bench.machine.spec().variables().len();
        let empty = bench.point("empty_double");
        bench.until(|bench| (0..points).all(|id| id == empty || bench.numbers_of(id).len() >= 3)).await;
        bench.stop().await;
        bench.judge();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_not_there_is_one_bad_point_and_comes_back_alone() {
    let mut bench = Bench::prepare(MachineKind::Extruder, MachineLimits::default(), "");
    bench.machine.set_vanished("melt_pressure", true);
    let point = bench.point("melt_pressure");
    bench.connect();
    bench.until(|bench| bench.report.as_ref().is_some_and(|report| report.set_aside_count == 1)).await;
    bench.until(|bench| bench.good(0).count() > 10).await;
    assert_eq!(bench.statuses(point).first(), Some(&StatusCode::BAD_NODE_ID_UNKNOWN));
    let report = bench.report.clone().unwrap();
    assert!(report.set_aside[0].why.contains("BadNodeIdUnknown"), "{:?}", report.set_aside);
    bench.machine.set_vanished("melt_pressure", false);
    bench.until(|bench| bench.good(point).count() > 5).await;
    bench.stop().await;
    bench.judge();
    assert!(bench.slots(point, MissedCause::Quarantine) > 0);
    assert_eq!(bench.machine.sessions().1, 1, "nobody else was disturbed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_died_with_its_node_is_made_anew_within_the_session() {
    let mut bench = Bench::start(MachineKind::Extruder, MachineLimits::default(), "");
    let (point, points) = (bench.point("melt_pressure"), bench.machine.spec().variables().len());
    bench.until(|bench| bench.good(point).count() > 3).await;
    bench.machine.set_vanished("melt_pressure", true);
    bench.until(|bench| bench.report.as_ref().is_some_and(|report| report.set_aside_count == 1)).await;
    assert_eq!(bench.statuses(point).last(), Some(&StatusCode::BAD_NODE_ID_UNKNOWN));
    bench.machine.replace_node("melt_pressure");
    let before = bench.good(point).count();
    bench.until(|bench| bench.good(point).count() > before + 3).await;
    bench.until(|bench| bench.report.as_ref().is_some_and(|report| report.set_aside_count == 0)).await;
    assert_eq!(bench.stop().await, Vec::<String>::new(), "the session lived on");
    bench.judge();
    assert!(bench.slots(point, MissedCause::Quarantine) > 0);
    assert_eq!(bench.machine.items().0, points as u64 + 1, "one item was made anew, and no other");
    assert_eq!(bench.slots(0, MissedCause::Quarantine), 0, "nobody else was disturbed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_was_killed_and_came_back_flows_again_with_every_slot_told() {
    let mut bench = Bench::start(MachineKind::Numbered(50), MachineLimits::default(), "");
    for _ in 0..3 {
        bench.run_for(Duration::from_millis(1200)).await;
        bench.machine.kill();
        bench.run_for(Duration::from_millis(400)).await;
        bench.machine.restart().unwrap();
        let back = Instant::now();
        let newest = bench.numbers_of(0).last().copied().unwrap_or(0);
        bench.until(move |bench| bench.numbers_of(0).last().is_some_and(|n| *n > newest + 3)).await;
        assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
    }
    bench.stop().await;
    bench.judge();
    assert_eq!(bench.machine.sessions().1, 1, "sessions piled up");
    for point in 0..51 {
        bench.assert_told(point);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_items_than_one_subscription_takes_go_into_several() {
    let limits =
        MachineLimits { items_per_subscription: 30, items_per_call: 7, nodes_per_read: 5, ..MachineLimits::default() };
    let mut bench = Bench::start(MachineKind::Numbered(100), limits, "");
    bench.until(|bench| (0..101).all(|point| bench.good(point).count() > 3)).await;
    bench.stop().await;
    bench.judge();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_the_machine_threw_away_are_told() {
    let limits = MachineLimits { queue_size: 2, ..MachineLimits::default() };
    let mut bench = Bench::prepare(MachineKind::Numbered(3), limits, "");
    bench.settings = format!("{INSECURE}\npublishing = \"1s\"");
    bench.connect();
    bench.run_for(Duration::from_secs(4)).await;
    bench.stop().await;
    bench.judge();
    assert!(bench.slots(1, MissedCause::DeviceOverflow) > 0, "{:?}", bench.missed);
    let report = bench.report.clone().unwrap();
    assert!(report.counters["overflows"] > 0 && report.counters["queues_reduced"] > 0, "{:?}", report.counters);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadband_that_the_machine_refuses_is_kept_by_the_gateway() {
    for refuses in [false, true] {
        let mut bench = Bench::prepare(MachineKind::Extruder, MachineLimits::default(), "");
        bench.wanted = Some("melt_pressure");
        bench.point_lines = "server_deadband = 1000000.0\n".to_owned();
        if refuses {
            bench.machine.refuse_deadband();
        }
        bench.connect();
        bench.run_for(Duration::from_secs(3)).await;
        bench.stop().await;
        assert_eq!(bench.good(0).count(), 1, "refuses {refuses}");
        assert_eq!(bench.report.as_ref().unwrap().counters["deadband_own"], u64::from(refuses));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_is_filled_from_the_history_of_the_machine() {
    let mut bench = Bench::prepare(MachineKind::Numbered(20), MachineLimits::default(), "");
    bench.settings = format!("{INSECURE}\nbackfill = true");
    bench.connect();
    bench.run_for(Duration::from_secs(2)).await;
    bench.stop().await;
    let ticks = bench.machine.written().0;
    while bench.machine.written().0 < ticks + 10 {
        sleep(TICK).await;
    }
    bench.connect();
    bench.until(|bench| bench.backfilled() > 0).await;
    bench.run_for(Duration::from_secs(3)).await;
    bench.stop().await;
    bench.judge();
    for point in 0..21 {
        let mut numbers = bench.numbers_of(point);
        let before = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert!(before - numbers.len() <= 1, "{point}: {} twice", before - numbers.len());
        bench.assert_told(point);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_cannot_be_read_costs_its_request_and_not_the_session() {
    const READ: u32 = 631;
    let evil = Evil::start(2).await.unwrap();
    let mut text = format!(
        "[[device]]\nname = \"evil\"\ndriver = \"opcua\"\nevery = \"50ms\"\nequipment = \"a/b\"\naddress = {:?}\n{INSECURE}\n",
        evil.url()
    );
    for variable in 0..2 {
        let node = format!("nsu={};s=v{variable}", Evil::NAMESPACE);
        text += &format!("[[device.point]]\nname = \"v\"\nnode = {node:?}\ntype = \"uint32\"\nmode = \"poll\"\n");
    }
    let (events, mut queue) = mpsc::channel(64);
    let (stop, stopped) = watch::channel(false);
    let state = tempfile::tempdir().unwrap();
    let running = tokio::spawn(supervise(parse(&text), state.path().to_owned(), events, stopped));
    let mut good = 0;
    let mut connections = None;
    while good < 80 {
        let event = timeout(Duration::from_secs(20), queue.recv()).await.unwrap().unwrap();
        let DeviceEvent::Readings(readings) = event else { continue };
        good += readings.iter().filter(|reading| !reading.status.is_bad()).count();
        if good > 20 && connections.is_none() {
            connections = Some(evil.seen().connections);
            evil.play(Script::always(When::Service(READ), Say::Body(vec![0xFF; 40])).times(3));
        }
    }
    assert_eq!(evil.tricks(), 3);
    assert_eq!(Some(evil.seen().connections), connections);
    stop.send(true).unwrap();
    while queue.recv().await.is_some() {}
    assert_eq!(running.await.unwrap(), Vec::<String>::new());
}

/// A machine, the driver on it, and what it said so far.
struct Bench {
    machine: Machine,
    settings: String,
    point_lines: String,
    wanted: Option<&'static str>,
    state: TempDir,
    running: Option<(JoinHandle<Vec<String>>, watch::Sender<bool>)>,
    events: Option<mpsc::Receiver<DeviceEvent>>,
    readings: BTreeMap<usize, Vec<Reading>>,
    missed: Vec<Missed>,
    report: Option<DeviceReport>,
}

impl Bench {
    fn start(kind: MachineKind, limits: MachineLimits, point_lines: &str) -> Bench {
        let mut bench = Bench::prepare(kind, limits, point_lines);
        bench.connect();
        bench
    }

    fn prepare(kind: MachineKind, limits: MachineLimits, point_lines: &str) -> Bench {
        let spec = MachineSpec::new("machine-1", kind).with_tick(TICK);
        let machine =
            Machine::start(spec, MachineOptions { limits, has_history: true, ..MachineOptions::default() }).unwrap();
        Bench {
            machine,
            settings: INSECURE.to_owned(),
            point_lines: point_lines.to_owned(),
            wanted: None,
            state: tempfile::tempdir().unwrap(),
            running: None,
            events: None,
            readings: BTreeMap::new(),
            missed: Vec::new(),
            report: None,
        }
    }

    fn connect(&mut self) {
        let url = self.machine.url();
        let (lines, wanted) = (self.point_lines.clone(), self.wanted);
        let connection = Connection {
            settings: &self.settings,
            // The server's library moves the times of values that come as fast as they are sampled.
            every: "40ms",
            point: &|_| lines.clone(),
            wanted: &|variable| wanted.is_none_or(|name| name == variable.name),
            ..Connection::new(&url, "ds")
        };
        let device = parse(&machine_toml(self.machine.spec(), &connection));
        let (events, queue) = mpsc::channel(64);
        let (stop, stopped) = watch::channel(false);
        let folder = self.state.path().to_owned();
        self.running = Some((tokio::spawn(supervise(device, folder, events, stopped)), stop));
        self.events = Some(queue);
    }

    async fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(rest) = end.checked_duration_since(Instant::now()) {
            let Ok(Some(event)) = timeout(rest, self.events.as_mut().unwrap().recv()).await else { break };
            self.enter(event);
        }
    }

    async fn until(&mut self, is_reached: impl Fn(&Bench) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is_reached(self) {
            assert!(Instant::now() < deadline, "not reached: {}", self.summary());
            self.run_for(Duration::from_millis(50)).await;
        }
    }

    fn summary(&self) -> String {
        let of_point = |(point, all): (&usize, &Vec<Reading>)| {
            let last = all.last().map(|reading| (reading.status, reading.source_time));
            format!("{point}: {} of {}, last {last:?}", self.numbers_of(*point).len(), all.len())
        };
        let points: Vec<_> = self.readings.iter().map(of_point).collect();
        let counters = self.report.as_ref().map(|report| (&report.counters, &report.set_aside));
        format!("{}; {counters:?}; {:?}", points.join("; "), self.missed.last())
    }

    async fn stop(&mut self) -> Vec<String> {
        let (running, stop) = self.running.take().unwrap();
        stop.send(true).unwrap();
        while let Ok(Some(event)) = timeout(Duration::from_secs(10), self.events.as_mut().unwrap().recv()).await {
            self.enter(event);
        }
        running.await.unwrap()
    }

    fn enter(&mut self, event: DeviceEvent) {
        match event {
            DeviceEvent::Readings(readings) => {
                readings
                    .into_iter()
                    .for_each(|reading| self.readings.entry(reading.point.index()).or_default().push(reading));
            }
            DeviceEvent::Missed(missed) => self.missed.push(missed),
            DeviceEvent::Report(_, report) => self.report = Some(*report),
        }
    }

    fn point(&self, name: &str) -> usize {
        self.machine.spec().variables().iter().position(|variable| variable.name == name).unwrap()
    }

    fn good(&self, point: usize) -> impl Iterator<Item = &Reading> {
        self.readings.get(&point).into_iter().flatten().filter(|reading| !reading.status.is_bad())
    }

    fn statuses(&self, point: usize) -> Vec<StatusCode> {
        self.readings.get(&point).into_iter().flatten().map(|reading| reading.status).collect()
    }

    fn slots(&self, point: usize, cause: MissedCause) -> u64 {
        let of_cause = self.missed.iter().filter(|missed| missed.cause == cause);
        let slots = of_cause.flat_map(|missed| &missed.slots).filter(|(id, _)| id.index() == point);
        slots.map(|(_, slots)| slots).sum()
    }

    fn backfilled(&self) -> usize {
        self.readings.values().flatten().filter(|reading| reading.origin == Origin::Backfilled).count()
    }

    /// Every n that a point brought.
    fn numbers_of(&self, point: usize) -> Vec<u32> {
        self.good(point).filter_map(|reading| self.machine.spec().n_of(reading.source_time?)).collect()
    }

    /// Every good value is what the machine had at the value's own time. Before its first tick a machine serves values
    /// whose time is none of its ticks.
    fn judge(&self) {
        let (spec, variables) = (self.machine.spec(), self.machine.spec().variables());
        for (point, readings) in &self.readings {
            let name = &variables[*point].name;
            for reading in readings.iter().filter(|reading| !reading.status.is_bad()) {
                let Some(n) = reading.source_time.and_then(|time| spec.n_of(time)) else { continue };
                assert!(spec.expected(name, n) == reading.value, "{name} at {n}: {:?}", reading.value);
            }
        }
    }

    /// Numbers and missed slots together cover the whole time.
    fn assert_told(&self, point: usize) {
        let mut numbers = self.numbers_of(point);
        numbers.sort_unstable();
        let told: u64 =
            self.missed.iter().flat_map(|m| &m.slots).filter(|(id, _)| id.index() == point).map(|(_, n)| n).sum();
        let holes: u64 =
            numbers.windows(2).map(|pair| u64::from(pair[1].saturating_sub(pair[0]).saturating_sub(1))).sum();
        assert!(told + 2 >= holes, "{point}: {holes} holes, {told} told: {:?}", self.missed);
        let mut sorted = numbers.clone();
        sorted.dedup();
        assert!(numbers.len() - sorted.len() <= 3, "a restart sends the last value again, at most");
    }
}

/// As the daemon's poller does it, and what it tells for a device that is down.
async fn supervise(
    device: Box<dyn Device>,
    folder: std::path::PathBuf,
    events: mpsc::Sender<DeviceEvent>,
    mut stopped: watch::Receiver<bool>,
) -> Vec<String> {
    let clock: Arc<dyn Clock> = Arc::new(RealClock(Instant::now()));
    let site = Site { clock: clock.clone(), ..Site::bare(folder) };
    let mut losses = Vec::new();
    let mut down_since = None;
    while !*stopped.borrow() {
        let mut session = match device.connect(&site).await {
            Ok(session) => session,
            Err(error) => {
                losses.push(error.to_string());
                down_since.get_or_insert_with(|| clock.now());
                tokio::select! { () = sleep(TICK) => {} , _ = stopped.changed() => {} }
                continue;
            }
        };
        let downtime = down_since.take().and_then(|since| downtime(&*device, since, clock.now()));
        let sink = Sink::new(events.clone(), clock.clone()).stopped_by(stopped.clone());
        let sink = if device.backfills() {
            sink.after(downtime)
        } else {
            if let Some(missed) = downtime {
                events.send(DeviceEvent::Missed(missed)).await.unwrap();
            }
            sink
        };
        let loss = session.run(&sink).await;
        down_since = Some(clock.now());
        if !matches!(loss, LinkError::SinkClosed) {
            losses.push(loss.to_string());
            sleep(TICK).await;
        }
    }
    losses
}

fn downtime(device: &dyn Device, since: Now, now: Now) -> Option<Missed> {
    let down = now.monotonic - since.monotonic;
    let slots = |point: &lingate_drivers::Point| (point.id, (down.as_nanos() / point.interval.as_nanos()) as u64);
    let slots: Vec<_> = device.points().iter().map(slots).filter(|(_, slots)| *slots > 0).collect();
    let device = "machine-1".parse().unwrap();
    (!slots.is_empty()).then_some(Missed {
        device,
        from: since.utc,
        to: now.utc,
        slots,
        cause: MissedCause::DeviceDown,
    })
}
