//! A plaintext hunt: values and names that only the plant knows must be nowhere but in the opened records.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lingate_e2e::{Rig, Settings, wait_for};
use lingate_model::Value;
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Motion, Plant, Tag};
use lingate_sandbox::Broker;

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// What must not be found, by length: one walk over the bytes for each length.
#[derive(Default)]
struct Hunt(BTreeMap<usize, HashSet<Vec<u8>>>);

impl Hunt {
    fn add(&mut self, canary: &[u8]) {
        self.0.entry(canary.len()).or_default().insert(canary.to_vec());
    }

    fn canaries(&self) -> usize {
        self.0.values().map(HashSet::len).sum()
    }

    fn find(&self, content: &[u8]) -> Option<String> {
        let mut found =
            self.0.iter().flat_map(|(length, canaries)| content.windows(*length).filter(|it| canaries.contains(*it)));
        found.next().map(|canary| String::from_utf8_lossy(canary).into_owned())
    }
}

/// Registers of two neighbouring values as they stood on the wire, and every value as text. Single values of four bytes
/// would meet by chance.
fn canaries(spec: &DeviceSpec, polls: u32) -> Hunt {
    let mut hunt = Hunt::default();
    for n in 0..=polls {
        let values: Vec<u32> =
            spec.tags().iter().filter(|tag| tag.motion != Motion::Counter).map(|tag| number(spec, tag, n)).collect();
        for pair in values.windows(2) {
            hunt.add(&[pair[0].to_be_bytes(), pair[1].to_be_bytes()].concat());
            hunt.add(&[pair[0].to_le_bytes(), pair[1].to_le_bytes()].concat());
        }
        for text in values.iter().map(u32::to_string).filter(|text| text.len() >= 9) {
            hunt.add(text.as_bytes());
        }
    }
    hunt.add(b"tag_017");
    hunt.add(b"lingang/canary");
    hunt
}

fn number(spec: &DeviceSpec, tag: &Tag, n: u32) -> u32 {
    match spec.expected(&tag.name, n) {
        Some(Value::UInt32(value)) => value,
        other => panic!("{} gives {other:?}", tag.name),
    }
}

#[test]
fn the_hunt_finds_what_is_there() {
    let spec = DeviceSpec::new("secret-9", Kind::Numbered(40), Mode::SelfDescribing);
    let hunt = canaries(&spec, 3);
    let registers: Vec<u8> = spec.tags().iter().flat_map(|tag| number(&spec, tag, 2).to_be_bytes()).collect();
    assert!(hunt.find(&registers).is_some());
    assert!(hunt.find(b"a log line about tag_017").is_some());
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
    places.extend(
        files_below(&rig.path().join("state"))
            .into_iter()
            .map(|file| (file.display().to_string(), fs::read(file).unwrap())),
    );
    let hunt = canaries(&spec, plant.devices()[0].served().polls());
    for (place, content) in &places {
        assert_eq!(hunt.find(content), None, "{place} holds it in the clear");
    }
    let bytes: usize = places.iter().map(|(_, content)| content.len()).sum();
    println!("{} canaries hunted in {} places, {bytes} bytes", hunt.canaries(), places.len());
    assert!(hunt.canaries() > 5_000, "too little to search for");
    assert!(places.len() > 15 && bytes > 50_000, "too little was searched");
    receiver.stop().await.unwrap();
}
