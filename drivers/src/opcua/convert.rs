use lingate_model::{BuiltinType, DeviceTime, StatusCode, Value};
use opcua::types::type_loader::{
    ByteStringBody, FallbackTypeLoader, TypeLoader, TypeLoaderCollection, TypeLoaderPriority, XmlBody,
};
use opcua::types::{
    BinaryEncodable, Context, ContextOwned, DataValue, DateTime, DynEncodable, EncodingResult, ExtensionObject, NodeId,
    Variant, VariantScalarTypeId,
};

use super::decode::{Decoder, Sample, array};
use super::wire::{BodyForm, Flaw};

/// Keeps every structure as the bytes that came: what the library decodes itself cannot be bounded here, and an error of
/// its decoders costs the connection.
struct AsTheyCame;

impl TypeLoader for AsTheyCame {
    fn load_from_binary(
        &self,
        node_id: &NodeId,
        stream: &mut dyn std::io::Read,
        ctx: &Context<'_>,
        length: Option<usize>,
    ) -> Option<EncodingResult<Box<dyn DynEncodable>>> {
        FallbackTypeLoader.load_from_binary(node_id, stream, ctx, length)
    }

    fn priority(&self) -> TypeLoaderPriority {
        TypeLoaderPriority::Dynamic(0)
    }
}

/// From here on the context's structures are bytes.
pub(crate) fn keep_structures_as_bytes(context: &mut ContextOwned) {
    let mut loaders = TypeLoaderCollection::new_empty();
    loaders.add_type_loader(AsTheyCame);
    TypeLoaderCollection::new().iter().for_each(|loader| loaders.add(loader.clone()));
    *context.loaders_mut() = loaders;
}

/// The encoding id and the bytes of a structure.
pub(crate) fn body_of(object: &ExtensionObject) -> Option<(&NodeId, &[u8])> {
    let body = object.inner_as::<ByteStringBody>()?;
    Some((body.encoding_id(), body.raw_body().value.as_deref().unwrap_or_default()))
}

/// Makes values of what the library read.
pub(crate) struct Converter<'a> {
    pub(crate) decoder: Decoder<'a>,
    /// What the library has taken off every time but the source's, because of the difference of the clocks: 100 ns.
    pub(crate) offset: i64,
}

impl Converter<'_> {
    pub(crate) fn sample(&self, read: DataValue) -> Sample {
        let value = read.value.map_or(Ok(Value::Null), |value| self.value(value, 0));
        Sample {
            value: value.map(|value| Some(value).filter(|value| *value != Value::Null)),
            status: StatusCode(read.status.map_or(0, |status| status.bits())),
            source_time: read.source_timestamp.map(|time| DeviceTime(ticks(time, 0))),
            server_time: read.server_timestamp.map(|time| DeviceTime(ticks(time, self.offset))),
        }
    }

    fn value(&self, variant: Variant, depth: u8) -> Result<Value, Flaw> {
        if depth > lingate_model::DEPTH_MAX {
            return Err(Flaw::Limit);
        }
        Ok(match variant {
            Variant::Empty => Value::Null,
            Variant::Boolean(value) => Value::Boolean(value),
            Variant::SByte(value) => Value::SByte(value),
            Variant::Byte(value) => Value::Byte(value),
            Variant::Int16(value) => Value::Int16(value),
            Variant::UInt16(value) => Value::UInt16(value),
            Variant::Int32(value) => Value::Int32(value),
            Variant::UInt32(value) => Value::UInt32(value),
            Variant::Int64(value) => Value::Int64(value),
            Variant::UInt64(value) => Value::UInt64(value),
            Variant::Float(value) => Value::Float(value),
            Variant::Double(value) => Value::Double(value),
            Variant::String(text) => text.value().as_deref().map_or(Value::Null, |text| Value::String(text.into())),
            Variant::DateTime(time) => Value::DateTime(ticks(*time, self.offset)),
            Variant::Guid(guid) => Value::Guid(in_text_order(guid.to_bytes())),
            Variant::StatusCode(status) => Value::StatusCode(status.bits()),
            Variant::ByteString(bytes) => bytes.value.map_or(Value::Null, |bytes| Value::ByteString(bytes.into())),
            Variant::XmlElement(xml) => text(BuiltinType::XmlElement, xml.to_string()),
            Variant::QualifiedName(name) => {
                let name = self.decoder.namespaces.qualified_text(name.namespace_index, name.name.as_ref())?;
                text(BuiltinType::QualifiedName, name)
            }
            Variant::LocalizedText(localized) => Value::LocalizedText {
                locale: localized.locale.value().as_deref().map(Into::into),
                text: localized.text.value().as_deref().map(Into::into),
            },
            Variant::NodeId(node) => text(BuiltinType::NodeId, self.decoder.namespaces.node_text(&node)?),
            Variant::ExpandedNodeId(node) => {
                let uri = node.namespace_uri.value().as_deref();
                let name = self.decoder.namespaces.expanded_text(&node.node_id, uri, node.server_index)?;
                text(BuiltinType::ExpandedNodeId, name)
            }
            Variant::ExtensionObject(object) => self.structure(&object, depth)?,
            Variant::Variant(inner) => self.value(*inner, depth + 1)?,
            Variant::DataValue(value) => opaque(BuiltinType::DataValue, &*value),
            Variant::DiagnosticInfo(info) => opaque(BuiltinType::DiagnosticInfo, &*info),
            Variant::Array(sent) => {
                let element = element(sent.value_type).ok_or(Flaw::Content)?;
                let items: Result<Vec<_>, _> =
                    sent.values.into_iter().map(|item| self.value(item, depth + 1)).collect();
                array(element, sent.dimensions.unwrap_or_default(), items?)?
            }
        })
    }

    fn structure(&self, object: &ExtensionObject, depth: u8) -> Result<Value, Flaw> {
        if let Some((encoding, body)) = body_of(object) {
            return self.decoder.body(encoding, body, BodyForm::Binary, depth);
        }
        match object.inner_as::<XmlBody>() {
            Some(xml) => self.decoder.body(xml.encoding_id(), xml.raw_body(), BodyForm::Xml, depth),
            None => Ok(Value::Null),
        }
    }
}

fn element(of: VariantScalarTypeId) -> Option<BuiltinType> {
    BuiltinType::from_id(of as u32)
}

fn text(builtin_type: BuiltinType, text: String) -> Value {
    Value::Text { builtin_type, text: text.into() }
}

fn opaque(builtin_type: BuiltinType, value: &impl BinaryEncodable) -> Value {
    let body = value.encode_to_vec(&ContextOwned::default().context());
    Value::Opaque { builtin_type, type_id: "".into(), body: body.into() }
}

/// The library reads the largest number as the end of the year 9999, and the standard writes that time as the largest
/// number (OPC 10000-6, 5.2.2.5).
fn ticks(time: DateTime, offset: i64) -> i64 {
    let ticks = time.ticks().saturating_add(offset);
    if ticks == DateTime::endtimes_ticks() { i64::MAX } else { ticks }
}

fn in_text_order(mut wire: [u8; 16]) -> [u8; 16] {
    wire[0..4].reverse();
    wire[4..6].reverse();
    wire[6..8].reverse();
    wire
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use opcua::types::{BinaryDecodable, EUInformation};

    use super::super::names::Namespaces;
    use super::super::structure::Types;
    use super::super::wire::Wire;
    use super::*;

    /// A DataValue whose value has this mask and these bytes.
    fn wire(mask: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x0F, mask];
        bytes.extend(value);
        bytes.extend(0x4094_0480_u32.to_le_bytes());
        bytes.extend([7_i64.to_le_bytes(), 9_i64.to_le_bytes()].concat());
        bytes
    }

    /// What both ways make of the same bytes.
    #[track_caller]
    fn check(bytes: &[u8]) -> Sample {
        let namespaces = Namespaces::new(vec!["http://opcfoundation.org/UA/".into(), "urn:plant".into()]);
        let types = Types::default();
        let decoder = || Decoder { namespaces: &namespaces, types: &types };
        let decoded = decoder().data_value(&mut Wire::new(bytes)).unwrap();
        let mut context = ContextOwned::default();
        keep_structures_as_bytes(&mut context);
        let read = DataValue::decode(&mut &bytes[..], &context.context()).unwrap();
        let converted = Converter { decoder: decoder(), offset: 0 }.sample(read);
        assert!(converted == decoded, "{converted:?} {decoded:?}");
        converted
    }

    #[test]
    fn a_polled_value_is_the_same_as_a_subscribed_one() {
        check(&wire(1, &[1]));
        check(&wire(11, &0x7FF8_0000_DEAD_BEEF_u64.to_le_bytes().map(|b| b & 0x7F)));
        for ticks in [0, 1, -1, 5_000_000_000, i64::MAX] {
            check(&wire(13, &ticks.to_le_bytes()));
        }
        check(&wire(12, &[1, 0, 0, 0, b'a']));
        check(&wire(12, &[0xFF; 4]));
        check(&wire(14, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]));
        check(&wire(15, &[2, 0, 0, 0, 1, 2]));
        check(&wire(16, &[3, 0, 0, 0, b'<', b'a', b'/']));
        check(&wire(17, &[3, 1, 0, 1, 0, 0, 0, b'a']));
        check(&wire(18, &[0xC0, 7, 1, 0, 0, 0, b'u', 3, 0, 0, 0]));
        check(&wire(19, &0x8034_0480_u32.to_le_bytes()));
        check(&wire(20, &[1, 0, 1, 0, 0, 0, b'a']));
        check(&wire(21, &[3, 1, 0, 0, 0, b'd', 1, 0, 0, 0, b'w']));
        check(&wire(21, &[2, 1, 0, 0, 0, b'w']));
        check(&wire(22, &[1, 1, 7, 0, 1, 2, 0, 0, 0, 8, 9]));
        check(&wire(22, &[1, 1, 7, 0, 2, 2, 0, 0, 0, b'<', b'>']));
        check(&wire(0x80 | 6, &[2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]));
        check(&wire(0xC0 | 3, &[4, 0, 0, 0, 1, 2, 3, 4, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0]));
        check(&wire(0x80 | 24, &[2, 0, 0, 0, 3, 1, 11, 0, 0, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn a_structure_of_the_standard_itself_is_bytes_and_not_what_the_library_makes_of_it() {
        let context = ContextOwned::default();
        let unit = ExtensionObject::from_message(EUInformation { unit_id: 7, ..Default::default() });
        let sent = DataValue::value_only(Variant::from(unit));
        let sample = check(&sent.encode_to_vec(&context.context()));
        let Ok(Some(Value::Opaque { type_id, .. })) = sample.value else { panic!("{sample:?}") };
        assert_eq!(&*type_id, "i=889");
    }

    #[test]
    fn what_the_library_took_off_a_time_is_put_back() {
        let namespaces = Namespaces::default();
        let types = Types::default();
        let sent = DataValue {
            value: Some(Variant::from(DateTime::from(1_000))),
            source_timestamp: Some(DateTime::from(2_000)),
            server_timestamp: Some(DateTime::from(3_000)),
            ..DataValue::null()
        };
        let decoder = Decoder { namespaces: &namespaces, types: &types };
        let sample = Converter { decoder, offset: 50 }.sample(sent);
        assert!(sample.value == Ok(Some(Value::DateTime(1_050))));
        assert_eq!((sample.source_time, sample.server_time), (Some(DeviceTime(2_000)), Some(DeviceTime(3_050))));
    }
}
