use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use lingate_sandbox::ContextFilter;

use super::report::existing;

#[derive(Args)]
pub(crate) struct Export {
    /// sqlite:FILE or postgres://USER@HOST/DATABASE
    #[arg(long)]
    store: String,
    /// Parquet file to write; an existing one is replaced
    #[arg(long, value_name = "FILE")]
    parquet: PathBuf,
    /// Only this dataset
    #[arg(long)]
    dataset: Option<String>,
    /// Only what was read in this batch, phase, lot, recipe or state: batch=4711
    #[arg(long, value_name = "KIND=VALUE")]
    r#where: Option<ContextFilter>,
}

pub(crate) fn export(args: &Export) -> Result<()> {
    let file = args.parquet.display().to_string();
    let written = existing(&args.store)?
        .export_parquet(&args.parquet, args.dataset.as_deref(), args.r#where.as_ref())
        .context(file)?;
    println!("{written} readings in {}", args.parquet.display());
    Ok(())
}
