use std::sync::Arc;

use lingate_model::BuiltinType;
use opcua::types::{DataTypeId, NodeId, ObjectId};

use super::structure::{Content, Description, Field, Kind, Types};

/// Structures of the standard that measurements are made of (OPC 10000-8, 5.6): some servers do not describe them. What
/// a server says itself counts more.
pub(crate) fn add_to(types: &mut Types) {
    use BuiltinType::{Double, Float, Int32, LocalizedText, String};
    let mut add = |data_type: DataTypeId, encoding: ObjectId, fields: &[(&str, BuiltinType)]| {
        let field = |(name, builtin): &(&str, BuiltinType)| Field {
            name: Arc::from(*name),
            content: Content::Builtin(*builtin),
            rank: 0,
            is_optional: false,
        };
        let type_id = format!("i={}", data_type as u32).into();
        let fields = fields.iter().map(field).collect();
        types.add(NodeId::from(data_type), NodeId::from(encoding), Description { type_id, kind: Kind::Plain, fields });
    };
    add(DataTypeId::Range, ObjectId::Range_Encoding_DefaultBinary, &[("Low", Double), ("High", Double)]);
    add(
        DataTypeId::EUInformation,
        ObjectId::EUInformation_Encoding_DefaultBinary,
        &[("NamespaceUri", String), ("UnitId", Int32), ("DisplayName", LocalizedText), ("Description", LocalizedText)],
    );
    add(DataTypeId::XVType, ObjectId::XVType_Encoding_DefaultBinary, &[("X", Double), ("Value", Float)]);
    let complex = ObjectId::ComplexNumberType_Encoding_DefaultBinary;
    add(DataTypeId::ComplexNumberType, complex, &[("Real", Float), ("Imaginary", Float)]);
    let complex = ObjectId::DoubleComplexNumberType_Encoding_DefaultBinary;
    add(DataTypeId::DoubleComplexNumberType, complex, &[("Real", Double), ("Imaginary", Double)]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::Value;
    use opcua::types::{
        BinaryEncodable, ContextOwned, EUInformation, ExtensionObject, LocalizedText as Text, Range, Variant,
    };

    use super::super::decode::Decoder;
    use super::super::names::Namespaces;
    use super::super::wire::Wire;
    use super::*;

    #[track_caller]
    fn check(sent: ExtensionObject, expected: &[(&str, Value)]) {
        let mut types = Types::default();
        add_to(&mut types);
        let bytes = Variant::from(sent).encode_to_vec(&ContextOwned::default().context());
        let namespaces = Namespaces::default();
        let value = Decoder { namespaces: &namespaces, types: &types }.variant(&mut Wire::new(&bytes), 0).unwrap();
        let Value::Structure(structure) = value else { panic!("{value:?}") };
        let fields: Vec<_> = structure.fields().iter().map(|(name, value)| (&**name, value.clone())).collect();
        assert!(fields == expected, "{fields:?}");
    }

    #[test]
    fn ranges_and_units_have_their_fields_without_a_description() {
        let range = ExtensionObject::from_message(Range { low: -1.5, high: 40.0 });
        check(range, &[("Low", Value::Double(-1.5)), ("High", Value::Double(40.0))]);
        let unit = EUInformation {
            namespace_uri: "urn:units".into(),
            unit_id: 4_408_652,
            display_name: Text::new("en", "°C"),
            description: Text::null(),
        };
        let text = |text: Option<&str>, locale: Option<&str>| Value::LocalizedText {
            locale: locale.map(Arc::from),
            text: text.map(Arc::from),
        };
        let expected = [
            ("NamespaceUri", Value::String("urn:units".into())),
            ("UnitId", Value::Int32(4_408_652)),
            ("DisplayName", text(Some("°C"), Some("en"))),
            ("Description", text(None, None)),
        ];
        let sent = ExtensionObject::from_message(unit);
        check(sent, &expected);
    }
}
