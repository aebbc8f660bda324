//! kill -9 at random moments under load: what was reported durable arrives, once, and nothing else does.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::net::Ipv4Addr;
use std::time::Duration;

use lingate_checker::{Counts, Evidence, Least, ServedDevice, judge};
use lingate_e2e::{Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::Broker;

/// `LINGATE_KILLS` names another number.
const KILLS: u64 = 50;

fn spec() -> DeviceSpec {
    DeviceSpec::new("load-1", Kind::Numbered(200), Mode::SelfDescribing)
}

/// Moments between 20 and 400 ms after the first durable record of a run; the same ones in every run of the test.
fn moments() -> impl Iterator<Item = Duration> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(20 + (state >> 33) % 380)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_fifty_moments_it_loses_nothing_accepted() {
    let plant = Plant::start([spec()]).await.unwrap();
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let mut broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let broker_port = broker.address().port();
    let labels = Labels { every: "20ms", equipment: Some("acme/lingang/load-1"), ..Labels::new("ds-extr-07") };
    let devices = plant.devices()[0].toml(&labels);
    rig.enroll(&Settings { broker_port, devices, flush: "{ readings = 50, age = \"30ms\" }", commit: "10ms" }).unwrap();
    let receiver = rig.receiver(broker_port).unwrap();

    let kills = std::env::var("LINGATE_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut reported = 0;
    for (kill, moment) in (0..kills).zip(moments()) {
        // Every fifth life is lived without a broker.
        match kill % 5 {
            3 => broker.stop().await,
            4 => broker.start_again().await.unwrap(),
            _ => {}
        }
        let mut daemon = rig.start(&[]).unwrap();
        wait_for("a durable record", Duration::from_secs(30), || {
            assert!(!daemon.has_ended().unwrap(), "it does not start again:\n{}", rig.log().unwrap());
            rig.accepted().unwrap().len() > reported
        })
        .await
        .unwrap();
        tokio::time::sleep(moment).await;
        daemon.kill().unwrap();
        reported = rig.accepted().unwrap().len();
    }
    let last = rig.start(&["--once", "1"]).unwrap().wait().unwrap();
    assert!(last.success(), "{}", rig.log().unwrap());

    let accepted = rig.accepted().unwrap();
    let ledger = rig.ledger().unwrap();
    let arrived = || accepted.is_subset(&ledger.identities().unwrap());
    let complete = wait_for("every accepted record", Duration::from_secs(20), arrived).await;
    let received = ledger.identities().unwrap();
    let missing: Vec<_> = accepted.difference(&received).take(5).collect();
    assert!(complete.is_ok(), "accepted and never received, such as {missing:?}");
    assert!(accepted.len() > 1_000, "only {} records: too little load to show anything", accepted.len());

    let served = ServedDevice::of(&plant.devices()[0], 20);
    let evidence = Evidence {
        run: format!("{kills} kills"),
        policy: spec().tags().iter().map(|tag| format!("load-1/{}", tag.name)).collect(),
        served: vec![served],
        faults: vec!["kill".to_owned(); usize::try_from(kills).unwrap()],
        counts: Counts::AtLeast,
        keys: rig.key_uses().unwrap(),
        least: Least { records: 1_000, faults: KILLS },
        ..Evidence::default()
    };
    let evidence = evidence.with(&rig.path().join("gateway.log"), &rig.path().join("received.sqlite")).unwrap();
    let verdict = judge(&evidence);
    println!("{}", verdict.to_json());
    assert!(verdict.holds(), "{}", verdict.to_json());
    assert!(verdict.figure("declared_readings") > 0, "what was read and not accepted at a kill must be declared");
    receiver.stop().await.unwrap();
}
