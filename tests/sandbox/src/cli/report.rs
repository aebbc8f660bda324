use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;
use lingate_sandbox::Store;

#[derive(Args)]
pub(crate) struct ReportArgs {
    /// sqlite:FILE or postgres://USER@HOST/DATABASE
    #[arg(long)]
    store: String,
    #[arg(long)]
    json: bool,
}

pub(crate) fn report(args: &ReportArgs) -> Result<()> {
    let store = existing(&args.store)?;
    let report = store.report()?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
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
