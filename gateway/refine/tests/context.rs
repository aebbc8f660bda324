//! What another point says: gates (M3), context runs, pseudonyms (M11), and the class of what leaves.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;
#[path = "common/dice.rs"]
#[allow(dead_code, reason = "only its numbers are used")]
mod dice;

use std::time::Duration;

use common::*;
use dice::Dice;
use lingate_model::{BuiltinType, Class, Origin, PointId, Reading, StatusCode, UtcMicros, Value};
use lingate_refine::{
    Batch, CONTEXT_VALUE_MAX, Condition, ContextKind, Export, Lowered, PseudonymKey, Refinery, Scalar, Step, StepId,
    Test, VALUE_WEIGHT_MAX,
};

const GATED: u32 = 0;
const STATE: u32 = 1;

fn text(point: u32, at: i64, text: &str) -> Reading {
    Reading::good(PointId(point), Value::String(text.into()), UtcMicros(at))
}

fn number(at: i64) -> Reading {
    Reading::good(PointId(GATED), Value::Int32(7), UtcMicros(at))
}

/// A number that leaves while a text that stays in the plant is RUN, and is not older than 10 s.
fn gated() -> Refinery {
    let condition = Condition {
        point: PointId(STATE),
        name: "device/state".to_owned(),
        test: Test::Is(vec![Scalar::Text("RUN".to_owned())]),
        max_age: Some(Duration::from_secs(10)),
    };
    let number = point(BuiltinType::Int32, export(D0, &[Step::OnlyWhen(vec![condition])]));
    let state = point(BuiltinType::String, None);
    Refinery::new(plan(vec![dataset(Class::General, 100, 1_000)], vec![number, state]))
}

fn kept(refinery: &mut Refinery, readings: &[Reading]) -> usize {
    for reading in readings {
        assert_eq!(refinery.refine(at(0), reading.clone()), None);
    }
    refinery.close(at(0), D0).map_or(0, |batch| batch.readings().len())
}

#[test]
fn a_gate_opens_and_closes_with_a_point_that_never_leaves() {
    let mut refinery = gated();
    let day = [
        number(1),
        text(STATE, 2, "RUN"),
        number(3),
        text(STATE, 4, "IDLE"),
        number(5),
        text(STATE, 6, "RUN"),
        number(7),
    ];
    assert_eq!(kept(&mut refinery, &day), 2);
    assert_eq!(refinery.unassigned(), 3, "the point itself is exported nowhere");
    assert_eq!(
        refinery.totals(D0).suppressed,
        [(StepId::AllowList, 0), (StepId::ClassCeiling, 0), (StepId::ContextGate, 2)]
    );
}

#[test]
fn a_gate_is_closed_while_nobody_knows() {
    let run = text(STATE, 1_000_000, "RUN");
    let bad = Reading::bad(PointId(STATE), StatusCode::BAD_TIMEOUT, UtcMicros(2_000_000));
    let uncertain = Reading { status: StatusCode::UNCERTAIN, ..text(STATE, 2_000_000, "RUN") };
    let after = number(3_000_000);
    for (name, readings) in [
        ("not read yet", vec![after.clone()]),
        ("bad", vec![run.clone(), bad, after.clone()]),
        ("not certain", vec![run.clone(), uncertain, after.clone()]),
        ("too old", vec![run.clone(), number(11_000_001)]),
        ("before it was read", vec![text(STATE, 30_000_000, "RUN"), after.clone()]),
        ("history", vec![run.clone(), Reading { origin: Origin::Backfilled, ..after.clone() }]),
        ("known from history only", vec![Reading { origin: Origin::Backfilled, ..run.clone() }, after.clone()]),
    ] {
        assert_eq!(kept(&mut gated(), &readings), 0, "{name}");
    }
    assert_eq!(kept(&mut gated(), &[run.clone(), number(11_000_000)]), 1, "just fresh enough");
    let mut missed = gated();
    missed.refine(at(0), run);
    missed.unknown(PointId(STATE), UtcMicros(2_000_000));
    assert_eq!(kept(&mut missed, std::slice::from_ref(&after)), 0, "its slots were missed");
    let mut late = gated();
    late.refine(at(0), text(STATE, 2_000_000, "RUN"));
    late.unknown(PointId(STATE), UtcMicros(1_999_999));
    assert_eq!(kept(&mut late, std::slice::from_ref(&after)), 1, "slots before its first reading, told after it");
    late.away(PointId(STATE), UtcMicros(1_000_000));
    assert_eq!(kept(&mut late, &[number(4_000_000)]), 0, "its device is away, and the clock was set back");
}

/// An order number in clear or as a pseudonym, and a number beside it.
fn ordered(pseudonym: bool) -> Refinery {
    let mut steps = vec![deadband("0")];
    steps.extend(pseudonym.then_some(Step::Pseudonym));
    let order = Export { context: Some(ContextKind::Batch), ..export(D0, &steps).unwrap() };
    let points = vec![point(BuiltinType::Int32, export(D0, &[])), point(BuiltinType::String, Some(order))];
    Refinery::new(plan(vec![dataset(Class::General, 3, 1_000)], points))
}

/// (first reading, text) of the runs.
fn runs(batch: &Batch) -> Vec<(usize, Option<String>)> {
    let text = |value: &Value| match value {
        Value::String(text) => text.to_string(),
        other => panic!("{other:?}"),
    };
    batch.context().iter().map(|run| (run.start, run.value.as_ref().map(text))).collect()
}

fn told(number: usize, text: &str) -> (usize, Option<String>) {
    (number, Some(text.to_owned()))
}

#[test]
fn every_batch_says_in_which_context_its_readings_were_taken() {
    let mut refinery = ordered(false);
    let day = [
        text(STATE, 1, "4711"),
        number(2),
        number(3),
        number(4),
        text(STATE, 5, "4711"),
        text(STATE, 6, "4712"),
        number(7),
    ];
    let mut batches: Vec<Batch> = day.into_iter().filter_map(|reading| refinery.refine(at(0), reading)).collect();
    refinery.refine(at(0), Reading::bad(PointId(STATE), StatusCode::BAD_TIMEOUT, UtcMicros(8)));
    batches.extend(refinery.close(at(0), D0));
    refinery.refine(at(0), number(9));
    batches.extend(refinery.close(at(0), D0));
    let found: Vec<_> = batches.iter().map(runs).collect();
    let expected =
        [vec![told(0, "4711")], vec![told(0, "4711"), told(1, "4712")], vec![told(0, "4712"), (0, None)], vec![]];
    assert_eq!(found, expected, "it goes on over batches and ends when nobody knows");
    assert_eq!((batches[0].context()[0].alias, batches[0].context()[0].kind), (10, ContextKind::Batch));
}

#[test]
fn a_context_is_told_as_it_leaves_and_ends_with_the_rights() {
    let mut refinery = ordered(true);
    refinery.refine(at(0), text(STATE, 1, "4711"));
    assert_eq!(runs(&refinery.close(at(0), D0).unwrap()), [], "without its key nothing is told");
    refinery.set_pseudonym_key(D0, PseudonymKey::new(&[7; 32]));
    refinery.refine(at(0), text(STATE, 2, "4711"));
    let batch = refinery.close(at(0), D0).unwrap();
    let name = runs(&batch).remove(0).1.unwrap();
    assert!(name.len() == 32 && !name.contains("4711"));
    assert_eq!(Some(&Value::String(name.into())), batch.readings()[0].value());
    refinery.set_ceiling(D0, Some(Class::General));
    refinery.refine(at(0), number(3));
    assert_eq!(runs(&refinery.close(at(0), D0).unwrap()), []);
}

/// Every batch repeats what holds: a value that fills a message would leave no room for readings.
#[test]
fn a_text_too_long_for_a_name_is_no_context_and_is_counted() {
    let mut refinery = ordered(false);
    let longest = "x".repeat(CONTEXT_VALUE_MAX);
    let heaviest = "y".repeat(VALUE_WEIGHT_MAX - 1);
    let mut batches: Vec<Batch> = Vec::new();
    for reading in
        [text(STATE, 1, &longest), text(STATE, 2, &format!("{longest}x")), text(STATE, 3, &heaviest), number(4)]
    {
        batches.extend(refinery.refine(at(0), reading));
    }
    batches.extend(refinery.close(at(0), D0));
    assert_eq!(batches.iter().map(runs).collect::<Vec<_>>(), [vec![told(0, &longest), (1, None)], vec![]]);
    assert_eq!(batches.iter().map(|batch| batch.readings().len()).sum::<usize>(), 4, "the readings leave");
    assert_eq!(refinery.contexts_too_long(), 2);
}

/// What is said about readings weighs as much as the readings do.
#[test]
fn contexts_that_change_with_every_reading_fill_a_batch_early() {
    let order = Export { context: Some(ContextKind::Batch), ..export(D0, &[]).unwrap() };
    let points = vec![point(BuiltinType::Int32, None), point(BuiltinType::String, Some(order))];
    let mut refinery = Refinery::new(plan(vec![dataset(Class::General, 100_000, 1_000)], points));
    let value = |n: i64| format!("{n:0>CONTEXT_VALUE_MAX$}");
    let full = (0..100_000).find_map(|n| refinery.refine(at(0), text(STATE, n, &value(n)))).unwrap();
    assert_eq!(full.readings().len(), VALUE_WEIGHT_MAX / (2 * CONTEXT_VALUE_MAX));
}

#[test]
fn a_context_ends_when_its_device_is_away() {
    let mut refinery = ordered(false);
    refinery.refine(at(0), text(STATE, 1, "4711"));
    refinery.refine(at(0), number(2));
    refinery.unknown(PointId(STATE), UtcMicros(3));
    let batch = refinery.refine(at(0), number(4)).unwrap();
    assert_eq!(runs(&batch), [told(0, "4711"), (2, None)]);
    // The order number is the same, which its deadband would not tell.
    refinery.refine(at(0), text(STATE, 5, "4711"));
    refinery.unknown(PointId(STATE), UtcMicros(4));
    refinery.refine(at(0), number(6));
    let batch = refinery.refine(at(0), number(7)).unwrap();
    assert_eq!(runs(&batch), [told(0, "4711")], "it is back, and what was missed before it is told late");
}

#[test]
fn a_class_is_lowered_by_a_step_that_is_there_and_by_nothing_else() {
    let classes = [None, Some(Class::General), Some(Class::Important)];
    for seed in 0..2_000 {
        let mut dice = Dice(seed);
        let (declared, after) = (dice.pick(&classes), dice.pick(&classes));
        let by = dice.pick(&StepId::ALL);
        let steps = if dice.one_in(2) { vec![round("1")] } else { vec![deadband("1"), Step::Pseudonym] };
        let lowered = declared.map(|from| Lowered { from, by, reason: "a test".to_owned() });
        let export = Export { lowered, ..Export::new(D0, 0, after, steps.clone()) };
        let leaving = export.leaving_class();
        let is_there = steps.iter().any(|step| step.id() == by);
        assert_eq!(leaving.is_none(), after.is_none(), "unlabelled stays unlabelled");
        assert!(leaving >= after, "nothing makes it lower than what is told");
        if !is_there && after.is_some() {
            assert!(leaving >= declared, "seed {seed}: without the step the stricter holds");
        }
        let ceiling = dice.pick(&[Class::General, Class::Important]);
        let point = point(BuiltinType::Int32, Some(export));
        let mut refinery = Refinery::new(plan(vec![dataset(ceiling, 10, 1_000)], vec![point]));
        refinery.set_pseudonym_key(D0, PseudonymKey::new(&[7; 32]));
        let bundle = refinery_ceiling(&mut dice, &mut refinery, ceiling);
        refinery.refine(at(0), int(0, 7));
        let kept = refinery.close(at(0), D0).unwrap().readings().len();
        assert_eq!(kept == 1, leaving.is_some_and(|class| class <= bundle), "seed {seed}");
    }
}

/// Sets a bundle's ceiling; gives the stricter of it and the plant's.
fn refinery_ceiling(dice: &mut Dice, refinery: &mut Refinery, plant: Class) -> Class {
    let bundle = dice.pick(&[Class::General, Class::Important]);
    refinery.set_ceiling(D0, Some(bundle));
    bundle.min(plant)
}
