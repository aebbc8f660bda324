use lingate_model::{Origin, StatusCode, Value};

use crate::Band;
use crate::minimized::Item;
use crate::number::integer;

/// M6, OPC UA AbsoluteDeadband (OPC 10000-4, 7.22.2) with the trigger StatusValue: a reading is kept if nothing of its
/// point was kept before, if its StatusCode differs from the last kept one in any bit, or if its value moved.
///
/// - A number moved if it differs from the last kept one by *more* than `by`: integers exactly, Float and Double in
///   double arithmetic. Not-a-number against a number moved, against not-a-number it did not; equal infinities did not.
/// - Any other value moved if it is not equal to the last kept one.
/// - A bad reading has no value: a run of one bad status is kept once, at its beginning, and so is the first good
///   reading after it.
/// - Readings out of the device's history are compared among themselves: where live ones and backfilled ones meet, one of
///   each is kept, because in the order of their times another value may stand between them.
/// - With a heartbeat, a reading that is `max_interval` or more younger than the last kept one is kept whatever it says,
///   and so is one that is older than it: a clock that went back does not silence a point.
#[derive(Debug)]
pub(crate) struct Deadband {
    by: f64,
    /// `by` without its fraction: two integers differ by more than `by` exactly if they differ by more than this.
    whole: i128,
    /// Microseconds.
    max_interval: Option<i64>,
    last: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    status: StatusCode,
    value: Option<Value>,
    origin: Origin,
    at: i64,
}

impl Deadband {
    pub(crate) fn new(Band { by, max_interval, .. }: Band) -> Deadband {
        let whole = i128::from(by.mantissa()).div_euclid(10_i128.pow(u32::from(by.places())));
        let max_interval = max_interval.map(|interval| i64::try_from(interval.as_micros()).unwrap_or(i64::MAX));
        Deadband { by: by.to_f64(), whole, max_interval, last: None }
    }

    pub(crate) fn keeps(&mut self, item: &Item) -> bool {
        let (status, origin, at) = (item.status, item.stamp.origin, item.at);
        let keeps = match &self.last {
            None => true,
            Some(last) => {
                (last.status, last.origin) != (status, origin)
                    || self.is_due(last.at, at)
                    || self.moved(last.value.as_ref(), item.value.as_ref())
            }
        };
        if keeps {
            self.last = Some(Kept { status, value: item.value.clone(), origin, at });
        }
        keeps
    }

    fn is_due(&self, last: i64, at: i64) -> bool {
        self.max_interval.is_some_and(|interval| at < last || at.saturating_sub(last) >= interval)
    }

    /// The next reading will be kept, whatever it says.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }

    fn moved(&self, last: Option<&Value>, value: Option<&Value>) -> bool {
        let (Some(last), Some(value)) = (last, value) else { return last.is_some() != value.is_some() };
        match (last, value) {
            (&Value::Double(last), &Value::Double(value)) => self.moved_double(last, value),
            (&Value::Float(last), &Value::Float(value)) => self.moved_double(last.into(), value.into()),
            _ => match (integer(last), integer(value)) {
                (Some(last), Some(value)) => (value - last).abs() > self.whole,
                _ => last != value,
            },
        }
    }

    fn moved_double(&self, last: f64, value: f64) -> bool {
        last.is_nan() != value.is_nan() || (value - last).abs() > self.by
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::time::Duration;

    use lingate_model::{Decimal, UtcMicros};

    use super::*;
    use crate::Stamp;

    fn deadband(by: Decimal, max_interval: Option<Duration>) -> Deadband {
        Deadband::new(Band { by, percent: None, max_interval })
    }

    fn item(value: Option<&Value>, status: StatusCode, origin: Origin, at: i64) -> Item {
        let stamp = Stamp { gateway_time: UtcMicros(at), source_time: None, server_time: None, origin };
        Item { stamp, value: value.cloned(), status, at, readings: 1 }
    }

    /// Which of `values` are kept, all of them good.
    fn kept<T: Copy>(by: &str, make: fn(T) -> Value, values: &[T]) -> Vec<bool> {
        let mut deadband = deadband(by.parse().unwrap(), None);
        let keeps = |v: &T| deadband.keeps(&item(Some(&make(*v)), StatusCode::GOOD, Origin::Live, 0));
        values.iter().map(keeps).collect()
    }

    #[test]
    fn exactly_the_deadband_is_not_more_than_the_deadband() {
        assert_eq!(kept("2", Value::Int32, &[10, 12, 8, 13, 11, 10]), [true, false, false, true, false, true]);
        assert_eq!(kept("0.5", Value::Double, &[1.0, 1.5, 0.5, 1.75]), [true, false, false, true]);
        assert_eq!(kept("0.5", Value::Float, &[1.0, 1.5, 0.5, 1.75]), [true, false, false, true]);
    }

    #[test]
    fn slow_drift_is_measured_from_the_last_kept_value() {
        assert_eq!(kept("2", Value::Byte, &[0, 1, 2, 3, 4, 5, 6]), [true, false, false, true, false, false, true]);
    }

    #[test]
    fn a_fraction_of_a_count_does_not_change_the_answer_for_integers() {
        assert_eq!(kept("2.99999999999999", Value::UInt16, &[0, 2, 3]), [true, false, true]);
        assert_eq!(kept("0.1", Value::SByte, &[5, 5, 6]), [true, false, true]);
    }

    #[test]
    fn sixty_four_bit_integers_are_compared_to_the_last_bit() {
        let (low, high) = (u64::MAX - 1, u64::MAX);
        assert_eq!(kept("0", Value::UInt64, &[low, high, high, 0]), [true, true, false, true]);
        assert_eq!(kept("1", Value::Int64, &[i64::MIN, i64::MIN + 1, i64::MIN + 2]), [true, false, true]);
        assert_eq!(kept("999999999999999", Value::Int64, &[i64::MIN, i64::MAX, i64::MIN]), [true, true, true]);
    }

    #[test]
    fn what_is_not_a_number_is_told_once() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        assert_eq!(kept("1", Value::Double, &[1.0, nan, nan, 1.0]), [true, true, false, true]);
        assert_eq!(kept("1", Value::Double, &[inf, inf, -inf, -inf, 0.0]), [true, false, true, false, true]);
        assert_eq!(kept("1", Value::Double, &[nan, inf, nan]), [true, true, true]);
        assert_eq!(kept("1", Value::Double, &[f64::MAX, f64::MIN, f64::MIN]), [true, true, false]);
    }

    #[test]
    fn a_value_without_a_distance_is_kept_when_it_differs() {
        assert_eq!(kept("5", Value::Boolean, &[true, true, false]), [true, false, true]);
        assert_eq!(kept("5", |t: &str| Value::String(t.into()), &["a", "a", "b"]), [true, false, true]);
        assert_eq!(kept("5", Value::DateTime, &[1, 1, 2]), [true, false, true]);
    }

    #[test]
    fn every_change_of_status_is_kept_and_a_run_of_one_bad_status_once() {
        let mut deadband = deadband(Decimal::ONE, None);
        let (good, bad) = (Some(Value::Byte(7)), None);
        let limited = StatusCode(StatusCode::UNCERTAIN.0 | 0x0500);
        let told = [
            (&good, StatusCode::GOOD, true),
            (&good, StatusCode::UNCERTAIN, true),
            (&good, limited, true),
            (&good, limited, false),
            (&bad, StatusCode::BAD_TIMEOUT, true),
            (&bad, StatusCode::BAD_TIMEOUT, false),
            (&bad, StatusCode::BAD_NO_COMMUNICATION, true),
            (&good, StatusCode::GOOD, true),
            (&good, StatusCode::GOOD, false),
        ];
        for (at, (value, status, kept)) in told.into_iter().enumerate() {
            assert_eq!(deadband.keeps(&item(value.as_ref(), status, Origin::Live, 0)), kept, "reading {at}");
        }
    }

    #[test]
    fn history_is_compared_with_history_and_live_with_live() {
        let mut deadband = deadband(Decimal::ONE, None);
        let (live, old) = (Origin::Live, Origin::Backfilled);
        let told =
            [(5, live, true), (5, old, true), (5, old, false), (7, old, true), (5, live, true), (5, live, false)];
        for (at, (value, origin, kept)) in told.into_iter().enumerate() {
            assert_eq!(
                deadband.keeps(&item(Some(&Value::Byte(value)), StatusCode::GOOD, origin, 0)),
                kept,
                "reading {at}"
            );
        }
    }

    #[test]
    fn a_point_that_does_not_move_is_heard_at_every_heartbeat() {
        let mut deadband = deadband(Decimal::ONE, Some(Duration::from_micros(10)));
        let times = [(0, true), (9, false), (10, true), (15, false), (21, true), (31, true), (3, true), (12, false)];
        for (at, kept) in times {
            let told = item(Some(&Value::Byte(7)), StatusCode::GOOD, Origin::Live, at);
            assert_eq!(deadband.keeps(&told), kept, "at {at}");
        }
    }
}
