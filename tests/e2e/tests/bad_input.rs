//! Hostile peers: the message says what, where, why and what to do, and nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::net::Ipv4Addr;
use std::time::Duration;

use lingate_e2e::{Daemon, Rig, Settings, wait_for};
use lingate_plant::{Behaviour, DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::{Authority, Broker, InitOptions};

const SOON: Duration = Duration::from_secs(30);

async fn plant() -> Plant {
    Plant::start([DeviceSpec::new("extruder-7", Kind::Extruder, Mode::SelfDescribing)]).await.unwrap()
}

fn rig(plant: &Plant, broker_port: u16) -> Rig {
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    enroll(&mut rig, plant, broker_port);
    rig
}

fn enroll(rig: &mut Rig, plant: &Plant, broker_port: u16) {
    let labels = Labels { every: "50ms", equipment: Some("acme/lingang/extruder-7"), ..Labels::new("ds-extr-07") };
    let devices = plant.devices()[0].toml(&labels);
    rig.enroll(&Settings { broker_port, devices, flush: "{ age = \"100ms\" }", commit: "50ms" }).unwrap();
}

/// What the status says at `pointer` once it contains `words`.
async fn says(daemon: &Daemon, pointer: &str, words: &str) -> String {
    let now = || {
        daemon.health.status().ok().and_then(|status| Some(status.pointer(pointer)?.to_string())).unwrap_or_default()
    };
    let found = wait_for(words, SOON, || now().contains(words)).await;
    assert!(found.is_ok(), "{pointer} says {:?}, and not {words:?}", now());
    now()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_answers_with_too_few_registers_is_named_and_read_again() {
    let plant = plant().await;
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    enroll(&mut rig, &plant, broker.address().port());
    let receiver = rig.receiver(broker.address().port()).unwrap();
    plant.devices()[0].set_behaviour(Behaviour::TooFew);
    let daemon = rig.start(&["--once", "8"]).unwrap();
    let reason = says(&daemon, "/devices/0/reason", "broke its protocol").await;
    assert!(reason.contains("register"), "it does not say what was wrong: {reason}");
    plant.devices()[0].set_behaviour(Behaviour::Honest);
    says(&daemon, "/devices/0/state", "connected").await;
    assert!(daemon.wait().unwrap().success(), "{}", rig.log().unwrap());

    let accepted = rig.accepted().unwrap();
    wait_for("every accepted record", SOON, || accepted.is_subset(&rig.ledger().unwrap().identities().unwrap()))
        .await
        .unwrap();
    let report = receiver.report().unwrap();
    assert!(report.datasets[0].bad_readings > 0, "a short answer is a bad reading");
    assert!(report.datasets[0].readings > report.datasets[0].bad_readings, "good readings come after it healed");
    assert!(report.datasets[0].gaps > 0, "the slots without a connection are declared");
    receiver.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_a_foreign_certificate_gets_nothing_and_is_named() {
    let plant = plant().await;
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = Authority::init(&elsewhere.path().join("stranger"), &InitOptions::default()).unwrap();
    let mut foreign = Broker::start(&stranger, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = foreign.address();
    enroll(&mut rig, &plant, address.port());

    let daemon = rig.start(&["--once", "10"]).unwrap();
    let reason = says(&daemon, "/link/reason", "certificate").await;
    assert!(reason.contains("localhost"), "it does not say which broker: {reason}");
    assert!(reason.contains("sandbox-ca.pem") || reason.contains("sandbox.ca"), "it does not say what to do: {reason}");
    wait_for("readings on disk", SOON, || !rig.accepted().unwrap().is_empty()).await.unwrap();
    assert_eq!(foreign.tap().counts().publishes, 0);
    foreign.stop().await;
    drop(foreign);

    let right = Broker::start(&rig.authority, address).await.unwrap();
    let receiver = rig.receiver(right.address().port()).unwrap();
    assert!(daemon.wait().unwrap().success(), "{}", rig.log().unwrap());
    let accepted = rig.accepted().unwrap();
    assert!(accepted.len() > 10);
    wait_for("every accepted record", SOON, || accepted.is_subset(&rig.ledger().unwrap().identities().unwrap()))
        .await
        .unwrap();
    receiver.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_refuses_is_named_and_gets_everything_later() {
    let plant = plant().await;
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    enroll(&mut rig, &plant, broker.address().port());
    let receiver = rig.receiver(broker.address().port()).unwrap();
    broker.tap().refuse(Box::new(|_, _| Some(0x87)));
    let daemon = rig.start(&["--once", "8"]).unwrap();
    let refusal = says(&daemon, "/link/last_refusal", "not authorized").await;
    assert!(refusal.contains("lingate/1/acme/gw-e2e/k/"), "it does not say where: {refusal}");
    broker.tap().refuse_nothing();
    assert!(daemon.wait().unwrap().success(), "{}", rig.log().unwrap());
    let accepted = rig.accepted().unwrap();
    assert!(accepted.len() > 10);
    wait_for("every accepted record", SOON, || accepted.is_subset(&rig.ledger().unwrap().identities().unwrap()))
        .await
        .unwrap();
    receiver.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_of_the_file_is_told_at_once_with_its_place() {
    let plant = plant().await;
    let rig = rig(&plant, 8883);
    let file = rig.path().join("lingate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let broken = text
        .replacen("tenant =", "tennant =", 1)
        .replacen("register = \"holding:2\"", "register = \"holding:70000\"", 1)
        .replacen("dataset = \"ds-extr-07\"", "dataset = \"ds-extr-08\"", 1);
    std::fs::write(&file, broken).unwrap();
    let output = rig.lingate(&["check", "--config", "lingate.toml"]).unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(78), "{told}");
    for words in ["lingate.toml:3:", "tennant", "tenant", "holding:70000", "65535", "ds-extr-08", "ds-extr-07"] {
        assert!(told.contains(words), "it does not say {words:?}:\n{told}");
    }
}
