//! The daemon, as these tests start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    lingate::cli::main()
}
