use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use lingate_audit::{Finding, Kind, LINE_MAX, Line, Note, Report, Verification, Verifier, hex};
use serde_json::{Value, json};

use crate::audit::{checkpoint_path, files, folder, key_path};
use crate::cli::exit::{Code, Failed};
use crate::cli::progress::Progress;
use crate::files::read;
use crate::prepare::load;

/// Checkpoints that the gateway kept beside one log.
const COSIGNED_MAX: usize = 1024;

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Is every line as it was written, and does the log agree with its checkpoints? Exit code 0, 65 with what is wrong,
    /// or 69 with what no signed checkpoint proves
    Verify(Verify),
    /// The lines for people: newest last
    Show(Show),
}

#[derive(Args)]
pub(crate) struct Source {
    /// Finds the state directory in this configuration
    #[arg(long, value_name = "FILE", conflicts_with_all = ["state", "files"])]
    config: Option<PathBuf>,
    /// The gateway's state directory, or a copy of it
    #[arg(long, value_name = "DIR", conflicts_with = "files")]
    state: Option<PathBuf>,
    /// Files of the log, oldest first
    files: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    source: Source,
    /// A checkpoint from elsewhere, such as the sandbox's: only that catches a log that was cut or rewritten together with
    /// its own checkpoint. May be repeated
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// `name+hash+key` of the log or of a witness, or a file with such lines. May be repeated [default: audit/key.txt]
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// Exit code 0 also if lines are protected by nothing but their own chain: no checkpoint is there, or they are newer
    #[arg(long)]
    unanchored: bool,
    /// For programs
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    source: Source,
    /// Only such events: `data.range`, or a beginning such as `data.`. May be repeated
    #[arg(long = "event", value_name = "NAME")]
    events: Vec<String>,
    /// Only lines from this time on: `2026-11-23` or `2026-11-23T08:00`
    #[arg(long, value_name = "TIME")]
    #[arg(value_parser = since)]
    since: Option<String>,
    /// Only the newest
    #[arg(long, value_name = "LINES", default_value_t = 200)]
    last: usize,
    /// The lines as they are
    #[arg(long)]
    json: bool,
}

impl AuditCommand {
    pub(crate) fn run(&self) -> Result<ExitCode, Failed> {
        match self {
            AuditCommand::Verify(verify) => verify.run(),
            AuditCommand::Show(show) => show.run(),
        }
    }
}

impl Source {
    fn state(&self) -> Result<Option<PathBuf>, Failed> {
        match &self.config {
            Some(config) => {
                let plan = load(config).map_err(|refused| Failed::refused(config, &refused))?;
                Ok(Some(plan.state_dir))
            }
            None => Ok(self.state.clone()),
        }
    }

    fn files(&self) -> Result<Vec<PathBuf>, Failed> {
        let found = match self.state()? {
            Some(state) => {
                let folder = folder(&state);
                let found = files(&folder).map_err(|error| Failed::io("read", &folder, &error))?;
                found.into_iter().map(|(_, path)| path).collect()
            }
            None => self.files.clone(),
        };
        let none = "there is no audit log here: say --config FILE, --state DIR or the log's files, oldest first";
        if found.is_empty() { Err(Failed::new(Code::Usage, none)) } else { Ok(found) }
    }
}

/// The log of this gateway, by its own key and checkpoints; `each` gets every line that is one. With a sentence about how far
/// the keys can be trusted.
pub(crate) fn verified(state: &Path, each: &mut dyn FnMut(&Line)) -> Result<(Report, String), Failed> {
    let source = Source { config: None, state: Some(state.to_owned()), files: Vec::new() };
    let verify = Verify { source, checkpoints: Vec::new(), keys: Vec::new(), unanchored: false, json: false };
    verify.judge(each)
}

impl Verify {
    fn judge(&self, each: &mut dyn FnMut(&Line)) -> Result<(Report, String), Failed> {
        let state = self.source.state()?;
        let (keys, trust) = self.keys(state.as_deref())?;
        let notes = self.notes(state.as_deref())?;
        let mut verification = Verification::new(notes, keys);
        let paths = self.source.files()?;
        let size = |path: &PathBuf| fs::metadata(path).map_or(0, |entry| entry.len());
        let (total, mut done, mut progress) = (paths.iter().map(size).sum::<u64>(), 0_u64, Progress::new());
        for path in paths {
            verification.begin_file(&name(&path));
            each_line(&path, &mut |line, is_whole| {
                done = done.saturating_add(line.len() as u64 + 1);
                progress.bar("reading the audit log", done, total);
                match is_whole {
                    true => {
                        Line::parse(line).iter().for_each(&mut *each);
                        verification.line(line);
                    }
                    false => verification.torn(line.len()),
                }
            })?;
        }
        progress.clear();
        Ok((verification.finish(), trust))
    }

    fn run(&self) -> Result<ExitCode, Failed> {
        let (report, trust) = self.judge(&mut |_| ())?;
        let text = if self.json { format!("{:#}\n", as_json(&report)) } else { in_words(&report, &trust) };
        let _ = std::io::stdout().write_all(text.as_bytes());
        Ok(match (report.is_sound(), report.is_proven() || self.unanchored) {
            (false, _) => ExitCode::from(Code::Data as u8),
            (true, false) => ExitCode::from(Code::Unavailable as u8),
            (true, true) => ExitCode::SUCCESS,
        })
    }

    /// The keys, and a sentence about how far they can be trusted.
    fn keys(&self, state: Option<&Path>) -> Result<(Vec<Verifier>, String), Failed> {
        let mut texts = Vec::new();
        for given in &self.keys {
            match Path::new(given).is_file() {
                true => texts.push(text_of(Path::new(given))?),
                false => texts.push(given.clone()),
            }
        }
        let trust = match (texts.is_empty(), state.map(key_path).filter(|path| path.is_file())) {
            (false, _) => "the keys were given".to_owned(),
            (true, Some(path)) => {
                texts.push(text_of(&path)?);
                format!("the key is the log's own word ({}): compare it with the sandbox's", path.display())
            }
            (true, None) => "no key was given (--key), so no signature was checked".to_owned(),
        };
        let lines = texts.iter().flat_map(|text| text.lines()).filter(|line| !line.trim().is_empty());
        let key = |line: &str| line.parse().map_err(|error| Failed::new(Code::Usage, format!("--key {line}: {error}")));
        Ok((lines.map(key).collect::<Result<_, _>>()?, trust))
    }

    fn notes(&self, state: Option<&Path>) -> Result<Vec<(String, Note)>, Failed> {
        let mut paths = self.checkpoints.clone();
        if let Some(state) = state {
            paths.extend(Some(checkpoint_path(state)).filter(|path| path.is_file()));
            paths.extend(cosigned(&folder(state)));
        }
        let note = |path: PathBuf| {
            let bytes = read(&path).map_err(|error| Failed::io("read", &path, &error))?;
            let note = Note::parse(&bytes);
            let note = note.map_err(|error| Failed::new(Code::Data, format!("{}: {error}", path.display())))?;
            Ok((name(&path), note))
        };
        paths.into_iter().map(note).collect()
    }
}

fn cosigned(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let is_cosigned = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "cosigned");
    let mut paths: Vec<PathBuf> = entries.filter(is_cosigned).take(COSIGNED_MAX).collect();
    paths.sort();
    paths
}

fn text_of(path: &Path) -> Result<String, Failed> {
    let bytes = read(path).map_err(|error| Failed::io("read", path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Without its LF; `false`: it has none.
fn each_line(path: &Path, each: &mut dyn FnMut(&[u8], bool)) -> Result<(), Failed> {
    let failed = |error| Failed::io("read", path, &error);
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        file.by_ref().take(LINE_MAX as u64).read_until(b'\n', &mut line).map_err(failed)?;
        match line.split_last() {
            Some((b'\n', line)) => each(line, true),
            Some(_) => each(&line, false),
            None => return Ok(()),
        }
    }
}

fn in_words(report: &Report, trust: &str) -> String {
    let mut text = String::new();
    let mut line = |words: String| text.push_str(&(words + "\n"));
    let last = report.size.saturating_sub(1);
    line(format!("log       {}", report.origin));
    line(format!(
        "lines     {} to {last} in {} file(s); newest {}",
        report.first,
        report.files,
        report.newest.as_deref().unwrap_or("-")
    ));
    line(format!("root      {}", hex(&report.root)));
    report.declared.iter().for_each(|words| line(format!("declared  {words}")));
    for checked in &report.checked {
        let signed = if checked.is_signed { ", signed by the log" } else { "" };
        let agrees =
            checked.unchecked.as_ref().map_or_else(|| "agrees".to_owned(), |why| format!("not compared: {why}"));
        let cosigned: String = checked
            .cosignatures
            .iter()
            .map(|it| format!(", cosigned by {} at {}", it.witness, time(it.time)))
            .collect();
        line(format!("checkpoint {} of {} lines: {agrees}{signed}{cosigned}", checked.name, checked.size));
    }
    line(format!("keys      {trust}"));
    report.unproven.iter().for_each(|words| line(format!("UNPROVEN  {words}")));
    report.findings.iter().for_each(|finding| line(format!("WRONG     {finding}")));
    line(match (report.findings.len(), report.unproven.is_empty()) {
        (0, true) => "OK        every line is as it was when it was signed".to_owned(),
        (0, false) => "NOT PROVEN  nothing is wrong; what would prove the rest is not here: a newer checkpoint \
                       (--checkpoint) and its key (--key), or --unanchored to be content with this"
            .to_owned(),
        (count, _) => format!("NOT OK    {count} finding(s): the first one is where to look"),
    });
    text
}

fn time(seconds: u64) -> String {
    let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    crate::tls::show_time(lingate_model::UtcMicros(micros))
}

fn as_json(report: &Report) -> Value {
    let finding = |Finding { place, what }: &Finding| json!({"place": place, "what": what});
    let checked = |it: &lingate_audit::Checked| {
        let cosignatures: Vec<Value> =
            it.cosignatures.iter().map(|one| json!({"witness": one.witness, "time": one.time})).collect();
        json!({"name": it.name, "size": it.size, "signed": it.is_signed, "cosignatures": cosignatures, "not_compared": it.unchecked})
    };
    json!({
        "ok": report.is_proven(),
        "sound": report.is_sound(),
        "origin": report.origin,
        "files": report.files,
        "first": report.first,
        "size": report.size,
        "root": hex(&report.root),
        "newest": report.newest,
        "events": report.kinds,
        "declared": report.declared,
        "checkpoints": report.checked.iter().map(checked).collect::<Vec<_>>(),
        "uncovered": report.uncovered,
        "unproven": report.unproven,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

impl Show {
    fn run(&self) -> Result<ExitCode, Failed> {
        let is_known = |name: &String| Kind::ALL.iter().any(|kind| kind.name().starts_with(name.as_str()));
        if let Some(unknown) = self.events.iter().find(|name| !is_known(name)) {
            let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            return Err(Failed::new(
                Code::Usage,
                format!("there is no event {unknown:?}; there are {}", names.join(", ")),
            ));
        }
        let mut shown = std::collections::VecDeque::new();
        for path in self.source.files()? {
            each_line(&path, &mut |bytes, _| {
                let Ok(line) = Line::parse(bytes) else { return };
                if self.is_asked_for(&line) {
                    shown.push_back(if self.json { String::from_utf8_lossy(bytes).into_owned() } else { row(&line) });
                }
                if shown.len() > self.last {
                    shown.pop_front();
                }
            })?;
        }
        let text: String = shown.iter().map(|line| format!("{line}\n")).collect();
        let _ = std::io::stdout().write_all(text.as_bytes());
        Ok(ExitCode::SUCCESS)
    }

    fn is_asked_for(&self, line: &Line) -> bool {
        let is_kind = self.events.is_empty() || self.events.iter().any(|name| line.event.starts_with(name.as_str()));
        is_kind && self.since.as_ref().is_none_or(|since| line.t.as_str() >= since.as_str())
    }
}

/// A date, or a date and a time, of UTC: the beginning of a line's `t`.
fn since(text: &str) -> Result<String, String> {
    let plain = text.strip_suffix('Z').unwrap_or(text);
    let is_time = plain.parse::<jiff::civil::Date>().is_ok() && !plain.contains('T')
        || plain.contains('T') && plain.parse::<jiff::civil::DateTime>().is_ok();
    let is_padded = plain.len() >= 10 && plain.as_bytes()[4] == b'-' && plain.as_bytes()[7] == b'-';
    match is_time && is_padded {
        true => Ok(plain.to_owned()),
        false => Err("write it as 2026-11-23 or 2026-11-23T08:00, in UTC".to_owned()),
    }
}

/// `number  time  event  member=value ...`
fn row(line: &Line) -> String {
    let is_told = |name: &&String| !matches!(name.as_str(), "v" | "n" | "t" | "prev" | "ev" | "frontier");
    let member = |name: &String| {
        let text = match &line.members[name] {
            Value::String(text) if text.len() == 64 && lingate_audit::from_hex(text).is_some() => text[..16].to_owned(),
            Value::String(text) if text.contains(' ') || text.is_empty() => format!("{text:?}"),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        format!("{name}={text}")
    };
    let members: Vec<String> = line.members.keys().filter(is_told).map(member).collect();
    format!("{:>7}  {}  {:<16} {}", line.n, line.t, line.event, members.join(" "))
}

#[cfg(test)]
mod tests {
    use super::since;

    #[test]
    fn only_times_are_taken_for_times() {
        for time in ["2026-11-23", "2026-11-23T08:00", "2026-11-23T08:00:30", "2026-11-23T08:00:30.5Z"] {
            assert_eq!(since(time).as_deref(), Ok(time.trim_end_matches('Z')));
        }
        for none in ["nonsense", "", "2026", "2026-13-01", "2026-02-30T08:00", "yesterday", "2026-11-23T", "20261123"] {
            assert!(since(none).is_err(), "{none}");
        }
    }
}
