//! The sector samples against their simulators: what `lingate plan` says leaves is what arrives, point by point, and what
//! it says stays does not. `lingate preview` shows the same, and leaves no trace.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]
#![allow(clippy::disallowed_methods, reason = "a test of real processes waits on the real clock")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use lingate_e2e::{Granted, Sector, wait_for};
use lingate_model::{DeviceTime, UtcMicros};
use lingate_plant::opcua::{EPOCH_TICKS, MachineKind, MachineSpec};
use lingate_plant::sample::Sample;
use lingate_sandbox::{Authority, Evidence, Store};
use lingate_seal::wire::sealed::Message;
use lingate_seal::{KeyMessage, parse_body, wire};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_lingate-e2e-gateway");
const PATIENCE: Duration = Duration::from_secs(60);
/// Of the daemon's run.
const SECONDS: &str = "4";

fn granted(dataset: &'static str, purpose: &'static str, ceiling: &'static str) -> Granted {
    Granted { dataset, purpose, ceiling }
}

/// One epoch, as whoever holds its key sees it.
struct Epoch {
    dataset: String,
    kid: String,
    policy_sha256: String,
    recipients: BTreeSet<String>,
    tags: Vec<wire::Tag>,
    bytes: u64,
}

/// What arrived of one point.
#[derive(Debug, Default)]
struct Arrived {
    readings: u64,
    from_us: i64,
    to_us: i64,
}

struct Received {
    epochs: Vec<Epoch>,
    points: BTreeMap<String, Arrived>,
}

impl Received {
    fn read(path: &Path) -> Received {
        let sql = rusqlite::Connection::open(path).unwrap();
        let mut query = sql.prepare("SELECT dataset, key_message, catalogue, bytes FROM epochs").unwrap();
        let epochs = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
        let epochs = epochs.map(|row| epoch(row.unwrap())).collect();
        // By the device's time where it tells one: its server sends what it gathered in one go.
        let sums = "SELECT name, count(*), min(coalesce(source_us, time_us)), max(coalesce(source_us, time_us)) \
                    FROM telemetry GROUP BY name";
        let mut query = sql.prepare(sums).unwrap();
        let points = query.query_map([], |row| {
            let arrived = Arrived { readings: row.get::<_, i64>(1)? as u64, from_us: row.get(2)?, to_us: row.get(3)? };
            Ok((row.get(0)?, arrived))
        });
        Received { epochs, points: points.unwrap().map(Result::unwrap).collect() }
    }

    fn tag(&self, name: &str) -> Option<(&Epoch, &wire::Tag)> {
        self.epochs.iter().find_map(|epoch| Some((epoch, epoch.tags.iter().find(|tag| tag.name == name)?)))
    }
}

fn epoch((dataset, key, catalogue, bytes): (String, Vec<u8>, Vec<u8>, i64)) -> Epoch {
    let key = KeyMessage::parse(&key).unwrap();
    let Message::Catalogue(catalogue) = parse_body(&catalogue).unwrap() else { panic!("no catalogue") };
    Epoch {
        dataset,
        kid: key.kid().to_string(),
        policy_sha256: hex(&key.claims.policy_sha256),
        recipients: key.recipients.iter().map(|recipient| recipient.kid.to_string()).collect(),
        tags: catalogue.tags,
        bytes: bytes as u64,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// (number, term, parameters) of a step of the plan, and of the catalogue.
fn planned_steps(point: &Value) -> Vec<(u64, String, BTreeMap<String, String>)> {
    let parameters = |step: &Value| {
        let pairs = step["parameters"].as_array().unwrap().iter();
        pairs.map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned())).collect()
    };
    let step =
        |step: &Value| (step["step"].as_u64().unwrap(), step["term"].as_str().unwrap().to_owned(), parameters(step));
    point["steps"].as_array().unwrap().iter().map(step).collect()
}

fn sealed_steps(tag: &wire::Tag) -> Vec<(u64, String, BTreeMap<String, String>)> {
    let step = |step: &wire::Step| {
        let parameters = step.parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        (u64::from(step.id), step.term.clone(), parameters)
    };
    tag.steps.iter().map(step).collect()
}

/// The gate of M3 may have been closed all the time.
fn is_gated(point: &Value) -> bool {
    point["steps"].as_array().unwrap().iter().any(|step| step["step"] == 3)
}

/// Every sentence of the plan about one point, against what was sealed and opened.
fn compare(sample: &str, plan: &Value, received: &Received, point: &Value) {
    let name = point["name"].as_str().unwrap();
    let (arrived, tag) = (received.points.get(name), received.tag(name));
    if point["state"] != "leaves" {
        assert!(
            arrived.is_none() && tag.is_none(),
            "{sample}: {name} stays by the plan, and left: {}",
            point["reason"]
        );
        assert!(point["reason"]["en"].as_str().is_some_and(|why| !why.is_empty()), "{sample}: {name} has no reason");
        return;
    }
    let (epoch, tag) = tag.unwrap_or_else(|| panic!("{sample}: {name} leaves by the plan, and no catalogue has it"));
    let Some(arrived) = arrived else {
        assert!(is_gated(point), "{sample}: {name} leaves by the plan, and nothing arrived");
        return;
    };
    let dataset = plan["datasets"].as_array().unwrap().iter().find(|one| one["id"] == point["dataset"]).unwrap();
    assert_eq!(point["dataset"], epoch.dataset.as_str(), "{name}");
    assert_eq!(dataset["policy_sha256"], epoch.policy_sha256.as_str(), "{name}");
    let keys = dataset["recipients"].as_array().unwrap().iter().flat_map(|to| texts(&to["keys"])).collect();
    assert_eq!(epoch.recipients, keys, "{name}");
    assert_eq!(texts(&point["recipients"]), ["role:analyst", "role:auditor"], "{name}");
    assert_eq!(point["unit"].as_str().unwrap_or(""), tag.ucum, "{name}");
    assert_eq!(point["equipment"], tag.equipment.as_str(), "{name}");
    assert_eq!(point["interval_ms"].as_u64(), Some(u64::from(tag.interval_ms)), "{name}");
    assert_eq!(point["class"], ["general", "important"][tag.class as usize], "{name}");
    assert_eq!(vec![point["purpose"].as_str().unwrap().to_owned()], tag.purposes, "{name}");
    assert!(tag.source.ends_with(point["source"].as_str().unwrap()), "{name}: {}", tag.source);
    assert_eq!(planned_steps(point), sealed_steps(tag), "{name}");
    // A run of some seconds holds a slot more than its share of a day, and a subscription begins with the newest value.
    let seconds = (arrived.to_us - arrived.from_us) as f64 / 1e6;
    let most = point["volume"]["readings_max"].as_f64().unwrap() / 86_400.0 * seconds + 2.0;
    assert!(arrived.readings as f64 <= most, "{sample}: {name}: {arrived:?}, at most {most:.1}");
}

/// The opening of an epoch, and messages at their rate of a day; the run is shorter than the epoch.
fn compare_bytes(sample: &str, plan: &Value, received: &Received) {
    for epoch in &received.epochs {
        let datasets = plan["datasets"].as_array().unwrap();
        let dataset = datasets.iter().find(|one| one["id"] == epoch.dataset.as_str()).unwrap();
        let most = dataset["volume"]["bytes_max"].as_u64().unwrap();
        // 25 epochs of a day are in it.
        let seconds: f64 = SECONDS.parse::<f64>().unwrap() + 2.0;
        let share = most as f64 / 25.0 / 3600.0 * seconds + most as f64 / 25.0;
        assert!((epoch.bytes as f64) < share, "{sample}: {}: {} bytes, at most {share:.0}", epoch.dataset, epoch.bytes);
    }
}

/// From the newest value of every point back to its origin: each step of the way is proven.
fn walk_back(folder: &Path, program: &Path, received: &Received) {
    let store = Store::open_file(&folder.join("received.sqlite")).unwrap();
    let authority = Authority::open(&folder.join("sandbox")).unwrap();
    let evidence = Evidence::of(&authority).unwrap().with_program(program).unwrap();
    for point in received.points.keys() {
        let dataset = &received.tag(point).unwrap().0.dataset;
        let hops = store.lineage(dataset, point, UtcMicros(i64::MAX), &evidence).unwrap().unwrap();
        let unproven: Vec<_> = hops.iter().filter(|hop| hop.holds != Some(true)).collect();
        assert!(unproven.is_empty(), "{point}: {unproven:#?}");
    }
}

/// What the gateway's own log says of the epochs that arrived.
fn compare_lineage(shown: &Output, plan: &Value, received: &Received) {
    assert!(shown.status.success(), "{shown:?}");
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["log"]["proven"], true, "{shown:#}");
    let lineages = shown["lineage"]["datasets"].as_array().unwrap();
    for epoch in &received.epochs {
        let of = lineages.iter().find(|it| it["dataset"] == epoch.dataset.as_str()).unwrap();
        let told = of["newest"].as_array().unwrap().iter().find(|it| it["kid"] == epoch.kid.as_str()).unwrap();
        assert_eq!((&told["policy"], &of["policy"]), (&epoch.policy_sha256.as_str().into(), &told["policy"]));
        let checks = &told["checks"];
        assert_eq!((&checks["policy_was_loaded"], &checks["bundle_is_kept"]), (&true.into(), &true.into()), "{told:#}");
        assert!(checks["policy_is_this_configurations"] == true && told["readings"].as_u64() > Some(0), "{told:#}");
        let points = plan["points"].as_array().unwrap().iter().filter(|it| it["dataset"] == epoch.dataset.as_str());
        assert_eq!(of["points"].as_array().unwrap().len(), points.count());
    }
}

async fn plan_and_gateway_agree(name: &'static str, grants: &[Granted], veto: Option<&str>) -> Vec<String> {
    let sector = Sector::start(BINARY, Sample::named(name).unwrap(), grants).await.unwrap();
    if let Some(dataset) = veto {
        let vetoed = sector.lingate(&["veto", "add", "--config", "lingate.toml", "--dataset", dataset]).unwrap();
        assert!(vetoed.status.success(), "{vetoed:?}");
    }
    let plan = sector.plan().unwrap();
    let ran = sector.lingate(&["run", "--config", "lingate.toml", "--once", SECONDS]).unwrap();
    let log = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{name}: {log}");
    let points = plan["points"].as_array().unwrap();
    let leaving = points.iter().filter(|point| point["state"] == "leaves").count();
    let gated = points.iter().filter(|point| is_gated(point)).count();
    let store = sector.path().join("received.sqlite");
    let arrived = wait_for("every point", PATIENCE, || Received::read(&store).points.len() + gated >= leaving).await;
    assert!(arrived.is_ok(), "{name}: {:?}\n{log}", Received::read(&store).points.keys());
    let shown = sector.lingate(&["lineage", "show", "--config", "lingate.toml", "--json"]).unwrap();
    let (folder, program) = (sector.path().to_owned(), sector.binary().to_owned());
    sector.receiver.stop().await.unwrap();
    let received = Received::read(&store);
    assert!(leaving > 0 && leaving < points.len(), "{name}");
    points.iter().for_each(|point| compare(name, &plan, &received, point));
    compare_bytes(name, &plan, &received);
    walk_back(&folder, &program, &received);
    compare_lineage(&shown, &plan, &received);
    let known: BTreeSet<&str> = points.iter().map(|point| point["name"].as_str().unwrap()).collect();
    let unknown = received.points.keys().find(|name| !known.contains(name.as_str()));
    assert!(unknown.is_none(), "{name}: {unknown:?} left, and the plan does not know it");
    let readings: u64 = received.points.values().map(|point| point.readings).sum();
    println!("{name}: {leaving} of {} points leave, {readings} readings arrived", points.len());
    let code = |point: &Value| point["reason"]["code"].as_str().map(str::to_owned);
    points.iter().filter_map(code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_plan_says_of_a_sector_sample_is_what_the_gateway_sends() {
    let maintenance = "urn:lingate:purpose:predictive-maintenance";
    let fab = [
        granted("ds-subfab-service", maintenance, "general"),
        granted("ds-subfab-alarms", maintenance, "general"),
        granted("ds-abatement-report", "urn:lingate:purpose:environmental-report", "general"),
        granted("ds-etch-hardware", maintenance, "general"),
    ];
    let train = [
        granted("ds-bio-release", "urn:lingate:purpose:batch-release", "important"),
        granted("ds-bio-equipment", maintenance, "general"),
    ];
    // The sandbox does not grant the third purpose of the line.
    let line = [granted("ds-line-quality", "urn:lingate:purpose:remote-quality", "general")];
    let (fab, train, line) = tokio::join!(
        plan_and_gateway_agree("fab", &fab, Some("ds-subfab-alarms")),
        plan_and_gateway_agree("bioreactor-train", &train, None),
        plan_and_gateway_agree("extruder-line", &line, None),
    );
    let holds = |codes: &[String], code: &str| codes.iter().any(|one| one == code);
    assert!(holds(&fab, "vetoed") && holds(&fab, "no-dataset"), "{fab:?}");
    assert!(train.iter().all(|code| code == "no-dataset"), "{train:?}");
    assert!(holds(&line, "not-granted") && holds(&line, "no-dataset"), "{line:?}");
}

/// Every file below, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => drop(found.insert(path.clone(), fs::read(&path).unwrap_or_default())),
        }
    }
    found
}

/// A machine's state follows from the time of day and its tick: one with which the extruder, as a gate asks for, is in
/// EXECUTE for so many seconds.
fn in_execute(seconds: i64) -> Duration {
    let now = DeviceTime::from(UtcMicros(jiff::Timestamp::now().as_microsecond())).0;
    let execute = lingate_model::Value::String("EXECUTE".into());
    let is_so = |tick: &Duration| {
        let spec = MachineSpec::new("extruder-7", MachineKind::Extruder).with_tick(*tick);
        let n = |ahead: i64| (now + ahead * 10_000_000 - EPOCH_TICKS) / (tick.as_nanos() / 100) as i64;
        (n(0)..=n(seconds)).all(|n| spec.expected("packml_state", n as u32) == Some(execute.clone()))
    };
    (150..=500).map(Duration::from_millis).find(is_so).expect("351 clocks show many times")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_raw_beside_minimized_and_leaves_no_trace() {
    let sample = Sample::named("extruder-line").unwrap();
    let running = sample.start(&lingate_plant::sample::Ports::default(), in_execute(60)).await.unwrap();
    // Not enrolled, no bundle, and a broker that would tell if it was asked.
    let broker = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    broker.set_nonblocking(true).unwrap();
    let home = tempfile::tempdir().unwrap();
    let text = sample
        .configuration(running.addresses())
        .replace("/var/lib/lingate", &home.path().join("state").display().to_string())
        .replace("ingest.sandbox.example:8883", &broker.local_addr().unwrap().to_string());
    fs::write(home.path().join("lingate.toml"), text).unwrap();
    let trusted = home.path().join("state/devices/opcua/trusted");
    fs::create_dir_all(&trusted).unwrap();
    for machine in &running.machines {
        fs::write(trusted.join("machine.der"), machine.identity().unwrap().der().unwrap()).unwrap();
    }
    let state = files(&home.path().join("state"));
    let preview = |more: &[&str]| {
        let arguments = ["preview", "--config", "lingate.toml", "--seconds", "8", "--json", "--html", "preview.html"];
        let command = std::env::var_os("LINGATE_BIN").unwrap_or_else(|| BINARY.into());
        std::process::Command::new(command).args(arguments).args(more).current_dir(home.path()).output().unwrap()
    };
    let output = preview(&[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let point = |name: &str| shown["points"].as_array().unwrap().iter().find(|point| point["name"] == name).unwrap();
    let count = |name: &str, side: &str| point(name)[side]["count"].as_u64().unwrap();
    for name in ["extruder-7/melt_pressure", "feeder-1/deviation", "meter-a/active_power"] {
        let state = point("extruder-7/packml_state"); // what the gate of the first one asks
        let kept = (1..=count(name, "raw")).contains(&count(name, "left"));
        assert!(count(name, "raw") >= 3 && kept, "{}\n{state}", point(name));
        assert_eq!(shown["kept"][name], count(name, "left"));
        let steps = point(name)["steps"].as_array().unwrap();
        let suppressed: u64 = steps.iter().map(|it| it["seen"].as_u64().unwrap() - it["kept"].as_u64().unwrap()).sum();
        assert_eq!(count(name, "raw"), count(name, "left") + suppressed, "{}", point(name));
    }
    // A set point of the recipe is shown, and would not leave.
    assert!(count("feeder-1/mass_flow", "raw") >= 3 && count("feeder-1/mass_flow", "left") == 0);
    assert_eq!(files(&home.path().join("state")), state, "the state directory changed");
    assert!(broker.accept().is_err(), "the broker was asked");
    let page = home.path().join("preview.html");
    assert_eq!(fs::metadata(&page).unwrap().permissions().mode() & 0o777, 0o600);
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("<svg") && html.contains("原始") && !html.contains("<script"));
    let refused = preview(&[]);
    assert_eq!(refused.status.code(), Some(74), "{}", String::from_utf8_lossy(&refused.stderr));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"));
}
