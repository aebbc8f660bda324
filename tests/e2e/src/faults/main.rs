//! The real binary under real faults, one named row for each, all against mosquitto and each judged by the checker. One
//! line of JSON a row. A row that this machine does not permit is told as skipped, with the reason.

#![allow(clippy::disallowed_methods, reason = "faults happen on the real clock")]

mod broker;
mod clock;
mod disk;
mod network;
mod process;
mod shell;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use lingate_checker::{Least, Verdict};
use lingate_e2e::ROLE;
use serde_json::json;

/// Kills, stalls, full disks, I/O errors, flipped bits, wrong clocks, cut cables, lost packets and brokers that go away.
#[derive(Parser)]
#[command(name = "faults")]
struct Arguments {
    /// Only these rows; all of them if none is named
    rows: Vec<String>,
    /// Each fault so many times as often
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    times: u32,
    /// Fewer accepted records that arrived than this show nothing
    #[arg(long, default_value_t = 500)]
    least_records: u64,
    /// A row that this machine does not permit fails
    #[arg(long)]
    skip_nothing: bool,
    /// The rows and what they do
    #[arg(long)]
    list: bool,
}

/// What a row gets.
pub(crate) struct Stint {
    pub(crate) row: &'static str,
    /// Of this program, which is also the gateway.
    pub(crate) binary: String,
    pub(crate) times: u32,
    pub(crate) least: Least,
}

pub(crate) enum Ending {
    Judged(Box<Verdict>),
    /// Why this machine does not permit it.
    Skipped(String),
}

type Row = fn(Stint) -> Pin<Box<dyn Future<Output = Result<Ending>>>>;

const ROWS: [(&str, &str, Row); 17] = [
    ("kill", "SIGKILL under load, with and without a broker", |it| Box::pin(process::kill(it))),
    ("stop-continue", "SIGSTOP for longer than a device waits", |it| Box::pin(process::stop_and_continue(it))),
    ("descriptors", "no descriptors are left for two seconds", |it| Box::pin(process::no_descriptors(it))),
    ("full-ext4", "a full loop-mounted ext4, and room again", |it| Box::pin(disk::full_ext4(it))),
    ("full-tmpfs", "a full tmpfs, and room again", |it| Box::pin(disk::full_tmpfs(it))),
    ("sync-error", "fdatasync gives EIO", |it| Box::pin(disk::sync_error(it))),
    ("bit-flips", "bits of stored records flip while it is off", |it| Box::pin(disk::bit_flips(it))),
    ("clock-jumps", "the wall clock jumps forth and back", |it| Box::pin(clock::jumps(it))),
    ("beyond-rights", "the wall clock jumps beyond the end of the rights", |it| Box::pin(clock::beyond_the_rights(it))),
    ("starts-in-1970", "it starts in 1970, and the clock is set later", |it| Box::pin(clock::starts_in_1970(it))),
    ("plant-cable", "the cable to the device is cut", |it| Box::pin(network::plant_cable(it))),
    ("broker-cable", "the cable to the broker is cut", |it| Box::pin(network::broker_cable(it))),
    ("packet-loss", "one packet in five is lost, on every cable", |it| Box::pin(network::packet_loss(it))),
    ("broker-restarts", "mosquitto ends and remembers", |it| Box::pin(broker::restarts(it))),
    ("broker-killed", "mosquitto is killed; receipts", |it| Box::pin(broker::killed(it))),
    ("broker-forgets", "mosquitto forgets everything; receipts", |it| Box::pin(broker::forgets(it))),
    ("takeover", "another client comes with the gateway's id", |it| Box::pin(broker::takeover(it))),
];

fn main() -> ExitCode {
    if std::env::var_os(ROLE).is_some() {
        return lingate::cli::main();
    }
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.context("no runtime").and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.list {
        ROWS.iter().for_each(|(name, what, _)| println!("{name:16}{what}"));
        return Ok(true);
    }
    if let Some(unknown) = arguments.rows.iter().find(|row| !ROWS.iter().any(|(name, ..)| name == row)) {
        bail!("{unknown:?} is no row; faults --list shows them");
    }
    let binary = std::env::current_exe().context("this program cannot find itself")?.display().to_string();
    let mut holds = true;
    for (row, _, play) in
        ROWS.iter().filter(|(name, ..)| arguments.rows.is_empty() || arguments.rows.iter().any(|it| it == name))
    {
        let least = Least { records: arguments.least_records, faults: 3 };
        let stint = Stint { row, binary: binary.clone(), times: arguments.times, least };
        holds &= match play(stint).await {
            Ok(Ending::Judged(verdict)) => {
                println!("{}", verdict.to_json());
                verdict.holds()
            }
            Ok(Ending::Skipped(reason)) => {
                eprintln!("faults: {row} was NOT RUN: {reason}");
                println!("{}", json!({"run": row, "verdict": "skipped", "reason": reason}));
                !arguments.skip_nothing
            }
            Err(error) => {
                println!("{}", json!({"run": row, "verdict": "broken", "reason": format!("{error:#}")}));
                false
            }
        };
    }
    Ok(holds)
}
