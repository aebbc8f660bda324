//! The driver on every transport against servers that none of us wrote, with the registers of
//! `tests/e2e/peers/README.md`: `LINGATE_PEERS=... cargo test -p lingate-plant --test lines peers -- --ignored`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lingate_drivers::{DeviceEvent, Sink, Site};
use lingate_model::Value;
use lingate_plant::rig::{Cable, Certificates};
use tokio::time::timeout;

use crate::bench::clock;
use crate::device::parse;

const POINTS: [(&str, &str); 11] = [
    ("holding:0", "type = \"u16\""),
    ("holding:1", "type = \"i16\""),
    ("holding:2", "type = \"u32\""),
    ("holding:4", "type = \"u32\"\nword_order = \"cdab\""),
    ("holding:6", "type = \"f32\""),
    ("holding:8", "type = \"f64\""),
    ("holding:12", "type = \"i64\""),
    ("input:0", "type = \"u16\""),
    ("coil:0", ""),
    ("coil:7", ""),
    ("discrete:3", ""),
];

fn values() -> [Value; 11] {
    [
        Value::UInt16(4660),
        Value::Int16(-2),
        Value::UInt32(3_735_928_559),
        Value::UInt32(3_735_928_559),
        Value::Float(3.25),
        Value::Double(std::f64::consts::E),
        Value::Int64(-9_007_199_254_740_993),
        Value::UInt16(777),
        Value::Boolean(true),
        Value::Boolean(false),
        Value::Boolean(true),
    ]
}

struct Server {
    child: Child,
    port: String,
}

impl Server {
    fn start(program: &Path, arguments: &[&str]) -> Server {
        let mut child =
            Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let port = first.trim().strip_prefix("listening ").unwrap_or_else(|| panic!("{program:?} said {first:?}"));
        Server { port: port.to_owned(), child }
    }

    fn pymodbus(arguments: &[&str]) -> Server {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../e2e/peers/pymodbus_server.py");
        let arguments: Vec<&str> = std::iter::once(script.to_str().unwrap()).chain(arguments.iter().copied()).collect();
        Server::start(&peers().join("venv/bin/python"), &arguments)
    }

    fn libmodbus(arguments: &[&str]) -> Server {
        Server::start(&peers().join("libmodbus_server"), arguments)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn peers() -> PathBuf {
    PathBuf::from(
        std::env::var_os("LINGATE_PEERS").expect("LINGATE_PEERS names the folder with the peers; see .ci/run"),
    )
}

/// Fifty good polls, each value exact. On a busy machine a peer may miss a request on a pseudo-terminal.
async fn check(driver: &str, place: &str, key: Option<&str>) {
    let head =
        format!("[[device]]\nname = \"peer\"\ndriver = \"{driver}\"\nevery = \"10ms\"\nequipment = \"a/b\"\n{place}\n");
    let points =
        POINTS.map(|(register, more)| format!("[[device.point]]\nname = \"p\"\nregister = \"{register}\"\n{more}\n"));
    let device = parse(&(head + &points.concat()));
    let mut site = Site::bare(std::env::temp_dir());
    let key = key.unwrap_or_default().as_bytes().to_vec();
    site.secret = Arc::new(move |_| Ok(key.clone().into()));
    let (sender, mut events) = tokio::sync::mpsc::channel(16);
    let mut session = device.connect(&site).await.unwrap();
    let running = tokio::spawn(async move { session.run(&Sink::new(sender, clock())).await });
    let (mut polls, mut failed) = (0, 0);
    while polls < 50 {
        let event = timeout(Duration::from_secs(20), events.recv()).await.unwrap();
        if let DeviceEvent::Readings(readings) = event.expect("the session holds") {
            for reading in readings.iter().filter(|reading| reading.value.is_some()) {
                assert_eq!(reading.value.as_ref(), Some(&values()[reading.point.index()]), "{driver} {reading:?}");
            }
            let is_good = readings.iter().all(|reading| reading.value.is_some());
            (polls, failed) = if is_good { (polls + 1, failed) } else { (polls, failed + 1) };
            assert!(failed <= 5, "{driver}: {readings:?}");
        }
    }
    running.abort();
}

fn at(port: &str) -> String {
    format!("address = \"127.0.0.1:{port}\"")
}

fn on(path: &Path) -> String {
    format!("port = {path:?}\nbaud = 115200\nparity = \"none\"\ndata_bits = 8\nstop_bits = 1")
}

#[tokio::test]
#[ignore = "needs pymodbus: .ci/run"]
async fn pymodbus_is_read_on_every_transport() {
    for (kind, driver) in [
        ("tcp", "modbus-tcp"),
        ("udp", "modbus-udp"),
        ("rtu-over-tcp", "modbus-rtu-over-tcp"),
        ("ascii-over-tcp", "modbus-ascii-over-tcp"),
    ] {
        let server = Server::pymodbus(&[kind]);
        check(driver, &at(&server.port), None).await;
    }
    for (kind, driver) in [("rtu", "modbus-rtu"), ("ascii", "modbus-ascii")] {
        let cable = Cable::new().unwrap();
        let _server = Server::pymodbus(&[kind, cable.ends[1].to_str().unwrap()]);
        check(driver, &on(&cable.ends[0]), None).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(folder.path()).unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let server = Server::pymodbus(&["tls", &file("server.pem"), &file("server.key"), &file("ca.pem")]);
    check("modbus-tls", &format!("{}\n{}", at(&server.port), certificates.toml()), Some(&certificates.client_key))
        .await;
}

#[tokio::test]
#[ignore = "needs libmodbus: .ci/run"]
async fn libmodbus_is_read_on_tcp_and_on_a_serial_line() {
    let server = Server::libmodbus(&[]);
    check("modbus-tcp", &at(&server.port), None).await;
    let cable = Cable::new().unwrap();
    let _server = Server::libmodbus(&[cable.ends[1].to_str().unwrap()]);
    check("modbus-rtu", &on(&cable.ends[0]), None).await;
}
