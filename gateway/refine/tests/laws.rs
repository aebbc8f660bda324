//! Random plans and readings against a naive reference.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;
#[path = "common/reference.rs"]
mod reference;

use common::*;
use lingate_model::{BuiltinType, Class, Decimal, PointId, Reading, StatusCode, UtcMicros, Value};
use lingate_refine::{Batch, DatasetIndex, DatasetPlan, Export, ExportPlan, Flush, PointPlan, Refinery};
use proptest::prelude::*;
use proptest::sample::select;
use reference::{Outcome, Reference, rounded};

#[derive(Clone, Debug)]
enum Event {
    /// `number` becomes a value of the point's type, or of another one.
    Read {
        point: u32,
        number: i64,
        fits: bool,
        status: StatusCode,
    },
    Pass {
        millis: u64,
    },
    Close(DatasetIndex),
    Grant(DatasetIndex, Option<Class>),
}

proptest! {
    #[test]
    fn read_equals_kept_plus_suppressed(plan in plans(), events in events()) {
        let run = run(&plan, &events);
        for (dataset, batches) in (0..).map(DatasetIndex).zip(&run.batches) {
            batches.iter().for_each(check_counts);
            let totals = run.refinery.totals(dataset);
            let kept: usize = batches.iter().map(|batch| batch.readings().len()).sum();
            let suppressed: u64 = totals.suppressed.iter().map(|(_, count)| count).sum();
            prop_assert_eq!(totals.read, totals.kept + suppressed);
            prop_assert_eq!(totals.kept, kept as u64);
            let in_batches = sum(batches).counts;
            let of_steps: Vec<_> = in_batches.iter().map(|(step, seen, kept)| (*step, seen - kept)).collect();
            if !batches.is_empty() {
                prop_assert_eq!(&totals.suppressed, &of_steps);
            }
        }
        let read: u64 = (0..3).map(|dataset| run.refinery.totals(DatasetIndex(dataset)).read).sum();
        let given = events.iter().filter(|event| matches!(event, Event::Read { .. })).count();
        prop_assert_eq!(read + run.refinery.unassigned(), given as u64);
    }

    #[test]
    fn what_leaves_is_what_the_naive_reference_lets_leave(plan in plans(), events in events()) {
        let run = run(&plan, &events);
        prop_assert_eq!(run.refinery.unassigned(), run.reference.unassigned);
        for (batches, expected) in run.batches.iter().zip(&run.reference.outcomes) {
            let outcome = sum(batches);
            prop_assert_eq!(outcome.read, expected.read);
            let counts: Vec<_> = outcome.counts.into_iter().filter(|count| count.1 > 0).collect();
            prop_assert_eq!(&counts, &expected.counts);
            prop_assert_eq!(outcome.kept.len(), expected.kept.len());
            for (told, expected) in outcome.kept.iter().zip(&expected.kept) {
                prop_assert_eq!((told.0, told.2), (expected.0, expected.2));
                prop_assert!(same(told.1.as_ref(), expected.1.as_ref()));
                prop_assert_eq!(told.1.is_none(), told.2.is_bad());
            }
        }
    }

    #[test]
    fn flush_settings_change_only_where_the_stream_is_cut(plan in plans(), events in events(), flush in flushes()) {
        let mut other = plan.clone();
        other.datasets.iter_mut().for_each(|dataset| dataset.flush = flush);
        let (one, other) = (run(&plan, &events), run(&other, &events));
        for (one, other) in one.batches.iter().zip(&other.batches) {
            let (one, other) = (sum(one), sum(other));
            prop_assert_eq!((one.read, one.counts), (other.read, other.counts));
            prop_assert_eq!(one.kept.len(), other.kept.len());
            for (one, other) in one.kept.iter().zip(&other.kept) {
                prop_assert!(one.0 == other.0 && one.2 == other.2 && same(one.1.as_ref(), other.1.as_ref()));
            }
        }
    }

    #[test]
    fn rounding_to_places_is_what_printing_them_gives(value in any::<f64>(), near in -1e7..1e7_f64, places in 0..6_u8) {
        let to = Decimal::resolution(places).unwrap();
        for value in [value, near] {
            let printed = format!("{value:.*}", usize::from(places));
            let is_exact = (value * 10_f64.powi(places.into())).abs() < 9e15;
            let expected = if is_exact { printed.parse::<f64>().unwrap() + 0.0 } else { value };
            prop_assert!(same(through(to, Value::Double(value)).as_ref(), Some(&Value::Double(expected))), "{value:?} {to}");
        }
        let single = near as f32;
        let expected = format!("{single:.*}", usize::from(places)).parse::<f32>().unwrap() + 0.0;
        prop_assert!(same(through(to, Value::Float(single)).as_ref(), Some(&Value::Float(expected))), "{single:?} {to}");
    }

    #[test]
    fn rounding_twice_is_rounding_once(number in any::<i64>(), to in parameters(), builtin_type in types()) {
        let once = through(to, of(builtin_type, number)).unwrap();
        prop_assert!(same(through(to, once.clone()).as_ref(), Some(&once)));
        prop_assert!(same(Some(&rounded(of(builtin_type, number), to)), Some(&once)));
    }
}

struct Run {
    refinery: Refinery,
    reference: Reference,
    /// By dataset.
    batches: Vec<Vec<Batch>>,
}

/// Gives the same events to the refinery and to the reference, and at the end closes all datasets.
fn run(plan: &ExportPlan, events: &[Event]) -> Run {
    let (mut refinery, mut reference) = (Refinery::new(plan.clone()), Reference::new(plan.clone()));
    let mut batches = Vec::new();
    let mut millis = 0;
    for event in events {
        match *event {
            Event::Read { point, number, fits, status } => {
                let reading = reading(plan, point, number, fits, status);
                reference.refine(at(millis), reading.clone());
                batches.extend(refinery.refine(at(millis), reading));
            }
            Event::Pass { millis: passed } => {
                millis += passed;
                batches.extend(std::iter::from_fn(|| refinery.due(at(millis))));
                assert!(refinery.wake_at().is_none_or(|wake| wake > at(millis).monotonic));
            }
            Event::Close(dataset) => {
                reference.close(dataset);
                batches.extend(refinery.close(at(millis), dataset));
            }
            Event::Grant(dataset, ceiling) => {
                reference.set_ceiling(dataset, ceiling);
                refinery.set_ceiling(dataset, ceiling);
            }
        }
    }
    for (at_end, dataset) in (0..).map(DatasetIndex).zip(&plan.datasets) {
        batches.extend(refinery.close(at(millis), at_end));
        assert_eq!(refinery.close(at(millis), at_end), None, "something was left behind");
        let limit = dataset.flush.readings as usize;
        assert!(batches.iter().filter(|b| b.dataset() == at_end).all(|batch| batch.readings().len() <= limit));
    }
    let of = |place| batches.iter().filter(|b: &&Batch| b.dataset().index() == place).cloned().collect();
    Run { refinery, reference, batches: (0..plan.datasets.len()).map(of).collect() }
}

/// One batch alone: each step sees what the ones before left to it, and nothing is lost between them.
fn check_counts(batch: &Batch) {
    let steps = batch.steps();
    assert!(steps.is_sorted_by(|a, b| a.step < b.step) && steps.iter().all(|count| count.kept <= count.seen));
    assert_eq!(steps[1].seen, steps[0].kept);
    assert!(steps[2..].iter().all(|count| count.seen <= steps[1].kept));
    let suppressed: u64 = steps.iter().map(|count| count.seen - count.kept).sum();
    assert_eq!(steps[0].seen, batch.readings().len() as u64 + suppressed);
    assert!(batch.readings().iter().all(|reading| reading.dataset() == batch.dataset()));
}

/// All batches of a dataset as if they were one.
fn sum(batches: &[Batch]) -> Outcome {
    let mut outcome = Outcome::default();
    for batch in batches {
        outcome.read += batch.steps()[0].seen;
        batch.steps().iter().for_each(|count| outcome.add(count.step, count.seen, count.kept));
        let readings = batch.readings().iter();
        outcome.kept.extend(readings.map(|reading| (reading.alias(), reading.value().cloned(), reading.status())));
    }
    outcome
}

/// What comes out of a point that only rounds.
fn through(to: Decimal, value: Value) -> Option<Value> {
    let step = lingate_refine::Step::Round { to };
    let plan = plan(vec![dataset(Class::General, 1, 1)], vec![point(value.builtin_type(), export(D0, &[step]))]);
    let batch = Refinery::new(plan).refine(at(0), good(0, value)).unwrap();
    batch.readings()[0].value().cloned()
}

fn reading(plan: &ExportPlan, point: u32, number: i64, fits: bool, status: StatusCode) -> Reading {
    let declared = plan.points.get(point as usize).map_or(BuiltinType::Double, |point| point.builtin_type);
    let value = if fits { of(declared, number) } else { Value::Guid([0; 16]) };
    let value = (number % 17 != 16).then_some(value);
    Reading { value, ..Reading::bad(PointId(point), status, UtcMicros(number)) }
}

/// A value of the type; the 64-bit ones cover all of it, floating ones are 1024ths and now and then no number.
fn of(builtin_type: BuiltinType, number: i64) -> Value {
    match builtin_type {
        BuiltinType::SByte => Value::SByte(number as i8),
        BuiltinType::Byte => Value::Byte(number as u8),
        BuiltinType::Int16 => Value::Int16(number as i16),
        BuiltinType::UInt16 => Value::UInt16(number as u16),
        BuiltinType::Int32 => Value::Int32(number as i32),
        BuiltinType::UInt32 => Value::UInt32(number as u32),
        BuiltinType::Int64 => Value::Int64(number),
        BuiltinType::UInt64 => Value::UInt64(number as u64),
        BuiltinType::Float if number % 13 == 12 => Value::Float(f32::NAN),
        BuiltinType::Float if number % 13 == 11 => Value::Float(f32::INFINITY),
        BuiltinType::Float => Value::Float((number % (1 << 24)) as f32 / 1024.0),
        BuiltinType::Double if number % 13 == 12 => Value::Double(f64::NAN),
        BuiltinType::Double if number % 13 == 11 => Value::Double(f64::NEG_INFINITY),
        BuiltinType::Double => Value::Double((number % (1 << 40)) as f64 / 1024.0),
        BuiltinType::Boolean => Value::Boolean(number % 2 == 0),
        _ => Value::String(format!("{}", number % 3).into()),
    }
}

fn types() -> impl Strategy<Value = BuiltinType> {
    select(&BuiltinType::ALL[..12])
}

fn parameters() -> impl Strategy<Value = Decimal> {
    let texts = ["0", "-1", "0.001", "0.1", "0.25", "0.5", "1", "2.5", "7", "10", "1000", "1e12"];
    select(texts.to_vec()).prop_map(|text| text.parse().unwrap())
}

fn classes() -> impl Strategy<Value = Option<Class>> {
    prop_oneof![1 => Just(None), 4 => Just(Some(Class::General)), 2 => Just(Some(Class::Important))]
}

fn flushes() -> impl Strategy<Value = Flush> {
    (1..6_u32, 10..50_u64).prop_map(|(readings, millis)| dataset(Class::General, readings, millis).flush)
}

fn datasets() -> impl Strategy<Value = DatasetPlan> {
    (select(&[Class::General, Class::Important][..]), flushes())
        .prop_map(|(ceiling, flush)| DatasetPlan { flush, ..dataset(ceiling, 1, 1) })
}

fn points() -> impl Strategy<Value = PointPlan> {
    let by = proptest::option::of(parameters().prop_map(lingate_refine::Step::deadband));
    let to = proptest::option::of(parameters().prop_map(|to| lingate_refine::Step::Round { to }));
    let exports = (0..3_u16, classes(), by, to).prop_map(|(dataset, class, by, to)| {
        Export::new(DatasetIndex(dataset), 0, class, by.into_iter().chain(to).collect())
    });
    (types(), proptest::option::weighted(0.9, exports)).prop_map(|(builtin_type, export)| point(builtin_type, export))
}

fn plans() -> impl Strategy<Value = ExportPlan> {
    let plans = (proptest::collection::vec(datasets(), 1..4), proptest::collection::vec(points(), 0..6));
    plans.prop_map(|(datasets, points)| plan(datasets, points))
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let number = prop_oneof![4 => -20..20_i64, 1 => any::<i64>(), 1 => select(&[i64::MIN, -1, i64::MAX, 0][..])];
    let codes = [StatusCode::UNCERTAIN, StatusCode::BAD_TIMEOUT, StatusCode::BAD_NO_COMMUNICATION, StatusCode(1)];
    let status = prop_oneof![6 => Just(StatusCode::GOOD), 1 => select(codes.to_vec())];
    let read = (0..7_u32, number, proptest::bool::weighted(0.9), status)
        .prop_map(|(point, number, fits, status)| Event::Read { point, number, fits, status });
    let indices = || (0..4_u16).prop_map(DatasetIndex);
    let event = prop_oneof![
        20 => read,
        3 => (0..30_u64).prop_map(|millis| Event::Pass { millis }),
        1 => indices().prop_map(Event::Close),
        1 => (indices(), classes()).prop_map(|(dataset, ceiling)| Event::Grant(dataset, ceiling)),
    ];
    proptest::collection::vec(event, 0..120)
}
