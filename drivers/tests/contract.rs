//! Every listed driver keeps the same promises.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and brings its own clock")]

use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lingate_drivers::settings::{DeTable, Problem, SettingsError, Table};
use lingate_drivers::{DRIVERS, Device, DeviceSettings, Driver, PointSettings, Sink, Site};
use lingate_model::{Clock, ClockState, Now, PointId, UtcMicros};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::Instant;

#[test]
fn every_kind_is_named_once_and_found() {
    let kinds: BTreeSet<_> = DRIVERS.iter().map(|driver| driver.kind).collect();
    assert_eq!(kinds.len(), DRIVERS.len());
    assert!(kinds.iter().all(|kind| lingate_drivers::driver(kind).is_some_and(|driver| driver.kind == *kind)));
    assert!(lingate_drivers::driver("morse").is_none());
}

#[test]
fn every_sample_parses_and_its_points_are_dense() {
    for driver in DRIVERS {
        let device = parse(driver, driver.sample).unwrap_or_else(|error| panic!("{}: {error:?}", driver.kind));
        let ids: Vec<_> = device.points().iter().map(|point| point.id).collect();
        let dense: Vec<_> = (FIRST_POINT..).map(PointId).take(points_in(driver)).collect();
        assert_eq!(ids, dense);
        assert!(!device.address().is_empty());
        for point in device.points() {
            assert!(point.source.starts_with(driver.kind), "{}", point.source);
            assert!(!point.source.contains(&device.address()), "the source tells the address");
            assert!(point.interval > Duration::ZERO);
        }
    }
}

#[test]
fn an_unknown_key_is_reported_at_its_place_in_the_device_and_in_every_point() {
    for driver in DRIVERS {
        let text = driver.sample.replace("\n[[device.point]]", "\n[[device.point]]\nflavour = 1");
        let text = text.replacen("[[device]]", "[[device]]\ncolour = 1", 1);
        let problems = problems(driver, &text);
        let keys: Vec<_> = problems.iter().map(|problem| &text[problem.span.clone()]).collect();
        assert_eq!(keys.iter().filter(|key| **key == "colour").count(), 1);
        assert_eq!(keys.iter().filter(|key| **key == "flavour").count(), points_in(driver));
        assert_eq!(keys.len(), 1 + points_in(driver), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.path == "device[0].point[1]"), "{problems:?}");
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    for driver in DRIVERS {
        let is_setting = |line: &&str| !line.is_empty() && !line.starts_with(['#', '[']);
        let own = |line: &&str| !OF_THE_GATEWAY.iter().any(|key| line.starts_with(&format!("{key} =")));
        let lines = || driver.sample.lines().filter(is_setting).filter(own);
        let is_wrong_for_every_key = |text: &str| {
            text.lines()
                .map(|line| match line.split_once(" = ") {
                    Some((key, _)) if own(&line) && is_setting(&line) => format!("{key} = 1979-05-27"),
                    _ => line.to_owned(),
                })
                .collect::<Vec<_>>()
                .join("\n")
        };
        let problems = problems(driver, &is_wrong_for_every_key(driver.sample));
        assert!(problems.len() >= lines().count(), "{} of {}: {problems:#?}", problems.len(), lines().count());
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_listener_cannot_hold_a_session_for_ever() {
    for driver in DRIVERS {
        let peer = SilentPeer::start().await;
        let text: Vec<_> = driver.sample.lines().map(|line| peer.instead_of(driver, line)).collect();
        let device = parse(driver, &text.join("\n")).unwrap_or_else(|error| panic!("{}: {error:?}", driver.kind));
        let (sender, mut events) = mpsc::channel(1000);
        let began = Instant::now();
        let mut site = Site::bare(std::env::temp_dir());
        let key = peer.key.clone();
        site.secret = Arc::new(move |_| Ok(key.clone().into()));
        if let Ok(mut session) = device.connect(&site).await {
            let loss = session.run(&Sink::new(sender, Arc::new(TestClock(began)))).await;
            assert!(events.try_recv().is_ok(), "{loss} without a reading");
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{}", driver.kind);
    }
}

/// Takes connections, datagrams and bytes, and never says anything.
struct SilentPeer {
    listener: TcpListener,
    datagrams: UdpSocket,
    /// The far end of a serial line, and the name of the near one.
    _serial: serial2::SerialPort,
    port: PathBuf,
    _files: tempfile::TempDir,
    certificate: PathBuf,
    key: Vec<u8>,
}

impl SilentPeer {
    async fn start() -> SilentPeer {
        let (far, near) = serial2::SerialPort::pair().unwrap();
        let port = std::fs::read_link(format!("/proc/self/fd/{}", near.as_raw_fd())).unwrap();
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = tempfile::tempdir().unwrap();
        let certificate = files.path().join("certificate.pem");
        std::fs::write(&certificate, pair.cert.pem()).unwrap();
        SilentPeer {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            datagrams: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            _serial: far,
            port,
            _files: files,
            certificate,
            key: pair.signing_key.serialize_pem().into_bytes(),
        }
    }

    /// A line of a sample, with this peer in it. A pseudo-terminal knows neither parity nor seven bits.
    fn instead_of(&self, driver: &Driver, line: &str) -> String {
        let address = match driver.kind {
            "modbus-udp" => self.datagrams.local_addr().unwrap(),
            _ => self.listener.local_addr().unwrap(),
        };
        match line.split_once(" = ").map(|(key, _)| key) {
            Some("address") => format!("address = \"{address}\""),
            Some("port") => format!("port = {:?}", self.port),
            Some("parity") => "parity = \"none\"".to_owned(),
            Some("data_bits") => "data_bits = 8".to_owned(),
            Some(key @ ("ca" | "certificate")) if driver.kind == "modbus-tls" => {
                format!("{key} = {:?}", self.certificate)
            }
            _ => line.to_owned(),
        }
    }
}

const FIRST_POINT: u32 = 7;

/// Keys that `config` takes before the driver does.
const OF_THE_GATEWAY: [&str; 9] =
    ["name", "driver", "every", "equipment", "unit", "range", "dataset", "class", "minimize"];

fn points_in(driver: &Driver) -> usize {
    driver.sample.matches("\n[[device.point]]").count()
}

fn problems(driver: &Driver, text: &str) -> Vec<Problem> {
    match parse(driver, text) {
        Ok(_) => panic!("it was accepted"),
        Err(SettingsError(problems)) => problems,
    }
}

fn parse(driver: &Driver, text: &str) -> Result<Box<dyn Device>, SettingsError> {
    let file = DeTable::parse(text).unwrap();
    let mut table = Table::new(file.get_ref(), file.span(), "").take("device").tables(1..=1).remove(0);
    assert_eq!(table.take("driver").string().as_deref(), Some(driver.kind));
    let every = table.take("every").duration(INTERVALS).unwrap();
    let name = table.take("name").parsed().unwrap();
    table.take("equipment").string();
    let points = table.take("point").tables(1..=99).into_iter().map(point).collect();
    (driver.parse)(DeviceSettings { name, every, first_point: PointId(FIRST_POINT), table, points })
}

fn point(mut table: Table<'_>) -> PointSettings<'_> {
    for key in ["name", "unit", "dataset", "class"] {
        table.take(key).string();
    }
    table.take("range").decimal_range();
    table.take("minimize").tables(0..=9);
    PointSettings { every: table.take("every").duration(INTERVALS), table }
}

const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Now {
        Now { monotonic: self.0.elapsed(), utc: UtcMicros(0), clock: ClockState::Synced }
    }
}
