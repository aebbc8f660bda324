//! A small plan, and readings for it.
#![allow(dead_code, reason = "each test uses its part")]

use std::sync::Arc;
use std::time::Duration;

use lingate_model::{BuiltinType, Class, ClockState, Now, PointId, Priority, Reading, UtcMicros, Value};
use lingate_refine::{Batch, DatasetIndex, DatasetPlan, Export, ExportPlan, Flush, PointPlan, Step, StepId};

pub(crate) const D0: DatasetIndex = DatasetIndex(0);
pub(crate) const D1: DatasetIndex = DatasetIndex(1);

pub(crate) fn at(millis: u64) -> Now {
    Now { monotonic: Duration::from_millis(millis), utc: UtcMicros(millis as i64 * 1000), clock: ClockState::Synced }
}

pub(crate) fn dataset(ceiling: Class, readings: u32, age_ms: u64) -> DatasetPlan {
    DatasetPlan {
        id: "ds".parse().unwrap(),
        purpose: "urn:test:purpose".parse().unwrap(),
        ceiling,
        flush: Flush { readings, age: Duration::from_millis(age_ms) },
        priority: Priority::Normal,
        padding: 0,
    }
}

/// The plan of these datasets and points; each point gets its place as id and, tenfold, as alias.
pub(crate) fn plan(datasets: Vec<DatasetPlan>, points: Vec<PointPlan>) -> ExportPlan {
    let numbered = (0..).zip(points).map(|(place, mut point)| {
        point.id = PointId(place);
        if let Some(export) = &mut point.export {
            export.alias = place * 10;
        }
        Arc::new(point)
    });
    ExportPlan { datasets, points: numbered.collect() }
}

pub(crate) fn point(builtin_type: BuiltinType, export: Option<Export>) -> PointPlan {
    PointPlan {
        id: PointId(0),
        name: "device/point".to_owned(),
        export,
        builtin_type,
        rank: 0,
        places: None,
        unit: None,
        range: None,
        equipment: "plant/unit".parse().unwrap(),
        interval: Duration::from_secs(1),
        source: String::new(),
    }
}

/// A general point of `dataset`.
pub(crate) fn export(dataset: DatasetIndex, steps: &[Step]) -> Option<Export> {
    Some(Export::new(dataset, 0, Some(Class::General), steps.to_vec()))
}

pub(crate) fn deadband(by: &str) -> Step {
    Step::deadband(by.parse().unwrap())
}

pub(crate) fn round(to: &str) -> Step {
    Step::Round { to: to.parse().unwrap() }
}

pub(crate) fn good(point: u32, value: Value) -> Reading {
    Reading::good(PointId(point), value, UtcMicros(1))
}

pub(crate) fn int(point: u32, value: i32) -> Reading {
    good(point, Value::Int32(value))
}

/// (step, seen, kept) of a batch.
pub(crate) fn steps(batch: &Batch) -> Vec<(StepId, u64, u64)> {
    batch.steps().iter().map(|count| (count.step, count.seen, count.kept)).collect()
}

/// Equal to the bit: not-a-number equals itself, 0.0 does not equal -0.0.
pub(crate) fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(Value::Double(a)), Some(Value::Double(b))) => a.to_bits() == b.to_bits(),
        (Some(Value::Float(a)), Some(Value::Float(b))) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}
