//! Counts of a resolution: how a float of limited precision becomes a small integer and back, bit for bit.

/// Beyond it a double has no exact integers.
const COUNT_MAX: f64 = 9_007_199_254_740_992.0;

/// The resolution `10^-places` of a column of floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    per_unit: f64,
}

impl Scale {
    /// Finest resolution: `10^-15`.
    pub(crate) const PLACES_MAX: u8 = 15;

    /// `None` beyond 15 places.
    pub(crate) fn of_places(places: u8) -> Option<Scale> {
        (places <= Scale::PLACES_MAX).then(|| Scale { per_unit: 10_u64.pow(places.into()) as f64 })
    }

    /// From the catalogue: exactly the double nearest to a `10^-places`; 0 means that there is none.
    pub(crate) fn of_resolution(resolution: f64) -> Option<Scale> {
        (0..=Scale::PLACES_MAX).filter_map(Scale::of_places).find(|scale| scale.resolution() == resolution)
    }

    pub(crate) fn resolution(self) -> f64 {
        1.0 / self.per_unit
    }

    /// One division, correctly rounded.
    pub(crate) fn value(self, count: i64) -> f64 {
        count as f64 / self.per_unit
    }

    /// The count that `value` gives back in every bit; -0.0, NaN and infinities have none.
    pub(crate) fn count(self, value: f64) -> Option<i64> {
        let count = self.nearest(value)?;
        (self.value(count).to_bits() == value.to_bits()).then_some(count)
    }

    pub(crate) fn count_f32(self, value: f32) -> Option<i64> {
        let count = self.nearest(value.into())?;
        ((self.value(count) as f32).to_bits() == value.to_bits()).then_some(count)
    }

    fn nearest(self, value: f64) -> Option<i64> {
        let count = (value * self.per_unit).round();
        (count.abs() <= COUNT_MAX).then_some(count as i64)
    }
}

/// To a double and back without loss: a plain conversion makes a signalling NaN quiet.
pub(crate) fn widen(value: f32) -> f64 {
    if !value.is_nan() {
        return value.into();
    }
    let bits = u64::from(value.to_bits());
    f64::from_bits(bits >> 31 << 63 | 0x7ff << 52 | (bits & 0x007f_ffff) << 29)
}

/// `None` if `value` is not a widened 32-bit float.
pub(crate) fn narrow(value: f64) -> Option<f32> {
    let narrow = match value.is_nan() {
        true => narrow_nan(value.to_bits()),
        false => value as f32,
    };
    (widen(narrow).to_bits() == value.to_bits()).then_some(narrow)
}

fn narrow_nan(bits: u64) -> f32 {
    f32::from_bits((bits >> 32) as u32 & 0x8000_0000 | 0xff << 23 | (bits >> 29) as u32 & 0x007f_ffff)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_an_instrument_shows_is_a_count_and_what_it_cannot_show_is_not() {
        let tenths = Scale::of_places(1).unwrap();
        assert_eq!(tenths.count(36.6), Some(366));
        assert_eq!(tenths.count_f32(36.6), Some(366));
        for other in [36.65, -0.0, f64::NAN, f64::INFINITY, 1e300, 0.1 + 0.2] {
            assert_eq!(tenths.count(other), None, "{other}");
        }
    }

    #[test]
    fn every_resolution_is_found_again_in_the_catalogue() {
        for places in 0..=15 {
            let scale = Scale::of_places(places).unwrap();
            assert_eq!(Scale::of_resolution(scale.resolution()), Some(scale));
        }
        for bad in [0.0, -1.0, 0.3, f64::NAN, 1e-16] {
            assert_eq!(Scale::of_resolution(bad), None);
        }
    }

    proptest! {
        #[test]
        fn a_float_of_any_bits_survives_widening(bits: u32) {
            prop_assert_eq!(narrow(widen(f32::from_bits(bits))).unwrap().to_bits(), bits);
        }

        #[test]
        fn a_count_always_finds_back(count in -(1_i64 << 53)..1 << 53, places in 0_u8..16) {
            let scale = Scale::of_places(places).unwrap();
            let value = scale.value(count);
            let again = scale.count(value).map(|count| scale.value(count).to_bits());
            prop_assert!(again.is_none_or(|bits| bits == value.to_bits()));
        }
    }
}
