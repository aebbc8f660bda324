//! `minimize = [ { deadband = 0.5 }, { round = 0.1 } ]`: the steps of a point, each a table with one step's key and the
//! keys that belong to it.

mod fit;
mod merge;
mod read;
mod when;

use std::ops::Range;
use std::time::Duration;

use lingate_drivers::settings::{Problem, Table};
use lingate_model::Decimal;
use lingate_refine::{Step, StepId};

pub(crate) use fit::{Shape, no_number, places};
pub(crate) use merge::with_defaults;
pub(crate) use read::step_of_key;
pub(crate) use when::{PointNames, When};

const STEPS_MAX: usize = 16;

/// A step as it stands in the file, and where: whether it suits the point is known only when the driver knows the type.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) wish: Wish,
    pub(crate) span: Range<usize>,
    pub(crate) path: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wish {
    /// Complete.
    Step(Step),
    /// M6 in percent of the point's range.
    PercentDeadband { percent: Decimal, max_interval: Option<Duration> },
    /// M7 in percent of the point's range.
    PercentDoor { percent: Decimal, max_interval: Option<Duration> },
    /// M3: the points are known when all devices are.
    OnlyWhen(Vec<When>),
}

impl Wish {
    fn id(&self) -> StepId {
        match self {
            Wish::Step(step) => step.id(),
            Wish::PercentDeadband { .. } => StepId::Deadband,
            Wish::PercentDoor { .. } => StepId::SwingingDoor,
            Wish::OnlyWhen(_) => StepId::ContextGate,
        }
    }
}

/// The steps of a point, or of a dataset for all of its points: in the fixed order in which they are applied, whatever
/// their order in the file.
pub(crate) fn read(owner: &mut Table<'_>, problems: &mut Vec<Problem>) -> Vec<Placed> {
    let mut steps: Vec<Placed> = Vec::new();
    for mut table in owner.take("minimize").tables(0..=STEPS_MAX) {
        let placed = one(&mut table);
        let twice = placed.as_ref().and_then(|new| steps.iter().find(|old| old.wish.id() == new.wish.id()));
        if twice.is_some() {
            let key = read::step_keys(&table).next().unwrap_or("");
            table.problem(key, "stands twice in this list", Some("keep one of the two".to_owned()));
        }
        steps.extend(placed);
        problems.extend(table.finish());
    }
    steps.sort_by_key(|placed| placed.wish.id());
    steps
}

fn one(table: &mut Table<'_>) -> Option<Placed> {
    let keys: Vec<&'static str> = read::step_keys(table).collect();
    if table.keys().next().is_none() || keys.len() > 1 {
        let what = format!("one step of the list holds {} steps, expected one", keys.len());
        let hint = "write each step by itself: [ { deadband = 0.5 }, { round = 0.1 } ]".to_owned();
        table.problem(keys.first().copied().unwrap_or(""), what, Some(hint));
        read::know_all(table);
        return None;
    }
    let Some(key) = keys.first().copied() else {
        read::know_all(table);
        return None;
    };
    let (span, path) = (table.span_of(key), table.path_of(key));
    Some(Placed { wish: read::step(table, key)?, span, path })
}
