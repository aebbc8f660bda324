//! Ten units on one line in virtual time, on the far end of a pipe.

use std::sync::atomic::{AtomicU64, Ordering};

use lingate_model::{Clock, ClockState, Now, PointId, UtcMicros};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::super::frame::Framing;
use super::super::settings::Protocol;
use super::super::transport::Stream;
use super::super::{Modbus, Plan};
use super::*;
use crate::settings::{DeTable, Table};
use crate::{Device, DeviceEvent, DeviceSettings, PointSettings, Sink};

const MS: Duration = Duration::from_millis(1);
const DEAD: u8 = 5;

/// The issue's own measure: one dead slave among ten, every second one reading of each.
#[tokio::test(start_paused = true)]
async fn one_dead_unit_among_ten_costs_the_others_less_than_a_twentieth_of_their_slots() {
    let minutes = 30;
    let line = Bench::start(10, Some(DEAD)).await;
    sleep(Duration::from_secs(60 * minutes)).await;
    for unit in (1..=10_u8).filter(|unit| *unit != DEAD) {
        let (read, slots) = (line.good(unit), 60 * minutes);
        assert!(read * 100 >= slots * 95, "unit {unit}: {read} of {slots}");
    }
    let probes = line.asked(DEAD);
    assert!((10..=minutes * 2).contains(&probes), "it is asked {probes} times, at most once in 25 timeouts");
    assert_eq!(line.good(DEAD), 0);
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_comes_back_is_found_within_its_pause() {
    let line = Bench::start(3, Some(DEAD - 2)).await;
    sleep(Duration::from_secs(300)).await;
    assert_eq!(line.good(3), 0);
    line.dead.store(0, Ordering::Relaxed);
    sleep(Duration::from_secs(75)).await;
    assert!(line.good(3) > 0, "the longest pause is a minute");
}

#[tokio::test(start_paused = true)]
async fn a_line_without_dead_units_serves_every_slot() {
    let line = Bench::start(10, None).await;
    sleep(Duration::from_secs(120)).await;
    for unit in 1..=10 {
        assert!(line.good(unit) >= 115, "unit {unit}: {}", line.good(unit));
    }
}

/// Row M10 of the plan for hostile devices: at most six reconnects in any minute, from the first one on.
#[tokio::test(start_paused = true)]
async fn a_device_that_takes_connections_and_is_of_no_use_is_connected_at_most_six_times_a_minute() {
    for unit in [0, 1, 17, 255] {
        for useless in [Useless::Silent, Useless::Drops] {
            let opened = openings(unit, useless, Duration::from_secs(900)).await;
            let reconnects = &opened[1..];
            assert!(reconnects.len() > 20, "it is tried for ever: {opened:?}");
            for window in reconnects.windows(7) {
                assert!(window[6] - window[0] > Duration::from_secs(60), "unit {unit} {useless:?}: {window:?}");
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Useless {
    Silent,
    /// At the first request.
    Drops,
}

/// When a hasty gateway opened the connection.
async fn openings(unit: u8, useless: Useless, time: Duration) -> Vec<Duration> {
    let (began, opened) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&opened);
    let pipe = move || {
        noted.lock().unwrap().push(began.elapsed());
        let (near, mut far) = duplex(1024);
        tokio::spawn(async move {
            let mut request = [0; 12];
            while far.read_exact(&mut request).await.is_ok() && matches!(useless, Useless::Silent) {}
        });
        Some(Box::new(near) as Box<dyn Stream>)
    };
    let mut plan = plan(unit, 10 * MS, "timeout = '100ms'");
    plan.settings.line.transport = Transport::Pipe { pipe: Arc::new(pipe), framing: Framing::Mbap };
    let device = Modbus { plan: Arc::new(plan), line: std::sync::OnceLock::new() };
    let site = Arc::new(Site::bare("/nowhere".into()));
    let polling = tokio::spawn(poll(device, site, counts(), unit, 125 * MS));
    sleep(time).await;
    polling.abort();
    opened.lock().unwrap().clone()
}

/// One for each unit number.
fn counts() -> Arc<Vec<AtomicU64>> {
    Arc::new((0..=255).map(|_| AtomicU64::new(0)).collect())
}

struct Bench {
    good: Arc<Vec<AtomicU64>>,
    asked: Arc<Vec<AtomicU64>>,
    /// 0: none.
    dead: Arc<AtomicU64>,
}

impl Bench {
    async fn start(units: u8, dead: Option<u8>) -> Bench {
        let bench = Bench {
            good: counts(),
            asked: counts(),
            dead: Arc::new(AtomicU64::new(u64::from(dead.unwrap_or(0)))),
        };
        let site = Arc::new(Site::bare("/nowhere".into()));
        let (asked, is_dead) = (Arc::clone(&bench.asked), Arc::clone(&bench.dead));
        let pipe: Arc<dyn Fn() -> Option<Box<dyn Stream>> + Send + Sync> = Arc::new(move || {
            let (near, far) = duplex(1024);
            tokio::spawn(units_behind(far, Arc::clone(&asked), Arc::clone(&is_dead)));
            Some(Box::new(near))
        });
        for unit in 1..=units {
            let mut plan = plan(unit, 1000 * MS, "");
            plan.settings.line.transport = Transport::Pipe { pipe: Arc::clone(&pipe), framing: Framing::Rtu };
            let device = Modbus { plan: Arc::new(plan), line: std::sync::OnceLock::new() };
            tokio::spawn(poll(device, Arc::clone(&site), Arc::clone(&bench.good), unit, 8000 * MS));
        }
        bench
    }

    fn good(&self, unit: u8) -> u64 {
        self.good[usize::from(unit)].load(Ordering::Relaxed)
    }

    fn asked(&self, unit: u8) -> u64 {
        self.asked[usize::from(unit)].load(Ordering::Relaxed)
    }
}

/// As the daemon does it, with one pause between two sessions.
async fn poll(device: Modbus, site: Arc<Site>, good: Arc<Vec<AtomicU64>>, unit: u8, pause: Duration) {
    let (sender, mut events) = mpsc::channel(1);
    let sink = Sink::new(sender, Arc::new(TestClock(Instant::now())));
    let counting = async {
        while let Some(event) = events.recv().await {
            if let DeviceEvent::Readings(readings) = event {
                let read = readings.iter().filter(|reading| reading.value.is_some()).count() as u64;
                good[usize::from(unit)].fetch_add(read, Ordering::Relaxed);
            }
        }
    };
    let polling = async {
        loop {
            if let Ok(mut session) = device.connect(&site).await {
                session.run(&sink).await;
            }
            sleep(pause).await;
        }
    };
    tokio::join!(counting, polling);
}

/// RTU over TCP: answers after 5 ms, but for the unit that is dead.
async fn units_behind(mut wire: DuplexStream, asked: Arc<Vec<AtomicU64>>, dead: Arc<AtomicU64>) {
    let mut request = [0; 8];
    while wire.read_exact(&mut request).await.is_ok() {
        asked[usize::from(request[0])].fetch_add(1, Ordering::Relaxed);
        if u64::from(request[0]) == dead.load(Ordering::Relaxed) {
            continue;
        }
        sleep(5 * MS).await;
        let body = [request[0], request[1], 2, 0, 7];
        let sum = crate::modbus::frame::crc(&body).to_le_bytes();
        if wire.write_all(&[&body[..], &sum].concat()).await.is_err() {
            return;
        }
    }
}

fn plan(unit: u8, every: Duration, settings: &str) -> Plan {
    let text = format!("address = 'converter'\nunit = {unit}\n{settings}\nidentify = false\n[[point]]\nregister = 'holding:0'\ntype = 'u16'\n");
    let file = DeTable::parse(&text).unwrap();
    let mut table = Table::new(file.get_ref(), file.span(), "");
    let points = table.take("point").tables(1..=1).into_iter().map(|table| PointSettings { every: None, table }).collect();
    let name = format!("unit-{unit}").parse().unwrap();
    let settings = DeviceSettings { name, every, first_point: PointId(0), table, points };
    Plan::parse(settings, Protocol::RtuOverTcp).unwrap()
}

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Now {
        Now { monotonic: self.0.elapsed(), utc: UtcMicros(0), clock: ClockState::Synced }
    }
}
