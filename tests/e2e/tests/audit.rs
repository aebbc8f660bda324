//! The real binary's audit log: it verifies, the sandbox vouches for it, and a restored copy is found out.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use lingate_e2e::{Daemon, Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::Broker;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

fn audit(daemon: &Daemon) -> Value {
    daemon.health.status().map_or(Value::Null, |status| status["audit"].clone())
}

async fn cosigned(daemon: &Daemon, more_than: u64) -> u64 {
    let size = || audit(daemon)["cosigned"].as_u64().unwrap_or(0);
    let found = wait_for("a cosigned checkpoint", PATIENCE, || size() > more_than).await;
    assert!(found.is_ok(), "{:#}", audit(daemon));
    size()
}

fn stop(daemon: Daemon) {
    daemon.terminate().unwrap();
    assert!(daemon.wait().unwrap().success());
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// What `lingate audit verify` says with the sandbox's own checkpoint and keys.
fn verify(rig: &Rig) -> Value {
    let log = rig.authority.witnessed().unwrap().remove(0);
    let (_, _, note) = log.newest.unwrap();
    fs::write(rig.path().join("checkpoint.txt"), note.to_string()).unwrap();
    let keys: String = log.keys.iter().map(|key| format!("{key}\n")).collect();
    fs::write(rig.path().join("keys.txt"), keys).unwrap();
    let arguments =
        ["audit", "verify", "--state", "state", "--checkpoint", "checkpoint.txt", "--key", "keys.txt", "--json"];
    let output = rig.lingate(&arguments).unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(if report["ok"] == true { 0 } else { 65 }));
    report
}

/// The exit code of `lingate lineage show`, and whether every epoch that it shows has its policy, its bundle and records.
fn lineage(rig: &Rig) -> (i32, bool) {
    let output = rig.lingate(&["lineage", "show", "--config", "lingate.toml", "--json"]).unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let epochs = shown["lineage"]["datasets"][0]["newest"].as_array().unwrap();
    let holds = |epoch: &Value| {
        let checks = &epoch["checks"];
        let flags = ["policy_was_loaded", "policy_is_this_configurations", "bundle_is_kept"];
        flags.iter().all(|flag| checks[flag] == true)
            && epoch["records"].as_u64() > Some(0)
            && epoch["closed"].is_string()
    };
    (output.status.code().unwrap(), !epochs.is_empty() && epochs.iter().all(holds))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_real_run_verifies_and_a_restored_one_is_found_out() {
    let plant = Plant::start([DeviceSpec::new("load-1", Kind::Numbered(5), Mode::SelfDescribing)]).await.unwrap();
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let port = broker.address().port();
    let labels = Labels { every: "100ms", ..Labels::new("ds-extr-07") };
    let devices = plant.devices()[0].toml(&labels);
    rig.enroll(&Settings { broker_port: port, devices, flush: "{ readings = 50, age = \"30ms\" }", commit: "10ms" })
        .unwrap();
    let receiver = rig.receiver(port).unwrap();

    let daemon = rig.start(&[]).unwrap();
    let first = cosigned(&daemon, 0).await;
    let told = rig.lingate(&["purge", "--config", "lingate.toml", "--dataset", "ds-extr-07"]).unwrap();
    assert!(told.status.success());
    let spool = rig.path().join("state/audit/spool");
    wait_for("the order in the log", PATIENCE, || fs::read_dir(&spool).unwrap().count() == 0).await.unwrap();
    stop(daemon);
    let report = verify(&rig);
    assert_eq!((&report["ok"], &report["uncovered"]), (&true.into(), &0.into()), "{report:#}");
    for event in
        ["start", "stop", "enroll", "bundle.accepted", "policy.loaded", "source.up", "epoch.open", "data.range"]
    {
        assert!(report["events"][event].as_u64() >= Some(1), "{event}: {report:#}");
    }
    assert!(report["events"]["operator.command"].as_u64() >= Some(2), "{report:#}");

    assert_eq!(lineage(&rig), (0, true));

    let (log, backup) = (rig.path().join("state/audit"), rig.path().join("backup"));
    copy(&log, &backup);
    let daemon = rig.start(&[]).unwrap();
    cosigned(&daemon, first).await;
    stop(daemon);
    assert_eq!(verify(&rig)["events"]["start"], 2);

    assert_eq!(lineage(&rig), (0, true));
    let newest = fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path());
    let newest = newest.filter(|path| path.extension().is_some_and(|it| it == "jsonl")).max().unwrap();
    let written = fs::read_to_string(&newest).unwrap();
    fs::write(&newest, written.replacen("policy.loaded", "policy.laoded", 1)).unwrap();
    assert_eq!(lineage(&rig).0, 65, "a changed log is no proof of anything");
    fs::write(&newest, &written).unwrap();
    fs::remove_file(log.join("checkpoint")).unwrap();
    fs::read_dir(&log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "cosigned"))
        .for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!(lineage(&rig), (69, true), "without a checkpoint nothing is proven");

    // The state as it was a day ago: what the sandbox cosigned since is not in it.
    copy(&backup, &log);
    assert_eq!(verify(&rig)["ok"], false);
    let daemon = rig.start(&[]).unwrap();
    wait_for("the dispute", PATIENCE, || audit(&daemon)["dispute"].is_string()).await.unwrap();
    let forks = || rig.authority.witnessed().unwrap()[0].forks.len();
    wait_for("the evidence", PATIENCE, || forks() > 0).await.unwrap();
    stop(daemon);
    let lines = rig.lingate(&["audit", "show", "--state", "state", "--event", "audit.forked"]).unwrap();
    assert!(String::from_utf8_lossy(&lines.stdout).contains("audit.forked"), "{lines:?}");
    receiver.stop().await.unwrap();
}
