use std::time::Duration;

use lingate_model::{StatusCode, UtcMicros, Value};

use crate::clip::Clip;
use crate::deadband::Deadband;
use crate::outlet::Outlet;
use crate::rounding::Rounding;
use crate::tag::Tagged;
use crate::time::PointClock;
use crate::{DatasetIndex, Quality, Stamp, Step, StepId};

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

/// What goes through a point's steps: one reading, or the one value that a window made of many.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) stamp: Stamp,
    pub(crate) value: Option<Value>,
    pub(crate) status: StatusCode,
    /// [`PointClock`] time.
    pub(crate) at: i64,
    /// How many readings it bears.
    pub(crate) readings: u64,
}

/// The configured steps of one point, with what they remember of it.
#[derive(Debug, Default)]
pub(crate) struct Minimizer {
    clock: PointClock,
    quality: Option<Quality>,
    deadband: Option<Deadband>,
    /// Those that change a value and neither suppress nor remember, in their order.
    change: Vec<Change>,
}

/// M8 to M12.
#[derive(Debug)]
enum Change {
    Round(Rounding),
    Clip(Clip),
    Coarsen(Duration),
}

impl Minimizer {
    pub(crate) fn new(steps: &[Step]) -> Minimizer {
        let mut minimizer = Minimizer::default();
        let mut steps: Vec<&Step> = steps.iter().collect();
        steps.sort_by_key(|step| step.id());
        steps.into_iter().for_each(|step| minimizer.add(step));
        minimizer
    }

    fn add(&mut self, step: &Step) {
        match step {
            Step::Quality { keeps } => self.quality = Some(*keeps),
            Step::Deadband(band) => self.deadband = Some(Deadband::new(*band)),
            Step::Round { to } => self.change.push(Change::Round(Rounding::new(*to))),
            Step::Clip { low, high } => self.change.push(Change::Clip(Clip::new(*low, *high))),
            Step::Coarsen { to } => self.change.push(Change::Coarsen(*to)),
        }
    }

    /// M3 to M12, in this order; every item that comes in goes to `outlet` once, kept or suppressed. The deadband compares
    /// what was measured, so that rounding cannot turn noise at the edge of a step into movement.
    pub(crate) fn minimize(&mut self, tagged: Tagged, outlet: &mut Outlet<'_>) {
        let Tagged { stamp, value, status } = tagged;
        let at = self.clock.time(&stamp);
        let item = Item { stamp, value, status, at, readings: 1 };
        if self.quality.is_some_and(|quality| !quality.lets_pass(item.status)) {
            return outlet.suppress(&item, StepId::QualityFilter);
        }
        self.compare(item, outlet);
    }

    fn compare(&mut self, item: Item, outlet: &mut Outlet<'_>) {
        if self.deadband.as_mut().is_some_and(|deadband| !deadband.keeps(&item)) {
            return outlet.suppress(&item, StepId::Deadband);
        }
        self.change(item, outlet);
    }

    fn change(&self, mut item: Item, outlet: &mut Outlet<'_>) {
        for change in &self.change {
            match change {
                Change::Round(rounding) => item.value = item.value.map(|value| rounding.round(value)),
                Change::Clip(clip) => item.value = item.value.map(|value| clip.clip(value)),
                Change::Coarsen(to) => item.stamp.coarsen(*to),
            }
        }
        outlet.keep(item);
    }

    pub(crate) fn forget(&mut self) {
        if let Some(deadband) = &mut self.deadband {
            deadband.forget();
        }
    }
}

impl Quality {
    fn lets_pass(self, status: StatusCode) -> bool {
        match self {
            Quality::NotBad => !status.is_bad(),
            Quality::Good => status.severity() == lingate_model::Severity::Good,
        }
    }
}
