use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use lingate_audit::Report;
use lingate_model::Clock;
use serde_json::json;

use crate::cli::audit::verified;
use crate::cli::exit::{Code, Failed};
use crate::clock::SystemClock;
use crate::lineage::{DatasetLineage, EpochLineage, Lineage, Reader};
use crate::policy::basis::{Basis, Sources};
use crate::policy::{Measured, Policy};

#[derive(Subcommand)]
pub(crate) enum LineageCommand {
    /// Device, address, steps and policy of every point, and every epoch of the audit log with policy, bundle, software and
    /// counts. Exit code 0, 65 if something contradicts, 69 if the log is not proven. From a value onwards, whoever
    /// received it asks `lingate-sandbox lineage`
    Show(Show),
}

#[derive(Args)]
pub(crate) struct Show {
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only this one
    #[arg(long, value_name = "ID")]
    dataset: Option<String>,
    /// Only this epoch
    #[arg(long, value_name = "KID")]
    epoch: Option<String>,
    /// Newest epochs of each dataset
    #[arg(long, value_name = "EPOCHS", default_value_t = 10)]
    last: usize,
    /// For programs
    #[arg(long)]
    json: bool,
}

impl LineageCommand {
    pub(crate) fn run(&self) -> Result<ExitCode, Failed> {
        let LineageCommand::Show(show) = self;
        show.run()
    }
}

impl Show {
    fn run(&self) -> Result<ExitCode, Failed> {
        let now = SystemClock::start().now().utc;
        let sources = Sources { config: self.config.clone(), ..Sources::default() };
        let basis = Basis::find(&sources, now, now)?;
        let state = basis.plan.state_dir.clone();
        let policy = Policy::of(&basis, &Measured::default());
        let last = if self.epoch.is_some() { usize::MAX } else { self.last };
        let mut reader = Reader::new(&policy, &state, last);
        let (report, trust) = verified(&state, &mut |line| reader.take(line))?;
        let lineage = self.chosen(reader.finish())?;
        match self.json {
            true => println!("{:#}", json!({"lineage": lineage, "log": log(&report, &trust)})),
            false => print!("{}", in_words(&lineage, &report, &trust)),
        }
        let is_sound = report.is_sound() && lineage.epochs().all(|epoch| epoch.checks.holds());
        Ok(match (is_sound, report.is_proven()) {
            (false, _) => ExitCode::from(Code::Data as u8),
            (true, false) => ExitCode::from(Code::Unavailable as u8),
            (true, true) => ExitCode::SUCCESS,
        })
    }

    fn chosen(&self, mut lineage: Lineage) -> Result<Lineage, Failed> {
        let names: Vec<String> = lineage.datasets.iter().map(|dataset| dataset.dataset.clone()).collect();
        lineage.datasets.retain(|dataset| self.dataset.as_ref().is_none_or(|id| *id == dataset.dataset));
        if lineage.datasets.is_empty() {
            let what = format!("there is no such dataset in {}; there are {}", self.config.display(), names.join(", "));
            return Err(Failed::new(Code::Usage, what));
        }
        let Some(kid) = &self.epoch else { return Ok(lineage) };
        lineage.datasets.iter_mut().for_each(|dataset| dataset.newest.retain(|epoch| epoch.kid == *kid));
        lineage.datasets.retain(|dataset| !dataset.newest.is_empty());
        match lineage.datasets.is_empty() {
            true => Err(Failed::new(Code::Usage, format!("the audit log names no epoch {kid:?} of these datasets"))),
            false => Ok(lineage),
        }
    }
}

fn log(report: &Report, trust: &str) -> serde_json::Value {
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    json!({"origin": report.origin, "lines": report.size, "proven": report.is_proven(), "unproven": report.unproven,
        "findings": findings, "keys": trust})
}

fn in_words(lineage: &Lineage, report: &Report, trust: &str) -> String {
    let mut text: String = lineage.datasets.iter().map(dataset).collect();
    let state = match (report.is_sound(), report.is_proven()) {
        (false, _) => "WRONG: see lingate audit verify",
        (true, false) => "sound, not proven: see lingate audit verify",
        (true, true) => "proven",
    };
    text += &format!("log       {} of {} lines: {state}\nkeys      {trust}\n", report.origin, report.size);
    text
}

fn dataset(of: &DatasetLineage) -> String {
    let mut text = format!("dataset   {}\npolicy    {} (computed from the configuration)\n", of.dataset, of.policy);
    for point in &of.points {
        let steps: String = point.steps.iter().map(|step| format!(", {}", step.in_words().en)).collect();
        text += &format!(
            "  point   {}: {} {} {}, {}\n          M1, M2 class {}{steps}\n",
            point.name,
            point.driver,
            point.address,
            point.source,
            point.equipment,
            point.class.as_deref().unwrap_or("none: denied")
        );
    }
    text += &format!("epochs    {}, of which the newest {}\n", of.epochs, of.newest.len());
    of.newest.iter().for_each(|it| text += &epoch(it));
    text + "\n"
}

fn epoch(epoch: &EpochLineage) -> String {
    let checks = epoch.checks;
    let loaded = match checks.policy_was_loaded {
        Some(true) => ", as loaded",
        Some(false) => ", NOT the one that was loaded",
        None => "",
    };
    let points = match checks.policy_is_this_configurations {
        true => "the points above",
        false => "another than this configuration's",
    };
    let bundle = match checks.bundle_is_kept {
        Some(true) => "its copy in inbox/accepted has this hash",
        Some(false) => "its copy in inbox/accepted is ANOTHER",
        None => "its copy is not kept",
    };
    let closed = epoch.closed.as_ref().map_or_else(|| "open".to_owned(), |at| format!("closed {at}"));
    format!(
        "  epoch   {} opened {}, {closed}\n          sealed {} records, {} readings; {} records acknowledged; for {}\n          \
         purpose {}, class {}\n          policy {}{loaded}: {points}\n          bundle {} {}: {bundle}\n          catalogue {}\n          \
         lineage {}\n          software {}\n          configuration {}\n",
        epoch.kid,
        epoch.opened,
        epoch.records,
        epoch.readings,
        epoch.acknowledged,
        epoch.recipients.join(", "),
        epoch.purpose,
        epoch.class,
        epoch.policy,
        epoch.bundle,
        epoch.bundle_sha256.as_deref().unwrap_or("accepted before this log"),
        epoch.catalogue,
        epoch.lineage,
        epoch.software,
        epoch.configuration,
    )
}
