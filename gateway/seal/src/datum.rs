//! Values that say themselves what they are: arrays, structures, and what has no list of its own in a column.

use std::sync::Arc;

use lingate_model::{Array, BuiltinType, DEPTH_MAX, ITEMS_MAX, Structure, Value};
use prost::Message;

use crate::plain::{Form, from_integer, from_text, to_integer, to_text};
use crate::wire;
use crate::wire::datum::Content;

/// Of one datum, before memory is taken for what it claims to hold.
const DATUM_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(crate) fn encode(value: &Value) -> Vec<u8> {
    datum(value).encode_to_vec()
}

fn datum(value: &Value) -> wire::Datum {
    let content = match value {
        Value::Null => return wire::Datum::default(),
        Value::Float(v) => Content::Single(*v),
        Value::Double(v) => Content::Real(*v),
        Value::LocalizedText { locale, text } => {
            let owned = |text: &Option<Arc<str>>| text.as_ref().map(ToString::to_string);
            Content::LocalizedText(wire::LocalizedText { locale: owned(locale), text: owned(text) })
        }
        Value::Array(array) => Content::Array(encode_array(array)),
        Value::Structure(structure) => Content::Structure(encode_structure(structure)),
        Value::Opaque { type_id, body, .. } => {
            Content::Opaque(wire::Opaque { type_id: type_id.to_string(), body: body.to_vec() })
        }
        plain => match to_integer(plain) {
            Some(n) => Content::Integer(n),
            None => Content::Text(to_text(plain).unwrap_or_default().to_vec()),
        },
    };
    wire::Datum { builtin_type: value.builtin_type() as u32, content: Some(content) }
}

fn encode_array(array: &Array) -> wire::Array {
    let items = array.items();
    let form = match items.iter().any(|item| matches!(item, Value::Null)) {
        true => Form::Datum,
        false => Form::of(array.element()),
    };
    let mut list = wire::Array { dimensions: array.dimensions().to_vec(), ..wire::Array::default() };
    match form {
        Form::Integer => list.integers = differences(items.iter().filter_map(to_integer)),
        Form::Text => list.texts = items.iter().filter_map(to_text).map(<[u8]>::to_vec).collect(),
        Form::Datum => list.items = items.iter().map(encode).collect(),
        Form::Float => items.iter().for_each(|item| match item {
            Value::Float(v) => list.singles.push(*v),
            Value::Double(v) => list.reals.push(*v),
            _ => {}
        }),
    }
    list
}

fn differences(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut last = 0_i64;
    values.map(|value| value.wrapping_sub(std::mem::replace(&mut last, value))).collect()
}

fn encode_structure(structure: &Structure) -> wire::Structure {
    let field = |(name, value): &(Arc<str>, Value)| wire::Field { name: name.to_string(), value: encode(value) };
    wire::Structure { type_id: structure.type_id().to_string(), fields: structure.fields().iter().map(field).collect() }
}

/// `None` if it is not one, or beyond its bounds.
pub(crate) fn decode(bytes: &[u8]) -> Option<Value> {
    if bytes.len() > DATUM_BYTES_MAX {
        return None;
    }
    Room { levels: DEPTH_MAX, items: ITEMS_MAX }.decode(bytes)
}

/// What may still be inside.
struct Room {
    levels: u8,
    items: usize,
}

impl Room {
    fn decode(&mut self, bytes: &[u8]) -> Option<Value> {
        let wire::Datum { builtin_type, content } = wire::Datum::decode(bytes).ok()?;
        let Some(content) = content else { return (builtin_type == 0).then_some(Value::Null) };
        let builtin_type = BuiltinType::from_id(builtin_type)?;
        match (content, builtin_type) {
            (Content::Integer(n), _) => from_integer(builtin_type, n),
            (Content::Text(bytes), _) => from_text(builtin_type, &bytes),
            (Content::Single(v), BuiltinType::Float) => Some(Value::Float(v)),
            (Content::Real(v), BuiltinType::Double) => Some(Value::Double(v)),
            (Content::LocalizedText(wire::LocalizedText { locale, text }), BuiltinType::LocalizedText) => {
                Some(Value::LocalizedText { locale: locale.map(Arc::from), text: text.map(Arc::from) })
            }
            (Content::Array(list), _) => self.within(|room| room.array(builtin_type, list)),
            (Content::Structure(of), BuiltinType::Structure) => self.within(|room| room.structure(of)),
            (Content::Opaque(wire::Opaque { type_id, body }), _) => opaque(builtin_type, type_id, body),
            _ => None,
        }
    }

    fn within(&mut self, act: impl FnOnce(&mut Room) -> Option<Value>) -> Option<Value> {
        self.levels = self.levels.checked_sub(1)?;
        let value = act(self);
        self.levels += 1;
        value
    }

    /// Of the five lists at most one has something in it.
    fn array(&mut self, element: BuiltinType, list: wire::Array) -> Option<Value> {
        let wire::Array { dimensions, integers, singles, reals, texts, items } = list;
        let lengths = [integers.len(), singles.len(), reals.len(), texts.len(), items.len()];
        if lengths.iter().filter(|length| **length > 0).count() > 1 {
            return None;
        }
        self.items = self.items.checked_sub(lengths.iter().sum())?;
        let mut sum = 0_i64;
        let integers = integers.iter().map(|difference| {
            sum = sum.wrapping_add(*difference);
            from_integer(element, sum)
        });
        let singles = singles.iter().map(|v| (element == BuiltinType::Float).then_some(Value::Float(*v)));
        let reals = reals.iter().map(|v| (element == BuiltinType::Double).then_some(Value::Double(*v)));
        let texts = texts.iter().map(|text| from_text(element, text));
        let plain: Option<Vec<Value>> = integers.chain(singles).chain(reals).chain(texts).collect();
        let mut values = plain?;
        for item in &items {
            values.push(self.decode(item)?);
        }
        Some(Value::Array(Array::new(element, dimensions, values).ok()?.into()))
    }

    fn structure(&mut self, structure: wire::Structure) -> Option<Value> {
        self.items = self.items.checked_sub(structure.fields.len())?;
        let field = |field: wire::Field| Some((Arc::from(field.name), self.decode(&field.value)?));
        let fields: Option<Vec<_>> = structure.fields.into_iter().map(field).collect();
        Some(Value::Structure(Structure::new(structure.type_id.into(), fields?).ok()?.into()))
    }
}

fn opaque(builtin_type: BuiltinType, type_id: String, body: Vec<u8>) -> Option<Value> {
    let is_opaque =
        matches!(builtin_type, BuiltinType::Structure | BuiltinType::DataValue | BuiltinType::DiagnosticInfo);
    is_opaque.then(|| Value::Opaque { builtin_type, type_id: type_id.into(), body: body.into() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn array(element: BuiltinType, list: wire::Array) -> Option<Value> {
        let content = Some(Content::Array(list));
        decode(&wire::Datum { builtin_type: element as u32, content }.encode_to_vec())
    }

    #[test]
    fn an_array_costs_its_values_and_little_more() {
        let spectrum = (0..1000_u16).map(|n| Value::UInt16(n * 7)).collect();
        let spectrum = Value::Array(Array::of(BuiltinType::UInt16, spectrum).unwrap().into());
        let bytes = encode(&spectrum);
        assert!(bytes.len() < 1020, "{}", bytes.len());
        assert!(decode(&bytes) == Some(spectrum));
    }

    #[test]
    fn what_lies_about_itself_is_refused() {
        let dimensions = vec![2];
        let good = wire::Array { dimensions: dimensions.clone(), integers: vec![1, 1], ..Default::default() };
        assert!(array(BuiltinType::Byte, good.clone()).is_some());
        for (element, list) in [
            (BuiltinType::Double, good.clone()),
            (BuiltinType::Byte, wire::Array { dimensions: vec![3], ..good.clone() }),
            (BuiltinType::Byte, wire::Array { dimensions: vec![], ..good.clone() }),
            (BuiltinType::Byte, wire::Array { integers: vec![1, 255], ..good.clone() }),
            (BuiltinType::Byte, wire::Array { dimensions: vec![3], singles: vec![1.0], ..good.clone() }),
            (BuiltinType::String, wire::Array { dimensions, texts: vec![vec![0xff]; 2], ..Default::default() }),
        ] {
            assert!(array(element, list).is_none(), "{element:?}");
        }
        for datum in [
            wire::Datum { builtin_type: 26, content: Some(Content::Integer(1)) },
            wire::Datum { builtin_type: 3, content: None },
            wire::Datum { builtin_type: 3, content: Some(Content::Real(1.0)) },
            wire::Datum { builtin_type: 12, content: Some(Content::Opaque(wire::Opaque::default())) },
        ] {
            assert!(decode(&datum.encode_to_vec()).is_none());
        }
    }

    #[test]
    fn what_is_too_deep_or_too_large_is_refused_before_memory_is_taken() {
        let mut bytes = encode(&Value::Byte(1));
        for level in 1..=DEPTH_MAX + 1 {
            let list = wire::Array { dimensions: vec![1], items: vec![bytes], ..Default::default() };
            bytes = wire::Datum { builtin_type: 24, content: Some(Content::Array(list)) }.encode_to_vec();
            assert_eq!(decode(&bytes).is_some(), level <= DEPTH_MAX, "{level} levels");
        }
        let half = wire::Array { dimensions: vec![1 << 19], integers: vec![0; 1 << 19], ..Default::default() };
        let half = wire::Datum { builtin_type: 1, content: Some(Content::Array(half)) }.encode_to_vec();
        let list = |count: usize| wire::Array {
            dimensions: vec![count as u32],
            items: vec![half.clone(); count],
            ..Default::default()
        };
        assert!(array(BuiltinType::Variant, list(1)).is_some());
        assert!(array(BuiltinType::Variant, list(2)).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
