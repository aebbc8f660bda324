//! Other people's programs.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// `Err` with what the program said.
pub(crate) fn run(words: &[&str]) -> Result<String> {
    let (program, words) = words.split_first().context("a program")?;
    let output = Command::new(program).args(words).output().with_context(|| format!("{program} cannot be started"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure!(output.status.success(), "{program} {}: {said}", words.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Why this machine does not let us do what only root may; `None` if it does.
pub(crate) fn forbids_root() -> Option<String> {
    match run(&["id", "-u"]) {
        Ok(id) if id.trim() == "0" => None,
        _ => Some("it needs root".to_owned()),
    }
}

/// Runs `words` when it is dropped.
pub(crate) struct AtEnd(pub(crate) Vec<String>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        let words: Vec<&str> = self.0.iter().map(String::as_str).collect();
        if let Err(error) = run(&words) {
            eprintln!("faults: {error:#}");
        }
    }
}
