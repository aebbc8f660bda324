use std::fmt;
use std::str::FromStr;

/// An exact decimal number `mantissa / 10^places`, as people write scales, steps and deadbands.
///
/// Bounds: |mantissa| <= 10^15 and places <= 15, so that both parts are exact in a double and one division rounds once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    mantissa: i64,
    places: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalError {
    NotANumber,
    TooPrecise,
}

impl std::error::Error for DecimalError {}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecimalError::NotANumber => "is not a decimal number such as 0.1, 25 or 1e-3",
            DecimalError::TooPrecise => "has more than 15 digits before or after the point",
        })
    }
}

const LIMIT: i64 = 1_000_000_000_000_000;
const PLACES_MAX: u8 = 15;

impl Decimal {
    pub const ONE: Decimal = Decimal { mantissa: 1, places: 0 };
    pub const ZERO: Decimal = Decimal { mantissa: 0, places: 0 };

    /// `mantissa / 10^places` in lowest terms; `None` outside the bounds.
    pub fn new(mantissa: i64, places: u8) -> Option<Decimal> {
        let (mut mantissa, mut places) = (mantissa, places);
        while places > 0 && mantissa % 10 == 0 {
            (mantissa, places) = (mantissa / 10, places - 1);
        }
        (places <= PLACES_MAX && mantissa.unsigned_abs() <= LIMIT as u64).then_some(Decimal { mantissa, places })
    }

    /// `10^-places`.
    pub fn resolution(places: u8) -> Option<Decimal> {
        Decimal::new(1, places)
    }

    pub fn mantissa(self) -> i64 {
        self.mantissa
    }

    pub fn places(self) -> u8 {
        self.places
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        self.mantissa as f64 / power_of_ten(self.places)
    }

    pub fn is_positive(self) -> bool {
        self.mantissa > 0
    }

    /// The double nearest to `count * self`; `None` if `count * mantissa` is beyond 2^53 and would round twice.
    pub fn times(self, count: i64) -> Option<f64> {
        let product = count.checked_mul(self.mantissa)?;
        (product.unsigned_abs() <= 1 << 53).then(|| product as f64 / power_of_ten(self.places))
    }

    /// The single nearest to `count * self`; `None` where [`Decimal::times`] has none.
    pub fn times_single(self, count: i64) -> Option<f32> {
        let double = self.times(count)?;
        // Only half way between two singles does it matter on which side of the double the exact product lies.
        if double.to_bits() & 0x1FFF_FFFF != 0x1000_0000 {
            return Some(double as f32);
        }
        let product = count as f64 * self.mantissa as f64;
        let beyond = (-double).mul_add(power_of_ten(self.places), product); // fused: its sign is exact
        Some(match beyond {
            beyond if beyond > 0.0 => double.next_up() as f32,
            beyond if beyond < 0.0 => double.next_down() as f32,
            _ => double as f32,
        })
    }

    /// The double nearest to `count * self + offset`; `None` where that cannot be computed exactly.
    pub fn times_plus(self, count: i64, offset: Decimal) -> Option<f64> {
        let places = self.places.max(offset.places);
        let lift = |d: Decimal| d.mantissa.checked_mul(10_i64.checked_pow(u32::from(places - d.places))?);
        let sum = count.checked_mul(lift(self)?)?.checked_add(lift(offset)?)?;
        (sum.unsigned_abs() <= 1 << 53).then(|| sum as f64 / power_of_ten(places))
    }
}

fn power_of_ten(places: u8) -> f64 {
    10_u64.pow(u32::from(places)) as f64
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Decimal, DecimalError> {
        let text = text.trim().replace('_', "");
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().map_err(|_| DecimalError::NotANumber)?),
            None => (text.as_str(), 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        if !is_digits(unsigned) || !is_digits(fraction) || unsigned.len() + fraction.len() == 0 {
            return Err(DecimalError::NotANumber);
        }
        let fraction = fraction.trim_end_matches('0');
        let mut mantissa: i64 = format!("{whole}{fraction}").parse().map_err(|_| DecimalError::TooPrecise)?;
        let mut places = fraction.len() as i32 - exponent.clamp(-100, 100);
        while places < 0 {
            mantissa = mantissa.checked_mul(10).ok_or(DecimalError::TooPrecise)?;
            places += 1;
        }
        let places = u8::try_from(places).map_err(|_| DecimalError::TooPrecise)?;
        Decimal::new(mantissa, places).ok_or(DecimalError::TooPrecise)
    }
}

/// From a TOML number: the shortest decimal that reads back as the same double, which is what the person wrote.
impl TryFrom<f64> for Decimal {
    type Error = DecimalError;
    fn try_from(value: f64) -> Result<Decimal, DecimalError> {
        if !value.is_finite() {
            return Err(DecimalError::NotANumber);
        }
        format!("{value:e}").parse()
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", self.mantissa.unsigned_abs(), width = usize::from(self.places) + 1);
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(self.places));
        match fraction {
            "" => write!(f, "{sign}{whole}"),
            _ => write!(f, "{sign}{whole}.{fraction}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_scaled_register_is_the_double_that_the_decimal_literal_gives() {
        assert_eq!(decimal("0.1").times(3), Some(0.3));
        assert_eq!(decimal("0.3").times(3), Some(0.9));
        assert_eq!(decimal("0.01").times(-12345), Some(-123.45));
        assert_eq!(decimal("0.1").times_plus(2150, decimal("-50.05")), Some(164.95));
    }

    #[test]
    fn what_would_round_twice_is_refused() {
        assert_eq!(decimal("0.1").times((1 << 53) + 1), None);
        assert_eq!(decimal("1000000").times(i64::MAX / 2), None);
        assert_eq!(decimal("123456789.5").times_plus(i64::MAX, Decimal::ONE), None);
    }

    #[test]
    fn text_and_number_agree() {
        for (text, shown) in [("0.10", "0.1"), ("-2.50", "-2.5"), ("1e-3", "0.001"), ("2.5e2", "250"), ("-.5", "-0.5")]
        {
            assert_eq!(decimal(text).to_string(), shown);
            assert_eq!(Decimal::try_from(text.parse::<f64>().unwrap()), Ok(decimal(text)));
        }
        for bad in ["", "-", ".", "1e", "0x10", "nan", "1.2.3", "1-"] {
            assert!(bad.parse::<Decimal>().is_err(), "{bad:?}");
        }
        assert_eq!("1e-16".parse::<Decimal>(), Err(DecimalError::TooPrecise));
        assert_eq!("99999999999999999999".parse::<Decimal>(), Err(DecimalError::TooPrecise));
    }

    #[test]
    fn a_single_is_not_rounded_twice() {
        // The double nearest to 84.98474502563477 lies exactly half way between two singles.
        let (unit, count) = (decimal("1e-14"), 8_498_474_502_563_477);
        assert_eq!(unit.times(count).map(|double| double as f32), Some(84.984_74));
        assert_eq!(unit.times_single(count), Some(84.984_75));
        assert_eq!("84.98474502563477".parse(), Ok(84.984_75_f32));
        assert_eq!(decimal("0.1").times_single(3), Some(0.3));
        assert_eq!(decimal("0.1").times_single((1 << 53) + 1), None);
    }

    proptest! {
        #[test]
        fn a_multiple_is_what_its_text_is_read_as(
            mantissa in -LIMIT..=LIMIT, places in 0..=PLACES_MAX, shift in 0..54_u32, bits: i64
        ) {
            let unit = Decimal::new(mantissa >> (shift % 50), places).unwrap();
            let count = bits >> (10 + shift);
            let Some(product) = count.checked_mul(unit.mantissa()).filter(|p| p.unsigned_abs() <= 1 << 53) else {
                prop_assert_eq!((unit.times(count), unit.times_single(count)), (None, None));
                return Ok(());
            };
            let text = format!("{product}e-{}", unit.places());
            prop_assert_eq!(unit.times(count), text.parse::<f64>().ok());
            prop_assert_eq!(unit.times_single(count), text.parse::<f32>().ok());
        }

        #[test]
        fn what_is_shown_reads_back(mantissa in -LIMIT..=LIMIT, places in 0..=PLACES_MAX) {
            let number = Decimal::new(mantissa, places).unwrap();
            prop_assert_eq!(number.to_string().parse(), Ok(number));
            prop_assert_eq!(Some(number.to_f64()), number.to_string().parse().ok());
        }
    }
}
