//! `lingate buffer quarantine retry` leaves a file; the daemon tries its records once more, and removes it when that is done.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lingate_buffer::RecordId;
use lingate_engine::{Input, Status};
use tokio::sync::{mpsc, watch};

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

/// What is asked.
fn read(state_dir: &Path) -> Option<Vec<u8>> {
    files::read(&path(state_dir)).ok()
}

/// `None`: nothing that it names is a record.
fn records(asked: &[u8]) -> Option<Vec<RecordId>> {
    let asked = String::from_utf8_lossy(asked);
    let records: Vec<RecordId> = asked.lines().filter_map(|line| line.trim().parse().ok()).collect();
    // Lines that name nothing must not ask for everything.
    (asked.trim().is_empty() || !records.is_empty()).then_some(records)
}

/// If it still asks the same.
fn remove(state_dir: &Path, asked: &[u8]) {
    if read(state_dir).as_deref() == Some(asked)
        && let Err(error) = fs::remove_file(path(state_dir))
    {
        tracing::warn!(%error, "a request to retry records cannot be removed; the next start asks once more");
    }
}

/// A request that the engine has heard, as the `count`th since its start.
struct Asked {
    bytes: Vec<u8>,
    count: u64,
}

/// Looks until told to stop. The file stays until each of its records was delivered or refused once more, so that neither a
/// lost link nor a restart loses the request.
pub(crate) async fn keep_asking(
    state_dir: PathBuf,
    status: watch::Receiver<Arc<Status>>,
    heart: mpsc::Sender<Message>,
    mut stop: Stop,
) {
    let mut asked: Option<Asked> = None;
    while stop.pause(LOOK_EVERY).await {
        let folder = state_dir.clone();
        let found = tokio::task::spawn_blocking(move || read(&folder)).await.expect("reading one file does not panic");
        let link = status.borrow().link.clone();
        let Some(bytes) = found else {
            asked = None;
            continue;
        };
        if let Some(known) = asked.take_if(|known| known.bytes == bytes) {
            match link.retrying == 0 && link.retries_asked >= known.count {
                true => remove(&state_dir, &bytes),
                false => asked = Some(known),
            }
            continue;
        }
        let Some(records) = records(&bytes) else {
            remove(&state_dir, &bytes);
            continue;
        };
        tracing::info!(records = records.len(), "records of the quarantine are tried once more (0: all of them)");
        if heart.send(Message::Input(Input::Retry(records))).await.is_err() {
            return;
        }
        asked = Some(Asked { bytes, count: link.retries_asked + 1 });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;
    use crate::supervise::stop;

    #[test]
    fn nonsense_asks_for_nothing_and_an_empty_file_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let asked = || records(&read(folder.path()).unwrap());
        assert_eq!(read(folder.path()), None);
        let record: RecordId = "normal-42".parse().unwrap();
        ask(folder.path(), &[record]).unwrap();
        assert_eq!(asked(), Some(vec![record]));
        remove(folder.path(), b"another");
        assert_eq!(asked(), Some(vec![record]), "what was asked meanwhile");
        ask(folder.path(), &[]).unwrap();
        assert_eq!(asked(), Some(Vec::new()));
        fs::write(path(folder.path()), "everything\n").unwrap();
        assert_eq!(asked(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_stays_until_it_is_done_and_another_process_takes_it_up() {
        let folder = tempfile::tempdir().unwrap();
        ask(folder.path(), &[]).unwrap();
        for (retrying, stays) in [(1, true), (0, false)] {
            let status = |retries_asked, retrying| {
                let mut status = crate::health::tests::status();
                (status.link.retries_asked, status.link.retrying) = (retries_asked, retrying);
                Arc::new(status)
            };
            let (tell, told) = watch::channel(status(0, 0));
            let (heart, mut heard) = mpsc::channel(4);
            let (stopper, stopped) = stop();
            let watching = tokio::spawn(keep_asking(folder.path().to_owned(), told, heart, stopped));
            assert!(matches!(heard.recv().await, Some(Message::Input(Input::Retry(records))) if records.is_empty()));
            tokio::time::sleep(LOOK_EVERY * 3).await;
            assert!(read(folder.path()).is_some(), "the engine has not heard it");
            tell.send(status(1, retrying)).unwrap();
            tokio::time::sleep(LOOK_EVERY * 3).await;
            assert_eq!(read(folder.path()).is_some(), stays, "{retrying}");
            assert!(heard.try_recv().is_err(), "it is asked once");
            stopper.stop();
            watching.await.unwrap();
        }
    }
}
