use std::sync::Arc;

use lingate_model::{Array, Value};

use super::point::{Item, Shape};
use super::wire::Flaw;

/// The part of a value that a point is configured for: the named field and nothing else, in the type and with the
/// dimensions that the file says.
pub(crate) fn admit(item: &Item, value: Option<Value>) -> Result<Option<Value>, Flaw> {
    let Some(value) = value else { return Ok(None) };
    let value = item.field.iter().try_fold(value, |value, name| field(&value, name))?;
    match value {
        Value::Null => Ok(None),
        value => fit(item.shape, value).map(Some),
    }
}

fn field(value: &Value, name: &Arc<str>) -> Result<Value, Flaw> {
    let Value::Structure(structure) = value else { return Err(Flaw::Mismatch) };
    let found = structure.fields().iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.clone()).ok_or(Flaw::Mismatch)
}

fn fit(shape: Shape, value: Value) -> Result<Value, Flaw> {
    if value.builtin_type() != shape.builtin_type {
        return Err(Flaw::Mismatch);
    }
    if value.rank() == shape.rank {
        return Ok(value);
    }
    // Without values many servers leave the dimensions out as well.
    match value {
        Value::Array(array) if array.items().is_empty() && shape.rank > 0 => {
            let empty = Array::new(shape.builtin_type, vec![0; usize::from(shape.rank)], Vec::new())?;
            Ok(Value::Array(empty.into()))
        }
        _ => Err(Flaw::Mismatch),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::{BuiltinType, Structure};

    use super::super::pace::Mode;
    use super::super::target::Target;
    use super::*;

    fn item(shape: &str, field: &[&str]) -> Item {
        Item {
            target: Target::parse_node("i=1").unwrap(),
            shape: Shape::parse(shape).unwrap(),
            range: None,
            field: field.iter().map(|name| Arc::from(*name)).collect(),
            mode: Mode::Subscribe,
            interval: std::time::Duration::from_secs(1),
            queue: 1,
            deadband: None,
        }
    }

    fn structure(fields: Vec<(&str, Value)>) -> Value {
        let fields = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Value::Structure(Structure::new("i=1".into(), fields).unwrap().into())
    }

    #[test]
    fn another_type_or_shape_than_configured_is_refused() {
        let list = Value::Array(Array::of(BuiltinType::Int32, vec![Value::Int32(1)]).unwrap().into());
        assert!(admit(&item("int32", &[]), Some(Value::Int32(1))) == Ok(Some(Value::Int32(1))));
        assert!(admit(&item("int32[]", &[]), Some(list.clone())) == Ok(Some(list.clone())));
        for (shape, value) in
            [("int32", Value::Int16(1)), ("double", Value::Float(1.0)), ("int32", list.clone()), ("int32[,]", list)]
        {
            assert_eq!(admit(&item(shape, &[]), Some(value)).err(), Some(Flaw::Mismatch), "{shape}");
        }
        assert_eq!(admit(&item("int32", &[]), None), Ok(None));
    }

    #[test]
    fn only_the_named_field_leaves() {
        let inner = structure(vec![("X", Value::Double(1.5)), ("Operator", Value::String("Wu".into()))]);
        let outer = || Some(structure(vec![("Position", inner.clone()), ("Missing", Value::Null)]));
        assert!(admit(&item("double", &["Position", "X"]), outer()) == Ok(Some(Value::Double(1.5))));
        assert_eq!(admit(&item("double", &["Missing"]), outer()), Ok(None));
        for field in [&["Position"][..], &["X"], &["Position", "X", "Y"], &["Position", "Y"]] {
            assert_eq!(admit(&item("double", field), outer()).err(), Some(Flaw::Mismatch), "{field:?}");
        }
        let opaque = Value::Opaque { builtin_type: BuiltinType::Structure, type_id: "i=1".into(), body: [1].into() };
        assert_eq!(admit(&item("double", &["X"]), Some(opaque)).err(), Some(Flaw::Mismatch));
    }

    #[test]
    fn an_empty_array_has_the_dimensions_of_its_point() {
        let empty = Value::Array(Array::of(BuiltinType::Byte, vec![]).unwrap().into());
        let admitted = admit(&item("byte[,]", &[]), Some(empty)).unwrap().unwrap();
        assert_eq!(admitted.rank(), 2);
    }
}
