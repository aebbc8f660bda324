//! What the registers of a value mean.

mod check;
mod order;
mod scale;
mod text;
mod time;

use std::sync::Arc;

use lingate_model::{Array, BuiltinType, StatusCode, Value};

pub(crate) use self::check::{Checks, Raw, Sentinel};
pub(crate) use self::order::ByteOrder;
#[cfg(test)]
pub(crate) use self::order::WordOrder;
pub(crate) use self::scale::Scale;
use self::scale::finite;
pub(crate) use self::text::Charset;
pub(crate) use self::time::Layout;

/// How the registers of one value become a [`Value`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Encoding {
    pub(crate) kind: Kind,
    /// Of an array: its length. All elements lie one behind the other.
    pub(crate) elements: Option<u16>,
    pub(crate) order: ByteOrder,
    /// None: the value keeps the type that the device has.
    pub(crate) scale: Option<Scale>,
    pub(crate) checks: Checks,
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
    /// IEEE 754 half precision; a Float, which holds all of its values.
    F16,
    F32,
    F64,
    /// So many decimal digits (2 to 16), four in each register; what is left of the first register is zero.
    Bcd(u8),
    /// So many registers, two letters in each.
    Text(u16, Charset),
    /// The offset is that of the device's local time from UTC, in minutes.
    Time(Layout, i16),
}

impl Kind {
    /// Registers of one value, or bits for `Bool`.
    pub(crate) fn count(self) -> u16 {
        match self {
            Kind::Bool | Kind::Bit(_) | Kind::U16 | Kind::I16 | Kind::F16 => 1,
            Kind::U32 | Kind::I32 | Kind::F32 => 2,
            Kind::U64 | Kind::I64 | Kind::F64 => 4,
            Kind::Bcd(digits) => u16::from(digits.div_ceil(4)),
            Kind::Text(registers, _) => registers,
            Kind::Time(layout, _) => layout.count(),
        }
    }

    /// What scales, ranges and sentinels are for.
    pub(crate) fn is_number(self) -> bool {
        !matches!(self, Kind::Bool | Kind::Bit(_) | Kind::Text(..) | Kind::Time(..))
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Kind::F16 | Kind::F32 | Kind::F64)
    }

    fn builtin_type(self) -> BuiltinType {
        match self {
            Kind::Bool | Kind::Bit(_) => BuiltinType::Boolean,
            Kind::U16 | Kind::Bcd(..=4) => BuiltinType::UInt16,
            Kind::I16 => BuiltinType::Int16,
            Kind::U32 | Kind::Bcd(5..=8) => BuiltinType::UInt32,
            Kind::I32 => BuiltinType::Int32,
            Kind::U64 | Kind::Bcd(9..) => BuiltinType::UInt64,
            Kind::I64 => BuiltinType::Int64,
            Kind::F16 | Kind::F32 => BuiltinType::Float,
            Kind::F64 => BuiltinType::Double,
            Kind::Text(..) => BuiltinType::String,
            Kind::Time(..) => BuiltinType::DateTime,
        }
    }
}

impl Encoding {
    /// Without scale, checks and order.
    pub(crate) fn plain(kind: Kind) -> Encoding {
        Encoding { kind, elements: None, order: ByteOrder::PLAIN, scale: None, checks: Checks::default() }
    }

    /// Registers (or bits) of all of it; at most `u16::MAX`.
    pub(crate) fn count(&self) -> u16 {
        self.kind.count().saturating_mul(self.elements.unwrap_or(1))
    }

    /// A scaled value is a double, any other keeps its type.
    pub(crate) fn builtin_type(&self) -> BuiltinType {
        if self.scale.is_some() { BuiltinType::Double } else { self.kind.builtin_type() }
    }

    pub(crate) fn rank(&self) -> u8 {
        u8::from(self.elements.is_some())
    }

    /// Decimal places of the finest step: those of scale and offset, none for integers, unknown for floats.
    pub(crate) fn places(&self) -> Option<u8> {
        match self.scale {
            _ if self.kind.is_float() => None,
            scale => Some(scale.map_or(0, Scale::places)),
        }
    }

    /// `words` are the registers of this value as the wire has them. `Err` is the status of a bad reading:
    ///
    /// | status | for |
    /// |---|---|
    /// | BadSensorFailure | a sentinel (`invalid`), a NaN, by which instruments report a broken sensor, a time that its device calls invalid |
    /// | BadOutOfRange | a raw value outside of `valid`, an infinity |
    /// | BadDecodingError | a digit of BCD above 9, a date that no calendar has, bytes that are no text, a wrong number of registers |
    ///
    /// An array is good only if all its elements are.
    pub(crate) fn decode(&self, words: &[u16]) -> Result<Value, StatusCode> {
        if words.len() != usize::from(self.count()) {
            return Err(StatusCode::BAD_DECODING_ERROR);
        }
        match self.elements {
            None => self.decode_one(words),
            Some(_) => {
                let items = words.chunks_exact(usize::from(self.kind.count())).map(|words| self.decode_one(words));
                self.array(items.collect::<Result<_, _>>()?)
            }
        }
    }

    /// As `decode`, for coils and discrete inputs.
    pub(crate) fn decode_bits(&self, bits: &[bool]) -> Result<Value, StatusCode> {
        match (self.elements, bits) {
            (None, [bit]) => Ok(Value::Boolean(*bit)),
            (Some(count), bits) if bits.len() == usize::from(count) => {
                self.array(bits.iter().map(|bit| Value::Boolean(*bit)).collect())
            }
            _ => Err(StatusCode::BAD_DECODING_ERROR),
        }
    }

    fn array(&self, items: Vec<Value>) -> Result<Value, StatusCode> {
        let array = Array::of(self.builtin_type(), items).map_err(|_| StatusCode::BAD_DECODING_ERROR)?;
        Ok(Value::Array(Arc::new(array)))
    }

    fn decode_one(&self, words: &[u16]) -> Result<Value, StatusCode> {
        match self.kind {
            Kind::Text(_, charset) => return charset.decode(words, self.order),
            Kind::Time(layout, offset) => return layout.decode(words, self.order, offset),
            _ => {}
        }
        let bits = self.order.join(words);
        self.checks.pass_bits(bits)?;
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
            Kind::F16 => self.single(widen(bits as u16)),
            Kind::F32 => self.single(f32::from_bits(bits as u32)),
            Kind::F64 => self.float(Value::Double(f64::from_bits(bits)), f64::from_bits(bits)),
            Kind::Bcd(digits) => {
                let number = bcd(bits, digits).ok_or(StatusCode::BAD_DECODING_ERROR)?;
                self.integer(self.unsigned(number), i128::from(number))
            }
            Kind::Text(..) | Kind::Time(..) => Err(StatusCode::BAD_DECODING_ERROR),
        }
    }

    fn unsigned(&self, number: u64) -> Value {
        match self.kind.builtin_type() {
            BuiltinType::UInt16 => Value::UInt16(number as u16),
            BuiltinType::UInt32 => Value::UInt32(number as u32),
            _ => Value::UInt64(number),
        }
    }

    fn integer(&self, raw: Value, number: i128) -> Result<Value, StatusCode> {
        self.checks.pass(Raw::Integer(number))?;
        Ok(self.scale.map_or(raw, |scale| Value::Double(scale.of_integer(number))))
    }

    fn single(&self, raw: f32) -> Result<Value, StatusCode> {
        self.float(Value::Float(raw), f64::from(raw))
    }

    fn float(&self, raw: Value, number: f64) -> Result<Value, StatusCode> {
        finite(number)?;
        self.checks.pass(Raw::Float(number))?;
        match self.scale {
            Some(scale) => scale.of_float(number).map(Value::Double),
            None => Ok(raw),
        }
    }
}

/// The number that `digits` (at most 16) of BCD write; `None` for a digit above 9 and for anything left of them.
fn bcd(bits: u64, digits: u8) -> Option<u64> {
    let digit = |index: u8| bits >> (4 * u32::from(index)) & 15;
    let is_empty_above = (digits..16).all(|index| digit(index) == 0);
    let all = (0..digits).rev().try_fold(0, |number, index| (digit(index) <= 9).then(|| number * 10 + digit(index)));
    all.filter(|_| is_empty_above)
}

/// IEEE 754 half to single: exact, with the bits of a NaN.
fn widen(half: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(half >> 15), u32::from(half >> 10 & 31), u32::from(half & 0x3FF));
    match exponent {
        // Subnormal: a multiple of 2^-24, which a single has as a normal number.
        0 => f32::from_bits(sign << 31 | (fraction as f32 / 16_777_216.0).to_bits()),
        31 => f32::from_bits(sign << 31 | 0x7F80_0000 | fraction << 13),
        _ => f32::from_bits(sign << 31 | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests;
