//! `lingate-sandbox`: the authority's and the receiver's commands.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lingate-sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}
