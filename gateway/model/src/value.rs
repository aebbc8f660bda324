use std::fmt;
use std::sync::Arc;

use crate::{Array, Structure};

/// OPC UA built-in type ids (OPC 10000-6, 5.1.2). The number is what the catalogue carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BuiltinType {
    Boolean = 1,
    SByte = 2,
    Byte = 3,
    Int16 = 4,
    UInt16 = 5,
    Int32 = 6,
    UInt32 = 7,
    Int64 = 8,
    UInt64 = 9,
    Float = 10,
    Double = 11,
    String = 12,
    DateTime = 13,
    Guid = 14,
    ByteString = 15,
    XmlElement = 16,
    NodeId = 17,
    ExpandedNodeId = 18,
    StatusCode = 19,
    QualifiedName = 20,
    LocalizedText = 21,
    /// ExtensionObject: a structure, decoded or as the bytes that came.
    Structure = 22,
    DataValue = 23,
    /// Only as the element of an array whose elements differ in type.
    Variant = 24,
    DiagnosticInfo = 25,
}

impl BuiltinType {
    pub const ALL: [BuiltinType; 25] = [
        BuiltinType::Boolean,
        BuiltinType::SByte,
        BuiltinType::Byte,
        BuiltinType::Int16,
        BuiltinType::UInt16,
        BuiltinType::Int32,
        BuiltinType::UInt32,
        BuiltinType::Int64,
        BuiltinType::UInt64,
        BuiltinType::Float,
        BuiltinType::Double,
        BuiltinType::String,
        BuiltinType::DateTime,
        BuiltinType::Guid,
        BuiltinType::ByteString,
        BuiltinType::XmlElement,
        BuiltinType::NodeId,
        BuiltinType::ExpandedNodeId,
        BuiltinType::StatusCode,
        BuiltinType::QualifiedName,
        BuiltinType::LocalizedText,
        BuiltinType::Structure,
        BuiltinType::DataValue,
        BuiltinType::Variant,
        BuiltinType::DiagnosticInfo,
    ];

    pub fn from_id(id: u32) -> Option<BuiltinType> {
        Self::ALL.into_iter().find(|t| *t as u32 == id)
    }

    /// Integers, floats and doubles: the types that deadband, rounding and ranges apply to.
    pub fn is_numeric(self) -> bool {
        (BuiltinType::SByte as u8..=BuiltinType::Double as u8).contains(&(self as u8))
    }

    pub fn is_floating(self) -> bool {
        matches!(self, BuiltinType::Float | BuiltinType::Double)
    }
}

/// One value in its exact type. `Debug` shows the type only, so that no log line can carry a process value.
#[derive(Clone, PartialEq)]
pub enum Value {
    Boolean(bool),
    SByte(i8),
    Byte(u8),
    Int16(i16),
    UInt16(u16),
    Int32(i32),
    UInt32(u32),
    Int64(i64),
    UInt64(u64),
    Float(f32),
    Double(f64),
    String(Arc<str>),
    /// 100 ns ticks since 1601-01-01 (OPC 10000-6, 5.2.2.5).
    DateTime(i64),
    /// In the order of its text (RFC 9562), which is not that of OPC UA Binary.
    Guid([u8; 16]),
    ByteString(Arc<[u8]>),
    StatusCode(u32),
    /// XmlElement, NodeId, ExpandedNodeId and QualifiedName in the text form of OPC 10000-6, 5.1.12 and 5.1.13, with
    /// namespace URIs and never with an index: `nsu=http://example.org/;s=Zone1`.
    Text {
        builtin_type: BuiltinType,
        text: Arc<str>,
    },
    LocalizedText {
        locale: Option<Arc<str>>,
        text: Option<Arc<str>>,
    },
    Array(Arc<Array>),
    /// A structure that the device described.
    Structure(Arc<Structure>),
    /// Bytes as they came: a structure that nobody described (its encoding id as `type_id`), a DataValue or a
    /// DiagnosticInfo (OPC UA Binary; `type_id` empty).
    Opaque {
        builtin_type: BuiltinType,
        type_id: Arc<str>,
        body: Arc<[u8]>,
    },
    /// Nothing. Only inside of arrays and structures: a reading without value has `None`.
    Null,
}

impl Value {
    /// Of an array: its elements' type. [`Value::Null`] counts as Variant.
    pub fn builtin_type(&self) -> BuiltinType {
        match self {
            Value::Boolean(_) => BuiltinType::Boolean,
            Value::SByte(_) => BuiltinType::SByte,
            Value::Byte(_) => BuiltinType::Byte,
            Value::Int16(_) => BuiltinType::Int16,
            Value::UInt16(_) => BuiltinType::UInt16,
            Value::Int32(_) => BuiltinType::Int32,
            Value::UInt32(_) => BuiltinType::UInt32,
            Value::Int64(_) => BuiltinType::Int64,
            Value::UInt64(_) => BuiltinType::UInt64,
            Value::Float(_) => BuiltinType::Float,
            Value::Double(_) => BuiltinType::Double,
            Value::String(_) => BuiltinType::String,
            Value::DateTime(_) => BuiltinType::DateTime,
            Value::Guid(_) => BuiltinType::Guid,
            Value::ByteString(_) => BuiltinType::ByteString,
            Value::StatusCode(_) => BuiltinType::StatusCode,
            Value::Text { builtin_type, .. } | Value::Opaque { builtin_type, .. } => *builtin_type,
            Value::LocalizedText { .. } => BuiltinType::LocalizedText,
            Value::Array(array) => array.element(),
            Value::Structure(_) => BuiltinType::Structure,
            Value::Null => BuiltinType::Variant,
        }
    }

    /// Number of dimensions: 0 for a scalar.
    pub fn rank(&self) -> u8 {
        match self {
            Value::Array(array) => u8::try_from(array.dimensions().len()).unwrap_or(u8::MAX),
            _ => 0,
        }
    }

    /// For comparisons only (deadband, range): 64-bit integers beyond 2^53 lose their lowest bits here.
    pub fn approximate(&self) -> Option<f64> {
        Some(match *self {
            Value::SByte(v) => f64::from(v),
            Value::Byte(v) => f64::from(v),
            Value::Int16(v) => f64::from(v),
            Value::UInt16(v) => f64::from(v),
            Value::Int32(v) => f64::from(v),
            Value::UInt32(v) => f64::from(v),
            Value::Int64(v) => v as f64,
            Value::UInt64(v) => v as f64,
            Value::Float(v) => f64::from(v),
            Value::Double(v) => v,
            _ => return None,
        })
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value::{:?}(..)", self.builtin_type())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    /// One value of each type, in the order of their ids.
    fn samples() -> [Value; 25] {
        [
            Value::Boolean(true),
            Value::SByte(-77),
            Value::Byte(77),
            Value::Int16(-77),
            Value::UInt16(77),
            Value::Int32(-77),
            Value::UInt32(77),
            Value::Int64(-77),
            Value::UInt64(77),
            Value::Float(77.5),
            Value::Double(77.5),
            Value::String("77".into()),
            Value::DateTime(77),
            Value::Guid([77; 16]),
            Value::ByteString([77_u8, 77].into()),
            text(BuiltinType::XmlElement),
            text(BuiltinType::NodeId),
            text(BuiltinType::ExpandedNodeId),
            Value::StatusCode(77),
            text(BuiltinType::QualifiedName),
            Value::LocalizedText { locale: None, text: Some("77".into()) },
            opaque(BuiltinType::Structure),
            opaque(BuiltinType::DataValue),
            Value::Null,
            opaque(BuiltinType::DiagnosticInfo),
        ]
    }

    fn text(builtin_type: BuiltinType) -> Value {
        Value::Text { builtin_type, text: "77".into() }
    }

    fn opaque(builtin_type: BuiltinType) -> Value {
        Value::Opaque { builtin_type, type_id: "i=77".into(), body: [77_u8].into() }
    }

    #[test]
    fn every_value_knows_its_type_and_every_type_its_id() {
        for (value, expected) in samples().iter().zip(BuiltinType::ALL) {
            assert_eq!(value.builtin_type(), expected);
            assert_eq!(BuiltinType::from_id(expected as u32), Some(expected));
        }
        for unknown in [0, 26, u32::MAX] {
            assert_eq!(BuiltinType::from_id(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn exactly_the_numeric_types_have_a_number() {
        for value in samples() {
            assert_eq!(value.approximate().is_some(), value.builtin_type().is_numeric(), "{value:?}");
        }
        assert_eq!(Value::UInt64(u64::MAX).approximate(), Some(18_446_744_073_709_551_616.0));
        assert_eq!(Value::Float(0.1).approximate(), Some(0.100_000_001_490_116_12));
    }

    #[test]
    fn no_debug_output_shows_a_value() {
        let items = samples().to_vec();
        let array = Array::of(BuiltinType::Variant, items.clone()).unwrap();
        let fields = items.iter().map(|value| ("field".into(), value.clone())).collect();
        let structure = Structure::new("i=1".into(), fields).unwrap();
        for value in items.into_iter().chain([Value::Array(array.into()), Value::Structure(structure.into())]) {
            let shown = format!("{value:?} {:#?}", Some(&value));
            assert!(!shown.contains("77"), "{shown}");
        }
    }
}
