//! A broker that has nobody to give records to. Run by `.ci/run`: `cargo test -p lingate-e2e --test unread -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::time::Duration;

use lingate_e2e::{Mosquitto, Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mosquitto: .ci/run"]
async fn what_mosquitto_has_no_subscriber_for_waits_and_arrives_complete_at_a_late_receiver() {
    let plant = Plant::start([DeviceSpec::new("load-1", Kind::Numbered(20), Mode::SelfDescribing)]).await.unwrap();
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let mosquitto = Mosquitto::start(&rig.authority).await.unwrap();
    let labels = Labels { every: "100ms", equipment: Some("acme/lingang/load-1"), ..Labels::new("ds-extr-07") };
    let devices = plant.devices()[0].toml(&labels);
    rig.enroll(&Settings { broker_port: mosquitto.port, devices, flush: "{ age = \"200ms\" }", commit: "50ms" })
        .unwrap();
    let daemon = rig.start(&[]).unwrap();
    let status = || daemon.health.status().unwrap_or_default();
    let is_told = || status()["link"]["unread"].as_str().is_some_and(|topic| topic.contains("/k/"));
    wait_for("nobody reads", PATIENCE, is_told).await.unwrap();
    wait_for("records wait", PATIENCE, || status()["buffer"]["records_waiting"].as_u64() > Some(20)).await.unwrap();
    assert_eq!(status()["datasets"][0]["acknowledged_records"], 0);
    let asked = rig.lingate(&["status", "--config", "lingate.toml"]).unwrap();
    let words = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert!(words.contains("the broker has no subscriber for"), "{words}");

    let receiver = rig.receiver(mosquitto.port).unwrap();
    wait_for("it is read", PATIENCE, || status()["link"]["unread"].is_null()).await.unwrap();
    daemon.terminate().unwrap();
    assert!(daemon.wait().unwrap().success());
    assert!(rig.start(&["--once", "1"]).unwrap().wait().unwrap().success(), "{}", rig.log().unwrap());
    let (accepted, ledger) = (rig.accepted().unwrap(), rig.ledger().unwrap());
    let arrived = || accepted.is_subset(&ledger.identities().unwrap());
    wait_for("every accepted record, from the first on", PATIENCE, arrived).await.unwrap();
    let report = receiver.report().unwrap();
    assert_eq!(report.datasets.iter().map(|it| it.holes).sum::<u64>(), 0);
    receiver.stop().await.unwrap();
}
