use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use lingate_model::Clock;

use crate::cli::exit::{Code, Failed};
use crate::clock::SystemClock;
use crate::prepare::{Mode, Refused, last_good, prepare, problems};
use crate::words::plural;

/// All problems at once, with their places.
pub(crate) fn check(config: &Path, start: bool) -> Result<ExitCode, Failed> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let prepared = match prepare(config, &clock, Mode::Check) {
        Err(Refused::Away(problems)) if start => {
            eprintln!("{problems}\n`lingate run` waits for it");
            return Ok(ExitCode::SUCCESS);
        }
        Ok(prepared) => prepared,
        Err(refused) if start && last_good(config).is_some() => {
            eprintln!("{}", Failed::refused(config, &refused).message);
            eprintln!("`lingate run` starts with the last good configuration instead (reload.last_good)");
            return Ok(ExitCode::SUCCESS);
        }
        Err(refused) => return Err(Failed::refused(config, &refused)),
    };
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
