//! What a window keeps of its readings: enough for every aggregate, whatever their number.

use lingate_model::{Severity, Value};

use crate::minimized::Item;
use crate::number::integer;

/// A good number at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: i64,
    pub(crate) value: f64,
}

impl Sample {
    /// `None`: not good, or no finite number.
    pub(crate) fn of(item: &Item, at: i64) -> Option<Sample> {
        let value = item.value.as_ref().and_then(Value::approximate).filter(|value| value.is_finite())?;
        (item.status.severity() == Severity::Good).then_some(Sample { at, value })
    }

    /// On the straight line between two samples.
    pub(crate) fn between(self, other: Sample, at: i64) -> f64 {
        let whole = other.at.saturating_sub(self.at).max(1) as f64;
        self.value + (other.value - self.value) * (at.saturating_sub(self.at) as f64 / whole)
    }
}

/// Of the readings themselves.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    pub(crate) good: u64,
    /// Everything that is not good, and what is no finite number.
    pub(crate) other: u64,
    /// Of those: bad, or no finite number.
    pub(crate) bad: u64,
    pub(crate) sum: f64,
    /// Mean and sum of squared differences from it, by Welford's method.
    mean: f64,
    squares: f64,
    pub(crate) minimum: Option<Extreme>,
    pub(crate) maximum: Option<Extreme>,
    /// Of the uncertain ones.
    lowest_uncertain: Option<f64>,
    highest_uncertain: Option<f64>,
}

/// A good value that no other one exceeds.
#[derive(Clone, Debug)]
pub(crate) struct Extreme {
    pub(crate) value: Value,
    /// When it was first read.
    pub(crate) at: i64,
    /// At more than one time.
    pub(crate) multiple: bool,
}

impl Raw {
    pub(crate) fn add(&mut self, item: &Item, sample: Option<Sample>) {
        let Some(Sample { at, value }) = sample else { return self.add_other(item) };
        self.good += 1;
        self.sum += value;
        let before = value - self.mean;
        self.mean += before / self.good as f64;
        self.squares += before * (value - self.mean);
        let exact = item.value.as_ref().expect("a sample was made of it");
        extend(&mut self.minimum, exact, at, |new, old| new < old);
        extend(&mut self.maximum, exact, at, |new, old| new > old);
    }

    fn add_other(&mut self, item: &Item) {
        self.other += 1;
        let value = item.value.as_ref().and_then(Value::approximate).filter(|value| value.is_finite());
        let Some(value) = value.filter(|_| item.status.severity() == Severity::Uncertain) else {
            self.bad += 1;
            return;
        };
        self.lowest_uncertain = Some(self.lowest_uncertain.map_or(value, |lowest| lowest.min(value)));
        self.highest_uncertain = Some(self.highest_uncertain.map_or(value, |highest| highest.max(value)));
    }

    /// An uncertain value lies below the minimum.
    pub(crate) fn has_lower(&self) -> bool {
        let minimum = self.minimum.as_ref().and_then(|extreme| extreme.value.approximate());
        self.lowest_uncertain.zip(minimum).is_some_and(|(lowest, minimum)| lowest < minimum)
    }

    /// An uncertain value lies above the maximum.
    pub(crate) fn has_higher(&self) -> bool {
        let maximum = self.maximum.as_ref().and_then(|extreme| extreme.value.approximate());
        self.highest_uncertain.zip(maximum).is_some_and(|(highest, maximum)| highest > maximum)
    }

    /// Over `good - less`.
    pub(crate) fn deviation(&self, less: u64) -> f64 {
        let over = self.good.saturating_sub(less).max(1);
        (self.squares.max(0.0) / over as f64).sqrt()
    }
}

fn extend(extreme: &mut Option<Extreme>, value: &Value, at: i64, exceeds: fn(Number, Number) -> bool) {
    match extreme {
        Some(old) if exceeds(Number::of(&old.value), Number::of(value)) => {}
        Some(old) if !exceeds(Number::of(value), Number::of(&old.value)) => old.multiple |= at > old.at,
        _ => *extreme = Some(Extreme { value: value.clone(), at, multiple: false }),
    }
}

/// Integers compare exactly, others as doubles; the two are never mixed within a point.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Number {
    Integer(i128),
    Double(f64),
}

impl Number {
    fn of(value: &Value) -> Number {
        integer(value).map_or_else(|| Number::Double(value.approximate().unwrap_or(0.0)), Number::Integer)
    }
}

/// Time for which each reading holds until the next one.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// From when the last reading holds; its value if it is good.
    holds: Option<(i64, Option<f64>)>,
    pub(crate) good_us: i64,
    pub(crate) bad_us: i64,
    pub(crate) area: f64,
}

impl Steps {
    /// What was read last before the window holds from its begin on.
    pub(crate) fn begin(holds: Option<Option<f64>>, start: i64) -> Steps {
        Steps { holds: holds.map(|value| (start, value)), ..Steps::default() }
    }

    pub(crate) fn add(&mut self, at: i64, value: Option<f64>) {
        self.until(at);
        self.holds = Some((at, value));
    }

    pub(crate) fn until(&mut self, at: i64) {
        let Some((from, value)) = &mut self.holds else { return };
        let span = at.saturating_sub(*from).max(0);
        match value {
            Some(value) => {
                self.good_us = self.good_us.saturating_add(span);
                self.area += *value * span as f64;
            }
            None => self.bad_us = self.bad_us.saturating_add(span),
        }
        *from = at.max(*from);
    }

    /// Of the good time before the last reading, so much was none. The mean of the rest stays.
    pub(crate) fn doubt(&mut self, span: i64) {
        let span = span.clamp(0, self.good_us);
        if span > 0 {
            self.area *= (self.good_us - span) as f64 / self.good_us as f64;
            self.good_us -= span;
            self.bad_us = self.bad_us.saturating_add(span);
        }
    }

    pub(crate) fn last(&self) -> Option<Option<f64>> {
        self.holds.map(|(_, value)| value)
    }
}

/// The straight lines between good readings.
#[derive(Debug)]
pub(crate) struct Lines {
    start: i64,
    pub(crate) last: Option<Sample>,
    area: f64,
    /// Where the lines begin: at the window's begin, or at the first good reading if none was before.
    from: Option<i64>,
    /// At the window's begin.
    pub(crate) first: Option<f64>,
    /// A reading lies exactly there.
    pub(crate) is_first_raw: bool,
}

impl Lines {
    pub(crate) fn begin(before: Option<Sample>, start: i64) -> Lines {
        Lines { start, last: before, area: 0.0, from: None, first: None, is_first_raw: false }
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        if self.from.is_none() {
            self.enter(sample);
        } else if let Some(last) = self.last {
            self.area += trapezoid(last, sample);
        }
        self.last = Some(sample);
    }

    fn enter(&mut self, sample: Sample) {
        self.is_first_raw = sample.at == self.start;
        self.from = Some(if self.last.is_some() { self.start } else { sample.at });
        let value = self.last.map(|before| before.between(sample, self.start)).filter(|_| !self.is_first_raw);
        self.first = value.or(self.is_first_raw.then_some(sample.value));
        let edge = Sample { at: self.start, value: value.unwrap_or(sample.value) };
        if self.last.is_some() {
            self.area += trapezoid(edge, sample);
        }
    }

    /// Mean height up to `end`; the lines go on to `next`, or straight on at their last height (then `true`).
    pub(crate) fn average(&self, end: i64, next: Option<Sample>) -> Option<(f64, bool)> {
        let (last, from) = (self.last?, self.from?);
        let edge = Sample { at: end, value: next.map_or(last.value, |next| last.between(next, end)) };
        let span = end.saturating_sub(from);
        if span <= 0 {
            return Some((last.value, false));
        }
        let area = self.area + trapezoid(last, edge);
        Some((area / span as f64, next.is_none() && last.at < end))
    }
}

fn trapezoid(from: Sample, to: Sample) -> f64 {
    (from.value + to.value) / 2.0 * to.at.saturating_sub(from.at) as f64
}
