use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use lingate_sandbox::{ContextFilter, ContextRow, Store};

#[derive(Args)]
pub(crate) struct ReportArgs {
    /// sqlite:FILE or postgres://USER@HOST/DATABASE
    #[arg(long)]
    store: String,
    #[arg(long)]
    json: bool,
    /// Instead, what was read in this batch, phase, lot, recipe or state: batch=4711
    #[arg(long, value_name = "KIND=VALUE")]
    context: Option<ContextFilter>,
}

pub(crate) fn report(args: &ReportArgs) -> Result<()> {
    let store = existing(&args.store)?;
    if let Some(filter) = &args.context {
        return context(&store, filter, args.json);
    }
    let report = store.report()?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

fn context(store: &Store, filter: &ContextFilter, json: bool) -> Result<()> {
    let rows = store.in_context(filter)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    if rows.is_empty() {
        println!("nothing was read in {filter}");
        return Ok(());
    }
    let time =
        |micros| Timestamp::from_microsecond(micros).map_or_else(|_| micros.to_string(), |time| time.to_string());
    println!("{filter}: {} points, {} readings", rows.len(), rows.iter().map(|row| row.readings).sum::<u64>());
    for ContextRow { dataset, gateway, equipment, point, readings, from_us, to_us } in &rows {
        let (from, to) = (time(*from_us), time(*to_us));
        println!("  {point}: {readings} from {from} to {to} ({dataset} of {gateway}, {equipment})");
    }
    Ok(())
}

/// Asking a file that is not there would make it.
pub(super) fn existing(address: &str) -> Result<Store> {
    if let Some(file) = address.strip_prefix("sqlite:")
        && !Path::new(file).is_file()
    {
        bail!("{file:?} is not an existing store");
    }
    Ok(Store::open(address)?)
}
