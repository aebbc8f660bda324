use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use lingate_config::Problems;
use lingate_model::Clock;
use serde_json::{Value, json};

use crate::cli::exit::{Code, Failed};
use crate::clock::SystemClock;
use crate::prepare::{Mode, Prepared, Refused, last_good, prepare, problems};
use crate::words::plural;

/// All problems at once, with their places.
pub(crate) fn check(config: &Path, start: bool, json: bool) -> Result<ExitCode, Failed> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    match prepare(config, &clock, Mode::Check) {
        Ok(prepared) if json => Ok(in_json(config, start, &prepared)),
        Ok(prepared) => in_words(config, start, &prepared),
        Err(Refused::Problems(problems)) if json && !(start && last_good(config).is_some()) => {
            println!("{:#}", verdict(config, false, &[], Some(&problems)));
            Ok(ExitCode::from(Code::Configuration as u8))
        }
        Err(Refused::Away(problems)) if start && !json => {
            eprintln!("{problems}\n`lingate run` waits for it");
            Ok(ExitCode::SUCCESS)
        }
        Err(Refused::Away(problems)) if json => {
            println!("{:#}", verdict(config, true, &[], Some(&problems)));
            Ok(ExitCode::from(if start { 0 } else { Code::Unavailable as u8 }))
        }
        Err(refused) if start && last_good(config).is_some() => {
            eprintln!("{}", Failed::refused(config, &refused).message);
            eprintln!("`lingate run` starts with the last good configuration instead (reload.last_good)");
            Ok(ExitCode::SUCCESS)
        }
        Err(refused) => Err(Failed::refused(config, &refused)),
    }
}

fn in_words(config: &Path, start: bool, prepared: &Prepared) -> Result<ExitCode, Failed> {
    prepared.notes.iter().for_each(|note| eprintln!("note: {note}"));
    if !prepared.warnings.is_empty() {
        let problems = problems(&prepared.plan, &prepared.warnings).to_string();
        if !start {
            return Err(Failed::new(Code::Configuration, problems));
        }
        eprintln!("{problems}\nnone of this keeps `lingate run` from starting");
    }
    let (devices, datasets) = (prepared.plan.devices.len(), prepared.plan.export.datasets.len());
    let points = prepared.plan.export.points.len();
    println!(
        "{}: good: {}, {}, {}",
        config.display(),
        plural(devices, "device"),
        plural(points, "point"),
        plural(datasets, "dataset")
    );
    Ok(ExitCode::SUCCESS)
}

fn in_json(config: &Path, start: bool, prepared: &Prepared) -> ExitCode {
    let problems = (!prepared.warnings.is_empty()).then(|| problems(&prepared.plan, &prepared.warnings));
    println!("{:#}", verdict(config, true, &prepared.notes, problems.as_ref()));
    match start || problems.is_none() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(Code::Configuration as u8),
    }
}

/// `starts`: whether `run` would; with problems it may, and seal nothing for what they concern.
fn verdict(config: &Path, starts: bool, notes: &[String], problems: Option<&Problems>) -> Value {
    let found = problems.map_or(&[][..], |problems| &problems.problems);
    let found = found.iter().map(|problem| {
        json!({"file": &*problem.place.file, "line": problem.place.line, "column": problem.place.column, "subject": problem.place.subject,
            "what": problem.what, "hint": problem.hint})
    });
    json!({"config": config.display().to_string(), "good": problems.is_none(), "starts": starts, "notes": notes,
        "problems": found.collect::<Vec<_>>(), "omitted": problems.map_or(0, |problems| problems.omitted)})
}
