//! Values that are one number or one text, and the two forms in which they travel.

use lingate_model::{BuiltinType, Value};

/// The list of a column, or of an array, that carries values of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Integer,
    Float,
    Text,
    /// Each value says itself what it is.
    Datum,
}

impl Form {
    pub(crate) fn of(builtin_type: BuiltinType) -> Form {
        use BuiltinType::*;
        match builtin_type {
            Boolean | SByte | Byte | Int16 | UInt16 | Int32 | UInt32 | Int64 | UInt64 | DateTime | StatusCode => {
                Form::Integer
            }
            Float | Double => Form::Float,
            String | Guid | ByteString | XmlElement | NodeId | ExpandedNodeId | QualifiedName => Form::Text,
            LocalizedText | Structure | DataValue | Variant | DiagnosticInfo => Form::Datum,
        }
    }
}

/// Unsigned 64-bit integers travel as the same bits.
pub(crate) fn to_integer(value: &Value) -> Option<i64> {
    Some(match *value {
        Value::Boolean(v) => v.into(),
        Value::SByte(v) => v.into(),
        Value::Byte(v) => v.into(),
        Value::Int16(v) => v.into(),
        Value::UInt16(v) => v.into(),
        Value::Int32(v) => v.into(),
        Value::UInt32(v) | Value::StatusCode(v) => v.into(),
        Value::Int64(v) | Value::DateTime(v) => v,
        Value::UInt64(v) => v as i64,
        _ => return None,
    })
}

pub(crate) fn from_integer(builtin_type: BuiltinType, n: i64) -> Option<Value> {
    Some(match builtin_type {
        BuiltinType::Boolean => Value::Boolean(match n {
            0 => false,
            1 => true,
            _ => return None,
        }),
        BuiltinType::SByte => Value::SByte(n.try_into().ok()?),
        BuiltinType::Byte => Value::Byte(n.try_into().ok()?),
        BuiltinType::Int16 => Value::Int16(n.try_into().ok()?),
        BuiltinType::UInt16 => Value::UInt16(n.try_into().ok()?),
        BuiltinType::Int32 => Value::Int32(n.try_into().ok()?),
        BuiltinType::UInt32 => Value::UInt32(n.try_into().ok()?),
        BuiltinType::Int64 => Value::Int64(n),
        BuiltinType::UInt64 => Value::UInt64(n as u64),
        BuiltinType::DateTime => Value::DateTime(n),
        BuiltinType::StatusCode => Value::StatusCode(n.try_into().ok()?),
        _ => return None,
    })
}

pub(crate) fn to_text(value: &Value) -> Option<&[u8]> {
    Some(match value {
        Value::String(text) | Value::Text { text, .. } => text.as_bytes(),
        Value::ByteString(bytes) => bytes,
        Value::Guid(bytes) => bytes,
        _ => return None,
    })
}

pub(crate) fn from_text(builtin_type: BuiltinType, bytes: &[u8]) -> Option<Value> {
    Some(match builtin_type {
        BuiltinType::String => Value::String(std::str::from_utf8(bytes).ok()?.into()),
        BuiltinType::ByteString => Value::ByteString(bytes.into()),
        BuiltinType::Guid => Value::Guid(bytes.try_into().ok()?),
        _ if Form::of(builtin_type) == Form::Text => {
            Value::Text { builtin_type, text: std::str::from_utf8(bytes).ok()?.into() }
        }
        _ => return None,
    })
}
