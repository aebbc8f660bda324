//! Keys in a PKCS#11 token: enrolment, sealing and handshake with SoftHSM, and what its loss costs. Run by `.ci/run`, which
//! installs it: `cargo test -p lingate-e2e --test token -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use lingate_e2e::{Mosquitto, Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::{InitOptions, sample_policy};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PATIENCE: Duration = Duration::from_secs(60);

/// A token with a PIN beside it; SoftHSM's tokens are folders.
fn put_token_into(rig: &mut Rig) {
    let (tokens, configuration) = (rig.path().join("tokens"), rig.path().join("softhsm2.conf"));
    fs::create_dir(&tokens).unwrap();
    fs::write(&configuration, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display())).unwrap();
    fs::write(rig.path().join("pin"), "7531\n").unwrap();
    fs::set_permissions(rig.path().join("pin"), fs::Permissions::from_mode(0o600)).unwrap();
    rig.environment.push(("SOFTHSM2_CONF".to_owned(), configuration.display().to_string()));
    let mut init = Command::new("softhsm2-util");
    init.args(["--init-token", "--free", "--label", "plant 1", "--pin", "7531", "--so-pin", "1357"]);
    let done = init.env("SOFTHSM2_CONF", &configuration).output().expect("softhsm2-util; .ci/run installs it");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn uri(rig: &Rig, object: &str) -> String {
    format!(
        "pkcs11:token=plant%201;object={object};type=private?module-path={MODULE}&pin-source=file:{}",
        rig.path().join("pin").display()
    )
}

fn options(suite: u16) -> InitOptions {
    let policy = sample_policy().replace("suites = [1]", &format!("suites = [{suite}]"));
    InitOptions { policy: Some(policy), ..InitOptions::default() }
}

async fn seals_and_connects_with_keys_in_a_token(suite: u16, name: &str) {
    let plant = Plant::start([DeviceSpec::new("load-1", Kind::Numbered(20), Mode::SelfDescribing)]).await.unwrap();
    let mut rig = Rig::with(env!("CARGO_BIN_EXE_lingate-e2e-gateway"), &options(suite)).unwrap();
    put_token_into(&mut rig);
    let mosquitto = Mosquitto::start(&rig.authority).await.unwrap();
    let labels = Labels { every: "100ms", equipment: Some("acme/lingang/load-1"), ..Labels::new("ds-extr-07") };
    let devices = plant.devices()[0].toml(&labels);
    let settings = Settings { broker_port: mosquitto.port, devices, flush: "{ age = \"200ms\" }", commit: "50ms" };
    let (tls, signing) = (uri(&rig, "tls"), uri(&rig, "sign"));
    rig.enroll_changed(&settings, |text| {
        let lines = text.lines().map(|line| match line.starts_with("key = ") {
            true => format!("key = \"{tls}\"\nsigning_key = \"{signing}\"\nsuites = [\"{name}\"]\n"),
            false => format!("{line}\n"),
        });
        lines.collect()
    })
    .unwrap();
    let secrets = |file: &str| rig.path().join(file).exists();
    assert!(!secrets("gateway.key") && !secrets("state/identity/signing.pk8"), "a key lies in a file");

    let receiver = rig.receiver(mosquitto.port).unwrap();
    let daemon = rig.start(&[]).unwrap();
    let dataset = || daemon.health.status().map(|status| status["datasets"][0].clone()).unwrap_or_default();
    let acknowledged = || dataset()["acknowledged_records"].as_u64().unwrap_or(0);
    let delivered = wait_for("records signed by the token", PATIENCE, || acknowledged() > 20).await;
    assert!(delivered.is_ok(), "{}", rig.log().unwrap());

    // The token is pulled out: nothing is sealed, and everybody is told why.
    fs::rename(rig.path().join("tokens"), rig.path().join("pulled")).unwrap();
    fs::create_dir(rig.path().join("tokens")).unwrap();
    let told = || dataset()["denied"].as_str().is_some_and(|why| why.contains("PKCS#11 token \"plant 1\""));
    let seen = wait_for("the loss of the token is told", PATIENCE, told).await;
    assert!(seen.is_ok(), "{}: {}", dataset(), rig.log().unwrap());
    daemon.terminate().unwrap();
    assert!(daemon.wait().unwrap().success(), "it drains without the token: {}", rig.log().unwrap());
    let refused = rig.lingate(&["check", "--config", "lingate.toml"]).unwrap();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    assert!(words.contains("sandbox.signing_key") && words.contains("is it plugged in"), "{words}");
    assert_eq!(refused.status.code(), Some(69), "temporarily unavailable: systemd starts it again");
    let waiting = rig.start(&["--once", "2"]).unwrap();
    wait_for("a start waits for it", PATIENCE, || rig.log().unwrap().contains("waiting for it")).await.unwrap();

    // It comes back: what was accepted is delivered, the readings of the time between are declared lost.
    fs::remove_dir(rig.path().join("tokens")).unwrap();
    fs::rename(rig.path().join("pulled"), rig.path().join("tokens")).unwrap();
    assert!(waiting.wait().unwrap().success(), "{}", rig.log().unwrap());
    let (accepted, ledger) = (rig.accepted().unwrap(), rig.ledger().unwrap());
    let arrived = || accepted.is_subset(&ledger.identities().unwrap());
    wait_for("every accepted record", PATIENCE, arrived).await.unwrap();
    let report = receiver.report().unwrap();
    let holes: u64 = report.datasets.iter().map(|it| it.holes).sum();
    assert!(holes == 0 && report.alarm_count == 0 && accepted.len() > 20, "{report:?}");
    receiver.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SoftHSM and mosquitto: .ci/run"]
async fn with_ed25519_in_a_token_it_enrols_seals_and_connects_and_loses_nothing_with_it() {
    seals_and_connects_with_keys_in_a_token(1, "x25519").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SoftHSM and mosquitto: .ci/run"]
async fn with_p256_in_a_token_it_enrols_seals_and_connects_and_loses_nothing_with_it() {
    seals_and_connects_with_keys_in_a_token(2, "p256").await;
}
