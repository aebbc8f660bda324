//! A real Prometheus scrapes the real binary, and knows every metric that the alert rules and the dashboard name. Needs
//! `prometheus` and `promtool`: run by `.ci/run`.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lingate_e2e::{Health, Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::Broker;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Prometheus"]
async fn prometheus_scrapes_every_metric_that_rules_and_dashboard_name() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/monitoring");
    promtool(&rules, &["check", "rules", "alerts.yml"], "");
    promtool(&rules, &["test", "rules", "alerts.test.yml"], "");

    let plant = Plant::start([DeviceSpec::new("load-1", Kind::Numbered(20), Mode::SelfDescribing)]).await.unwrap();
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let labels = Labels { every: "100ms", equipment: Some("acme/lingang/load-1"), ..Labels::new("ds-extr-07") };
    let devices = plant.devices()[0].toml(&labels);
    let flush = "{ readings = 20, age = \"200ms\" }";
    rig.enroll(&Settings { broker_port: broker.address().port(), devices, flush, commit: "50ms" }).unwrap();
    let receiver = rig.receiver(broker.address().port()).unwrap();
    let daemon = rig.start(&[]).unwrap();
    let has_autonomy =
        || daemon.health.get("/metrics").is_ok_and(|page| page.contains("\nlingate_buffer_autonomy_seconds "));
    wait_for("the last metric that appears", PATIENCE, has_autonomy).await.unwrap();
    let page = daemon.health.get("/metrics").unwrap();
    promtool(rig.path(), &["check", "metrics"], page.split_once("\r\n\r\n").unwrap().1);

    let prometheus = Prometheus::start(rig.path(), daemon.health.address().unwrap());
    let scraped =
        || prometheus.ask("query?query=up").is_some_and(|answer| answer["data"]["result"][0]["value"][1] == "1");
    wait_for("a scrape", PATIENCE, scraped).await.unwrap();
    let known = prometheus.ask("label/__name__/values").unwrap();
    let known: BTreeSet<&str> = known["data"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let said = ["alerts.yml", "dashboard.json"].map(|file| fs::read_to_string(rules.join(file)).unwrap()).concat();
    let named: BTreeSet<&str> = metrics(&said).collect();
    // What a Modbus device without loss does not have.
    let absent = ["lingate_device_protected", "lingate_lost_readings_total"];
    let unknown: Vec<_> = named.difference(&known).filter(|name| !absent.contains(name)).collect();
    assert!(unknown.is_empty() && named.len() > 20, "{unknown:?} of {} are not scraped", named.len());
    println!("{} metrics scraped, {} of them named by rules and dashboard", known.len(), named.len());
    receiver.stop().await.unwrap();
}

fn metrics(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("lingate_"))
}

fn promtool(folder: &Path, arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

struct Prometheus {
    child: Child,
    api: Health,
}

impl Prometheus {
    fn start(folder: &Path, target: SocketAddr) -> Prometheus {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let file: PathBuf = folder.join("prometheus.yml");
        let scrape = "scrape_configs:\n  - job_name: lingate\n    scrape_interval: 1s\n    static_configs:\n";
        fs::write(&file, format!("{scrape}      - targets: [\"{target}\"]\n")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Prometheus { child, api: Health::Tcp(address) }
    }

    fn ask(&self, what: &str) -> Option<Value> {
        let answer = self.api.get(&format!("/api/v1/{what}")).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        // A long answer comes in chunks (RFC 9112, 7.1), of which each begins with its length.
        serde_json::from_str(body).ok().or_else(|| serde_json::from_str(&unchunked(body)?).ok())
    }
}

fn unchunked(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(whole);
        }
        whole += rest.get(..length)?;
        body = rest.get(length + 2..)?;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
