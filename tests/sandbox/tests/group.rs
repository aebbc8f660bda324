//! Two receivers of one group: a real broker (mosquitto), a real database (PostgreSQL), real processes, a real kill.
//! Needs Debian's `mosquitto` and `postgresql`; run by `cargo test -p lingate-sandbox --test group -- --ignored`.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::publisher::{Publisher, is_taken, tls};
use common::*;
use lingate_sandbox::{ContextFilter, Evidence, InitOptions, Store};
use tokio_postgres::{Client, NoTls};

const BATCHES: i64 = 600;
const DEADLINE: Duration = Duration::from_secs(60);

/// Ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A cluster in a folder of its own, on a socket in that folder, owned by nobody important.
struct Postgres {
    folder: tempfile::TempDir,
    server: Child,
}

impl Postgres {
    fn start() -> Postgres {
        let folder = tempfile::Builder::new().prefix("lg-pg").tempdir_in("/tmp").unwrap();
        run(Command::new("chmod").arg("711").arg(folder.path()));
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        if is_root() {
            run(Command::new("chown").arg("-R").arg("postgres").arg(folder.path()));
        }
        run(as_user(&binary("initdb")).arg("-D").arg(&data).args(["-U", "lingate", "-A", "trust", "-N"]));
        let server = as_user(&binary("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Postgres { folder, server }
    }

    fn url(&self) -> String {
        let socket = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://lingate@{socket}/postgres")
    }

    async fn connect(&self) -> Client {
        let deadline = tokio::time::timeout(DEADLINE, async {
            loop {
                if let Ok((client, connection)) = tokio_postgres::connect(&self.url(), NoTls).await {
                    tokio::spawn(connection);
                    return client;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        deadline.await.expect("PostgreSQL starts")
    }
}

impl Drop for Postgres {
    /// SIGINT is its fast shutdown; `runuser` would not pass a kill on.
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap_or_default();
        if let Some(pid) = pid.lines().next() {
            let _ = Command::new("kill").args(["-INT", pid]).status();
        }
        let _ = self.server.wait();
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// PostgreSQL refuses to run as root.
fn as_user(program: &Path) -> Command {
    let mut command = Command::new(if is_root() { Path::new("runuser") } else { program });
    if is_root() {
        command.args(["-u", "postgres", "--"]).arg(program);
    }
    command.current_dir("/tmp").stdout(Stdio::null());
    command
}

/// Debian keeps the server's programs out of PATH.
fn binary(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").map(|entries| entries.flatten().map(|entry| entry.path()));
    let found = versions.into_iter().flatten().map(|version| version.join("bin").join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| name.into())
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn mosquitto(world: &World) -> Process {
    let program = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"].into_iter().find(|path| Path::new(path).exists());
    let configuration = world.authority.folder().join("mosquitto.conf");
    let mut command = Command::new(program.unwrap_or("mosquitto"));
    Process(command.arg("-c").arg(configuration).stderr(Stdio::null()).spawn().unwrap())
}

fn receiver(world: &World, postgres: &Postgres, port: u16, member: &str) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lingate-sandbox"));
    command.arg("receive").arg(world.authority.folder()).args(["--group", "g", "--member", member, "--role", ROLE]);
    command.arg("--broker").arg(format!("mqtts://localhost:{port}")).arg("--store").arg(postgres.url());
    Process(command.stdout(Stdio::null()).spawn().unwrap())
}

async fn count(client: &Client, query: &str) -> i64 {
    // Before the first receiver has made the tables there is nothing.
    client.query_one(query, &[]).await.map_or(0, |row| row.get(0))
}

async fn until(client: &Client, what: &str, query: &str, enough: i64) {
    let wait = async {
        while count(client, query).await < enough {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, wait).await.is_ok();
    assert!(in_time, "not in time: {what}: {} of {enough}", count(client, query).await);
}

#[tokio::test]
#[ignore = "needs mosquitto and PostgreSQL"]
async fn two_receivers_of_which_one_is_killed_open_everything_once() {
    let broker_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut world = World::with(&InitOptions { broker_port, ..InitOptions::default() });
    let gateway = world.gateway("gw-0001");
    let (postgres, _broker) = (Postgres::start(), mosquitto(&world));
    let client = postgres.connect().await;
    let first = receiver(&world, &postgres, broker_port, "one");
    let _second = receiver(&world, &postgres, broker_port, "two");
    until(&client, "both are subscribed", "SELECT count(*) FROM subscribed", 2).await;

    let sent = gateway.epoch(BATCHES);
    let mut publisher = Publisher::connect(broker_port, tls(Some(&gateway.identity), world.authority.ca_pem()));
    let (before, after) = sent.split_at(sent.len() / 2);
    for arrival in before {
        assert!(is_taken(publisher.publish(arrival).await));
    }
    until(&client, "some records", "SELECT count(*) FROM records", 20).await;
    drop(first);
    for arrival in after {
        assert!(is_taken(publisher.publish(arrival).await));
    }
    // What the killed one had not acknowledged waits in its session.
    let _restarted = receiver(&world, &postgres, broker_port, "one");
    until(&client, "everything", "SELECT count(*) FROM records", BATCHES + 3).await;

    let report = Store::open(&postgres.url()).unwrap().report().unwrap();
    let dataset = &report.datasets[0];
    assert_eq!(
        (dataset.records, dataset.holes, dataset.closed_epochs, dataset.wrong_roots),
        (603, 0, 1, 0),
        "{report}"
    );
    assert!(dataset.counts_agree && report.rejected.is_empty() && report.held == 0, "{report}");
    assert_eq!(report.alarm_count, 0, "{report}");
    let query = "SELECT count(*) FROM (SELECT DISTINCT name, time_us, value, value_text FROM telemetry) AS rows";
    assert_eq!(count(&client, "SELECT count(*) FROM telemetry").await, 3 * BATCHES);
    assert_eq!(count(&client, query).await, 3 * BATCHES);
    let speeds = client
        .query("SELECT value_int FROM telemetry WHERE name = 'extruder-7/screw_speed' ORDER BY time_us", &[])
        .await
        .unwrap();
    let speeds: Vec<i64> = speeds.iter().map(|row| row.get(0)).collect();
    assert_eq!(speeds, (0..BATCHES).map(|n| n * 10 % 60_000).collect::<Vec<_>>());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn both_stores_say_the_same_about_the_same_messages() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let postgres = Postgres::start();
    postgres.connect().await;
    let mut sent = [gateway.epoch(5), gateway.epoch(3)].concat();
    sent.push(sent[4].clone());
    sent.swap(1, 6);
    sent.remove(5);
    let mut forged = sent[8].clone();
    let last = forged.payload.len() - 1;
    forged.payload[last] ^= 1;
    sent.push(forged);
    let trust = || world.authority.trust(ROLE).unwrap();
    let mut sqlite = world.desk();
    let store = Store::open(&postgres.url()).unwrap();
    let mut other = Desk { intake: lingate_sandbox::Intake::new(trust(), store) };
    let utc = now().utc;
    for bunch in sent.chunks(4) {
        let [one, two] = [&mut sqlite, &mut other].map(|desk| desk.intake.take(bunch, utc).unwrap());
        assert_eq!(opened(&one), opened(&two));
    }
    assert_eq!(sqlite.report(), other.report());
    let order = "batch=order-0".parse().unwrap();
    let [one, two] = [&sqlite, &other].map(|desk| desk.intake.store().in_context(&order).unwrap());
    assert!(one == two && !one.is_empty());
    let evidence = Evidence::of(&world.authority).unwrap();
    for point in points() {
        let walk =
            |desk: &Desk| desk.intake.store().lineage(DATASET, &point.name, time(1), &evidence).unwrap().unwrap();
        let (one, two) = (walk(&sqlite), walk(&other));
        assert_eq!(one, two);
        assert!(one.iter().all(|hop| hop.holds != Some(false) || matches!(hop.what, "record" | "counts")), "{one:#?}");
    }
    assert!(sqlite.report().datasets[0].holes > 0 && sqlite.report().datasets[0].duplicates > 0);
    let (one, two) = (world.folder.path().join("one.parquet"), world.folder.path().join("two.parquet"));
    assert_eq!(sqlite.intake.store().export_parquet(&one, None, None).unwrap(), sqlite.report().datasets[0].readings);
    other.intake.store().export_parquet(&two, None, None).unwrap();
    assert_eq!(std::fs::read(one).unwrap(), std::fs::read(two).unwrap());
}

/// "Batch 4711 from charge to discharge": over records, epochs and a change of shift, in both stores one query.
#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_batch_from_charge_to_discharge_is_one_query_in_both_stores() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let postgres = Postgres::start();
    let client = postgres.connect().await;
    // An order lasts three rows: number 1 begins in the second record of the first epoch and ends in the second epoch.
    let mut first = gateway.open(None);
    first.batch(&rows(0, 2));
    first.batch(&rows(2, 2));
    let (mut sent, previous) = first.close();
    let mut second = gateway.open(Some(previous));
    second.batch(&rows(4, 5));
    sent.extend(second.close().0);
    let mut sqlite = world.desk();
    let trust = world.authority.trust(ROLE).unwrap();
    let mut other = Desk { intake: lingate_sandbox::Intake::new(trust, Store::open(&postgres.url()).unwrap()) };
    [&mut sqlite, &mut other].into_iter().for_each(|desk| drop(desk.take(&sent)));
    for (order, readings) in
        [("batch=order-0", 3), ("batch=order-1", 3), ("batch=order-2", 3), ("batch=order-3", 0), ("lot=order-1", 0)]
    {
        let filter: ContextFilter = order.parse().unwrap();
        let [one, two] = [&sqlite, &other].map(|desk| desk.intake.store().in_context(&filter).unwrap());
        assert_eq!(one, two, "{order}");
        let points = if readings == 0 { 0 } else { 3 };
        assert!(one.len() == points && one.iter().all(|row| row.readings == readings), "{order}: {one:?}");
        let files = [&sqlite, &other].map(|desk| {
            let file = world.folder.path().join("batch.parquet");
            (desk.intake.store().export_parquet(&file, None, Some(&filter)).unwrap(), std::fs::read(file).unwrap())
        });
        assert_eq!((files[0].0, &files[0].1), (readings * points as u64, &files[1].1), "{order}");
    }
    let spanned = "SELECT count(DISTINCT kid) FROM contexts WHERE kind = 'batch' AND value = 'order-1'";
    assert_eq!(count(&client, spanned).await, 2, "the batch lies in two epochs");
}
