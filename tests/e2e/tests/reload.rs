//! Another configuration while the real binary runs under load: what is the same is not touched, and nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use lingate_checker::{Evidence, Least, ServedDevice, judge};
use lingate_e2e::{Daemon, Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::{Broker, ReceiverHandle};
use serde_json::Value;

/// `LINGATE_RELOADS` names another number.
const RELOADS: u64 = 60;
const PATIENCE: Duration = Duration::from_secs(60);

struct Stage {
    rig: Rig,
    plant: Plant,
    _broker: Broker,
    receiver: ReceiverHandle,
    /// What `lingate.toml` begins with, and the two devices, of which only the second changes.
    head: String,
    steady: String,
    changing: String,
}

fn specs() -> [DeviceSpec; 2] {
    let spec = |name: &str, points| DeviceSpec::new(name, Kind::Numbered(points), Mode::SelfDescribing);
    [spec("steady-1", 500), spec("changing-1", 5)]
}

impl Stage {
    async fn open() -> Stage {
        let plant = Plant::start(specs()).await.unwrap();
        let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
        let broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let table = |place: usize| {
            let equipment = format!("acme/lingang/{}", specs()[place].name);
            let labels = Labels { every: "100ms", equipment: Some(&equipment), ..Labels::new("ds-extr-07") };
            plant.devices()[place].toml(&labels)
        };
        let (steady, changing) = (table(0), table(1));
        let settings = Settings {
            broker_port: broker.address().port(),
            devices: format!("{steady}\n{changing}"),
            flush: "{ readings = 50, age = \"50ms\" }",
            commit: "20ms",
        };
        rig.enroll(&settings).unwrap();
        let receiver = rig.receiver(settings.broker_port).unwrap();
        let subscribed = || rig.ledger().and_then(|ledger| ledger.is_subscribed()).unwrap_or(false);
        wait_for("the receiver's session", PATIENCE, subscribed).await.unwrap();
        let text = fs::read_to_string(rig.path().join("lingate.toml")).unwrap();
        let head = text.split_once("[[device]]").unwrap().0.to_owned();
        Stage { rig, plant, _broker: broker, receiver, head, steady, changing }
    }

    async fn start(&self) -> Daemon {
        let mut daemon = self.rig.start(&[]).unwrap();
        wait_for("a durable record", PATIENCE, || {
            assert!(!daemon.has_ended().unwrap(), "it does not start:\n{}", self.rig.log().unwrap());
            !self.rig.accepted().unwrap().is_empty() && daemon.health.status().is_ok()
        })
        .await
        .unwrap();
        daemon
    }

    fn file(&self) -> PathBuf {
        self.rig.path().join("lingate.toml")
    }

    fn write(&self, head: &str, changing: &str) {
        fs::write(self.file(), format!("{head}{}\n{changing}", self.steady)).unwrap();
    }

    /// The second device reads otherwise.
    fn with(&self, setting: &str) -> String {
        self.changing.replacen("every = ", &format!("{setting}\nevery = "), 1)
    }

    /// `lingate reload`: exit code, and everything that it said.
    fn reload(&self) -> (Option<i32>, String) {
        let output = self.rig.lingate(&["reload", "--config", "lingate.toml"]).unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }
}

fn reload_of(daemon: &Daemon) -> Value {
    daemon.health.status().unwrap()["reload"].clone()
}

fn count(reload: &Value) -> u64 {
    reload["applied"].as_u64().unwrap() + reload["refused"].as_u64().unwrap()
}

fn device(daemon: &Daemon, name: &str) -> Value {
    let status = daemon.health.status().unwrap();
    status["devices"].as_array().unwrap().iter().find(|device| device["name"] == name).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_under_load_lose_nothing_and_miss_no_slot_of_what_stays_the_same() {
    let stage = Stage::open().await;
    let daemon = stage.start().await;
    let reloads = std::env::var("LINGATE_RELOADS").map_or(RELOADS, |reloads| reloads.parse().unwrap());
    let (mut applied, mut refused) = (0, 0);
    for number in 1..=reloads {
        match number % 10 {
            // A slip, in a file that is otherwise new.
            7 => stage.write(&stage.head, &stage.with("tiemout = \"3s\"")),
            8 => stage.write(&stage.head, &stage.changing),
            _ => stage.write(&stage.head, &stage.with(&format!("timeout = \"{}ms\"", 1_000 + number))),
        }
        daemon.signal("HUP").unwrap();
        wait_for("the daemon's answer", PATIENCE, || count(&reload_of(&daemon)) == number).await.unwrap();
        let reload = reload_of(&daemon);
        if number % 10 == 7 {
            refused += 1;
            assert_eq!(reload["outcome"], "refused");
            assert!(reload["problems"][0].as_str().unwrap().contains("did you mean \"timeout\"?"), "{reload}");
        } else {
            applied += 1;
            assert_eq!(reload["restarted"], serde_json::json!(["changing-1"]), "{reload}");
        }
        assert_eq!((reload["applied"].as_u64(), reload["refused"].as_u64()), (Some(applied), Some(refused)));
    }
    let steady = device(&daemon, "steady-1");
    assert_eq!((steady["missed_slots"].as_u64(), steady["state"].as_str()), (Some(0), Some("connected")), "{steady}");
    for device in stage.plant.devices() {
        device.stop().await;
    }
    // What is still under way: an answer that came is in a batch for at most its age.
    let quiet = || daemon.health.status().is_ok_and(|status| status["buffer"]["records_waiting"] == 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    wait_for("an empty buffer", PATIENCE, quiet).await.unwrap();
    daemon.terminate().unwrap();
    assert!(daemon.wait().unwrap().success(), "{}", stage.rig.log().unwrap());

    let (accepted, ledger) = (stage.rig.accepted().unwrap(), stage.rig.ledger().unwrap());
    wait_for("every accepted record", PATIENCE, || accepted.is_subset(&ledger.identities().unwrap())).await.unwrap();
    let epochs: std::collections::BTreeSet<&String> = accepted.iter().map(|(kid, _)| kid).collect();
    assert_eq!(epochs.len(), 1, "no policy changed");
    let policy = specs()
        .iter()
        .flat_map(|spec| spec.tags().iter().map(|tag| format!("{}/{}", spec.name, tag.name)).collect::<Vec<_>>())
        .collect();
    let evidence = Evidence {
        run: format!("{reloads} reloads"),
        policy,
        served: stage.plant.devices().iter().map(|device| ServedDevice::of(device, 100)).collect(),
        faults: vec!["reload".to_owned(); usize::try_from(reloads).unwrap()],
        least: Least { records: reloads, faults: reloads },
        ..Evidence::default()
    };
    let folder = stage.rig.path();
    let verdict = judge(&evidence.with(&folder.join("gateway.log"), &folder.join("received.sqlite")).unwrap());
    println!("{}", verdict.to_json());
    assert!(verdict.holds(), "{}", verdict.to_json());
    stage.receiver.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_or_needs_a_restart_changes_nothing_and_the_command_says_why() {
    let stage = Stage::open().await;
    assert_eq!(stage.reload().0, Some(69), "nobody runs");
    let daemon = stage.start().await;
    let sha256 = |daemon: &Daemon| daemon.health.status().unwrap()["configuration_sha256"].as_str().unwrap().to_owned();
    let before = sha256(&daemon);

    stage.write(&stage.head, &stage.with("tiemout = \"3s\""));
    let (code, said) = stage.reload();
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("did you mean \"timeout\"?") && said.contains("what was in force stays"), "{said}");

    stage.write(&stage.head.replace("max_size = \"256MiB\"", "max_size = \"512MiB\""), &stage.changing);
    let (code, said) = stage.reload();
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("~ [buffer]: max_size \"256MiB\" -> \"512MiB\""), "{said}");
    assert!(
        said.contains("buffer.max_size cannot change while the gateway runs: restart it, or take this back"),
        "{said}"
    );
    assert_eq!(sha256(&daemon), before);
    let metrics = daemon.health.get("/metrics").unwrap();
    assert!(metrics.contains("lingate_config_last_reload_successful 0"), "{metrics}");

    // A device in a file of its own, and one that is gone.
    fs::create_dir(stage.rig.path().join("lingate.d")).unwrap();
    let third = stage.changing.replace("changing-1", "third-1");
    fs::write(stage.rig.path().join("lingate.d/10-third.toml"), &third).unwrap();
    stage.write(&stage.head, "");
    let (code, said) = stage.reload();
    assert_eq!(code, Some(0), "{said}");
    for line in ["+ device third-1", "- device changing-1", "in force, 2 devices anew: third-1, changing-1"] {
        assert!(said.contains(line), "{line}:\n{said}");
    }
    let names: Vec<String> = daemon.health.status().unwrap()["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| device["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["steady-1", "third-1"]);
    assert_ne!(sha256(&daemon), before);
    assert!(stage.reload().1.contains("in force already, nothing was touched"));
    assert!(daemon.health.get("/metrics").unwrap().contains("lingate_config_last_reload_successful 1"));
    let audit = stage.rig.lingate(&["audit", "show", "--config", "lingate.toml"]).unwrap();
    let audit = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(audit.contains("config.changed") && audit.contains("refused") && audit.contains("applied"), "{audit}");
    stage.receiver.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_wrong_file_goes_on_with_the_last_good_one_if_that_asks_for_it() {
    let stage = Stage::open().await;
    let good = format!("[reload]\nlast_good = true\n\n{}", stage.head);
    stage.write(&good, &stage.changing);
    let daemon = stage.start().await;
    daemon.terminate().unwrap();
    assert!(daemon.wait().unwrap().success());

    stage.write(&good, &stage.with("tiemout = \"3s\""));
    let check = stage.rig.lingate(&["check", "--start", "--config", "lingate.toml"]).unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let daemon = stage.start().await;
    let reload = reload_of(&daemon);
    assert_eq!(reload["outcome"], "last-good");
    assert!(reload["problems"][0].as_str().unwrap().contains("lingate.toml:"), "{reload}");
    wait_for("the steady device", PATIENCE, || device(&daemon, "steady-1")["state"] == "connected").await.unwrap();

    stage.write(&good, &stage.changing);
    assert_eq!(stage.reload().0, Some(0));
    assert_eq!(reload_of(&daemon)["outcome"], "unchanged");
    stage.receiver.stop().await.unwrap();
}
