//! Values as JSON text, for people and for databases that know no arrays and structures: numbers exact, what is no
//! JSON number as text, bytes in hexadecimal.

use std::fmt::Write;

use lingate_model::{Array, Structure, Value};

pub fn of(value: &Value) -> String {
    let mut json = String::new();
    write(&mut json, value);
    json
}

fn write(json: &mut String, value: &Value) {
    let _ = match value {
        Value::Null => write!(json, "null"),
        Value::Boolean(v) => write!(json, "{v}"),
        Value::SByte(v) => write!(json, "{v}"),
        Value::Byte(v) => write!(json, "{v}"),
        Value::Int16(v) => write!(json, "{v}"),
        Value::UInt16(v) => write!(json, "{v}"),
        Value::Int32(v) => write!(json, "{v}"),
        Value::UInt32(v) | Value::StatusCode(v) => write!(json, "{v}"),
        Value::Int64(v) | Value::DateTime(v) => write!(json, "{v}"),
        Value::UInt64(v) => write!(json, "{v}"),
        Value::Float(v) => return real(json, f64::from(*v)),
        Value::Double(v) => return real(json, *v),
        Value::String(text) | Value::Text { text, .. } => return string(json, text),
        Value::Guid(bytes) => return hex(json, bytes),
        Value::ByteString(bytes) => return hex(json, bytes),
        Value::LocalizedText { locale, text } => {
            let members = [("locale", locale), ("text", text)];
            return object(
                json,
                members.into_iter().map(|(name, text)| (name, text.clone().map_or(Value::Null, Value::String))),
            );
        }
        Value::Opaque { type_id, body, .. } => {
            let members = [("type", Value::String(type_id.clone())), ("body", Value::ByteString(body.clone()))];
            return object(json, members.into_iter());
        }
        Value::Array(of) => return array(json, of),
        Value::Structure(of) => return structure(json, of),
    };
}

/// Dimensions become arrays in each other.
fn array(json: &mut String, array: &Array) {
    nested(json, array.dimensions(), array.items());
}

fn nested(json: &mut String, dimensions: &[u32], items: &[Value]) {
    let [count, inner @ ..] = dimensions else { return items.iter().for_each(|item| write(json, item)) };
    let length = inner.iter().map(|n| *n as usize).product::<usize>();
    json.push('[');
    for n in 0..*count as usize {
        json.push_str(if n == 0 { "" } else { "," });
        nested(json, inner, &items[n * length..(n + 1) * length]);
    }
    json.push(']');
}

/// Fields in their order. One whose name stands twice stands twice.
fn structure(json: &mut String, structure: &Structure) {
    object(json, structure.fields().iter().map(|(name, value)| (&**name, value.clone())));
}

fn object<'a>(json: &mut String, members: impl Iterator<Item = (&'a str, Value)>) {
    json.push('{');
    for (n, (name, value)) in members.enumerate() {
        json.push_str(if n == 0 { "" } else { "," });
        string(json, name);
        json.push(':');
        write(json, &value);
    }
    json.push('}');
}

fn real(json: &mut String, value: f64) {
    let name = match value {
        _ if value.is_nan() => "\"NaN\"",
        _ if value == f64::INFINITY => "\"Infinity\"",
        _ if value == f64::NEG_INFINITY => "\"-Infinity\"",
        // The shortest digits that give the same double back.
        _ => return json.push_str(&format!("{value:?}")),
    };
    json.push_str(name);
}

fn string(json: &mut String, text: &str) {
    json.push_str(&serde_json::Value::from(text).to_string());
}

fn hex(json: &mut String, bytes: &[u8]) {
    json.push('"');
    bytes.iter().for_each(|byte| {
        let _ = write!(json, "{byte:02x}");
    });
    json.push('"');
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::BuiltinType;

    use super::*;

    #[test]
    fn every_number_is_exact_and_every_dimension_a_level() {
        let items = (0..6).map(|n| Value::UInt64(u64::MAX - n)).collect();
        let table = Value::Array(Array::new(BuiltinType::UInt64, vec![2, 3], items).unwrap().into());
        let reals =
            vec![Value::Double(0.1), Value::Double(-0.0), Value::Double(f64::NAN), Value::Double(1e300), Value::Null];
        let reals = Value::Array(Array::of(BuiltinType::Double, reals).unwrap().into());
        let text = Value::LocalizedText { locale: None, text: Some("\"挤\"\n".into()) };
        let fields = vec![
            ("b".into(), table),
            ("a".into(), reals),
            ("t".into(), text),
            ("x".into(), Value::ByteString([255, 0].as_slice().into())),
        ];
        let structure = Value::Structure(Structure::new("i=1".into(), fields).unwrap().into());
        let expected = format!(
            r#"{{"b":[[{0}5,{0}4,{0}3],[{0}2,{0}1,{0}0]],"a":[0.1,-0.0,"NaN",1e300,null],"t":{{"locale":null,"text":"\"挤\"\n"}},"x":"ff00"}}"#,
            "1844674407370955161"
        );
        assert_eq!(of(&structure), expected);
        assert!(serde_json::from_str::<serde_json::Value>(&expected).is_ok());
    }

    #[test]
    fn an_empty_dimension_ends_the_nesting() {
        let empty = |dimensions| of(&Value::Array(Array::new(BuiltinType::Byte, dimensions, vec![]).unwrap().into()));
        assert_eq!(empty(vec![0]), "[]");
        assert_eq!(empty(vec![2, 0]), "[[],[]]");
        assert_eq!(empty(vec![0, 7]), "[]");
    }
}
