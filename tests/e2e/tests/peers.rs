//! The real binary against servers that none of us wrote. Run by `.ci/run`, which installs them:
//! `LINGATE_PEERS=... cargo test -p lingate-e2e --test peers -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use lingate_checker::{Evidence, Least, ServedDevice, judge};
use lingate_e2e::{Mosquitto, Peer, Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};

/// Points on the registers of `tests/e2e/peers/README.md`, and what must arrive.
const POINTS: [(&str, &str, &str, &str); 19] = [
    ("u16", "holding:0", "type = \"u16\"", "4660"),
    ("i16", "holding:1", "type = \"i16\"", "-2"),
    ("u32", "holding:2", "type = \"u32\"", "3735928559"),
    ("u32_cdab", "holding:4", "type = \"u32\"\nword_order = \"cdab\"", "3735928559"),
    ("f32", "holding:6", "type = \"f32\"", "3.25"),
    ("f64", "holding:8", "type = \"f64\"", "2.718281828459045"),
    ("i64", "holding:12", "type = \"i64\"", "-9007199254740993"),
    ("u64", "holding:12", "type = \"u64\"", "18437736874454810623"),
    ("scaled", "holding:16", "type = \"i16\"\nscale = 0.1", "215.3"),
    ("input", "input:0", "type = \"u16\"", "777"),
    ("coil_0", "coil:0", "", "1"),
    ("coil_1", "coil:1", "", "0"),
    ("coil_2", "coil:2", "", "1"),
    ("coil_6", "coil:6", "", "1"),
    ("coil_7", "coil:7", "", "0"),
    ("discrete_2", "discrete:2", "", "0"),
    ("discrete_3", "discrete:3", "", "1"),
    ("bit_1", "holding:1", "type = \"bit\"\nbit = 0", "0"),
    ("bit_2", "holding:1", "type = \"bit\"\nbit = 1", "1"),
];

fn peers() -> PathBuf {
    PathBuf::from(
        std::env::var_os("LINGATE_PEERS").expect("LINGATE_PEERS names the folder with the peers; see .ci/run"),
    )
}

fn device(port: u16) -> String {
    let points = POINTS.iter().map(|(name, register, more, _)| {
        format!("\n[[device.point]]\nname = \"{name}\"\nregister = \"{register}\"\n{more}\ndataset = \"ds-extr-07\"\nclass = \"general\"\n")
    });
    let head = format!(
        "[[device]]\nname = \"peer\"\ndriver = \"modbus-tcp\"\nevery = \"100ms\"\nequipment = \"acme/lingang/peer\"\n\
         address = \"127.0.0.1:{port}\"\nunit = 1\n"
    );
    head + &points.collect::<String>()
}

async fn values_arrive_exactly(peer: Peer) {
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let mosquitto = Mosquitto::start(&rig.authority).await.unwrap();
    let devices = device(peer.port);
    rig.enroll(&Settings { broker_port: mosquitto.port, devices, flush: "{ age = \"200ms\" }", commit: "50ms" })
        .unwrap();
    let receiver = rig.receiver(mosquitto.port).unwrap();
    let ended = rig.start(&["--once", "3"]).unwrap().wait().unwrap();
    assert!(ended.success(), "{}", rig.log().unwrap());
    let ledger = rig.ledger().unwrap();
    let accepted = rig.accepted().unwrap();
    let arrived = || accepted.is_subset(&ledger.identities().unwrap());
    wait_for("every accepted record", Duration::from_secs(20), arrived).await.unwrap();
    for (name, register, _, expected) in POINTS {
        let values: Vec<String> = ledger.values(&format!("peer/{name}")).unwrap().into_iter().collect();
        assert_eq!(values, [expected], "{name} at {register}");
    }
    assert!(ledger.readings().unwrap() > 300, "hardly anything was read");
    receiver.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libmodbus and mosquitto: .ci/run"]
async fn values_arrive_exactly_as_libmodbus_serves_them() {
    values_arrive_exactly(Peer::start(&peers().join("libmodbus_server"), &[]).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pymodbus and mosquitto: .ci/run"]
async fn values_arrive_exactly_as_pymodbus_serves_them() {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers/pymodbus_server.py");
    values_arrive_exactly(Peer::start(&peers().join("venv/bin/python"), &[&script]).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mosquitto: .ci/run"]
async fn an_outage_of_mosquitto_loses_nothing() {
    let spec = || DeviceSpec::new("load-1", Kind::Numbered(100), Mode::SelfDescribing);
    let plant = Plant::start([spec()]).await.unwrap();
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let mut mosquitto = Mosquitto::start(&rig.authority).await.unwrap();
    let labels = Labels { every: "50ms", equipment: Some("acme/lingang/load-1"), ..Labels::new("ds-extr-07") };
    let devices = plant.devices()[0].toml(&labels);
    rig.enroll(&Settings {
        broker_port: mosquitto.port,
        devices,
        flush: "{ readings = 25, age = \"100ms\" }",
        commit: "50ms",
    })
    .unwrap();
    let receiver = rig.receiver(mosquitto.port).unwrap();
    let ledger = rig.ledger();
    let daemon = rig.start(&["--once", "12"]).unwrap();
    let records = || rig.ledger().and_then(|ledger| ledger.identities()).map_or(0, |records| records.len());
    wait_for("records at the sandbox", Duration::from_secs(20), || records() > 50).await.unwrap();
    mosquitto.stop().unwrap();
    let reported = rig.accepted().unwrap().len();
    wait_for("a backlog", Duration::from_secs(20), || rig.accepted().unwrap().len() > reported + 60).await.unwrap();
    mosquitto.start_again().await.unwrap();
    assert!(daemon.wait().unwrap().success(), "{}", rig.log().unwrap());
    let (ledger, accepted) = (ledger.unwrap(), rig.accepted().unwrap());
    let arrived = || accepted.is_subset(&ledger.identities().unwrap());
    wait_for("every accepted record", Duration::from_secs(20), arrived).await.unwrap();

    let evidence = Evidence {
        run: "an outage of mosquitto".to_owned(),
        served: vec![ServedDevice::of(&plant.devices()[0], 50)],
        faults: vec!["outage".to_owned()],
        keys: rig.key_uses().unwrap(),
        least: Least { records: 100, faults: 1 },
        ..Evidence::default()
    };
    let evidence = evidence.with(&rig.path().join("gateway.log"), &rig.path().join("received.sqlite")).unwrap();
    let verdict = judge(&evidence);
    assert!(verdict.holds(), "{}", verdict.to_json());
    assert!(verdict.figure("values_checked") > 5_000, "{}", verdict.to_json());
    receiver.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mosquitto: .ci/run"]
async fn the_brokers_rules_keep_a_gateway_below_its_own_name() {
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let mosquitto = Mosquitto::start(&rig.authority).await.unwrap();
    rig.enroll(&Settings {
        broker_port: mosquitto.port,
        devices: device(9),
        flush: "{ age = \"1s\" }",
        commit: "50ms",
    })
    .unwrap();
    let publish = |topic: &str| {
        let at = |name: &str| rig.path().join(name);
        let output = Command::new("mosquitto_pub")
            .args([
                "-V",
                "5",
                "-q",
                "1",
                "-h",
                "localhost",
                "-p",
                &mosquitto.port.to_string(),
                "-t",
                topic,
                "-m",
                "x",
                "-d",
            ])
            .args([
                "--cafile".into(),
                at("sandbox-ca.pem"),
                "--cert".into(),
                at("gateway.pem"),
                "--key".into(),
                at("gateway.key"),
            ])
            .output()
            .expect("mosquitto_pub is installed by .ci/run");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let own = publish("lingate/1/acme/gw-e2e/d/x");
    assert!(own.contains("PUBACK") && !own.contains("RC:135"), "{own}");
    let foreign = publish("lingate/1/acme/gw-other/d/x");
    assert!(foreign.contains("RC:135"), "not authorized (0x87 = 135) was expected: {foreign}");
}
