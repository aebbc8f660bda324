use lingate_model::{BuiltinType, Decimal, StatusCode, Value};

/// How the registers of one value become a [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoding {
    pub(crate) kind: Kind,
    pub(crate) order: ByteOrder,
    /// None: the value keeps the type that the device has.
    pub(crate) scale: Option<Scale>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One coil or discrete input.
    Bool,
    /// One bit of a register, 0 the least significant.
    Bit(u8),
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

/// Modbus sends each register high byte first (Modbus Application Protocol V1.1b3, 4.2) and says nothing about values
/// of several registers, so devices differ. With the bytes of a value lettered from its most significant, the wire
/// carries
///
/// | order | `u16` 0x4142 | `u32` 0x41424344 | `u64` 0x4142434445464748 |
/// |---|---|---|---|
/// | neither | AB | ABCD | ABCDEFGH |
/// | words reversed | AB | CDAB | GHEFCDAB |
/// | bytes swapped in each register | BA | BADC | BADCFEHG |
/// | both | BA | DCBA | HGFEDCBA |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ByteOrder {
    pub(crate) are_words_reversed: bool,
    pub(crate) are_bytes_swapped: bool,
}

/// `value = raw * factor + offset`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) factor: Decimal,
    pub(crate) offset: Decimal,
}

impl Kind {
    /// Registers, or bits for `Bool`.
    pub(crate) fn count(self) -> u16 {
        match self {
            Kind::Bool | Kind::Bit(_) | Kind::U16 | Kind::I16 => 1,
            Kind::U32 | Kind::I32 | Kind::F32 => 2,
            Kind::U64 | Kind::I64 | Kind::F64 => 4,
        }
    }

    pub(crate) fn is_truth(self) -> bool {
        matches!(self, Kind::Bool | Kind::Bit(_))
    }

    fn builtin_type(self) -> BuiltinType {
        match self {
            Kind::Bool | Kind::Bit(_) => BuiltinType::Boolean,
            Kind::U16 => BuiltinType::UInt16,
            Kind::I16 => BuiltinType::Int16,
            Kind::U32 => BuiltinType::UInt32,
            Kind::I32 => BuiltinType::Int32,
            Kind::U64 => BuiltinType::UInt64,
            Kind::I64 => BuiltinType::Int64,
            Kind::F32 => BuiltinType::Float,
            Kind::F64 => BuiltinType::Double,
        }
    }
}

impl Encoding {
    /// A scaled value is a double, any other keeps its type.
    pub(crate) fn builtin_type(&self) -> BuiltinType {
        if self.scale.is_some() { BuiltinType::Double } else { self.kind.builtin_type() }
    }

    /// Decimal places of the finest step: those of scale and offset, none for integers, unknown for floats.
    pub(crate) fn places(&self) -> Option<u8> {
        match (self.kind, self.scale) {
            (Kind::F32 | Kind::F64, _) => None,
            (_, Some(scale)) => Some(scale.factor.places().max(scale.offset.places())),
            (_, None) => Some(0),
        }
    }

    /// `words` are the registers of this value as the wire has them; `Err` is the status of a bad reading:
    /// BadSensorFailure for a NaN, by which instruments report a broken sensor, BadOutOfRange for an infinity, and
    /// BadDecodingError for a wrong number of registers.
    pub(crate) fn decode(&self, words: &[u16]) -> Result<Value, StatusCode> {
        if words.len() != usize::from(self.kind.count()) {
            return Err(StatusCode::BAD_DECODING_ERROR);
        }
        let bits = self.order.join(words);
        // Truncation keeps exactly the bits that were joined.
        match self.kind {
            Kind::Bool => Ok(Value::Boolean(bits != 0)),
            Kind::Bit(bit) => Ok(Value::Boolean(bits >> bit & 1 == 1)),
            Kind::U16 => self.integer(Value::UInt16(bits as u16), i128::from(bits)),
            Kind::I16 => self.integer(Value::Int16(bits as i16), i128::from(bits as i16)),
            Kind::U32 => self.integer(Value::UInt32(bits as u32), i128::from(bits)),
            Kind::I32 => self.integer(Value::Int32(bits as i32), i128::from(bits as i32)),
            Kind::U64 => self.integer(Value::UInt64(bits), i128::from(bits)),
            Kind::I64 => self.integer(Value::Int64(bits as i64), i128::from(bits as i64)),
            Kind::F32 => {
                let float = f32::from_bits(bits as u32);
                self.float(Value::Float(float), f64::from(float))
            }
            Kind::F64 => self.float(Value::Double(f64::from_bits(bits)), f64::from_bits(bits)),
        }
    }

    /// Exact wherever a double can be; beyond 2^53 units of the last place it rounds as a double does.
    fn integer(&self, raw: Value, count: i128) -> Result<Value, StatusCode> {
        let Some(Scale { factor, offset }) = self.scale else { return Ok(raw) };
        let exact = i64::try_from(count).ok().and_then(|count| factor.times_plus(count, offset));
        Ok(Value::Double(exact.unwrap_or_else(|| count as f64 * factor.to_f64() + offset.to_f64())))
    }

    fn float(&self, raw: Value, number: f64) -> Result<Value, StatusCode> {
        let Some(Scale { factor, offset }) = self.scale else { return finite(number).map(|_| raw) };
        finite(number)?;
        finite(number * factor.to_f64() + offset.to_f64()).map(Value::Double)
    }
}

fn finite(number: f64) -> Result<f64, StatusCode> {
    if number.is_nan() {
        return Err(StatusCode::BAD_SENSOR_FAILURE);
    }
    if number.is_infinite() {
        return Err(StatusCode::BAD_OUT_OF_RANGE);
    }
    Ok(number)
}

impl ByteOrder {
    /// The bits of up to four registers as one number.
    fn join(self, words: &[u16]) -> u64 {
        let swap = |word: &u16| u64::from(if self.are_bytes_swapped { word.swap_bytes() } else { *word });
        let join = |bits: u64, word: u64| bits << 16 | word;
        if self.are_words_reversed {
            return words.iter().rev().map(swap).fold(0, join);
        }
        words.iter().map(swap).fold(0, join)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    const PLAIN: ByteOrder = ByteOrder { are_words_reversed: false, are_bytes_swapped: false };

    fn encoding(kind: Kind, order: (bool, bool), scale: Option<(&str, &str)>) -> Encoding {
        let order = ByteOrder { are_words_reversed: order.0, are_bytes_swapped: order.1 };
        let scale = scale.map(|(factor, offset)| Scale {
            factor: factor.parse().unwrap(),
            offset: offset.parse().unwrap(),
        });
        Encoding { kind, order, scale }
    }

    /// `wire` as the letters that a manual prints.
    fn decode(kind: Kind, order: (bool, bool), wire: &str) -> Value {
        let words: Vec<u16> = wire.as_bytes().chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        encoding(kind, order, None).decode(&words).unwrap()
    }

    fn scaled(kind: Kind, scale: (&str, &str), words: &[u16]) -> Value {
        encoding(kind, (false, false), Some(scale)).decode(words).unwrap()
    }

    #[test]
    fn every_order_of_the_table_reads_the_same_value() {
        let orders = [(false, false), (true, false), (false, true), (true, true)];
        for (order, wire) in orders.into_iter().zip(["ABCD", "CDAB", "BADC", "DCBA"]) {
            assert!(decode(Kind::U32, order, wire) == Value::UInt32(0x4142_4344), "{wire}");
        }
        for (order, wire) in orders.into_iter().zip(["ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA"]) {
            assert!(decode(Kind::U64, order, wire) == Value::UInt64(0x4142_4344_4546_4748), "{wire}");
        }
        for (order, wire) in orders.into_iter().zip(["AB", "AB", "BA", "BA"]) {
            assert!(decode(Kind::U16, order, wire) == Value::UInt16(0x4142), "{wire}");
        }
    }

    #[test]
    fn signs_and_floats_keep_their_bits() {
        let plain = |kind, words: &[u16]| Encoding { kind, order: PLAIN, scale: None }.decode(words).unwrap();
        assert!(plain(Kind::I16, &[0xFFFE]) == Value::Int16(-2));
        assert!(plain(Kind::I32, &[0xFFFF, 0xFFFE]) == Value::Int32(-2));
        assert!(plain(Kind::I64, &[0x8000, 0, 0, 0]) == Value::Int64(i64::MIN));
        assert!(plain(Kind::F32, &[0x42F6, 0xE979]) == Value::Float(123.456));
        assert!(plain(Kind::F64, &[0x405E, 0xDD2F, 0x1A9F, 0xBE77]) == Value::Double(123.456));
        assert!(plain(Kind::Bit(3), &[0b1000]) == Value::Boolean(true));
        assert!(plain(Kind::Bit(15), &[0x7FFF]) == Value::Boolean(false));
        let Value::Float(zero) = plain(Kind::F32, &[0x8000, 0]) else { panic!("a float") };
        assert!(zero.is_sign_negative());
    }

    #[test]
    fn a_scaled_integer_is_the_double_that_its_decimal_writes() {
        assert!(scaled(Kind::U16, ("0.1", "0"), &[3]) == Value::Double(0.3));
        assert!(scaled(Kind::I16, ("0.01", "-40"), &[12_345]) == Value::Double(83.45));
        assert!(scaled(Kind::I16, ("1", "0"), &[0xFFFF]) == Value::Double(-1.0));
        assert!(scaled(Kind::U64, ("0.001", "0"), &[0xFFFF; 4]) == Value::Double(18_446_744_073_709_551.615));
    }

    #[test]
    fn a_scaled_float_is_multiplied() {
        assert!(scaled(Kind::F32, ("10", "1"), &[0x3FC0, 0]) == Value::Double(16.0));
        let huge = encoding(Kind::F64, (false, false), Some(("10", "0")));
        assert_eq!(huge.decode(&[0x7FEF, 0xFFFF, 0xFFFF, 0xFFFF]), Err(StatusCode::BAD_OUT_OF_RANGE));
    }

    #[test]
    fn what_is_no_number_is_a_bad_reading() {
        let float = Encoding { kind: Kind::F32, order: PLAIN, scale: None };
        assert_eq!(float.decode(&[0x7FC0, 0]), Err(StatusCode::BAD_SENSOR_FAILURE));
        assert_eq!(float.decode(&[0xFFFF, 0xFFFF]), Err(StatusCode::BAD_SENSOR_FAILURE));
        assert_eq!(float.decode(&[0xFF80, 0]), Err(StatusCode::BAD_OUT_OF_RANGE));
        assert_eq!(float.decode(&[0]), Err(StatusCode::BAD_DECODING_ERROR));
    }

    #[test]
    fn places_are_those_of_the_finest_step() {
        let places = |kind, scale| encoding(kind, (false, false), scale).places();
        assert_eq!(places(Kind::I16, Some(("0.1", "-0.25"))), Some(2));
        assert_eq!(places(Kind::U32, None), Some(0));
        assert_eq!(places(Kind::F32, None), None);
        assert_eq!(places(Kind::F64, Some(("0.1", "0"))), None);
    }
}
