use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::backfill::Delivered;
use super::limits::Limits;

/// What a device's sessions leave to the next one.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Kept>);

#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) counters: BTreeMap<&'static str, u64>,
    has_been_connected: bool,
    pub(crate) delivered: Delivered,
    /// How much the server takes at once.
    pub(crate) limits: Option<Limits>,
}

/// All of them are shown from the start: a counter that is not there cannot be watched.
const COUNTERS: [&str; 16] = [
    "backfilled",
    "dead_subscriptions",
    "deadband_own",
    "decode_failures",
    "history_refused",
    "notification_lost",
    "opaque",
    "overflows",
    "publishes",
    "queues_reduced",
    "reconnects",
    "requests_halved",
    "republished",
    "server_restarts",
    "skewed",
    "type_mismatches",
];

impl Default for Kept {
    fn default() -> Kept {
        Kept { counters: COUNTERS.into_iter().map(|name| (name, 0)).collect(), has_been_connected: false, delivered: Delivered::default(), limits: None }
    }
}

impl Memory {
    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session begins: every one but the first is a reconnect.
    pub(crate) fn begin(&self) {
        let is_again = std::mem::replace(&mut self.kept().has_been_connected, true);
        self.count("reconnects", u64::from(is_again));
    }

    pub(crate) fn count(&self, counter: &'static str, more: u64) {
        if more > 0 {
            let mut kept = self.kept();
            let count = kept.counters.entry(counter).or_default();
            *count = count.saturating_add(more);
        }
    }
}
