use std::ops::Range;

use lingate_drivers::Point;
use lingate_drivers::settings::{Problem, Table};
use lingate_model::Decimal;
use lingate_refine::{Step, StepId};

const STEPS_MAX: usize = 16;

/// A step and where its parameter stands: whether it suits the point is known only when the driver knows the type.
pub(crate) struct Placed {
    pub(crate) step: Step,
    pub(crate) span: Range<usize>,
    pub(crate) path: String,
}

/// Steps of the format that later versions apply (SPECIFICATION, minimization steps).
const LATER: [(&str, &str); 12] = [
    ("when", "M3, context gate"),
    ("gate", "M3, context gate"),
    ("quality", "M4, quality filter"),
    ("window", "M5, window aggregate"),
    ("aggregate", "M5, window aggregate"),
    ("swinging_door", "M7, swinging door"),
    ("clip", "M9, range clip"),
    ("coarsen", "M10, time coarsening"),
    ("time", "M10, time coarsening"),
    ("pseudonym", "M11, keyed pseudonym"),
    ("mask", "M12, masking of text"),
    ("percent_deadband", "M6 in percent of the range"),
];

/// The steps in the fixed order in which they are applied, whatever their order in the file.
pub(crate) fn read(point: &mut Table<'_>, problems: &mut Vec<Problem>) -> Vec<Placed> {
    let mut steps: Vec<Placed> = Vec::new();
    for mut table in point.take("minimize").tables(0..=STEPS_MAX) {
        let placed = one(&mut table);
        let twice = placed.as_ref().and_then(|new| steps.iter().find(|old| old.step.id() == new.step.id()));
        if twice.is_some() {
            let key = table.keys().next().unwrap_or("");
            table.problem(key, "stands twice in this list", Some("keep one of the two".to_owned()));
        }
        steps.extend(placed);
        problems.extend(table.finish());
    }
    steps.sort_by_key(|placed| placed.step.id());
    steps
}

/// `{ deadband = 0.5 }` or `{ round = 0.1 }`.
fn one(table: &mut Table<'_>) -> Option<Placed> {
    let keys: Vec<&str> = table.keys().collect();
    if let [key] = keys[..]
        && let Some((_, step)) = LATER.iter().find(|(name, _)| *name == key)
    {
        let key = LATER.iter().find(|(name, _)| *name == key)?.0;
        let _ = table.take(key);
        let hint = "this version has the steps deadband and round".to_owned();
        table.problem(key, format!("is step {step}, which is not available in this version"), Some(hint));
        return None;
    }
    let deadband = parameter(table, "deadband", |by| Step::Deadband { by });
    let round = parameter(table, "round", |to| Step::Round { to });
    if keys.len() != 1 {
        let what = format!("one step of the list holds {} keys, expected one", keys.len());
        let first = keys.first().copied().unwrap_or("");
        let hint = "write each step by itself: [ { deadband = 0.5 }, { round = 0.1 } ]".to_owned();
        table.problem(first, what, Some(hint));
        return None;
    }
    deadband.or(round)
}

fn parameter(table: &mut Table<'_>, key: &'static str, step: fn(Decimal) -> Step) -> Option<Placed> {
    let (span, path) = (table.span_of(key), table.path_of(key));
    let amount = table.take(key).decimal()?;
    if !amount.is_positive() {
        table.problem(
            key,
            format!("is {amount}, expected more than 0"),
            Some("write the smallest change that matters, or take the step out".to_owned()),
        );
        return None;
    }
    Some(Placed { step: step(amount), span, path })
}

impl Placed {
    /// What keeps the step from being applied to the values of this point.
    pub(crate) fn misfit(&self, point: &Point, range: Option<(Decimal, Decimal)>) -> Option<Problem> {
        let builtin_type = point.builtin_type;
        let (what, hint) = match self.step {
            _ if no_number(point).is_some() => (no_number(point)?, "take the step out".to_owned()),
            Step::Round { to } if !builtin_type.is_floating() && to.places() > 0 => {
                let what = format!("is {to}, but this point is an integer ({builtin_type:?})");
                (what, "round to a whole number, or take the step out".to_owned())
            }
            Step::Deadband { by } if range.is_some_and(|(low, high)| by.to_f64() >= high.to_f64() - low.to_f64()) => {
                let what = format!("is {by}, as wide as the point's whole range: no change would ever leave");
                (what, "make it smaller, or correct the range".to_owned())
            }
            _ => return None,
        };
        Some(Problem { span: self.span.clone(), path: self.path.clone(), what, hint: Some(hint) })
    }
}

/// Why steps and ranges for numbers do not apply to the point's values.
pub(crate) fn no_number(point: &Point) -> Option<String> {
    let builtin_type = point.builtin_type;
    match point.rank {
        0 if builtin_type.is_numeric() => None,
        0 => Some(format!("applies to numbers, this point is a {builtin_type:?}")),
        rank => {
            Some(format!("applies to single numbers, this point is an array of {builtin_type:?} ({rank}-dimensional)"))
        }
    }
}

/// Decimal places of what is left after the steps.
pub(crate) fn places(steps: &[Step], read: Option<u8>) -> Option<u8> {
    let rounded = steps.iter().find_map(|step| match step {
        Step::Round { to } => Some(to.places()),
        Step::Deadband { .. } => None,
    });
    debug_assert!(steps.is_sorted_by_key(Step::id) && StepId::Deadband < StepId::Rounding);
    rounded.or(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_rounding_step_and_otherwise_the_device_s() {
        let step = |text: &str| Step::Round { to: text.parse().expect("a decimal") };
        let deadband = Step::Deadband { by: Decimal::ONE };
        for (steps, read, left) in [
            (vec![], None, None),
            (vec![deadband], Some(1), Some(1)),
            (vec![step("0.5")], None, Some(1)),
            (vec![deadband, step("0.25")], Some(1), Some(2)),
            (vec![step("10")], Some(2), Some(0)),
        ] {
            assert_eq!(places(&steps, read), left, "{steps:?}");
        }
    }
}
