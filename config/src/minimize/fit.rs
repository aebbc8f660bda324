use std::time::Duration;

use lingate_drivers::Point;
use lingate_drivers::settings::{Problem, show_duration};
use lingate_model::{BuiltinType, Decimal};
use lingate_refine::{Band, Percent, Step, StepId};

use super::{Placed, When, Wish};

/// What the steps must suit: a point's values as they are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) builtin_type: BuiltinType,
    pub(crate) rank: u8,
    /// EURange.
    pub(crate) range: Option<(Decimal, Decimal)>,
    /// Between two readings.
    pub(crate) every: Duration,
    /// A step before made other values of them.
    is_pseudonym: bool,
}

type Misfit = (String, String);

impl Shape {
    pub(crate) fn of(point: &Point, range: Option<(Decimal, Decimal)>) -> Shape {
        let Point { builtin_type, rank, interval, .. } = *point;
        Shape { builtin_type, rank, range, every: interval, is_pseudonym: false }
    }

    /// Behind a step.
    pub(super) fn after(self, step: &Step) -> Shape {
        match step {
            Step::Aggregate { function, .. } => {
                let range = self.range.filter(|_| function.keeps_unit());
                Shape { builtin_type: function.result(self.builtin_type), range, ..self }
            }
            Step::Pseudonym => Shape { builtin_type: BuiltinType::String, is_pseudonym: true, ..self },
            _ => self,
        }
    }

    fn is_text(self) -> bool {
        use BuiltinType::{ExpandedNodeId, LocalizedText, NodeId, QualifiedName, String, XmlElement};
        let texts = [String, LocalizedText, QualifiedName, NodeId, ExpandedNodeId, XmlElement];
        self.rank == 0 && texts.contains(&self.builtin_type)
    }

    /// Texts, byte strings, Guids and integers.
    fn is_identifier(self) -> bool {
        let is_bytes = matches!(self.builtin_type, BuiltinType::ByteString | BuiltinType::Guid);
        let is_integer = self.builtin_type.is_numeric() && !self.builtin_type.is_floating();
        self.is_text() || self.rank == 0 && (is_bytes || is_integer)
    }
}

impl Placed {
    /// The step for values of this shape, or what keeps it from being applied to them.
    pub(crate) fn fit(&self, shape: Shape) -> Result<Step, Problem> {
        let step = complete(&self.wish, shape).and_then(|step| match misfit(&step, shape) {
            Some(misfit) => Err(misfit),
            None => Ok(step),
        });
        step.map_err(|(what, hint)| self.problem(what, hint))
    }

    pub(super) fn problem(&self, what: String, hint: String) -> Problem {
        Problem { span: self.span.clone(), path: self.path.clone(), what, hint: Some(hint) }
    }

    /// As a dataset's default: whether the step is for values of this type at all.
    pub(super) fn concerns(&self, shape: Shape) -> bool {
        match self.wish.id() {
            StepId::ContextGate | StepId::QualityFilter | StepId::TimeCoarsening => true,
            StepId::Pseudonym => shape.is_identifier() && !shape.builtin_type.is_numeric(),
            StepId::Masking => shape.is_text() && !shape.is_pseudonym,
            _ => no_number(shape).is_none(),
        }
    }
}

fn complete(wish: &Wish, shape: Shape) -> Result<Step, Misfit> {
    match wish {
        Wish::Step(step) => Ok(step.clone()),
        Wish::OnlyWhen(whens) => Ok(Step::OnlyWhen(whens.iter().map(When::open).collect())),
        Wish::PercentDeadband { percent, max_interval } => {
            let (by, Percent { low, high, .. }) = percent_of_range(*percent, shape)?;
            let percent = Some(Percent { percent: *percent, low, high });
            Ok(Step::Deadband(Band { by, percent, max_interval: *max_interval }))
        }
        Wish::PercentDoor { percent, max_interval } => {
            let (deviation, _) = percent_of_range(*percent, shape)?;
            Ok(Step::SwingingDoor { deviation, max_interval: *max_interval })
        }
    }
}

fn percent_of_range(percent: Decimal, shape: Shape) -> Result<(Decimal, Percent), Misfit> {
    if let Some(what) = no_number(shape) {
        return Err((what, "take the step out".to_owned()));
    }
    let Some((low, high)) = shape.range else {
        let what = format!("is {percent}% of a range that the point does not have");
        return Err((what, "add range = [0, 400], or write the amount in the point's unit".to_owned()));
    };
    let by = share(percent, low, high).ok_or_else(|| {
        let what = format!("is {percent}% of {low} to {high}, which has more than 15 digits");
        (what, "write the amount in the point's unit".to_owned())
    })?;
    Ok((by, Percent { percent, low, high }))
}

/// `percent / 100 * (high - low)`, exactly.
fn share(percent: Decimal, low: Decimal, high: Decimal) -> Option<Decimal> {
    let places = low.places().max(high.places());
    let lift = |d: Decimal| i128::from(d.mantissa()) * 10_i128.pow(u32::from(places - d.places()));
    let mut mantissa = (lift(high) - lift(low)).checked_mul(percent.mantissa().into())?;
    let mut places = places + percent.places() + 2;
    while places > 0 && mantissa % 10 == 0 {
        (mantissa, places) = (mantissa / 10, places - 1);
    }
    Decimal::new(i64::try_from(mantissa).ok()?, places)
}

fn misfit(step: &Step, shape: Shape) -> Option<Misfit> {
    let needs_number = !matches!(
        step,
        Step::OnlyWhen(_) | Step::Quality { .. } | Step::Coarsen { .. } | Step::Pseudonym | Step::Mask(_)
    );
    if let Some(what) = no_number(shape).filter(|_| needs_number) {
        return Some((what, "take the step out".to_owned()));
    }
    let builtin_type = shape.builtin_type;
    match step {
        Step::Round { to } if !builtin_type.is_floating() && to.places() > 0 => {
            let what = format!("is {to}, but this point is an integer ({builtin_type:?})");
            Some((what, "round to a whole number, or take the step out".to_owned()))
        }
        Step::Deadband(Band { by, .. }) if shape.range.is_some_and(|(low, high)| is_wider(*by, low, high)) => {
            let what = format!("is {by}, as wide as the point's whole range: no change would ever leave");
            Some((what, "make it smaller, or correct the range".to_owned()))
        }
        Step::Clip { low, high } => clip_misfit(*low, *high, shape),
        Step::SwingingDoor { deviation, .. }
            if shape.range.is_some_and(|(low, high)| is_wider(*deviation, low, high)) =>
        {
            let what = format!("is {deviation}, as wide as the point's whole range: any line would do");
            Some((what, "make it smaller, or correct the range".to_owned()))
        }
        Step::Aggregate { interval, .. } if *interval < shape.every => {
            let every = show_duration(shape.every);
            let what =
                format!("has a window of {}, shorter than the {every} between two readings", show_duration(*interval));
            Some((what, "lengthen the interval, or read the point more often".to_owned()))
        }
        Step::Pseudonym if !shape.is_identifier() => {
            let what = format!("is for texts, byte strings, Guids and integers, this point is {}", shape.name());
            Some((what, "take the step out".to_owned()))
        }
        Step::Mask(_) if shape.is_pseudonym => {
            let what = "would mask a pseudonym, in which nothing of the text is left".to_owned();
            Some((what, "take one of the two steps out".to_owned()))
        }
        Step::Mask(_) if !shape.is_text() => {
            let what = format!("is for texts, this point is {}", shape.name());
            Some((what, "take the step out".to_owned()))
        }
        _ => None,
    }
}

impl Shape {
    fn name(self) -> String {
        let builtin_type = self.builtin_type;
        if self.rank > 0 { format!("an array of {builtin_type:?}") } else { format!("a {builtin_type:?}") }
    }
}

fn is_wider(by: Decimal, low: Decimal, high: Decimal) -> bool {
    by.to_f64() >= high.to_f64() - low.to_f64()
}

fn clip_misfit(low: Option<Decimal>, high: Option<Decimal>, shape: Shape) -> Option<Misfit> {
    let (start, end) = shape.range?;
    let is_beside =
        low.is_some_and(|low| low.to_f64() >= end.to_f64()) || high.is_some_and(|high| high.to_f64() <= start.to_f64());
    is_beside.then(|| {
        let what = format!("leaves nothing of the point's range {start} to {end} but one value");
        (what, "move the limits into the range, or correct the range".to_owned())
    })
}

/// Why steps and ranges for numbers do not apply to values of this shape.
pub(crate) fn no_number(shape: Shape) -> Option<String> {
    let builtin_type = shape.builtin_type;
    match shape.rank {
        0 if builtin_type.is_numeric() => None,
        0 => Some(format!("applies to numbers, this point is a {builtin_type:?}")),
        rank => {
            Some(format!("applies to single numbers, this point is an array of {builtin_type:?} ({rank}-dimensional)"))
        }
    }
}

/// Decimal places of what is left after the steps.
pub(crate) fn places(steps: &[Step], read: Option<u8>) -> Option<u8> {
    steps.iter().fold(read, |places, step| match step {
        Step::Round { to } => Some(to.places()),
        Step::Aggregate { function, .. } => places.filter(|_| function.keeps_places()),
        // A limit may be finer than the values are.
        Step::Clip { low, high } => {
            let limits = low.iter().chain(high).map(|limit| limit.places()).max();
            places.max(limits.filter(|_| places.is_some()))
        }
        _ => places,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_those_of_the_rounding_step_and_otherwise_the_device_s() {
        let step = |text: &str| Step::Round { to: decimal(text) };
        let clip = |high: &str| Step::Clip { low: None, high: Some(decimal(high)) };
        let deadband = Step::deadband(Decimal::ONE);
        for (steps, read, left) in [
            (vec![], None, None),
            (vec![deadband.clone()], Some(1), Some(1)),
            (vec![step("0.5")], None, Some(1)),
            (vec![deadband, step("0.25")], Some(1), Some(2)),
            (vec![step("10")], Some(2), Some(0)),
            (vec![step("10"), clip("99.5")], Some(2), Some(1)),
            (vec![clip("99.5")], None, None),
        ] {
            assert_eq!(places(&steps, read), left, "{steps:?}");
        }
    }

    #[test]
    fn a_percentage_of_the_range_is_exact() {
        for (percent, low, high, by) in
            [("2", "0", "400", "8"), ("0.1", "-50", "50.5", "0.1005"), ("33.3", "0", "1e-3", "0.000333")]
        {
            assert_eq!(share(decimal(percent), decimal(low), decimal(high)), Some(decimal(by)));
        }
        assert_eq!(share(decimal("0.0000000001"), decimal("0"), decimal("1e-10")), None);
    }
}
