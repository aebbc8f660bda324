//! A large backlog and the real binary that drains it to mosquitto: how soon it publishes, what memory it takes, how fast
//! it drains, how old live data gets meanwhile, and whether the space comes back. Prints one line of JSON.
//!
//! The backlog goes through the gateway's own buffer: DATA messages of the right form and size that nobody can open.

#![allow(clippy::disallowed_methods, reason = "a measurement is made on the real clock")]

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use lingate_buffer::{Buffer, RealDisk, Settings as BufferSettings};
use lingate_e2e::{Daemon, Mosquitto, ROLE, Rig, Settings, Surroundings, record_of};
use lingate_model::{DatasetAlias, Priority, UtcMicros};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, PlantDevice};
use serde_json::{Value, json};

const FIRST_PUBLISH_MS: u128 = 2_000;
const RSS_MIB: f64 = 64.0;
const DRAIN_PER_S: f64 = 500_000.0;
const LIVE_AGE_S: f64 = 5.0;
/// How old live data gets is shown by so many batches of it and no fewer.
const LIVE_BATCHES: f64 = 24.0;
/// As its configuration says: a hundred points each 100 ms.
const LIVE_PER_S: f64 = 1_000.0;

/// How the gateway gets rid of what piled up on its disk.
#[derive(Parser)]
#[command(name = "backlog")]
struct Arguments {
    #[arg(long, default_value_t = 10.0)]
    gib: f64,
    /// Of one record: 1,000 readings of a slow process take about 8 KiB
    #[arg(long, default_value_t = 8_192)]
    record_bytes: usize,
    #[arg(long, default_value_t = 1_000)]
    readings: u32,
    /// How old a batch of live data may get before it is sealed: a short drain shows more of short ones
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(20..=10_000))]
    batch_ms: u64,
    /// Only tells how long things took: a machine that is busy may be slow. Memory and space that are missed fail all the same
    #[arg(long)]
    measure_only: bool,
}

fn main() -> ExitCode {
    if std::env::var_os(ROLE).is_some() {
        return lingate::cli::main();
    }
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.context("no runtime").and_then(|runtime| runtime.block_on(drain(&arguments))) {
        Ok(missed) if missed.is_empty() => ExitCode::SUCCESS,
        Ok(missed) => {
            eprintln!("backlog: {}", missed.join("; "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("backlog: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn drain(arguments: &Arguments) -> Result<Vec<String>> {
    let binary = std::env::current_exe()?.display().to_string();
    let spec = DeviceSpec::new("load-1", Kind::Numbered(100), Mode::SelfDescribing);
    let device = PlantDevice::start_at(spec, (Ipv4Addr::LOCALHOST, 0).into()).await?;
    let mut rig = Rig::new_in(&binary, Surroundings { buffer: "64GiB", ..Surroundings::default() })?;
    let mut mosquitto = Mosquitto::start(&rig.authority).await?;
    let labels = Labels { every: "100ms", equipment: Some("acme/lingang/load-1"), ..Labels::new("ds-extr-07") };
    let devices = device.toml(&labels);
    let flush = format!("{{ age = \"{}ms\" }}\norder = \"live-first\"", arguments.batch_ms);
    rig.enroll(&Settings { broker_port: mosquitto.port, devices, flush: flush.leak(), commit: "200ms" })?;
    let buffer = rig.path().join("state/buffer");
    mosquitto.stop()?;
    ensure!(rig.start(&["--once", "2"])?.wait()?.success(), "the first run failed:\n{}", rig.log()?);
    let (records, seconds) = pile_up(&buffer, arguments)?;
    let disk_bytes = bytes_below(&buffer)?;
    eprintln!("backlog: {records} records, {disk_bytes} bytes on disk, written in {seconds:.0} s");
    mosquitto.start_again().await?;
    let mut reader = somebody_reads(&rig, mosquitto.port)?;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let batch = Duration::from_millis(arguments.batch_ms);
    let seen = watch(&rig, batch).await;
    reader.kill()?;
    reader.wait()?;
    let seen = seen?;
    let left = bytes_below(&buffer)?;
    let readings = records as f64 * f64::from(arguments.readings);
    let per_s = readings / seen.drained.as_secs_f64();
    let rss = seen.peak_kib as f64 / 1024.0;
    println!(
        "{}",
        json!({
            "backlog_bytes": disk_bytes, "records": records, "readings": readings,
            "first_publish_ms": seen.first_publish.as_millis(), "peak_rss_mib": round(rss),
            "drained_s": round(seen.drained.as_secs_f64()), "drained_readings_per_s": per_s.round(),
            "drained_mib_per_s": round(disk_bytes as f64 / 1_048_576.0 / seen.drained.as_secs_f64()),
            "cpu_s_gateway": round(seen.cpu_s),
            "live_age_s_worst": seen.live_age_worst.map(round), "live_age_s_median": seen.live_age_median.map(round),
            "live_batches": seen.live_batches,
            "drained_to_live": round(per_s / LIVE_PER_S),
            "left_on_disk_bytes": left, "left_of_backlog": left as f64 / disk_bytes as f64,
        })
    );
    let of_time = [
        (seen.first_publish.as_millis() > FIRST_PUBLISH_MS, "the first publish came late"),
        (per_s < DRAIN_PER_S, "it drained too slowly"),
        (seen.live_age_worst.is_some_and(|age| age > LIVE_AGE_S), "live data got too old"),
        (
            seen.live_batches < LIVE_BATCHES,
            "it drained before live data could get old: give it more, or shorter batches",
        ),
    ];
    let left_max = (disk_bytes / 2).min(100 << 20);
    let figures = [(rss > RSS_MIB, "it took too much memory"), (left > left_max, "the space did not come back")];
    let of_time = of_time.into_iter().filter(|_| !arguments.measure_only);
    Ok(figures
        .into_iter()
        .chain(of_time)
        .filter(|(is_missed, _)| *is_missed)
        .map(|(_, what)| what.to_owned())
        .collect())
}

/// What nobody subscribes to counts as not delivered.
fn somebody_reads(rig: &Rig, port: u16) -> Result<Child> {
    let at = |name: &str| rig.authority.folder().join(name);
    let mut reader = Command::new("mosquitto_sub");
    reader.args(["-V", "5", "-q", "0", "-h", "localhost", "-p", &port.to_string(), "-t", "lingate/1/#", "-F", "%l"]);
    reader.arg("--cafile").arg(at("ca.pem")).arg("--cert").arg(at("receiver.pem"));
    reader.arg("--key").arg(at("receiver.key")).stdout(Stdio::null());
    reader.spawn().context("mosquitto_sub cannot be started; .ci/run installs it")
}

/// Behind what the first run left. Gives records and seconds.
fn pile_up(folder: &Path, arguments: &Arguments) -> Result<(u64, f64)> {
    let started = Instant::now();
    let (mut buffer, _) = Buffer::open(RealDisk::open(folder)?, BufferSettings::new(64 << 30))?;
    let alias: DatasetAlias = match buffer.next(Priority::Normal)? {
        Some((_, sealed)) => sealed.alias().clone(),
        None => anyhow::bail!("the first run left nothing on disk"),
    };
    let bytes = (arguments.gib * 1024.0 * 1024.0 * 1024.0) as u64;
    let (mut records, mut written) = (0, 0);
    while written < bytes {
        let sealed = record_of(&alias, records, arguments.record_bytes, arguments.readings);
        written += sealed.bytes().len() as u64;
        buffer.append(Priority::Normal, &sealed)?;
        records += 1;
        if records % 128 == 0 {
            buffer.commit(UtcMicros(records as i64))?;
        }
    }
    buffer.close(UtcMicros(records as i64))?;
    Ok((records, started.elapsed().as_secs_f64()))
}

struct Seen {
    first_publish: Duration,
    drained: Duration,
    peak_kib: u64,
    cpu_s: f64,
    /// `None`: it had drained before any live data could be expected.
    live_age_worst: Option<f64>,
    live_age_median: Option<f64>,
    /// Sealed while the age was looked at.
    live_batches: f64,
}

async fn watch(rig: &Rig, batch: Duration) -> Result<Seen> {
    let started = Instant::now();
    // Reading and sealing take their first seconds.
    let warm = Duration::from_millis(500) + 4 * batch;
    let mut daemon = rig.start(&[])?;
    let first_publish = loop {
        if daemon.health.status().is_ok_and(|status| number(&status, "/link/published_bytes") > 0.0) {
            break started.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        ensure!(!daemon.has_ended()?, "the gateway ended:\n{}", rig.log()?);
    };
    let mut ages = Vec::new();
    let mut told_at = Instant::now();
    let drained = loop {
        tokio::time::sleep(batch.min(Duration::from_millis(200))).await;
        let status = daemon.health.status()?;
        if started.elapsed() > warm {
            let age = status.pointer("/datasets/0/newest_acknowledged_age_seconds").and_then(Value::as_f64);
            ages.push(age.unwrap_or_else(|| started.elapsed().as_secs_f64()));
        }
        let waiting = number(&status, "/buffer/records_waiting");
        if told_at.elapsed() > Duration::from_secs(20) {
            told_at = Instant::now();
            eprintln!("backlog: {waiting} records wait, live data {:?} s old", ages.last());
        }
        // What is read meanwhile waits for its own commit and acknowledgement.
        if waiting < 20.0 {
            break started.elapsed();
        }
    };
    let load = daemon.load()?;
    daemon.terminate()?;
    finish(daemon)?;
    ages.sort_by(f64::total_cmp);
    Ok(Seen {
        first_publish,
        drained,
        peak_kib: load.peak_kib,
        cpu_s: load.cpu_seconds,
        live_age_worst: ages.last().copied(),
        live_age_median: ages.get(ages.len() / 2).copied(),
        live_batches: (drained.saturating_sub(warm).as_secs_f64() / batch.as_secs_f64()).floor(),
    })
}

fn finish(daemon: Daemon) -> Result<()> {
    let ended = daemon.wait()?;
    ensure!(ended.success(), "the gateway ended with {ended}");
    Ok(())
}

fn number(status: &Value, place: &str) -> f64 {
    status.pointer(place).and_then(Value::as_f64).unwrap_or(0.0)
}

fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        bytes += if path.is_dir() { bytes_below(&path)? } else { fs::metadata(&path)?.len() };
    }
    Ok(bytes)
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
