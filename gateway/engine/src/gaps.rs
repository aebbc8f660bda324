use std::collections::VecDeque;
use std::ops::RangeInclusive;

use lingate_model::MissedCause;
use lingate_model::defect::is_off_by_one;
use lingate_refine::{Batch, Minimized};
use lingate_seal::{GapCause, GapRecord, Kid};

/// Gaps that wait for an open epoch. Neighbours merge; beyond the bound slots of one device and cause widen. Gaps of
/// records are at most as many as there are runs of lost numbers on the disk.
#[derive(Default)]
pub(crate) struct PendingGaps(VecDeque<GapRecord>);

const PENDING_MAX: usize = 1_024;
const NEAR_US: u128 = 10_000_000;

impl PendingGaps {
    pub(crate) fn add(&mut self, gap: GapRecord) {
        if self.0.iter_mut().rev().any(|pending| merge(pending, &gap, is_adjacent)) {
            return;
        }
        let widen = self.0.len() >= PENDING_MAX;
        if widen && self.0.iter_mut().rev().any(|pending| merge(pending, &gap, |_, _| true)) {
            return;
        }
        self.0.push_back(gap);
    }

    /// As the disk tells it, every time in the same words: a receiver counts a range once.
    pub(crate) fn add_as_told(&mut self, gap: GapRecord) {
        self.0.push_back(gap);
    }

    /// It is the next again.
    pub(crate) fn put_back(&mut self, gap: GapRecord) {
        self.0.push_front(gap);
    }

    /// As `add`; one gap spans all of a device and cause that waits, however far apart.
    pub(crate) fn widen(&mut self, gap: GapRecord) {
        if !self.0.iter_mut().rev().any(|pending| merge(pending, &gap, |_, _| true)) {
            self.0.push_back(gap);
        }
    }

    /// As `add`; gaps of a device and cause that are not further apart merge, too.
    pub(crate) fn add_near(&mut self, gap: GapRecord) {
        if !self.0.iter_mut().rev().any(|pending| merge(pending, &gap, is_near)) {
            self.add(gap);
        }
    }

    pub(crate) fn take(&mut self) -> impl Iterator<Item = GapRecord> {
        std::mem::take(&mut self.0).into_iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Readings and slots that they cover.
    pub(crate) fn readings(&self) -> u64 {
        let of = |gap: &GapRecord| match gap {
            GapRecord::Slots { readings, .. } | GapRecord::Records { readings, .. } => *readings,
        };
        self.0.iter().map(of).fold(0, u64::saturating_add)
    }

    pub(crate) fn next(&mut self) -> Option<GapRecord> {
        let mut next = self.0.pop_front();
        if let Some(GapRecord::Slots { readings, cause, .. } | GapRecord::Records { readings, cause, .. }) = &mut next
            && is_off_by_one(cause.name())
        {
            *readings += 1;
        }
        next
    }

    /// Those over records, which any stream of their class can declare.
    pub(crate) fn take_records(&mut self) -> Vec<GapRecord> {
        let (records, slots) = self.0.drain(..).partition(|gap| matches!(gap, GapRecord::Records { .. }));
        self.0 = slots;
        records.into()
    }

    /// The gap over this record comes before all others.
    pub(crate) fn put_first(&mut self, kid: Kid, seq: u64) {
        let at = self.0.iter().position(|gap| covers(gap, kid, &(seq..=seq)));
        let gap = at.and_then(|at| self.0.remove(at));
        gap.into_iter().for_each(|gap| self.0.push_front(gap));
    }
}

/// What the gap record says, and the counter's name.
pub(crate) fn cause_of(missed: MissedCause) -> (GapCause, &'static str) {
    match missed {
        MissedCause::DeviceDown => (GapCause::DeviceDown, "device_down"),
        MissedCause::Overload => (GapCause::Overload, "overload"),
        MissedCause::Quarantine => (GapCause::Quarantine, "quarantine"),
        MissedCause::DeviceOverflow => (GapCause::DeviceOverflow, "device_overflow"),
        MissedCause::NotificationLost => (GapCause::NotificationLost, "notification_lost"),
        MissedCause::DecodeFailure => (GapCause::DecodeFailure, "decode_failure"),
    }
}

/// Over the slots of a batch that will not be sealed.
pub(crate) fn over(batch: &Batch, cause: GapCause) -> GapRecord {
    let times = batch.readings().iter().map(Minimized::time);
    let (from, to) = (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default());
    let readings = batch.readings().len() as u64;
    GapRecord::Slots { device: "*".to_owned(), from, to, readings, cause }
}

/// Whether the gap is over all these records of an epoch.
pub(crate) fn covers(gap: &GapRecord, of: Kid, seqs: &RangeInclusive<u64>) -> bool {
    let GapRecord::Records { kid, first_seq, last_seq, .. } = gap else { return false };
    *kid == of && first_seq <= seqs.start() && seqs.end() <= last_seq
}

fn is_adjacent(end: i128, start: i128) -> bool {
    start == end || start == end + 1
}

/// One device that refuses a point is told of at each poll of it, in slots of that point's interval.
fn is_near(end: i128, start: i128) -> bool {
    end.abs_diff(start) <= NEAR_US
}

/// Widens `into` by `gap` if they are of one kind and `fits(end of into, start of gap)`.
fn merge(into: &mut GapRecord, gap: &GapRecord, fits: fn(i128, i128) -> bool) -> bool {
    match (into, gap) {
        (
            GapRecord::Records { kid, first_seq, last_seq, readings, cause, maybe_delivered },
            GapRecord::Records { kid: k, first_seq: f, last_seq: l, readings: r, cause: c, maybe_delivered: m },
        ) if kid == k
            && (*cause, *maybe_delivered) == (*c, *m)
            && *f <= last_seq.saturating_add(1)
            && *first_seq <= l.saturating_add(1) =>
        {
            (*first_seq, *last_seq) = ((*first_seq).min(*f), (*last_seq).max(*l));
            *readings += r;
            true
        }
        (
            GapRecord::Slots { device, from, to, readings, cause },
            GapRecord::Slots { device: d, from: f, to: t, readings: r, cause: c },
        ) if device == d && cause == c && fits(to.0.into(), f.0.into()) => {
            (*from, *to) = ((*from).min(*f), (*to).max(*t));
            *readings += r;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use lingate_model::UtcMicros;

    use super::*;

    fn records(first_seq: u64, last_seq: u64) -> GapRecord {
        let (kid, cause) = (Kid([7; 8]), GapCause::Overflow);
        GapRecord::Records { kid, first_seq, last_seq, readings: 10, cause, maybe_delivered: false }
    }

    fn slots(device: &str, from: i64, to: i64) -> GapRecord {
        let (from, to) = (UtcMicros(from), UtcMicros(to));
        GapRecord::Slots { device: device.to_owned(), from, to, readings: 3, cause: GapCause::DeviceDown }
    }

    fn all(mut gaps: PendingGaps) -> Vec<GapRecord> {
        std::iter::from_fn(|| gaps.next()).collect()
    }

    #[test]
    fn neighbours_merge_and_strangers_do_not() {
        let mut gaps = PendingGaps::default();
        let told = [records(3, 4), records(5, 5), records(0, 3), records(7, 8)];
        for gap in told.into_iter().chain([slots("a", 0, 10), slots("a", 10, 20), slots("b", 20, 30)]) {
            gaps.add(gap);
        }
        let merged = all(gaps);
        assert_eq!(merged.len(), 4);
        assert!(matches!(merged[0], GapRecord::Records { first_seq: 0, last_seq: 5, readings: 30, .. }));
        assert!(matches!(&merged[2], GapRecord::Slots { to: UtcMicros(20), readings: 6, .. }));
    }

    #[test]
    fn the_gap_over_a_refused_record_comes_first() {
        let mut gaps = PendingGaps::default();
        [slots("a", 0, 10), records(3, 4), records(7, 8)].into_iter().for_each(|gap| gaps.add(gap));
        gaps.put_first(Kid([7; 8]), 8);
        gaps.put_first(Kid([7; 8]), 9);
        assert_eq!(all(gaps), [records(7, 8), slots("a", 0, 10), records(3, 4)]);
    }

    #[test]
    fn a_year_without_a_grant_stays_within_the_bound_and_loses_no_count() {
        let mut gaps = PendingGaps::default();
        for n in 0..10_000 {
            gaps.add(slots("a", n * 100, n * 100 + 50));
        }
        let merged = all(gaps);
        assert!(merged.len() <= PENDING_MAX);
        let total: u64 = merged
            .iter()
            .map(|gap| match gap {
                GapRecord::Slots { readings, .. } | GapRecord::Records { readings, .. } => *readings,
            })
            .sum();
        assert_eq!(total, 30_000);
    }
}
