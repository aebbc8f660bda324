//! The bundle for support, made while data flows, searched for everything that must not be in it.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use lingate_e2e::{Hunt, Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::Broker;

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_for_support_holds_no_secret_and_no_value() {
    let spec = DeviceSpec::new("secret-9", Kind::Numbered(40), Mode::SelfDescribing);
    let plant = Plant::start([spec.clone()]).await.unwrap();
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let labels = Labels { every: "50ms", equipment: Some("acme/lingang/load-1"), ..Labels::new("ds-extr-07") };
    let devices = plant.devices()[0].toml(&labels);
    let flush = "{ age = \"100ms\" }";
    let settings = Settings { broker_port: broker.address().port(), devices, flush, commit: "50ms" };
    rig.enroll_changed(&settings, |text| format!("# canary-comment\n{text}")).unwrap();
    let daemon = rig.start(&[]).unwrap();
    let flows = || plant.devices()[0].served().polls() > 100 && daemon.health.status().is_ok();
    wait_for("data", Duration::from_secs(30), flows).await.unwrap();

    let made = rig.lingate(&["diag", "diag.tar.gz", "--config", "lingate.toml"]).unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let file = rig.path().join("diag.tar.gz");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
    let again = rig.lingate(&["diag", "diag.tar.gz", "--config", "lingate.toml"]).unwrap();
    assert_eq!(again.status.code(), Some(74), "nothing is overwritten");
    let unpacked = Command::new("tar").arg("-xzOf").arg(&file).output().unwrap();
    assert!(unpacked.status.success());
    let text = String::from_utf8(unpacked.stdout).unwrap();

    for part in [
        "\"gw-e2e\"",
        "secret-9",
        "\"segments\"",
        "bundle.accepted",
        "lingate_device_readings_total",
        "X-Wing",
        "signing.pk8",
    ] {
        assert!(text.contains(part), "the bundle lacks {part}: {text}");
    }
    let hunt = Hunt::for_values_of(&spec, plant.devices()[0].served().polls());
    assert!(hunt.canaries() > 2_000, "too little to search for");
    assert_eq!(hunt.find(text.as_bytes()), None, "a process value is in it");
    let mut secrets = vec!["canary-comment".to_owned()];
    let mut keys = vec![rig.path().join("gateway.key")];
    keys.extend(fs::read_dir(rig.path().join("state/identity")).unwrap().map(|entry| entry.unwrap().path()));
    for key in keys {
        match String::from_utf8(fs::read(&key).unwrap()) {
            Ok(pem) => {
                secrets.extend(pem.lines().filter(|line| line.len() > 30 && !line.contains("---")).map(str::to_owned));
            }
            Err(binary) => secrets.push(binary.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }
    assert!(secrets.len() > 3, "{secrets:?}");
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} is in it");
    }
    daemon.terminate().unwrap();
    assert!(daemon.wait().unwrap().success());
}
