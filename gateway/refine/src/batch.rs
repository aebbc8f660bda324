use std::time::Duration;

use lingate_model::{ClockState, Now, UtcMicros, Value};

use crate::context::Contexts;
use crate::count::add;
use crate::{ContextKind, ContextRun, DatasetIndex, Flush, Minimized, StepCount, VALUE_WEIGHT_MAX};

/// The minimized readings of one dataset, in the order in which they were read, with the counts of every step.
/// A batch without readings carries only counts: the last word of an epoch in which everything was suppressed.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub(crate) dataset: DatasetIndex,
    pub(crate) readings: Vec<Minimized>,
    pub(crate) steps: Vec<StepCount>,
    pub(crate) context: Vec<ContextRun>,
    pub(crate) clock: ClockState,
}

impl Batch {
    pub fn dataset(&self) -> DatasetIndex {
        self.dataset
    }
    pub fn readings(&self) -> &[Minimized] {
        &self.readings
    }
    /// Ascending by step; steps that no point of the dataset uses are left out, M1 and M2 never are.
    /// `seen(M1) = readings().len() + sum(seen - kept)`.
    pub fn steps(&self) -> &[StepCount] {
        &self.steps
    }
    /// Ascending by start. What holds at the first reading stands at its begin, so that every batch can be understood alone.
    pub fn context(&self) -> &[ContextRun] {
        &self.context
    }
    /// When its last reading came; of a batch without readings: when it was closed.
    pub fn clock(&self) -> ClockState {
        self.clock
    }
}

impl Batch {
    /// With the readings and counts of a later one of the same dataset.
    pub(crate) fn join(mut self, later: Batch) -> Batch {
        let earlier = self.readings.len();
        self.readings.extend(later.readings);
        self.context.extend(later.context.into_iter().map(|run| ContextRun { start: run.start + earlier, ..run }));
        add(&mut self.steps, &later.steps);
        self.clock = later.clock;
        self
    }
}

/// Bytes beyond those of a number and the gateway's time.
fn weight(minimized: &Minimized) -> usize {
    minimized.value().map_or(0, Value::weight).saturating_add(minimized.stamp().weight())
}

/// Collects the readings of one dataset until there are enough of them, they weigh enough, or the first one is old enough.
#[derive(Debug)]
pub(crate) struct Batcher {
    dataset: DatasetIndex,
    flush: Flush,
    readings: Vec<Minimized>,
    contexts: Contexts,
    /// Monotonic time of the first pending reading plus age.
    deadline: Option<Duration>,
    clock: ClockState,
    /// Of the pending readings.
    weight: usize,
}

impl Batcher {
    pub(crate) fn new(dataset: DatasetIndex, flush: Flush) -> Batcher {
        let (readings, contexts) = Default::default();
        Batcher { dataset, flush, readings, contexts, deadline: None, clock: ClockState::default(), weight: 0 }
    }

    pub(crate) fn push(&mut self, now: Now, minimized: Minimized) {
        self.deadline.get_or_insert_with(|| now.monotonic.saturating_add(self.flush.age));
        self.clock = now.clock;
        self.weight = self.weight.saturating_add(weight(&minimized));
        self.readings.push(minimized);
    }

    /// As `push`, of a context point.
    pub(crate) fn push_context(&mut self, now: Now, kind: ContextKind, minimized: Minimized) {
        self.contexts.observe(kind, self.readings.len(), &minimized);
        self.push(now, minimized);
    }

    /// Nobody knows what the context point would say, unless it said something after `from`.
    pub(crate) fn forget_context(&mut self, kind: ContextKind, alias: u32, from: UtcMicros) {
        self.contexts.forget(kind, self.readings.len(), alias, from);
    }

    pub(crate) fn clear_contexts(&mut self) {
        self.contexts.clear();
    }

    pub(crate) fn contexts_too_long(&self) -> u64 {
        self.contexts.too_long()
    }

    pub(crate) fn is_full(&self) -> bool {
        let weight = self.weight.saturating_add(self.contexts.weight());
        self.readings.len() >= self.flush.readings as usize || weight >= VALUE_WEIGHT_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }

    /// `None` while no reading is pending: counts alone have no age.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    pub(crate) fn close(&mut self, now: Now, steps: Vec<StepCount>) -> Batch {
        let clock = if self.is_empty() { now.clock } else { self.clock };
        // The next batch will be about as long as this one.
        let room = Vec::with_capacity(self.readings.len());
        let readings = std::mem::replace(&mut self.readings, room);
        (self.deadline, self.weight) = (None, 0);
        let context = self.contexts.take();
        Batch { dataset: self.dataset, readings, steps, context, clock }
    }
}
