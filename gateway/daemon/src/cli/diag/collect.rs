use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use lingate_buffer::{RealDisk, inspect, quarantined};
use lingate_config::Plan;
use lingate_model::{Clock, UtcMicros};
use serde_json::{Value, json};

use super::scrub;
use crate::audit;
use crate::cli::door::Door;
use crate::cli::{buffer, selftest};
use crate::clock::SystemClock;
use crate::files;
use crate::prepare::{Mode, Refused, load, prepare};
use crate::software;
use crate::tls::show_time;

/// Of the audit log and the journal.
const TAIL: u64 = 512 * 1024;
const JOURNAL_LINES: &str = "3000";
/// Names in the listing of the state directory.
const NAMES_MAX: usize = 5_000;

/// One file of the bundle.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) text: String,
}

const README: &str = "\
What `lingate diag` found, for whoever helps. Each file says what it is by its name; one that could not be had says why.

Not in here: keys, certificates' private parts, passwords, tokens, comments of the configuration, process values, sealed
messages. Texts that lingate found as secrets in the configuration and in the files that it names are [removed] everywhere.

In here: names of devices, points and datasets, addresses, paths, counts, times and reasons.
";

/// What can be had, each by itself: a gateway that does not start is the one that needs help.
pub(super) fn all(config: &Path, url: Option<&str>, say: &mut dyn FnMut(&str)) -> Vec<Part> {
    let plan = load(config);
    let state = plan.as_ref().ok().map(|plan| plan.state_dir.clone());
    let door = url.map_or_else(|| door(plan.as_ref().ok()), |url| Door::find(None, Some(url)).ok());
    let mut parts = Vec::new();
    let mut add = |name: &'static str, text: &dyn Fn() -> Result<String, String>| {
        say(&format!("collecting {name}"));
        let text = text().unwrap_or_else(|why| format!("not to be had: {why}\n"));
        parts.push(Part { name, text });
    };
    let ask = |path: &str| {
        let door = door.as_ref().ok_or("no health endpoint is known")?;
        let body = door.ask(path).map_err(|error| format!("{}: {error}", door.name()))?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    };
    let in_state = |look: &dyn Fn(&Path) -> io::Result<String>| {
        let state = state.as_deref().ok_or("the configuration does not say where the state is")?;
        look(state).map_err(|error| format!("{}: {error}", state.display()))
    };
    add("README.txt", &|| Ok(README.to_owned()));
    add("versions.json", &|| Ok(pretty(&versions())));
    add("configuration.json", &|| scrub::configuration(config).map(|config| pretty(&config)));
    add("check.json", &|| Ok(pretty(&check(config))));
    add("status.json", &|| ask("/status"));
    add("metrics.txt", &|| ask("/metrics"));
    add("selftest.json", &|| Ok(pretty(&selftest::for_support())));
    add("state.txt", &|| in_state(&listing));
    add("buffer.json", &|| in_state(&in_buffer));
    add("bundles.txt", &|| in_state(&bundles));
    add("audit.jsonl", &|| in_state(&audit_tail));
    add("unit.txt", &|| output("systemctl", &["show", "lingate", "--property", UNIT]));
    add("journal.txt", &|| {
        output("journalctl", &["--unit", "lingate", "--no-pager", "--output", "short-iso", "--lines", JOURNAL_LINES])
    });
    parts
}

/// Nothing of the unit's environment or credentials.
const UNIT: &str = "LoadState,ActiveState,SubState,Result,NRestarts,ExecMainStartTimestamp,ExecMainCode,ExecMainStatus,\
                    MemoryCurrent,MemoryPeak,CPUUsageNSec,TasksCurrent,WatchdogUSec,FragmentPath,DropInPaths";

fn door(plan: Option<&Plan>) -> Option<Door> {
    match plan {
        Some(plan) => Some(Door::of(&plan.health)),
        None => Door::find(None, None).ok(),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn versions() -> Value {
    let text = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let now = SystemClock::start().now();
    json!({"lingate": env!("CARGO_PKG_VERSION"), "sha256": software::sha256(), "target": std::env::consts::ARCH,
        "time": show_time(now.utc), "clock": now.clock.to_string(), "user": files::user(),
        "kernel": text("/proc/version"), "system": text("/etc/os-release")})
}

/// Places and what is wrong, without the lines of the file.
fn check(config: &Path) -> Value {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    match prepare(config, &clock, Mode::Check) {
        Ok(prepared) => {
            let warnings: Vec<String> = prepared.warnings.iter().map(ToString::to_string).collect();
            json!({"starts": true, "warnings": warnings, "notes": prepared.notes})
        }
        Err(Refused::Unreadable(error)) => json!({"starts": false, "unreadable": error.to_string()}),
        Err(Refused::Problems(problems) | Refused::Away(problems)) => {
            let found = problems.problems.iter().map(|problem| {
                json!({"line": problem.place.line, "column": problem.place.column, "subject": problem.place.subject,
                    "what": problem.what, "hint": problem.hint})
            });
            json!({"starts": false, "problems": found.collect::<Vec<_>>(), "omitted": problems.omitted})
        }
    }
}

/// Mode, owner, size, time and name of everything, and nothing of what is in it.
fn listing(state: &Path) -> io::Result<String> {
    let (mut text, mut open, mut names) = (String::new(), vec![state.to_owned()], 0);
    while let Some(folder) = open.pop() {
        let mut entries: Vec<_> = fs::read_dir(&folder)?.filter_map(Result::ok).map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            let Ok(entry) = fs::symlink_metadata(&path) else { continue };
            names += 1;
            if names > NAMES_MAX {
                return Ok(text + "and more\n");
            }
            let time = show_time(UtcMicros(entry.mtime().saturating_mul(1_000_000)));
            let name = path.strip_prefix(state).unwrap_or(&path).display().to_string();
            let (mode, size) = (entry.mode() & 0o7777, entry.size());
            text.push_str(&format!("{mode:04o} {:>5} {size:>12} {time} {name}\n", entry.uid()));
            if entry.is_dir() {
                open.push(path);
            }
        }
    }
    Ok(text)
}

fn in_buffer(state: &Path) -> io::Result<String> {
    let mut disk = RealDisk::look(&state.join("buffer"))?;
    let classes = buffer::as_json::classes(&inspect(&mut disk, true)?);
    let held = buffer::as_json::quarantined(&quarantined(&mut disk)?);
    Ok(pretty(&json!({"classes": classes, "quarantined": held})))
}

/// Names and dates of what came, and why something was rejected.
fn bundles(state: &Path) -> io::Result<String> {
    let mut text = String::new();
    for folder in ["inbox", "inbox/accepted", "inbox/rejected"] {
        text.push_str(&format!("{folder}\n"));
        let mut entries: Vec<_> = match fs::read_dir(state.join(folder)) {
            Ok(entries) => entries.filter_map(Result::ok).map(|entry| entry.path()).collect(),
            Err(error) => {
                text.push_str(&format!("  {error}\n"));
                continue;
            }
        };
        entries.sort();
        for path in entries.iter().filter(|path| path.is_file()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let time = fs::metadata(path).map(|entry| show_time(UtcMicros(entry.mtime().saturating_mul(1_000_000))));
            text.push_str(&format!("  {} {name}\n", time.unwrap_or_default()));
            if name.ends_with(".reason.txt") {
                let reason = files::read(path).unwrap_or_default();
                text.push_str(&format!("    {}\n", String::from_utf8_lossy(&reason).trim()));
            }
        }
    }
    Ok(text)
}

/// Whole lines from the end of the newest file.
fn audit_tail(state: &Path) -> io::Result<String> {
    let Some((_, newest)) = audit::files(&audit::folder(state))?.pop() else {
        return Ok("the log is empty\n".to_owned());
    };
    let mut file = fs::File::open(newest)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match size > TAIL {
        true => Ok(text.split_once('\n').map(|(_, whole)| whole.to_owned()).unwrap_or_default()),
        false => Ok(text),
    }
}

fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let ran = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let ran = ran.map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    match ran.status.success() {
        true => Ok(text),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&ran.stderr).trim())),
    }
}
