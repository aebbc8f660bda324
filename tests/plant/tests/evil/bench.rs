//! A gateway's driver before a hostile server and, beside it, one before an honest machine.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lingate_drivers::settings::Credential;
use lingate_drivers::{Device, DeviceEvent, Sink, Site};
use lingate_model::{Clock, ClockState, MissedCause, Now, Reading, UtcMicros, Value};
use lingate_plant::opcua::{
    Connection, Evil, INSECURE, Identity, IdentityOptions, Machine, MachineKind, MachineOptions, MachineSpec, Script,
    machine_toml,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::device::parse;

/// Variables of the hostile server.
pub(crate) const VARIABLES: u32 = 5;
/// Memory that a hostile server may cost.
const GROWTH_MAX: u64 = 1 << 20;
/// The limit only bounds a failing test.
const SOON: Duration = Duration::from_secs(30);

/// One at a time: they measure the memory of the process.
static ALONE: LazyLock<tokio::sync::Mutex<()>> = LazyLock::new(tokio::sync::Mutex::default);

pub(crate) struct Row<'a> {
    pub(crate) script: Script,
    /// Lines of TOML for the device.
    pub(crate) settings: &'a str,
    /// Occasions of the script that must come before it is healed.
    pub(crate) tricks: u64,
    /// And so long it is looked at, at least.
    pub(crate) at_least: Duration,
    /// The session that is there is lost before the script plays.
    pub(crate) is_cut_first: bool,
}

impl Row<'_> {
    pub(crate) fn new(script: Script) -> Row<'static> {
        Row { script, settings: HASTY, tricks: 2, at_least: Duration::from_millis(150), is_cut_first: false }
    }
}

/// Deadlines that a test can wait for.
pub(crate) const HASTY: &str = "timeout = \"500ms\"\nconnect_timeout = \"1s\"\nkeep_alive = \"500ms\"";

/// What came of a row.
pub(crate) struct Outcome {
    pub(crate) seen: Seen,
    pub(crate) requests: BTreeMap<u32, u64>,
}

/// Rows, one after the other, and an honest machine beside them.
pub(crate) struct Bench {
    beside: Beside,
    _alone: MutexGuardAsync,
}

type MutexGuardAsync = tokio::sync::MutexGuard<'static, ()>;

impl Bench {
    pub(crate) async fn start() -> Bench {
        let alone = ALONE.lock().await;
        // A panic that the driver catches must not be paid for by the symbols of its backtrace.
        std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
        Bench { beside: Beside::start().await, _alone: alone }
    }

    /// The machine beside them all was complete.
    pub(crate) async fn finish(self) {
        self.beside.finish().await;
    }

    /// Plays a script, and holds the pass rule of every row: no panic, at most 1 MiB of memory, no wrong value, whole
    /// again after healing.
    pub(crate) async fn plays(&self, name: &str, row: Row<'_>) -> Outcome {
        let evil = Evil::start(VARIABLES).await.unwrap();
        let gateway = Gateway::start(&evil_toml(&evil.url(), row.settings), judge_evil);
        gateway.until("honest values", |seen| seen.good > 10).await;
        let memory = Memory::watch();
        let requests_before = evil.seen().requests;
        evil.play(row.script);
        let (began, tricks) = (Instant::now(), evil.tricks());
        if row.is_cut_first {
            evil.restart().await.unwrap();
        }
        wait(&format!("{name}: {} tricks", row.tricks), || {
            evil.tricks() >= tricks + row.tricks && began.elapsed() >= row.at_least
        })
        .await;
        let during = gateway.seen();
        evil.heal();
        gateway.until(&format!("{name}: good values after healing"), |seen| seen.good > during.good + 10).await;
        let grown = memory.grown();
        let mut requests = evil.seen().requests;
        requests_before.into_iter().for_each(|(id, count)| *requests.entry(id).or_default() -= count);
        let seen = gateway.stop().await;
        println!(
            "{name}: {} tricks, {} connections lost, {} KiB grown, whole again",
            evil.tricks() - tricks,
            seen.errors.len() - 1,
            grown / 1024
        );
        assert_eq!(seen.wrong, 0, "{name}: a wrong value");
        assert!(grown <= GROWTH_MAX, "{name}: {grown} bytes grown");
        for error in &seen.errors {
            assert!(error.len() < 1_500 && !error.chars().any(char::is_control), "{name}: {error:?}");
        }
        Outcome { seen, requests }
    }
}

pub(crate) fn evil_toml(url: &str, settings: &str) -> String {
    let protection = if settings.contains("security") { "" } else { INSECURE };
    let mut text = format!(
        "[[device]]\nname = \"evil\"\ndriver = \"opcua\"\nevery = \"50ms\"\naddress = \"{url}\"\n{protection}\n{settings}\n"
    );
    for number in 0..VARIABLES {
        let poll = if number == 0 { "mode = \"poll\"\n" } else { "" };
        let node = format!("nsu={};s=v{number}", Evil::NAMESPACE);
        text += &format!("\n[[device.point]]\nname = \"v{number}\"\nnode = \"{node}\"\ntype = \"uint32\"\n{poll}");
    }
    text
}

/// A value of the hostile server belongs to its variable, or is none.
fn judge_evil(reading: &Reading) -> Verdict {
    match reading.value {
        Some(Value::UInt32(value)) if Evil::accepts(reading.point.0, value) => Verdict::Good,
        None => Verdict::Bad,
        _ => Verdict::Wrong,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Bad,
    Wrong,
}

/// What a gateway got of one device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) good: u64,
    pub(crate) bad: u64,
    pub(crate) wrong: u64,
    /// Sessions that came about.
    pub(crate) connected: u64,
    /// Why they ended, or never came.
    pub(crate) errors: Vec<String>,
    pub(crate) missed: BTreeMap<&'static str, u64>,
    pub(crate) statuses: BTreeMap<u32, u64>,
    /// The newest value of each point.
    pub(crate) newest: BTreeMap<u32, Reading>,
}

/// Drives one device as the daemon does: connects, runs, waits, again.
pub(crate) struct Gateway {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
    stop: tokio::sync::watch::Sender<bool>,
    _folder: TempDir,
}

type Judge = fn(&Reading) -> Verdict;

impl Gateway {
    pub(crate) fn start(toml: &str, judge: Judge) -> Gateway {
        Gateway::start_in(state(), toml, judge)
    }

    fn start_in(folder: TempDir, toml: &str, judge: Judge) -> Gateway {
        let device: Arc<dyn Device> = parse(toml).into();
        let seen = Arc::<Mutex<Seen>>::default();
        let site = site(&folder);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (sender, mut events) = mpsc::channel(16);
        let sink = Sink::new(sender, Arc::new(TestClock(Instant::now()))).stopped_by(stopped.clone());
        let notes = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                note(&mut lock(&notes), judge, event);
            }
        });
        let notes = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while !*stopped.borrow() {
                let error = match device.connect(&site).await {
                    Ok(mut session) => {
                        lock(&notes).connected += 1;
                        session.run(&sink).await
                    }
                    Err(error) => error,
                };
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                note_error(&mut lock(&notes), format!("{error}{cause}"));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Gateway { seen, task, stop, _folder: folder }
    }

    pub(crate) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    pub(crate) async fn until(&self, what: &str, is_true: impl Fn(&Seen) -> bool) {
        let began = Instant::now();
        loop {
            if is_true(&lock(&self.seen)) {
                return;
            }
            assert!(!self.task.is_finished(), "{what}: the driver's task ended: {:?}", self.seen());
            assert!(began.elapsed() < SOON, "{what}: not within {SOON:?}: {:?}", self.seen());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn stop(self) -> Seen {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(Duration::from_secs(10), self.task).await;
        ended.expect("it ends when it is told to").expect("no panic");
        std::mem::take(&mut lock(&self.seen))
    }
}

fn note_error(seen: &mut Seen, error: String) {
    if seen.errors.len() < 1_000 {
        seen.errors.push(error);
    }
}

fn note(seen: &mut Seen, judge: Judge, event: DeviceEvent) {
    match event {
        DeviceEvent::Readings(readings) => {
            for reading in readings {
                match judge(&reading) {
                    Verdict::Good => seen.good += 1,
                    Verdict::Bad => seen.bad += 1,
                    Verdict::Wrong => seen.wrong += 1,
                }
                *seen.statuses.entry(reading.status.0).or_default() += 1;
                seen.newest.insert(reading.point.0, reading);
            }
        }
        DeviceEvent::Missed(missed) => {
            let slots: u64 = missed.slots.iter().map(|(_, slots)| slots).sum();
            *seen.missed.entry(cause(missed.cause)).or_default() += slots;
        }
        DeviceEvent::Report(..) => {}
    }
}

fn cause(cause: MissedCause) -> &'static str {
    match cause {
        MissedCause::DeviceDown => "device-down",
        MissedCause::Overload => "overload",
        MissedCause::Quarantine => "quarantine",
        MissedCause::DeviceOverflow => "device-overflow",
        MissedCause::NotificationLost => "notification-lost",
        MissedCause::DecodeFailure => "decode-failure",
    }
}

/// An honest machine and its gateway, which must not notice anything.
struct Beside {
    machine: Machine,
    gateway: Gateway,
}

impl Beside {
    async fn start() -> Beside {
        let spec = MachineSpec::new("beside-1", MachineKind::EtchTool);
        let machine = tokio::task::spawn_blocking(|| Machine::start(spec, MachineOptions::default()).unwrap());
        let machine = machine.await.unwrap();
        let connection = Connection { every: "100ms", ..Connection::new("", "ds") };
        let url = machine.url();
        let toml = machine_toml(machine.spec(), &Connection { url: &url, ..connection });
        let gateway = Gateway::start(&toml, judge_beside);
        gateway.until("the machine beside it", |seen| seen.good > 30).await;
        Beside { machine, gateway }
    }

    /// Its counter came with every tick, and its session held.
    async fn finish(self) {
        let newest = |seen: &Seen| match seen.newest.get(&0).and_then(|reading| reading.value.clone()) {
            Some(Value::UInt32(n)) => n,
            _ => 0,
        };
        let target = newest(&self.gateway.seen()) + 2;
        self.gateway.until("the machine beside it goes on", |seen| newest(seen) >= target).await;
        let seen = self.gateway.stop().await;
        assert_eq!((seen.wrong, seen.bad, seen.connected), (0, 0, 1), "the device beside it: {seen:?}");
        assert!(seen.missed.is_empty(), "the device beside it: {:?}", seen.missed);
        drop(self.machine);
    }
}

fn judge_beside(reading: &Reading) -> Verdict {
    static SPEC: LazyLock<MachineSpec> = LazyLock::new(|| MachineSpec::new("beside-1", MachineKind::EtchTool));
    let variable = &SPEC.variables()[reading.point.index()];
    match &reading.value {
        Some(value) if SPEC.accepts(&variable.name, reading.time(), value) => Verdict::Good,
        Some(_) => Verdict::Wrong,
        None => Verdict::Bad,
    }
}

/// The most that this process grew since it was made.
struct Memory {
    before: u64,
    most: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Memory {
    fn watch() -> Memory {
        let before = resident();
        let (most, is_over) = (Arc::new(AtomicU64::new(before)), Arc::new(AtomicBool::new(false)));
        let (peak, over) = (Arc::clone(&most), Arc::clone(&is_over));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Memory { before, most, is_over }
    }

    fn grown(&self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.most.load(Ordering::Relaxed).saturating_sub(self.before)
    }
}

/// Bytes of heap and stacks, without the pages of the program itself.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

pub(crate) async fn wait(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < SOON, "{what}: not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A gateway's state with a certificate of its own, which takes a while to make.
pub(crate) fn state() -> TempDir {
    static OWN: LazyLock<Identity> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        let uri = "urn:lingate:lingate";
        Identity::create(&folder, &IdentityOptions { application_uri: uri, ..IdentityOptions::default() }).unwrap()
    });
    let state = tempfile::tempdir().unwrap();
    let own = state.path().join("opcua/own");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::copy(&OWN.certificate, own.join("cert.der")).unwrap();
    std::fs::copy(&OWN.key, own.join("key.pem")).unwrap();
    state
}

pub(crate) fn site(folder: &TempDir) -> Site {
    Site {
        secret: Arc::new(|credential| match credential {
            Credential::File(path) => Ok(std::fs::read(path).unwrap().into()),
            Credential::Systemd(name) => Err(format!("no {name} here")),
        }),
        clock: Arc::new(TestClock(Instant::now())),
        ..Site::bare(folder.path().to_owned())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Now {
        let utc = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let utc = UtcMicros(i64::try_from(utc.as_micros()).unwrap());
        Now { monotonic: self.0.elapsed(), utc, clock: ClockState::Synced }
    }
}
