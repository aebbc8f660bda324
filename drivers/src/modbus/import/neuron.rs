//! Neuron's tags (Neuron 2.x, plugins/modbus): `SLAVE!ADDRESS[.BIT][#ORDER]` or `SLAVE!ADDRESS.LENGTH[H|L]` for texts, with
//! addresses in PLC notation.
//!
//! Its four orders of 32 bits, by what its reader does with two registers: BB is our abcd, LL (where nothing is said)
//! cdab, BL badc, LB dcba.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::csv::cell;
use super::draft::quote;
use super::{DeviceDraft, ImportError, PointDraft, type_word};

/// What the tags below inherit.
#[derive(Clone, Default)]
struct Around {
    node: String,
    interval_ms: Option<u64>,
}

/// Tags by node and slave.
type Found = BTreeMap<(String, String), Vec<PointDraft>>;

/// Their type numbers, in `include/neuron/type.h`.
const TYPES: [(u64, &str); 14] = [
    (1, "INT8"),
    (2, "UINT8"),
    (3, "INT16"),
    (4, "UINT16"),
    (5, "INT32"),
    (6, "UINT32"),
    (7, "INT64"),
    (8, "UINT64"),
    (9, "FLOAT"),
    (10, "DOUBLE"),
    (11, "BIT"),
    (12, "BOOL"),
    (13, "STRING"),
    (14, "BYTES"),
];
/// JSON that is nested deeper is no export.
const DEPTH_MAX: usize = 12;

pub(super) fn read(text: &str, name: &str) -> Result<Vec<DeviceDraft>, ImportError> {
    let json: Value = serde_json::from_str(text)
        .map_err(|error| ImportError::new(format!("the file is no JSON: {error}"), "export the tags or the whole configuration"))?;
    let mut found = Found::new();
    let mut peers = BTreeMap::new();
    walk(&json, &Around { node: name.to_owned(), ..Around::default() }, &mut found, &mut peers, 0);
    Ok(found.into_iter().map(|((node, slave), points)| device(&node, &slave, points, &peers)).collect())
}

fn device(node: &str, slave: &str, points: Vec<PointDraft>, peers: &BTreeMap<String, (String, u64)>) -> DeviceDraft {
    let (address, notes) = match peers.get(node) {
        Some((host, port)) => (format!("{host}:{port}"), Vec::new()),
        None => ("192.0.2.1:502".to_owned(), vec!["the export does not say where the device is: write its address".to_owned()]),
    };
    DeviceDraft {
        name: format!("{node}-unit-{slave}"),
        driver: "modbus-tcp",
        every: "1s".to_owned(),
        keys: vec![("address", quote(&address)), ("unit", slave.to_owned())],
        points,
        notes,
    }
}

fn walk(json: &Value, around: &Around, found: &mut Found, peers: &mut BTreeMap<String, (String, u64)>, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    match json {
        Value::Array(items) => items.iter().for_each(|item| walk(item, around, found, peers, depth + 1)),
        Value::Object(object) if text(object, "address").contains('!') => {
            let (slave, mut point) = tag(object);
            point.every = around.interval_ms.map(|ms| format!("{ms}ms"));
            found.entry((around.node.clone(), slave)).or_default().push(point);
        }
        Value::Object(object) => {
            let around = inherit(object, around);
            peer(object, &around, peers);
            object.values().for_each(|value| walk(value, &around, found, peers, depth + 1));
        }
        _ => {}
    }
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A group names its `driver`; a node has a `plugin` and a name.
fn inherit(object: &Map<String, Value>, around: &Around) -> Around {
    let mut around = around.clone();
    for key in ["driver", "node"] {
        if !text(object, key).is_empty() {
            text(object, key).clone_into(&mut around.node);
        }
    }
    if !text(object, "name").is_empty() && (object.contains_key("plugin") || object.contains_key("params")) {
        text(object, "name").clone_into(&mut around.node);
    }
    if let Some(interval) = object.get("interval").and_then(Value::as_u64).filter(|ms| (10..=3_600_000).contains(ms)) {
        around.interval_ms = Some(interval);
    }
    around
}

fn peer(object: &Map<String, Value>, around: &Around, peers: &mut BTreeMap<String, (String, u64)>) {
    let params = object.get("params").and_then(Value::as_object).unwrap_or(object);
    let (host, port) = (text(params, "host"), params.get("port").and_then(Value::as_u64));
    let node = if text(object, "node").is_empty() { around.node.clone() } else { text(object, "node").to_owned() };
    if !host.is_empty() {
        peers.insert(node, (host.to_owned(), port.unwrap_or(502)));
    }
}

fn tag(object: &Map<String, Value>) -> (String, PointDraft) {
    let word = match object.get("type") {
        Some(Value::Number(number)) => {
            TYPES.iter().find(|(id, _)| number.as_u64() == Some(*id)).map_or_else(|| number.to_string(), |(_, word)| (*word).to_owned())
        }
        Some(Value::String(word)) => word.clone(),
        _ => String::new(),
    };
    let number = |key: &str| object.get(key).filter(|value| value.is_number()).map_or_else(String::new, ToString::to_string);
    convert(text(object, "name"), text(object, "address"), &word, &number("decimal"), &number("bias"), text(object, "description"))
}

/// A line of the sheet of tags.
pub(super) fn point_of(row: &BTreeMap<&'static str, String>) -> (String, PointDraft) {
    let cell = |column| cell(row, column);
    let (slave, mut point) = convert(cell("name"), cell("register"), cell("type"), cell("scale"), cell("offset"), cell("comment"));
    let interval = cell("interval").parse::<u64>().ok().filter(|ms| (10..=3_600_000).contains(ms));
    point.every = interval.map(|ms| format!("{ms}ms"));
    (slave, point)
}

fn convert(name: &str, address: &str, word: &str, decimal: &str, bias: &str, comment: &str) -> (String, PointDraft) {
    let mut point = PointDraft { name: name.to_owned(), ..PointDraft::default() };
    let (slave, rest) = address.split_once('!').unwrap_or(("1", address));
    let (rest, order) = rest.split_once('#').unwrap_or((rest, ""));
    let (register, detail) = rest.split_once('.').unwrap_or((rest, ""));
    point.keys.extend([("register", quote(register)), ("addressing", quote("one-based"))]);
    let is_of_bits = register.starts_with(['0', '1']);
    match type_word(word) {
        _ if is_of_bits => {}
        Some("bit" | "bool") => {
            point.keys.extend([("type", quote("bit")), ("bit", if detail.is_empty() { "0" } else { detail }.to_owned())]);
        }
        Some("string") => {
            let bytes = detail.trim_end_matches(char::is_alphabetic).parse::<u16>().unwrap_or(0);
            point.keys.extend([("type", quote("string")), ("length", bytes.div_ceil(2).to_string())]);
            if detail.ends_with('L') {
                point.keys.push(("word_order", quote("ba")));
            }
        }
        Some(ours) => {
            point.keys.push(("type", quote(ours)));
            take_order(ours, order, &mut point);
            for (key, value) in [("scale", decimal), ("offset", bias)] {
                if value.parse::<f64>().is_ok_and(|number| number != 0.0) && !(key == "scale" && value == "1") {
                    point.keys.push((key, value.to_owned()));
                }
            }
        }
        None => point.refusal = Some(format!("its type {word:?} is not known here")),
    }
    if !comment.is_empty() {
        point.notes.push(comment.to_owned());
    }
    (slave.to_owned(), point)
}

fn take_order(ours: &'static str, order: &str, point: &mut PointDraft) {
    let word = match (ours, order) {
        ("u16" | "i16", "" | "L") => return,
        ("u16" | "i16", "B") => "ba",
        ("u32" | "i32" | "f32", "" | "LL") | ("u64" | "i64" | "f64", "" | "L" | "LL") => "cdab",
        ("u32" | "i32" | "f32", "BB") | ("u64" | "i64" | "f64", "B" | "BB") => "abcd",
        ("u32" | "i32" | "f32", "BL") => "badc",
        ("u32" | "i32" | "f32", "LB") => "dcba",
        _ => {
            point.refusal = Some(format!("its order #{order} is not known here"));
            return;
        }
    };
    point.keys.push(("word_order", quote(word)));
}
