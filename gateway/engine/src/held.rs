//! Streams of which the broker refuses a record. Such a stream waits, and no other.
//!
//! ```text
//!   refused ──▶ head: tried again with growing pauses ──taken──▶ the stream goes on, everything behind it is read again
//!                 │      after three refusals, one record from behind it is tried as well: is it the record or the stream?
//!                 └──────refused eight times, and others of the stream were taken──▶ quarantine, and the stream goes on
//! ```
//!
//! A refusal of everything is an access rule or a quota that somebody will mend: it is waited for. A KEY or a catalogue is
//! never set aside, because nobody could open or understand what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lingate_buffer::RecordId;
use lingate_model::{Backoff, DatasetAlias};
use lingate_seal::RecordKind;

use crate::deliver::{Attempt, Record};

/// First and longest pause before a refused record is tried again.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_CAP: Duration = Duration::from_secs(60);
/// First and longest pause before a record that nobody subscribed to is sent again.
const UNREAD_FIRST: Duration = Duration::from_secs(1);
const UNREAD_CAP: Duration = Duration::from_secs(5);
const PROBE_AFTER: u32 = 3;
const QUARANTINE_AFTER: u32 = 8;
/// What is remembered of refused records over a lost link.
const SUSPECTS_MAX: usize = 256;

/// What the broker said of one record.
#[derive(Clone, Debug)]
struct Refusals {
    pauses: Backoff,
    unread: Backoff,
    /// It took another record of the stream since the first refusal.
    others_taken: bool,
}

struct Held {
    refusals: Refusals,
    /// `None` while it is in flight.
    head: Option<(Duration, Record)>,
    /// The first one that waits behind it, to be tried as well; `None` if there is none, or while it is in flight.
    probe: Option<Record>,
    /// So many refusals had the head when the probe was tried last.
    probed_at: u32,
    /// Others were read and put back.
    has_passed: bool,
}

/// By stream.
#[derive(Default)]
pub(crate) struct HeldStreams {
    held: BTreeMap<DatasetAlias, Held>,
    suspects: BTreeMap<RecordId, Refusals>,
    /// The store is to hand everything out again.
    rewinds: bool,
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Refused,
    /// Nobody subscribes to its topic: that says nothing of the record, however often.
    Unread,
}

/// What becomes of a refused record.
pub(crate) enum Verdict {
    Waits,
    /// Not kept here: it is read again when its stream goes on.
    PutBack(RecordId),
    Poison(Record),
}

impl HeldStreams {
    pub(crate) fn holds(&self, alias: &DatasetAlias) -> bool {
        self.held.contains_key(alias)
    }

    /// A record of a stream that waits: `Some` if it is to be put back.
    pub(crate) fn pass(&mut self, record: Record) -> Option<RecordId> {
        let held = self.held.get_mut(record.sealed.alias())?;
        let is_candidate = record.sealed.kind() == RecordKind::Batch && held.probe.is_none() && !held.has_passed;
        if is_candidate {
            held.probe = Some(record);
            return None;
        }
        held.has_passed = true;
        Some(record.record)
    }

    pub(crate) fn refused(&mut self, monotonic: Duration, record: Record, why: Why) -> Verdict {
        let alias = record.sealed.alias().clone();
        match (record.attempt, self.held.get_mut(&alias)) {
            (Attempt::Probe, Some(held)) => {
                held.probe = Some(record);
                Verdict::Waits
            }
            (Attempt::First, Some(held)) => {
                held.has_passed = true;
                Verdict::PutBack(record.record)
            }
            (_, None) => {
                let new = || Refusals {
                    pauses: Backoff::new(RETRY_FIRST, RETRY_CAP),
                    unread: Backoff::new(UNREAD_FIRST, UNREAD_CAP),
                    others_taken: false,
                };
                let refusals = self.suspects.remove(&record.record).unwrap_or_else(new);
                let held = Held { refusals, head: None, probe: None, probed_at: 0, has_passed: false };
                self.held.insert(alias, held);
                self.set_aside(monotonic, record, why)
            }
            (Attempt::Head | Attempt::Retry, Some(_)) => self.set_aside(monotonic, record, why),
        }
    }

    fn set_aside(&mut self, monotonic: Duration, record: Record, why: Why) -> Verdict {
        let alias = record.sealed.alias().clone();
        let held = self.held.get_mut(&alias).expect("it is held");
        let opens = matches!(record.sealed.kind(), RecordKind::Key | RecordKind::Catalogue);
        let pause = match why {
            Why::Refused => held.refusals.pauses.next_pause(u32::MAX),
            Why::Unread => held.refusals.unread.next_pause(u32::MAX),
        };
        let is_refused = why == Why::Refused && held.refusals.others_taken;
        if is_refused && !opens && held.refusals.pauses.failures() >= QUARANTINE_AFTER {
            self.release(&alias);
            return Verdict::Poison(record);
        }
        held.head = Some((monotonic + pause, record));
        Verdict::Waits
    }

    /// The broker took this record.
    pub(crate) fn taken(&mut self, record: &Record) {
        let alias = record.sealed.alias();
        if record.attempt == Attempt::Head {
            self.release(&alias.clone());
        } else if let Some(held) = self.held.get_mut(alias) {
            held.refusals.others_taken = true;
        }
        self.suspects.remove(&record.record);
    }

    fn release(&mut self, alias: &DatasetAlias) {
        let released = self.held.remove(alias);
        self.rewinds |= released.is_some_and(|held| held.has_passed || held.probe.is_some());
    }

    /// What may be tried now: a head whose pause is over, or a probe.
    pub(crate) fn due(&mut self, monotonic: Duration) -> Option<Record> {
        self.held.values_mut().find_map(|held| {
            if let Some((_, mut record)) = held.head.take_if(|(at, _)| *at <= monotonic) {
                record.attempt = Attempt::Head;
                return Some(record);
            }
            let failures = held.refusals.pauses.failures();
            let is_wanted = failures >= PROBE_AFTER && failures > held.probed_at && !held.refusals.others_taken;
            let head = held.head.as_ref().filter(|_| is_wanted);
            let mut record = held.probe.take_if(|probe| is_of_epoch(head, probe))?;
            record.attempt = Attempt::Probe;
            held.probed_at = failures;
            Some(record)
        })
    }

    /// When `due` gives something that it does not give now.
    pub(crate) fn wake_at(&self) -> Option<Duration> {
        self.held.values().filter_map(|held| Some(held.head.as_ref()?.0)).min()
    }

    /// The link is lost: everything is handed out again. What is known of refused records is remembered.
    pub(crate) fn forget(&mut self, in_flight: &BTreeMap<crate::PublishId, Record>) {
        let heads = in_flight.values().filter(|record| record.attempt == Attempt::Head);
        let heads: BTreeMap<DatasetAlias, RecordId> =
            heads.map(|record| (record.sealed.alias().clone(), record.record)).collect();
        for (alias, held) in std::mem::take(&mut self.held) {
            let record = held.head.map(|(_, record)| record.record).or_else(|| heads.get(&alias).copied());
            if let Some(record) = record.filter(|_| self.suspects.len() < SUSPECTS_MAX) {
                self.suspects.insert(record, held.refusals);
            }
        }
        self.rewinds = false;
    }

    pub(crate) fn drop_those_of(&mut self, is_meant: &dyn Fn(&DatasetAlias) -> bool) {
        let doomed: BTreeSet<DatasetAlias> = self.held.keys().filter(|alias| is_meant(alias)).cloned().collect();
        doomed.iter().for_each(|alias| self.release(alias));
    }

    pub(crate) fn waits(&self, record: RecordId) -> bool {
        let mut kept = self.held.values().flat_map(|held| held.head.iter().map(|(_, it)| it).chain(&held.probe));
        kept.any(|it| it.record == record)
    }

    pub(crate) fn take_rewind(&mut self) -> bool {
        std::mem::take(&mut self.rewinds)
    }
}

/// A probe that no KEY opened yet says nothing.
fn is_of_epoch(head: Option<&(Duration, Record)>, probe: &Record) -> bool {
    let opens = |record: &Record| matches!(record.sealed.kind(), RecordKind::Key | RecordKind::Catalogue);
    head.is_some_and(|(_, head)| head.sealed.kid() == probe.sealed.kid() && !opens(head))
}

/// In words, for everybody who asks why nothing arrives.
pub fn unread(topic: &str) -> String {
    format!(
        "the broker has no subscriber for {topic}: no receiver of the sandbox is connected to it, or it reads other topics"
    )
}
