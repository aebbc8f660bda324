use super::*;

fn scaled(kind: Kind, factor: &str, offset: &str) -> Encoding {
    let scale = Scale { factor: factor.parse().unwrap(), offset: offset.parse().unwrap() };
    Encoding { scale: Some(scale), ..Encoding::plain(kind) }
}

#[track_caller]
fn check(kind: Kind, words: &[u16], expected: Value) {
    let value = Encoding::plain(kind).decode(words);
    assert!(value == Ok(expected), "{kind:?} {words:X?}");
}

#[track_caller]
fn refuses(kind: Kind, words: &[u16], status: StatusCode) {
    assert_eq!(Encoding::plain(kind).decode(words).err(), Some(status), "{kind:?} {words:X?}");
}

#[test]
fn numbers_keep_their_bits() {
    check(Kind::U16, &[0xFFFE], Value::UInt16(65_534));
    check(Kind::I16, &[0xFFFE], Value::Int16(-2));
    check(Kind::U32, &[0x8000, 1], Value::UInt32(0x8000_0001));
    check(Kind::I32, &[0xFFFF, 0xFFFE], Value::Int32(-2));
    check(Kind::U64, &[0xFFFF; 4], Value::UInt64(u64::MAX));
    check(Kind::I64, &[0x8000, 0, 0, 0], Value::Int64(i64::MIN));
    check(Kind::F32, &[0x42F6, 0xE979], Value::Float(123.456));
    check(Kind::F64, &[0x405E, 0xDD2F, 0x1A9F, 0xBE77], Value::Double(123.456));
    check(Kind::Bit(3), &[0b1000], Value::Boolean(true));
    check(Kind::Bit(15), &[0x7FFF], Value::Boolean(false));
}

#[test]
fn a_half_is_the_single_of_the_same_value() {
    for (half, single) in [
        (0x0000, 0.0),
        (0x3C00, 1.0),
        (0xC000, -2.0),
        (0x3555, 1365.0 / 4096.0),
        (0x7BFF, 65_504.0),
        (0x0400, 1.0 / 16_384.0),
        (0x03FF, 1023.0 / 16_777_216.0),
        (0x0001, 1.0 / 16_777_216.0),
        (0x8001, -1.0 / 16_777_216.0),
    ] {
        check(Kind::F16, &[half], Value::Float(single));
    }
    for zero in [Encoding::plain(Kind::F16).decode(&[0x8000]), Encoding::plain(Kind::F32).decode(&[0x8000, 0])] {
        let Ok(Value::Float(zero)) = zero else { panic!("a float") };
        assert!(zero == 0.0 && zero.is_sign_negative());
    }
}

/// The naive reading of IEEE 754-2019, 3.4.
#[test]
fn every_half_is_widened_as_its_formula_says() {
    for half in 0..=u16::MAX {
        let (exponent, fraction) = (i32::from(half >> 10 & 31), f64::from(half & 0x3FF));
        let sign = if half >> 15 == 1 { -1.0 } else { 1.0 };
        let number = match exponent {
            0 => sign * fraction * 2_f64.powi(-24),
            31 => continue,
            _ => sign * (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
        };
        assert!(f64::from(widen(half)) == number, "{half:04X}");
    }
}

#[test]
fn bcd_is_read_digit_by_digit() {
    check(Kind::Bcd(4), &[0x1234], Value::UInt16(1234));
    check(Kind::Bcd(4), &[0x9999], Value::UInt16(9999));
    check(Kind::Bcd(2), &[0x0042], Value::UInt16(42));
    check(Kind::Bcd(8), &[0x1234, 0x5678], Value::UInt32(12_345_678));
    check(Kind::Bcd(6), &[0x0012, 0x3456], Value::UInt32(123_456));
    check(Kind::Bcd(12), &[0x1234, 0x5678, 0x9012], Value::UInt64(123_456_789_012));
    check(Kind::Bcd(16), &[0x9999; 4], Value::UInt64(9_999_999_999_999_999));
    for wrong in [0x123A, 0xF234, 0x12C4] {
        refuses(Kind::Bcd(4), &[wrong], StatusCode::BAD_DECODING_ERROR);
    }
    refuses(Kind::Bcd(2), &[0x0142], StatusCode::BAD_DECODING_ERROR);
}

#[test]
fn what_is_no_number_is_a_bad_reading() {
    refuses(Kind::F32, &[0x7FC0, 0], StatusCode::BAD_SENSOR_FAILURE);
    refuses(Kind::F32, &[0xFFFF, 0xFFFF], StatusCode::BAD_SENSOR_FAILURE);
    refuses(Kind::F32, &[0xFF80, 0], StatusCode::BAD_OUT_OF_RANGE);
    refuses(Kind::F32, &[0], StatusCode::BAD_DECODING_ERROR);
    refuses(Kind::F16, &[0x7E00], StatusCode::BAD_SENSOR_FAILURE);
    refuses(Kind::F16, &[0xFC00], StatusCode::BAD_OUT_OF_RANGE);
    refuses(Kind::F64, &[0x7FF8, 0, 0, 0], StatusCode::BAD_SENSOR_FAILURE);
    let huge = scaled(Kind::F64, "10", "0").decode(&[0x7FEF, 0xFFFF, 0xFFFF, 0xFFFF]);
    assert_eq!(huge.err(), Some(StatusCode::BAD_OUT_OF_RANGE));
}

#[test]
fn a_scaled_value_is_a_double() {
    assert!(scaled(Kind::U16, "0.1", "0").decode(&[3]) == Ok(Value::Double(0.3)));
    assert!(scaled(Kind::I16, "0.01", "-40").decode(&[12_345]) == Ok(Value::Double(83.45)));
    assert!(scaled(Kind::Bcd(4), "0.1", "0").decode(&[0x1235]) == Ok(Value::Double(123.5)));
    assert!(scaled(Kind::F32, "10", "1").decode(&[0x3FC0, 0]) == Ok(Value::Double(16.0)));
    assert!(scaled(Kind::F16, "10", "1").decode(&[0x3E00]) == Ok(Value::Double(16.0)));
}

#[test]
fn sentinel_and_range_are_judged_before_the_scale() {
    let checks = Checks {
        invalid: vec![Sentinel::Bits(0x7FFF), Sentinel::Bits(0x8000)],
        valid: Some(("-400".parse().unwrap(), "12500".parse().unwrap())),
    };
    let zone = Encoding { checks, ..scaled(Kind::I16, "0.1", "0") };
    assert!(zone.decode(&[12_500]) == Ok(Value::Double(1250.0)));
    assert_eq!(zone.decode(&[12_501]).err(), Some(StatusCode::BAD_OUT_OF_RANGE));
    assert_eq!(zone.decode(&[0x7FFF]).err(), Some(StatusCode::BAD_SENSOR_FAILURE));
    assert_eq!(zone.decode(&[0x8000]).err(), Some(StatusCode::BAD_SENSOR_FAILURE));
    let order = ByteOrder { words: WordOrder::Reversed, are_bytes_swapped: false };
    let checks = Checks { invalid: vec![Sentinel::Bits(0x8000_0000)], valid: None };
    let swapped = Encoding { order, checks, ..Encoding::plain(Kind::I32) };
    assert_eq!(swapped.decode(&[0, 0x8000]).err(), Some(StatusCode::BAD_SENSOR_FAILURE), "the bits of the value");
    assert!(swapped.decode(&[0x8000, 0]) == Ok(Value::Int32(0x8000)));
    let checks = Checks { invalid: vec![Sentinel::Float(-9999.0)], valid: None };
    let float = Encoding { checks, ..Encoding::plain(Kind::F32) };
    assert_eq!(float.decode(&[0xC61C, 0x3C00]).err(), Some(StatusCode::BAD_SENSOR_FAILURE));
}

#[test]
fn an_array_is_good_only_if_all_its_elements_are() {
    let order = ByteOrder { words: WordOrder::Reversed, are_bytes_swapped: false };
    let zones = Encoding { elements: Some(2), order, ..Encoding::plain(Kind::F32) };
    let Ok(Value::Array(array)) = zones.decode(&[0xE979, 0x42F6, 0, 0x3FC0]) else { panic!("an array") };
    assert_eq!((array.element(), array.dimensions()), (BuiltinType::Float, &[2][..]));
    assert!(array.items() == [Value::Float(123.456), Value::Float(1.5)]);
    assert_eq!(zones.decode(&[0xE979, 0x42F6, 0, 0x7FC0]).err(), Some(StatusCode::BAD_SENSOR_FAILURE));
    assert_eq!(zones.decode(&[0; 3]).err(), Some(StatusCode::BAD_DECODING_ERROR));
    let one = Encoding { elements: Some(1), ..Encoding::plain(Kind::U16) };
    assert_eq!((one.rank(), Encoding::plain(Kind::U16).rank()), (1, 0));
    assert!(matches!(one.decode(&[7]), Ok(Value::Array(_))));
}

#[test]
fn bits_are_one_truth_or_an_array_of_them() {
    let coil = Encoding::plain(Kind::Bool);
    assert!(coil.decode_bits(&[true]) == Ok(Value::Boolean(true)));
    assert_eq!(coil.decode_bits(&[]).err(), Some(StatusCode::BAD_DECODING_ERROR));
    let doors = Encoding { elements: Some(3), ..coil };
    let Ok(Value::Array(array)) = doors.decode_bits(&[true, false, true]) else { panic!("an array") };
    assert!(array.items() == [true, false, true].map(Value::Boolean));
    assert_eq!(doors.decode_bits(&[true]).err(), Some(StatusCode::BAD_DECODING_ERROR));
}

#[test]
fn places_are_those_of_the_finest_step() {
    assert_eq!(scaled(Kind::I16, "0.1", "-0.25").places(), Some(2));
    assert_eq!(Encoding::plain(Kind::U32).places(), Some(0));
    assert_eq!(Encoding::plain(Kind::F32).places(), None);
    assert_eq!(scaled(Kind::F64, "0.1", "0").places(), None);
}

proptest::proptest! {
    /// Whatever a device sends: a value or a bad reading.
    #[test]
    fn no_registers_make_any_type_panic(words in proptest::array::uniform6(proptest::num::u16::ANY), digits in 2..=16_u8) {
        let numbers = [Kind::U16, Kind::I16, Kind::U32, Kind::I32, Kind::U64, Kind::I64, Kind::F16, Kind::F32, Kind::F64];
        let times = Layout::NAMES.map(|(_, layout)| Kind::Time(layout, -840));
        let texts = Charset::NAMES.map(|(_, charset)| Kind::Text(6, charset));
        for kind in numbers.into_iter().chain([Kind::Bcd(digits), Kind::Bit(15)]).chain(times).chain(texts) {
            for (_, order) in ByteOrder::OF_64 {
                let words = &words[..usize::from(kind.count())];
                let _ = Encoding { order, ..Encoding::plain(kind) }.decode(words);
                if kind.is_number() {
                    let _ = Encoding { order, ..scaled(kind, "0.000000000000001", "-999999999999999") }.decode(words);
                }
            }
        }
    }
}
