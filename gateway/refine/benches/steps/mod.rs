//! What each step costs: a point with that step alone against the same point without any, best of several rounds.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lingate_model::{BuiltinType, Class, ClockState, Now, PointId, Reading, UtcMicros, Value};
use lingate_refine::{
    AggregateFunction, Condition, DatasetIndex, Export, ExportPlan, Mask, PointPlan, PseudonymKey, Quality, Refinery,
    Scalar, Step, Test,
};

use super::{POINTS, plan};

const READINGS: u32 = 10_000;
/// Short and many: on a busy machine some of them are not interrupted.
const ROUNDS: usize = 300;

type Make = fn(u32) -> Value;

/// Prints a table: step, nanoseconds per reading above those of tag and batch, share of the readings that leaves.
pub(crate) fn print() {
    let number: Make = |n| Value::Double(20.0 + f64::from(n / POINTS % 97) * 0.13);
    let text: Make = |n| Value::String(format!("order ZH{:05} done", n % 50_000).into());
    let (bare_number, _) = cost(&[], BuiltinType::Double, number);
    let (bare_text, _) = cost(&[], BuiltinType::String, text);
    println!("\nnanoseconds per reading and step ({READINGS} readings, best of {ROUNDS})");
    println!("{:<34} {bare_number:>8.1} {:>9}", "M1, M2, batch (a number)", "100 %");
    println!("{:<34} {bare_text:>8.1} {:>9}", "M1, M2, batch (a text)", "100 %");
    for (name, step) in numbers() {
        row(name, cost(&[step], BuiltinType::Double, number), bare_number);
    }
    for (name, step) in texts() {
        row(name, cost(&[step], BuiltinType::String, text), bare_text);
    }
}

fn row(name: &str, (cost, kept): (f64, f64), bare: f64) {
    println!("{name:<34} {:>+8.1} {:>7.1} %", cost - bare, kept * 100.0);
}

fn numbers() -> Vec<(&'static str, Step)> {
    let decimal = |text: &str| text.parse().unwrap();
    let point = PointId(POINTS);
    let test = Test::Is(vec![Scalar::Text("IDLE".to_owned()), Scalar::Text("RUN".to_owned())]);
    let condition = Condition { point, name: "state".to_owned(), test, max_age: None };
    let aggregate = |function| Step::Aggregate { function, interval: Duration::from_secs(10) };
    vec![
        ("M3 context gate", Step::OnlyWhen(vec![condition])),
        ("M4 quality filter", Step::Quality { keeps: Quality::Good }),
        ("M5 TimeAverage, 10 s", aggregate(AggregateFunction::TimeAverage)),
        ("M5 StandardDeviationSample, 10 s", aggregate(AggregateFunction::StandardDeviationSample)),
        ("M6 deadband", Step::deadband(decimal("0.3"))),
        ("M7 swinging door", Step::SwingingDoor { deviation: decimal("0.3"), max_interval: None }),
        ("M8 rounding", Step::Round { to: decimal("0.05") }),
        ("M9 clip", Step::Clip { low: Some(decimal("21")), high: Some(decimal("30")) }),
        ("M10 time coarsening", Step::Coarsen { to: Duration::from_secs(1) }),
    ]
}

fn texts() -> Vec<(&'static str, Step)> {
    let mask = Mask::new("[A-Z]{2}[0-9]{4,}", "*").unwrap();
    vec![("M11 pseudonym", Step::Pseudonym), ("M12 masking", Step::Mask(mask))]
}

/// Nanoseconds per reading, and the share that leaves.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn cost(steps: &[Step], builtin_type: BuiltinType, make: Make) -> (f64, f64) {
    let round = |_| {
        let mut refinery = Refinery::new(with(steps, builtin_type));
        refinery.set_pseudonym_key(DatasetIndex(0), PseudonymKey::new(&[7; 32]));
        let state = Reading::good(PointId(POINTS), Value::String("RUN".into()), UtcMicros(0));
        refinery.refine(now(0), state);
        let readings: Vec<Reading> = (0..READINGS).map(|n| reading(n, make)).collect();
        let begun = Instant::now();
        for reading in readings {
            let now = now(reading.gateway_time.0);
            black_box(refinery.refine(now, reading));
        }
        let nanoseconds = begun.elapsed().as_nanos() as f64 / f64::from(READINGS);
        let totals = refinery.totals(DatasetIndex(0));
        (nanoseconds, totals.kept as f64 / totals.read.max(1) as f64)
    };
    (0..ROUNDS).map(round).min_by(|one, other| one.0.total_cmp(&other.0)).unwrap()
}

/// 10 points ten times a second.
fn reading(n: u32, make: Make) -> Reading {
    Reading::good(PointId(n % POINTS), make(n), UtcMicros(i64::from(n / POINTS) * 100_000))
}

fn now(micros: i64) -> Now {
    Now { monotonic: Duration::from_micros(micros.unsigned_abs()), utc: UtcMicros(micros), clock: ClockState::Synced }
}

fn with(steps: &[Step], builtin_type: BuiltinType) -> ExportPlan {
    let ExportPlan { datasets, points } = plan(BuiltinType::Double);
    let with_steps = |point: &Arc<PointPlan>| {
        let alias = point.id.0;
        let export = Export::new(DatasetIndex(0), alias, Some(Class::General), steps.to_vec());
        let interval = Duration::from_millis(100);
        Arc::new(PointPlan { builtin_type, places: None, interval, export: Some(export), ..(**point).clone() })
    };
    let mut points: Vec<_> = points.iter().map(with_steps).collect();
    let state =
        PointPlan { id: PointId(POINTS), export: None, builtin_type: BuiltinType::String, ..(*points[0]).clone() };
    points.push(state.into());
    ExportPlan { datasets, points }
}
