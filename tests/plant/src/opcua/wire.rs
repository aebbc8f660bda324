//! Values as the server sends them.

use lingate_model::{BuiltinType, Structure, Value};
use opcua::types::type_loader::ByteStringBody;
use opcua::types::{
    Array, BinaryDecodable, BinaryEncodable, ByteString, ContextOwned, DataValue, DateTime, DiagnosticInfo,
    ExpandedNodeId, ExtensionObject, Guid, Identifier, LocalizedText, NodeId, QualifiedName, StatusCode, UAString,
    Variant, VariantScalarTypeId,
};

use super::samples::{DESCRIBED, OPAQUE};

/// `namespace`: the index that the machine's own URI has at this server.
pub(super) fn variant(value: &Value, namespace: u16) -> Variant {
    match value {
        Value::Boolean(it) => (*it).into(),
        Value::SByte(it) => (*it).into(),
        Value::Byte(it) => (*it).into(),
        Value::Int16(it) => (*it).into(),
        Value::UInt16(it) => (*it).into(),
        Value::Int32(it) => (*it).into(),
        Value::UInt32(it) => (*it).into(),
        Value::Int64(it) => (*it).into(),
        Value::UInt64(it) => (*it).into(),
        Value::Float(it) => (*it).into(),
        Value::Double(it) => (*it).into(),
        Value::String(it) => UAString::from(&**it).into(),
        Value::DateTime(ticks) => DateTime::from(*ticks).into(),
        Value::Guid(it) => guid(*it).into(),
        Value::ByteString(it) => ByteString::from(it.to_vec()).into(),
        Value::StatusCode(it) => StatusCode::from(*it).into(),
        Value::LocalizedText { locale, text } => {
            let part = |text: &Option<std::sync::Arc<str>>| UAString::from(text.as_deref().map(str::to_owned));
            LocalizedText { locale: part(locale), text: part(text) }.into()
        }
        Value::Text { builtin_type, text } => from_text(*builtin_type, text, namespace),
        Value::Opaque { builtin_type: BuiltinType::Structure, body, .. } => extension(body, OPAQUE, namespace),
        Value::Opaque { builtin_type: BuiltinType::DataValue, body, .. } => decoded::<DataValue>(body).into(),
        Value::Opaque { body, .. } => decoded::<DiagnosticInfo>(body).into(),
        Value::Structure(structure) => extension(&structure_bytes(structure), DESCRIBED.1, namespace),
        Value::Array(array) => {
            let items: Vec<Variant> = array.items().iter().map(|item| variant(item, namespace)).collect();
            let items = match array.element() {
                BuiltinType::Variant => items.into_iter().map(|item| Variant::Variant(Box::new(item))).collect(),
                _ => items,
            };
            Variant::Array(Box::new(plain_array(array.element(), array.dimensions(), items)))
        }
        Value::Null => Variant::Empty,
    }
}

fn plain_array(element: BuiltinType, dimensions: &[u32], items: Vec<Variant>) -> Array {
    let element = VariantScalarTypeId::try_from(element as u32).expect("the ids are those of the standard");
    let array = match dimensions {
        [_] => Array::new(element, items),
        _ => Array::new_multi(element, items, dimensions.to_vec()),
    };
    array.expect("items and dimensions fit")
}

/// Of the samples only: `nsu=URI;s=...`, `nsu=URI;i=...`, `nsu=URI;name`.
fn from_text(builtin_type: BuiltinType, text: &str, namespace: u16) -> Variant {
    let (uri, rest) = text.strip_prefix("nsu=").and_then(|text| text.split_once(';')).unwrap_or(("", text));
    match builtin_type {
        BuiltinType::NodeId => {
            NodeId::new(namespace, Identifier::from(rest.strip_prefix("s=").unwrap_or(rest).to_owned())).into()
        }
        BuiltinType::ExpandedNodeId => {
            let number: u32 = rest.strip_prefix("i=").and_then(|number| number.parse().ok()).unwrap_or(0);
            Variant::ExpandedNodeId(Box::new(ExpandedNodeId {
                node_id: NodeId::new(0, number),
                namespace_uri: uri.into(),
                server_index: 0,
            }))
        }
        BuiltinType::QualifiedName => QualifiedName::new(namespace, rest).into(),
        _ => Variant::XmlElement(text.into()),
    }
}

fn extension(body: &[u8], encoding: u32, namespace: u16) -> Variant {
    let body = ByteStringBody::new(ByteString::from(body.to_vec()), NodeId::new(namespace, encoding));
    ExtensionObject::new(body).into()
}

/// OPC UA Binary, field after field (OPC 10000-6, 5.2.6).
fn structure_bytes(structure: &Structure) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (_, value) in structure.fields() {
        put(&mut bytes, value);
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Boolean(it) => bytes.push(u8::from(*it)),
        Value::UInt32(it) => bytes.extend(it.to_le_bytes()),
        Value::Double(it) => bytes.extend(it.to_le_bytes()),
        Value::String(it) => {
            bytes.extend((it.len() as u32).to_le_bytes());
            bytes.extend(it.as_bytes());
        }
        Value::Array(array) => {
            bytes.extend((array.items().len() as u32).to_le_bytes());
            array.items().iter().for_each(|item| put(bytes, item));
        }
        other => unreachable!("no sample structure has a field of {other:?}"),
    }
}

pub(super) fn data_value_bytes(bits: u64) -> Vec<u8> {
    encoded(&DataValue {
        value: Some(Variant::from(bits as u32)),
        status: Some(StatusCode::UncertainLastUsableValue),
        source_timestamp: Some(DateTime::from(134_000_000_000_000_000 + (bits >> 16) as i64)),
        source_picoseconds: None,
        server_timestamp: None,
        server_picoseconds: None,
    })
}

pub(super) fn diagnostic_info_bytes(bits: u64) -> Vec<u8> {
    encoded(&DiagnosticInfo {
        symbolic_id: Some(bits as i32),
        locale: Some((bits >> 32) as i32),
        ..DiagnosticInfo::default()
    })
}

fn decoded<T: BinaryDecodable>(body: &[u8]) -> T {
    T::decode(&mut &*body, &ContextOwned::default().context()).expect("it was encoded here")
}

fn encoded(value: &impl BinaryEncodable) -> Vec<u8> {
    value.encode_to_vec(&ContextOwned::default().context())
}
/// The library wants the order of the wire: the first three groups are little-endian there.
fn guid(mut text_order: [u8; 16]) -> Guid {
    text_order[0..4].reverse();
    text_order[4..6].reverse();
    text_order[6..8].reverse();
    Guid::from_bytes(text_order)
}
