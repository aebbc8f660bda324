//! `ledger.json` in the state directory: what was sealed for whom, kept over restarts.
//!
//! Written every few seconds and at the end, and at once when a dataset with a quota needs more of it: a part of a quota is
//! used only when the file that reserves it is durable. After a process that was killed, all that it had reserved counts
//! as used; after one that ended by itself, what it used.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lingate_engine::{ExportLedger, Input, Quota, Status};
use lingate_model::{DatasetId, UtcMicros};
use tokio::sync::{mpsc, watch};

use crate::files;
use crate::heart::Message;
use crate::supervise::Stop;
use crate::tls::show_time;

/// As many lines as a ledger keeps, each with the longest names, are less.
const LARGEST: u64 = 64 << 20;
const WRITE_EVERY: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(1);

pub(crate) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("ledger.json")
}

pub(crate) fn read(state_dir: &Path) -> io::Result<Vec<u8>> {
    files::read_up_to(&path(state_dir), LARGEST)
}

/// `2026-11-23`
pub(crate) fn date(day: i64) -> String {
    let time = show_time(UtcMicros(day.saturating_mul(86_400_000_000)));
    time.split('T').next().unwrap_or_default().to_owned()
}

type Quotas = BTreeMap<DatasetId, Quota>;

/// For a process that begins, with its first reservations on disk. Where they cannot be written none is made, and what
/// has a quota is not sealed until they can.
pub(crate) fn begin(state_dir: &Path, utc: UtcMicros, quotas: &Quotas) -> ExportLedger {
    let mut ledger = load(state_dir, utc, quotas);
    ledger.settle(utc);
    ledger.reserve(utc, quotas);
    if quotas.is_empty() {
        return ledger;
    }
    match write(state_dir, &ledger) {
        Ok(()) => ledger,
        Err(error) => {
            tracing::error!(%error, "the export ledger cannot be written; datasets with a quota wait for it");
            ledger.settled()
        }
    }
}

/// One that is damaged counts from the beginning, and that is told; what has a quota has used it up on this day.
fn load(state_dir: &Path, utc: UtcMicros, quotas: &Quotas) -> ExportLedger {
    let found = match read(state_dir) {
        Ok(bytes) => ExportLedger::from_json(&bytes).ok_or("it is damaged".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ExportLedger::default()),
        Err(error) => Err(error.to_string()),
    };
    found.unwrap_or_else(|why| {
        let path = path(state_dir);
        tracing::error!(
            "{}: {why}; the export ledger begins anew, and the quotas of this day count as used",
            path.display()
        );
        let mut ledger = ExportLedger::default();
        quotas.keys().for_each(|dataset| ledger.use_up(utc, dataset));
        ledger
    })
}

fn write(state_dir: &Path, ledger: &ExportLedger) -> io::Result<()> {
    files::replace_all(&[(path(state_dir), &ledger.to_json())])
}

/// Until told to stop. What is written last is what was sealed last: the caller stops this after the heart.
pub(crate) async fn keep(
    state_dir: PathBuf,
    mut status: watch::Receiver<Arc<Status>>,
    heart: mpsc::Sender<Message>,
    mut stop: Stop,
) {
    let on_disk = read(&state_dir).ok().and_then(|bytes| ExportLedger::from_json(&bytes));
    let mut written = on_disk.unwrap_or_default();
    let mut is_told = false;
    loop {
        let goes_on = tokio::select! {
            goes_on = stop.pause(WRITE_EVERY) => goes_on,
            () = asks_for_more(&mut status, &written) => true,
        };
        let ledger = status.borrow().rights.ledger.clone();
        let ledger = if goes_on { ledger } else { ledger.settled() };
        if ledger == written {
            if goes_on { continue } else { return }
        }
        let (folder, new) = (state_dir.clone(), ledger.clone());
        let kept = tokio::task::spawn_blocking(move || write(&folder, &new)).await;
        match kept.expect("writing the ledger does not panic") {
            Ok(()) => {
                let reserved = Message::Input(Input::Reserved(ledger.reserved().clone()));
                if goes_on && *ledger.reserved() != *written.reserved() && heart.send(reserved).await.is_err() {
                    return;
                }
                (written, is_told) = (ledger, false);
            }
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::error!(%error, "the export ledger cannot be written; it is tried again");
                }
                if goes_on && !stop.pause(RETRY).await {
                    return;
                }
            }
        }
        if !goes_on {
            return;
        }
    }
}

async fn asks_for_more(status: &mut watch::Receiver<Arc<Status>>, written: &ExportLedger) {
    while status.borrow_and_update().rights.ledger.reserved() == written.reserved() {
        if status.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_ledger_of_years_is_not_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let line = |day: u32| {
            let recipient = format!("role:{day:0>300}");
            json!([{"day": day, "dataset": "ds", "purpose": "urn:p", "recipient": recipient}, {"records": 1, "bytes": 1}])
        };
        let lines: Vec<_> = (0..4_000).map(line).collect();
        let bytes = json!({"lines": lines, "totals": [], "aliases": {}}).to_string();
        assert!(bytes.len() as u64 > files::LARGEST);
        fs::write(path(home.path()), bytes).unwrap();
        assert_eq!(begin(home.path(), UtcMicros(0), &Quotas::new()).lines().count(), 4_000);
    }

    fn quotas() -> Quotas {
        Quotas::from([("ds".parse().unwrap(), Quota { records: Some(1_600), bytes: None })])
    }

    #[test]
    fn a_damaged_ledger_begins_anew_with_its_quotas_used_and_a_missing_one_is_empty() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(load(home.path(), UtcMicros(0), &quotas()), ExportLedger::default());
        fs::write(path(home.path()), ExportLedger::default().to_json()).unwrap();
        assert_eq!(load(home.path(), UtcMicros(0), &quotas()), ExportLedger::default());
        fs::write(path(home.path()), b"{").unwrap();
        assert_eq!(load(home.path(), UtcMicros(0), &Quotas::new()), ExportLedger::default());
        assert_eq!(load(home.path(), UtcMicros(0), &quotas()).total(UtcMicros(0), "ds").records, u64::MAX);
    }

    #[test]
    fn what_a_killed_process_had_reserved_is_used_at_the_next_start() {
        let home = tempfile::tempdir().unwrap();
        let used = |ledger: &ExportLedger| ledger.total(UtcMicros(0), "ds").records;
        assert_eq!(used(&begin(home.path(), UtcMicros(0), &quotas())), 0);
        assert_eq!(used(&begin(home.path(), UtcMicros(0), &quotas())), 100, "it was killed");
        write(home.path(), &begin(home.path(), UtcMicros(0), &quotas()).settled()).unwrap();
        assert_eq!(used(&begin(home.path(), UtcMicros(0), &quotas())), 200, "the second was killed, the third was not");
    }

    #[test]
    fn without_a_disk_nothing_is_reserved() {
        let home = tempfile::tempdir().unwrap();
        let ledger = begin(&home.path().join("missing"), UtcMicros(0), &quotas());
        assert!(ledger.reserved().is_empty());
    }

    #[tokio::test]
    async fn a_part_of_a_quota_is_told_only_when_it_is_on_disk() {
        let home = tempfile::tempdir().unwrap();
        let mut status = crate::health::tests::status();
        status.rights.ledger = begin(home.path(), UtcMicros(0), &quotas());
        let (told, seen) = watch::channel(Arc::new(status.clone()));
        let (heart, mut messages) = mpsc::channel(4);
        let (stopper, stop) = crate::supervise::stop();
        let keeper = tokio::spawn(keep(home.path().to_owned(), seen, heart, stop));
        status.rights.ledger.reserve(UtcMicros(86_400_000_000), &quotas());
        let asked = status.rights.ledger.clone();
        told.send_replace(Arc::new(status));
        let Some(Message::Input(Input::Reserved(reserved))) = messages.recv().await else { panic!("no word of it") };
        assert_eq!((&reserved, read(home.path()).unwrap()), (asked.reserved(), asked.to_json()));
        stopper.stop();
        keeper.await.unwrap();
        assert_eq!(read(home.path()).unwrap(), asked.settled().to_json(), "an end by itself leaves nothing reserved");
    }
}
