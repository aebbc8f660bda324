//! `lingate diag`: one file for whoever helps, in which nothing is that must not leave.

mod collect;
mod scrub;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use lingate_model::Clock;
use serde_json::json;

use crate::cli::exit::{Code, Failed};
use crate::cli::progress::Progress;
use crate::cli::told::tell;
use crate::clock::SystemClock;

use collect::Part;
use scrub::Scrubber;

const FOLDER: &str = "lingate-diag";

#[derive(Args)]
pub(crate) struct Diag {
    /// Such as lingate-diag.tar.gz; must not be there yet
    #[arg(value_name = "FILE.tar.gz")]
    output: PathBuf,
    #[arg(long, value_name = "FILE", default_value = "/etc/lingate/lingate.toml")]
    config: PathBuf,
    /// The health endpoint, if the configuration cannot be read: `http://127.0.0.1:9273` or `unix:/run/lingate/health.sock`
    #[arg(long)]
    url: Option<String>,
    /// For programs
    #[arg(long)]
    json: bool,
}

impl Diag {
    pub(crate) fn run(&self) -> Result<ExitCode, Failed> {
        let file = create(&self.output)?;
        let mut progress = Progress::new();
        let parts = collect::all(&self.config, self.url.as_deref(), &mut |doing| progress.say(doing));
        progress.clear();
        let scrubber = Scrubber::of(&self.config);
        let parts: Vec<Part> =
            parts.into_iter().map(|part| Part { text: scrubber.clean(&part.text), ..part }).collect();
        if let Err(error) = pack(file, &parts) {
            let _ = fs::remove_file(&self.output);
            return Err(Failed::io("write", &self.output, &error));
        }
        let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
        let words = format!(
            "{}: {}\nSecrets are removed, process values were never in it; names of devices and points, addresses and \
             paths are. Look through it before you send it: tar -xzf {} -O | less",
            self.output.display(),
            names.join(", "),
            self.output.display()
        );
        tell(self.json, &words, json!({"output": self.output, "parts": names, "removed": scrubber.count()}));
        Ok(ExitCode::SUCCESS)
    }
}

fn create(path: &Path) -> Result<File, Failed> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failed::new(Code::Io, format!("{} exists; move it away or give another name", path.display()))
        }
        _ => Failed::io("create", path, &error),
    })
}

fn pack(file: File, parts: &[Part]) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    let seconds = u64::try_from(SystemClock::start().now().utc.0 / 1_000_000).unwrap_or_default();
    for part in parts {
        let mut header = tar::Header::new_ustar();
        header.set_size(part.text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(seconds);
        archive.append_data(&mut header, format!("{FOLDER}/{}", part.name), part.text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.sync_all()
}
