//! Readings per second through tag, minimize and batch: 10 points with deadband and rounding, as a machine gives them; and
//! what each step costs alone. `cargo bench -p lingate-refine` ends with nanoseconds per reading and step.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panic")]

mod steps;

use std::sync::Arc;
use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use lingate_model::{BuiltinType, Class, ClockState, Now, PointId, Priority, Reading, UtcMicros, Value};
use lingate_refine::{DatasetIndex, DatasetPlan, Export, ExportPlan, Flush, PointPlan, Refinery, Step};

const POINTS: u32 = 10;
const READINGS: u32 = 10_000;

fn main() {
    divan::main();
    steps::print();
}

/// Every reading moves by 0.2: nothing is suppressed, everything is rounded and batched.
#[divan::bench]
fn everything_moves(bencher: Bencher<'_, '_>) {
    refine(bencher, BuiltinType::Double, |n| Value::Double(20.0 + f64::from(n / POINTS % 100) * 0.2));
}

/// Every fifth reading of a point is outside its deadband.
#[divan::bench]
fn every_fifth_moves(bencher: Bencher<'_, '_>) {
    refine(bencher, BuiltinType::Double, |n| Value::Double(20.0 + f64::from(n / POINTS % 500) * 0.0203));
}

#[divan::bench]
fn floats_move(bencher: Bencher<'_, '_>) {
    refine(bencher, BuiltinType::Float, |n| Value::Float(20.0 + (n / POINTS % 100) as f32 * 0.2));
}

#[divan::bench]
fn integers_move(bencher: Bencher<'_, '_>) {
    refine(bencher, BuiltinType::Int32, |n| Value::Int32((n / POINTS % 100) as i32 * 7));
}

fn refine(bencher: Bencher<'_, '_>, builtin_type: BuiltinType, value: fn(u32) -> Value) {
    let reading = |n| Reading::good(PointId(n % POINTS), value(n), UtcMicros(i64::from(n)));
    let now = Now { monotonic: Duration::ZERO, utc: UtcMicros(0), clock: ClockState::Synced };
    let mut refinery = Refinery::new(plan(builtin_type));
    bencher
        .counter(ItemsCount::new(READINGS))
        .with_inputs(|| (0..READINGS).map(reading).collect::<Vec<Reading>>())
        .bench_local_values(|readings| {
            for reading in readings {
                black_box(refinery.refine(now, reading));
            }
        });
}

fn plan(builtin_type: BuiltinType) -> ExportPlan {
    let (by, to) = if builtin_type.is_floating() { ("0.1", "0.05") } else { ("1", "5") };
    let steps = vec![Step::deadband(by.parse().unwrap()), Step::Round { to: to.parse().unwrap() }];
    let point = |alias: u32| PointPlan {
        id: PointId(alias),
        name: format!("extruder/zone{alias}"),
        export: Some(Export::new(DatasetIndex(0), alias, Some(Class::General), steps.clone())),
        builtin_type,
        rank: 0,
        places: Some(2),
        unit: None,
        range: None,
        equipment: "plant/hall/extruder".parse().unwrap(),
        interval: Duration::from_secs(1),
        source: String::new(),
    };
    let dataset = DatasetPlan {
        id: "extruder".parse().unwrap(),
        purpose: "urn:lingate:purpose:quality".parse().unwrap(),
        ceiling: Class::General,
        flush: Flush { readings: 1000, age: Duration::from_secs(1) },
        priority: Priority::Normal,
        padding: 0,
    };
    ExportPlan { datasets: vec![dataset], points: (0..POINTS).map(|alias| Arc::new(point(alias))).collect() }
}
