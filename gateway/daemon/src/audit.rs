//! The audit log's owner: a thread of its own, so that a slow or broken disk keeps nobody else waiting.
//!
//! ```text
//! audit/00000001.jsonl ...   lines, see lingate-audit
//! audit/00000001.cosigned    the newest checkpoint within a file that the sandbox cosigned
//! audit/checkpoint           the newest checkpoint, signed by this gateway
//! audit/key.txt              the key that signs checkpoints, as a verifier reads it
//! audit/spool/               events of other programs of the plant, taken into the log within seconds
//! ```
//!
//! Whoever tells an event never waits and never fails. What cannot be written waits, up to a bound; beyond it events are
//! counted, and the first line that can be written again says how many. Health shows it meanwhile.

mod checkpoints;
mod ear;
mod keeper;
mod shelf;
pub(crate) mod spool;
mod watch;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lingate_audit::{Event, Signer, Verifier};
use lingate_engine::Status;
use lingate_model::{Clock, GatewayId, TenantId, UtcMicros};
use serde::{Deserialize, Serialize};
use tokio::sync::watch as channel;

pub(crate) use checkpoints::{checkpoint_path, key_path};
pub(crate) use ear::Ear;
pub(crate) use shelf::files;

/// Events that wait for the thread; it takes them at once unless its disk hangs.
const QUEUE: usize = 4096;
const ENDS: Duration = Duration::from_secs(2);

pub(crate) fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("audit")
}

/// `lingate/{tenant}/{gateway}/audit`: what checkpoints call this log.
pub(crate) fn origin(tenant: &TenantId, gateway: &GatewayId) -> String {
    format!("lingate/{tenant}/{gateway}/audit")
}

enum Order {
    Event(UtcMicros, Event),
    /// From the sandbox, unverified: a checkpoint that it cosigned.
    Cosigned(Vec<u8>),
    /// Something lies in `Said`.
    Look,
}

/// What must not be lost to a full queue: the newest of each, until the thread takes it.
#[derive(Default)]
struct Said {
    /// Who may cosign.
    witnesses: Option<Vec<Verifier>>,
    status: Option<channel::Receiver<Arc<Status>>>,
    /// What is in the queue is the last.
    ends: bool,
}

/// What health shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Health {
    pub(crate) lines: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Lines of the newest checkpoint, and of the newest that the sandbox cosigned.
    pub(crate) checkpoint: u64,
    pub(crate) cosigned: u64,
    /// By the sandbox's clock; seconds since 1970.
    pub(crate) cosigned_at: u64,
    /// Events that could not be written, since the start.
    pub(crate) lost: u64,
    /// Why nothing can be written.
    pub(crate) fault: Option<String>,
    /// Why the sandbox cannot cosign.
    pub(crate) dispute: Option<String>,
}

#[derive(Default)]
struct Shared {
    health: Mutex<Health>,
    said: Mutex<Said>,
    /// Events for which the queue had no room.
    dropped: AtomicU64,
}

/// Tells the log what happened.
#[derive(Clone)]
pub(crate) struct Audit {
    orders: SyncSender<Order>,
    shared: Arc<Shared>,
    /// What is published on topic `a`.
    submission: channel::Receiver<Option<Arc<[u8]>>>,
}

/// What the log begins with.
pub(crate) struct Beginning {
    pub(crate) state_dir: PathBuf,
    pub(crate) origin: String,
    pub(crate) signer: Option<Signer>,
    /// Of the configuration.
    pub(crate) config_sha256: String,
    pub(crate) software: String,
}

/// Ends the thread with the log's last line and checkpoint.
pub(crate) struct Running {
    audit: Audit,
    ended: std::sync::mpsc::Receiver<()>,
}

pub(crate) fn start(beginning: Beginning, clock: Arc<dyn Clock>) -> std::io::Result<(Audit, Running)> {
    let (orders, queue) = sync_channel(QUEUE);
    let (submit, submission) = channel::channel(None);
    let (ending, ended) = sync_channel(1);
    let shared = Arc::new(Shared::default());
    let keeper = keeper::Keeper::new(beginning, clock, shared.clone(), submit);
    std::thread::Builder::new().name("audit".to_owned()).spawn(move || {
        keeper.run(&queue);
        let _ = ending.send(());
    })?;
    let audit = Audit { orders, shared, submission };
    Ok((audit.clone(), Running { audit, ended }))
}

impl Audit {
    pub(crate) fn tell(&self, at: UtcMicros, event: Event) {
        if let Err(TrySendError::Full(_)) = self.orders.try_send(Order::Event(at, event)) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn cosigned(&self, bytes: &[u8]) {
        // What finds no room is sent again with the next checkpoint.
        let _ = self.orders.try_send(Order::Cosigned(bytes.to_vec()));
    }

    pub(crate) fn witnesses(&self, witnesses: Vec<Verifier>) {
        self.say(|said| said.witnesses = Some(witnesses));
    }

    pub(crate) fn watch(&self, status: channel::Receiver<Arc<Status>>) {
        self.say(|said| said.status = Some(status));
    }

    fn say(&self, what: impl FnOnce(&mut Said)) {
        what(&mut self.shared.said.lock().unwrap_or_else(PoisonError::into_inner));
        // Behind a full queue the thread looks all the same.
        let _ = self.orders.try_send(Order::Look);
    }

    pub(crate) fn submission(&self) -> channel::Receiver<Option<Arc<[u8]>>> {
        self.submission.clone()
    }

    pub(crate) fn health(&self) -> Health {
        let mut health = self.shared.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
        health.lost = health.lost.saturating_add(self.shared.dropped.load(Ordering::Relaxed));
        health
    }

    /// One that keeps nothing, for tests of what tells it.
    pub(crate) fn deaf() -> Audit {
        let (orders, _) = sync_channel(1);
        Audit { orders, shared: Arc::default(), submission: channel::channel(None).1 }
    }
}

impl Running {
    /// Blocks for two seconds at most: a disk that hangs must not hold up the end.
    pub(crate) fn stop(self) {
        self.audit.say(|said| said.ends = true);
        if self.ended.recv_timeout(ENDS) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(
                "the audit log did not end in time; its newest lines may be missing, which the next start declares"
            );
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn what_is_said_behind_a_full_queue_is_heard_and_the_log_ends_with_its_last_line() {
        let home = tempfile::tempdir().unwrap();
        let (orders, queue) = sync_channel(2);
        let (submit, submission) = channel::channel(None);
        let (ending, ended) = sync_channel(1);
        let audit = Audit { orders, shared: Arc::default(), submission };
        for _ in 0..3 {
            audit.tell(UtcMicros(1), Event::new(lingate_audit::Kind::SourceUp).text("device", "press-1"));
        }
        audit.witnesses(Vec::new());
        let state_dir = home.path().to_owned();
        let (origin, software) = ("lingate/acme/gw-1/audit".to_owned(), String::new());
        let beginning = Beginning { state_dir, origin, signer: None, config_sha256: String::new(), software };
        let keeper = keeper::Keeper::new(beginning, Arc::new(SystemClock::start()), audit.shared.clone(), submit);
        let running = Running { audit: audit.clone(), ended };
        audit.say(|said| said.ends = true);
        keeper.run(&queue);
        ending.send(()).unwrap();
        running.stop();
        let lines = std::fs::read_to_string(folder(home.path()).join("00000001.jsonl")).unwrap();
        let last = lines.lines().last().unwrap();
        assert!(lines.contains("source.up") && last.contains("\"ev\":\"stop\""), "{lines}");
        assert!(audit.shared.said.lock().unwrap().witnesses.is_none() && audit.health().lost == 1);
    }
}
