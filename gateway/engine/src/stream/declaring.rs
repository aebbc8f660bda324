//! When and how a stream's gaps become records.

use std::time::Duration;

use lingate_seal::{GapRecord, Kid, Sealed, SigningKey};

use super::Stream;
use crate::lost::Lost;

/// So many gap records are sealed at a time; the others follow when these are kept.
const ROUND: usize = 256;
/// Pause before gaps are declared again after the buffer refused a record.
const RETRY: Duration = Duration::from_secs(1);
/// Pause before a full buffer is looked at again.
const FULL_RETRY: Duration = Duration::from_secs(10);

impl Stream {
    /// Something waits to be declared, and it may be tried: of what the buffer lost, at most so many gaps.
    pub(crate) fn has_gaps_due(&mut self, monotonic: Duration, most: usize) -> bool {
        if most == 0 && !self.told.is_empty() {
            self.told_at = self.told_at.max(monotonic + FULL_RETRY);
        }
        self.gaps_due_at().is_some_and(|at| at <= monotonic)
    }

    /// When `has_gaps_due` becomes true.
    pub(crate) fn gaps_due_at(&self) -> Option<Duration> {
        let told = (!self.told.is_empty()).then_some(self.told_at);
        let new = if self.gaps.is_empty() { self.slots.due_at() } else { Some(Duration::ZERO) };
        let at = told.into_iter().chain(new).min()?;
        self.grant.is_ok().then_some(at.max(self.retry_at))
    }

    pub(crate) fn has_declared_all(&self) -> bool {
        self.gaps.is_empty() && self.told.is_empty()
    }

    /// After a failure nothing is declared for a moment.
    pub(crate) fn pause(&mut self, monotonic: Duration) {
        self.retry_at = monotonic + RETRY;
    }

    /// Of what the buffer lost, at most so many.
    pub(super) fn declare(&mut self, signer: &SigningKey, most: usize) -> Result<Vec<Sealed>, Lost> {
        let Some(epoch) = &mut self.epoch else { return Ok(Vec::new()) };
        let mut records = Vec::new();
        if let Some((kid, seqs)) = &self.hole {
            self.gaps.put_first(*kid, *seqs.start());
        }
        let mut left = most;
        while records.len() < ROUND {
            let is_told = self.gaps.is_empty() && left > 0;
            let from = if is_told { &mut self.told } else { &mut self.gaps };
            let Some(gap) = from.next() else { break };
            match epoch.seal_gap(&gap, signer) {
                Ok(sealed) => {
                    left -= usize::from(is_told);
                    self.declared.add(&sealed, gap, is_told);
                    records.push(sealed);
                }
                Err(error) => {
                    from.put_back(gap);
                    if records.is_empty() {
                        return Err(self.cannot_seal(&error, 0));
                    }
                    break;
                }
            }
        }
        self.gaps_declared += records.len() as u64;
        Ok(records)
    }

    /// These records will not come: what the gap records among them said waits again. What `is_on_disk` the buffer tells
    /// again until it is declared.
    pub(super) fn declare_again(&mut self, kid: Kid, first_seq: u64, last_seq: u64, is_on_disk: bool) {
        for said in self.declared.take(kid, first_seq, last_seq) {
            self.gaps_declared -= 1;
            if is_on_disk || said.is_told {
                self.told.add_as_told(said.gap);
            } else {
                self.gaps.add(said.gap);
            }
        }
    }

    /// What the buffer notes beside a gap record, so that it can be declared again after a restart.
    pub(crate) fn note(&self, sealed: &Sealed) -> Vec<u8> {
        self.declared.said_by(sealed).map_or(Vec::new(), GapRecord::to_bytes)
    }

    /// What a gap record declares.
    pub(crate) fn declared_in(&self, sealed: &Sealed) -> Option<&GapRecord> {
        self.declared.said_by(sealed)
    }
}
