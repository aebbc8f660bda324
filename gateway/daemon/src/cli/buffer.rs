//! `lingate buffer`: a look at what lies on disk, also while the daemon runs. Changes nothing.

pub(crate) mod as_json;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use lingate_buffer::{ClassView, Quarantined, RealDisk, RecordId, inspect_watched, quarantined, read_quarantined};
use lingate_engine::ReasonCode;
use lingate_model::UtcMicros;
use serde_json::json;

use crate::cli::exit::{Code, Failed, is_free};
use crate::cli::progress::Progress;
use crate::cli::told::tell;
use crate::prepare::load;
use crate::{files, retry};

#[derive(Subcommand)]
pub(crate) enum What {
    /// Segments by priority class: what they hold, and since when
    Ls(At),
    /// Reads every record and compares its checksum; exit code 1 if one is damaged
    Verify(At),
    /// Records that the broker refused again and again while it took others
    Quarantine {
        #[command(subcommand)]
        what: Aside,
    },
}

#[derive(Subcommand)]
pub(crate) enum Aside {
    /// What was set aside, when and why
    List(At),
    /// Tries records once more; the daemon does it within seconds, or when it starts
    Retry {
        #[command(flatten)]
        at: At,
        /// As `list` names it, like normal-42; without one: all
        #[arg(value_name = "RECORD")]
        records: Vec<RecordId>,
    },
    /// Writes one sealed message to a file, for the sandbox's people: only they can open it
    Export {
        #[command(flatten)]
        at: At,
        #[arg(value_name = "RECORD")]
        record: RecordId,
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// Replace a file that is there already
        #[arg(long)]
        force: bool,
    },
}

#[derive(clap::Args)]
pub(crate) struct At {
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Damage was found.
const DAMAGED: u8 = 1;

impl What {
    pub(crate) fn run(self) -> Result<ExitCode, Failed> {
        match self {
            What::Ls(at) => {
                let views = at.look(walk)?;
                tell(at.json, &list(&views), json!({"classes": as_json::classes(&views)}));
                Ok(ExitCode::SUCCESS)
            }
            What::Verify(at) => {
                let views = at.look(walk)?;
                let (text, is_whole) = verdict(&views);
                tell(at.json, &text, json!({"is_whole": is_whole, "classes": as_json::classes(&views)}));
                Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(DAMAGED) })
            }
            What::Quarantine { what } => what.run(),
        }
    }
}

impl Aside {
    fn run(self) -> Result<ExitCode, Failed> {
        match self {
            Aside::List(at) => {
                let held = at.look(|disk| quarantined(disk))?;
                tell(at.json, &aside(&held), json!({"quarantined": as_json::quarantined(&held)}));
                Ok(ExitCode::SUCCESS)
            }
            Aside::Retry { at, records } => at.retry(&records),
            Aside::Export { at, record, output, force } => {
                is_free(&output, force)?;
                let sealed = at.look(|disk| read_quarantined(disk, record))?.ok_or_else(|| unknown(&[record]))?;
                files::replace_all(&[(output.clone(), sealed.bytes())])
                    .map_err(|error| Failed::io("write", &output, &error))?;
                let bytes = sealed.bytes().len();
                let words =
                    format!("{bytes} bytes in {}: one sealed message, as it would be published", output.display());
                tell(at.json, &words, json!({"output": output, "bytes": bytes}));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl At {
    fn state_dir(&self) -> Result<PathBuf, Failed> {
        Ok(load(&self.config).map_err(|refused| Failed::refused(&self.config, &refused))?.state_dir)
    }

    fn look<T>(&self, work: impl FnOnce(&mut RealDisk) -> io::Result<T>) -> Result<T, Failed> {
        let directory = self.state_dir()?.join("buffer");
        let failed = |error: &io::Error| look_failed(&directory, error);
        let mut disk = RealDisk::look(&directory).map_err(|error| failed(&error))?;
        work(&mut disk).map_err(|error| failed(&error))
    }

    fn retry(&self, records: &[RecordId]) -> Result<ExitCode, Failed> {
        let held: Vec<RecordId> = self.look(quarantined_ids)?;
        let strangers: Vec<RecordId> = records.iter().copied().filter(|record| !held.contains(record)).collect();
        if !strangers.is_empty() {
            return Err(unknown(&strangers));
        }
        if held.is_empty() {
            let words = "The quarantine is empty: there is nothing to retry.";
            tell(self.json, words, json!({"retried": 0, "quarantined": 0}));
            return Ok(ExitCode::SUCCESS);
        }
        let state_dir = self.state_dir()?;
        retry::ask(&state_dir, records).map_err(|error| Failed::io("write into", &state_dir, &error))?;
        let count = if records.is_empty() { held.len() } else { records.len() };
        let words = format!(
            "{count} of {} are tried once more: by a running daemon within seconds and while its link is up, by a stopped \
             one when it starts. What the broker takes leaves the quarantine.",
            held.len()
        );
        tell(self.json, &words, json!({"retried": count, "quarantined": held.len()}));
        Ok(ExitCode::SUCCESS)
    }
}

fn quarantined_ids(disk: &mut RealDisk) -> io::Result<Vec<RecordId>> {
    Ok(quarantined(disk)?.iter().map(|held| held.record).collect())
}

fn look_failed(directory: &Path, error: &io::Error) -> Failed {
    if error.kind() == io::ErrorKind::NotFound {
        let text = format!("{} is not there: no daemon with this configuration has run yet", directory.display());
        return Failed::new(Code::Io, text);
    }
    Failed::io("read", directory, error)
}

fn unknown(records: &[RecordId]) -> Failed {
    let names: Vec<String> = records.iter().map(ToString::to_string).collect();
    let text = format!("not in the quarantine: {}; see `lingate buffer quarantine list`", names.join(", "));
    Failed::new(Code::Usage, text)
}

/// Reads all of it, and shows how far it is.
fn walk(disk: &mut RealDisk) -> io::Result<Vec<ClassView>> {
    let mut progress = Progress::new();
    inspect_watched(disk, &mut |done, total| progress.bar("reading the buffer", done, total))
}

fn list(views: &[ClassView]) -> String {
    let mut text = String::from("CLASS   SEGMENT               BYTES       RECORDS   READINGS   SINCE\n");
    for view in views {
        for segment in &view.segments {
            let walked = segment.walked.clone().unwrap_or_default();
            let since = segment.utc.map_or_else(|| "its header is damaged".to_owned(), time);
            let _ = writeln!(
                text,
                "{:<7} {:020}  {:<10}  {:<8}  {:<9}  {since}",
                view.priority.name(),
                segment.first,
                segment.bytes,
                walked.records,
                walked.readings
            );
        }
        let Some(cursor) = view.cursor else { continue };
        let _ = writeln!(
            text,
            "{:<7} next position {}, done below {}{}",
            view.priority.name(),
            cursor.durable,
            cursor.floor,
            cursor.last_commit.map_or_else(String::new, |utc| format!(", last commit {}", time(utc)))
        );
    }
    text
}

fn verdict(views: &[ClassView]) -> (String, bool) {
    let (mut text, mut records, mut damaged, mut is_whole) = (String::new(), 0, 0, true);
    for view in views {
        let class = view.priority.name();
        if view.cursor.is_none() && !view.segments.is_empty() {
            is_whole = false;
            let _ = writeln!(
                text,
                "damaged: {class}/cursor: neither of its two copies can be read: the daemon sends again what is still there, \
                 and how far the last file reached is not known here"
            );
        }
        for segment in &view.segments {
            let walked = segment.walked.clone().unwrap_or_default();
            records += walked.records;
            if segment.utc.is_none() {
                is_whole = false;
                let _ = writeln!(text, "damaged: {class}/{:020}.seg: its header cannot be read", segment.first);
            }
            for range in &walked.damaged {
                damaged += range.end - range.start;
                let _ = writeln!(
                    text,
                    "damaged: {class}/{:020}.seg, position {} to {}: the daemon skips it and declares it as lost",
                    segment.first,
                    range.start,
                    range.end - 1
                );
            }
        }
    }
    let _ = writeln!(text, "{records} records are whole, {damaged} are damaged");
    (text, is_whole && damaged == 0)
}

fn aside(held: &[Quarantined]) -> String {
    if held.is_empty() {
        return "The quarantine is empty.\n".to_owned();
    }
    let mut text = String::from(
        "RECORD                       TOPIC     EPOCH             SEQ     READINGS  BYTES   SINCE, REASON\n",
    );
    for held in held {
        let _ = writeln!(
            text,
            "{:<27}  {:<8}  {}  {:<6}  {:<8}  {:<6}  {}, {}",
            held.record,
            held.alias,
            held.kid,
            held.seq,
            held.readings,
            held.bytes,
            time(held.utc),
            ReasonCode(held.reason)
        );
    }
    text
}

fn time(utc: UtcMicros) -> String {
    let timestamp = jiff::Timestamp::from_microsecond(utc.0).unwrap_or_default();
    timestamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_buffer::{CursorView, SegmentView, Walked};
    use lingate_model::Priority;

    use super::*;

    fn view(damaged: Vec<std::ops::Range<u64>>) -> ClassView {
        let walked = Some(Walked { records: 7, readings: 70, damaged, ..Walked::default() });
        let segment = SegmentView { first: 40, bytes: 900, utc: Some(UtcMicros(0)), walked };
        let cursor = Some(CursorView { floor: 40, durable: 47, last_commit: None, clean: true });
        ClassView { priority: Priority::Normal, cursor, segments: vec![segment], ledgers: 0, ledger_bytes: 0 }
    }

    #[test]
    fn an_unreadable_cursor_or_header_is_damage() {
        let (mut cursorless, mut headless) = (view(Vec::new()), view(Vec::new()));
        cursorless.cursor = None;
        headless.segments[0].utc = None;
        for (view, words) in [(cursorless, "damaged: normal/cursor"), (headless, "40.seg: its header")] {
            let (text, is_whole) = verdict(&[view]);
            assert!(!is_whole && text.contains(words), "{text}");
        }
    }

    #[test]
    fn damage_is_named_with_its_file_and_positions() {
        assert_eq!(verdict(&[view(Vec::new())]), ("7 records are whole, 0 are damaged\n".to_owned(), true));
        let (text, is_whole) = verdict(&[view(vec![41..43, 45..46])]);
        assert!(!is_whole);
        assert!(text.contains("normal/00000000000000000040.seg, position 41 to 42"), "{text}");
        assert!(text.ends_with("7 records are whole, 3 are damaged\n"), "{text}");
    }

    #[test]
    fn a_reason_is_said_in_words() {
        let held = Quarantined {
            record: "low-3".parse().unwrap(),
            alias: "q7".parse().unwrap(),
            kid: lingate_seal::Kid([1; 8]),
            seq: 9,
            readings: 12,
            bytes: 300,
            reason: 0x99,
            utc: UtcMicros(0),
        };
        let text = aside(&[held]);
        assert!(text.contains("low-00000000000000000003") && text.contains("0x99 (payload format invalid)"), "{text}");
        assert!(text.contains("1970-01-01T00:00:00Z"), "{text}");
    }
}
