//! Writes a sealed stream and what is in it, for receivers in other languages: `vectors DIR` (tests/interop).

#![allow(clippy::unwrap_used, reason = "a failure ends the example")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs;
use std::path::PathBuf;

use common::{Role, Shape, batch, in_batches, open_epoch, shaped, signing_key};
use lingate_model::{
    Array, BuiltinType, DeviceTime, Origin, PointId, Reading, StatusCode, Structure, UtcMicros, Value,
};
use lingate_seal::{GapCause, GapRecord, RecordKind, Sealed};
use serde_json::json;

const COUNTED_FLOAT: usize = 25;
const COUNTED_DOUBLE: usize = 26;
const ARRAYS: usize = 27;
/// The context point.
const STRING: usize = 11;
/// When the batches begin, after `T0`.
const ORDERS: i64 = 200_000_000_000;
const T0: i64 = 1_795_400_000_000_000;

fn main() {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("usage: vectors DIR"));
    let (points, role, signer) = (in_batches(shaped(&shapes()), STRING), Role::new(1), signing_key(1));
    let (mut epoch, mut sealed) = open_epoch(points.clone(), &role, &signer);
    let batches = [every_type(), compound(), device_times(), irregular(), sparse(), orders()];
    for readings in &batches {
        sealed.push(epoch.seal_batch(&batch(&points, readings.clone()), &signer).unwrap());
    }
    sealed.push(epoch.seal_gap(&gap(), &signer).unwrap());
    sealed.push(epoch.close(&signer).0.expect("a key in memory signs"));

    fs::create_dir_all(&folder).unwrap();
    let keys = json!({"gateway": hex(&signer.public_key()), "role": hex(&role.private)});
    fs::write(folder.join("keys.json"), keys.to_string()).unwrap();
    fs::write(folder.join("messages.jsonl"), lines(sealed.iter().map(message))).unwrap();
    let name = |reading: &Reading| points[reading.point.index()].name.clone();
    let of_batch = |readings: &Vec<Reading>| {
        let context = contexts(readings, &points[STRING].name);
        context.into_iter().chain(readings.iter().map(|reading| expected(&name(reading), reading))).collect::<Vec<_>>()
    };
    fs::write(folder.join("expected.jsonl"), lines(batches.iter().flat_map(of_batch))).unwrap();
}

fn shapes() -> Vec<Shape> {
    let plain = BuiltinType::ALL.into_iter().map(|builtin_type| (builtin_type, None, 0));
    let counted = [(BuiltinType::Float, Some(1), 0), (BuiltinType::Double, Some(3), 0)];
    let arrays = [
        (BuiltinType::UInt16, None, 1),
        (BuiltinType::Double, None, 2),
        (BuiltinType::String, None, 1),
        (BuiltinType::Float, None, 3),
        (BuiltinType::Variant, None, 1),
    ];
    plain.chain(counted).chain(arrays).collect()
}

/// One row with the ends of every type, and one where half of it is bad.
fn every_type() -> Vec<Reading> {
    let first = [
        Value::Boolean(true),
        Value::SByte(i8::MIN),
        Value::Byte(u8::MAX),
        Value::Int16(i16::MIN),
        Value::UInt16(u16::MAX),
        Value::Int32(i32::MIN),
        Value::UInt32(u32::MAX),
        Value::Int64(i64::MIN),
        Value::UInt64(u64::MAX),
        Value::Float(f32::NAN),
        Value::Double(f64::NEG_INFINITY),
        Value::String("熔体温度".into()),
        Value::DateTime(133_123_456_789_000_000),
        Value::Guid([0xab; 16]),
        Value::ByteString([0, 255][..].into()),
        text(BuiltinType::XmlElement, "<a/>"),
        text(BuiltinType::NodeId, "nsu=urn:x;s=Zone1"),
        text(BuiltinType::ExpandedNodeId, "i=85"),
        Value::StatusCode(0x8000_0000),
        text(BuiltinType::QualifiedName, "nsu=urn:x;Zone"),
        Value::LocalizedText { locale: Some("zh".into()), text: None },
        opaque(BuiltinType::Structure, "nsu=urn:x;i=5001"),
        opaque(BuiltinType::DataValue, ""),
        Value::UInt64(u64::MAX),
        opaque(BuiltinType::DiagnosticInfo, ""),
        Value::Float(36.6),
        Value::Double(-123.456),
    ];
    let second = first.iter().enumerate().map(|(n, value)| match n % 2 {
        0 => reading(n, value.clone(), 1_000_000, 0x4000_0000),
        _ => reading(n, value.clone(), 1_000_000, 0x8005_0000),
    });
    first.iter().enumerate().map(|(n, value)| reading(n, value.clone(), 0, 0)).chain(second).collect()
}

fn text(builtin_type: BuiltinType, text: &str) -> Value {
    Value::Text { builtin_type, text: text.into() }
}

fn opaque(builtin_type: BuiltinType, type_id: &str) -> Value {
    Value::Opaque { builtin_type, type_id: type_id.into(), body: [1, 2, 3][..].into() }
}

/// Arrays of every kind of list, and structures in structures.
fn compound() -> Vec<Reading> {
    let array = |element, dimensions: &[u32], items| {
        Value::Array(Array::new(element, dimensions.to_vec(), items).unwrap().into())
    };
    let spectrum = array(BuiltinType::UInt16, &[4], [0, 65_535, 7, 7].map(Value::UInt16).to_vec());
    let table = array(BuiltinType::Double, &[2, 2], [0.5, -0.25, f64::NAN, 1e9].map(Value::Double).to_vec());
    let names =
        array(BuiltinType::String, &[3], vec![Value::String("熔".into()), Value::Null, Value::String("".into())]);
    let singles = array(BuiltinType::Float, &[1, 1, 2], [36.6, -0.5].map(Value::Float).to_vec());
    let mixed = array(BuiltinType::Variant, &[3], vec![Value::Boolean(true), spectrum.clone(), Value::Null]);
    let inner = Structure::new("i=1".into(), vec![("n".into(), Value::Int64(i64::MIN)), ("t".into(), table.clone())]);
    let fields = vec![("inner".into(), Value::Structure(inner.unwrap().into())), ("none".into(), Value::Null)];
    let structure = Value::Structure(Structure::new("nsu=urn:x;i=7".into(), fields).unwrap().into());
    let empty = array(BuiltinType::Variant, &[0], Vec::new());
    let values = [(ARRAYS, spectrum), (ARRAYS + 1, table), (ARRAYS + 2, names), (ARRAYS + 3, singles)];
    let more = [(ARRAYS + 4, mixed), (ARRAYS + 4, empty), (21, structure)];
    (0..).zip(values.into_iter().chain(more)).map(|(n, (point, value))| reading(point, value, n, 0)).collect()
}

/// Entries with both times, one of them, none; live and backfilled.
fn device_times() -> Vec<Reading> {
    let stamped = |n: i64| {
        let time = UtcMicros(T0 + 2_000_000 + n * 100_000);
        let ticks = DeviceTime(DeviceTime::from(time).0 - 12_345 + n % 3);
        Reading {
            source_time: (n % 4 != 3).then_some(ticks),
            server_time: (n % 5 != 0).then_some(if n == 1 { DeviceTime(i64::MIN) } else { ticks }),
            origin: if (4..9).contains(&n) { Origin::Backfilled } else { Origin::Live },
            ..reading(5, Value::Int32(n as i32), time.0 - T0, if n == 6 { 0x8005_0000 } else { 0 })
        }
    };
    (0..20).map(stamped).collect()
}

/// Times that stand still, jump and go back, and floats that leave their resolution in the middle.
fn irregular() -> Vec<Reading> {
    let values = [21.5, 21.75, -0.0, 0.1 + 0.2, 21.501];
    let times = [5_000_000, 5_000_001, 4_000_000, 4_000_000, 90_000_000_000];
    values.iter().zip(times).map(|(value, time)| reading(COUNTED_DOUBLE, Value::Double(*value), time, 0)).collect()
}

/// Columns that have every row, every third, and one entry; 500 ms apart.
fn sparse() -> Vec<Reading> {
    let row = |n: i64| {
        let time = 100_000_000_000 + n * 500_000;
        let all = reading(COUNTED_FLOAT, Value::Float((215 + n % 7) as f32 / 10.0), time, 0);
        let third = (n % 3 == 0).then(|| reading(8, Value::UInt64(u64::MAX - n as u64), time, 0));
        let one = (n == 77).then(|| reading(0, Value::Boolean(false), time, 0));
        [Some(all), third, one].into_iter().flatten()
    };
    (0..100).flat_map(row).collect()
}

/// A batch begins, another follows, nobody knows which, and the last begins behind the last reading of the others.
fn orders() -> Vec<Reading> {
    let order =
        |row: i64, text: &str, status| reading(STRING, Value::String(text.into()), ORDERS + row * 500_000, status);
    let speed = |row: i64| reading(5, Value::Int32(row as i32), ORDERS + row * 500_000, 0);
    let begin = [speed(0), order(0, "4711", 0), speed(1), order(1, "4711", 0), speed(2), order(2, "4712", 0x4000_0000)];
    let end = [speed(3), order(3, "4712", 0x8005_0000), speed(4), order(5, "4713", 0)];
    begin.into_iter().chain(end).collect()
}

/// What the context point says changes at these rows, which are the times of the readings.
fn contexts(readings: &[Reading], name: &str) -> Vec<String> {
    let mut times: Vec<UtcMicros> = Vec::new();
    let (mut known, mut told) = (None, Vec::new());
    for reading in readings {
        if times.last() != Some(&reading.gateway_time) {
            times.push(reading.gateway_time);
        }
        let value = reading.value.as_ref().filter(|_| !reading.status.is_bad()).map(shown);
        if reading.point.index() != STRING || value == known {
            continue;
        }
        let run = json!({"context": "batch", "name": name, "start_row": times.len() - 1, "value": value});
        told.push(run.to_string());
        known = value;
    }
    told
}

fn gap() -> GapRecord {
    let (from, to) = (UtcMicros(T0), UtcMicros(T0 + 1));
    GapRecord::Slots { device: "extruder-1".to_owned(), from, to, readings: 3, cause: GapCause::DeviceDown }
}

fn reading(point: usize, value: Value, after_us: i64, status: u32) -> Reading {
    Reading {
        point: PointId(point as u32),
        value: Some(value),
        status: StatusCode(status),
        source_time: None,
        server_time: None,
        gateway_time: UtcMicros(T0 + after_us),
        origin: Origin::Live,
    }
}

fn message(sealed: &Sealed) -> String {
    let kind = if sealed.kind() == RecordKind::Key { "key" } else { "data" };
    json!({"kind": kind, "bytes": hex(sealed.bytes())}).to_string()
}

/// Members in alphabetical order; what is not a JSON number is text.
fn expected(name: &str, reading: &Reading) -> String {
    let value = reading.value.as_ref().filter(|_| !reading.status.is_bad()).map(shown);
    let time = reading.gateway_time.0;
    let (server, source) = (reading.server_time.map(|time| time.0), reading.source_time.map(|time| time.0));
    let backfilled = reading.origin == Origin::Backfilled;
    json!({
        "backfilled": backfilled, "name": name, "server_ticks": server, "source_ticks": source,
        "status": reading.status.0, "time_us": time, "value": value,
    })
    .to_string()
}

fn shown(value: &Value) -> serde_json::Value {
    match value {
        Value::Boolean(v) => json!(v),
        Value::Int64(v) | Value::DateTime(v) => json!(v),
        Value::UInt64(v) => json!(v),
        Value::UInt32(v) | Value::StatusCode(v) => json!(v),
        Value::Float(v) => real(f64::from(*v)),
        Value::Double(v) => real(*v),
        Value::String(v) => json!(&**v),
        Value::Guid(v) => json!(hex(v)),
        Value::ByteString(v) => json!(hex(v)),
        Value::Text { text, .. } => json!(&**text),
        Value::LocalizedText { locale, text } => json!([locale.as_deref(), text.as_deref()]),
        Value::Opaque { type_id, body, .. } => json!([&**type_id, hex(body)]),
        Value::Array(array) => nested(array.dimensions(), array.items()),
        Value::Structure(structure) => {
            let fields: Vec<_> =
                structure.fields().iter().map(|(name, value)| json!([&**name, shown(value)])).collect();
            json!([&**structure.type_id(), fields])
        }
        Value::Null => serde_json::Value::Null,
        small => json!(small.approximate().unwrap() as i64),
    }
}

fn nested(dimensions: &[u32], items: &[Value]) -> serde_json::Value {
    match dimensions {
        [] | [_] => items.iter().map(shown).collect(),
        [_, inner @ ..] => {
            let length = inner.iter().product::<u32>() as usize;
            items.chunks(length.max(1)).map(|chunk| nested(inner, chunk)).collect()
        }
    }
}

fn real(value: f64) -> serde_json::Value {
    if value.is_finite() { json!(value) } else { json!(value.to_string().to_lowercase()) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}
