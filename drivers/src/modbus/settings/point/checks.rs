use super::super::super::decode::{Checks, Kind, Sentinel};
use crate::settings::{Literal, Table};

type Refusal = (String, Option<String>);

/// `invalid = 0x8000` or a list, `valid = [-400, 12500]`: both of the raw value, before `scale` and `offset`.
pub(super) fn take_checks(table: &mut Table<'_>, kind: Option<Kind>) -> Checks {
    let Some(kind) = kind else {
        // Read, so that they are not unknown; the missing type is the problem.
        let _ = (table.take("invalid").literals(0..=16), table.take("valid").decimal_range());
        return Checks::default();
    };
    if !kind.is_number() {
        return Checks::default();
    }
    let literals = table.take("invalid").literals(1..=16);
    let mut invalid = Vec::new();
    for literal in literals {
        match sentinel(kind, literal) {
            Ok(sentinel) => invalid.push(sentinel),
            Err((what, hint)) => table.problem("invalid", what, hint),
        }
    }
    Checks { invalid, valid: table.take("valid").decimal_range() }
}

fn sentinel(kind: Kind, literal: Literal) -> Result<Sentinel, Refusal> {
    let bits_max = u64::MAX >> (64 - 16 * u32::from(kind.count()));
    let too_wide = |number: &dyn std::fmt::Display| {
        let hint = format!("the value has {} bits; sentinels are compared before scale and offset", 16 * kind.count());
        Err((format!("has {number}, which the value cannot hold"), Some(hint)))
    };
    match literal {
        Literal::Bits(bits) if bits <= bits_max => Ok(Sentinel::Bits(bits)),
        Literal::Bits(bits) => too_wide(&format!("0x{bits:X}")),
        Literal::Integer(number) if kind.is_float() => Ok(Sentinel::Float(number as f64)),
        Literal::Number(number) if kind.is_float() => Ok(Sentinel::Float(nearest_of(kind, number))),
        Literal::Number(_) => {
            let hint = "write the raw integer or its bits, such as 0x8000";
            Err(("has a fraction, the raw value is an integer".to_owned(), Some(hint.to_owned())))
        }
        Literal::Integer(number) => match integer_bits(kind, number, bits_max) {
            Some(bits) => Ok(Sentinel::Bits(bits)),
            None => too_wide(&number),
        },
    }
}

/// Signed or unsigned: a manual that says 32768 of an i16 means its bits.
fn integer_bits(kind: Kind, number: i128, bits_max: u64) -> Option<u64> {
    if let Kind::Bcd(digits) = kind {
        return bcd_of(u64::try_from(number).ok()?, digits);
    }
    let low = -(i128::from(bits_max) + 1) / 2;
    // Truncation to the value's width is two's complement.
    (low..=i128::from(bits_max)).contains(&number).then_some(number as u64 & bits_max)
}

fn bcd_of(number: u64, digits: u8) -> Option<u64> {
    let (mut rest, mut bits) = (number, 0);
    for index in 0..digits {
        bits |= (rest % 10) << (4 * u32::from(index));
        rest /= 10;
    }
    (rest == 0).then_some(bits)
}

/// The single next to 9999.9 is not the double next to it.
fn nearest_of(kind: Kind, number: f64) -> f64 {
    if kind == Kind::F64 { number } else { f64::from(number as f32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: Kind, literal: Literal, expected: Option<Sentinel>) {
        assert_eq!(sentinel(kind, literal).ok(), expected, "{kind:?} {literal:?}");
    }

    #[test]
    fn a_sentinel_is_bits_however_it_is_written() {
        check(Kind::I16, Literal::Bits(0x8000), Some(Sentinel::Bits(0x8000)));
        check(Kind::I16, Literal::Integer(-32_768), Some(Sentinel::Bits(0x8000)));
        check(Kind::I16, Literal::Integer(32_768), Some(Sentinel::Bits(0x8000)));
        check(Kind::U16, Literal::Integer(65_535), Some(Sentinel::Bits(0xFFFF)));
        check(Kind::I32, Literal::Integer(-1), Some(Sentinel::Bits(0xFFFF_FFFF)));
        check(Kind::U64, Literal::Bits(u64::MAX), Some(Sentinel::Bits(u64::MAX)));
        check(Kind::I64, Literal::Integer(i128::from(i64::MIN)), Some(Sentinel::Bits(1 << 63)));
        check(Kind::Bcd(4), Literal::Integer(9999), Some(Sentinel::Bits(0x9999)));
        check(Kind::Bcd(4), Literal::Bits(0xFFFF), Some(Sentinel::Bits(0xFFFF)));
        check(Kind::F32, Literal::Bits(0xFF7F_FFFF), Some(Sentinel::Bits(0xFF7F_FFFF)));
        check(Kind::F32, Literal::Integer(-9999), Some(Sentinel::Float(-9999.0)));
        check(Kind::F32, Literal::Number(9999.9), Some(Sentinel::Float(f64::from(9999.9_f32))));
        check(Kind::F64, Literal::Number(9999.9), Some(Sentinel::Float(9999.9)));
    }

    #[test]
    fn a_sentinel_that_the_value_cannot_hold_is_refused() {
        check(Kind::I16, Literal::Integer(-32_769), None);
        check(Kind::I16, Literal::Integer(65_536), None);
        check(Kind::U16, Literal::Bits(0x1_0000), None);
        check(Kind::I16, Literal::Number(-3276.8), None);
        check(Kind::Bcd(4), Literal::Integer(10_000), None);
        check(Kind::Bcd(4), Literal::Integer(-1), None);
    }
}
