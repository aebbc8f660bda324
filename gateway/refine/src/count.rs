use crate::StepId;

/// What one step did since the batch before: `seen - kept` readings were suppressed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepCount {
    pub step: StepId,
    pub seen: u64,
    pub kept: u64,
}

/// Since the start, over all epochs: what became of a dataset's readings. `read = kept + sum(suppressed)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub read: u64,
    pub kept: u64,
    /// Ascending by step; the steps that the dataset's batches name.
    pub suppressed: Vec<(StepId, u64)>,
}

/// The one place that counts: what is pending for the next batch and the totals move together.
#[derive(Debug)]
pub(crate) struct Tally {
    pending: Vec<StepCount>,
    totals: Totals,
}

impl Tally {
    /// `used`: ascending, each step once.
    pub(crate) fn new(used: &[StepId]) -> Tally {
        let suppressed = used.iter().map(|&step| (step, 0)).collect();
        Tally { pending: unused_counts(used), totals: Totals { suppressed, ..Totals::default() } }
    }

    pub(crate) fn read(&mut self) {
        self.totals.read += 1;
    }

    /// A reading passed all steps.
    pub(crate) fn kept(&mut self) {
        self.totals.kept += 1;
    }

    /// A reading went into `step`; `outcome` is what came out.
    pub(crate) fn count<T>(&mut self, step: StepId, outcome: Option<T>) -> Option<T> {
        let place = self.pending.iter().position(|count| count.step == step).expect("every step of a point is listed");
        self.pending[place].seen += 1;
        match outcome {
            Some(_) => self.pending[place].kept += 1,
            None => self.totals.suppressed[place].1 += 1,
        }
        outcome
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

fn unused_counts(used: &[StepId]) -> Vec<StepCount> {
    used.iter().map(|&step| StepCount { step, seen: 0, kept: 0 }).collect()
}
