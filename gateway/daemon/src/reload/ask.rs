//! `lingate reload` leaves an empty file in a folder; the daemon takes it and answers beside it. The folder belongs to the
//! daemon, so that it can take what another user put there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ReloadReport;
use crate::files;

const LOOK_EVERY: Duration = Duration::from_millis(500);
const NAME_MAX: usize = 64;

fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("reload")
}

fn answer_path(state_dir: &Path) -> PathBuf {
    state_dir.join("reload-answer.json")
}

/// For whoever wants another configuration: `name` comes back in the answer.
pub(crate) fn ask(state_dir: &Path, name: &str) -> io::Result<()> {
    files::directory(&folder(state_dir))?;
    fs::write(folder(state_dir).join(name), "")
}

/// `None`: not answered yet.
pub(crate) fn answer(state_dir: &Path, name: &str) -> Option<ReloadReport> {
    let answer: ReloadReport = serde_json::from_slice(&files::read(&answer_path(state_dir)).ok()?).ok()?;
    (answer.request.as_deref() == Some(name)).then_some(answer)
}

pub(super) fn tell(state_dir: &Path, report: &ReloadReport) -> io::Result<()> {
    let bytes = serde_json::to_vec(report).expect("texts and numbers");
    files::replace_all(&[(answer_path(state_dir), &bytes)])
}

/// Nobody waits for a request of before the start.
pub(crate) fn forget(state_dir: &Path) {
    while take(state_dir).is_some() {}
}

fn take(state_dir: &Path) -> Option<String> {
    let entry = fs::read_dir(folder(state_dir)).ok()?.flatten().next()?;
    fs::remove_file(entry.path()).ok()?;
    let name = entry.file_name().to_string_lossy().into_owned();
    Some(name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(NAME_MAX).collect())
}

/// Wishes for another configuration: by SIGHUP, or by name.
pub(crate) struct Asked {
    state_dir: PathBuf,
    hangup: Signal,
}

impl Asked {
    pub(crate) fn listen(state_dir: &Path) -> io::Result<Asked> {
        Ok(Asked { state_dir: state_dir.to_owned(), hangup: signal(SignalKind::hangup())? })
    }

    /// The name of who asked; `None`: a signal.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => return None,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let state_dir = self.state_dir.clone();
            let taken = tokio::task::spawn_blocking(move || take(&state_dir)).await;
            if let Some(name) = taken.expect("looking into a folder does not panic") {
                return Some(name);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_taken_once_and_its_answer_bears_its_name() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(take(home.path()), None);
        ask(home.path(), "abc-1").unwrap();
        assert_eq!((take(home.path()).as_deref(), take(home.path())), (Some("abc-1"), None));
        assert_eq!(answer(home.path(), "abc-1"), None);
        let report = ReloadReport { request: Some("abc-1".to_owned()), ..ReloadReport::default() };
        tell(home.path(), &report).unwrap();
        assert_eq!((answer(home.path(), "abc-1"), answer(home.path(), "abc-2")), (Some(report), None));
        ask(home.path(), "old").unwrap();
        forget(home.path());
        assert_eq!(take(home.path()), None);
    }
}
