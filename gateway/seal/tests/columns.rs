//! What goes into a batch comes out of it, bit for bit, and costs little.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::collections::BTreeMap;

use common::{Role, batch, open_data, open_epoch, open_key, points, signing_key};
use lingate_model::{BuiltinType, Origin, PointId, Reading, StatusCode, UtcMicros, Value};
use lingate_seal::wire::sealed::Message;
use lingate_seal::{DecodedReading, decode_batch};
use proptest::prelude::*;

/// Every type, floats with and without a resolution.
fn shapes() -> Vec<(BuiltinType, Option<u8>)> {
    let scalars = BuiltinType::ALL.into_iter().take(15).chain([BuiltinType::StatusCode, BuiltinType::Structure]);
    let plain = scalars.map(|builtin_type| (builtin_type, None));
    let counted = [(BuiltinType::Float, Some(1)), (BuiltinType::Double, Some(3)), (BuiltinType::Double, Some(0))];
    plain.chain(counted).collect()
}

fn value(shape: (BuiltinType, Option<u8>)) -> BoxedStrategy<Value> {
    match shape {
        (BuiltinType::Boolean, _) => any::<bool>().prop_map(Value::Boolean).boxed(),
        (BuiltinType::SByte, _) => any::<i8>().prop_map(Value::SByte).boxed(),
        (BuiltinType::Byte, _) => any::<u8>().prop_map(Value::Byte).boxed(),
        (BuiltinType::Int16, _) => any::<i16>().prop_map(Value::Int16).boxed(),
        (BuiltinType::UInt16, _) => any::<u16>().prop_map(Value::UInt16).boxed(),
        (BuiltinType::Int32, _) => any::<i32>().prop_map(Value::Int32).boxed(),
        (BuiltinType::UInt32, _) => any::<u32>().prop_map(Value::UInt32).boxed(),
        (BuiltinType::Int64, _) => {
            prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)].prop_map(Value::Int64).boxed()
        }
        (BuiltinType::UInt64, _) => prop_oneof![any::<u64>(), Just(u64::MAX)].prop_map(Value::UInt64).boxed(),
        (BuiltinType::Float, places) => float(places).prop_map(Value::Float).boxed(),
        (BuiltinType::Double, places) => double(places).prop_map(Value::Double).boxed(),
        (BuiltinType::String, _) => ".{0,9}".prop_map(|text| Value::String(text.into())).boxed(),
        (BuiltinType::DateTime, _) => any::<i64>().prop_map(Value::DateTime).boxed(),
        (BuiltinType::Guid, _) => any::<[u8; 16]>().prop_map(Value::Guid).boxed(),
        (BuiltinType::ByteString, _) => any::<Vec<u8>>().prop_map(|bytes| Value::ByteString(bytes.into())).boxed(),
        (BuiltinType::StatusCode, _) => any::<u32>().prop_map(Value::StatusCode).boxed(),
        (BuiltinType::Structure, _) => (".{0,9}", any::<Vec<u8>>())
            .prop_map(|(type_id, body)| Value::Opaque {
                builtin_type: BuiltinType::Structure,
                type_id: type_id.into(),
                body: body.into(),
            })
            .boxed(),
        (builtin_type, _) => unreachable!("{builtin_type:?} is not among the shapes"),
    }
}

/// Mostly what an instrument of that resolution shows, else any bits: NaN with payload, -0.0, subnormal, infinite.
fn double(places: Option<u8>) -> BoxedStrategy<f64> {
    let any_bits = any::<u64>().prop_map(f64::from_bits);
    match places {
        Some(places) => prop_oneof![30 => shown(places), 1 => any_bits, 1 => Just(-0.0)].boxed(),
        None => any_bits.boxed(),
    }
}

fn float(places: Option<u8>) -> BoxedStrategy<f32> {
    let any_bits = any::<u32>().prop_map(f32::from_bits);
    match places {
        Some(places) => prop_oneof![30 => shown(places).prop_map(|v| v as f32), 1 => any_bits].boxed(),
        None => any_bits.boxed(),
    }
}

fn shown(places: u8) -> impl Strategy<Value = f64> {
    (-100_000_i32..100_000).prop_map(move |count| f64::from(count) / 10_f64.powi(places.into()))
}

fn reading() -> impl Strategy<Value = Reading> {
    let status = prop_oneof![6 => Just(0), 1 => Just(0x4000_0000_u32), 1 => Just(0x8005_0000), 1 => any::<u32>()];
    // Few times, so that rows are shared, repeated and out of order; now and then an absurd one.
    let time = prop_oneof![40 => (0_i64..30).prop_map(|n| n * 1_000_000), 1 => any::<i64>()];
    let valued = (0..shapes().len()).prop_flat_map(|point| (Just(point as u32), value(shapes()[point])));
    (valued, status, time).prop_map(|((point, value), status, time)| Reading {
        point: PointId(point),
        value: Some(value),
        status: StatusCode(status),
        source_time: None,
        server_time: None,
        gateway_time: UtcMicros(time),
        origin: Origin::Live,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_of_any_readings_arrives_bit_for_bit_in_order_of_each_point(
        readings in proptest::collection::vec(reading(), 1..80),
    ) {
        check_round_trip(vec![readings]);
    }

    #[test]
    fn a_batch_is_not_changed_by_the_one_before(
        first in proptest::collection::vec(reading(), 1..20), second in proptest::collection::vec(reading(), 1..20),
    ) {
        check_round_trip(vec![first, second]);
    }
}

fn check_round_trip(batches: Vec<Vec<Reading>>) {
    let (points, role, signer) = (points(&shapes()), Role::new(1), signing_key(1));
    let (mut epoch, opening) = open_epoch(points.clone(), &role, &signer);
    let opened = open_key(opening[0].bytes(), &signer.public_key(), &role).unwrap();
    let Some(Message::Catalogue(catalogue)) = open_data(opening[1].bytes(), &signer.public_key(), &opened) else {
        panic!("the first DATA is the catalogue");
    };
    for readings in batches {
        let sealed = epoch.seal_batch(&batch(&points, readings.clone()), &signer).unwrap();
        assert_eq!(sealed.readings() as usize, readings.len());
        let Some(Message::Batch(arrived)) = open_data(sealed.bytes(), &signer.public_key(), &opened) else {
            panic!("a batch is a batch");
        };
        let decoded = decode_batch(&arrived, &catalogue).unwrap();
        assert_eq!(decoded.len(), readings.len());
        assert_eq!(by_point(decoded.iter().map(shown_decoded)), by_point(readings.iter().map(shown_reading)));
    }
}

/// A NaN equals nothing, so values are compared by their bits.
type Shown = (u32, i64, u32, String);

fn shown_decoded(reading: &DecodedReading) -> Shown {
    (reading.alias, reading.time_us, reading.status.0, bits(reading.value.as_ref()))
}

fn shown_reading(reading: &Reading) -> Shown {
    let value = reading.value.as_ref().filter(|_| !reading.status.is_bad());
    (reading.point.0, reading.gateway_time.0, reading.status.0, bits(value))
}

fn bits(value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(Value::Float(v)) => format!("f32 {:08x}", v.to_bits()),
        Some(Value::Double(v)) => format!("f64 {:016x}", v.to_bits()),
        Some(Value::String(v)) => format!("string {v}"),
        Some(Value::ByteString(v)) => format!("bytes {v:?}"),
        Some(Value::Guid(v)) => format!("guid {v:?}"),
        Some(Value::Opaque { type_id, body, .. }) => format!("opaque {type_id} {body:?}"),
        Some(Value::Boolean(v)) => format!("boolean {v}"),
        Some(Value::DateTime(v)) => format!("time {v}"),
        Some(Value::StatusCode(v)) => format!("status {v}"),
        Some(Value::UInt64(v)) => format!("u64 {v}"),
        Some(Value::Int64(v)) => format!("i64 {v}"),
        Some(other) => format!("{:?} {}", other.builtin_type(), other.approximate().unwrap()),
    }
}

fn by_point(readings: impl Iterator<Item = Shown>) -> BTreeMap<u32, Vec<Shown>> {
    let mut points: BTreeMap<u32, Vec<Shown>> = BTreeMap::new();
    readings.for_each(|reading| points.entry(reading.0).or_default().push(reading));
    points
}

/// Bytes per reading on the wire, with 20 bytes of MQTT header and 22 of TLS record (topic alias in use).
#[test]
fn a_reading_of_an_instrument_costs_at_most_four_bytes_at_a_hundred_and_two_at_a_thousand() {
    for (readings, target) in [(100, 4.0), (1000, 2.0)] {
        let bytes = sealed_bytes(readings, 10) + 42;
        let cost = bytes as f64 / readings as f64;
        println!("{readings} readings: {bytes} bytes, {cost:.2} per reading");
        assert!(cost <= target, "{readings} readings cost {cost:.2} bytes each, the target is {target}");
    }
}

/// AR(1) signals rounded to the resolution of their instrument, sampled together every 500 ms with jitter.
fn sealed_bytes(readings: usize, tags: usize) -> usize {
    let points = points(&vec![(BuiltinType::Double, Some(1)); tags]);
    let (role, signer) = (Role::new(1), signing_key(1));
    let (mut epoch, _) = open_epoch(points.clone(), &role, &signer);
    let mut noise = Noise(42);
    let mut levels: Vec<f64> = (0..tags).map(|tag| 80.0 + 10.0 * tag as f64).collect();
    let sampled = (0..readings).map(|n| {
        let (row, tag) = (n / tags, n % tags);
        levels[tag] += 0.05 * (80.0 + 10.0 * tag as f64 - levels[tag]) + 0.3 * noise.next();
        let time = UtcMicros(1_795_400_000_000_000 + row as i64 * 500_000 + (row as i64 * 7919) % 400);
        Reading::good(PointId(tag as u32), Value::Double((levels[tag] * 10.0).round() / 10.0), time)
    });
    epoch.seal_batch(&batch(&points, sampled.collect()), &signer).unwrap().bytes().len()
}

/// Roughly normal: the sum of twelve uniform numbers.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}
