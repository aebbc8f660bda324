use lingate_model::{Decimal, StatusCode};

/// `value = raw * factor + offset`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) factor: Decimal,
    pub(crate) offset: Decimal,
}

impl Scale {
    /// The double nearest to the exact result, for every integer of 64 bits. (Factor and offset that are 10^20 apart
    /// round twice.)
    pub(crate) fn of_integer(self, raw: i128) -> f64 {
        let Scale { factor, offset } = self;
        let fast = i64::try_from(raw).ok().and_then(|raw| factor.times_plus(raw, offset));
        fast.or_else(|| self.exact(raw)).unwrap_or_else(|| raw as f64 * factor.to_f64() + offset.to_f64())
    }

    pub(crate) fn of_float(self, raw: f64) -> Result<f64, StatusCode> {
        finite(raw * self.factor.to_f64() + self.offset.to_f64())
    }

    /// Decimal places of the finest step of a scaled integer.
    pub(crate) fn places(self) -> u8 {
        self.factor.places().max(self.offset.places())
    }

    /// Through its digits: the parser of a double rounds once.
    fn exact(self, raw: i128) -> Option<f64> {
        let places = self.places();
        let lift = |decimal: Decimal| {
            i128::from(decimal.mantissa()).checked_mul(10_i128.checked_pow(u32::from(places - decimal.places()))?)
        };
        let sum = raw.checked_mul(lift(self.factor)?)?.checked_add(lift(self.offset)?)?;
        format!("{sum}e-{places}").parse().ok()
    }
}

/// BadSensorFailure for a NaN, by which instruments report a broken sensor; BadOutOfRange for an infinity.
pub(crate) fn finite(number: f64) -> Result<f64, StatusCode> {
    if number.is_nan() {
        return Err(StatusCode::BAD_SENSOR_FAILURE);
    }
    if number.is_infinite() {
        return Err(StatusCode::BAD_OUT_OF_RANGE);
    }
    Ok(number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(factor: &str, offset: &str, raw: i128, expected: &str) {
        let scale = Scale { factor: factor.parse().unwrap(), offset: offset.parse().unwrap() };
        assert!(scale.of_integer(raw) == expected.parse::<f64>().unwrap(), "{raw} * {factor} + {offset} is {}", scale.of_integer(raw));
    }

    #[test]
    fn a_scaled_integer_is_the_double_that_its_decimal_writes() {
        check("0.1", "0", 3, "0.3");
        check("0.01", "-40", 12_345, "83.45");
        check("0.001", "0", i128::from(u64::MAX), "18446744073709551.615");
        check("0.001", "0", i128::from(i64::MIN), "-9223372036854775.808");
        check("0.001", "0.0005", 9_007_199_254_740_993, "9007199254740.9935");
        // 2^53 + 1 ten times: twice rounded it would be 90071992547409920.
        check("10", "1", 9_007_199_254_740_993, "90071992547409931.0");
        check("0.1", "0", 9_007_199_254_740_993, "900719925474099.3");
    }

    #[test]
    fn absurd_scales_do_not_overflow() {
        check("1000000000000000", "0.000000000000001", i128::from(u64::MAX), "18446744073709551615e15");
    }
}
