//! `lingate buffer quarantine retry` leaves a file; the daemon takes it and tries the records once more.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lingate_buffer::RecordId;
use lingate_engine::Input;
use tokio::sync::mpsc;

use crate::files;
use crate::heart::Message;
use crate::supervise::Stop;

const LOOK_EVERY: Duration = Duration::from_secs(1);

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("retry")
}

/// One record in a line; an empty file asks for all.
pub(crate) fn ask(state_dir: &Path, records: &[RecordId]) -> io::Result<()> {
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    files::replace_all(&[(path(state_dir), lines.as_bytes())])
}

/// What was asked since the last call.
fn take(state_dir: &Path) -> Option<Vec<RecordId>> {
    let asked = files::read(&path(state_dir)).ok()?;
    if let Err(error) = fs::remove_file(path(state_dir)) {
        tracing::warn!(%error, "a request to retry records cannot be removed; it is left alone");
        return None;
    }
    let asked = String::from_utf8_lossy(&asked).into_owned();
    let records: Vec<RecordId> = asked.lines().filter_map(|line| line.trim().parse().ok()).collect();
    // Lines that name nothing must not ask for everything.
    (asked.trim().is_empty() || !records.is_empty()).then_some(records)
}

/// Looks until told to stop.
pub(crate) async fn watch(state_dir: PathBuf, heart: mpsc::Sender<Message>, mut stop: Stop) {
    while stop.pause(LOOK_EVERY).await {
        let asked = state_dir.clone();
        let taken = tokio::task::spawn_blocking(move || take(&asked)).await.expect("reading one file does not panic");
        let Some(records) = taken else { continue };
        tracing::info!(records = records.len(), "records of the quarantine are tried once more (0: all of them)");
        if heart.send(Message::Input(Input::Retry(records))).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_once_and_nonsense_asks_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(take(folder.path()), None);
        let record: RecordId = "normal-42".parse().unwrap();
        ask(folder.path(), &[record]).unwrap();
        assert_eq!((take(folder.path()), take(folder.path())), (Some(vec![record]), None));
        ask(folder.path(), &[]).unwrap();
        assert_eq!(take(folder.path()), Some(Vec::new()));
        fs::write(path(folder.path()), "everything\n").unwrap();
        assert_eq!(take(folder.path()), None);
    }
}
