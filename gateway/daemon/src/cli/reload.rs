use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use lingate_model::Clock;

use crate::cli::exit::{Code, Failed};
use crate::clock::SystemClock;
use crate::configuration::{self, copy_path};
use crate::entropy::random_u32;
use crate::prepare::{Mode, Refused, prepare};
use crate::reload::{Outcome, ReloadReport, answer, ask, difference};
use crate::words::plural;

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Takes the files anew without a restart: only devices that changed are touched
#[derive(Args)]
pub(crate) struct Reload {
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    /// For programs: the daemon's answer
    #[arg(long)]
    json: bool,
    /// How long to wait for the daemon's answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

impl Reload {
    /// 0: in force, or nothing differs; 69: no daemon answers; 78: refused, what was in force stays.
    pub(crate) fn run(&self) -> Result<ExitCode, Failed> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let prepared = prepare(&self.config, &clock, Mode::Check).map_err(|refused| self.refused(&refused))?;
        let is_shown = !self.json && self.show_difference(&prepared.plan.state_dir, &prepared.files);
        if self.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
        let report = self.ask(&prepared.plan.state_dir, &*clock)?;
        if self.json {
            println!("{}", serde_json::to_string(&report).expect("texts and numbers"));
        }
        if !self.json {
            report.changes.iter().filter(|_| !is_shown).for_each(|change| println!("{change}"));
        }
        match (report.outcome, self.json) {
            (Outcome::Refused, true) => Ok(ExitCode::from(Code::Configuration as u8)),
            (Outcome::Refused, false) => {
                let why = report.problems.join("\nerror: ");
                Err(Failed::new(Code::Configuration, format!("{why}\nthe daemon refused it; what was in force stays")))
            }
            (_, true) => Ok(ExitCode::SUCCESS),
            (outcome, false) => {
                println!("{}", in_words(outcome, &report));
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    fn refused(&self, refused: &Refused) -> Failed {
        let failed = Failed::refused(&self.config, refused);
        Failed::new(
            failed.code,
            format!("{}\nnothing was asked of the daemon; what was in force stays", failed.message),
        )
    }

    /// `false`: the daemon alone knows what is in force, and tells what differs in its answer.
    fn show_difference(&self, state_dir: &Path, files: &[lingate_config::SourceFile]) -> bool {
        let running = configuration::read(&copy_path(state_dir));
        match &running {
            Err(_) if self.dry_run => println!(
                "the files are good; what differs only the daemon can tell, because no copy is kept (reload.last_good)"
            ),
            Err(_) => {}
            Ok(running) => match difference(running, files) {
                lines if lines.is_empty() => println!("nothing differs from what was in force last"),
                lines => println!("{}", lines.join("\n")),
            },
        }
        running.is_ok()
    }

    fn ask(&self, state_dir: &Path, clock: &dyn Clock) -> Result<ReloadReport, Failed> {
        let nobody = || {
            let what = format!("no lingate runs with {}; try `systemctl status lingate`", state_dir.display());
            Failed::new(Code::Unavailable, what)
        };
        if !is_running(state_dir) {
            return Err(nobody());
        }
        let name = format!("{:08x}{:08x}", random_u32(), random_u32());
        ask(state_dir, &name).map_err(|error| Failed::io("ask for a reload in", state_dir, &error))?;
        // Nobody ever sends: a pause that ends by itself.
        let (_open, never) = std::sync::mpsc::channel::<()>();
        let until = clock.now().monotonic + Duration::from_secs(self.timeout);
        while clock.now().monotonic < until {
            let _ = never.recv_timeout(LOOK_EVERY);
            if let Some(report) = answer(state_dir, &name) {
                return Ok(report);
            }
            if !is_running(state_dir) {
                return Err(nobody());
            }
        }
        let what =
            format!("the daemon did not answer within {} s; `lingate status` shows what is in force", self.timeout);
        Err(Failed::new(Code::Unavailable, what))
    }
}

/// The buffer's lock is held as long as a daemon lives.
fn is_running(state_dir: &Path) -> bool {
    let lock = OpenOptions::new().read(true).open(state_dir.join("buffer").join("LOCK"));
    lock.is_ok_and(|lock| lock.try_lock_shared().is_err())
}

fn in_words(outcome: Outcome, report: &ReloadReport) -> String {
    let sha256: String = report.configuration_sha256.chars().take(12).collect();
    match outcome {
        Outcome::Unchanged => format!("in force already, nothing was touched (sha256 {sha256}...)"),
        _ => {
            let devices = match report.restarted.as_slice() {
                [] => "no device was touched".to_owned(),
                names => format!("{} anew: {}", plural(names.len(), "device"), names.join(", ")),
            };
            format!("in force, {devices} (sha256 {sha256}...)")
        }
    }
}
