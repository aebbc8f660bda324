//! `ledger.json` in the state directory: what was sealed for whom, kept over restarts.
//!
//! Written every few seconds and at the end. A process that is killed forgets what it sealed since the last writing, so a
//! quota can be exceeded by that much, and by no more, at each kill.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lingate_engine::{ExportLedger, Status};
use lingate_model::UtcMicros;
use tokio::sync::watch;

use crate::files;
use crate::supervise::Stop;
use crate::tls::show_time;

/// As many lines as a ledger keeps, each with the longest names, are less.
const LARGEST: u64 = 64 << 20;
const WRITE_EVERY: Duration = Duration::from_secs(5);

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

/// One that is damaged counts from the beginning, and that is told.
pub(crate) fn load(state_dir: &Path) -> ExportLedger {
    let path = path(state_dir);
    match read(state_dir) {
        Ok(bytes) => ExportLedger::from_json(&bytes).unwrap_or_else(|| {
            tracing::error!(
                "{} is damaged; the export ledger begins anew, and so does the day's quota",
                path.display()
            );
            ExportLedger::default()
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => ExportLedger::default(),
        Err(error) => {
            tracing::error!(%error, "{} cannot be read; the export ledger begins anew", path.display());
            ExportLedger::default()
        }
    }
}

/// Until told to stop. What is written last is what was sealed last: the caller stops this after the heart.
pub(crate) async fn keep(state_dir: PathBuf, status: watch::Receiver<Arc<Status>>, mut stop: Stop) {
    let mut written = status.borrow().rights.ledger.clone();
    let mut is_told = false;
    loop {
        let goes_on = stop.pause(WRITE_EVERY).await;
        let ledger = status.borrow().rights.ledger.clone();
        if ledger != written {
            let (path, bytes) = (path(&state_dir), ledger.to_json());
            let kept = tokio::task::spawn_blocking(move || files::replace_all(&[(path, &bytes)])).await;
            match kept.expect("writing the ledger does not panic") {
                Ok(()) => {
                    written = ledger;
                    is_told = false;
                }
                Err(error) if !is_told => {
                    is_told = true;
                    tracing::error!(%error, "the export ledger cannot be written; it is tried again");
                }
                Err(_) => {}
            }
        }
        if !goes_on {
            return;
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
        assert_eq!(load(home.path()).lines().count(), 4_000);
    }

    #[test]
    fn a_damaged_ledger_begins_anew_and_a_missing_one_is_empty() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(load(home.path()), ExportLedger::default());
        fs::write(path(home.path()), ExportLedger::default().to_json()).unwrap();
        assert_eq!(load(home.path()), ExportLedger::default());
        fs::write(path(home.path()), b"{").unwrap();
        assert_eq!(load(home.path()), ExportLedger::default());
    }
}
