//! The gateway's Modbus driver against honest and hostile devices: whatever a device does, no value is wrong, no slot
//! vanishes, and nothing but a read is ever sent.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and brings its own clock")]

#[path = "common/device.rs"]
mod device;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use device::parse;
use lingate_drivers::{Device, DeviceEvent, LinkError, Sink, Site};
use lingate_model::{Clock, ClockState, Now, Reading, StatusCode, UtcMicros, Value};
use lingate_plant::{Area, Behaviour, DeviceSpec, Kind, Labels, Mode, Plant, PlantDevice};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Waits for nothing real: honest devices answer at once.
const PATIENT: &str = "timeout = \"20s\"";
/// For devices that do not answer.
const HASTY: &str = "timeout = \"40ms\"";

#[tokio::test]
async fn every_value_of_every_machine_is_what_was_served() {
    for mode in [Mode::Instrument, Mode::SelfDescribing] {
        for kind in Kind::MACHINES.into_iter().chain([Kind::Numbered(200)]) {
            let bench = Bench::start(kind, mode, PATIENT).await;
            let polls = bench.connect().await.polls(5).await;
            for poll in &polls {
                assert_eq!(poll.readings.len(), bench.spec().tags().len());
                bench.judge(poll);
                assert!(poll.readings.iter().all(|reading| !reading.status.is_bad()));
            }
            let served = bench.device().served();
            assert!(served.polls() >= 5 && served.slots >= 5 * bench.spec().tags().len() as u64);
            bench.assert_only_reads();
        }
    }
}

#[tokio::test]
async fn a_small_device_is_asked_in_small_pieces_and_gives_the_same_values() {
    let small = format!("{PATIENT}\nmax_registers = 4\nmax_bits = 1\nmax_gap = 0\npause = \"1ms\"");
    let bench = Bench::start(Kind::Bioreactor, Mode::Instrument, &small).await;
    for poll in bench.connect().await.polls(3).await {
        bench.judge(&poll);
        assert!(poll.readings.iter().all(|reading| !reading.status.is_bad()));
    }
    bench.assert_only_reads();
}

#[tokio::test]
async fn after_any_broken_answer_the_link_is_dropped_without_a_wrong_value() {
    let late = Duration::from_millis(60);
    let cases = [
        (Behaviour::Silent, HASTY, "timeout", StatusCode::BAD_TIMEOUT),
        (Behaviour::Late(late), HASTY, "timeout", StatusCode::BAD_TIMEOUT),
        (Behaviour::Drip(Duration::from_millis(9)), HASTY, "timeout", StatusCode::BAD_TIMEOUT),
        (Behaviour::TooFew, PATIENT, "protocol", StatusCode::BAD_DECODING_ERROR),
        (Behaviour::TooMany, PATIENT, "protocol", StatusCode::BAD_DECODING_ERROR),
        (Behaviour::WrongTransaction, PATIENT, "protocol", StatusCode::BAD_DECODING_ERROR),
        (Behaviour::WrongUnit, PATIENT, "protocol", StatusCode::BAD_DECODING_ERROR),
        (Behaviour::WrongProtocol, PATIENT, "protocol", StatusCode::BAD_DECODING_ERROR),
        (Behaviour::WrongFunction, PATIENT, "protocol", StatusCode::BAD_DECODING_ERROR),
        (Behaviour::ClosesInTheMiddle, PATIENT, "closed", StatusCode::BAD_COMMUNICATION_ERROR),
    ];
    for (behaviour, settings, loss, status) in cases {
        let bench = Bench::start(Kind::Bioreactor, Mode::SelfDescribing, settings).await;
        bench.device().set_behaviour(behaviour);
        let (polls, lost) = bench.connect().await.until_lost().await;
        assert_eq!(kind_of(&lost), loss, "{behaviour:?}: {lost}");
        let broken = polls.last().unwrap();
        assert_eq!(broken.readings.len(), bench.spec().tags().len(), "{behaviour:?}: a slot vanished");
        assert!(
            broken.readings.iter().all(|reading| reading.status == status && reading.value.is_none()),
            "{behaviour:?}"
        );
        bench.device().set_behaviour(Behaviour::Honest);
        for poll in bench.connect().await.polls(3).await {
            bench.judge(&poll);
        }
        bench.assert_only_reads();
    }
}

#[tokio::test]
async fn requests_that_were_not_sent_any_more_give_bad_readings_too() {
    let bench = Bench::start(Kind::Bioreactor, Mode::Instrument, HASTY).await;
    bench.device().set_behaviour(Behaviour::Silent);
    let (polls, _) = bench.connect().await.until_lost().await;
    let mut statuses = BTreeMap::new();
    for reading in &polls[0].readings {
        *statuses.entry(reading.status).or_insert(0) += 1;
    }
    let coils = bench.spec().tags().iter().filter(|tag| tag.area == Area::Coil).count();
    let rest = bench.spec().tags().len() - coils;
    assert_eq!(
        statuses,
        BTreeMap::from([(StatusCode::BAD_TIMEOUT, coils), (StatusCode::BAD_COMMUNICATION_ERROR, rest)])
    );
}

#[tokio::test]
async fn stray_bytes_behind_an_answer_never_become_a_value() {
    for count in [1, 5, 6, 7, 9, 40, 300] {
        let bench = Bench::start(Kind::Extruder, Mode::SelfDescribing, PATIENT).await;
        bench.device().set_behaviour(Behaviour::Trailing(count));
        let (polls, lost) = bench.connect().await.until_lost().await;
        assert_eq!(kind_of(&lost), "protocol", "{count} stray bytes: {lost}");
        polls.iter().for_each(|poll| bench.judge(poll));
    }
}

#[tokio::test]
async fn an_exception_is_a_bad_reading_and_keeps_the_connection() {
    let bench = Bench::start(Kind::Extruder, Mode::SelfDescribing, PATIENT).await;
    let table = [
        (1, StatusCode::BAD_NOT_SUPPORTED),
        (2, StatusCode::BAD_CONFIGURATION_ERROR),
        (3, StatusCode::BAD_CONFIGURATION_ERROR),
        (4, StatusCode::BAD_DEVICE_FAILURE),
        (5, StatusCode::BAD_RESOURCE_UNAVAILABLE),
        (6, StatusCode::BAD_RESOURCE_UNAVAILABLE),
        (7, StatusCode::BAD),
        (8, StatusCode::BAD_DEVICE_FAILURE),
        (10, StatusCode::BAD_NO_COMMUNICATION),
        (11, StatusCode::BAD_NO_COMMUNICATION),
        (0, StatusCode::BAD),
        (255, StatusCode::BAD),
    ];
    let plant = Arc::clone(&bench.plant);
    let mut line = bench.connect().await;
    line.polls(1).await;
    for (code, status) in table {
        plant.devices()[0].set_behaviour(Behaviour::Exception(code));
        line.poll_where(|poll| poll.readings.iter().all(|reading| reading.status == status)).await;
        plant.devices()[0].set_behaviour(Behaviour::Honest);
        let good = line.poll_where(|poll| poll.readings.iter().all(|reading| !reading.status.is_bad())).await;
        bench.judge(&good);
    }
    assert_eq!(bench.device().served().connections, 1);
}

#[tokio::test]
async fn values_beside_a_hole_come_back_and_the_hole_stays_bad() {
    let bench = Bench::start(Kind::Extruder, Mode::Instrument, PATIENT).await;
    let hole = bench.spec().tag("throughput").unwrap().address;
    bench.device().set_behaviour(Behaviour::Hole(Area::Holding, hole));
    let is_bad = |reading: &&Reading| reading.status == StatusCode::BAD_CONFIGURATION_ERROR;
    let poll = bench.connect().await.poll_where(|poll| poll.readings.iter().filter(is_bad).count() == 1).await;
    let bad = poll.readings.iter().find(is_bad).unwrap();
    assert_eq!(bench.spec().tags()[bad.point.index()].name, "throughput");
    bench.judge(&poll);
    assert_eq!(bench.device().served().connections, 1);
    bench.assert_only_reads();
}

#[tokio::test]
async fn a_device_that_was_away_goes_on_where_its_counter_stands() {
    let bench = Bench::start(Kind::Chiller, Mode::Instrument, PATIENT).await;
    bench.connect().await.polls(3).await;
    bench.device().stop().await;
    assert!(matches!(bench.gateway.connect(&Site::bare(std::env::temp_dir())).await, Err(LinkError::Connect { .. })));
    let before = bench.device().served().polls();
    bench.device().restart().await.unwrap();
    for poll in bench.connect().await.polls(2).await {
        bench.judge(&poll);
        assert!(bench.n(&poll, Area::Input).unwrap() > before);
    }
}

#[tokio::test]
async fn a_write_is_refused_and_counted() {
    use tokio_modbus::client::{Writer, tcp};
    let bench = Bench::start(Kind::Extruder, Mode::Instrument, PATIENT).await;
    let mut client = tcp::connect_slave(bench.device().address(), tokio_modbus::Slave(1)).await.unwrap();
    let answer = client.write_single_register(102, 7).await.unwrap();
    assert_eq!(answer, Err(tokio_modbus::ExceptionCode::IllegalFunction));
    assert_eq!(bench.device().served().functions, BTreeMap::from([(6, 1)]));
}

/// One simulated device and the gateway's driver for it, polling every 5 ms.
struct Bench {
    plant: Arc<Plant>,
    gateway: Box<dyn Device>,
    clock: Arc<TestClock>,
}

/// Readings of one poll; they share their time.
struct Poll {
    readings: Vec<Reading>,
}

/// A session that runs until it is lost or this is dropped.
struct Line {
    session: JoinHandle<LinkError>,
    events: mpsc::Receiver<DeviceEvent>,
}

impl Bench {
    async fn start(kind: Kind, mode: Mode, settings: &str) -> Bench {
        let plant = Plant::start([DeviceSpec::new("machine-1", kind, mode)]).await.unwrap();
        let toml = plant.devices()[0].toml(&Labels { every: "5ms", ..Labels::new("ds-1") });
        let gateway = parse(&toml.replacen("\n\n", &format!("\n{settings}\n\n"), 1));
        assert_eq!(gateway.address(), plant.devices()[0].address().to_string());
        Bench { plant: Arc::new(plant), gateway, clock: Arc::new(TestClock(Instant::now())) }
    }

    fn device(&self) -> &PlantDevice {
        &self.plant.devices()[0]
    }

    fn spec(&self) -> &DeviceSpec {
        self.device().spec()
    }

    async fn connect(&self) -> Line {
        let (sender, events) = mpsc::channel(4);
        let sink = Sink::new(sender, Arc::clone(&self.clock) as Arc<dyn Clock>);
        let mut session = self.gateway.connect(&Site::bare(std::env::temp_dir())).await.unwrap();
        Line { session: tokio::spawn(async move { session.run(&sink).await }), events }
    }

    /// The serve counter that came with the readings of a table.
    fn n(&self, poll: &Poll, area: Area) -> Option<u32> {
        let tag = self.spec().tags().iter().find(|tag| tag.area == area)?;
        let counter = self.spec().counter_of(tag)?;
        poll.readings.iter().find_map(|reading| match reading.value {
            Some(Value::UInt32(n)) if self.spec().tags()[reading.point.index()] == *counter => Some(n),
            _ => None,
        })
    }

    /// Every good value is what the device served, in its declared type; a bad reading has no value.
    fn judge(&self, poll: &Poll) {
        for reading in &poll.readings {
            let tag = &self.spec().tags()[reading.point.index()];
            let Some(value) = &reading.value else {
                assert!(reading.status.is_bad());
                continue;
            };
            assert_eq!(value.builtin_type(), self.gateway.points()[reading.point.index()].builtin_type);
            // A poll whose counter is bad tells nothing about its other values.
            let Some(n) = self.n(poll, tag.area) else { continue };
            assert!(self.spec().accepts(&tag.name, n, value), "{} is wrong at n = {n}", tag.name);
        }
    }

    fn assert_only_reads(&self) {
        let functions = self.device().served().functions;
        assert!(
            !functions.is_empty() && functions.keys().all(|function| matches!(function, 1..=4 | 43)),
            "{functions:?}"
        );
    }
}

impl Line {
    /// `None` when the link is lost.
    async fn next(&mut self) -> Option<Poll> {
        loop {
            if let DeviceEvent::Readings(readings) = self.events.recv().await? {
                let is_together = readings.windows(2).all(|pair| pair[0].gateway_time == pair[1].gateway_time);
                assert!(is_together, "one poll has two times");
                return Some(Poll { readings });
            }
        }
    }

    async fn polls(&mut self, count: usize) -> Vec<Poll> {
        let mut polls = Vec::new();
        while polls.len() < count {
            polls.push(self.next().await.expect("the link holds"));
        }
        polls
    }

    async fn poll_where(&mut self, is_wanted: impl Fn(&Poll) -> bool) -> Poll {
        loop {
            let poll = self.next().await.expect("the link holds");
            if is_wanted(&poll) {
                return poll;
            }
        }
    }

    async fn until_lost(mut self) -> (Vec<Poll>, LinkError) {
        let mut polls = Vec::new();
        while let Some(poll) = self.next().await {
            polls.push(poll);
        }
        let lost = (&mut self.session).await.unwrap();
        (polls, lost)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.session.abort();
    }
}

fn kind_of(lost: &LinkError) -> &'static str {
    match lost {
        LinkError::Connect { .. } => "connect",
        LinkError::Timeout { .. } => "timeout",
        LinkError::Protocol { .. } => "protocol",
        LinkError::Refused { .. } => "refused",
        LinkError::Closed => "closed",
        LinkError::SinkClosed => "sink",
    }
}

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Now {
        let monotonic = self.0.elapsed();
        let utc = UtcMicros(1_700_000_000_000_000 + i64::try_from(monotonic.as_micros()).unwrap());
        Now { monotonic, utc, clock: ClockState::Synced }
    }
}
