//! Writes a sealed stream and what is in it, for receivers in other languages: `vectors DIR` (tests/interop).

#![allow(clippy::unwrap_used, reason = "a failure ends the example")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs;
use std::path::PathBuf;

use common::{Role, batch, open_epoch, points, signing_key};
use lingate_model::{BuiltinType, Origin, PointId, Reading, StatusCode, UtcMicros, Value};
use lingate_seal::{GapCause, GapRecord, RecordKind, Sealed};
use serde_json::json;

const T0: i64 = 1_795_400_000_000_000;

fn main() {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("usage: vectors DIR"));
    let (points, role, signer) = (points(&shapes()), Role::new(1), signing_key(1));
    let (mut epoch, mut sealed) = open_epoch(points.clone(), &role, &signer);
    let batches = [every_type(), irregular(), sparse()];
    for readings in &batches {
        sealed.push(epoch.seal_batch(&batch(&points, readings.clone()), &signer).unwrap());
    }
    sealed.push(epoch.seal_gap(&gap(), &signer).unwrap());
    sealed.push(epoch.close(&signer).0);

    fs::create_dir_all(&folder).unwrap();
    let keys = json!({"gateway": hex(&signer.public_key()), "role": hex(&role.private)});
    fs::write(folder.join("keys.json"), keys.to_string()).unwrap();
    fs::write(folder.join("messages.jsonl"), lines(sealed.iter().map(message))).unwrap();
    let name = |reading: &Reading| points[reading.point.index()].name.clone();
    let expected = batches.iter().flatten().map(|reading| expected(&name(reading), reading));
    fs::write(folder.join("expected.jsonl"), lines(expected)).unwrap();
}

fn shapes() -> Vec<(BuiltinType, Option<u8>)> {
    let scalars = BuiltinType::ALL.into_iter().take(15).chain([BuiltinType::StatusCode, BuiltinType::Structure]);
    let plain = scalars.map(|builtin_type| (builtin_type, None));
    plain.chain([(BuiltinType::Float, Some(1)), (BuiltinType::Double, Some(3))]).collect()
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
        Value::StatusCode(0x8000_0000),
        Value::Opaque {
            builtin_type: BuiltinType::Structure,
            type_id: "ns=2;i=5001".into(),
            body: [1, 2, 3][..].into(),
        },
        Value::Float(36.6),
        Value::Double(-123.456),
    ];
    let second = first.iter().enumerate().map(|(n, value)| match n % 2 {
        0 => reading(n, value.clone(), 1_000_000, 0x4000_0000),
        _ => reading(n, value.clone(), 1_000_000, 0x8005_0000),
    });
    first.iter().enumerate().map(|(n, value)| reading(n, value.clone(), 0, 0)).chain(second).collect()
}

/// Times that stand still, jump and go back, and floats that leave their resolution in the middle.
fn irregular() -> Vec<Reading> {
    let values = [21.5, 21.75, -0.0, 0.1 + 0.2, 21.501];
    let times = [5_000_000, 5_000_001, 4_000_000, 4_000_000, 90_000_000_000];
    values.iter().zip(times).map(|(value, time)| reading(18, Value::Double(*value), time, 0)).collect()
}

/// Columns that have every row, every third, and one entry; 500 ms apart.
fn sparse() -> Vec<Reading> {
    let row = |n: i64| {
        let time = 100_000_000_000 + n * 500_000;
        let all = reading(17, Value::Float((215 + n % 7) as f32 / 10.0), time, 0);
        let third = (n % 3 == 0).then(|| reading(8, Value::UInt64(u64::MAX - n as u64), time, 0));
        let one = (n == 77).then(|| reading(0, Value::Boolean(false), time, 0));
        [Some(all), third, one].into_iter().flatten()
    };
    (0..100).flat_map(row).collect()
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
    json!({"name": name, "status": reading.status.0, "time_us": time, "value": value}).to_string()
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
        Value::Opaque { type_id, body, .. } => json!([&**type_id, hex(body)]),
        small => json!(small.approximate().unwrap() as i64),
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
