//! What the buffer tells its owner.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use lingate_model::{DatasetAlias, Priority, UtcMicros};
use lingate_seal::{Kid, RecordKind};

use crate::frame::{Identity, PURGED};

/// A record's place: `position` is dense per class, from 0, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    pub priority: Priority,
    pub position: u64,
}

/// What one `commit` made durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// In append order.
    pub records: Vec<(RecordId, Kid, u64)>,
    pub readings: u64,
}

/// Records that were durable and will never be read again. The engine turns each into a gap record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    pub priority: Priority,
    /// The dataset's alias. `None` if nothing could tell whose the records were: then `kid`, `first_seq`, `last_seq` and
    /// `keys` are zero and only the counts hold.
    pub alias: Option<DatasetAlias>,
    pub kid: Kid,
    pub first_seq: u64,
    pub last_seq: u64,
    pub records: u64,
    /// How many of `records` are KEY messages, which share seq 0 with the first DATA. If all are, no DATA is lost by
    /// itself, but none of the epoch can be opened.
    pub keys: u64,
    /// KEY or catalogue is among the records: without them nobody understands the rest of the epoch.
    pub loses_epoch: bool,
    /// What the owner noted of these records, by sequence number; not of those whose bytes are damaged.
    pub notes: Vec<(u64, Vec<u8>)>,
    pub readings: u64,
    pub cause: LossCause,
    /// It had been handed out for sending, so it may have arrived. After a crash that is assumed of all that was there.
    pub maybe_delivered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossCause {
    Overflow,
    Corruption,
    /// The owner had its bytes destroyed.
    Purge,
    /// A broker refuses it for ever: its bytes are set aside.
    Quarantine,
}

/// What `open` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The last process ended with `close`. An empty directory counts as clean.
    pub clean: bool,
    /// Wall time of the last commit that is known; `None` on a new disk.
    pub last_commit: Option<UtcMicros>,
    /// Durable records that wait for delivery or, if they are lost, to be declared.
    pub records: u64,
    /// Bytes of a torn, never reported tail that was cut.
    pub torn_bytes: u64,
    /// The last record of every stream in the last segment of a class: kid and number, `None` for a KEY or one that was purged. Of a stream
    /// that is in several classes' segments nothing is told, because it is not known which of them is newer.
    pub heads: BTreeMap<DatasetAlias, (Kid, Option<u64>)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub max_bytes: u64,
    pub records_waiting: u64,
    pub readings_waiting: u64,
    /// Commit time of the oldest record that waits; before it was read for the first time in this process, the time
    /// when its segment began or the record before it was committed.
    pub oldest: Option<UtcMicros>,
    pub segments: u64,
    /// Since `open`: records that could not be read, and records of which one flipped bit was put right.
    pub damaged: u64,
    pub repaired: u64,
    /// Bytes that `commit` made durable since `open`: what filling up is measured by.
    pub committed_bytes: u64,
    /// Records that were set aside and are still there.
    pub quarantined: u64,
}

impl Loss {
    pub(crate) fn of(priority: Priority, identity: &Identity, cause: LossCause, maybe_delivered: bool) -> Loss {
        let kind = identity.kind & !PURGED;
        Loss {
            priority,
            alias: Some(identity.alias.clone()),
            kid: identity.kid,
            first_seq: identity.seq,
            last_seq: identity.seq,
            records: 1,
            keys: u64::from(kind == RecordKind::Key as u8),
            loses_epoch: [RecordKind::Key as u8, RecordKind::Catalogue as u8].contains(&kind),
            notes: Vec::new(),
            readings: u64::from(identity.readings),
            cause: if identity.is_purged() { LossCause::Purge } else { cause },
            maybe_delivered,
        }
    }

    pub(crate) fn with_note(mut self, identity: &Identity, payload: &[u8]) -> Loss {
        let (_, note) = identity.split(payload);
        self.notes.extend((!note.is_empty()).then(|| (identity.seq, note.to_vec())));
        self
    }

    pub(crate) fn unknown(priority: Priority, records: u64, readings: u64, maybe_delivered: bool) -> Loss {
        Loss {
            priority,
            alias: None,
            kid: Kid([0; 8]),
            first_seq: 0,
            last_seq: 0,
            records,
            keys: 0,
            loses_epoch: false,
            notes: Vec::new(),
            readings,
            cause: LossCause::Corruption,
            maybe_delivered,
        }
    }

    /// Takes in the next record of the same stream, if the range stays without a hole.
    fn absorb(&mut self, next: &Loss) -> bool {
        let follows = self.last_seq.checked_add(1) == Some(next.first_seq) || self.last_seq == next.first_seq;
        let same = (&self.alias, self.kid, self.cause, self.maybe_delivered)
            == (&next.alias, next.kid, next.cause, next.maybe_delivered);
        if !same || !follows {
            return false;
        }
        self.last_seq = next.last_seq;
        self.records += next.records;
        self.keys += next.keys;
        self.loses_epoch |= next.loses_epoch;
        self.notes.extend_from_slice(&next.notes);
        self.readings += next.readings;
        true
    }
}

/// Losses of many records, merged per stream, in the order of each one's first record.
pub(crate) fn merge(losses: Vec<Loss>) -> Vec<Loss> {
    let mut merged: Vec<Loss> = Vec::new();
    let mut newest = BTreeMap::<Kid, usize>::new();
    for loss in losses {
        let taken = loss.alias.is_some() && newest.get(&loss.kid).is_some_and(|at| merged[*at].absorb(&loss));
        if !taken {
            newest.insert(loss.kid, merged.len());
            merged.push(loss);
        }
    }
    merged
}

/// Positions that need nothing more once their losses are declared, and the readings in them.
pub(crate) type Lost = (Range<u64>, u64);

/// Losses on their way to a durable gap record: found, told, declared.
#[derive(Default)]
pub(crate) struct Losses {
    /// The last loss of a group carries the whole group.
    found: VecDeque<(Loss, Option<Lost>)>,
    told: Vec<Lost>,
}

impl Losses {
    /// The positions need nothing more when the last of these losses is declared.
    pub(crate) fn push(&mut self, losses: Vec<Loss>, positions: Range<u64>) {
        let readings = losses.iter().map(|loss| loss.readings).sum();
        let last = losses.len().saturating_sub(1);
        let entries = losses.into_iter().enumerate();
        self.found.extend(entries.map(|(at, loss)| (loss, (at == last).then(|| (positions.clone(), readings)))));
    }

    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// That are lost and not declared.
    pub(crate) fn readings(&self) -> u64 {
        let found = self.found.iter().filter_map(|(_, group)| group.as_ref());
        found.chain(&self.told).map(|(_, readings)| readings).sum()
    }

    pub(crate) fn tell(&mut self, at_most: usize) -> Vec<Loss> {
        let count = self.found.len().min(at_most);
        let (losses, ends): (Vec<_>, Vec<_>) = self.found.drain(..count).unzip();
        self.told.extend(ends.into_iter().flatten());
        losses
    }

    /// What was told since the last call.
    pub(crate) fn take_told(&mut self) -> Vec<Lost> {
        std::mem::take(&mut self.told)
    }
}
