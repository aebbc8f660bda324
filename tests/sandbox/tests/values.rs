//! What OPC UA devices say: every time, origin, array and structure lies in the store as it came.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::sync::Arc;

use common::*;
use lingate_model::{Array, BuiltinType, DeviceTime, Origin, PointId, Reading, Structure, Value};
use lingate_refine::{DatasetIndex, ExportPlan, PointPlan, Refinery};
use lingate_sandbox::Event;
use lingate_seal::EpochTerms;
use rusqlite::Connection;

/// A spectrum, a structure, and a number.
fn points() -> Vec<Arc<PointPlan>> {
    let shapes = [(BuiltinType::UInt64, 2), (BuiltinType::Structure, 0), (BuiltinType::Double, 0)];
    let known = common::points();
    let shaped = known.iter().zip(shapes).map(|(point, (builtin_type, rank))| {
        let mut export = point.export.clone().unwrap();
        export.steps.clear();
        Arc::new(PointPlan { builtin_type, rank, places: None, export: Some(export), ..(**point).clone() })
    });
    shaped.collect()
}

fn readings() -> Vec<Reading> {
    let items = (0..4).map(|n| Value::UInt64(u64::MAX - n)).collect();
    let spectrum = Value::Array(Array::new(BuiltinType::UInt64, vec![2, 2], items).unwrap().into());
    let fields = vec![("b".into(), Value::Boolean(true)), ("a".into(), Value::Double(f64::NAN))];
    let structure = Value::Structure(Structure::new("nsu=urn:x;i=1".into(), fields).unwrap().into());
    let good = |point, value| Reading::good(PointId(point), value, time(0));
    vec![
        Reading { source_time: Some(DeviceTime(7)), server_time: Some(DeviceTime(8)), ..good(0, spectrum) },
        Reading { server_time: Some(DeviceTime(i64::MIN)), ..good(1, structure) },
        Reading { source_time: Some(time(-9).into()), origin: Origin::Backfilled, ..good(2, Value::Double(0.1)) },
    ]
}

#[test]
fn times_arrays_and_devices_lie_in_the_store_as_they_came() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let terms = EpochTerms {
        gateway: gateway.identity.gateway.clone(),
        software: "lingate 0.1.0 sha256:00".to_owned(),
        dataset: plan(),
        points: points(),
        devices: vec![device()],
        grant: gateway.grant.clone(),
    };
    let mut stream = gateway.open_with(terms, None);
    let mut refinery = Refinery::new(ExportPlan { datasets: vec![plan()], points: points() });
    readings().into_iter().for_each(|reading| assert!(refinery.refine(now(), reading).is_none()));
    let batch = refinery.close(now(), DatasetIndex(0)).unwrap();
    let sealed = stream.epoch.seal_batch(&batch, &gateway.signer()).unwrap();
    stream.sent.push(gateway.arrival(&sealed));

    let mut desk = world.desk();
    let events = desk.take(&stream.close().0);
    let opened = events.iter().find_map(|event| if let Event::Batch(batch) = event { Some(batch) } else { None });
    let told: Vec<_> = opened.unwrap().readings.iter().map(|r| (r.source_time, r.server_time, r.origin)).collect();
    let expected: Vec<_> = readings().iter().map(|r| (r.source_time, r.server_time, r.origin)).collect();
    assert_eq!(told, expected);

    let [device] = &desk.report().datasets[0].devices[..] else { panic!("one device") };
    assert_eq!((device.device.as_str(), device.vendor.as_str()), ("extruder-7", "Acme"));
    assert!(desk.report().to_string().contains("extruder-7: Acme 挤出机 2.1, security none"), "{}", desk.report());
    let rows = rows_of(&world.store_file());
    let max = u64::MAX;
    let spectrum = format!("[[{max},{}],[{},{}]]", max - 1, max - 2, max - 3);
    let (gateway_us, source_us) = (time(0).0, time(-9).0);
    assert_eq!(
        rows,
        [
            format!("{spectrum}|{gateway_us}|7|8|0|-11644473600000000"),
            format!("{{\"b\":true,\"a\":\"NaN\"}}|{gateway_us}||{}|0|", i64::MIN),
            format!("0.1|{gateway_us}|{}||1|{source_us}", DeviceTime::from(time(-9)).0),
        ]
    );
}

fn rows_of(address: &str) -> Vec<String> {
    let file = Connection::open(address.strip_prefix("sqlite:").unwrap()).unwrap();
    let columns = ["value", "time_us", "source_ticks", "server_ticks", "backfilled", "source_us"];
    let shown = columns.map(|column| format!("coalesce({column}, '')")).join(" || '|' || ");
    let mut query = file.prepare(&format!("SELECT {shown} FROM telemetry ORDER BY seq, at")).unwrap();
    let rows = query.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}
