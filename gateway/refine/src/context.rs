use lingate_model::{UtcMicros, Value};

use crate::{ContextKind, Minimized};

/// Bytes of a value that can name a batch, a lot, a phase, a recipe or a state: every batch repeats it.
pub const CONTEXT_VALUE_MAX: usize = 256;

/// From a reading of a batch on, this is the batch, phase, lot, recipe or state of the context point's equipment - until
/// the next run of the same point, in this batch or a later one of the epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct ContextRun {
    pub kind: ContextKind,
    /// Of the context point.
    pub alias: u32,
    /// Place of the first reading for which it holds, in [`crate::Batch::readings`]; their number if there is none.
    pub start: usize,
    /// As it left, after the point's steps; `None`: it ended, nobody knows, or it had more than [`CONTEXT_VALUE_MAX`] bytes.
    pub value: Option<Value>,
}

#[derive(Clone, Debug)]
struct Held {
    kind: ContextKind,
    alias: u32,
    value: Value,
    /// When it was read.
    at: UtcMicros,
}

/// What a dataset's context points said last.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    holds: Vec<Held>,
    runs: Vec<ContextRun>,
    /// Of the runs.
    weight: usize,
    /// Values that were too long to be told.
    too_long: u64,
}

impl Contexts {
    /// A context point told something: it holds from this reading on.
    pub(crate) fn observe(&mut self, kind: ContextKind, start: usize, minimized: &Minimized) {
        let value = minimized.value.as_ref();
        let fits = value.is_none_or(|value| value.weight() <= CONTEXT_VALUE_MAX);
        self.too_long += u64::from(!fits);
        let (alias, at) = (minimized.alias, minimized.stamp.gateway_time);
        self.set(
            kind,
            start,
            alias,
            value.filter(|_| fits).map(|value| Held { kind, alias, value: value.clone(), at }),
        );
    }

    /// Unless it was told after `from`.
    pub(crate) fn forget(&mut self, kind: ContextKind, start: usize, alias: u32, from: UtcMicros) {
        if !self.holds.iter().any(|held| held.alias == alias && held.at > from) {
            self.set(kind, start, alias, None);
        }
    }

    fn set(&mut self, kind: ContextKind, start: usize, alias: u32, held: Option<Held>) {
        let known = self.holds.iter().position(|known| known.alias == alias);
        let value = held.as_ref().map(|held| held.value.clone());
        if known.map(|at| &self.holds[at].value) == value.as_ref() {
            known.into_iter().zip(held).for_each(|(place, held)| self.holds[place] = held);
            return;
        }
        known.map(|at| self.holds.swap_remove(at));
        self.holds.extend(held);
        self.weight += value.as_ref().map_or(0, Value::weight);
        self.runs.push(ContextRun { kind, alias, start, value });
    }

    /// The runs of a batch; the next one begins with what holds at its first reading.
    pub(crate) fn take(&mut self) -> Vec<ContextRun> {
        let run =
            |held: &Held| ContextRun { kind: held.kind, alias: held.alias, start: 0, value: Some(held.value.clone()) };
        let next = self.holds.iter().map(run).collect();
        self.weight = self.holds.iter().map(|held| held.value.weight()).sum();
        std::mem::replace(&mut self.runs, next)
    }

    /// Rights have changed: what was said under those before is not said again.
    pub(crate) fn clear(&mut self) {
        *self = Contexts { too_long: self.too_long, ..Contexts::default() };
    }

    /// As [`Value::weight`], of the runs of this batch.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    pub(crate) fn too_long(&self) -> u64 {
        self.too_long
    }
}
