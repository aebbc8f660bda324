//! The refinery once more, as plainly as it can be written: no batches, no speed, rational arithmetic.

use lingate_model::{Class, Decimal, Now, Reading, StatusCode, Value};
use lingate_refine::{Band, DatasetIndex, ExportPlan, Step, StepId};

/// What left, and what each step saw and kept.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) kept: Vec<(u32, Option<Value>, StatusCode)>,
    pub(crate) counts: Vec<(StepId, u64, u64)>,
    pub(crate) read: u64,
}

pub(crate) struct Reference {
    plan: ExportPlan,
    ceilings: Vec<Option<Class>>,
    last: Vec<Option<(Option<Value>, StatusCode)>>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) unassigned: u64,
}

impl Reference {
    pub(crate) fn new(plan: ExportPlan) -> Reference {
        Reference {
            ceilings: plan.datasets.iter().map(|dataset| Some(dataset.ceiling)).collect(),
            last: vec![None; plan.points.len()],
            outcomes: plan.datasets.iter().map(|_| Outcome::default()).collect(),
            unassigned: 0,
            plan,
        }
    }

    pub(crate) fn refine(&mut self, _now: Now, reading: Reading) {
        let point = self.plan.points.get(reading.point.index()).cloned();
        let Some(export) =
            point.as_ref().and_then(|p| p.export.clone()).filter(|e| e.dataset.index() < self.outcomes.len())
        else {
            self.unassigned += 1;
            return;
        };
        let place = reading.point.index();
        let outcome = &mut self.outcomes[export.dataset.index()];
        outcome.read += 1;
        let ceiling = self.ceilings[export.dataset.index()];
        if !outcome.count(StepId::AllowList, ceiling.is_some()) {
            return;
        }
        if !outcome.count(StepId::ClassCeiling, export.class.is_some() && export.class <= ceiling) {
            return;
        }
        let (mut value, mut status) = (reading.value, reading.status);
        if status.is_bad() {
            value = None;
        } else if value.is_none() {
            status = StatusCode::BAD_NO_DATA;
        } else if value.as_ref().map(Value::builtin_type) != point.map(|p| p.builtin_type) {
            (value, status) = (None, StatusCode::BAD_TYPE_MISMATCH);
        }
        for step in &export.steps {
            if let Step::Deadband(Band { by, .. }) = *step {
                let keeps = match &self.last[place] {
                    Some((last, last_status)) => *last_status != status || moved(last.as_ref(), value.as_ref(), by),
                    None => true,
                };
                if !outcome.count(StepId::Deadband, keeps) {
                    return;
                }
                self.last[place] = Some((value.clone(), status));
            }
        }
        for step in &export.steps {
            if let Step::Round { to } = *step {
                outcome.count(StepId::Rounding, true);
                value = value.map(|value| rounded(value, to));
            }
        }
        outcome.kept.push((export.alias, value, status));
    }

    pub(crate) fn close(&mut self, dataset: DatasetIndex) {
        for (point, last) in self.plan.points.iter().zip(&mut self.last) {
            if point.export.as_ref().is_some_and(|export| export.dataset == dataset) {
                *last = None;
            }
        }
    }

    pub(crate) fn set_ceiling(&mut self, dataset: DatasetIndex, ceiling: Option<Class>) {
        self.close(dataset);
        if let Some(slot) = self.ceilings.get_mut(dataset.index()) {
            *slot = ceiling.map(|ceiling| ceiling.min(self.plan.datasets[dataset.index()].ceiling));
        }
    }
}

impl Outcome {
    fn count(&mut self, step: StepId, keeps: bool) -> bool {
        self.add(step, 1, u64::from(keeps));
        keeps
    }

    pub(crate) fn add(&mut self, step: StepId, seen: u64, kept: u64) {
        match self.counts.iter_mut().find(|count| count.0 == step) {
            Some(count) => *count = (step, count.1 + seen, count.2 + kept),
            None => self.counts.push((step, seen, kept)),
        }
        self.counts.sort();
    }
}

fn moved(last: Option<&Value>, value: Option<&Value>, by: Decimal) -> bool {
    let (Some(last), Some(value)) = (last, value) else { return false };
    if let (Some(last), Some(value)) = (integer(last), integer(value)) {
        return (last - value).abs() * power_of_ten(by) > i128::from(by.mantissa());
    }
    match (last.approximate(), value.approximate()) {
        (Some(last), Some(value)) if last.is_nan() || value.is_nan() => last.is_nan() != value.is_nan(),
        (Some(last), Some(value)) => (last - value).abs() > by.to_f64(),
        _ => last != value,
    }
}

/// For steps that take integers to integers, and for floating values that are a number of 1024ths.
pub(crate) fn rounded(value: Value, to: Decimal) -> Value {
    let text = |v: f64| multiple(v, to).map(|product| format!("{product}e-{}", to.places()));
    match value {
        Value::Double(v) => Value::Double(text(v).map_or(v, |text| text.parse().unwrap())),
        Value::Float(v) => Value::Float(text(v.into()).map_or(v, |text| text.parse().unwrap())),
        value => match integer(&value) {
            Some(v) => (0..).find_map(|less| with_integer(&value, nearest(v, less, to))).unwrap(),
            None => value,
        },
    }
}

/// The mantissa of the nearest multiple.
fn multiple(value: f64, to: Decimal) -> Option<i64> {
    let parts = value * 1024.0;
    if !parts.is_finite() || parts.abs() > 1e15 || to.mantissa() <= 0 {
        return None;
    }
    assert!(parts.fract() == 0.0, "{value} is not a number of 1024ths");
    let count = half_even(parts as i128 * power_of_ten(to), 1024 * i128::from(to.mantissa()));
    let product = count * i128::from(to.mantissa());
    (product.abs() <= 1 << 53).then(|| i64::try_from(product).unwrap())
}

/// `less` multiples nearer to zero than the nearest one.
fn nearest(value: i128, less: i128, to: Decimal) -> i128 {
    if to.mantissa() <= 0 {
        return value;
    }
    let step = (1..).find(|n| n * i128::from(to.mantissa()) % power_of_ten(to) == 0).unwrap();
    let step = step * i128::from(to.mantissa()) / power_of_ten(to);
    (half_even(value, step).abs() - less) * step * value.signum()
}

fn half_even(numerator: i128, denominator: i128) -> i128 {
    let floor = numerator.div_euclid(denominator);
    let twice_rest = 2 * numerator.rem_euclid(denominator);
    floor + i128::from(twice_rest > denominator || (twice_rest == denominator && floor % 2 != 0))
}

fn power_of_ten(decimal: Decimal) -> i128 {
    10_i128.pow(u32::from(decimal.places()))
}

pub(crate) fn integer(value: &Value) -> Option<i128> {
    Some(match *value {
        Value::SByte(v) => v.into(),
        Value::Byte(v) => v.into(),
        Value::Int16(v) => v.into(),
        Value::UInt16(v) => v.into(),
        Value::Int32(v) => v.into(),
        Value::UInt32(v) => v.into(),
        Value::Int64(v) => v.into(),
        Value::UInt64(v) => v.into(),
        _ => return None,
    })
}

/// `number` in the type of `model`, if it fits.
pub(crate) fn with_integer(model: &Value, number: i128) -> Option<Value> {
    match model {
        Value::SByte(_) => number.try_into().ok().map(Value::SByte),
        Value::Byte(_) => number.try_into().ok().map(Value::Byte),
        Value::Int16(_) => number.try_into().ok().map(Value::Int16),
        Value::UInt16(_) => number.try_into().ok().map(Value::UInt16),
        Value::Int32(_) => number.try_into().ok().map(Value::Int32),
        Value::UInt32(_) => number.try_into().ok().map(Value::UInt32),
        Value::Int64(_) => number.try_into().ok().map(Value::Int64),
        Value::UInt64(_) => number.try_into().ok().map(Value::UInt64),
        _ => None,
    }
}
