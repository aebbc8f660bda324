use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use lingate_model::UtcMicros;
use lingate_sandbox::{Authority, Evidence, Hop};

use super::report::existing;

#[derive(Args)]
pub(crate) struct Lineage {
    /// sqlite:FILE or postgres://USER@HOST/DATABASE
    #[arg(long)]
    store: String,
    /// The sandbox's folder: its role keys open the record again, its bundles and enrolments are compared
    #[arg(long, value_name = "DIR")]
    sandbox: Option<PathBuf>,
    /// The gateway's program: was it this one that ran?
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    #[arg(long, value_name = "ID", required_unless_present = "documents")]
    dataset: Option<String>,
    /// `device/point`
    #[arg(long, value_name = "NAME", required_unless_present = "documents")]
    point: Option<String>,
    /// The newest value at or before it: `2026-11-23T08:00:00Z` [default: the newest]
    #[arg(long, value_name = "TIME")]
    time: Option<jiff::Timestamp>,
    /// Write the PROV-JSON document of every epoch there, named by its kid
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dataset", "point", "time"])]
    documents: Option<PathBuf>,
}

impl Lineage {
    pub(crate) fn run(&self) -> Result<()> {
        let store = existing(&self.store)?;
        if let Some(folder) = &self.documents {
            std::fs::create_dir_all(folder)?;
            let documents = store.lineages()?;
            for (kid, document) in &documents {
                std::fs::write(folder.join(format!("{kid}.json")), document)?;
            }
            println!("{} documents in {}", documents.len(), folder.display());
            return Ok(());
        }
        let (dataset, point) = (self.dataset.as_deref().unwrap_or_default(), self.point.as_deref().unwrap_or_default());
        let time = self.time.map_or(UtcMicros(i64::MAX), |time| UtcMicros(time.as_microsecond()));
        let authority = self.sandbox.as_deref().map(Authority::open).transpose()?;
        let mut evidence = authority.as_ref().map(Evidence::of).transpose()?.unwrap_or_default();
        if let Some(path) = &self.program {
            evidence = evidence.with_program(path)?;
        }
        let hops = store.lineage(dataset, point, time, &evidence)?;
        let hops = hops.with_context(|| format!("no value of {point:?} in {dataset:?} at or before that time"))?;
        hops.iter().for_each(|hop| print!("{}", in_words(hop)));
        let proven = hops.iter().filter(|hop| hop.holds == Some(true)).count();
        println!("{proven} of {} steps of the way are proven", hops.len());
        match hops.iter().filter(|hop| hop.holds == Some(false)).count() {
            0 => Ok(()),
            broken => bail!("{broken} proof(s) do not hold"),
        }
    }
}

fn in_words(hop: &Hop) -> String {
    let holds = match hop.holds {
        Some(true) => "holds",
        Some(false) => "DOES NOT HOLD",
        None => "not checked here",
    };
    format!("{:<9} {}\n          {holds}: {}\n", hop.what, hop.says, hop.proof)
}
