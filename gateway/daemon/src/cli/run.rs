use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use lingate_config::HealthListen;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::exit::{Code, Failed};
use crate::journal;
use crate::run::Failure;

pub(crate) fn run(config: &Path, once: Option<u64>) -> Result<ExitCode, Failed> {
    log();
    match crate::run::run(config, once.map(Duration::from_secs)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(failure) => Err(failed(config, &failure)),
    }
}

/// To the journal with its fields, where standard error leads there, else to standard error: `RUST_LOG`, or everything
/// from info on.
fn log() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("info,{},{}", crate::link::QUIET, lingate_drivers::opcua::QUIET)));
    let journal = journal::layer();
    let text = journal.is_none().then(|| {
        let has_colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(has_colour)
    });
    // A second call in one process (tests, the demo) keeps the first logger.
    let _ = tracing_subscriber::registry().with(filter).with(journal).with(text).try_init();
}

fn failed(config: &Path, failure: &Failure) -> Failed {
    match failure {
        Failure::Refused(refused) => Failed::refused(config, refused),
        Failure::Buffer(what) => {
            let todo = "check that the disk has space, that the directory belongs to the user who runs lingate, and that no \
                        other lingate uses it";
            Failed::new(Code::Io, format!("the buffer cannot be opened: {what}; {todo}"))
        }
        Failure::Newer(what) => {
            let todo = "nothing was changed. Install that version again, or let it deliver everything and move the folder \
                        aside";
            Failed::new(Code::Configuration, format!("the buffer cannot be opened: {what}; {todo}"))
        }
        Failure::Pseudonyms(why) => Failed::new(Code::Permission, why.clone()),
        Failure::Health { address, error } => Failed::new(Code::Unavailable, no_door(address, error)),
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

fn no_door(listen: &HealthListen, error: &io::Error) -> String {
    let (address, hint) = match listen {
        HealthListen::Tcp(address) => (
            address.to_string(),
            "is another lingate running, or does another program use the port? `ss -ltnp` shows which",
        ),
        HealthListen::Unix(path) => {
            (path.display().to_string(), "the directory must be there, and lingate's user may write to it")
        }
    };
    format!("the health endpoint cannot listen on {address} (health.listen): {error}; {hint}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_as_the_configuration_does() {
        let listen = HealthListen::Tcp("127.0.0.1:9273".parse().unwrap());
        let told = no_door(&listen, &io::ErrorKind::AddrInUse.into());
        assert!(told.contains(" 127.0.0.1:9273 (health.listen): ") && told.contains("`ss -ltnp`"), "{told}");
    }
}
