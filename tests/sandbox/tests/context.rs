//! "Order 1 from its begin to its end" is one query, over records, epochs and devices.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::sync::Arc;

use common::*;
use lingate_model::{PointId, Reading, Value};
use lingate_refine::{ContextKind, DatasetIndex, Export, ExportPlan, PointPlan, PseudonymKey, Refinery, Step};
use lingate_sandbox::{ContextFilter, ContextRow};
use lingate_seal::EpochTerms;

fn filter(text: &str) -> ContextFilter {
    text.parse().unwrap()
}

/// (point, readings, first and last row).
fn told(rows: &[ContextRow]) -> Vec<(&str, u64, (i64, i64))> {
    let row = |us: i64| (us - time(0).0) / (time(1).0 - time(0).0);
    rows.iter().map(|of| (of.point.as_str(), of.readings, (row(of.from_us), row(of.to_us)))).collect()
}

#[test]
fn a_batch_is_one_query_from_its_begin_to_its_end() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let mut desk = world.desk();
    // Rows 0 to 9 in two epochs and four records; an order lasts three rows.
    let mut first = gateway.open(None);
    first.batch(&rows(0, 2));
    first.batch(&rows(2, 3));
    let (mut sent, previous) = first.close();
    let mut second = gateway.open(Some(previous));
    second.batch(&rows(5, 4));
    second.batch(&rows(9, 1));
    sent.extend(second.close().0);
    desk.take(&sent);
    let store = desk.intake.store();
    let order = store.in_context(&filter("batch=order-1")).unwrap();
    let expected = [
        ("extruder-7/melt_temperature", 3, (3, 5)),
        ("extruder-7/order", 3, (3, 5)),
        ("extruder-7/screw_speed", 3, (3, 5)),
    ];
    assert_eq!(told(&order), expected);
    assert_eq!(store.in_context(&filter("batch=order-9")).unwrap(), []);
    assert_eq!(store.in_context(&filter("phase=order-1")).unwrap(), []);
    let file = world.folder.path().join("order.parquet");
    assert_eq!(store.export_parquet(&file, None, Some(&filter("batch=order-1"))).unwrap(), 9);
    assert_eq!(store.export_parquet(&file, None, None).unwrap(), 30);
}

/// Melt temperature at the line, speed and order at one extruder, another order at another.
fn two_extruders(pseudonym: bool) -> Vec<Arc<PointPlan>> {
    let at = |place: &str| format!("acme/line/{place}").parse().unwrap();
    let known = points();
    let order = |id: u32, place: &str| {
        let steps = if pseudonym { vec![Step::Pseudonym] } else { Vec::new() };
        let export = Export { alias: id, steps, context: Some(ContextKind::Batch), ..known[2].export.clone().unwrap() };
        let name = format!("{place}/order");
        PointPlan { id: PointId(id), name, equipment: at(place), export: Some(export), ..(*known[2]).clone() }
    };
    let speed = PointPlan { name: "e7/speed".to_owned(), equipment: at("e7/drive"), ..(*known[1]).clone() };
    let melt = PointPlan { name: "e70/melt".to_owned(), equipment: at("e70"), ..(*known[0]).clone() };
    vec![melt.into(), speed.into(), order(2, "e7").into(), order(3, "e70").into()]
}

fn sealed(world: &mut World, pseudonym: bool) -> Desk {
    let gateway = world.gateway("gw-0001");
    let points = two_extruders(pseudonym);
    let terms = EpochTerms {
        gateway: gateway.identity.gateway.clone(),
        software: "lingate 0.1.0 sha256:00".to_owned(),
        dataset: plan(),
        points: points.clone(),
        devices: Vec::new(),
        grant: gateway.grant.clone(),
    };
    let mut stream = gateway.open_with(terms, None);
    let mut refinery = Refinery::new(ExportPlan { datasets: vec![plan()], points });
    refinery.set_pseudonym_key(DatasetIndex(0), PseudonymKey::new(&[7; 32]));
    let good = |point, n, value| Reading::good(PointId(point), value, time(n));
    let text = |text: &str| Value::String(text.into());
    let day = [
        good(2, 0, text("A")),
        good(3, 0, text("B")),
        good(1, 1, Value::UInt16(10)),
        good(0, 1, Value::Double(1.0)),
        good(2, 2, text("C")),
        good(1, 3, Value::UInt16(20)),
        good(0, 3, Value::Double(2.0)),
    ];
    day.into_iter().for_each(|reading| assert!(refinery.refine(now(), reading).is_none()));
    let batch = refinery.end(now(), DatasetIndex(0)).unwrap();
    let record = stream.epoch.seal_batch(&batch, &gateway.signer()).unwrap();
    stream.sent.push(gateway.arrival(&record));
    let mut desk = world.desk();
    desk.take(&stream.close().0);
    desk
}

#[test]
fn a_context_speaks_of_its_own_equipment_and_what_lies_below() {
    let mut world = World::new();
    let desk = sealed(&mut world, false);
    let rows = |text: &str| desk.intake.store().in_context(&filter(text)).unwrap();
    assert_eq!(told(&rows("batch=A")), [("e7/order", 1, (0, 0)), ("e7/speed", 1, (1, 1))]);
    assert_eq!(told(&rows("batch=B")), [("e70/order", 1, (0, 0)), ("e70/melt", 2, (1, 3))]);
    assert_eq!(told(&rows("batch=C")), [("e7/order", 1, (2, 2)), ("e7/speed", 1, (3, 3))]);
}

#[test]
fn a_pseudonymous_batch_is_found_by_its_pseudonym_alone() {
    let mut world = World::new();
    let desk = sealed(&mut world, true);
    assert_eq!(desk.intake.store().in_context(&filter("batch=A")).unwrap(), []);
    let sql = rusqlite::Connection::open(world.folder.path().join("store.sqlite")).unwrap();
    let name: String =
        sql.query_row("SELECT value FROM contexts ORDER BY place LIMIT 1", [], |row| row.get(0)).unwrap();
    assert_eq!(name.len(), 32);
    assert_eq!(desk.intake.store().in_context(&filter(&format!("batch={name}"))).unwrap().len(), 2);
}

#[test]
fn a_question_about_no_context_says_what_may_be_asked() {
    let refused = |text: &str| text.parse::<ContextFilter>().unwrap_err();
    assert_eq!(refused("4711"), "write it as batch=4711");
    assert_eq!(refused("order=4711"), "the kinds are batch, phase, lot, recipe and state");
}
