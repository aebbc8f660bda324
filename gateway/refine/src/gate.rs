use std::fmt;
use std::time::Duration;

use lingate_model::{Decimal, Origin, PointId, Reading, Severity, UtcMicros, Value};

use crate::number::integer;
use crate::step::duration;
use crate::time::micros;
use crate::{ExportPlan, Stamp, Step};

/// M3: what must hold of another point, so that a reading leaves. It does not hold while the other point is unknown: not
/// read yet, not good, silent (its device is away or its slots were missed), or older than `max_age`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub point: PointId,
    /// `device/point`.
    pub name: String,
    pub test: Test,
    /// What may lie between the other point's last reading and this one.
    pub max_age: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// One of these.
    Is(Vec<Scalar>),
    /// None of these.
    IsNot(Vec<Scalar>),
    /// A number from the lower to the upper limit, both included.
    Within { low: Option<Decimal>, high: Option<Decimal> },
}

/// What a value may be compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    Boolean(bool),
    /// Equal to an integer exactly, to a floating value as the double or single that is nearest.
    Number(Decimal),
    Text(String),
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Test::Is(scalars) => scalars.iter().any(|scalar| scalar.equals(value)),
            Test::IsNot(scalars) => !scalars.iter().any(|scalar| scalar.equals(value)),
            Test::Within { low, high } => {
                let not_below = |low: &Decimal| compare(value, *low).is_some_and(std::cmp::Ordering::is_ge);
                let not_above = |high: &Decimal| compare(value, *high).is_some_and(std::cmp::Ordering::is_le);
                low.iter().all(not_below) && high.iter().all(not_above)
            }
        }
    }
}

impl Scalar {
    fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Scalar::Boolean(scalar), Value::Boolean(value)) => scalar == value,
            (Scalar::Text(scalar), Value::String(text) | Value::Text { text, .. }) => **scalar == **text,
            (Scalar::Text(scalar), Value::LocalizedText { text: Some(text), .. }) => **scalar == **text,
            (Scalar::Number(scalar), value) => compare(value, *scalar).is_some_and(std::cmp::Ordering::is_eq),
            _ => false,
        }
    }
}

/// `None`: no number.
fn compare(value: &Value, limit: Decimal) -> Option<std::cmp::Ordering> {
    if let Some(value) = integer(value) {
        let lifted = value * 10_i128.pow(limit.places().into());
        return Some(lifted.cmp(&limit.mantissa().into()));
    }
    match value {
        Value::Float(value) => value.partial_cmp(&(limit.to_f64() as f32)),
        Value::Double(value) => value.partial_cmp(&limit.to_f64()),
        _ => None,
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.test)?;
        self.max_age.map_or(Ok(()), |age| write!(f, " (at most {} old)", duration(age)))
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |scalars: &[Scalar]| scalars.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        match self {
            Test::Is(scalars) => write!(f, "is {}", list(scalars)),
            Test::IsNot(scalars) => write!(f, "is not {}", list(scalars)),
            Test::Within { low: Some(low), high: Some(high) } => write!(f, "is {low} to {high}"),
            Test::Within { low: Some(low), high: None } => write!(f, "is at least {low}"),
            Test::Within { low: None, high: Some(high) } => write!(f, "is at most {high}"),
            Test::Within { low: None, high: None } => write!(f, "is a number"),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Boolean(value) => write!(f, "{value}"),
            Scalar::Number(value) => write!(f, "{value}"),
            Scalar::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// What is known of the points that conditions speak of.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By point; `NONE`: no condition speaks of it. Empty if there is no condition at all.
    slots: Vec<u32>,
    values: Vec<Option<(Value, i64)>>,
}

const NONE: u32 = u32::MAX;

impl Known {
    pub(crate) fn new(plan: &ExportPlan) -> Known {
        let mut known = Known::default();
        for step in plan.points.iter().filter_map(|point| point.export.as_ref()).flat_map(|export| &export.steps) {
            let Step::OnlyWhen(conditions) = step else { continue };
            known.slots.resize(plan.points.len(), NONE);
            for condition in conditions {
                if let Some(slot @ &mut NONE) = known.slots.get_mut(condition.point.index()) {
                    *slot = u32::try_from(known.values.len()).expect("as many as points");
                    known.values.push(None);
                }
            }
        }
        known
    }

    /// Of the points for which `holds`, what was known before.
    pub(crate) fn carry(&mut self, before: &Known, holds: &dyn Fn(PointId) -> bool) {
        let points = (0..).zip(&before.slots).filter(|(_, slot)| **slot != NONE);
        for (point, slot) in points.map(|(point, slot)| (PointId(point), *slot as usize)).filter(|(id, _)| holds(*id)) {
            if let Some(here) = self.slot(point) {
                self.values[here].clone_from(&before.values[slot]);
            }
        }
    }

    fn slot(&self, point: PointId) -> Option<usize> {
        self.slots.get(point.index()).filter(|slot| **slot != NONE).map(|slot| *slot as usize)
    }

    /// What was read out of the device's history says nothing about this moment.
    pub(crate) fn observe(&mut self, reading: &Reading) {
        let Some(slot) = self.slot(reading.point).filter(|_| reading.origin == Origin::Live) else { return };
        let is_good = reading.status.severity() == Severity::Good;
        let value = reading.value.clone().filter(|_| is_good);
        self.values[slot] = value.map(|value| (value, reading.gateway_time.0));
    }

    /// Unless the point was read after `from`.
    pub(crate) fn forget(&mut self, point: PointId, from: UtcMicros) {
        if let Some(slot) = self.slot(point) {
            self.values[slot].take_if(|(_, at)| *at <= from.0);
        }
    }
}

/// The conditions of one point.
#[derive(Debug)]
pub(crate) struct Gate(Vec<Condition>);

impl Gate {
    pub(crate) fn new(conditions: Vec<Condition>) -> Gate {
        Gate(conditions)
    }

    /// What held when a reading of the history was taken is not known.
    pub(crate) fn is_open(&self, known: &Known, stamp: &Stamp) -> bool {
        stamp.origin == Origin::Live && self.0.iter().all(|condition| holds(condition, known, stamp))
    }
}

fn holds(condition: &Condition, known: &Known, stamp: &Stamp) -> bool {
    let value = known.slot(condition.point).and_then(|slot| known.values[slot].as_ref());
    let Some((value, at)) = value else { return false };
    let apart = stamp.gateway_time.0.abs_diff(*at);
    let is_fresh = condition.max_age.is_none_or(|age| apart <= micros(age).unsigned_abs());
    is_fresh && condition.test.holds(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn number(text: &str) -> Scalar {
        Scalar::Number(text.parse().unwrap())
    }

    #[test]
    fn a_value_is_compared_exactly_in_its_type() {
        let text = |text: &str| Value::String(text.into());
        for (scalar, value, equals) in [
            (number("3"), Value::Byte(3), true),
            (number("3.5"), Value::Int32(3), false),
            (number("0.1"), Value::Float(0.1), true),
            (number("0.1"), Value::Double(0.1), true),
            (number("0.1"), Value::Double(f64::NAN), false),
            (number("1"), Value::Boolean(true), false),
            (Scalar::Boolean(true), Value::Boolean(true), true),
            (Scalar::Text("RUN".into()), text("RUN"), true),
            (Scalar::Text("RUN".into()), text("run"), false),
            (Scalar::Text("1".into()), Value::Byte(1), false),
        ] {
            assert_eq!(scalar.equals(&value), equals, "{scalar} {value:?}");
        }
        assert!(number("1000000000000000").equals(&Value::UInt64(1_000_000_000_000_000)));
        assert!(!number("0.000000000000001").equals(&Value::UInt64(u64::MAX)));
    }

    #[test]
    fn limits_are_included() {
        let within = |low: Option<&str>, high: Option<&str>| Test::Within {
            low: low.map(|low| low.parse().unwrap()),
            high: high.map(|high| high.parse().unwrap()),
        };
        let inside =
            |test: &Test| [1, 2, 3, 4, 5].into_iter().filter(|n| test.holds(&Value::Int16(*n))).collect::<Vec<_>>();
        assert_eq!(inside(&within(Some("2"), Some("4"))), [2, 3, 4]);
        assert_eq!(inside(&within(Some("3.5"), None)), [4, 5]);
        assert_eq!(inside(&within(None, Some("1.5"))), [1]);
        assert!(!within(Some("0"), None).holds(&Value::Double(f64::NAN)));
        assert!(!within(Some("0"), None).holds(&Value::Boolean(true)), "what is no number lies within no limits");
    }

    #[test]
    fn a_condition_reads_as_a_sentence() {
        let condition = |test| Condition {
            point: PointId(7),
            name: "etcher/state".to_owned(),
            test,
            max_age: Some(Duration::from_secs(30)),
        };
        let is = Test::Is(vec![Scalar::Text("PROCESSING".into()), number("4"), Scalar::Boolean(true)]);
        assert_eq!(condition(is).to_string(), "etcher/state is \"PROCESSING\" or 4 or true (at most 30s old)");
        let within = Test::Within { low: None, high: "2.5".parse().ok() };
        assert_eq!(condition(within).to_string(), "etcher/state is at most 2.5 (at most 30s old)");
    }
}
