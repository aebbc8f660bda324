//! When and how a stream's gaps become records.

use std::time::Duration;

use lingate_seal::{GapRecord, Kid, Sealed, SigningKey};

use super::Stream;
use crate::gaps;
use crate::lost::Lost;

/// So many gap records are sealed at a time; the others follow when these are kept.
const ROUND: usize = 256;
/// Pause before gaps are declared again after the buffer refused a record.
const RETRY: Duration = Duration::from_secs(1);

impl Stream {
    /// Something waits to be declared, and it may be tried.
    pub(crate) fn has_gaps_due(&self, monotonic: Duration) -> bool {
        self.gaps_due_at().is_some_and(|at| at <= monotonic)
    }

    /// When `has_gaps_due` becomes true.
    pub(crate) fn gaps_due_at(&self) -> Option<Duration> {
        let at = if self.gaps.is_empty() { self.slots.due_at()? } else { Duration::ZERO };
        self.grant.is_ok().then_some(at.max(self.retry_at))
    }

    pub(crate) fn has_declared_all(&self) -> bool {
        self.gaps.is_empty()
    }

    /// After a failure nothing is declared for a moment.
    pub(crate) fn pause(&mut self, monotonic: Duration) {
        self.retry_at = monotonic + RETRY;
    }

    pub(super) fn declare(&mut self, signer: &SigningKey) -> Result<Vec<Sealed>, Lost> {
        let Some(epoch) = &mut self.epoch else { return Ok(Vec::new()) };
        let mut records = Vec::new();
        if let Some((kid, seqs)) = &self.hole {
            self.gaps.put_first(*kid, *seqs.start());
        }
        while records.len() < ROUND
            && let Some(gap) = self.gaps.next()
        {
            match epoch.seal_gap(&gap, signer) {
                Ok(sealed) => {
                    self.declared.add(&sealed, gap);
                    records.push(sealed);
                }
                Err(_) if !records.is_empty() => {
                    self.gaps.add(gap);
                    break;
                }
                Err(error) => {
                    self.gaps.add(gap);
                    return Err(self.cannot_seal(&error, 0));
                }
            }
        }
        self.gaps_declared += records.len() as u64;
        Ok(records)
    }

    /// These records will not come: what the gap records among them said waits again.
    pub(super) fn declare_again(&mut self, kid: Kid, first_seq: u64, last_seq: u64) {
        for gap in self.declared.take(kid, first_seq, last_seq) {
            self.gaps_declared -= 1;
            self.gaps.add(gap);
        }
    }

    /// What the buffer notes beside a gap record, so that it can be declared again after a restart.
    pub(crate) fn note(&self, sealed: &Sealed) -> Vec<u8> {
        self.declared.said_by(sealed).map_or(Vec::new(), gaps::to_note)
    }

    /// What a gap record declares.
    pub(crate) fn declared_in(&self, sealed: &Sealed) -> Option<&GapRecord> {
        self.declared.said_by(sealed)
    }
}
