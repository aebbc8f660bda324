//! The export, read back by the same crate's reader; other readers are in `.ci/run`.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::fs::File;

use common::*;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;

#[test]
fn every_reading_is_a_row_with_its_type_and_its_time() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let mut desk = world.desk();
    desk.take(&gateway.epoch(700));
    let file = world.folder.path().join("data.parquet");
    assert_eq!(desk.intake.store().export_parquet(&file, Some(DATASET), None).unwrap(), 2_100);
    assert_eq!(desk.intake.store().export_parquet(&world.folder.path().join("no"), Some("ds-none"), None).unwrap(), 0);
    let reader = SerializedFileReader::new(File::open(&file).unwrap()).unwrap();
    assert!(reader.num_row_groups() > 1, "bounded pieces");
    let mut seen = Vec::new();
    for row in reader.get_row_iter(None).unwrap() {
        let row = row.unwrap();
        assert_eq!((row.get_string(0).unwrap().as_str(), row.get_string(3).unwrap().as_str()), (DATASET, "Cel"));
        let value = match row.get_string(2).unwrap().as_str() {
            "extruder-7/screw_speed" => row.get_long(8).unwrap().to_string(),
            "extruder-7/order" => row.get_string(10).unwrap().clone(),
            _ if row.get_uint(7).unwrap() >> 31 == 1 => "bad".to_owned(),
            _ => format!("{:?}", row.get_double(9).unwrap()),
        };
        seen.push((row.get_string(2).unwrap().clone(), row.get_timestamp_micros(4).unwrap(), value));
    }
    let shown = |value: lingate_model::Value| match value {
        lingate_model::Value::Double(value) => format!("{value:?}"),
        lingate_model::Value::UInt16(value) => value.to_string(),
        lingate_model::Value::String(value) => value.to_string(),
        other => panic!("{other:?}"),
    };
    let expected = expected(&rows(0, 700)).into_iter();
    let expected: Vec<_> =
        expected.map(|(name, time, value)| (name, time.0, value.map_or("bad".to_owned(), shown))).collect();
    assert_eq!(seen, expected);
}
