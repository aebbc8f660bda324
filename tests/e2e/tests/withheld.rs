//! Rights that end and vetoes of the plant, in the real binary: sealing stops closed, what waits is destroyed where that was
//! ordered, everything that does not arrive is declared, and bundles come over the broker. Run by `.ci/run`, because it takes a minute:
//! `cargo test -p lingate-e2e --test withheld -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::fs;

use lingate_e2e::{Daemon, Hunt, Line, PATIENCE, contents_below, utc_us, wait_for};
use lingate_sandbox::{DatasetReport, Issued, Message, ReceiverHandle, publish_bundles, publish_messages};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_lingate-e2e-gateway");
/// A batch's age, a commit and the wait for a status are shorter than this, in microseconds.
const SLACK_US: i64 = 1_500_000;

fn is_in_force(version: u64) -> impl Fn(&Value) -> bool {
    move |status| status["bundle"]["version"] == version && status["datasets"][0]["denied"].is_null()
}

fn is_denied(why: &str) -> impl Fn(&Value) -> bool {
    move |status| status["datasets"][0]["denied"].as_str().is_some_and(|denied| denied.contains(why))
}

fn lost(daemon: &Daemon, cause: &str) -> u64 {
    daemon.health.status().unwrap()["lost"][cause].as_u64().unwrap_or(0)
}

fn ask(line: &Line, words: &[&str]) -> String {
    let asked = line.rig.lingate(&[words, &["--config", "lingate.toml"]].concat()).unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    String::from_utf8_lossy(&asked.stdout).into_owned()
}

async fn is_declared(receiver: &ReceiverHandle, cause: &str, readings: u64) {
    let declared = || receiver.report().unwrap().datasets[0].gap_readings.get(cause).copied().unwrap_or(0);
    let seen = wait_for("the declaration of what was lost", PATIENCE, || declared() >= readings).await;
    assert!(seen.is_ok() && readings > 0, "{cause}: {} of {readings} declared", declared());
}

async fn backlog(line: &Line, daemon: &Daemon) {
    let waits = |status: &Value| status["buffer"]["records_waiting"].as_u64() > Some(20);
    line.until(daemon, "a backlog", waits).await.unwrap();
}

fn gap(report: &DatasetReport, cause: &str) -> u64 {
    report.gap_readings.get(cause).copied().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: .ci/run"]
async fn a_veto_while_it_runs_or_stands_destroys_what_waits_and_all_of_it_is_declared() {
    let mut line = Line::new(BINARY, "broker").await.unwrap();
    let receiver = line.receiver().unwrap();
    let mut daemon = line.rig.start(&[]).unwrap();
    line.delivers(&daemon, 20).await.unwrap();
    let mut destroyed = 0;
    for veto in [&["--dataset", "ds-extr-07"][..], &["--recipient", "role:oem-quality"], &["--everything"]] {
        line.broker.stop().await;
        let away = |status: &Value| status["link"]["up"] == false;
        line.until(&daemon, "the link is down", away).await.unwrap();
        let from = utc_us();
        backlog(&line, &daemon).await;
        let is_offline = veto == ["--everything"];
        if is_offline {
            daemon.terminate().unwrap();
            assert!(daemon.wait().unwrap().success(), "{}", line.tail());
            ask(&line, &[&["veto", "add"], veto].concat());
            assert!(ask(&line, &["veto", "list"]).contains("not yet destroyed"));
            daemon = line.rig.start(&[]).unwrap();
        } else {
            destroyed = lost(&daemon, "purge");
            ask(&line, &[&["veto", "add"], veto].concat());
        }
        line.until(&daemon, "nothing is sealed", is_denied("veto")).await.unwrap();
        let is_done = || ask(&line, &["veto", "list"]).contains("what waited of it: destroyed");
        wait_for("what waited is destroyed", PATIENCE, is_done).await.unwrap();
        let withheld = lost(&daemon, "withheld");
        line.until(&daemon, "readings are withheld", |status| {
            status["lost"]["withheld"].as_u64() > Some(withheld + 100)
        })
        .await
        .unwrap();
        line.broker.start_again().await.unwrap();
        line.until(&daemon, "the link is up", |status| status["link"]["up"] == true).await.unwrap();
        let until = utc_us();
        ask(&line, &[&["veto", "remove"], veto].concat());
        line.delivers(&daemon, 20).await.unwrap();
        assert_eq!(line.opened_between(from + SLACK_US, until).unwrap(), 0, "{veto:?}: something of it arrived");
        let now = lost(&daemon, "purge");
        assert!(now > destroyed || is_offline, "{veto:?}: nothing that waited was destroyed");
        is_declared(&receiver, "purge", now).await;
        is_declared(&receiver, "withheld", lost(&daemon, "withheld")).await;
    }
    let report = line.end(daemon, &receiver).await.unwrap();
    assert!(report.declared_records > 60, "three backlogs: {report:?}");
    receiver.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: .ci/run"]
async fn a_purge_destroys_what_waits_while_reading_goes_on_and_the_receiver_hears_of_it() {
    let mut line = Line::new(BINARY, "broker").await.unwrap();
    let receiver = line.receiver().unwrap();
    let daemon = line.rig.start(&[]).unwrap();
    line.delivers(&daemon, 20).await.unwrap();
    line.broker.stop().await;
    line.until(&daemon, "the link is down", |status| status["link"]["up"] == false).await.unwrap();
    let from = utc_us();
    backlog(&line, &daemon).await;
    let until = utc_us();
    ask(&line, &["purge", "--dataset", "ds-extr-07"]);
    line.until(&daemon, "it is destroyed", |status| status["lost"]["purge"].as_u64() > Some(0)).await.unwrap();
    let destroyed = lost(&daemon, "purge");
    line.broker.start_again().await.unwrap();
    line.delivers(&daemon, 20).await.unwrap();
    assert_eq!(line.opened_between(from + SLACK_US, until).unwrap(), 0, "something of it arrived");
    let went_on = || line.opened_between(until + SLACK_US, i64::MAX).unwrap() > 0;
    wait_for("what was read since then is opened", PATIENCE, went_on).await.unwrap();
    is_declared(&receiver, "purge", destroyed).await;
    let report = line.end(daemon, &receiver).await.unwrap();
    assert_eq!(gap(&report, "purge"), destroyed);
    assert_eq!(fs::read_dir(line.rig.path().join("state/veto")).unwrap().count(), 0, "the order was carried out");
    receiver.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: .ci/run"]
async fn when_its_bundle_ends_nothing_is_sealed_nothing_lies_plain_and_the_loss_is_declared() {
    let mut line = Line::new(BINARY, "broker").await.unwrap();
    let receiver = line.receiver().unwrap();
    let daemon = line.rig.start(&[]).unwrap();
    line.delivers(&daemon, 20).await.unwrap();
    let policy = line.rig.authority.folder().join("policy.toml");
    let usual = fs::read_to_string(&policy).unwrap();
    let ends = utc_us() / 1_000_000 + 12;
    let until = format!("[bundle]\nvalid_until = \"{}\"", jiff::Timestamp::from_second(ends).unwrap());
    fs::write(&policy, usual.replacen("[bundle]", &until, 1)).unwrap();
    let issued = line.rig.authority.renew().unwrap();
    let version = line.drop_bundle(&issued).unwrap();
    line.until(&daemon, "a bundle that ends soon", is_in_force(version)).await.unwrap();
    line.delivers(&daemon, 5).await.unwrap();
    line.until(&daemon, "its end", is_denied("expired")).await.unwrap();
    line.until(&daemon, "readings are withheld", |status| status["lost"]["policy"].as_u64() > Some(1_000))
        .await
        .unwrap();
    let waiting = daemon.health.status().unwrap()["buffer"]["records_waiting"].as_u64().unwrap();
    assert!(waiting <= 2, "{waiting} records: nothing is sealed any more");
    let hunt = Hunt::for_values_of(&Line::spec(), line.plant.devices()[0].served().polls());
    let places = contents_below(&line.rig.path().join("state")).unwrap();
    for (place, content) in &places {
        assert_eq!(hunt.find(content), None, "{place} holds it in the clear");
    }
    assert!(places.len() > 5 && hunt.canaries() > 1_000, "too little was searched");

    fs::write(&policy, usual).unwrap();
    let from = utc_us();
    let issued = line.rig.authority.renew().unwrap();
    let version = line.drop_bundle(&issued).unwrap();
    line.until(&daemon, "its successor", is_in_force(version)).await.unwrap();
    line.delivers(&daemon, 20).await.unwrap();
    assert_eq!(line.opened_between(ends * 1_000_000, from).unwrap(), 0, "something was sealed after the end");
    let withheld = lost(&daemon, "policy");
    is_declared(&receiver, "policy-expired", withheld).await;
    let report = line.end(daemon, &receiver).await.unwrap();
    assert_eq!(gap(&report, "policy-expired"), withheld);
    receiver.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: .ci/run"]
async fn a_bundle_by_the_retained_topic_is_in_force_within_a_minute_without_restart_or_loss() {
    let mut line = Line::new(BINARY, "broker").await.unwrap();
    let receiver = line.receiver().unwrap();
    let mut daemon = line.rig.start(&[]).unwrap();
    line.delivers(&daemon, 20).await.unwrap();
    let recipients = |daemon: &Daemon| daemon.health.status().unwrap()["datasets"][0]["recipients"].as_u64();
    assert_eq!(recipients(&daemon), Some(1));

    let issued = line.rig.authority.rotate_role("role:oem-quality", 7).unwrap();
    let mut forged = issued[0].bundle.clone();
    let at = forged.len() / 2;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    let message = Message { topic: issued[0].topic(), payload: forged, retained: true };
    publish_messages(&line.rig.authority, &line.address(), vec![message]).await.unwrap();
    let rejected = line.rig.path().join("state/inbox/rejected");
    let is_kept = || fs::read_dir(&rejected).is_ok_and(|entries| entries.count() >= 2);
    wait_for("the forged one is refused, and its reason kept", PATIENCE, is_kept).await.unwrap();
    assert_eq!(daemon.health.status().unwrap()["bundle"]["version"], 1);
    let told = |status: &Value| status["bundle_refused"]["reason"].is_string();
    line.until(&daemon, "the refusal in /status", told).await.unwrap();

    // `until` waits a minute and no longer.
    publish_bundles(&line.rig.authority, &line.address(), &issued).await.unwrap();
    line.until(&daemon, "the bundle of the topic", is_in_force(issued[0].bundle_version)).await.unwrap();
    line.until(&daemon, "no word of the refusal", |status| status["bundle_refused"].is_null()).await.unwrap();
    assert_eq!(recipients(&daemon), Some(2), "old and new key, for the overlap");
    line.delivers(&daemon, 20).await.unwrap();
    assert!(!daemon.has_ended().unwrap(), "it was restarted by nobody");

    // The next one comes while it is away.
    daemon.terminate().unwrap();
    assert!(daemon.wait().unwrap().success(), "{}", line.tail());
    let issued: Vec<Issued> = line.rig.authority.renew().unwrap();
    publish_bundles(&line.rig.authority, &line.address(), &issued).await.unwrap();
    let daemon = line.rig.start(&[]).unwrap();
    line.until(&daemon, "what was retained", is_in_force(issued[0].bundle_version)).await.unwrap();
    line.delivers(&daemon, 20).await.unwrap();
    let report = line.end(daemon, &receiver).await.unwrap();
    // A busy machine may be late for a poll.
    let is_busy = report.gap_readings.keys().all(|cause| cause == "overload");
    assert!(report.epochs >= 4 && is_busy && report.declared_records == 0, "{report:?}");
    receiver.stop().await.unwrap();
}
