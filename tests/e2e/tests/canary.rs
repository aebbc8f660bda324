//! A plaintext hunt: values and names that only the plant knows must be nowhere but in the opened records.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::net::Ipv4Addr;
use std::time::Duration;

use lingate_e2e::{Hunt, Rig, Settings, contents_below, wait_for};
use lingate_model::Value;
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::Broker;

#[test]
fn the_hunt_finds_what_is_there() {
    let spec = DeviceSpec::new("secret-9", Kind::Numbered(40), Mode::SelfDescribing);
    let hunt = Hunt::for_values_of(&spec, 3);
    let number = |tag: &str| match spec.expected(tag, 2) {
        Some(Value::UInt32(value)) => value,
        other => panic!("{tag} gives {other:?}"),
    };
    let registers: Vec<u8> = spec.tags().iter().flat_map(|tag| number(&tag.name).to_be_bytes()).collect();
    assert!(hunt.find(&registers).is_some());
    let mut named = Hunt::default();
    named.add(b"tag_017");
    assert!(named.find(b"a log line about tag_017").is_some());
    assert!(hunt.find(&[0x5A; 4096]).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn canaries_never_leave_in_the_clear() {
    let spec = DeviceSpec::new("secret-9", Kind::Numbered(40), Mode::SelfDescribing);
    let plant = Plant::start([spec.clone()]).await.unwrap();
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let mut broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    broker.tap().keep_payloads();
    let broker_port = broker.address().port();
    let labels = Labels { every: "50ms", equipment: Some("acme/lingang/canary"), ..Labels::new("ds-extr-07") };
    rig.enroll(&Settings {
        broker_port,
        devices: plant.devices()[0].toml(&labels),
        flush: "{ age = \"100ms\" }",
        commit: "50ms",
    })
    .unwrap();
    let receiver = rig.receiver(broker_port).unwrap();

    let daemon = rig.start(&[]).unwrap();
    wait_for("the first values", Duration::from_secs(30), || rig.ledger().unwrap().readings().unwrap_or(0) > 500)
        .await
        .unwrap();
    // Without a broker everything piles up on the disk: that is where the hunt goes.
    broker.stop().await;
    let polls = plant.devices()[0].served().polls();
    wait_for("a backlog", Duration::from_secs(30), || plant.devices()[0].served().polls() > polls + 40).await.unwrap();
    let pages: Vec<u8> = ["/", "/live", "/ready", "/status", "/metrics"]
        .iter()
        .flat_map(|path| daemon.health.get(path).unwrap().into_bytes())
        .collect();
    daemon.kill().unwrap();
    broker.start_again().await.unwrap();

    let mut places = vec![("the health endpoint".to_owned(), pages)];
    places.extend(broker.tap().payloads().into_iter().map(|payload| ("a payload".to_owned(), payload)));
    places.push(("the log".to_owned(), rig.log().unwrap().into_bytes()));
    places.extend(contents_below(&rig.path().join("state")).unwrap());
    let mut hunt = Hunt::for_values_of(&spec, plant.devices()[0].served().polls());
    hunt.add(b"tag_017");
    hunt.add(b"lingang/canary");
    for (place, content) in &places {
        assert_eq!(hunt.find(content), None, "{place} holds it in the clear");
    }
    let bytes: usize = places.iter().map(|(_, content)| content.len()).sum();
    println!("{} canaries hunted in {} places, {bytes} bytes", hunt.canaries(), places.len());
    assert!(hunt.canaries() > 5_000, "too little to search for");
    assert!(places.len() > 15 && bytes > 50_000, "too little was searched");
    receiver.stop().await.unwrap();
}
