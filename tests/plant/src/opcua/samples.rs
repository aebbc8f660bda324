//! One value of every built-in type, and a new one with every tick.

use std::sync::Arc;

use lingate_model::{Array, BuiltinType, Structure, Value};

use super::machine::MachineKind;
use super::wire;

/// The data type that the server describes, and its binary encoding.
pub(super) const DESCRIBED: (u32, u32) = (3001, 5001);
/// The encoding of a structure that the server does not describe.
pub(super) const OPAQUE: u32 = 5002;

pub(super) const NAMES: [&str; 34] = [
    "boolean",
    "sbyte",
    "byte",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float",
    "double",
    "string",
    "datetime",
    "guid",
    "bytestring",
    "xmlelement",
    "nodeid",
    "expandednodeid",
    "statuscode",
    "qualifiedname",
    "localizedtext",
    "datavalue",
    "diagnosticinfo",
    "structure_described",
    "structure_opaque",
    "array_boolean",
    "array_double",
    "array_string",
    "array_bytestring",
    "array_variant",
    "array_structure",
    "matrix_int32",
    "cube_uint16",
    "empty_double",
];

/// A value that follows from 64 bits: all of them where the type has room.
pub(super) fn sample(index: usize, bits: u64) -> Value {
    match NAMES[index] {
        "boolean" => Value::Boolean(bits & 1 == 1),
        "sbyte" => Value::SByte(bits as i8),
        "byte" => Value::Byte(bits as u8),
        "int16" => Value::Int16(bits as i16),
        "uint16" => Value::UInt16(bits as u16),
        "int32" => Value::Int32(bits as i32),
        "uint32" => Value::UInt32(bits as u32),
        "int64" => Value::Int64(bits as i64),
        "uint64" => Value::UInt64(bits | 1 << 63),
        "float" => Value::Float(float(bits)),
        "double" => double(bits),
        "string" => string(bits),
        "datetime" => Value::DateTime(132_000_000_000_000_000 + (bits >> 16) as i64),
        "guid" => Value::Guid(std::array::from_fn(|at| (bits >> (at % 8 * 8)) as u8 ^ at as u8)),
        "bytestring" => bytes(bits),
        "xmlelement" => text(BuiltinType::XmlElement, format!("<step at=\"{bits:x}\">ä &lt; b</step>")),
        "nodeid" => text(BuiltinType::NodeId, format!("nsu={};s=Zone/{bits:x}", namespace())),
        "expandednodeid" => text(BuiltinType::ExpandedNodeId, format!("nsu=urn:elsewhere;i={}", bits as u32)),
        "statuscode" => Value::StatusCode([0, 0x8034_0000, 0x408F_0000, 0x8004_0000][(bits & 3) as usize]),
        "qualifiedname" => text(BuiltinType::QualifiedName, format!("nsu={};Zone {bits:x}", namespace())),
        "localizedtext" => {
            Value::LocalizedText { locale: Some("de-DE".into()), text: Some(format!("Düse {bits:x}").into()) }
        }
        "datavalue" => opaque(BuiltinType::DataValue, "", wire::data_value_bytes(bits)),
        "diagnosticinfo" => opaque(BuiltinType::DiagnosticInfo, "", wire::diagnostic_info_bytes(bits)),
        "structure_described" => described(bits),
        "structure_opaque" => {
            let type_id = format!("nsu={};i={OPAQUE}", namespace());
            opaque(BuiltinType::Structure, &type_id, bits.to_be_bytes().repeat(3))
        }
        "array_boolean" => array(BuiltinType::Boolean, &[5], |at| Value::Boolean(bits >> at & 1 == 1)),
        "array_double" => array(BuiltinType::Double, &[3], |at| double(bits.rotate_left(at))),
        "array_string" => array(BuiltinType::String, &[2], |at| string(bits.rotate_left(at))),
        "array_bytestring" => array(BuiltinType::ByteString, &[2], |at| bytes(bits.rotate_left(at))),
        "array_variant" => array(BuiltinType::Variant, &[3], |at| match at {
            0 => Value::UInt32(bits as u32),
            1 => string(bits),
            _ => Value::Boolean(bits & 1 == 1),
        }),
        "array_structure" => array(BuiltinType::Structure, &[2], |at| described(bits.rotate_left(at))),
        "matrix_int32" => array(BuiltinType::Int32, &[2, 3], |at| Value::Int32(bits.rotate_left(at) as i32)),
        "cube_uint16" => array(BuiltinType::UInt16, &[2, 3, 2], |at| Value::UInt16(bits.rotate_left(at) as u16)),
        "empty_double" => array(BuiltinType::Double, &[0], |_| Value::Null),
        name => unreachable!("{name} is in the list"),
    }
}

/// The configuration's words for the type: element and rank.
pub(super) fn shape(index: usize) -> (BuiltinType, u8) {
    let value = sample(index, 0);
    (value.builtin_type(), value.rank())
}

fn namespace() -> &'static str {
    MachineKind::Types.namespace()
}

fn float(bits: u64) -> f32 {
    (bits as i32 as f32) * 0.007_3
}

/// Among ordinary ones the edges: the largest, the smallest, infinities.
fn double(bits: u64) -> Value {
    let edges = [f64::MAX, f64::MIN_POSITIVE, 5e-324, f64::INFINITY, f64::NEG_INFINITY, 0.1];
    let ordinary = (bits as i64 as f64) * 1.37e-7;
    Value::Double(edges.get((bits >> 20 & 15) as usize).copied().unwrap_or(ordinary))
}

fn string(bits: u64) -> Value {
    Value::String(format!("Schnecke \u{1F529} {bits:x}\t\"{}\"", bits & 7).into())
}

fn bytes(bits: u64) -> Value {
    Value::ByteString(bits.to_le_bytes().into())
}

fn text(builtin_type: BuiltinType, text: String) -> Value {
    Value::Text { builtin_type, text: text.into() }
}

fn opaque(builtin_type: BuiltinType, type_id: &str, body: Vec<u8>) -> Value {
    Value::Opaque { builtin_type, type_id: type_id.into(), body: body.into() }
}

fn array(element: BuiltinType, dimensions: &[u32], item: impl Fn(u32) -> Value) -> Value {
    let items = (0..dimensions.iter().product()).map(item).collect();
    let array = Array::new(element, dimensions.to_vec(), items).expect("items and dimensions fit");
    Value::Array(Arc::new(array))
}

fn described(bits: u64) -> Value {
    let fields = [
        ("StepNumber", Value::UInt32(bits as u32)),
        ("Name", string(bits)),
        ("Setpoint", Value::Double(f64::from(bits as i32) * 0.01)),
        ("Limits", array(BuiltinType::Double, &[2], |at| Value::Double(f64::from(bits as u16) + f64::from(at)))),
        ("Skippable", Value::Boolean(bits & 2 == 2)),
    ];
    let fields = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
    let type_id = format!("nsu={};i={}", namespace(), DESCRIBED.0).into();
    Value::Structure(Arc::new(Structure::new(type_id, fields).expect("it is shallow")))
}
