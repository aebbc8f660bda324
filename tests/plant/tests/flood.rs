//! Row M13 of the plan for hostile devices: a device that sends as fast as the machine can, without being asked. The
//! gateway's driver runs alone in this process, so that what it costs can be measured; the device is this program again.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and reads the clock")]

use std::fmt::Write as _;
use std::fs::read_to_string;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lingate_drivers::settings::{DeTable, Table};
use lingate_drivers::{Device, DeviceEvent, DeviceSettings, PointSettings, Sink, Site};
use lingate_model::{Clock, ClockState, Now, PointId, UtcMicros};
use tokio::sync::mpsc;

/// Answers before the flood; so many of them are waited for, because a busy machine may be late with one.
const HONEST: u64 = 300;
const ENOUGH: u64 = 200;
const FLOOD: Duration = Duration::from_secs(5);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--server") {
        return serve();
    }
    // As a test harness is asked.
    let is_other =
        |argument: &String| !argument.starts_with('-') && !"m13_a_flood_costs_little".contains(argument.as_str());
    // It measures time, and so wants a calm machine: only on demand.
    let is_wanted = arguments.iter().any(|argument| argument == "--ignored" || argument == "--include-ignored");
    if !is_wanted || arguments.iter().any(|argument| argument == "--list" || is_other(argument)) {
        return;
    }
    let mut server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Cost { memory_kib, cpu_percent } = runtime.block_on(flooded(server.port));
    let (connections, bytes) = server.stop();
    println!(
        "m13: {} MB in {connections} connections within {} s: {cpu_percent:.1} % of one core, {memory_kib} KiB more memory",
        bytes / 1_000_000,
        FLOOD.as_secs()
    );
    assert!(bytes > 1_000_000, "{bytes} bytes are no flood");
    assert!(memory_kib <= 1024, "{memory_kib} KiB");
    assert!(cpu_percent <= 10.0, "{cpu_percent} %");
}

struct Cost {
    memory_kib: u64,
    cpu_percent: f64,
}

async fn flooded(port: u16) -> Cost {
    let device = device(port);
    let (sender, mut events) = mpsc::channel(16);
    let sink = Sink::new(sender, Arc::new(TestClock(Instant::now())));
    let site = Site::bare(std::env::temp_dir());
    let polling = async {
        loop {
            if let Ok(mut session) = device.connect(&site).await {
                session.run(&sink).await;
            }
            tokio::time::sleep(Duration::from_millis(125)).await;
        }
    };
    let measuring = async {
        let mut good = 0;
        while good < ENOUGH {
            good += u64::from(is_good(&events.recv().await.unwrap()));
        }
        let (before, cpu, end) = (resident(), cpu(), tokio::time::Instant::now() + FLOOD);
        let mut most = before;
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while tokio::time::Instant::now() < end {
            tokio::select! {
                _ = events.recv() => {}
                _ = ticks.tick() => {}
            }
            most = most.max(resident());
        }
        let cpu_percent = (self::cpu() - cpu) / FLOOD.as_secs_f64() * 100.0;
        Cost { memory_kib: most - before, cpu_percent }
    };
    tokio::select! {
        cost = measuring => cost,
        () = polling => unreachable!("it polls for ever"),
    }
}

fn is_good(event: &DeviceEvent) -> bool {
    matches!(event, DeviceEvent::Readings(readings) if readings.iter().all(|reading| reading.value.is_some()))
}

fn device(port: u16) -> Box<dyn Device> {
    let mut text = format!("address = \"127.0.0.1:{port}\"\ntimeout = \"500ms\"\nidentify = false\n");
    for address in 0..60 {
        let _ = writeln!(text, "[[point]]\nregister = \"holding:{address}\"\ntype = \"u16\"");
    }
    let file = DeTable::parse(&text).unwrap();
    let mut table = Table::new(file.get_ref(), file.span(), "");
    let points =
        table.take("point").tables(1..=60).into_iter().map(|table| PointSettings { every: None, table }).collect();
    let (name, every) = ("flooded".parse().unwrap(), Duration::from_millis(10));
    let settings = DeviceSettings { name, every, first_point: PointId(0), table, points };
    (lingate_drivers::driver("modbus-tcp").unwrap().parse)(settings).unwrap()
}

/// proc(5): resident memory of this process.
fn resident() -> u64 {
    let status = read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// CPU seconds of this process, in ticks of which Linux has 100 a second.
fn cpu() -> f64 {
    let stat = read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum::<u64>() as f64 / 100.0
}

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Now {
        let monotonic = self.0.elapsed();
        let utc = UtcMicros(i64::try_from(monotonic.as_micros()).unwrap());
        Now { monotonic, utc, clock: ClockState::Synced }
    }
}

struct Server {
    process: Child,
    told: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    fn start() -> Server {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut process = command.arg("--server").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        Server { process, told, port: line.trim().parse().unwrap() }
    }

    /// Connections and bytes of the flood.
    fn stop(&mut self) -> (u64, u64) {
        drop(self.process.stdin.take());
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        self.process.wait().unwrap();
        let (connections, bytes) = line.trim().split_once(' ').unwrap();
        (connections.parse().unwrap(), bytes.parse().unwrap())
    }
}

static ANSWERED: AtomicU64 = AtomicU64::new(0);
static FLOODED: AtomicU64 = AtomicU64::new(0);
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// Ends with its input.
fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(|| serve_one(stream.unwrap()));
        }
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    println!("{} {}", CONNECTIONS.load(Ordering::Relaxed), FLOODED.load(Ordering::Relaxed));
}

fn serve_one(mut stream: TcpStream) {
    let mut request = [0; 12];
    while ANSWERED.load(Ordering::Relaxed) < HONEST {
        if stream.read_exact(&mut request).is_err() || stream.write_all(&answer(&request)).is_err() {
            return;
        }
        ANSWERED.fetch_add(1, Ordering::Relaxed);
    }
    CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let block = vec![0x5A; 1 << 16];
    while let Ok(count) = stream.write(&block) {
        FLOODED.fetch_add(count as u64, Ordering::Relaxed);
    }
}

fn answer(request: &[u8; 12]) -> Vec<u8> {
    let count = usize::from(request[11]);
    let length = u8::try_from(3 + 2 * count).unwrap();
    let mut answer = vec![request[0], request[1], 0, 0, 0, length, request[6], 3, u8::try_from(2 * count).unwrap()];
    answer.resize(9 + 2 * count, 7);
    answer
}
