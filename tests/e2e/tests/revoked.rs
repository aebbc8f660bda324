//! A gateway that the sandbox revoked. Run by `.ci/run`: `cargo test -p lingate-e2e --test revoked -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::fs;

use lingate_e2e::{Mosquitto, PATIENCE, Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::KeyChange;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mosquitto: .ci/run"]
async fn a_revoked_gateway_is_shut_out_of_mosquitto_with_all_its_certificates_and_nobody_else() {
    let plant = Plant::start([DeviceSpec::new("load-1", Kind::Numbered(20), Mode::SelfDescribing)]).await.unwrap();
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let mut mosquitto = Mosquitto::start(&rig.authority).await.unwrap();
    let labels = Labels { every: "100ms", equipment: Some("acme/lingang/load-1"), ..Labels::new("ds-extr-07") };
    let devices = plant.devices()[0].toml(&labels);
    rig.enroll(&Settings { broker_port: mosquitto.port, devices, flush: "{ age = \"200ms\" }", commit: "50ms" })
        .unwrap();
    let receiver = rig.receiver(mosquitto.port).unwrap();
    let daemon = rig.start(&[]).unwrap();
    let link = || daemon.health.status().map(|status| status["link"].clone()).unwrap_or_default();
    let is_up = || link()["up"] == true;
    wait_for("a link", PATIENCE, is_up).await.unwrap();

    // One more certificate for the same key: the old one is as good until its end, and must be revoked with it.
    let first = fs::read_to_string(rig.path().join("gateway.pem")).unwrap();
    let second = rig.authority.renew_certificate("gw-e2e").unwrap().chain_pem;
    rig.authority.revoke_gateway("gw-e2e", "stolen").unwrap();
    let connects = receiver.link().connects;
    mosquitto.stop().unwrap();
    mosquitto.start_again().await.unwrap();
    wait_for("the receiver is back", PATIENCE, || receiver.link().connects > connects).await.unwrap();
    for certificate in [first, second] {
        fs::write(rig.path().join("gateway.pem.new"), certificate).unwrap();
        fs::rename(rig.path().join("gateway.pem.new"), rig.path().join("gateway.pem")).unwrap();
        let is_told =
            |link: &Value| link["up"] == false && link["reason"].as_str().is_some_and(|it| it.contains("revoked"));
        let told = wait_for("it is refused, and told why", PATIENCE, || is_told(&link())).await;
        assert!(told.is_ok(), "{}: {}", link(), rig.log().unwrap());
    }

    // With a new signing key it is another gateway of the same name.
    fs::remove_file(rig.path().join("state/identity/signing.pk8")).unwrap();
    fs::remove_file(rig.path().join("gateway.key")).unwrap();
    daemon.terminate().unwrap();
    assert!(daemon.wait().unwrap().success());
    let enrolled = rig.lingate(&["enroll", "--config", "lingate.toml", "--output", "anew.json"]).unwrap();
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    let request = fs::read(rig.path().join("anew.json")).unwrap();
    let issued = rig.authority.issue(&request, KeyChange::Accept).unwrap();
    fs::write(rig.path().join("gateway.pem"), &issued.chain_pem).unwrap();
    fs::write(rig.path().join("state/inbox/anew.json"), &issued.bundle).unwrap();
    mosquitto.stop().unwrap();
    mosquitto.start_again().await.unwrap();
    let daemon = rig.start(&[]).unwrap();
    let is_up = || daemon.health.status().is_ok_and(|status| status["link"]["up"] == true);
    let up = wait_for("a link with the new certificate", PATIENCE, is_up).await;
    assert!(up.is_ok(), "{}", rig.log().unwrap());
    receiver.stop().await.unwrap();
}
