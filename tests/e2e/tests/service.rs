//! What systemd gives the daemon, given by hand: a notification socket, a watchdog, the journal's stream, a user without
//! rights and a file system that cannot be written. The last three need root: run by `.ci/run`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic, and it measures real time")]

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use lingate_e2e::{Daemon, Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::Broker;

const PATIENCE: Duration = Duration::from_secs(60);

/// A plant with one device, a sandbox with its broker, and a gateway that is enrolled and not started.
struct Bench {
    rig: Rig,
    broker: Broker,
    plant: Plant,
}

impl Bench {
    async fn new() -> Bench {
        let plant = Plant::start([DeviceSpec::new("load-1", Kind::Numbered(20), Mode::SelfDescribing)]).await.unwrap();
        let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
        let broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let labels = Labels { every: "100ms", equipment: Some("acme/lingang/load-1"), ..Labels::new("ds-extr-07") };
        let devices = plant.devices()[0].toml(&labels);
        let flush = "{ readings = 20, age = \"200ms\" }";
        rig.enroll(&Settings { broker_port: broker.address().port(), devices, flush, commit: "50ms" }).unwrap();
        Bench { rig, broker, plant }
    }

    fn environment(&mut self, name: &str, value: &dyn ToString) {
        self.rig.environment.push((name.to_owned(), value.to_string()));
    }

    async fn arrives(&self, daemon: &Daemon) {
        let arrived = || {
            let status = daemon.health.status().unwrap_or_default();
            status["datasets"][0]["acknowledged_records"].as_u64() > Some(10)
        };
        if let Err(error) = wait_for("data", PATIENCE, arrived).await {
            panic!("{error}: {}", self.rig.log().unwrap());
        }
    }
}

/// The service manager's end.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(bench: &mut Bench, watchdog: Duration) -> Manager {
        let path = bench.rig.path().join("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        bench.environment("NOTIFY_SOCKET", &path.display());
        bench.environment("WATCHDOG_USEC", &watchdog.as_micros());
        Manager(socket)
    }

    /// Whether such a line comes within so long.
    fn hears(&self, line: &str, within: Duration) -> bool {
        let until = Instant::now() + within;
        let mut bytes = [0; 4096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.0.set_read_timeout(Some(left)).unwrap();
            let Ok(count) = self.0.recv(&mut bytes) else { return false };
            if String::from_utf8_lossy(&bytes[..count]).lines().any(|told| told == line) {
                return true;
            }
        }
    }

    /// What was told and not yet heard.
    fn forgets(&self) {
        self.0.set_nonblocking(true).unwrap();
        while self.0.recv(&mut [0; 4096]).is_ok() {}
        self.0.set_nonblocking(false).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_ready_a_heartbeat_and_the_stop() {
    let mut bench = Bench::new().await;
    let manager = Manager::listen(&mut bench, Duration::from_secs(2));
    let daemon = bench.rig.start(&[]).unwrap();
    assert!(manager.hears("READY=1", PATIENCE), "{}", bench.rig.log().unwrap());
    assert!(manager.hears("WATCHDOG=1", PATIENCE), "a beat crosses the line: {}", bench.rig.log().unwrap());
    // Outages of the world stop no beat.
    bench.broker.stop().await;
    manager.forgets();
    assert!(manager.hears("WATCHDOG=1", PATIENCE) && manager.hears("WATCHDOG=1", PATIENCE));
    daemon.terminate().unwrap();
    assert!(manager.hears("STOPPING=1", PATIENCE));
    assert!(daemon.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace: .ci/run"]
async fn a_disk_that_answers_neither_yes_nor_no_starves_the_watchdog_and_the_log_says_so() {
    let mut bench = Bench::new().await;
    let manager = Manager::listen(&mut bench, Duration::from_secs(2));
    // Each sync from the 60th on takes ten minutes.
    let inject = "inject=fdatasync:delay_enter=600000000:when=60+";
    bench.rig.launch.prefix =
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", inject].map(str::to_owned).to_vec();
    let _daemon = bench.rig.start(&[]).unwrap();
    assert!(manager.hears("WATCHDOG=1", PATIENCE), "{}", bench.rig.log().unwrap());
    let is_told = || bench.rig.log().unwrap().contains("held_by=\"the engine, or the disk below it\"");
    wait_for("the beat is held", PATIENCE, is_told).await.unwrap();
    manager.forgets();
    assert!(!manager.hears("WATCHDOG=1", Duration::from_secs(4)), "the watchdog is fed: {}", bench.rig.log().unwrap());
}

/// Everything below / cannot be written but the state, and nothing of root is left.
const SERVICE: &str = "mount --make-rprivate / && mount --bind \"$STATE\" \"$STATE\" && \
    mount -o remount,bind,ro / && for at in $(cut -d' ' -f5 /proc/self/mountinfo); do case \"$at\" in \
    /|\"$STATE\"|/proc*|/sys*|/dev*) ;; *) mount -o remount,bind,ro \"$at\" 2>/dev/null ;; esac; done; \
    touch /written 2>/dev/null && exit 99; \
    exec setpriv --reuid=47110 --regid=47110 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \"$0\" \"$@\"";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for mounts and another user: .ci/run"]
async fn without_root_capabilities_or_a_writable_file_system_everything_arrives() {
    let mut bench = Bench::new().await;
    let folder = bench.rig.path().to_owned();
    let done = Command::new("chown").args(["-R", "47110:47110"]).arg(&folder).status().unwrap();
    assert!(done.success());
    bench.environment("STATE", &folder.join("state").display());
    bench.rig.launch.prefix = ["unshare", "--mount", "sh", "-c", SERVICE].map(str::to_owned).to_vec();
    let mut daemon = bench.rig.start(&[]).unwrap();
    bench.arrives(&daemon).await;
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    for line in
        ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Uid:\t47110\t47110\t47110\t47110"]
    {
        assert!(status.contains(line), "{line}: {status}");
    }
    // Its own user's other programs do not see its memory either.
    for file in ["environ", "mem", "maps"] {
        let path = format!("/proc/{}/{file}", daemon.pid());
        let same_user = ["--reuid=47110", "--regid=47110", "--clear-groups", "head", "-c", "1", &path];
        let looked = Command::new("setpriv").args(same_user).output().unwrap();
        assert!(!looked.status.success(), "{path} was read");
    }
    assert!(!daemon.has_ended().unwrap());
    daemon.terminate().unwrap();
    assert!(daemon.wait().unwrap().success(), "{}", bench.rig.log().unwrap());
    let state = fs::metadata(folder.join("state")).unwrap();
    assert_eq!((state.mode() & 0o7777, state.uid()), (0o700, 47110));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for the journal's place: .ci/run"]
async fn the_journal_gets_the_device_and_the_cause_as_fields() {
    let mut bench = Bench::new().await;
    let folder = bench.rig.path().join("journal");
    fs::create_dir(&folder).unwrap();
    let journal = UnixDatagram::bind(folder.join("socket")).unwrap();
    journal.set_read_timeout(Some(PATIENCE)).unwrap();
    let log = fs::OpenOptions::new().create(true).append(true).open(bench.rig.path().join("gateway.log")).unwrap();
    let stream = log.metadata().unwrap();
    bench.environment("JOURNAL_STREAM", &format!("{}:{}", stream.dev(), stream.ino()));
    bench.environment("JOURNAL", &folder.display());
    let place = "mkdir -p /run/systemd/journal && mount --bind \"$JOURNAL\" /run/systemd/journal && exec \"$0\" \"$@\"";
    bench.rig.launch.prefix = ["unshare", "--mount", "sh", "-c", place].map(str::to_owned).to_vec();
    let daemon = bench.rig.start(&[]).unwrap();
    let reading = std::thread::spawn(move || first_of_a_device(&journal));
    bench.arrives(&daemon).await;
    bench.plant.devices()[0].stop().await;
    let lost = tokio::task::spawn_blocking(move || reading.join().unwrap()).await.unwrap();
    for field in ["PRIORITY", "SYSLOG_IDENTIFIER", "CAUSE", "device load-1 is lost"] {
        assert!(lost.contains(field), "{field}: {lost}");
    }
    assert_eq!(bench.rig.log().unwrap(), "", "nothing is told twice");
}

fn first_of_a_device(journal: &UnixDatagram) -> String {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let count = journal.recv(&mut bytes).unwrap();
        let entry = String::from_utf8_lossy(&bytes[..count]).into_owned();
        if entry.lines().any(|line| line.starts_with("DEVICE")) {
            return entry;
        }
    }
}

/// Figures for the documents. They are this machine's, and judged only where `LINGATE_LIMITS` is set (`cross/figures.sh`).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures: .ci/run"]
async fn start_and_memory_of_an_idle_gateway() {
    let mut bench = Bench::new().await;
    let mut ready = Vec::new();
    for _ in 0..5 {
        let _ = fs::remove_file(bench.rig.path().join("notify.sock"));
        bench.rig.environment.clear();
        let manager = Manager::listen(&mut bench, Duration::from_secs(60));
        let started = Instant::now();
        let daemon = bench.rig.start(&[]).unwrap();
        assert!(manager.hears("READY=1", PATIENCE));
        ready.push(started.elapsed().as_millis());
        daemon.terminate().unwrap();
        assert!(daemon.wait().unwrap().success());
    }
    ready.sort_unstable();
    // As the unit sets it.
    bench.environment("MALLOC_ARENA_MAX", &2);
    let daemon = bench.rig.start(&[]).unwrap();
    bench.arrives(&daemon).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|count| count.parse::<f64>().ok()).unwrap_or_default()
    };
    let (resident, files) = (kilobytes("VmRSS:") / 1024.0, kilobytes("RssFile:") / 1024.0);
    println!(
        "start to READY: {ready:?} ms; resident with 20 points each 100 ms: {resident:.1} MiB, of it files {files:.1} MiB"
    );
    if std::env::var_os("LINGATE_LIMITS").is_some() {
        assert!(ready.iter().all(|took| *took <= 300), "{ready:?} ms to READY");
        assert!(resident > 0.0 && resident <= 15.0, "{resident:.1} MiB resident");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_thread_of_the_daemon_stands_behind_the_fence() {
    let bench = Bench::new().await;
    let daemon = bench.rig.start(&[]).unwrap();
    bench.arrives(&daemon).await;
    let threads: Vec<_> = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().flatten().collect();
    assert!(threads.len() >= 5, "{} threads", threads.len());
    for thread in threads {
        let status = fs::read_to_string(thread.path().join("status")).unwrap();
        for line in ["Seccomp:\t2", "NoNewPrivs:\t1"] {
            assert!(status.contains(line), "{line}: {status}");
        }
    }
    let fence = daemon.health.status().unwrap()["fence"].clone();
    let in_force = |name: &str| {
        let barriers = fence.as_array().unwrap();
        barriers.iter().any(|barrier| barrier["name"] == name && barrier["in_force"] == true)
    };
    assert!(in_force("system calls") && in_force("memory images"), "{fence}");
    // A kernel without Landlock has none, and says so.
    let has_landlock = fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|names| names.contains("landlock"));
    assert!(in_force("files") || !has_landlock, "{fence}");
    // Pages are locked where the limit is lifted, and what is told is what the kernel says.
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let is_locked = !status.lines().any(|line| line.starts_with("VmLck:") && line.ends_with("\t       0 kB"));
    assert_eq!(in_force("memory in swap"), is_locked, "{fence}: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_daemon_leaves_no_core_file() {
    let bench = Bench::new().await;
    let daemon = bench.rig.start(&[]).unwrap();
    bench.arrives(&daemon).await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    daemon.signal("ABRT").unwrap();
    let ended = daemon.wait().unwrap();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false));
}
