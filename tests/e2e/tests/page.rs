//! The health page in a real browser, with the real binary behind it, in the states that a person meets. Needs Chromium
//! and Playwright: run by `.ci/run`.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use lingate_e2e::{Daemon, Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::Broker;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const PHONE: u32 = 390;
const DESK: u32 = 1200;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and Playwright"]
async fn the_page_answers_first_in_every_state_and_both_languages() {
    let plant = Plant::start([DeviceSpec::new("load-1", Kind::Numbered(20), Mode::SelfDescribing)]).await.unwrap();
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    shorten(&rig, "valid_days = 90", "valid_days = 6");
    // Small enough to fill within a day at this rate.
    rig.surroundings.buffer = "64MiB";
    let mut broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let labels = Labels { every: "100ms", equipment: Some("acme/lingang/load-1"), ..Labels::new("ds-extr-07") };
    let devices = plant.devices()[0].toml(&labels);
    let flush = "{ readings = 20, age = \"200ms\" }";
    rig.enroll(&Settings { broker_port: broker.address().port(), devices, flush, commit: "50ms" }).unwrap();
    let daemon = rig.start(&[]).unwrap();
    let status = |path: &str| daemon.health.status().ok().and_then(|status| status.pointer(path).cloned());
    let arrives = || status("/newest_acknowledged_age_seconds").is_some_and(|age| age.as_f64().is_some());
    wait_for("data", PATIENCE, arrives).await.unwrap();

    // Everything is well, but the bundle ends within a week.
    let good = look(&daemon, "good-en", "en", DESK, "light", 20);
    assert_eq!((&good["light"], &good["lang"]), (&"good".into(), &"en".into()), "{good}");
    assert!(words(&good, "headline").starts_with("Data is arriving at the sandbox"), "{good}");
    assert!(words(&good, "advice").contains("bundle ends soon ("), "{good}");
    for part in ["role:oem-quality", "urn:lingate:purpose:remote-quality", "load-1", "remote-quality"] {
        assert!(words(&good, "text").contains(part), "{part}: {good}");
    }
    let chinese = look(&daemon, "good-zh", "zh", PHONE, "dark", 0);
    assert!(words(&chinese, "headline").starts_with("数据正在到达沙箱"), "{chinese}");
    assert_eq!(english_words(&words(&chinese, "text")), Vec::<String>::new(), "{chinese}");
    assert!(words(&chinese, "advice").contains("沙箱授权包即将到期"), "{chinese}");

    broker.stop().await;
    wait_for("the loss of the link", PATIENCE, || status("/link/up") == Some(false.into())).await.unwrap();
    let kept = || status("/buffer/records_waiting").is_some_and(|records| records.as_u64() > Some(5));
    wait_for("records that wait", PATIENCE, kept).await.unwrap();
    let down = look(&daemon, "broker-down-en", "en", PHONE, "light", 0);
    assert_eq!(down["light"], "bad", "{down}");
    assert!(
        words(&down, "headline").contains("Kept on disk: ") && words(&down, "advice").contains("Nothing has to be"),
        "{down}"
    );
    let down = look(&daemon, "broker-down-zh", "zh", DESK, "light", 0);
    assert!(words(&down, "headline").starts_with("沙箱没有收到数据"), "{down}");
    let lasts = || status("/buffer/autonomy_hours").and_then(|it| it.as_f64()).is_some_and(|hours| hours < 24.0);
    wait_for("a buffer that fills", PATIENCE, lasts).await.unwrap();
    let filling = look(&daemon, "buffer-filling-en", "en", DESK, "dark", 0);
    let (headline, advice) = (words(&filling, "headline"), words(&filling, "advice"));
    assert!(headline.contains(" % full and lasts ") && advice.contains("The buffer is full in about "), "{filling}");
    let filling = look(&daemon, "buffer-filling-zh", "zh", PHONE, "light", 0);
    assert!(words(&filling, "headline").contains("还能保存"), "{filling}");
    broker.start_again().await.unwrap();

    plant.devices()[0].stop().await;
    let away = || status("/devices/0/state") == Some("backing-off".into());
    wait_for("the loss of the device", PATIENCE, away).await.unwrap();
    wait_for("the link again", PATIENCE, || status("/link/up") == Some(true.into())).await.unwrap();
    let away = look(&daemon, "device-down-zh", "zh", DESK, "dark", 0);
    assert!(
        words(&away, "headline").contains("设备 load-1") && words(&away, "advice").contains("lingate probe"),
        "{away}"
    );
}

/// Runs of three words in Latin letters: names and numbers are not, a sentence that nobody translated is.
fn english_words(text: &str) -> Vec<String> {
    let is_word = |word: &&str| word.len() > 1 && word.chars().all(|letter| letter.is_ascii_lowercase());
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let runs = lines.flat_map(|words| words.windows(3).map(<[&str]>::to_vec).collect::<Vec<_>>());
    runs.filter(|run| run.iter().all(is_word)).map(|run| run.join(" ")).collect()
}

fn shorten(rig: &Rig, from: &str, to: &str) {
    let policy = rig.authority.folder().join("policy.toml");
    let text = fs::read_to_string(&policy).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(policy, text.replace(from, to)).unwrap();
}

/// What a browser of this width shows, with what must hold of every page; the picture is kept in `LINGATE_PICTURES`.
fn look(daemon: &Daemon, name: &str, language: &str, width: u32, scheme: &str, live_within_seconds: u32) -> Value {
    let peers = PathBuf::from(std::env::var_os("LINGATE_PEERS").expect("LINGATE_PEERS: the folder of the peers"));
    let pictures = std::env::var_os("LINGATE_PICTURES").map_or_else(|| peers.join("pictures"), PathBuf::from);
    fs::create_dir_all(&pictures).unwrap();
    let url = format!("http://{}/?lang={language}", daemon.health.address().unwrap());
    let [width, seconds] = [width, live_within_seconds].map(|number| number.to_string());
    let picture = pictures.join(format!("{name}.png"));
    let output = Command::new("node")
        .args([peers.join("node/page.js").as_os_str(), url.as_ref(), picture.as_os_str()])
        .args([&width, scheme, &seconds])
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&seen["complaints"], &seen["foreign"]),
        (&Value::Array(vec![]), &Value::Array(vec![])),
        "{name}: {seen}"
    );
    assert_eq!(
        (&seen["spills"], &seen["stale"], &seen["unnamed"]),
        (&false.into(), &false.into(), &0.into()),
        "{name}: {seen}"
    );
    assert_eq!(seen["violations"], Value::Array(vec![]), "{name}: what axe-core finds: {seen}");
    let start = |text: &str| text.chars().take(12).collect::<String>();
    assert_eq!(start(&words(&seen["plain"], "headline")), start(&words(&seen, "headline")), "{name}: without script");
    for part in ["flow", "devices"] {
        assert!(words(&seen["plain"], part).len() > 40, "{name}: {part} without script: {seen}");
    }
    assert!(
        seen["checks"].as_u64().is_some_and(|checks| checks > 15),
        "{name}: axe-core looked at hardly anything: {seen}"
    );
    let reached = seen["reached"].as_array().unwrap();
    assert!(reached.len() >= 6, "{name}: the keyboard reaches the other language, two tables and three links: {seen}");
    for part in reached {
        assert!(part["shown"] == true && part["name"] != "", "{name}: what has the focus shows it: {part}");
    }
    assert_eq!(seen["focus"], "A", "{name}: the first thing that the keyboard reaches is the other language");
    seen
}

fn words(seen: &Value, part: &str) -> String {
    match &seen[part] {
        Value::String(text) => text.clone(),
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
        other => panic!("{part}: {other}"),
    }
}
