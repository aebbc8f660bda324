use std::cmp::Ordering;

use lingate_model::{Decimal, Value};

/// M8: to the nearest multiple of `to`, ties to the even multiple. Decided on the exact number that the value holds:
/// the double written 0.15 lies below 0.15 and goes to 0.1 in steps of 0.1, while 0.25 is a tie and goes to 0.2.
///
/// - Double and Float become the nearest double or single of the decimal multiple: what its text would be read as.
/// - Integers go to the nearest multiple that is an integer; where the type cannot hold it (255 in steps of 10 as a
///   Byte), to the next one towards zero.
/// - Unchanged: not-a-number, infinities, values beyond `2^53 / 10^places` whose multiple would be rounded twice
///   ([`Decimal::times`]), values that are no numbers, and everything if `to` is not positive.
#[derive(Debug)]
pub(crate) struct Rounding {
    to: Decimal,
    /// `10^places` of `to`.
    scale: u64,
    /// The mantissa of `to`; 0: there is nothing to round to.
    step: u64,
    /// The smallest integer that is a multiple of `to`.
    whole: u64,
}

impl Rounding {
    pub(crate) fn new(to: Decimal) -> Rounding {
        let step = u64::try_from(to.mantissa()).unwrap_or(0);
        let scale = 10_u64.pow(u32::from(to.places()));
        Rounding { to, scale, step, whole: step / greatest_common_divisor(step, scale) }
    }

    pub(crate) fn round(&self, value: Value) -> Value {
        if self.step == 0 {
            return value;
        }
        match value {
            Value::Double(v) => Value::Double(self.count(v).and_then(|n| self.to.times(n)).unwrap_or(v)),
            Value::Float(v) => Value::Float(self.count(v.into()).and_then(|n| self.to.times_single(n)).unwrap_or(v)),
            Value::SByte(v) => Value::SByte(self.round_integer(v)),
            Value::Byte(v) => Value::Byte(self.round_integer(v)),
            Value::Int16(v) => Value::Int16(self.round_integer(v)),
            Value::UInt16(v) => Value::UInt16(self.round_integer(v)),
            Value::Int32(v) => Value::Int32(self.round_integer(v)),
            Value::UInt32(v) => Value::UInt32(self.round_integer(v)),
            Value::Int64(v) => Value::Int64(self.round_integer(v)),
            Value::UInt64(v) => Value::UInt64(self.round_integer(v)),
            other => other,
        }
    }

    /// How many steps `value` is, rounded.
    fn count(&self, value: f64) -> Option<i64> {
        let count = nearest(quarters(value, self.scale)?, 4 * self.step);
        let count = i64::try_from(count).ok()?;
        Some(if value.is_sign_negative() { -count } else { count })
    }

    fn round_integer<T: Copy + Into<i128> + TryFrom<i128>>(&self, value: T) -> T {
        let exact: i128 = value.into();
        let magnitude = u64::try_from(exact.unsigned_abs()).expect("no OPC UA integer has more than 64 bits");
        let count = i128::from(nearest(magnitude, self.whole));
        let multiple = |count: i128| T::try_from(count * i128::from(self.whole) * exact.signum());
        multiple(count).or_else(|_| multiple(count - 1)).unwrap_or(value)
    }
}

/// How many `step`s are nearest to `magnitude`; a tie goes to the even count.
fn nearest(magnitude: u64, step: u64) -> u64 {
    let (count, rest) = (magnitude / step, magnitude % step);
    match rest.cmp(&(step - rest)) {
        Ordering::Less => count,
        Ordering::Equal => count + count % 2,
        Ordering::Greater => count + 1,
    }
}

/// `4 * |value| * scale` as an integer that compares with every multiple of 2 as the exact product does: twice the
/// integer part of `2 * |value| * scale`, plus 1 if there was a fraction. `None` if not finite or 2^62 and more.
fn quarters(value: f64, scale: u64) -> Option<u64> {
    if !value.is_finite() {
        return None;
    }
    let (mantissa, exponent) = parts(value);
    let product = u128::from(mantissa) * u128::from(scale); // < 2^103
    let doubled = exponent + 1;
    let (twice, has_fraction) = match u32::try_from(doubled) {
        Ok(left) if left > 24 => return None,
        Ok(left) => (product << left, false),
        Err(_) => {
            let right = doubled.unsigned_abs();
            let twice = product.checked_shr(right).unwrap_or(0);
            (twice, twice.checked_shl(right).unwrap_or(0) != product)
        }
    };
    let twice = u64::try_from(twice).ok().filter(|twice| *twice < 1 << 61)?;
    Some(2 * twice + u64::from(has_fraction))
}

/// `|value| = mantissa * 2^exponent` of a finite double (IEEE 754, binary64).
fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let (biased, fraction) = ((bits >> 52) & 0x7FF, bits & ((1 << 52) - 1));
    match biased {
        0 => (fraction, -1074),
        _ => (fraction | 1 << 52, biased as i32 - 1075),
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn rounded(to: &str, value: Value) -> Value {
        Rounding::new(to.parse().unwrap()).round(value)
    }

    fn check_doubles(to: &str, cases: &[(f64, f64)]) {
        for &(value, expected) in cases {
            assert!(rounded(to, Value::Double(value)) == Value::Double(expected), "{value:?} in steps of {to}");
            assert!(rounded(to, Value::Double(-value)) == Value::Double(-expected), "-{value:?} in steps of {to}");
        }
    }

    #[test]
    fn a_double_becomes_the_literal_of_the_multiple() {
        check_doubles("0.1", &[(0.25, 0.2), (0.35, 0.3), (0.75, 0.8), (0.15, 0.1), (20.349, 20.3), (0.3, 0.3)]);
        check_doubles("0.1", &[(0.1 + 0.2, 0.3), (0.049_999_999_999_999_99, 0.0), (1e-300, 0.0), (5e-324, 0.0)]);
        check_doubles("0.05", &[(21.374, 21.35), (21.376, 21.4), (0.025, 0.05), (0.075, 0.05), (0.125, 0.1)]);
        check_doubles("2.5", &[(1.25, 0.0), (3.75, 5.0), (6.25, 5.0), (1e6 + 1.0, 1e6)]);
        check_doubles("10", &[(5.0, 0.0), (15.0, 20.0), (25.0, 20.0), (14.999_999_999_999_998, 10.0)]);
        check_doubles("1e-15", &[(1e-15, 1e-15), (4.9e-16, 0.0), (5.1e-16, 1e-15)]);
        check_doubles("1e15", &[(5e14, 0.0), (5.000_000_000_000_01e14, 1e15), (9e15, 9e15)]);
    }

    #[test]
    fn what_cannot_be_rounded_once_stays_as_it_is() {
        let limit = 9_007_199_254_740_992.0; // 2^53
        check_doubles("1", &[(limit, limit), (limit + 2.0, limit + 2.0), (f64::MAX, f64::MAX)]);
        check_doubles("0.1", &[(1e15 + 0.125, 1e15 + 0.125), (f64::INFINITY, f64::INFINITY)]);
        let Value::Double(nan) = rounded("0.1", Value::Double(f64::NAN)) else { panic!("changed its type") };
        assert!(nan.is_nan());
    }

    #[test]
    fn a_float_becomes_the_single_nearest_to_the_multiple() {
        for (to, value, expected) in
            [("0.1", 20.349_f32, 20.3_f32), ("0.1", 0.25, 0.2), ("0.01", -7.125, -7.12), ("5", 1e30, 1e30)]
        {
            assert!(rounded(to, Value::Float(value)) == Value::Float(expected), "{value:?} in steps of {to}");
        }
        // 17 steps are 88.84742355346679, whose nearest double lies half way between two singles.
        assert!(rounded("5.22631903255687", Value::Float(88.8)) == Value::Float(88.847_42));
    }

    #[test]
    fn integers_are_rounded_in_integers() {
        let cases = [(5, 0), (15, 20), (25, 20), (26, 30), (-5, 0), (-15, -20), (-14, -10)];
        for (value, expected) in cases {
            assert!(rounded("10", Value::Int64(value)) == Value::Int64(expected), "{value}");
            assert!(rounded("10", Value::SByte(value as i8)) == Value::SByte(expected as i8), "{value}");
        }
        assert!(rounded("2", Value::UInt64(u64::MAX - 2)) == Value::UInt64(u64::MAX - 3));
        assert!(rounded("1", Value::Int64(i64::MIN)) == Value::Int64(i64::MIN));
    }

    #[test]
    fn a_multiple_that_the_type_cannot_hold_gives_way_to_the_one_below() {
        assert!(rounded("10", Value::Byte(255)) == Value::Byte(250));
        assert!(rounded("10", Value::SByte(-128)) == Value::SByte(-120));
        assert!(rounded("200", Value::SByte(127)) == Value::SByte(0));
        assert!(rounded("10", Value::UInt64(u64::MAX)) == Value::UInt64(u64::MAX - 5));
        assert!(rounded("1000", Value::Int64(i64::MIN)) == Value::Int64(-9_223_372_036_854_775_000));
    }

    #[test]
    fn a_step_with_a_fraction_takes_integers_to_its_integer_multiples() {
        assert!(rounded("2.5", Value::Int32(7)) == Value::Int32(5));
        assert!(rounded("2.5", Value::Int32(8)) == Value::Int32(10));
        assert!(rounded("0.5", Value::Int32(7)) == Value::Int32(7));
    }

    #[test]
    fn a_value_that_is_no_number_passes() {
        for value in [Value::Boolean(true), Value::String("7".into()), Value::DateTime(77), Value::StatusCode(7)] {
            assert!(rounded("10", value.clone()) == value);
        }
    }

    #[test]
    fn a_step_that_is_not_positive_rounds_nothing() {
        for to in ["0", "-0.1", "-10"] {
            check_doubles(to, &[(0.123, 0.123)]);
            assert!(rounded(to, Value::Byte(7)) == Value::Byte(7));
        }
    }
}
