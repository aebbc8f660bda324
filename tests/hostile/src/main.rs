//! Plays the rows of the plan for hostile peers. One line of JSON a row, one a session.

#![allow(clippy::disallowed_methods, reason = "peers and patience need the real clock")]

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use lingate_e2e::ROLE;
use lingate_hostile::{Catalogue, Played, Row, Totals, play_parsed, play_plant, play_uplink, table};
use serde_json::json;

/// Hostile devices, servers, brokers, bundles, configurations and visitors, by script, against the gateway.
#[derive(Parser)]
#[command(name = "hostile")]
struct Arguments {
    /// Only these rows, or groups by their letter; all that are played if none is named
    rows: Vec<String>,
    /// The table of all rows in Markdown, for docs/hostile.md
    #[arg(long)]
    table: bool,
}

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
            eprintln!("hostile: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: &Arguments) -> Result<bool> {
    let catalogue = Catalogue::read()?;
    if arguments.table {
        print!("{}", table(&catalogue));
        return Ok(true);
    }
    let is_row = |name: &String| catalogue.0.iter().any(|row| is_of(row, name));
    if let Some(unknown) = arguments.rows.iter().find(|name| !is_row(name)) {
        bail!("{unknown:?} is no row and no group; tests/hostile/rows has them");
    }
    let is_asked = |row: &Row| arguments.rows.is_empty() || arguments.rows.iter().any(|name| is_of(row, name));
    let binary = std::env::current_exe().context("this program cannot find itself")?.display().to_string();
    let mut all = tell(play_parsed(&catalogue, is_asked)?);
    let mut sessions = Vec::new();
    for (played, totals) in
        [play_plant(&catalogue, &binary, is_asked).await?, play_uplink(&catalogue, &binary, is_asked).await?]
    {
        all.extend(tell(played));
        println!("{}", totals.to_json());
        sessions.push(totals);
    }
    if all.is_empty() {
        bail!("no row of these is played here; docs/hostile.md says which tests hold them");
    }
    Ok(summary(&all, &sessions))
}

fn is_of(row: &Row, name: &str) -> bool {
    row.id.eq_ignore_ascii_case(name) || row.group().to_string().eq_ignore_ascii_case(name)
}

fn tell(played: Vec<Played>) -> Vec<Played> {
    played.iter().for_each(|row| println!("{}", row.to_json()));
    played
}

fn summary(rows: &[Played], sessions: &[Totals]) -> bool {
    let held = rows.iter().filter(|row| row.holds()).count();
    let sum = |of: fn(&Totals) -> u64| sessions.iter().map(of).sum::<u64>();
    let holds = held == rows.len() && sessions.iter().all(Totals::holds);
    println!(
        "{}",
        json!({
            "run": "hostile", "verdict": if holds { "held" } else { "violated" }, "rows_played": rows.len(),
            "rows_held": held, "tricks": rows.iter().map(|row| row.tricks).sum::<u64>(),
            "modbus_frames": sum(|it| it.modbus_frames), "modbus_forbidden": sum(|it| it.modbus_forbidden),
            "opcua_requests": sum(|it| it.opcua_requests), "opcua_forbidden": sum(|it| it.opcua_forbidden),
            "bytes_searched": sum(|it| it.bytes_searched), "canaries_found": sum(|it| it.canaries_found),
            "lost": sum(|it| it.lost), "wrong": sum(|it| it.wrong), "undeclared": sum(|it| it.undeclared),
            "panics": sum(|it| it.panics),
        })
    );
    holds
}
