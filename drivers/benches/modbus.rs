//! CPU seconds per million readings of the whole session (plan, ask, decode, hand over), as a ratio to a loop in C with
//! libmodbus that reads the same registers from the same server in the same run; then the planner alone.
//!
//! The server is this program again, so that its time is not the client's. CPU time comes from `/proc` in ticks of 10 ms;
//! each run takes long enough for 1 %.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark fails by panic and reads the clock")]

use std::fmt::Write as _;
use std::fs::read_to_string;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::Bencher;
use lingate_drivers::settings::{DeTable, SettingsError, Table};
use lingate_drivers::{Device, DeviceEvent, DeviceSettings, PointSettings, Sink, Site};
use lingate_model::{Clock, ClockState, Now, PointId, UtcMicros};
use tokio::sync::mpsc;

/// Values that lie in blocks, as both clients read them.
struct Map {
    name: &'static str,
    kind: &'static str,
    /// Addresses of the values.
    values: Vec<u16>,
    /// What the C loop asks for: begin and length, which is what the planner must find too.
    requests: Vec<(u16, u16)>,
    readings: usize,
}

fn maps() -> [Map; 2] {
    let contiguous = (0..8).map(|block| (block * 125, 125)).collect();
    let sparse: Vec<_> = (0..100).map(|block| (block * 25, 4)).collect();
    let pairs = sparse.iter().flat_map(|(start, _)| [*start, start + 2]).collect();
    [
        Map {
            name: "contiguous: 1,000 u16",
            kind: "u16",
            values: (0..1000).collect(),
            requests: contiguous,
            readings: 20_000_000,
        },
        Map { name: "sparse: 100 pairs of f32", kind: "f32", values: pairs, requests: sparse, readings: 200_000 },
    ]
}

fn main() {
    if std::env::args().any(|argument| argument == "--server") {
        return serve();
    }
    let mut server = Server::start();
    println!("CPU seconds per million readings          lingate   libmodbus (C)   ratio");
    let loop_in_c = compile();
    for map in maps() {
        let ours = per_million(&map, || poll(&map, server.port));
        let theirs = loop_in_c.as_ref().map(|program| per_million(&map, || run(program, &map, server.port)));
        let (theirs, ratio) = match theirs {
            Some(theirs) => (format!("{theirs:.3}"), format!("{:.1}", ours / theirs)),
            None => ("not installed".to_owned(), "-".to_owned()),
        };
        println!("{:<38} {ours:>10.3} {theirs:>15} {ratio:>7}", map.name);
    }
    let _ = server.process.kill();
    let _ = server.process.wait();
    divan::main();
}

/// The planner and the settings' reader, for a device of 1,000 points.
#[divan::bench]
fn parse_and_plan_1000_points(bencher: Bencher<'_, '_>) {
    let [map, _] = maps();
    bencher.bench(|| device(&map, 502));
}

fn per_million(map: &Map, work: impl FnOnce() -> f64) -> f64 {
    work() * 1e6 / map.readings as f64
}

/// CPU seconds of this process.
fn poll(map: &Map, port: u16) -> f64 {
    let device = device(map, port);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let before = cpu(Whose::Own);
    runtime.block_on(async {
        let site = Site::bare(PathBuf::new());
        let mut session = device.connect(&site).await.unwrap();
        let (sender, mut events) = mpsc::channel(16);
        let sink = Sink::new(sender, Arc::new(BenchClock(Instant::now())));
        let mut good = 0;
        let mut running = session.run(&sink);
        while good < map.readings {
            tokio::select! {
                Some(event) = events.recv() => {
                    if let DeviceEvent::Readings(readings) = event {
                        assert!(readings.iter().all(|reading| reading.value.is_some()), "a bad reading");
                        good += readings.len();
                    }
                }
                loss = &mut running => panic!("{loss}"),
            }
        }
    });
    cpu(Whose::Own) - before
}

fn device(map: &Map, port: u16) -> Box<dyn Device> {
    let mut text = format!("address = \"127.0.0.1:{port}\"\n");
    for address in &map.values {
        let _ = writeln!(text, "[[point]]\nregister = \"holding:{address}\"\ntype = \"{}\"", map.kind);
    }
    let file = DeTable::parse(&text).unwrap();
    let mut table = Table::new(file.get_ref(), file.span(), "");
    let points = table.take("point").tables(1..=10_000);
    let points = points.into_iter().map(|table| PointSettings { every: None, table }).collect();
    // Always late: one poll follows the other.
    let every = Duration::from_millis(1);
    let name = "bench".parse().unwrap();
    let settings = DeviceSettings { name, every, first_point: PointId(0), table, points };
    let parsed = (lingate_drivers::driver("modbus-tcp").unwrap().parse)(settings);
    parsed.unwrap_or_else(|SettingsError(problems)| panic!("{problems:?}"))
}

/// CPU seconds of the C program.
fn run(program: &PathBuf, map: &Map, port: u16) -> f64 {
    let polls = map.readings / map.values.len();
    let before = cpu(Whose::Children);
    let mut command = Command::new(program);
    command.args([port.to_string(), polls.to_string()]);
    for (start, count) in &map.requests {
        command.args([start.to_string(), count.to_string()]);
    }
    assert!(command.status().unwrap().success());
    cpu(Whose::Children) - before
}

/// `None` where libmodbus or a C compiler is missing.
fn compile() -> Option<PathBuf> {
    let found = Command::new("pkg-config").args(["--cflags", "--libs", "libmodbus"]).output().ok()?;
    if !found.status.success() {
        return None;
    }
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/libmodbus_loop.c");
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("libmodbus_loop");
    let flags = String::from_utf8(found.stdout).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-o"]).arg(&program).arg(source).args(flags.split_whitespace());
    compiler.status().ok().filter(std::process::ExitStatus::success).map(|_| program)
}

#[derive(Clone, Copy)]
enum Whose {
    Own,
    /// Of the children that have ended.
    Children,
}

/// proc(5): fields 14 to 17 of stat, in ticks of which Linux has 100 a second.
fn cpu(whose: Whose) -> f64 {
    let stat = read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let first = if matches!(whose, Whose::Own) { 11 } else { 13 };
    let ticks: u64 = fields[first..first + 2].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    ticks as f64 / 100.0
}

struct BenchClock(Instant);

impl Clock for BenchClock {
    fn now(&self) -> Now {
        let monotonic = self.0.elapsed();
        Now { monotonic, utc: UtcMicros(monotonic.as_micros() as i64), clock: ClockState::Synced }
    }
}

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start() -> Server {
        let program = std::env::current_exe().unwrap();
        let mut process = Command::new(program).arg("--server").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Server { process, port: line.trim().parse().unwrap() }
    }
}

/// Answers function 3; every pair of registers is a float near 100. Ends with the process.
fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    for stream in listener.incoming() {
        std::thread::spawn(|| serve_one(stream.unwrap()));
    }
}

fn serve_one(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut request = [0; 12];
    let mut answer = Vec::with_capacity(260);
    while stream.read_exact(&mut request).is_ok() {
        let count = u16::from_be_bytes([request[10], request[11]]);
        let length = (3 + 2 * count).to_be_bytes();
        answer.clear();
        answer.extend([request[0], request[1], 0, 0, length[0], length[1], request[6], 3, (2 * count) as u8]);
        (0..count).for_each(|index| answer.extend(if index % 2 == 0 { [0x42, 0xC8] } else { [0, 1] }));
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}
