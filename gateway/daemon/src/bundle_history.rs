//! What became of every bundle: copies in `inbox/accepted` and `inbox/rejected`, and a line each in the audit log.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use std::time::SystemTime;

use lingate_audit::{Event, Kind};
use lingate_model::UtcMicros;
use lingate_seal::VerifiedBundle;
use serde::{Deserialize, Serialize};

use crate::audit::spool;
use crate::files;
use crate::software::hex;
use crate::tls::show_time;

/// Files of each folder that are kept; the oldest go. A rejected one has a second file with the reason.
pub(crate) const KEPT: usize = 32;
const REASON: &str = ".reason.txt";

/// How a bundle came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Inbox,
    Topic,
}

impl By {
    /// The link puts what came by the topic into the inbox under such a name.
    pub(crate) fn of(file: &str) -> By {
        if file.starts_with("topic-") { By::Topic } else { By::Inbox }
    }

    fn name(self) -> &'static str {
        match self {
            By::Inbox => "inbox",
            By::Topic => "topic",
        }
    }
}

/// A bundle that was refused, and none was accepted since. Deleting what lies in `inbox/rejected` ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) file: String,
    pub(crate) at: String,
    pub(crate) reason: String,
}

/// The newest one, by the times of the files: it is told also after a restart.
pub(crate) fn standing_refusal(state_dir: &Path) -> Option<Refusal> {
    let (at, path) = newest(&state_dir.join("inbox/rejected"), is_reason_of_a_file)?;
    let accepted = newest(&state_dir.join("inbox/accepted"), |_| true);
    if accepted.is_some_and(|(accepted, _)| accepted >= at) {
        return None;
    }
    let reason = String::from_utf8_lossy(&files::read(&path).ok()?).trim_end().to_owned();
    let file = path.file_name()?.to_string_lossy().trim_end_matches(REASON).to_owned();
    let micros = at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_micros();
    Some(Refusal { file, at: show_time(UtcMicros(i64::try_from(micros).ok()?)), reason })
}

/// Keeps a copy and a line. Neither can keep a bundle from being in force.
pub(crate) fn accepted(state_dir: &Path, utc: UtcMicros, file: &str, bytes: &[u8], verified: &VerifiedBundle) {
    let sha256 = hex(&verified.sha256());
    let folder = state_dir.join("inbox/accepted");
    let name = format!("{:010}-{}.json", verified.version(), &sha256[..16]);
    let kept = files::directory(&folder).and_then(|()| files::replace_all(&[(folder.join(name), bytes)]));
    forget_oldest(&folder, KEPT);
    tell(kept);
    let event =
        Event::new(Kind::BundleAccepted).text("sha256", sha256).text("by", By::of(file).name()).text("file", file);
    let event = event.count("version", verified.version()).count("root", verified.roots().version());
    spool::put(state_dir, utc, &event.text("expires", show_time(verified.expires())));
}

/// Moves the file away, under a name that no earlier one has. An error: it is still where it was. The reason is durable
/// before it moves, so a crash can tell a refusal twice, and forget none. `is_new`: it was not told before.
pub(crate) fn rejected(
    state_dir: &Path,
    utc: UtcMicros,
    path: &Path,
    file: &str,
    reason: &str,
    is_new: bool,
) -> io::Result<()> {
    let folder = state_dir.join("inbox/rejected");
    let sha256 = files::read(path).map(|bytes| hex(&files::sha256(&bytes))).unwrap_or_default();
    files::directory(&folder)?;
    let name = free_name(&folder, file);
    files::replace_all(&[(folder.join(format!("{name}{REASON}")), format!("{reason}\n").as_bytes())])?;
    if is_new {
        let event = Event::new(Kind::BundleRejected).text("by", By::of(file).name()).text("file", file);
        let event = event.text("kept_as", &name).text("sha256", sha256);
        spool::put(state_dir, utc, &event.text("reason", reason));
    }
    files::rename(path, &folder.join(name))?;
    files::sync_parent(path)?;
    forget_rejected(&folder);
    Ok(())
}

/// `a.json`, `a.json.2`, `a.json.3`, ...
fn free_name(folder: &Path, file: &str) -> String {
    let is_free = |name: &String| fs::symlink_metadata(folder.join(name)).is_err();
    let numbered = (2..).map(|number: u32| format!("{file}.{number}"));
    std::iter::once(file.to_owned()).chain(numbered).find(is_free).expect("a folder has fewer files than names")
}

fn tell(kept: io::Result<()>) {
    if let Err(error) = kept {
        tracing::warn!(%error, "a copy of a bundle could not be kept");
    }
}

fn forget_oldest(folder: &Path, keep: usize) {
    oldest(folder, keep, |_| true).iter().for_each(|path| drop(fs::remove_file(path)));
}

/// By the time of the refusal: the file itself bears the time at which somebody wrote it.
fn forget_rejected(folder: &Path) {
    for reason in oldest(folder, KEPT, is_reason) {
        let _ = fs::remove_file(reason.to_string_lossy().trim_end_matches(REASON));
        let _ = fs::remove_file(reason);
    }
}

fn is_reason(path: &Path) -> bool {
    path.to_string_lossy().ends_with(REASON)
}

/// A crash can leave a reason before its file comes, and a person can delete the file alone.
fn is_reason_of_a_file(path: &Path) -> bool {
    path.to_string_lossy().strip_suffix(REASON).is_some_and(|file| Path::new(file).exists())
}

/// All but the newest `keep`.
fn oldest(folder: &Path, keep: usize, is_meant: fn(&Path) -> bool) -> Vec<PathBuf> {
    let files = by_age(folder, is_meant);
    let surplus = files.len().saturating_sub(keep);
    files.into_iter().take(surplus).map(|(_, path)| path).collect()
}

fn newest(folder: &Path, is_meant: fn(&Path) -> bool) -> Option<(SystemTime, PathBuf)> {
    by_age(folder, is_meant).pop()
}

fn by_age(folder: &Path, is_meant: fn(&Path) -> bool) -> Vec<(SystemTime, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| is_meant(&entry.path()))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    files
}
