//! Help for shells and for readers of manuals, made from the definition of the command line, so that it cannot be old.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use crate::cli::exit::Failed;

pub(super) fn completions(mut command: Command, shell: Shell) -> Result<ExitCode, Failed> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "lingate", &mut text);
    print(&text)
}

/// One page for each command; without a folder: the first page, for `lingate man | man -l -`.
pub(super) fn man(command: Command, folder: Option<&Path>) -> Result<ExitCode, Failed> {
    let Some(folder) = folder else {
        let mut text = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut text)
            .map_err(|error| Failed::io("write", Path::new("-"), &error))?;
        return print(&text);
    };
    fs::create_dir_all(folder).map_err(|error| Failed::io("create", folder, &error))?;
    clap_mangen::generate_to(command, folder).map_err(|error| Failed::io("write into", folder, &error))?;
    Ok(ExitCode::SUCCESS)
}

/// Whoever closed the pipe has read enough.
fn print(text: &[u8]) -> Result<ExitCode, Failed> {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failed::io("write", Path::new("standard output"), &error))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
