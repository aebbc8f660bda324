use lingate_model::{BuiltinType, Value};

/// The exact number of an integer of any type.
pub(crate) fn integer(value: &Value) -> Option<i128> {
    Some(match *value {
        Value::SByte(v) => v.into(),
        Value::Byte(v) => v.into(),
        Value::Int16(v) => v.into(),
        Value::UInt16(v) => v.into(),
        Value::Int32(v) => v.into(),
        Value::UInt32(v) => v.into(),
        Value::Int64(v) => v.into(),
        Value::UInt64(v) => v.into(),
        _ => return None,
    })
}

/// An integer in its type; `None` if the type cannot hold it or holds no integers.
pub(crate) fn from_integer(builtin_type: BuiltinType, number: i128) -> Option<Value> {
    Some(match builtin_type {
        BuiltinType::SByte => Value::SByte(number.try_into().ok()?),
        BuiltinType::Byte => Value::Byte(number.try_into().ok()?),
        BuiltinType::Int16 => Value::Int16(number.try_into().ok()?),
        BuiltinType::UInt16 => Value::UInt16(number.try_into().ok()?),
        BuiltinType::Int32 => Value::Int32(number.try_into().ok()?),
        BuiltinType::UInt32 => Value::UInt32(number.try_into().ok()?),
        BuiltinType::Int64 => Value::Int64(number.try_into().ok()?),
        BuiltinType::UInt64 => Value::UInt64(number.try_into().ok()?),
        _ => return None,
    })
}

/// The value of a numeric type that is nearest to `number`, ties to even; beyond the type, its end.
pub(crate) fn nearest(builtin_type: BuiltinType, number: f64) -> Option<Value> {
    let (low, high) = match builtin_type {
        BuiltinType::Double => return Some(Value::Double(number)),
        BuiltinType::Float => return Some(Value::Float(number as f32)),
        BuiltinType::SByte => (i8::MIN.into(), i8::MAX.into()),
        BuiltinType::Byte => (0, u8::MAX.into()),
        BuiltinType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        BuiltinType::UInt16 => (0, u16::MAX.into()),
        BuiltinType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        BuiltinType::UInt32 => (0, u32::MAX.into()),
        BuiltinType::Int64 => (i64::MIN.into(), i64::MAX.into()),
        BuiltinType::UInt64 => (0, u64::MAX.into()),
        _ => return None,
    };
    from_integer(builtin_type, (number.round_ties_even() as i128).clamp(low, high))
}
