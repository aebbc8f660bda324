use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::exit::Failed;

pub(crate) fn schema() -> Result<ExitCode, Failed> {
    let mut text = format!("{:#}", lingate_config::schema());
    text.push('\n');
    match io::stdout().write_all(text.as_bytes()) {
        // Whoever reads only the first lines has them.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failed::io("write to", Path::new("standard output"), &error))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
