use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;
use lingate_sandbox::Store;

#[derive(Args)]
pub(crate) struct ReportArgs {
    /// sqlite:FILE
    #[arg(long)]
    store: String,
    #[arg(long)]
    json: bool,
}

pub(crate) fn report(args: &ReportArgs) -> Result<()> {
    let file = args.store.strip_prefix("sqlite:").unwrap_or_default();
    if !Path::new(file).is_file() {
        bail!("{:?} is not an existing store: sqlite:FILE is expected", args.store);
    }
    let report = Store::open(&args.store)?.report()?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
