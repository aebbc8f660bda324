use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::cli::exit::{Code, Failed};
use crate::run::Failure;

pub(crate) fn run(config: &Path, once: Option<u64>) -> Result<ExitCode, Failed> {
    log();
    match crate::run::run(config, once.map(Duration::from_secs)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(failure) => Err(failed(config, &failure)),
    }
}

/// To stderr: `RUST_LOG`, or everything from info on.
fn log() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("info,{}", crate::link::QUIET)));
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call in one process (tests, the demo) keeps the first logger.
    let _ = logger.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init();
}

fn failed(config: &Path, failure: &Failure) -> Failed {
    match failure {
        Failure::Refused(refused) => Failed::refused(config, refused),
        Failure::Buffer(what) => Failed::new(Code::Io, format!("the buffer cannot be opened: {what}")),
        Failure::Health { address, error } => Failed::new(
            Code::Unavailable,
            format!(
                "the health endpoint cannot listen on {address}: {error}; is another lingate running, or the port taken?"
            ),
        ),
        Failure::System(error) => Failed::new(Code::Io, format!("the system refuses: {error}")),
        Failure::Heart(words) => Failed::new(
            Code::Internal,
            format!(
                "the engine panicked, which is a defect of lingate: {words}; what is on disk is intact, start again"
            ),
        ),
        Failure::HealthLost(why) => Failed::new(Code::Unavailable, format!("the health endpoint ended: {why}")),
        Failure::NotDrained => Failed::new(
            Code::Io,
            "the last readings could not be put on disk in time; they are lost, and the next start declares it",
        ),
    }
}
