//! What gap records said that are not acknowledged yet: it waits again if the record itself is refused or lost.

use std::collections::VecDeque;

use lingate_buffer::Loss;
use lingate_seal::{GapRecord, Kid, RecordKind, Sealed};

use crate::receipts::Sent;

/// So many unacknowledged gap records are remembered; what older ones said stands in the buffer's notes.
const DECLARED_MAX: usize = 4_096;

#[derive(Default)]
pub(crate) struct Declared(VecDeque<Said>);

pub(crate) struct Said {
    kid: Kid,
    seq: u64,
    pub(crate) gap: GapRecord,
    /// The buffer told it, and tells it again.
    pub(crate) is_told: bool,
}

impl Declared {
    pub(crate) fn add(&mut self, sealed: &Sealed, gap: GapRecord, is_told: bool) {
        self.0.push_back(Said { kid: sealed.kid(), seq: sealed.seq(), gap, is_told });
        let excess = self.0.len().saturating_sub(DECLARED_MAX);
        self.0.drain(..excess);
    }

    /// What this gap record says.
    pub(crate) fn said_by(&self, sealed: &Sealed) -> Option<&GapRecord> {
        let said = || self.0.iter().rev().find(|said| (said.kid, said.seq) == (sealed.kid(), sealed.seq()));
        (sealed.kind() == RecordKind::Gap).then(said).flatten().map(|said| &said.gap)
    }

    /// What an earlier process declared in these records is known from their notes alone. Gives how many it learned.
    pub(crate) fn remember(&mut self, loss: &Loss) -> u64 {
        let mut learned = 0;
        for (seq, note) in &loss.notes {
            let is_known = self.0.iter().any(|said| (said.kid, said.seq) == (loss.kid, *seq));
            if let Some(gap) = GapRecord::from_bytes(note).filter(|_| !is_known) {
                self.0.push_back(Said { kid: loss.kid, seq: *seq, gap, is_told: true });
                learned += 1;
            }
        }
        learned
    }

    /// These records will not come: what the gap records among them said.
    pub(crate) fn take(&mut self, kid: Kid, first_seq: u64, last_seq: u64) -> Vec<Said> {
        let is_lost = |said: &Said| said.kid == kid && (first_seq..=last_seq).contains(&said.seq);
        let (lost, left): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.0).into_iter().partition(is_lost);
        self.0 = left;
        lost.into()
    }

    pub(crate) fn acknowledged(&mut self, sent: &Sent) {
        if sent.kind == RecordKind::Gap {
            self.0.retain(|said| (said.kid, said.seq) != (sent.kid, sent.seq));
        }
    }
}
