//! Keys, rights and certificates change under load: nothing is lost, nothing is restarted.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use lingate_e2e::{Daemon, Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::{Broker, Issued};

const ROLE: &str = "role:oem-quality";
const PATIENCE: Duration = Duration::from_secs(60);

/// As plant IT does it: the file appears whole.
fn drop_bundle(rig: &Rig, issued: &[Issued]) -> u64 {
    let issued = issued.iter().find(|issued| issued.gateway.as_str() == "gw-e2e").unwrap();
    let inbox = rig.path().join("state/inbox");
    fs::write(inbox.join("next.part"), &issued.bundle).unwrap();
    fs::rename(inbox.join("next.part"), inbox.join(format!("bundle-{}.json", issued.bundle_version))).unwrap();
    issued.bundle_version
}

async fn in_force(daemon: &Daemon, version: u64) {
    let health = daemon.health.clone();
    let is_in_force = || {
        let status = health.status().unwrap();
        status["bundle"]["version"] == version && status["datasets"][0]["denied"].is_null()
    };
    wait_for(&format!("bundle {version} in force"), PATIENCE, is_in_force).await.unwrap();
}

/// Records of epochs of this moment: more of them are delivered than before.
async fn delivers(rig: &Rig, daemon: &Daemon) {
    let acknowledged = || daemon.health.status().unwrap()["datasets"][0]["acknowledged_records"].as_u64().unwrap();
    let before = acknowledged();
    let found = wait_for("records of the new rights", PATIENCE, || acknowledged() > before + 40).await;
    assert!(found.is_ok(), "{}", rig.log().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_revocation_and_new_certificates_under_load_lose_nothing() {
    let plant = Plant::start([DeviceSpec::new("load-1", Kind::Numbered(50), Mode::SelfDescribing)]).await.unwrap();
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let port = broker.address().port();
    let labels = Labels { every: "20ms", equipment: Some("acme/lingang/load-1"), ..Labels::new("ds-extr-07") };
    let devices = plant.devices()[0].toml(&labels);
    rig.enroll(&Settings { broker_port: port, devices, flush: "{ readings = 50, age = \"30ms\" }", commit: "10ms" })
        .unwrap();
    let receiver = rig.receiver(port).unwrap();
    let mut daemon = rig.start(&[]).unwrap();
    wait_for("health", PATIENCE, || daemon.health.status().is_ok()).await.unwrap();
    in_force(&daemon, 1).await;
    delivers(&rig, &daemon).await;

    let old = rig.authority.role_key(ROLE).unwrap().kid().to_string();
    let issued = rig.authority.rotate_role(ROLE, 7).unwrap();
    let version = drop_bundle(&rig, &issued);
    in_force(&daemon, version).await;
    delivers(&rig, &daemon).await;

    let issued = rig.authority.rotate_root(3, 2).unwrap();
    let version = drop_bundle(&rig, &issued);
    in_force(&daemon, version).await;
    assert_eq!(daemon.health.status().unwrap()["bundle"]["root_version"], 2);

    let issued = rig.authority.revoke_role_key(&old, "lost").unwrap();
    let version = drop_bundle(&rig, &issued);
    in_force(&daemon, version).await;
    delivers(&rig, &daemon).await;

    let renewed = rig.authority.renew_certificate("gw-e2e").unwrap();
    let connects = daemon.health.status().unwrap()["link"]["connects"].as_u64().unwrap();
    fs::write(rig.path().join("gateway.pem.new"), &renewed.chain_pem).unwrap();
    fs::rename(rig.path().join("gateway.pem.new"), rig.path().join("gateway.pem")).unwrap();
    let is_back = || {
        let link = &daemon.health.status().unwrap()["link"];
        link["up"] == true && link["connects"].as_u64().unwrap() > connects
    };
    wait_for("a connection with the new certificate", PATIENCE, is_back).await.unwrap();
    delivers(&rig, &daemon).await;

    assert!(!daemon.has_ended().unwrap(), "it was restarted by nobody");
    daemon.terminate().unwrap();
    assert!(daemon.wait().unwrap().success());
    let last = rig.start(&["--once", "1"]).unwrap().wait().unwrap();
    assert!(last.success(), "{}", rig.log().unwrap());
    let (accepted, ledger) = (rig.accepted().unwrap(), rig.ledger().unwrap());
    let arrived = || accepted.is_subset(&ledger.identities().unwrap());
    wait_for("every accepted record", PATIENCE, arrived).await.unwrap();
    let report = receiver.report().unwrap();
    let sum = |of: fn(&lingate_sandbox::DatasetReport) -> u64| report.datasets.iter().map(of).sum::<u64>();
    let (holes, duplicates) = (sum(|it| it.holes), sum(|it| it.duplicates));
    println!("{} records, {duplicates} duplicates", accepted.len());
    assert!(accepted.len() > 200 && holes == 0 && report.alarm_count == 0, "{report:?}");
    assert!(duplicates <= 64, "{duplicates} duplicates: more than one window");
    receiver.stop().await.unwrap();
}
