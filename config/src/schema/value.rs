use std::collections::BTreeMap;

use lingate_drivers::settings::{Kind, show_duration, show_size};
use serde_json::{Value, json};

use super::members;
use super::tree::Node;

const DURATION: &str = "^[0-9]+\\s*(ms|s|m|h|d)$";
const SIZE: &str = "^[0-9]+\\s*(B|KiB|MiB|GiB|TiB|KB|MB|GB)$";

/// A table with exactly these keys.
pub(super) fn object(node: &Node) -> Value {
    let mut table = loose(node.keys.iter().map(|(key, node)| (key.clone(), of(node))));
    let required: Vec<&String> = node.keys.iter().filter(|(_, node)| node.is_required).map(|(key, _)| key).collect();
    table["required"] = json!(required);
    table["additionalProperties"] = json!(false);
    table
}

/// A table with every key that one of these has, and others.
pub(super) fn any_of<'n>(nodes: impl Iterator<Item = &'n Node>) -> Value {
    let mut keys: BTreeMap<&String, Vec<&Node>> = BTreeMap::new();
    let nodes: Vec<&Node> = nodes.collect();
    nodes.iter().flat_map(|node| &node.keys).for_each(|(key, node)| keys.entry(key).or_default().push(node));
    loose(keys.into_iter().map(|(key, nodes)| {
        let description = nodes.iter().find_map(|node| node.description.clone());
        let has_tables = nodes.iter().any(|node| !node.keys.is_empty());
        let mut value = match has_tables && nodes.iter().all(|node| node.kinds == [Kind::Tables]) {
            true => json!({ "type": "array", "items": any_of(nodes.into_iter()) }),
            false => alternatives(nodes.into_iter().flat_map(kinds).collect()),
        };
        describe(&mut value, description);
        (key.clone(), value)
    }))
}

/// The keys that each of these must have.
pub(super) fn required_by_all<'n>(nodes: impl Iterator<Item = &'n Node>) -> Value {
    let nodes: Vec<&Node> = nodes.collect();
    let is_required = |key: &String| nodes.iter().all(|node| node.keys.get(key).is_some_and(|node| node.is_required));
    let keys = nodes.first().into_iter().flat_map(|node| node.keys.keys());
    json!(keys.filter(|key| is_required(key)).collect::<Vec<_>>())
}

fn loose(properties: impl Iterator<Item = (String, Value)>) -> Value {
    json!({ "type": "object", "properties": members(properties) })
}

fn of(node: &Node) -> Value {
    let mut value = alternatives(kinds(node));
    describe(&mut value, node.description.clone());
    value
}

/// The meaning, and behind it what the value says of itself.
fn describe(value: &mut Value, description: Option<String>) {
    let own = value["description"].as_str().map(str::to_owned);
    let texts: Vec<String> = description.into_iter().chain(own).collect();
    if !texts.is_empty() {
        value["description"] = json!(texts.join("; "));
    }
}

/// What the key may be, each once. Words are more than a text that is one of them.
fn kinds(node: &Node) -> Vec<Value> {
    let mut words: Vec<&String> = Vec::new();
    for kind in &node.kinds {
        if let Kind::Words(more) = kind {
            words.extend(more.iter().filter(|word| !words.contains(word)).collect::<Vec<_>>());
        }
    }
    let is_told_by_words = |kind: &Kind| match kind {
        Kind::Words(_) => true,
        Kind::Text => !words.is_empty(),
        _ => false,
    };
    let mut values: Vec<Value> =
        node.kinds.iter().filter(|kind| !is_told_by_words(kind)).map(|kind| of_kind(kind, node)).collect();
    if !words.is_empty() {
        values.push(json!({ "enum": words }));
    }
    values
}

fn alternatives(mut values: Vec<Value>) -> Value {
    let mut each: Vec<Value> = Vec::new();
    for value in values.drain(..) {
        if !each.contains(&value) {
            each.push(value);
        }
    }
    match each.len() {
        0 => json!({}),
        1 => each.remove(0),
        _ => json!({ "anyOf": each }),
    }
}

fn of_kind(kind: &Kind, node: &Node) -> Value {
    let number = || json!({ "type": "number" });
    let scalar = || json!({ "type": ["string", "number", "boolean"] });
    match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Texts => one_or_many(&json!({ "type": "string", "minLength": 1 })),
        Kind::TextOrInteger => json!({ "type": ["string", "integer"] }),
        Kind::TextOrNumber => json!({ "type": ["string", "number"] }),
        Kind::Integer(low, high) => json!({ "type": "integer", "minimum": whole(low), "maximum": whole(high) }),
        Kind::Number(low, high) => json!({ "type": "number", "minimum": low, "maximum": high }),
        Kind::Decimal => number(),
        Kind::Numbers => one_or_many(&number()),
        Kind::Scalars => one_or_many(&scalar()),
        Kind::Range => json!({ "type": "array", "items": number(), "minItems": 2, "maxItems": 2 }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Duration(low, high) => {
            let range = format!("{} to {}", show_duration(*low), show_duration(*high));
            json!({ "type": "string", "pattern": DURATION, "description": range })
        }
        Kind::Size(low, high) => {
            let range = format!("{} to {}", show_size(*low), show_size(*high));
            json!({ "type": "string", "pattern": SIZE, "description": range })
        }
        Kind::Words(words) => json!({ "enum": words }),
        Kind::Table => object(node),
        Kind::Tables => json!({ "type": "array", "items": object(node) }),
        Kind::Known | Kind::Required => json!({}),
    }
}

fn one_or_many(value: &Value) -> Value {
    json!({ "anyOf": [value, { "type": "array", "items": value }] })
}

fn whole(number: &str) -> Value {
    number.parse::<i64>().map_or(Value::Null, |number| json!(number))
}
