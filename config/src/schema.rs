//! The JSON Schema of `lingate.toml`, for editors. It is not written by hand: the parser reads a reference in which every
//! table stands once and tells what it asks for, and the reference's comments say what each key means.

mod describe;
mod tree;
mod value;

use serde_json::{Map, Value, json};

use self::describe::descriptions;
use self::tree::Node;
use crate::file::asked;

/// A configuration with every table and every key of every driver, each with its meaning behind it.
pub const REFERENCE: &str = include_str!("schema/reference.toml");

/// Draft 7, which taplo (VS Code, Neovim and others) completes and checks with.
pub fn schema() -> Value {
    let asked = asked(REFERENCE).unwrap_or_else(|problems| unreachable!("the reference is good: {problems}"));
    let mut root = Node::of(&asked, REFERENCE);
    root.describe(&descriptions(REFERENCE));
    root.share_steps();
    let devices = root.take_devices();
    let mut schema = value::object(&root);
    schema["properties"]["device"] = device_list(&devices);
    schema["definitions"] = devices.iter().map(|(driver, node)| (driver.clone(), of_driver(driver, node))).collect();
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("lingate.toml");
    schema["description"] = json!("What lingate reads, what of it may leave the plant, and for whom.");
    schema
}

/// For completion every key of any driver; for judging exactly those of the one that is named.
fn device_list(devices: &[(String, Node)]) -> Value {
    let drivers: Vec<&str> = devices.iter().map(|(driver, _)| driver.as_str()).collect();
    let mut any = value::any_of(devices.iter().map(|(_, node)| node));
    any["properties"]["driver"] = json!({ "description": "how the device is spoken to", "enum": drivers });
    let of = |driver: &&str| {
        json!({
            "if": { "properties": { "driver": { "const": driver } }, "required": ["driver"] },
            "then": { "$ref": format!("#/definitions/{driver}") }
        })
    };
    any["required"] = value::required_by_all(devices.iter().map(|(_, node)| node));
    // Not beside `allOf`: taplo completes what stands in it, and nothing that stands beside.
    let all: Vec<Value> = std::iter::once(any).chain(drivers.iter().map(of)).collect();
    json!({ "type": "array", "items": { "allOf": all }, "description": "a device and how it is read" })
}

fn of_driver(driver: &str, node: &Node) -> Value {
    let mut table = value::object(node);
    table["properties"]["driver"] = json!({ "const": driver });
    table
}

/// Keys of an object in their order.
fn members(pairs: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Object(pairs.into_iter().collect::<Map<_, _>>())
}
