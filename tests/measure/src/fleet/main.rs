//! `fleet`: many gateways through mosquitto into receivers of one group on PostgreSQL; one receiver is killed meanwhile.
//! A gateway is here what matters to the other side: engine, sealing, a buffer on disk, its own keys, certificate and MQTT
//! connection. All of them live in one process; broker, receivers and database are processes of their own.

#![allow(clippy::disallowed_methods, reason = "a measurement is made on the real clock")]

mod database;
mod figures;
mod gateway;
mod link;
mod stage;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use figures::{Figures, Produced};
use gateway::{Gateway, Pace};
use stage::Stage;

/// Set in a process that is to be a receiver.
const ROLE: &str = "LINGATE_FLEET_ROLE";
/// How long what is on its way may take after the last reading.
const PATIENCE: Duration = Duration::from_secs(240);

/// Many gateways, one broker, a group of receivers
#[derive(Parser, Clone)]
#[command(name = "fleet")]
struct Arguments {
    #[arg(long, default_value_t = 1_000)]
    gateways: u32,
    #[arg(long, default_value_t = 3)]
    receivers: u32,
    /// Of reading, after all gateways are connected
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Of each gateway
    #[arg(long, default_value_t = 10)]
    points: u32,
    #[arg(long, default_value_t = 2_000)]
    every_ms: u64,
    /// A batch is closed at this age, unless it has 500 readings before
    #[arg(long, default_value_t = 10_000)]
    flush_ms: u64,
    /// No receiver is killed
    #[arg(long)]
    spare: bool,
    /// Where the gateways keep their buffers. One disk under so many gateways is a limit that a real fleet does not have
    #[arg(long, default_value = "/dev/shm")]
    buffers: std::path::PathBuf,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime");
    let done = runtime.and_then(|runtime| match std::env::var(ROLE) {
        Ok(receiver) => runtime.block_on(stage::receive(&receiver)).map(|()| Vec::new()),
        Err(_) => runtime.block_on(measure(&Arguments::parse())),
    });
    match done {
        Ok(complaints) if complaints.is_empty() => ExitCode::SUCCESS,
        Ok(complaints) => {
            eprintln!("fleet: {}", complaints.join("; "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("fleet: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn measure(arguments: &Arguments) -> Result<Vec<String>> {
    ensure_room(arguments.gateways)?;
    let mut stage = Stage::start(arguments.receivers).await?;
    let began = Instant::now();
    let pace = Pace { points: arguments.points, every_ms: arguments.every_ms, flush_ms: arguments.flush_ms };
    let gateways = (0..arguments.gateways).map(|number| Gateway::new(&mut stage.authority, number, pace));
    let gateways = gateways.collect::<Result<Vec<_>>>()?;
    let enrolled = began.elapsed();
    stage.receive_all()?;
    let database = stage.database.connect().await?;
    database.until("the receivers to subscribe", "SELECT count(*) FROM subscribed", arguments.receivers.into()).await?;
    eprintln!("fleet: {} gateways enrolled in {:.1} s", gateways.len(), enrolled.as_secs_f64());

    let began = Instant::now();
    let buffers = tempfile::Builder::new().prefix("lingate-fleet-").tempdir_in(&arguments.buffers);
    let buffers = Arc::new(buffers.context("no folder for the buffers: --buffers names another")?);
    let (told, phase) = watch::channel(gateway::Phase::Connect);
    let connected = Arc::new(tokio::sync::Semaphore::new(0));
    let mut running = JoinSet::new();
    for gateway in gateways {
        running.spawn(gateway.run(stage.port, buffers.clone(), phase.clone(), connected.clone()));
    }
    let all = tokio::time::timeout(PATIENCE, connected.acquire_many(arguments.gateways)).await;
    all.context("not all gateways came in")??.forget();
    let came_in = began.elapsed();
    eprintln!("fleet: all connected in {:.1} s", came_in.as_secs_f64());

    let before = stage.usage();
    let started = Instant::now();
    told.send(gateway::Phase::Read)?;
    let first = Duration::from_secs(arguments.seconds) / 2;
    tokio::time::sleep(first).await;
    if !arguments.spare {
        stage.kill_one().await?;
    }
    tokio::time::sleep(Duration::from_secs(arguments.seconds) - first).await;
    told.send(gateway::Phase::Finish)?;
    let mut produced = Produced::default();
    while let Some(gateway) = running.join_next().await {
        produced.add(&gateway??);
    }
    let sent = started.elapsed();
    database.until("everything in the store", figures::READINGS, i64::try_from(produced.readings)?).await?;
    let (stored, after) = (started.elapsed(), stage.usage());
    let figures = Figures::ask(&database, &stage, &produced).await?;
    let readings = produced.readings as f64;
    println!(
        "{}",
        json!({
            "gateways": arguments.gateways, "receivers": arguments.receivers, "seconds": arguments.seconds,
            "receivers_killed": u8::from(!arguments.spare),
            "enrol_per_s": round(f64::from(arguments.gateways) / enrolled.as_secs_f64()),
            "connect_s": round(came_in.as_secs_f64()),
            "connects_per_s": round(f64::from(arguments.gateways) / came_in.as_secs_f64()),
            "readings": produced.readings, "records": produced.records, "bytes": figures.bytes,
            "readings_per_s": round(readings / arguments.seconds as f64),
            "records_per_s": round(produced.records as f64 / stored.as_secs_f64()),
            "sent_s": round(sent.as_secs_f64()), "stored_s": round(stored.as_secs_f64()),
            "delay_p50_s": figures.delay_s[0], "delay_p99_s": figures.delay_s[1],
            "lost": figures.lost, "twice": figures.twice, "holes": figures.holes, "alarms": figures.alarms,
            "rejected": figures.rejected, "came_twice": figures.came_twice,
            "cpu_s": after.since(&before, readings), "broker_peak_mib": after.broker_peak_mib,
        })
    );
    Ok(figures.complaints(arguments))
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Such as a file descriptor for each gateway.
fn ensure_room(gateways: u32) -> Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let open = limits.lines().find(|line| line.starts_with("Max open files")).context("no limit of open files")?;
    let limit: u64 = open.split_whitespace().nth(3).map_or(0, |soft| soft.parse().unwrap_or(u64::MAX));
    let needed = u64::from(gateways) * 8 + 256;
    ensure!(limit >= needed, "{gateways} gateways need {needed} open files, the limit is {limit}: ulimit -n {needed}");
    Ok(())
}
