//! What a reading becomes on its way, one law at a time.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::time::Duration;

use StepId::{AllowList, ClassCeiling, Deadband, Rounding};
use common::*;
use lingate_model::{
    Array, BuiltinType, Class, ClockState, DeviceTime, Now, Origin, PointId, Reading, StatusCode, UtcMicros, Value,
};
use lingate_refine::{Batch, DatasetIndex, Export, Minimized, PointPlan, Refinery, Stamp, StepId, VALUE_WEIGHT_MAX};

/// Two datasets of up to 3 readings or 100 ms; the points are given.
fn refinery(points: Vec<PointPlan>) -> Refinery {
    let datasets = vec![dataset(Class::General, 3, 100), dataset(Class::Important, 3, 100)];
    Refinery::new(plan(datasets, points))
}

fn plain(dataset: DatasetIndex) -> PointPlan {
    point(BuiltinType::Int32, export(dataset, &[]))
}

fn classed(dataset: DatasetIndex, class: Option<Class>) -> PointPlan {
    point(BuiltinType::Int32, Some(Export::new(dataset, 0, class, Vec::new())))
}

/// The only reading that comes out of `point` for `reading`.
fn told(point: PointPlan, reading: Reading) -> Minimized {
    let mut refinery = refinery(vec![point]);
    assert_eq!(refinery.refine(at(0), reading), None);
    let batch = refinery.close(at(0), D0).unwrap();
    let [minimized] = batch.readings() else { panic!("{} readings", batch.readings().len()) };
    minimized.clone()
}

fn values(batch: &Batch) -> Vec<i32> {
    let values = batch.readings().iter().map(|reading| match reading.value() {
        Some(&Value::Int32(value)) => value,
        other => panic!("{other:?}"),
    });
    values.collect()
}

// --- tag ---

#[test]
fn what_no_rule_names_never_leaves() {
    let mut refinery = refinery(vec![point(BuiltinType::Int32, None), plain(DatasetIndex(2))]);
    for stranger in [0, 1, 2, u32::MAX] {
        assert_eq!(refinery.refine(at(0), int(stranger, 7)), None);
    }
    assert_eq!(refinery.unassigned(), 4);
    for dataset in [D0, D1, DatasetIndex(2), DatasetIndex(u16::MAX)] {
        assert_eq!(refinery.close(at(0), dataset), None);
        assert_eq!(refinery.totals(dataset).read, 0);
    }
}

#[test]
fn an_unlabelled_point_and_one_above_the_ceiling_never_leave() {
    let important = Some(Class::Important);
    let mut refinery = refinery(vec![classed(D0, None), classed(D0, important), classed(D1, important)]);
    for point in [0, 1, 2] {
        refinery.refine(at(0), int(point, 7));
    }
    let denied = refinery.close(at(0), D0).unwrap();
    assert!(denied.readings().is_empty());
    assert_eq!(steps(&denied), [(AllowList, 2, 2), (ClassCeiling, 2, 0)]);
    assert_eq!(refinery.totals(D0).suppressed, [(AllowList, 0), (ClassCeiling, 2)]);
    assert_eq!(refinery.close(at(0), D1).unwrap().readings().len(), 1);
}

#[test]
fn a_dataset_that_is_not_granted_is_suppressed_by_the_allow_list_and_counted() {
    let mut refinery = refinery(vec![plain(D0)]);
    refinery.set_ceiling(D0, None);
    refinery.refine(at(0), int(0, 1));
    refinery.set_ceiling(D0, Some(Class::General));
    refinery.refine(at(0), int(0, 2));
    let batch = refinery.close(at(0), D0).unwrap();
    assert_eq!(values(&batch), [2]);
    assert_eq!(steps(&batch), [(AllowList, 2, 1), (ClassCeiling, 1, 1)]);
    let totals = refinery.totals(D0);
    assert_eq!((totals.read, totals.kept), (2, 1));
    assert_eq!(totals.suppressed, [(AllowList, 1), (ClassCeiling, 0)]);
}

#[test]
fn a_bundle_lowers_the_plant_s_ceiling_and_never_raises_it() {
    let important = Some(Class::Important);
    let mut refinery = refinery(vec![classed(D0, important), classed(D1, important)]);
    refinery.set_ceiling(D0, important);
    refinery.set_ceiling(D1, Some(Class::General));
    for point in [0, 1] {
        refinery.refine(at(0), int(point, 7));
    }
    for dataset in [D0, D1] {
        assert!(refinery.close(at(0), dataset).unwrap().readings().is_empty());
    }
    refinery.set_ceiling(D1, important);
    refinery.refine(at(0), int(1, 7));
    assert_eq!(refinery.close(at(0), D1).unwrap().readings().len(), 1);
}

#[test]
fn a_value_of_another_type_than_the_catalogue_s_is_not_told() {
    for value in [Value::UInt32(7), Value::Int64(7), Value::Double(7.0), Value::String("7".into())] {
        let minimized = told(plain(D0), good(0, value));
        assert_eq!((minimized.value(), minimized.status()), (None, StatusCode::BAD_TYPE_MISMATCH));
    }
    assert_eq!(told(plain(D0), int(0, 7)).value(), Some(&Value::Int32(7)));
}

#[test]
fn a_value_is_there_exactly_if_the_status_is_not_bad() {
    let seven = Some(Value::Int32(7));
    let reserved = StatusCode(0xC000_0000);
    for (value, status, expected) in [
        (seven.clone(), StatusCode::BAD_TIMEOUT, (None, StatusCode::BAD_TIMEOUT)),
        (Some(Value::Byte(7)), StatusCode::BAD_TIMEOUT, (None, StatusCode::BAD_TIMEOUT)),
        (seven.clone(), reserved, (None, reserved)),
        (None, StatusCode::GOOD, (None, StatusCode::BAD_NO_DATA)),
        (None, StatusCode::UNCERTAIN, (None, StatusCode::BAD_NO_DATA)),
        (seven.clone(), StatusCode::UNCERTAIN, (seven.clone(), StatusCode::UNCERTAIN)),
    ] {
        let minimized = told(plain(D0), Reading { value, status, ..int(0, 0) });
        assert_eq!((minimized.value().cloned(), minimized.status()), expected);
    }
}

#[test]
fn all_times_pass_as_they_came() {
    let (source_time, server_time) = (Some(DeviceTime(7)), Some(DeviceTime(i64::MIN)));
    let live = Reading { gateway_time: UtcMicros(5), source_time, server_time, ..int(0, 7) };
    let old = Reading { source_time: Some(UtcMicros(-3).into()), origin: Origin::Backfilled, ..live.clone() };
    for (reading, slot) in [(live, 5), (old, -3)] {
        let minimized = told(plain(D0), reading.clone());
        let Reading { gateway_time, source_time, server_time, origin, .. } = reading;
        assert_eq!(*minimized.stamp(), Stamp { gateway_time, source_time, server_time, origin });
        assert_eq!(minimized.time(), UtcMicros(slot), "history fills the slot of its own time");
    }
}

#[test]
fn an_array_of_another_rank_is_not_told_and_a_variant_point_takes_every_type() {
    let array = |dimensions| {
        let items = vec![Value::Int32(7); 4];
        Value::Array(Array::new(BuiltinType::Int32, dimensions, items).unwrap().into())
    };
    let told_as = |builtin_type, rank, value: &Value| {
        let plan = PointPlan { rank, ..point(builtin_type, export(D0, &[])) };
        told(plan, good(0, value.clone())).status()
    };
    let (line, table) = (array(vec![4]), array(vec![2, 2]));
    for (rank, value, status) in [
        (0, &line, StatusCode::BAD_TYPE_MISMATCH),
        (1, &line, StatusCode::GOOD),
        (1, &table, StatusCode::BAD_TYPE_MISMATCH),
        (2, &table, StatusCode::GOOD),
        (1, &Value::Int32(7), StatusCode::BAD_TYPE_MISMATCH),
    ] {
        assert_eq!(told_as(BuiltinType::Int32, rank, value), status, "{rank} {value:?}");
        assert_eq!(told_as(BuiltinType::Variant, rank, value), status, "{rank} {value:?}");
    }
    assert_eq!(told_as(BuiltinType::Double, 1, &line), StatusCode::BAD_TYPE_MISMATCH);
}

#[test]
fn the_devices_times_count_towards_the_weight_of_a_batch() {
    let plan = plan(vec![dataset(Class::General, 100_000, 100)], vec![plain(D0)]);
    let mut refinery = Refinery::new(plan);
    let time = Some(DeviceTime(7));
    let reading = Reading { source_time: time, server_time: time, ..int(0, 7) };
    let full = (0..100_000).find_map(|_| refinery.refine(at(0), reading.clone()));
    assert_eq!(full.unwrap().readings().len(), VALUE_WEIGHT_MAX.div_ceil(20));
}

#[test]
fn a_value_too_heavy_for_a_message_is_told_as_bad_and_heavy_ones_fill_a_batch_early() {
    let bytes = |length: usize| Value::ByteString(vec![7; length].into());
    let bytes_point = || point(BuiltinType::ByteString, export(D0, &[]));
    let mut refinery = refinery(vec![bytes_point()]);
    assert_eq!(refinery.refine(at(0), good(0, bytes(VALUE_WEIGHT_MAX - 1))), None);
    assert_eq!(refinery.refine(at(0), good(0, bytes(1))).unwrap().readings().len(), 2);
    assert_eq!(refinery.refine(at(0), good(0, bytes(1))), None, "the next one begins empty");
    assert_eq!(refinery.refine(at(0), good(0, bytes(VALUE_WEIGHT_MAX))).unwrap().readings().len(), 2);
    let too_heavy = told(bytes_point(), good(0, bytes(VALUE_WEIGHT_MAX + 1)));
    assert_eq!((too_heavy.value(), too_heavy.status()), (None, StatusCode::BAD_ENCODING_LIMITS_EXCEEDED));
}

#[test]
fn a_reading_bears_its_dataset_s_number_for_the_point() {
    let mut refinery = refinery(vec![plain(D0), plain(D1), plain(D1)]);
    refinery.refine(at(0), int(2, 7));
    let batch = refinery.close(at(0), D1).unwrap();
    assert_eq!((batch.dataset(), batch.readings()[0].dataset(), batch.readings()[0].alias()), (D1, D1, 20));
}

// --- minimize ---

#[test]
fn the_deadband_compares_what_was_measured_and_not_what_was_rounded() {
    // 14 to 16 would be one step of 10 after rounding and is within the deadband before; 16 to 27 is outside.
    let mut refinery = refinery(vec![point(BuiltinType::Int32, export(D0, &[round("10"), deadband("5")]))]);
    for value in [14, 16, 27] {
        refinery.refine(at(0), int(0, value));
    }
    let batch = refinery.close(at(0), D0).unwrap();
    assert_eq!(values(&batch), [10, 30]);
    assert_eq!(steps(&batch), [(AllowList, 3, 3), (ClassCeiling, 3, 3), (Deadband, 3, 2), (Rounding, 2, 2)]);
}

#[test]
fn a_step_sees_only_the_points_that_have_it() {
    let rounded = point(BuiltinType::Int32, export(D0, &[round("10")]));
    let mut refinery = refinery(vec![plain(D0), rounded, plain(D1)]);
    for point in [0, 1, 2] {
        refinery.refine(at(0), int(point, 17));
    }
    let batch = refinery.close(at(0), D0).unwrap();
    assert_eq!(values(&batch), [17, 20]);
    assert_eq!(steps(&batch), [(AllowList, 2, 2), (ClassCeiling, 2, 2), (Rounding, 1, 1)]);
    assert_eq!(steps(&refinery.close(at(0), D1).unwrap()), [(AllowList, 1, 1), (ClassCeiling, 1, 1)]);
}

#[test]
fn each_point_has_its_own_deadband() {
    let banded = || point(BuiltinType::Int32, export(D0, &[deadband("5")]));
    let mut refinery = refinery(vec![banded(), banded()]);
    refinery.refine(at(0), int(0, 0));
    refinery.refine(at(0), int(1, 100));
    refinery.refine(at(0), int(0, 5));
    assert_eq!(values(&refinery.close(at(0), D0).unwrap()), [0, 100]);
}

#[test]
fn an_epoch_can_be_understood_without_the_one_before() {
    let banded = |dataset| point(BuiltinType::Int32, export(dataset, &[deadband("5")]));
    let mut refinery = refinery(vec![banded(D0), banded(D1)]);
    for _ in 0..2 {
        refinery.refine(at(0), int(0, 7));
        refinery.refine(at(0), int(1, 7));
        assert_eq!(values(&refinery.close(at(0), D0).unwrap()), [7]);
    }
    assert_eq!(values(&refinery.close(at(0), D1).unwrap()), [7], "the other dataset's epoch went on");
}

#[test]
fn a_batch_that_is_full_or_due_leaves_the_deadbands_alone() {
    let mut refinery = refinery(vec![point(BuiltinType::Int32, export(D0, &[deadband("5")]))]);
    let full: Vec<_> = [10, 20, 30].into_iter().filter_map(|v| refinery.refine(at(0), int(0, v))).collect();
    assert_eq!(full.len(), 1);
    refinery.refine(at(0), int(0, 31));
    refinery.refine(at(0), int(0, 40));
    assert_eq!(values(&refinery.due(at(100)).unwrap()), [40]);
    refinery.refine(at(200), int(0, 41));
    assert_eq!(refinery.wake_at(), None);
}

// --- batch ---

#[test]
fn a_batch_is_closed_by_its_last_reading() {
    let mut refinery = refinery(vec![plain(D0), plain(D1)]);
    assert_eq!(refinery.refine(at(0), int(0, 1)), None);
    assert_eq!(refinery.refine(at(0), int(1, 9)), None);
    assert_eq!(refinery.refine(at(0), int(0, 2)), None);
    assert_eq!(values(&refinery.refine(at(0), int(0, 3)).unwrap()), [1, 2, 3]);
    assert_eq!(refinery.close(at(0), D0), None);
    assert_eq!(values(&refinery.close(at(0), D1).unwrap()), [9]);
}

#[test]
fn age_counts_from_the_first_pending_reading() {
    let mut refinery = refinery(vec![plain(D0), plain(D1)]);
    refinery.refine(at(30), int(1, 1));
    refinery.refine(at(10), int(0, 2));
    refinery.refine(at(90), int(0, 3));
    assert_eq!(refinery.wake_at(), Some(Duration::from_millis(110)));
    assert_eq!(refinery.due(at(109)), None);
    assert_eq!(values(&refinery.due(at(140)).unwrap()), [2, 3], "the oldest first");
    assert_eq!(refinery.wake_at(), Some(Duration::from_millis(130)));
    assert_eq!(values(&refinery.due(at(140)).unwrap()), [1]);
    assert_eq!((refinery.due(at(140)), refinery.wake_at()), (None, None));
}

#[test]
fn counts_alone_wait_for_the_next_reading_or_for_the_end() {
    let mut refinery = refinery(vec![plain(D0), classed(D0, None)]);
    refinery.refine(at(0), int(1, 7));
    assert_eq!((refinery.wake_at(), refinery.due(at(3_600_000))), (None, None));
    refinery.refine(at(3_600_000), int(0, 7));
    let batch = refinery.due(at(3_600_100)).unwrap();
    assert_eq!(steps(&batch), [(AllowList, 2, 2), (ClassCeiling, 2, 1)]);

    refinery.refine(at(0), int(1, 7));
    let last = refinery.close(at(0), D0).unwrap();
    assert_eq!((last.readings(), steps(&last)), (&[][..], vec![(AllowList, 1, 1), (ClassCeiling, 1, 0)]));
    assert_eq!(refinery.close(at(0), D0), None);
}

#[test]
fn a_batch_tells_how_far_the_clock_was_believed_at_its_last_reading() {
    let mut refinery = refinery(vec![plain(D0), classed(D0, None)]);
    let with = |clock| Now { clock, ..at(0) };
    refinery.refine(with(ClockState::Synced), int(0, 7));
    refinery.refine(with(ClockState::Holdover), int(0, 7));
    refinery.refine(with(ClockState::Synced), int(1, 7));
    assert_eq!(refinery.close(with(ClockState::Synced), D0).unwrap().clock(), ClockState::Holdover);
    refinery.refine(with(ClockState::Holdover), int(1, 7));
    assert_eq!(refinery.close(with(ClockState::Unsynced), D0).unwrap().clock(), ClockState::Unsynced);
}

#[test]
fn a_deadline_at_the_end_of_time_is_not_passed() {
    let mut refinery = refinery(vec![plain(D0)]);
    let end = Now { monotonic: Duration::MAX, ..at(0) };
    refinery.refine(end, int(0, 7));
    assert_eq!(refinery.wake_at(), Some(Duration::MAX));
    assert!(refinery.due(end).is_some());
}

#[test]
fn no_debug_output_shows_a_value() {
    let mut refinery = refinery(vec![point(BuiltinType::String, export(D0, &[deadband("1")]))]);
    let secret = Reading { point: PointId(0), ..good(0, Value::String("canary".into())) };
    refinery.refine(at(0), secret);
    assert!(!format!("{refinery:?}").contains("canary"));
    assert!(!format!("{:?}", refinery.close(at(0), D0)).contains("canary"));
}
