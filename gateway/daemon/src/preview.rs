//! What the devices say beside what would leave of it. The one place that shows process values to a person, on purpose.
//!
//! The daemon's own pollers read, the daemon's own refinery minimizes; behind it nothing is sealed, stored or sent. The
//! drivers work on a copy of their folder, so that the state directory stays as it is. An epoch of the daemon ends what
//! deadbands remember, at its latest after an hour: then one more reading of a point leaves than is shown here.

pub(crate) mod copy;
pub(crate) mod page;
mod plot;
mod read;
mod series;
mod split;
pub(crate) mod table;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::policy::Policy;
use crate::preview::series::Series;

pub(crate) use crate::preview::read::{Reader, read};

/// What was seen in so many seconds.
#[derive(Serialize)]
pub(crate) struct Preview {
    /// When it began.
    pub(crate) started: String,
    pub(crate) seconds: f64,
    pub(crate) policy: Policy,
    pub(crate) devices: Vec<DeviceSeen>,
    /// As the policy has them.
    pub(crate) points: Vec<PointSeen>,
    /// Readings that would leave, by `device/point`: what `lingate plan --measured` reads.
    pub(crate) kept: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct DeviceSeen {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) connected: bool,
    /// Why it is not.
    pub(crate) reason: Option<String>,
}

#[derive(Default, Serialize)]
pub(crate) struct PointSeen {
    pub(crate) name: String,
    /// As the device said it.
    pub(crate) raw: Series,
    /// As it would leave.
    pub(crate) left: Series,
    pub(crate) missed: u64,
    /// Of the steps that the point passes, in their order.
    pub(crate) steps: Vec<StepSeen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StepSeen {
    pub(crate) step: u8,
    pub(crate) seen: u64,
    pub(crate) kept: u64,
}

impl Preview {
    pub(crate) fn readings(&self) -> (u64, u64) {
        let sum = |of: fn(&PointSeen) -> u64| self.points.iter().map(of).sum();
        (sum(|point| point.raw.count), sum(|point| point.left.count))
    }
}

impl PointSeen {
    /// Adds what a batch says of its steps.
    fn count(&mut self, counts: &[lingate_refine::StepCount]) {
        for count in counts {
            let step = count.step as u8;
            let place = self.steps.iter().position(|known| known.step == step).unwrap_or_else(|| {
                self.steps.push(StepSeen { step, seen: 0, kept: 0 });
                self.steps.len() - 1
            });
            self.steps[place].seen += count.seen;
            self.steps[place].kept += count.kept;
        }
        self.steps.sort_by_key(|step| step.step);
    }
}
