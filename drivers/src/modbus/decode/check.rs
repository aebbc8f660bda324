use lingate_model::{Decimal, StatusCode};

/// What a raw value must be, before it is scaled.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Checks {
    /// By which the device says that it has no value: BadSensorFailure.
    pub(crate) invalid: Vec<Sentinel>,
    /// Both ends allowed; outside: BadOutOfRange.
    pub(crate) valid: Option<(Decimal, Decimal)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sentinel {
    /// The value's own bits, its registers joined in its order.
    Bits(u64),
    /// The value of a float, such as -9999.0.
    Float(f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Raw {
    Integer(i128),
    Float(f64),
}

impl Checks {
    pub(crate) fn pass_bits(&self, bits: u64) -> Result<(), StatusCode> {
        let is_sentinel = self.invalid.contains(&Sentinel::Bits(bits));
        if is_sentinel { Err(StatusCode::BAD_SENSOR_FAILURE) } else { Ok(()) }
    }

    pub(crate) fn pass(&self, raw: Raw) -> Result<(), StatusCode> {
        if let Raw::Float(number) = raw
            && self.invalid.contains(&Sentinel::Float(number))
        {
            return Err(StatusCode::BAD_SENSOR_FAILURE);
        }
        match self.valid {
            Some((low, high)) if raw.is_below(low) || raw.is_above(high) => Err(StatusCode::BAD_OUT_OF_RANGE),
            _ => Ok(()),
        }
    }
}

impl Raw {
    fn is_below(self, limit: Decimal) -> bool {
        match self {
            Raw::Integer(raw) => raw * ten_to(limit.places()) < i128::from(limit.mantissa()),
            Raw::Float(raw) => raw < limit.to_f64(),
        }
    }

    fn is_above(self, limit: Decimal) -> bool {
        match self {
            Raw::Integer(raw) => raw * ten_to(limit.places()) > i128::from(limit.mantissa()),
            Raw::Float(raw) => raw > limit.to_f64(),
        }
    }
}

/// At most 10^15, so that its product with 64 bits fits.
fn ten_to(places: u8) -> i128 {
    10_i128.pow(u32::from(places))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_the_valid_range_are_valid_and_nothing_beyond() {
        let checks = |low: &str, high: &str| Checks {
            valid: Some((low.parse().unwrap(), high.parse().unwrap())),
            ..Checks::default()
        };
        let passes = |checks: &Checks, raw| checks.pass(raw) == Ok(());
        let range = checks("-40", "1250");
        assert_eq!([-41, -40, 1250, 1251].map(|raw| passes(&range, Raw::Integer(raw))), [false, true, true, false]);
        assert_eq!([-40.1, -40.0, 1250.1].map(|raw| passes(&range, Raw::Float(raw))), [false, true, false]);
        let fine = checks("-0.5", "0.000000000000001");
        assert_eq!([-1, 0, 1].map(|raw| passes(&fine, Raw::Integer(raw))), [false, true, false]);
        assert!(!passes(&fine, Raw::Integer(i128::from(u64::MAX))));
        assert_eq!(range.pass(Raw::Integer(9999)), Err(StatusCode::BAD_OUT_OF_RANGE));
    }

    #[test]
    fn a_sentinel_is_bits_or_the_value_of_a_float() {
        let checks = Checks { invalid: vec![Sentinel::Bits(0x8000), Sentinel::Float(-9999.0)], valid: None };
        assert_eq!(checks.pass_bits(0x8000), Err(StatusCode::BAD_SENSOR_FAILURE));
        assert_eq!(checks.pass_bits(0x8001), Ok(()));
        assert_eq!(checks.pass(Raw::Float(-9999.0)), Err(StatusCode::BAD_SENSOR_FAILURE));
        assert_eq!(checks.pass(Raw::Float(-9998.9)), Ok(()));
        assert_eq!(checks.pass(Raw::Integer(-9999)), Ok(()), "an integer's sentinel is its bits");
    }
}
