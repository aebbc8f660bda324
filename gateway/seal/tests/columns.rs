//! What goes into a batch comes out of it, bit for bit, and costs little.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{Role, Shape, batch, open_data, open_epoch, open_key, points, shaped, signing_key};
use lingate_model::{
    Array, BuiltinType, DeviceTime, Origin, PointId, Reading, StatusCode, Structure, UtcMicros, Value,
};
use lingate_seal::wire::sealed::Message;
use lingate_seal::{DecodedReading, decode_batch};
use proptest::prelude::*;

/// Every type, floats with and without a resolution, and every type as array.
fn shapes() -> Vec<Shape> {
    let plain = BuiltinType::ALL.into_iter().map(|builtin_type| (builtin_type, None, 0));
    let counted =
        [(BuiltinType::Float, Some(1), 0), (BuiltinType::Double, Some(3), 0), (BuiltinType::Double, Some(0), 0)];
    let arrays = (1..).zip(BuiltinType::ALL).map(|(n, builtin_type)| (builtin_type, Some(1), 1 + n % 3));
    plain.chain(counted).chain(arrays).collect()
}

fn value((builtin_type, places, rank): Shape) -> BoxedStrategy<Value> {
    match rank {
        0 => scalar(builtin_type, places),
        _ => array(builtin_type, places, rank.into()),
    }
}

/// Small, now and then empty, now and then with nothing in a place.
fn array(element: BuiltinType, places: Option<u8>, rank: usize) -> BoxedStrategy<Value> {
    let item = move || prop_oneof![9 => scalar(element, places), 1 => Just(Value::Null)];
    let dimensions = proptest::collection::vec(0_u32..4, rank);
    let whole = proptest::bool::ANY;
    (dimensions, whole)
        .prop_flat_map(move |(dimensions, whole)| {
            let length = dimensions.iter().product::<u32>() as usize;
            let items = match whole {
                true => proptest::collection::vec(scalar(element, places), length).boxed(),
                false => proptest::collection::vec(item(), length).boxed(),
            };
            (Just(dimensions), items)
        })
        .prop_map(move |(dimensions, items)| Value::Array(Array::new(element, dimensions, items).unwrap().into()))
        .boxed()
}

fn scalar(builtin_type: BuiltinType, places: Option<u8>) -> BoxedStrategy<Value> {
    match builtin_type {
        BuiltinType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        BuiltinType::SByte => any::<i8>().prop_map(Value::SByte).boxed(),
        BuiltinType::Byte => any::<u8>().prop_map(Value::Byte).boxed(),
        BuiltinType::Int16 => any::<i16>().prop_map(Value::Int16).boxed(),
        BuiltinType::UInt16 => any::<u16>().prop_map(Value::UInt16).boxed(),
        BuiltinType::Int32 => any::<i32>().prop_map(Value::Int32).boxed(),
        BuiltinType::UInt32 => any::<u32>().prop_map(Value::UInt32).boxed(),
        BuiltinType::Int64 => prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)].prop_map(Value::Int64).boxed(),
        BuiltinType::UInt64 => prop_oneof![any::<u64>(), Just(u64::MAX)].prop_map(Value::UInt64).boxed(),
        BuiltinType::Float => float(places).prop_map(Value::Float).boxed(),
        BuiltinType::Double => double(places).prop_map(Value::Double).boxed(),
        BuiltinType::String => ".{0,9}".prop_map(|text| Value::String(text.into())).boxed(),
        BuiltinType::DateTime => any::<i64>().prop_map(Value::DateTime).boxed(),
        BuiltinType::Guid => any::<[u8; 16]>().prop_map(Value::Guid).boxed(),
        BuiltinType::ByteString => any::<Vec<u8>>().prop_map(|bytes| Value::ByteString(bytes.into())).boxed(),
        BuiltinType::StatusCode => any::<u32>().prop_map(Value::StatusCode).boxed(),
        BuiltinType::LocalizedText => {
            (text(), text()).prop_map(|(locale, text)| Value::LocalizedText { locale, text }).boxed()
        }
        BuiltinType::Structure => prop_oneof![opaque(builtin_type), structure()].boxed(),
        BuiltinType::Variant => variant(),
        BuiltinType::DataValue | BuiltinType::DiagnosticInfo => opaque(builtin_type),
        BuiltinType::XmlElement | BuiltinType::NodeId | BuiltinType::ExpandedNodeId | BuiltinType::QualifiedName => {
            ".{0,9}".prop_map(move |text| Value::Text { builtin_type, text: text.into() }).boxed()
        }
    }
}

fn text() -> impl Strategy<Value = Option<Arc<str>>> {
    proptest::option::of(".{0,5}".prop_map(Arc::from))
}

fn opaque(builtin_type: BuiltinType) -> BoxedStrategy<Value> {
    (".{0,9}", any::<Vec<u8>>())
        .prop_map(move |(type_id, body)| Value::Opaque { builtin_type, type_id: type_id.into(), body: body.into() })
        .boxed()
}

/// Any type by itself, for points whose values say what they are.
fn variant() -> BoxedStrategy<Value> {
    let known = BuiltinType::ALL.into_iter().filter(|t| !matches!(t, BuiltinType::Variant | BuiltinType::Structure));
    proptest::sample::select(known.collect::<Vec<_>>()).prop_flat_map(|t| scalar(t, None)).boxed()
}

/// Fields of every kind, two levels of them.
fn structure() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        variant(),
        array(BuiltinType::Double, None, 2),
        array(BuiltinType::Variant, None, 1),
        Just(Value::Null)
    ];
    let fields = |inner| proptest::collection::vec((".{0,5}".prop_map(Arc::from), inner), 0..4);
    let whole = |fields| Value::Structure(Structure::new("nsu=urn:x;i=7".into(), fields).unwrap().into());
    let inner = fields(leaf.clone().boxed()).prop_map(whole);
    fields(prop_oneof![leaf, inner].boxed()).prop_map(whole).boxed()
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
    (valued, status, time, stamps()).prop_map(|((point, value), status, time, (source_time, server_time, origin))| {
        Reading {
            point: PointId(point),
            value: Some(value),
            status: StatusCode(status),
            source_time,
            server_time,
            gateway_time: UtcMicros(time),
            origin,
        }
    })
}

fn stamps() -> impl Strategy<Value = (Option<DeviceTime>, Option<DeviceTime>, Origin)> {
    let time = || {
        let near = (0_i64..30).prop_map(|n| UtcMicros(n * 100_000).into());
        prop_oneof![4 => near.prop_map(Some), 1 => any::<i64>().prop_map(|t| Some(DeviceTime(t))), 3 => Just(None)]
    };
    (time(), time(), prop_oneof![4 => Just(Origin::Live), 1 => Just(Origin::Backfilled)])
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
    let (points, role, signer) = (shaped(&shapes()), Role::new(1), signing_key(1));
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
type Shown = (u32, i64, Option<DeviceTime>, Option<DeviceTime>, Origin, u32, String);

fn shown_decoded(reading: &DecodedReading) -> Shown {
    let DecodedReading { alias, time_us, source_time, server_time, origin, value, status } = reading;
    (*alias, *time_us, *source_time, *server_time, *origin, status.0, value.as_ref().map_or("none".to_owned(), bits))
}

fn shown_reading(reading: &Reading) -> Shown {
    let Reading { point, source_time, server_time, gateway_time, origin, status, .. } = reading;
    let value = reading.value.as_ref().filter(|_| !reading.status.is_bad());
    let value = value.map_or("none".to_owned(), bits);
    (point.0, gateway_time.0, *source_time, *server_time, *origin, status.0, value)
}

fn bits(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Float(v) => format!("f32 {:08x}", v.to_bits()),
        Value::Double(v) => format!("f64 {:016x}", v.to_bits()),
        Value::String(v) => format!("string {v}"),
        Value::ByteString(v) => format!("bytes {v:?}"),
        Value::Guid(v) => format!("guid {v:?}"),
        Value::Text { builtin_type, text } => format!("{builtin_type:?} {text}"),
        Value::LocalizedText { locale, text } => format!("localized {locale:?} {text:?}"),
        Value::Opaque { builtin_type, type_id, body } => format!("opaque {builtin_type:?} {type_id} {body:?}"),
        Value::Boolean(v) => format!("boolean {v}"),
        Value::DateTime(v) => format!("time {v}"),
        Value::StatusCode(v) => format!("status {v}"),
        Value::UInt64(v) => format!("u64 {v}"),
        Value::Int64(v) => format!("i64 {v}"),
        Value::Array(array) => {
            let items: Vec<String> = array.items().iter().map(bits).collect();
            format!("{:?} {:?} {items:?}", array.element(), array.dimensions())
        }
        Value::Structure(structure) => {
            let fields: Vec<_> = structure.fields().iter().map(|(name, value)| (name, bits(value))).collect();
            format!("{} {fields:?}", structure.type_id())
        }
        other => format!("{:?} {}", other.builtin_type(), other.approximate().unwrap()),
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

/// What no resolution was declared for arrives as counts all the same, and points with one reading each share what a column
/// says of itself.
#[test]
fn many_points_with_one_reading_each_cost_little_more_than_their_values() {
    let sealed = |readings: &[Reading]| {
        let points = points(&vec![(BuiltinType::Float, None); readings.len()]);
        let (mut epoch, _) = open_epoch(points.clone(), &Role::new(1), &signing_key(1));
        epoch.seal_batch(&batch(&points, readings.to_vec()), &signing_key(1)).unwrap().bytes().len()
    };
    let mut noise = Noise(42);
    let reading = |value: f32, n: u32| Reading::good(PointId(n), Value::Float(value), UtcMicros(1_795_400_000_000_000));
    let tenths: Vec<Reading> =
        (0..500).map(|n| reading((100.0 + 9_000.0 * noise.uniform()).round() as f32 / 10.0, n)).collect();
    let any: Vec<Reading> = (0..500).map(|n| reading(10.0 + 900.0 * noise.uniform() as f32, n)).collect();
    // 13.1 bits of entropy a value are 820 bytes, the envelope has 150.
    assert!(sealed(&tenths) < 1_320, "{}", sealed(&tenths));
    assert!(sealed(&any) < 500 * 5, "{}", sealed(&any));
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

/// SHA-256 of a batch whose device knows no times: what a Modbus batch costs is what it cost before there were any.
#[test]
fn a_batch_without_device_times_has_the_bytes_that_it_always_had() {
    let points = points(&[(BuiltinType::Double, Some(1)), (BuiltinType::UInt16, None), (BuiltinType::String, None)]);
    let readings = (0..60_i64).flat_map(|n| {
        let time = UtcMicros(1_795_400_000_000_000 + n * 500_000 + n * 7919 % 400);
        let double = Reading::good(PointId(0), Value::Double((n % 17) as f64 / 10.0), time);
        let word = Reading::good(PointId(1), Value::UInt16(n as u16), time);
        let text = Reading::bad(PointId(2), StatusCode::BAD_TIMEOUT, time);
        [double, word, text]
    });
    let (mut epoch, opening) = open_epoch(points.clone(), &Role::new(1), &signing_key(1));
    let opened = open_key(opening[0].bytes(), &signing_key(1).public_key(), &Role::new(1)).unwrap();
    let sealed = epoch.seal_batch(&batch(&points, readings.collect()), &signing_key(1)).unwrap();
    let Some(Message::Batch(batch)) = open_data(sealed.bytes(), &signing_key(1).public_key(), &opened) else {
        panic!("a batch is a batch");
    };
    let bytes = prost::Message::encode_to_vec(&batch);
    let hex: String = common::sha256(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = "aebbc0b1ac24baf0cb6e51c8f715d1706c2650cc9acc57cc10cde2456e316e02";
    assert_eq!((bytes.len(), hex.as_str()), (253, expected));
}
