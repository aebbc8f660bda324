//! Any policy, any readings: what leaves is what the policy lets leave, the counts add up, and the way on which the
//! readings came changes nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;
#[path = "common/dice.rs"]
mod dice;

use std::collections::BTreeMap;
use std::time::Duration;

use common::*;
use dice::{Dice, policy, readings};
use lingate_model::{Class, ClockState, Now, Origin, PointId, Reading, Severity, StatusCode, UtcMicros, Value};
use lingate_refine::{
    Batch, Condition, DatasetIndex, Export, ExportPlan, Minimized, PointPlan, PseudonymKey, Quality, Refinery, Scalar,
    Step, StepId, Test, Totals,
};

/// A million readings, a new policy for every 125.
const POLICIES: u64 = 8_000;
const READINGS: usize = 125;

#[test]
fn any_policy_holds_for_a_million_readings() {
    (0..POLICIES).for_each(|seed| check(seed, READINGS));
}

/// A million policies, each with readings of its own. `LINGATE_POLICIES` says how many.
#[test]
#[ignore = ".ci/run, in release"]
fn a_million_policies_hold() {
    let policies = std::env::var("LINGATE_POLICIES").map_or(1_000_000, |text| text.parse().unwrap());
    let workers = std::thread::available_parallelism().map_or(2, |count| count.get() as u64);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            scope.spawn(move || {
                (worker..policies).step_by(workers as usize).for_each(|seed| check(seed + POLICIES, 6));
            });
        }
    });
    println!("{policies} policies, {} readings, each given twice: every output within its policy", policies * 6);
}

/// Paste a seed here.
#[test]
fn one_policy_holds() {
    check(1, 1_000);
}

fn check(seed: u64, count: usize) {
    let mut dice = Dice(seed);
    let plan = policy(&mut dice);
    let jumps = dice.one_in(3);
    let readings = readings(&mut dice, &plan, count, jumps);
    let at_once = run(&plan, &readings, |_| (1, 0));
    let in_portions = run(&plan, &readings, |_| (1 + dice.below(12) as usize, dice.below(900_000)));
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        check_counts(&plan, &at_once, &readings);
        check_policy(&plan, &at_once);
        check_subset(&plan, &at_once, &readings);
        check_counts(&plan, &in_portions, &readings);
        check_policy(&plan, &in_portions);
        check_subset(&plan, &in_portions, &readings);
        if !jumps {
            check_same(&at_once, &in_portions);
        }
    }));
    if told.is_err() {
        panic!("seed {seed} of {count} readings: {:#?}", plan.points);
    }
}

struct Run {
    /// By dataset.
    batches: Vec<Vec<Batch>>,
    totals: Vec<Totals>,
    unassigned: u64,
}

/// Gives the readings in portions: (how many, microseconds between the last one's time and their arrival).
fn run(plan: &ExportPlan, readings: &[Reading], mut portion: impl FnMut(usize) -> (usize, u64)) -> Run {
    let mut refinery = Refinery::new(plan.clone());
    refinery.set_pseudonym_key(D0, PseudonymKey::new(&[7; 32]));
    let mut batches: Vec<Vec<Batch>> = plan.datasets.iter().map(|_| Vec::new()).collect();
    let mut keep = |batch: Batch| batches[batch.dataset().index()].push(batch);
    let (mut given, mut now) = (0, start(readings));
    let mut last = now.utc;
    while given < readings.len() {
        let (count, delay) = portion(given);
        let some = &readings[given..readings.len().min(given + count)];
        // None is two seconds under way: so much a window waits.
        let first = some[0].gateway_time.0;
        let near = some.iter().take_while(|reading| reading.gateway_time.0.abs_diff(first) < 1_000_000).count();
        let some = &some[..near];
        for reading in some {
            // Time passes by what the clock shows, unless it jumps.
            let passed = reading.gateway_time.0 - last.0;
            now.monotonic +=
                Duration::from_micros(if passed.abs() > 1_000_000_000 { 0 } else { passed.unsigned_abs() });
            last = reading.gateway_time;
        }
        now.utc = last;
        let arrival = Now { monotonic: now.monotonic + Duration::from_micros(delay), ..now };
        some.iter().filter_map(|reading| refinery.refine(arrival, reading.clone())).for_each(&mut keep);
        std::iter::from_fn(|| refinery.due(arrival)).for_each(&mut keep);
        assert!(refinery.wake_at().is_none_or(|wake| wake > arrival.monotonic));
        given += some.len();
    }
    let later = Now { monotonic: now.monotonic + Duration::from_secs(100_000), ..now };
    std::iter::from_fn(|| refinery.due(later)).for_each(&mut keep);
    let indices = (0..plan.datasets.len()).map(|at| DatasetIndex(at as u16));
    indices.clone().filter_map(|index| refinery.end(later, index)).for_each(&mut keep);
    assert_eq!(refinery.wake_at(), None, "something waits for ever");
    let totals = indices.map(|index| refinery.totals(index).clone()).collect();
    Run { batches, totals, unassigned: refinery.unassigned() }
}

fn start(readings: &[Reading]) -> Now {
    let utc = readings.first().map_or(UtcMicros(0), |reading| reading.gateway_time);
    Now { monotonic: Duration::from_secs(1), utc, clock: ClockState::Synced }
}

/// read = kept + suppressed, in every batch and in all.
fn check_counts(plan: &ExportPlan, run: &Run, readings: &[Reading]) {
    for (batches, totals) in run.batches.iter().zip(&run.totals) {
        for batch in batches {
            let steps = batch.steps();
            assert!(steps.is_sorted_by(|a, b| a.step < b.step));
            let suppressed: u64 = steps.iter().map(|count| count.seen - count.kept).sum();
            assert_eq!(steps[0].seen, batch.readings().len() as u64 + suppressed);
            assert!(batch.readings().len() <= plan.datasets[batch.dataset().index()].flush.readings as usize + 16);
        }
        let kept: usize = batches.iter().map(|batch| batch.readings().len()).sum();
        let suppressed: u64 = totals.suppressed.iter().map(|(_, count)| count).sum();
        assert_eq!((totals.read, totals.kept), (kept as u64 + suppressed, kept as u64));
    }
    let read: u64 = run.totals.iter().map(|totals| totals.read).sum();
    assert_eq!(read + run.unassigned, readings.len() as u64);
}

/// What leaves is a subset of what the policy allows.
fn check_policy(plan: &ExportPlan, run: &Run) {
    for (index, batches) in run.batches.iter().enumerate() {
        for minimized in batches.iter().flat_map(Batch::readings) {
            let point = plan.points.iter().find(|point| is_of(point, index, minimized.alias())).unwrap();
            let export = point.export.as_ref().unwrap();
            assert!(export.class.unwrap() <= plan.datasets[index].ceiling);
            assert_eq!(minimized.value().is_none(), minimized.status().is_bad());
            assert!(minimized.value().is_none_or(|value| value.builtin_type() == point.exported_type()));
            export.steps.iter().for_each(|step| check_step(step, export, index, minimized));
        }
    }
}

/// Every reading that left was read, while its conditions held; its value is the one that was read unless a step changes
/// values. What windows compute is compared with a reference elsewhere.
fn check_subset(plan: &ExportPlan, run: &Run, readings: &[Reading]) {
    let mut given: BTreeMap<(PointId, UtcMicros), Vec<&Reading>> = BTreeMap::new();
    let mut last: BTreeMap<PointId, &Reading> = BTreeMap::new();
    for reading in readings {
        if reading.origin == Origin::Live {
            last.insert(reading.point, reading);
        }
        if is_in_context(plan, &last, reading) {
            given.entry((reading.point, reading.gateway_time)).or_default().push(reading);
        }
    }
    for (index, batches) in run.batches.iter().enumerate() {
        for minimized in batches.iter().flat_map(Batch::readings) {
            let point = plan.points.iter().find(|point| is_of(point, index, minimized.alias())).unwrap();
            let steps = &point.export.as_ref().unwrap().steps;
            let has = |id: StepId| steps.iter().any(|step| step.id() == id);
            if has(StepId::Aggregate) || has(StepId::TimeCoarsening) {
                continue;
            }
            let read = given.get(&(point.id, minimized.stamp().gateway_time));
            let read = read.unwrap_or_else(|| panic!("{minimized:?} was not read, or not in its context"));
            let is_kept = ![StepId::Rounding, StepId::Clip, StepId::Pseudonym, StepId::Masking].into_iter().any(has);
            let is_one = |read: &&Reading| same(read.value.as_ref(), minimized.value());
            assert!(!is_kept || read.iter().any(is_one), "{minimized:?} has a value that was not read");
        }
    }
}

/// M3, once more and as plainly as it can be written.
fn is_in_context(plan: &ExportPlan, last: &BTreeMap<PointId, &Reading>, reading: &Reading) -> bool {
    let steps = plan.points[reading.point.index()].export.iter().flat_map(|export| &export.steps);
    let conditions: Vec<&Condition> = steps
        .filter_map(|step| match step {
            Step::OnlyWhen(conditions) => Some(conditions),
            _ => None,
        })
        .flatten()
        .collect();
    let holds = |condition: &&Condition| {
        let Some(known) = last.get(&condition.point) else { return false };
        let age = (reading.gateway_time.0 - known.gateway_time.0).abs();
        let is_fresh = condition.max_age.is_none_or(|most| age <= most.as_micros() as i64);
        let value = known.value.as_ref().filter(|_| known.status.severity() == Severity::Good);
        is_fresh && value.is_some_and(|value| says(&condition.test, value))
    };
    conditions.is_empty() || (reading.origin == Origin::Live && conditions.iter().all(holds))
}

/// The conditions that the dice throw.
fn says(test: &Test, value: &Value) -> bool {
    let is_any = |scalars: &[Scalar]| {
        scalars.iter().any(|scalar| match scalar {
            Scalar::Boolean(scalar) => *value == Value::Boolean(*scalar),
            Scalar::Text(scalar) => *value == Value::String(scalar.as_str().into()),
            Scalar::Number(scalar) => number_of(value) == Some(scalar.to_f64()),
        })
    };
    match test {
        Test::Is(scalars) => is_any(scalars),
        Test::IsNot(scalars) => !is_any(scalars),
        Test::Within { low, .. } => number_of(value).is_some_and(|number| number >= low.unwrap().to_f64()),
    }
}

fn number_of(value: &Value) -> Option<f64> {
    value.approximate().filter(|_| value.builtin_type().is_numeric())
}

fn is_of(point: &PointPlan, dataset: usize, alias: u32) -> bool {
    point.export.as_ref().is_some_and(|export| export.dataset.index() == dataset && export.alias == alias)
}

fn check_step(step: &Step, export: &Export, dataset: usize, minimized: &Minimized) {
    let number = minimized.value().and_then(Value::approximate).filter(|number| number.is_finite());
    let clip = export.steps.iter().find_map(|step| match step {
        Step::Clip { low, high } => Some((low.unwrap().to_f64(), high.unwrap().to_f64())),
        _ => None,
    });
    let has_window = export.steps.iter().any(|step| step.id() == StepId::Aggregate);
    match step {
        Step::Quality { keeps: Quality::Good } if !has_window => {
            assert_eq!(minimized.status().severity(), Severity::Good);
        }
        Step::Quality { .. } if !has_window => assert!(!minimized.status().is_bad()),
        Step::Round { to } => {
            let is_limit = clip.is_some_and(|(low, high)| number == Some(low) || number == Some(high));
            assert!(number.is_none_or(|number| number % to.to_f64() == 0.0) || is_limit);
        }
        Step::Clip { .. } => {
            let (low, high) = clip.unwrap();
            assert!(number.is_none_or(|number| (low..=high).contains(&number)));
        }
        Step::Coarsen { to } => {
            assert_eq!(minimized.stamp().gateway_time.0 % to.as_micros() as i64, 0);
            let source = minimized.stamp().source_time.map_or(0, |time| time.utc().0);
            assert_eq!(source % to.as_micros() as i64, 0);
        }
        Step::Pseudonym => {
            assert!(minimized.value().is_none() || dataset == 0, "no key was given to the other datasets");
            assert!(text(minimized).is_none_or(|text| text.len() == 32 && !text.contains("id-")));
        }
        Step::Mask(_) => assert!(text(minimized).is_none_or(|text| text == "id-**")),
        _ => {}
    }
}

fn text(minimized: &Minimized) -> Option<&str> {
    match minimized.value() {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

type Told = (UtcMicros, Option<Value>, StatusCode);

/// Point by point the same readings in the same order, and the same counts.
fn check_same(one: &Run, other: &Run) {
    assert_eq!(one.totals, other.totals);
    for (one, other) in one.batches.iter().zip(&other.batches) {
        let (one, other) = (by_point(one), by_point(other));
        assert!(one.keys().eq(other.keys()));
        for (one, other) in one.values().zip(other.values()) {
            assert_eq!(one.len(), other.len());
            for (one, other) in one.iter().zip(other) {
                assert_eq!((one.0, one.2), (other.0, other.2));
                assert!(same(one.1.as_ref(), other.1.as_ref()));
            }
        }
    }
}

/// History and live readings are two streams.
fn by_point(batches: &[Batch]) -> BTreeMap<(u32, bool), Vec<Told>> {
    let mut told: BTreeMap<(u32, bool), Vec<Told>> = BTreeMap::new();
    for reading in batches.iter().flat_map(Batch::readings) {
        let entry = (reading.stamp().gateway_time, reading.value().cloned(), reading.status());
        let is_live = reading.stamp().origin == Origin::Live;
        told.entry((reading.alias(), is_live)).or_default().push(entry);
    }
    told
}

#[test]
fn a_class_ceiling_holds_whatever_the_steps_are() {
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let plan = policy(&mut dice);
        let given = readings(&mut dice, &plan, 100, true);
        let mut refinery = Refinery::new(plan.clone());
        (0..plan.datasets.len()).for_each(|at| refinery.set_ceiling(DatasetIndex(at as u16), Some(Class::General)));
        let now = start(&given);
        let mut batches: Vec<Batch> =
            given.iter().filter_map(|reading| refinery.refine(now, reading.clone())).collect();
        batches.extend((0..plan.datasets.len()).filter_map(|at| refinery.end(now, DatasetIndex(at as u16))));
        for batch in &batches {
            for reading in batch.readings() {
                let point = plan.points.iter().find(|p| is_of(p, batch.dataset().index(), reading.alias())).unwrap();
                assert_eq!(point.export.as_ref().unwrap().class, Some(Class::General), "seed {seed}");
            }
        }
    }
}
