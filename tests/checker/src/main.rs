//! `checker FOLDER`: judges a run from what it left behind, and prints the verdict as one line of JSON.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use lingate_checker::{Evidence, RUN_FILE, judge};

/// Judges a run: FOLDER holds run.json, gateway.log and received.sqlite, as the tests, the soak and the faults write them.
#[derive(Parser)]
#[command(name = "checker")]
struct Arguments {
    folder: PathBuf,
    /// Another gateway log than FOLDER/gateway.log
    #[arg(long)]
    log: Option<PathBuf>,
    /// Another store than FOLDER/received.sqlite
    #[arg(long)]
    store: Option<PathBuf>,
    /// Fewer accepted records that arrived than this show nothing; the run's own number if it is not given
    #[arg(long)]
    least_records: Option<u64>,
    /// Fewer injected faults than this show nothing
    #[arg(long)]
    least_faults: Option<u64>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("checker: {error:#}; a run's folder holds {RUN_FILE}, gateway.log and received.sqlite");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    let folder = &arguments.folder;
    let mut evidence = match (&arguments.log, &arguments.store) {
        (None, None) => Evidence::read(folder)?,
        (log, store) => {
            let at = |name: &str, other: &Option<PathBuf>| other.clone().unwrap_or_else(|| folder.join(name));
            let notes: Evidence = serde_json::from_slice(&std::fs::read(folder.join(RUN_FILE))?)?;
            notes.with(&at("gateway.log", log), &at("received.sqlite", store))?
        }
    };
    let least = &mut evidence.least;
    least.records = arguments.least_records.unwrap_or(least.records);
    least.faults = arguments.least_faults.unwrap_or(least.faults);
    let verdict = judge(&evidence);
    println!("{}", verdict.to_json());
    Ok(verdict.holds())
}
