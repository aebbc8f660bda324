//! What gap records said that are not acknowledged yet: it waits again if the record itself is refused or lost.

use std::collections::VecDeque;

use lingate_buffer::Loss;
use lingate_seal::{GapRecord, Kid, RecordKind, Sealed};

use crate::gaps;
use crate::receipts::Sent;

/// So many unacknowledged gap records are remembered; what older ones said stands in the buffer's notes.
const DECLARED_MAX: usize = 4_096;

#[derive(Default)]
pub(crate) struct Declared(VecDeque<(Kid, u64, GapRecord)>);

impl Declared {
    pub(crate) fn add(&mut self, sealed: &Sealed, gap: GapRecord) {
        self.0.push_back((sealed.kid(), sealed.seq(), gap));
        let excess = self.0.len().saturating_sub(DECLARED_MAX);
        self.0.drain(..excess);
    }

    /// What this gap record says.
    pub(crate) fn said_by(&self, sealed: &Sealed) -> Option<&GapRecord> {
        let is_this = |(kid, seq, _): &&(Kid, u64, GapRecord)| (*kid, *seq) == (sealed.kid(), sealed.seq());
        let said = || self.0.iter().rev().find(is_this);
        (sealed.kind() == RecordKind::Gap).then(said).flatten().map(|(_, _, gap)| gap)
    }

    /// What an earlier process declared in these records is known from their notes alone. Gives how many it learned.
    pub(crate) fn remember(&mut self, loss: &Loss) -> u64 {
        let mut learned = 0;
        for (seq, note) in &loss.notes {
            let is_known = self.0.iter().any(|(kid, known, _)| (*kid, known) == (loss.kid, seq));
            if let Some(gap) = gaps::from_note(note).filter(|_| !is_known) {
                self.0.push_back((loss.kid, *seq, gap));
                learned += 1;
            }
        }
        learned
    }

    /// These records will not come: what the gap records among them said.
    pub(crate) fn take(&mut self, kid: Kid, first_seq: u64, last_seq: u64) -> Vec<GapRecord> {
        let is_lost = |of: &Kid, seq: &u64| *of == kid && (first_seq..=last_seq).contains(seq);
        let (lost, left): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|(kid, seq, _)| is_lost(kid, seq));
        self.0 = left;
        lost.into_iter().map(|(_, _, gap)| gap).collect()
    }

    pub(crate) fn acknowledged(&mut self, sent: &Sent) {
        if sent.kind == RecordKind::Gap {
            self.0.retain(|(kid, seq, _)| (*kid, *seq) != (sent.kid, sent.seq));
        }
    }
}
