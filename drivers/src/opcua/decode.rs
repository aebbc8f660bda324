use std::sync::Arc;

use lingate_model::{Array, BuiltinType, DeviceTime, Misshapen, StatusCode, Value};
use opcua::types::NodeId;

use super::names::Namespaces;
use super::structure::{self, Types};
use super::wire::{
    BodyForm, Flaw, HAS_DIMENSIONS, IS_ARRAY, NODE_HAS_SERVER, NODE_HAS_URI, Wire, element_of, size_min,
};

/// Makes values of OPC UA Binary: every built-in type exactly as it came, structures by the server's description.
///
/// Picoseconds of the time stamps are left out: they are below the 100 ns that the record carries.
pub(crate) struct Decoder<'a> {
    pub(crate) namespaces: &'a Namespaces,
    pub(crate) types: &'a Types,
}

/// What a DataValue says. A value that cannot be read leaves status and times standing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// `None`: there is none.
    pub(crate) value: Result<Option<Value>, Flaw>,
    pub(crate) status: StatusCode,
    pub(crate) source_time: Option<DeviceTime>,
    pub(crate) server_time: Option<DeviceTime>,
}

/// Arrays and structures in each other; the model refuses more.
const DEPTH_MAX: u8 = lingate_model::DEPTH_MAX;

impl From<Misshapen> for Flaw {
    fn from(shape: Misshapen) -> Flaw {
        match shape {
            Misshapen::TooDeep | Misshapen::TooLarge => Flaw::Limit,
            // A server may send more than three dimensions; the record carries three.
            Misshapen::Dimensions | Misshapen::Element => Flaw::Content,
        }
    }
}

impl Decoder<'_> {
    /// An error only where the end of the DataValue cannot be found (OPC 10000-6, 5.2.2.17).
    pub(crate) fn data_value(&self, wire: &mut Wire<'_>) -> Result<Sample, Flaw> {
        let mut wire = Wire::new(wire.extent(Wire::skip_data_value)?);
        let mask = wire.u8()?;
        let value = match mask & 0x01 {
            0 => Ok(None),
            _ => self.value(wire.extent(Wire::skip_variant)?),
        };
        let status = if mask & 0x02 != 0 { StatusCode(wire.u32()?) } else { StatusCode::GOOD };
        let source_time = if mask & 0x04 != 0 { Some(DeviceTime(wire.i64()?)) } else { None };
        if mask & 0x10 != 0 {
            wire.u16()?;
        }
        let server_time = if mask & 0x08 != 0 { Some(DeviceTime(wire.i64()?)) } else { None };
        Ok(Sample { value, status, source_time, server_time })
    }

    fn value(&self, bytes: &[u8]) -> Result<Option<Value>, Flaw> {
        Ok(Some(self.variant(&mut Wire::new(bytes), 0)?).filter(|value| *value != Value::Null))
    }

    pub(crate) fn variant(&self, wire: &mut Wire<'_>, depth: u8) -> Result<Value, Flaw> {
        let mask = wire.u8()?;
        let Some(element) = element_of(mask)? else { return Ok(Value::Null) };
        if mask & IS_ARRAY == 0 {
            return self.one(wire, element, depth);
        }
        let items = self.items(wire, element, depth)?;
        let dimensions = if mask & HAS_DIMENSIONS != 0 { dimensions(wire)? } else { Vec::new() };
        array(element, dimensions, items)
    }

    /// Null and empty arrays are the same: many servers cannot tell them apart (OPC 10000-6, 5.2.5).
    pub(crate) fn items(&self, wire: &mut Wire<'_>, element: BuiltinType, depth: u8) -> Result<Vec<Value>, Flaw> {
        if depth >= DEPTH_MAX {
            return Err(Flaw::Limit);
        }
        let count = wire.count(size_min(element))?.unwrap_or(0);
        if count > lingate_model::ITEMS_MAX {
            return Err(Flaw::Limit);
        }
        (0..count).map(|_| self.one(wire, element, depth + 1)).collect()
    }

    pub(crate) fn one(&self, wire: &mut Wire<'_>, element: BuiltinType, depth: u8) -> Result<Value, Flaw> {
        Ok(match element {
            BuiltinType::Boolean => Value::Boolean(wire.u8()? != 0),
            BuiltinType::SByte => Value::SByte(wire.i8()?),
            BuiltinType::Byte => Value::Byte(wire.u8()?),
            BuiltinType::Int16 => Value::Int16(wire.i16()?),
            BuiltinType::UInt16 => Value::UInt16(wire.u16()?),
            BuiltinType::Int32 => Value::Int32(wire.i32()?),
            BuiltinType::UInt32 => Value::UInt32(wire.u32()?),
            BuiltinType::Int64 => Value::Int64(wire.i64()?),
            BuiltinType::UInt64 => Value::UInt64(wire.u64()?),
            BuiltinType::Float => Value::Float(wire.f32()?),
            BuiltinType::Double => Value::Double(wire.f64()?),
            BuiltinType::String => wire.text()?.map_or(Value::Null, |text| Value::String(text.into())),
            BuiltinType::DateTime => Value::DateTime(wire.i64()?),
            BuiltinType::Guid => Value::Guid(wire.guid()?),
            BuiltinType::ByteString => wire.bytes()?.map_or(Value::Null, |bytes| Value::ByteString(bytes.into())),
            BuiltinType::XmlElement => wire.text()?.map_or(Value::Null, |xml| text(element, xml)),
            BuiltinType::NodeId => text(element, self.namespaces.node_text(&wire.node_id()?)?),
            BuiltinType::ExpandedNodeId => text(element, self.expanded_node_id(wire)?),
            BuiltinType::StatusCode => Value::StatusCode(wire.u32()?),
            BuiltinType::QualifiedName => text(element, self.qualified_name(wire)?),
            BuiltinType::LocalizedText => localized_text(wire)?,
            BuiltinType::Structure => self.structure(wire, depth)?,
            BuiltinType::DataValue => opaque(element, wire.extent(Wire::skip_data_value)?),
            BuiltinType::DiagnosticInfo => opaque(element, wire.extent(Wire::skip_diagnostic)?),
            BuiltinType::Variant if depth >= DEPTH_MAX => return Err(Flaw::Limit),
            BuiltinType::Variant => self.variant(wire, depth + 1)?,
        })
    }

    fn expanded_node_id(&self, wire: &mut Wire<'_>) -> Result<String, Flaw> {
        let first = wire.u8()?;
        let node = wire.node_id_of(first & 0x3F)?;
        let uri = if first & NODE_HAS_URI != 0 { wire.text()? } else { None };
        let server = if first & NODE_HAS_SERVER != 0 { wire.u32()? } else { 0 };
        self.namespaces.expanded_text(&node, uri, server)
    }

    fn qualified_name(&self, wire: &mut Wire<'_>) -> Result<String, Flaw> {
        let namespace = wire.u16()?;
        self.namespaces.qualified_text(namespace, wire.text()?.unwrap_or_default())
    }

    fn structure(&self, wire: &mut Wire<'_>, depth: u8) -> Result<Value, Flaw> {
        match wire.extension()? {
            Some((encoding, body, form)) => self.body(&encoding, body, form, depth),
            None => Ok(Value::Null),
        }
    }

    /// Opaque, with its encoding id, where nobody described the type or where the description does not fit.
    pub(crate) fn body(&self, encoding: &NodeId, body: &[u8], form: BodyForm, depth: u8) -> Result<Value, Flaw> {
        if let Some(decimal) = structure::decimal(encoding, body).filter(|_| form == BodyForm::Binary) {
            return Ok(decimal);
        }
        let described = if form == BodyForm::Binary { self.types.find(encoding) } else { None };
        if let Some(value) = described.and_then(|description| self.described(description, body, depth).ok()) {
            return Ok(value);
        }
        self.types.note_opaque(encoding, described.is_some());
        let type_id = self.namespaces.node_text(encoding)?.into();
        Ok(Value::Opaque { builtin_type: BuiltinType::Structure, type_id, body: body.into() })
    }
}

fn text(builtin_type: BuiltinType, text: impl Into<Arc<str>>) -> Value {
    Value::Text { builtin_type, text: text.into() }
}

fn opaque(builtin_type: BuiltinType, bytes: &[u8]) -> Value {
    Value::Opaque { builtin_type, type_id: "".into(), body: bytes.into() }
}

fn localized_text(wire: &mut Wire<'_>) -> Result<Value, Flaw> {
    let mask = wire.u8()?;
    let mut part = |bit: u8| -> Result<Option<Arc<str>>, Flaw> {
        match mask & bit {
            0 => Ok(None),
            _ => Ok(wire.text()?.map(Arc::from)),
        }
    };
    let (locale, text) = (part(1)?, part(2)?);
    Ok(Value::LocalizedText { locale, text })
}

pub(crate) fn dimensions(wire: &mut Wire<'_>) -> Result<Vec<u32>, Flaw> {
    let count = wire.count(4)?.unwrap_or(0);
    (0..count).map(|_| u32::try_from(wire.i32()?).map_err(|_| Flaw::Torn)).collect()
}

/// Without dimensions: one.
pub(crate) fn array(element: BuiltinType, dimensions: Vec<u32>, items: Vec<Value>) -> Result<Value, Flaw> {
    let array = if dimensions.is_empty() { Array::of(element, items) } else { Array::new(element, dimensions, items) };
    Ok(Value::Array(array?.into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use opcua::types::{
        BinaryEncodable, ByteString, ContextOwned, DataValue, DateTime, DiagnosticInfo, ExpandedNodeId, Guid,
        LocalizedText, QualifiedName, UAString, Variant,
    };
    use proptest::prelude::*;

    use super::*;

    fn namespaces() -> Namespaces {
        Namespaces::new(vec!["http://opcfoundation.org/UA/".into(), "urn:plant".into()])
    }

    fn decode(bytes: &[u8]) -> Result<Sample, Flaw> {
        let (namespaces, types) = (namespaces(), Types::default());
        Decoder { namespaces: &namespaces, types: &types }.data_value(&mut Wire::new(bytes))
    }

    fn encode(value: &impl BinaryEncodable) -> Vec<u8> {
        value.encode_to_vec(&ContextOwned::default().context())
    }

    /// As the library writes it.
    fn decoded(variant: Variant) -> Result<Option<Value>, Flaw> {
        let value = DataValue { value: Some(variant), ..DataValue::null() };
        decode(&encode(&value)).unwrap().value
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "a table of cases reads better")]
    fn check(variant: impl Into<Variant>, expected: Value) {
        assert!(decoded(variant.into()) == Ok(Some(expected.clone())), "{expected:?}");
    }

    fn named(builtin_type: BuiltinType, name: &str) -> Value {
        text(builtin_type, name)
    }

    #[test]
    fn every_built_in_type_arrives_exactly() {
        check(true, Value::Boolean(true));
        check(i8::MIN, Value::SByte(i8::MIN));
        check(u8::MAX, Value::Byte(u8::MAX));
        check(i16::MIN, Value::Int16(i16::MIN));
        check(u16::MAX, Value::UInt16(u16::MAX));
        check(i32::MIN, Value::Int32(i32::MIN));
        check(u32::MAX, Value::UInt32(u32::MAX));
        check(i64::MIN, Value::Int64(i64::MIN));
        check(u64::MAX, Value::UInt64(u64::MAX));
        check(f32::MIN_POSITIVE, Value::Float(f32::MIN_POSITIVE));
        check(f64::MAX, Value::Double(f64::MAX));
        check("Grüße", Value::String("Grüße".into()));
        let guid: Guid = "72962b91-fa75-4ae6-8d28-b404dc7daf63".parse().unwrap();
        let bytes = [0x72, 0x96, 0x2B, 0x91, 0xFA, 0x75, 0x4A, 0xE6, 0x8D, 0x28, 0xB4, 4, 0xDC, 0x7D, 0xAF, 0x63];
        check(guid, Value::Guid(bytes));
        check(ByteString::from(vec![0, 255]), Value::ByteString([0, 255].into()));
        check(opcua::types::StatusCode::from(0x8034_0480), Value::StatusCode(0x8034_0480));
        check(NodeId::new(1, "a"), named(BuiltinType::NodeId, "nsu=urn:plant;s=a"));
        let elsewhere = ExpandedNodeId { node_id: NodeId::new(0, 7), namespace_uri: "urn:x".into(), server_index: 2 };
        check(elsewhere, named(BuiltinType::ExpandedNodeId, "svr=2;nsu=urn:x;i=7"));
        check(QualifiedName::new(1, "Temp"), named(BuiltinType::QualifiedName, "nsu=urn:plant;Temp"));
        let localized = Value::LocalizedText { locale: Some("de".into()), text: Some("Wert".into()) };
        check(LocalizedText::new("de", "Wert"), localized);
        let inner = DataValue::value_only(7_i32);
        check(Variant::from(inner.clone()), opaque(BuiltinType::DataValue, &encode(&inner)));
        let info = DiagnosticInfo { symbolic_id: Some(3), ..DiagnosticInfo::null() };
        check(Variant::from(info.clone()), opaque(BuiltinType::DiagnosticInfo, &encode(&info)));
        assert_eq!(decoded(Variant::Empty), Ok(None));
        assert_eq!(decoded(Variant::from(UAString::null())), Ok(None));
    }

    #[test]
    fn a_double_keeps_every_bit_also_of_what_is_not_a_number() {
        for bits in [0x7FF8_0000_DEAD_BEEF, 0xFFF0_0000_0000_0001, 0x8000_0000_0000_0000_u64] {
            let mut bytes = vec![0x01, 11];
            bytes.extend(bits.to_le_bytes());
            let Ok(Some(Value::Double(double))) = decode(&bytes).unwrap().value else { panic!("no double") };
            assert_eq!(double.to_bits(), bits);
        }
    }

    #[test]
    fn times_and_status_stay_as_they_came() {
        for ticks in [0, 1, -1, i64::MIN, i64::MAX, i64::from(DateTime::ymd(2026, 11, 23))] {
            let mut bytes = vec![0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20, 13];
            bytes.extend(ticks.to_le_bytes());
            bytes.extend(0x4094_0480_u32.to_le_bytes());
            bytes.extend(ticks.to_le_bytes());
            bytes.extend([1, 0]);
            bytes.extend((!ticks).to_le_bytes());
            bytes.extend([2, 0]);
            let sample = decode(&bytes).unwrap();
            assert!(sample.value == Ok(Some(Value::DateTime(ticks))));
            assert_eq!(sample.status, StatusCode(0x4094_0480));
            assert_eq!(sample.source_time, Some(DeviceTime(ticks)));
            assert_eq!(sample.server_time, Some(DeviceTime(!ticks)));
        }
    }

    #[test]
    fn arrays_keep_their_one_to_three_dimensions() {
        let items: Vec<_> = (0..24).map(Value::Int32).collect();
        let sent: Vec<Variant> = (0..24).map(Variant::from).collect();
        for dimensions in [vec![24], vec![4, 6], vec![2, 3, 4]] {
            let scalar = opcua::types::VariantScalarTypeId::Int32;
            let sent = opcua::types::Array::new_multi(scalar, sent.clone(), dimensions.clone()).unwrap();
            check(Variant::from(sent), array(BuiltinType::Int32, dimensions, items.clone()).unwrap());
        }
        let empty = Variant::from(Vec::<f64>::new());
        check(empty, array(BuiltinType::Double, vec![0], vec![]).unwrap());
    }

    #[test]
    fn an_array_of_variants_keeps_every_type() {
        let boxed = |variant| Variant::Variant(Box::new(variant));
        let sent = vec![boxed(Variant::from(1_u8)), boxed(Variant::Empty), boxed(Variant::from("a"))];
        let sent = opcua::types::Array::new(opcua::types::VariantScalarTypeId::Variant, sent).unwrap();
        let items = vec![Value::Byte(1), Value::Null, Value::String("a".into())];
        check(Variant::from(sent), array(BuiltinType::Variant, vec![3], items).unwrap());
    }

    #[test]
    fn a_text_that_is_not_utf_8_is_one_bad_value_and_what_follows_is_found() {
        let mut bytes = vec![0x01 | 0x04, 12, 2, 0, 0, 0, 0xE9, 0x41];
        bytes.extend(7_i64.to_le_bytes());
        bytes.extend([0x01, 3, 9]);
        let (namespaces, types) = (namespaces(), Types::default());
        let decoder = Decoder { namespaces: &namespaces, types: &types };
        let mut wire = Wire::new(&bytes);
        let bad = decoder.data_value(&mut wire).unwrap();
        assert_eq!(bad.value, Err(Flaw::Content));
        assert_eq!(bad.source_time, Some(DeviceTime(7)));
        assert!(decoder.data_value(&mut wire).unwrap().value == Ok(Some(Value::Byte(9))));
    }

    #[test]
    fn dimensions_that_do_not_fit_are_a_bad_value() {
        for dimensions in [[0_u32, 0], [65536, 65536], [2, 3]] {
            let mut bytes = vec![0x01, 0xC0 | 3, 4, 0, 0, 0, 1, 2, 3, 4, 2, 0, 0, 0];
            bytes.extend(dimensions.iter().flat_map(|n| n.to_le_bytes()));
            assert_eq!(decode(&bytes).unwrap().value, Err(Flaw::Content), "{dimensions:?}");
        }
    }

    #[test]
    fn a_structure_that_nobody_described_is_carried_with_its_encoding_id() {
        let mut bytes = vec![0x01, 22, 1, 1, 7, 0, 1, 3, 0, 0, 0, 0xAA, 0xBB, 0xCC];
        let expected = Value::Opaque {
            builtin_type: BuiltinType::Structure,
            type_id: "nsu=urn:plant;i=7".into(),
            body: [0xAA, 0xBB, 0xCC].into(),
        };
        assert!(decode(&bytes).unwrap().value == Ok(Some(expected)));
        bytes.truncate(bytes.len() - 1);
        assert_eq!(decode(&bytes), Err(Flaw::Torn));
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_it_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }

        #[test]
        fn what_the_library_wrote_is_read_to_its_last_byte(
            value: f64, status: u32, source in 0..i64::MAX / 2, text: String,
        ) {
            let sent = DataValue {
                value: Some(Variant::from(vec![value, value])),
                status: Some(opcua::types::StatusCode::from(status)),
                source_timestamp: Some(DateTime::from(source)),
                ..DataValue::null()
            };
            let mut bytes = encode(&sent);
            bytes.extend(encode(&DataValue::value_only(text.as_str())));
            let (namespaces, types) = (namespaces(), Types::default());
            let decoder = Decoder { namespaces: &namespaces, types: &types };
            let mut wire = Wire::new(&bytes);
            let first = decoder.data_value(&mut wire).unwrap();
            prop_assert_eq!(first.status, StatusCode(status));
            prop_assert_eq!(first.source_time, Some(DeviceTime(i64::from(DateTime::from(source)))));
            let second = decoder.data_value(&mut wire).unwrap().value;
            prop_assert!(second == Ok(Some(Value::String(text.into()))));
            prop_assert!(wire.is_empty());
        }
    }
}
