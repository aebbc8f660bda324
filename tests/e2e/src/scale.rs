//! `opcua-scale`: one server, many monitored items, the real gateway. Prints one line of JSON.

#![allow(clippy::disallowed_methods, reason = "a measurement is made on the real clock")]

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lingate_e2e::{Load, Rig, Settings};
use lingate_plant::opcua::{Connection, Machine, MachineKind, MachineOptions, MachineSpec, machine_toml};
use lingate_sandbox::Broker;
use serde_json::{Value, json};

const ITEMS: u32 = 20_000;
/// Every item changes once in this time.
const TICK: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    let items = std::env::args().nth(1).map_or(Ok(ITEMS), |count| count.parse()).context("how many items?")?;
    let spec = MachineSpec::new("load-1", MachineKind::Numbered(items)).with_tick(TICK);
    let machine = tokio::task::spawn_blocking(|| Machine::start(spec, MachineOptions::default())).await??;
    let gateway = std::env::current_exe()?.with_file_name("lingate-e2e-gateway");
    let mut rig = Rig::new(&gateway.to_string_lossy())?;
    let broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await?;
    let url = machine.url();
    let wanted = |variable: &lingate_plant::opcua::Variable| variable.name != "n";
    let connection = Connection {
        every: "1s",
        equipment: Some("acme/lingang/load-1"),
        wanted: &wanted,
        ..Connection::new(&url, "ds-extr-07")
    };
    let devices = spread(&machine_toml(machine.spec(), &connection));
    let broker_port = broker.address().port();
    rig.enroll(&Settings { broker_port, devices, flush: "{ readings = 5000, age = \"1s\" }", commit: "200ms" })?;
    let began = Instant::now();
    let daemon = rig.start(&[])?;
    let read = || daemon.health.status().map_or(0, |status| read_of(&status));
    let full = until(began, || machine.items().0 >= u64::from(items) && read() >= u64::from(items)).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (read_before, before, moment) = (read(), daemon.load()?, Instant::now());
    tokio::time::sleep(MEASURED).await;
    let (read_after, after, seconds) = (read(), daemon.load()?, moment.elapsed().as_secs_f64());
    let readings = read_after - read_before;
    ensure!(readings > 0, "nothing was read:\n{}", rig.log()?);
    println!("{}", figures(items, full, readings, seconds, before, after));
    Ok(())
}

fn figures(items: u32, full: Duration, readings: u64, seconds: f64, before: Load, after: Load) -> Value {
    let round = |value: f64| (value * 100.0).round() / 100.0;
    json!({
        "items": items,
        "start_to_full_flow_s": round(full.as_secs_f64()),
        "readings_per_s": round(readings as f64 / seconds),
        "cpu_s_per_million": round((after.cpu_seconds - before.cpu_seconds) * 1e6 / readings as f64),
        "resident_mib": round(after.resident_kib as f64 / 1024.0),
        "peak_mib": round(after.peak_kib as f64 / 1024.0),
    })
}

async fn until(began: Instant, mut is_true: impl FnMut() -> bool) -> Result<Duration> {
    while !is_true() {
        ensure!(began.elapsed() < Duration::from_secs(300), "not within 5 minutes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(began.elapsed())
}

fn read_of(status: &Value) -> u64 {
    let datasets = status["datasets"].as_array().into_iter().flatten();
    datasets.filter_map(|dataset| dataset["read"].as_u64()).sum()
}

/// Over three datasets, because one takes at most 10,000 points.
fn spread(device: &str) -> String {
    const DATASETS: [&str; 3] = ["ds-extr-07", "ds-fab-01", "ds-bio-01"];
    let more = DATASETS[1..].iter().map(|id| {
        format!(
            "[[dataset]]\nid = \"{id}\"\npurpose = \"urn:lingate:purpose:remote-quality\"\nclass = \"general\"\n\
             flush = {{ readings = 5000, age = \"1s\" }}\n\n"
        )
    });
    let points = device.split("[[device.point]]").enumerate();
    let spread = points.map(|(number, point)| point.replace(DATASETS[0], DATASETS[number % 3]));
    more.collect::<String>() + &spread.collect::<Vec<_>>().join("[[device.point]]")
}
