use crate::StepId;

/// What one step did since the batch before: `seen - kept` readings were suppressed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepCount {
    pub step: StepId,
    pub seen: u64,
    pub kept: u64,
}

/// Since the start, over all epochs: what became of a dataset's readings. `read = kept + sum(suppressed)`. A reading that
/// a window or a swinging door still holds is not counted before its fate is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub read: u64,
    pub kept: u64,
    /// The steps that the dataset's batches name, ascending; behind them those that they named under an earlier plan.
    pub suppressed: Vec<(StepId, u64)>,
}

/// The one place that counts: what is pending for the next batch and the totals move together.
#[derive(Debug)]
pub(crate) struct Tally {
    pending: Vec<StepCount>,
    totals: Totals,
    /// Place of a step in both lists, by its number.
    place: [u8; PLACES],
}

const PLACES: usize = StepId::Masking as usize + 1;

impl Tally {
    /// `used`: ascending, each step once.
    pub(crate) fn new(used: &[StepId]) -> Tally {
        let mut place = [0; PLACES];
        for (at, step) in (0..).zip(used) {
            place[*step as usize] = at;
        }
        let suppressed = used.iter().map(|&step| (step, 0)).collect();
        let pending = used.iter().map(|&step| StepCount { step, seen: 0, kept: 0 }).collect();
        Tally { pending, totals: Totals { suppressed, ..Totals::default() }, place }
    }

    /// Goes on with the totals of before, whose steps may be others.
    pub(crate) fn carry(&mut self, before: &Totals) {
        self.totals.read += before.read;
        self.totals.kept += before.kept;
        for (step, count) in &before.suppressed {
            match self.totals.suppressed.iter_mut().find(|(known, _)| known == step) {
                Some((_, total)) => *total += count,
                None if *count > 0 => self.totals.suppressed.push((*step, *count)),
                None => {}
            }
        }
    }

    /// The fate of an item that bears so many readings: it left (`None`) or was suppressed by a step of `path`, its point's
    /// steps. A window makes one item of its readings: all of them are seen by M5 and the steps before, one by those behind.
    pub(crate) fn settle(&mut self, path: &[StepId], readings: u64, suppressed_by: Option<StepId>) {
        self.totals.read += readings;
        let mut bears = readings;
        for &step in path {
            let place = usize::from(self.place[step as usize]);
            let is_end = suppressed_by == Some(step);
            let passes = match step {
                _ if is_end => 0,
                StepId::Aggregate => 1,
                _ => bears,
            };
            self.pending[place].seen += bears;
            self.pending[place].kept += passes;
            self.totals.suppressed[place].1 += bears - passes;
            bears = passes;
            if is_end {
                return;
            }
        }
        self.totals.kept += bears;
    }

    /// The counts since the last time; they start again at 0.
    pub(crate) fn take(&mut self) -> Vec<StepCount> {
        let zero = self.pending.iter().map(|count| StepCount { seen: 0, kept: 0, ..*count }).collect();
        std::mem::replace(&mut self.pending, zero)
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.pending.iter().any(|count| count.seen > 0)
    }

    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }
}

/// Adds the counts of a later batch of the same dataset.
pub(crate) fn add(counts: &mut [StepCount], later: &[StepCount]) {
    for (count, later) in counts.iter_mut().zip(later) {
        count.seen += later.seen;
        count.kept += later.kept;
    }
}
