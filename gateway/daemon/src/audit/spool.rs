//! Events of other programs of the plant, such as `lingate veto`: one small file each, which the daemon takes into its
//! log, with the time at which it was written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use lingate_audit::{Event, Kind};
use lingate_model::UtcMicros;

use crate::audit;
use crate::entropy::random_u32;
use crate::files;

static NUMBER: AtomicU64 = AtomicU64::new(0);
/// Files that may wait; more are left out.
const WAITING_MAX: usize = 1000;
const LARGEST: u64 = 16 * 1024;

pub(crate) fn folder(state_dir: &Path) -> PathBuf {
    audit::folder(state_dir).join("spool")
}

/// An order that somebody gave with this program. It must not fail because of the log, so a failure is only told.
pub(crate) fn operator(state_dir: &Path, utc: UtcMicros, command: &str, what: &str) {
    let event = Event::new(Kind::OperatorCommand).text("command", command).text("what", what);
    let uid = files::user().map_or("unknown".to_owned(), |uid| uid.to_string());
    put(state_dir, utc, &event.text("uid", uid));
}

pub(crate) fn put(state_dir: &Path, utc: UtcMicros, event: &Event) {
    if let Err(error) = write(state_dir, utc, event) {
        tracing::warn!(%error, event = event.kind().name(), "an event could not be handed to the audit log");
    }
}

fn write(state_dir: &Path, utc: UtcMicros, event: &Event) -> io::Result<()> {
    let folder = folder(state_dir);
    files::directory(&folder)?;
    if fs::read_dir(&folder)?.count() >= WAITING_MAX {
        return Err(io::Error::other(format!("{WAITING_MAX} events wait already; is the daemon running?")));
    }
    // In the order in which one process wrote them, and never the name of another's.
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("{:020}-{number:010}-{:08x}.json", utc.0.max(0), random_u32());
    let text = format!("{}\n{}\n", utc.0, event.to_json());
    let path = folder.join(name);
    files::replace_all(&[(path, text.as_bytes())])
}

/// What waits, oldest first, each with its file: it is removed when the event is durable. `None`: it is no event.
pub(crate) fn waiting(state_dir: &Path) -> Vec<(PathBuf, Option<(UtcMicros, Event)>)> {
    let Ok(entries) = fs::read_dir(folder(state_dir)) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_whole = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let mut paths: Vec<PathBuf> = paths.filter(is_whole).take(WAITING_MAX).collect();
    paths.sort();
    let read = |path: PathBuf| Some((files::read_up_to(&path, LARGEST).ok()?, path));
    paths.into_iter().filter_map(read).map(|(bytes, path)| (path, parse(&bytes))).collect()
}

fn parse(bytes: &[u8]) -> Option<(UtcMicros, Event)> {
    let (utc, event) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
    let (utc, event) = (UtcMicros(utc.parse().ok()?), Event::from_json(event.trim_end())?);
    let is_of_others = matches!(
        event.kind(),
        Kind::OperatorCommand | Kind::Enroll | Kind::BundleAccepted | Kind::BundleRejected | Kind::RootChanged
    );
    is_of_others.then_some((utc, event))
}
