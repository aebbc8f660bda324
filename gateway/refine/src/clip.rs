use lingate_model::{Decimal, Value};

/// M9, top and bottom coding (ISO/IEC 20889): what is below `low` becomes `low`, what is above `high` becomes `high`.
///
/// - Double and Float: the limits are the nearest double or single; infinities are clipped, not-a-number stays.
/// - Integers: the limits are the whole numbers inside of them, as far as the type holds them.
/// - Unchanged: values that are no numbers.
#[derive(Debug)]
pub(crate) struct Clip {
    low: Option<Decimal>,
    high: Option<Decimal>,
    /// The smallest and the largest integer within.
    whole: (i128, i128),
}

impl Clip {
    pub(crate) fn new(low: Option<Decimal>, high: Option<Decimal>) -> Clip {
        let floor = |d: Decimal| i128::from(d.mantissa()).div_euclid(power_of_ten(d));
        let ceil = |d: Decimal| -(-i128::from(d.mantissa())).div_euclid(power_of_ten(d));
        Clip { low, high, whole: (low.map_or(i128::MIN, ceil), high.map_or(i128::MAX, floor)) }
    }

    pub(crate) fn clip(&self, value: Value) -> Value {
        match value {
            Value::Double(v) => Value::Double(self.double(v)),
            Value::Float(v) => Value::Float(self.single(v)),
            Value::SByte(v) => Value::SByte(self.integer(v)),
            Value::Byte(v) => Value::Byte(self.integer(v)),
            Value::Int16(v) => Value::Int16(self.integer(v)),
            Value::UInt16(v) => Value::UInt16(self.integer(v)),
            Value::Int32(v) => Value::Int32(self.integer(v)),
            Value::UInt32(v) => Value::UInt32(self.integer(v)),
            Value::Int64(v) => Value::Int64(self.integer(v)),
            Value::UInt64(v) => Value::UInt64(self.integer(v)),
            other => other,
        }
    }

    fn double(&self, value: f64) -> f64 {
        let raised = self.low.map(Decimal::to_f64).filter(|low| value < *low).unwrap_or(value);
        self.high.map(Decimal::to_f64).filter(|high| raised > *high).unwrap_or(raised)
    }

    fn single(&self, value: f32) -> f32 {
        let clipped = self.double(value.into());
        // A value that is within stays what it is, bit for bit.
        if clipped == f64::from(value) || value.is_nan() { value } else { clipped as f32 }
    }

    fn integer<T: Copy + Into<i128> + TryFrom<i128>>(&self, value: T) -> T {
        let (low, high) = self.whole;
        let exact: i128 = value.into();
        // Limits beyond the type never bind, limits that no integer lies between leave the value to the upper one.
        T::try_from(exact.max(low).min(high)).unwrap_or(value)
    }
}

fn power_of_ten(decimal: Decimal) -> i128 {
    10_i128.pow(u32::from(decimal.places()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn clip(low: &str, high: &str) -> Clip {
        Clip::new(low.parse().ok(), high.parse().ok())
    }

    #[test]
    fn nothing_outside_of_the_limits_is_told() {
        let of = clip("-0.5", "80.25");
        for (value, told) in [(-1.0, -0.5), (-0.5, -0.5), (80.0, 80.0), (81.0, 80.25), (f64::INFINITY, 80.25)] {
            assert!(of.clip(Value::Double(value)) == Value::Double(told), "{value}");
            assert!(of.clip(Value::Float(value as f32)) == Value::Float(told as f32), "{value}");
        }
        for (value, told) in [(-3, 0), (0, 0), (80, 80), (81, 80), (i32::MAX, 80)] {
            assert!(of.clip(Value::Int32(value)) == Value::Int32(told), "{value}");
        }
        assert!(matches!(of.clip(Value::Double(f64::NAN)), Value::Double(v) if v.is_nan()));
    }

    #[test]
    fn one_limit_binds_alone_and_one_beyond_the_type_never() {
        assert!(clip("", "10").clip(Value::Int64(i64::MIN)) == Value::Int64(i64::MIN));
        assert!(clip("3", "").clip(Value::Byte(0)) == Value::Byte(3));
        assert!(clip("-1000", "1000").clip(Value::SByte(-128)) == Value::SByte(-128));
        assert!(clip("0.1", "").clip(Value::Float(0.05)) == Value::Float(0.1));
    }

    #[test]
    fn what_is_no_number_stays() {
        assert!(clip("0", "1").clip(Value::Boolean(true)) == Value::Boolean(true));
    }
}
