use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use lingate_model::{Clock, UtcMicros};
use serde_json::json;

use crate::cli::exit::{Code, Failed, is_free};
use crate::clock::SystemClock;
use crate::grid::Manner;
use crate::language::Shown;
use crate::policy::basis::{Basis, Sources};
use crate::policy::difference::Difference;
use crate::policy::page::page;
use crate::policy::table::table;
use crate::policy::{Measured, Policy};

#[derive(Args)]
pub(crate) struct Plan {
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Another bundle than the one in force; verified with the sandbox's root keys like every bundle
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// As if there were no bundle: what the plant's file alone allows
    #[arg(long, conflicts_with = "bundle")]
    no_bundle: bool,
    /// The sandbox's root file, if it is not in the state directory; must have the configured fingerprint
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// A page to print and to sign, in English and Chinese; needs nothing beside itself
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Replaces the page if it is there
    #[arg(long, requires = "html")]
    force: bool,
    /// For programs
    #[arg(long)]
    json: bool,
    /// What differs from this configuration; what newly leaves comes first
    #[arg(long, value_name = "OTHER")]
    against: Option<PathBuf>,
    /// What differs from this bundle
    #[arg(long, value_name = "FILE")]
    against_bundle: Option<PathBuf>,
    /// End with 0 if nothing differs, 1 if only less leaves, 2 if more leaves or it leaves to more
    #[arg(long)]
    exit_code: bool,
    /// Typical figures from `lingate preview --json`
    #[arg(long, value_name = "FILE")]
    measured: Option<PathBuf>,
    /// As it will be at this moment: 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<jiff::Timestamp>,
    /// Of the table, and what the page shows first
    #[arg(long, value_name = "en|zh|both", default_value = "en")]
    language: Shown,
}

impl Plan {
    pub(crate) fn run(self) -> Result<ExitCode, Failed> {
        if self.exit_code && self.against.is_none() && self.against_bundle.is_none() {
            let what = "--exit-code tells of a difference: give --against or --against-bundle as well";
            return Err(Failed::new(Code::Usage, what));
        }
        let now = SystemClock::start().now().utc;
        let measured = self.measured.as_deref().map_or(Ok(Measured::default()), read_measured)?;
        let policy = Policy::of(&self.basis(&self.config, self.bundle.as_deref(), now)?, &measured);
        let mut difference = self.other(now, &measured)?.map(|other| Difference::between(&other, &policy));
        if let (Some(difference), Some(against)) = (&mut difference, &self.against) {
            difference.add_written(&read(against)?, &read(&self.config)?);
        }
        if let Some(file) = &self.html {
            write(file, &page(&policy, difference.as_ref(), self.language), self.force)?;
            eprintln!("{} is written: open it in a browser, print it, sign it", file.display());
        }
        match self.json {
            true => println!("{:#}", json!({ "policy": policy, "difference": difference })),
            false if self.html.is_some() => {}
            false => print!("{}", table(&policy, difference.as_ref(), self.language.language(), Manner::of_output())),
        }
        let code = difference.filter(|_| self.exit_code).map_or(0, |difference| difference.exit_code());
        Ok(ExitCode::from(code))
    }

    fn basis(&self, config: &Path, bundle: Option<&Path>, now: UtcMicros) -> Result<Basis, Failed> {
        let utc = self.at.map_or(now, |at| UtcMicros(at.as_microsecond()));
        let sources =
            Sources { config: config.to_owned(), bundle: bundle.map(Path::to_owned), root: self.root.clone() };
        let basis = Basis::find(&sources, now, utc)?;
        Ok(if self.no_bundle { basis.without_bundle() } else { basis })
    }

    /// What it is compared with: the parts that are not named are the same.
    fn other(&self, now: UtcMicros, measured: &Measured) -> Result<Option<Policy>, Failed> {
        if self.against.is_none() && self.against_bundle.is_none() {
            return Ok(None);
        }
        let config = self.against.as_deref().unwrap_or(&self.config);
        let bundle = self.against_bundle.as_deref().or(self.bundle.as_deref());
        Ok(Some(Policy::of(&self.basis(config, bundle, now)?, measured)))
    }
}

fn read_measured(file: &Path) -> Result<Measured, Failed> {
    let bytes = fs::read(file).map_err(|error| Failed::io("read", file, &error))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let what = format!("{} is not what `lingate preview --json` writes: {error}", file.display());
        Failed::new(Code::Usage, what)
    })
}

fn read(file: &Path) -> Result<String, Failed> {
    fs::read_to_string(file).map_err(|error| Failed::io("read", file, &error))
}

fn write(file: &Path, text: &str, force: bool) -> Result<(), Failed> {
    is_free(file, force)?;
    let failed = |error: io::Error| Failed::io("write", file, &error);
    fs::write(file, text).map_err(failed)
}
