use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::prepare::Refused;

/// sysexits(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Usage = 64,
    /// What was named does not verify: a bundle, an audit log, a buffer.
    Data = 65,
    Unavailable = 69,
    Internal = 70,
    Io = 74,
    Permission = 77,
    Configuration = 78,
}

/// A message for a person, and the exit code that goes with it.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Failed {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Failed {
        Failed { code, message: message.into() }
    }

    /// A file or directory that could not be used.
    pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> Failed {
        let code = match error.kind() {
            io::ErrorKind::PermissionDenied => Code::Permission,
            _ => Code::Io,
        };
        Failed::new(code, format!("cannot {doing} {}: {error}", path.display()))
    }

    pub(crate) fn refused(config: &Path, refused: &Refused) -> Failed {
        match refused {
            Refused::Unreadable(error) => {
                let todo = match error.kind() {
                    io::ErrorKind::NotFound => "; `lingate sample` writes one to begin with",
                    io::ErrorKind::PermissionDenied => {
                        "; run this as root or as the service's user: runuser -u lingate -- lingate ..."
                    }
                    _ => "",
                };
                let what = format!("the configuration {} cannot be read: {error}{todo}", config.display());
                Failed::new(Code::Configuration, what)
            }
            Refused::Away(problems) => Failed::new(Code::Unavailable, problems.to_string()),
            Refused::Problems(problems) => Failed::new(Code::Configuration, problems.to_string()),
        }
    }

    pub(crate) fn tell(&self) -> ExitCode {
        let separator = if self.message.starts_with("error: ") { "" } else { "error: " };
        eprintln!("{separator}{}", self.message);
        ExitCode::from(self.code as u8)
    }
}

/// Never over a file that somebody named by mistake.
pub(crate) fn is_free(file: &Path, force: bool) -> Result<(), Failed> {
    if !force && fs::symlink_metadata(file).is_ok() {
        return Err(Failed::new(Code::Io, format!("{} is there already; --force replaces it", file.display())));
    }
    Ok(())
}

/// Help and version are no failures.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.use_stderr() {
        true => ExitCode::from(Code::Usage as u8),
        false => ExitCode::SUCCESS,
    }
}
