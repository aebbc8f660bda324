use lingate_model::{StatusCode, UtcMicros, Value};

use crate::count::Tally;
use crate::deadband::Deadband;
use crate::rounding::Rounding;
use crate::{DatasetIndex, Stamp, Step, StepId, Tagged};

/// A reading that passed every step of its point. Only these enter a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimized {
    pub(crate) dataset: DatasetIndex,
    pub(crate) alias: u32,
    pub(crate) stamp: Stamp,
    /// `None` exactly if `status` is bad.
    pub(crate) value: Option<Value>,
    pub(crate) status: StatusCode,
}

impl Minimized {
    pub fn dataset(&self) -> DatasetIndex {
        self.dataset
    }
    pub fn alias(&self) -> u32 {
        self.alias
    }
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }
    /// [`Stamp::slot_time`]
    pub fn time(&self) -> UtcMicros {
        self.stamp.slot_time()
    }
    pub fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

/// The configured steps of one point, with what they remember of it.
#[derive(Debug, Default)]
pub(crate) struct Minimizer {
    deadband: Option<Deadband>,
    rounding: Option<Rounding>,
}

impl Minimizer {
    pub(crate) fn new(steps: &[Step]) -> Minimizer {
        let mut minimizer = Minimizer::default();
        for step in steps {
            match *step {
                Step::Deadband { by } => minimizer.deadband = Some(Deadband::new(by)),
                Step::Round { to } => minimizer.rounding = Some(Rounding::new(to)),
            }
        }
        minimizer
    }

    /// M6, then M8: the deadband compares what was measured, so that rounding cannot turn noise at the edge of a step
    /// into movement.
    pub(crate) fn minimize(&mut self, tagged: Tagged, tally: &mut Tally) -> Option<Minimized> {
        let Tagged { dataset, alias, stamp, mut value, status } = tagged;
        if let Some(deadband) = &mut self.deadband {
            let outcome = deadband.keeps(value.as_ref(), status, stamp.origin).then_some(());
            tally.count(StepId::Deadband, outcome)?;
        }
        if let Some(rounding) = &self.rounding {
            value = value.map(|value| rounding.round(value));
            tally.count(StepId::Rounding, Some(()));
        }
        Some(Minimized { dataset, alias, stamp, value, status })
    }

    pub(crate) fn has(&self, step: StepId) -> bool {
        match step {
            StepId::AllowList | StepId::ClassCeiling => false,
            StepId::Deadband => self.deadband.is_some(),
            StepId::Rounding => self.rounding.is_some(),
        }
    }

    pub(crate) fn forget(&mut self) {
        if let Some(deadband) = &mut self.deadband {
            deadband.forget();
        }
    }
}
