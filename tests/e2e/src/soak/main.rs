//! Accelerated days: a fault every 30 seconds, memory, descriptors and threads watched, everything judged by the checker.
//!
//! `cargo run --release --bin soak -- --minutes 15 --seed 7`. A device that is read once a second in a plant is read
//! fifty times a second here, so a minute stands for most of an hour.

#![allow(clippy::disallowed_methods, reason = "a soak runs on the real clock")]

mod faults;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use lingate_checker::{Least, Outcome, Verdict};
use lingate_e2e::{Growth, Places, ROLE, Sample, Stage, StageLoad, Surroundings};

use crate::faults::{Fault, inject};

/// A gateway under load with a fault every 30 s; its memory, descriptors and threads must stay flat, and the checker
/// judges everything that it delivered.
#[derive(Parser)]
#[command(name = "soak")]
struct Arguments {
    /// How long it runs; the drain at the end comes on top
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: u64,
    /// Decides which faults come, in which order
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds between two faults
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(5..=3_600))]
    fault_every: u64,
    /// Only receipts free a record, and the broker is killed, too
    #[arg(long)]
    receipts: bool,
}

fn main() -> ExitCode {
    if std::env::var_os(ROLE).is_some() {
        return lingate::cli::main();
    }
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.context("no runtime").and_then(|runtime| runtime.block_on(soak(&arguments))) {
        Ok(verdict) => {
            println!("{}", verdict.to_json());
            if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("soak: {error:#}; run it again with --seed {}", arguments.seed);
            ExitCode::from(2)
        }
    }
}

async fn soak(arguments: &Arguments) -> Result<Verdict> {
    let binary = std::env::current_exe().context("this program cannot find itself")?.display().to_string();
    let ack = if arguments.receipts { "receipt" } else { "broker" };
    let surroundings = Surroundings { ack, ..Surroundings::default() };
    let places = Places { surroundings, ..Places::default() };
    let load = StageLoad { points: 100, ..StageLoad::default() };
    let mut stage = Stage::open("soak", &binary, load, places).await?;
    stage.evidence.unaccepted_ms_max = Some(load.flush_ms + load.commit_ms + load.every_ms + 2_000);
    stage.start().await?;
    let (mut growth, started) = (Growth::default(), Instant::now());
    let end = Duration::from_secs(arguments.minutes * 60);
    let (mut dice, mut fault_at) = (arguments.seed, Duration::from_secs(arguments.fault_every));
    let mut sample_at = Duration::ZERO;
    while started.elapsed() < end {
        stage.pause(200).await;
        let now = started.elapsed();
        if now >= sample_at {
            sample_at = now + Duration::from_secs(1);
            growth.add(Sample::of(stage.daemon()?.pid(), now)?);
        }
        if now >= fault_at {
            fault_at = now + Duration::from_secs(arguments.fault_every);
            let fault = Fault::roll(&mut dice);
            eprintln!("soak: {:4} s  {fault:?}, {}", now.as_secs(), growth.last_words());
            let is_new_process = inject(&mut stage, fault, arguments.receipts).await?;
            growth.mark(is_new_process);
        }
    }
    let mut verdict = stage.conclude(Least::default()).await?;
    verdict.note("seed", arguments.seed);
    judge_growth(&growth, &mut verdict);
    Ok(verdict)
}

/// Growth belongs to no invariant of delivery but to the bounds (D9); it fails the run as I11 does: a gateway that grows
/// does not live for ever.
fn judge_growth(growth: &Growth, verdict: &mut Verdict) {
    let found = growth.judge();
    verdict.note("anonymous_slope_kib_per_hour", found.anonymous_kib_per_hour);
    verdict.note("anonymous_kib_last", found.anonymous_kib);
    verdict.note("descriptors_most", found.descriptors);
    verdict.note("threads_most", found.threads);
    verdict.note("growth_measured_s", found.seconds);
    verdict.note("growth_measured_pieces", found.pieces);
    verdict.note("descriptors_more", found.more_descriptors);
    verdict.note("threads_more", found.more_threads);
    if !found.complaints.is_empty() {
        verdict.outcomes.insert(11, Outcome::Violated(found.complaints));
    }
}
