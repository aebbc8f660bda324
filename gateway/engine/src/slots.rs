//! Slots that gave nothing, on their way to a gap record.

use std::time::Duration;

use lingate_model::{Now, UtcMicros};
use lingate_seal::GapRecord;

use crate::gaps::PendingGaps;

/// Missed slots of one stream. They are told at each poll, and declared when the oldest is as old as a batch may be. Not
/// later: after an unclean stop every slot of a batch's age before the last commit is declared, and so are those that
/// waited here.
pub(crate) struct HeldSlots {
    gaps: PendingGaps,
    hold: Duration,
    /// Monotonic; `None` while nothing waits.
    due_at: Option<Duration>,
}

impl HeldSlots {
    pub(crate) fn new(hold: Duration) -> HeldSlots {
        HeldSlots { gaps: PendingGaps::default(), hold, due_at: None }
    }

    pub(crate) fn hold(&self) -> Duration {
        self.hold
    }

    /// From the next slot on.
    pub(crate) fn hold_for(&mut self, hold: Duration) {
        self.hold = hold;
    }

    /// `from`: when the first of these slots was due.
    pub(crate) fn add(&mut self, now: Now, from: UtcMicros, gap: GapRecord) {
        self.gaps.add_near(gap);
        let age = Duration::from_micros(u64::try_from(now.utc.0.saturating_sub(from.0)).unwrap_or(0));
        let due_at = now.monotonic.saturating_add(self.hold.saturating_sub(age));
        self.due_at = Some(self.due_at.map_or(due_at, |at| at.min(due_at)));
    }

    pub(crate) fn count(&self) -> u64 {
        self.gaps.readings()
    }

    pub(crate) fn due_at(&self) -> Option<Duration> {
        self.due_at
    }

    pub(crate) fn release_due(&mut self, monotonic: Duration, to: &mut PendingGaps) {
        if self.due_at.is_some_and(|at| at <= monotonic) {
            self.release(to);
        }
    }

    pub(crate) fn release(&mut self, to: &mut PendingGaps) {
        self.due_at = None;
        self.gaps.take().for_each(|gap| to.add(gap));
    }
}
