//! `lingate selftest`: whether this machine is fit for the work, before anybody relies on it.

mod clock;
mod cpu;
mod cryptography;
mod disk;
mod fence;
mod keys;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::exit::{Code, Failed};
use crate::clock::SystemClock;
use crate::grid::Manner;
use crate::prepare::load;

#[derive(Args)]
pub(crate) struct Selftest {
    /// Finds the state directory in this configuration
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    config: Option<PathBuf>,
    /// The state directory
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug)]
pub(crate) struct Finding {
    area: &'static str,
    grade: Grade,
    /// What was found, with its figure.
    what: String,
    /// What to do.
    hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Good,
    Warning,
    Bad(Code),
}

impl Finding {
    fn good(area: &'static str, what: impl Into<String>) -> Finding {
        Finding { area, grade: Grade::Good, what: what.into(), hint: None }
    }

    fn warning(area: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { area, grade: Grade::Warning, what: what.into(), hint: Some(hint.into()) }
    }

    fn bad(area: &'static str, code: Code, what: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { area, grade: Grade::Bad(code), what: what.into(), hint: Some(hint.into()) }
    }
}

impl Grade {
    fn name(self) -> &'static str {
        match self {
            Grade::Good => "good",
            Grade::Warning => "warning",
            Grade::Bad(_) => "BAD",
        }
    }
}

impl Selftest {
    pub(crate) fn run(self) -> Result<ExitCode, Failed> {
        let state = match &self.config {
            Some(config) => Some(load(config).map_err(|refused| Failed::refused(config, &refused))?.state_dir),
            None => self.state,
        };
        let findings = look(state.as_deref());
        match self.json {
            true => println!("{:#}", in_json(&findings)),
            false => print!("{}", in_words(&findings, state.is_some(), Manner::of_output())),
        }
        Ok(gravest(&findings).map_or(ExitCode::SUCCESS, |code| ExitCode::from(code as u8)))
    }
}

fn look(state: Option<&Path>) -> Vec<Finding> {
    let clock = SystemClock::start();
    let mut findings = vec![cpu::look()];
    findings.extend(cryptography::look(&clock));
    findings.extend(clock::look(&clock));
    findings.extend(fence::look());
    if let Some(state) = state {
        findings.extend(keys::look(state));
        findings.extend(disk::look(state, &clock));
    }
    findings
}

/// What concerns cryptography is worse than what concerns files.
fn gravest(findings: &[Finding]) -> Option<Code> {
    let codes = findings.iter().filter_map(|finding| match finding.grade {
        Grade::Bad(code) => Some(code),
        Grade::Good | Grade::Warning => None,
    });
    let order = [Code::Internal, Code::Permission, Code::Io];
    codes.min_by_key(|code| order.iter().position(|known| known == code).unwrap_or(order.len()))
}

/// For the bundle of `lingate diag`: without the disk's part, which writes.
pub(crate) fn for_support() -> Value {
    in_json(&look(None))
}

fn in_json(findings: &[Finding]) -> Value {
    let one = |finding: &Finding| {
        json!({"area": finding.area, "grade": finding.grade.name().to_lowercase(), "what": finding.what,
            "hint": finding.hint})
    };
    json!({"good": gravest(findings).is_none(), "version": env!("CARGO_PKG_VERSION"),
        "findings": findings.iter().map(one).collect::<Vec<_>>()})
}

fn in_words(findings: &[Finding], has_state: bool, manner: Manner) -> String {
    let mut text = String::new();
    for finding in findings {
        let grade = format!("{:<8}", finding.grade.name());
        let grade = match finding.grade {
            Grade::Good => manner.green(&grade),
            Grade::Warning => manner.bold(&grade),
            Grade::Bad(_) => manner.red(&grade),
        };
        text.push_str(&format!("{grade} {:<13} {}\n", finding.area, finding.what));
        finding.hint.iter().for_each(|hint| text.push_str(&format!("{:>24}{hint}\n", "-> ")));
    }
    let count = |is: fn(&Grade) -> bool| findings.iter().filter(|finding| is(&finding.grade)).count();
    let (bad, warnings) = (count(|grade| matches!(grade, Grade::Bad(_))), count(|grade| *grade == Grade::Warning));
    let verdict = match (bad, warnings) {
        (0, 0) => "fit for the work".to_owned(),
        (0, warnings) => format!("fit for the work, with {}", crate::words::plural(warnings, "warning")),
        (bad, _) => format!("NOT fit for the work: {bad} bad"),
    };
    let untold = if has_state { "" } else { "; disk and keys were not looked at: give --config or --state" };
    text + &format!("{verdict}{untold}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_that_of_the_gravest_finding() {
        let bad = |code| Finding::bad("x", code, "", "");
        assert_eq!(gravest(&[Finding::good("x", ""), Finding::warning("x", "", "")]), None);
        assert_eq!(gravest(&[bad(Code::Io), bad(Code::Permission)]), Some(Code::Permission));
        assert_eq!(gravest(&[bad(Code::Io), bad(Code::Internal)]), Some(Code::Internal));
    }

    #[test]
    fn a_machine_is_called_fit_only_if_nothing_is_bad() {
        let manner = Manner { colour: false, width: None };
        let words = |findings: &[Finding]| in_words(findings, true, manner);
        assert!(words(&[Finding::good("clock", "runs")]).ends_with("\nfit for the work\n"));
        assert!(words(&[Finding::warning("clock", "a", "b")]).ends_with("-> b\nfit for the work, with 1 warning\n"));
        assert!(words(&[Finding::bad("disk", Code::Io, "a", "b")]).contains("BAD      disk          a\n"));
        assert!(words(&[Finding::bad("disk", Code::Io, "a", "b")]).ends_with("NOT fit for the work: 1 bad\n"));
    }
}
