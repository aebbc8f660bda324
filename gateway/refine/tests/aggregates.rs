//! Windows against the definitions of OPC 10000-13, computed slowly from all readings at once; swinging doors against
//! their deviation.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;
#[path = "common/dice.rs"]
#[allow(dead_code, reason = "only its numbers are used")]
mod dice;

use std::time::Duration;

use common::*;
use dice::Dice;
use lingate_model::{BuiltinType, Class, ClockState, Now, PointId, Reading, Severity, StatusCode, UtcMicros, Value};
use lingate_refine::{AggregateFunction, Minimized, PointPlan, Refinery, Step};

const SECOND: i64 = 1_000_000;
const INTERVAL: i64 = 10 * SECOND;
/// Two readings of a point that is read every second.
const REACH: i64 = 2 * SECOND;

fn now(micros: i64) -> Now {
    Now { monotonic: Duration::from_micros(micros.unsigned_abs()), utc: UtcMicros(micros), clock: ClockState::Synced }
}

fn refinery(builtin_type: BuiltinType, step: Step) -> Refinery {
    let plan_of = PointPlan { interval: Duration::from_secs(1), ..point(builtin_type, export(D0, &[step])) };
    Refinery::new(plan(vec![dataset(Class::General, 100_000, 3_600_000)], vec![plan_of]))
}

fn aggregate(function: AggregateFunction) -> Step {
    Step::Aggregate { function, interval: Duration::from_micros(INTERVAL.unsigned_abs()) }
}

/// Everything that leaves for these readings; the gateway stops at `stop`.
fn told(mut refinery: Refinery, readings: &[Reading], stop: i64) -> Vec<Minimized> {
    let mut told = Vec::new();
    for reading in readings {
        let now = now(reading.gateway_time.0);
        told.extend(refinery.refine(now, reading.clone()));
        told.extend(std::iter::from_fn(|| refinery.due(now)));
    }
    told.extend(refinery.end(now(stop), D0));
    told.iter().flat_map(|batch| batch.readings().to_vec()).collect()
}

/// (seconds, value), all good.
fn good(values: &[(f64, f64)]) -> Vec<Reading> {
    let reading = |(at, value): &(f64, f64)| {
        Reading::good(PointId(0), Value::Double(*value), UtcMicros((*at * SECOND as f64) as i64))
    };
    values.iter().map(reading).collect()
}

fn random_readings(dice: &mut Dice) -> Vec<Reading> {
    let mut at = dice.below(30_000_000) as i64;
    let reading = |_| {
        at += match dice.below(12) {
            0 => dice.below(25_000_000) as i64,
            1 => INTERVAL - at % INTERVAL,
            _ => dice.below(1_500_000) as i64,
        };
        let value = Value::Int32(dice.below(200) as i32 - 100);
        let status = match dice.below(9) {
            0 => StatusCode::BAD_SENSOR_FAILURE,
            1 => StatusCode::UNCERTAIN,
            _ => StatusCode::GOOD,
        };
        let value = Some(value).filter(|_| !status.is_bad());
        Reading { value, ..Reading::bad(PointId(0), status, UtcMicros(at)) }
    };
    (0..60).map(reading).collect()
}

#[test]
fn every_aggregate_is_what_its_definition_gives() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let readings = random_readings(&mut dice);
        let stop = readings.last().unwrap().gateway_time.0 + dice.below(15_000_000) as i64;
        for function in AggregateFunction::ALL {
            let found = told(refinery(BuiltinType::Int32, aggregate(function)), &readings, stop);
            let expected = reference(function, &readings, stop);
            assert_eq!(found.len(), expected.len(), "seed {seed} {function}");
            for (found, (start, value, status)) in found.iter().zip(expected) {
                let at = found.stamp().gateway_time;
                assert_eq!((at, found.status()), (UtcMicros(start), status), "seed {seed} {function} at {start}");
                let number = found.value().and_then(Value::approximate);
                assert!(is_near(number, value), "seed {seed} {function} at {start}: {number:?} for {value:?}");
            }
        }
    }
}

fn is_near(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0),
        _ => one.is_none() && other.is_none(),
    }
}

#[derive(Clone, Copy)]
struct Raw {
    at: i64,
    value: Option<f64>,
    severity: Severity,
}

impl Raw {
    fn good(&self) -> Option<f64> {
        self.value.filter(|_| self.severity == Severity::Good)
    }
}

type Expected = (i64, Option<f64>, StatusCode);

/// (begin, value, status) of every window in which something was read.
fn reference(function: AggregateFunction, readings: &[Reading], stop: i64) -> Vec<Expected> {
    let raw = |reading: &Reading| Raw {
        at: reading.gateway_time.0,
        value: reading.value.as_ref().and_then(Value::approximate),
        severity: reading.status.severity(),
    };
    let raws: Vec<Raw> = readings.iter().map(raw).collect();
    let mut starts: Vec<i64> = raws.iter().map(|raw| raw.at - raw.at % INTERVAL).collect();
    starts.dedup();
    starts.into_iter().map(|start| window(function, &raws, start, stop)).collect()
}

fn window(function: AggregateFunction, raws: &[Raw], start: i64, stop: i64) -> Expected {
    use AggregateFunction::*;
    let end = (start + INTERVAL).min(stop.max(raws.last().unwrap().at));
    let inside: Vec<Raw> = raws.iter().copied().filter(|raw| (start..start + INTERVAL).contains(&raw.at)).collect();
    let before = raws.iter().rev().find(|raw| raw.at < start).copied();
    let goods: Vec<f64> = inside.iter().filter_map(Raw::good).collect();
    let bad = inside.iter().filter(|raw| raw.severity == Severity::Bad).count();
    let others = inside.len() - goods.len();
    let is_partial = end < start + INTERVAL || (before.is_none() && inside[0].at > start);
    let (lowest, highest) = (edge(&goods, f64::min), edge(&goods, f64::max));
    let uncertain = || inside.iter().filter(|raw| raw.severity == Severity::Uncertain).filter_map(|raw| raw.value);
    let is_lower = uncertain().any(|value| lowest.is_some_and(|lowest| value < lowest));
    let is_higher = uncertain().any(|value| highest.is_some_and(|highest| value > highest));
    let at_extreme = |extreme: Option<f64>| -> u32 {
        let at: Vec<i64> =
            inside.iter().filter(|raw| raw.good() == extreme && extreme.is_some()).map(|raw| raw.at).collect();
        let many = at.iter().any(|time| *time != at[0]);
        u32::from(at.first() != Some(&start)) | if many { 0x10 } else { 0 }
    };
    let (good_time, bad_time, area) = held(before, &inside, start, end);
    let percent = match good_time + bad_time {
        0 => inside.last().and_then(Raw::good).map_or(0.0, |_| 100.0),
        whole => good_time as f64 / whole as f64 * 100.0,
    };
    let (value, is_doubtful, bits) = match function {
        Average => (mean(&goods), others > 0, 1),
        Count => (Some(goods.len() as f64).filter(|n| *n > 0.0), others > 0, 1),
        Minimum => (lowest, bad > 0 || is_lower, at_extreme(lowest)),
        Maximum => (highest, bad > 0 || is_higher, at_extreme(highest)),
        Range => (highest.zip(lowest).map(|(h, l)| h - l), bad > 0 || is_lower || is_higher, 1),
        StandardDeviationSample => (deviation(&goods, 1), false, 1),
        StandardDeviationPopulation => (deviation(&goods, 0), false, 1),
        PercentGood => (Some(percent), false, 1),
        PercentBad => (Some(100.0 - percent), false, 1),
        TimeAverage2 if good_time > 0 => (Some(area / good_time as f64), bad_time > 0, 1),
        TimeAverage2 => (inside.last().and_then(Raw::good), bad_time > 0, 1),
        TimeAverage => {
            let (value, is_guessed) = sloped(raws, &inside, start, end, stop);
            (value, others > 0 || is_guessed, 1)
        }
        Interpolative => {
            let raw = inside.iter().find(|raw| raw.at == start && raw.good().is_some());
            let first = inside.iter().find(|raw| raw.good().is_some());
            let line = first.and_then(|first| at_line(good_before(raws, start)?, *first, start));
            let value = raw.and_then(Raw::good).or(line.map(f64::round_ties_even));
            (value, others > 0, if raw.is_some() { 0 } else { 2 })
        }
    };
    let Some(value) = value else { return (start, None, StatusCode::BAD_NO_DATA) };
    let severity = if is_doubtful { StatusCode::UNCERTAIN_DATA_SUB_NORMAL.0 } else { 0 };
    let bits = bits | if is_partial { 4 } else { 0 };
    (start, Some(value), StatusCode(severity | if bits == 0 { 0 } else { 0x400 | bits }))
}

fn edge(goods: &[f64], choose: fn(f64, f64) -> f64) -> Option<f64> {
    goods.iter().copied().reduce(choose)
}

fn mean(goods: &[f64]) -> Option<f64> {
    (!goods.is_empty()).then(|| goods.iter().sum::<f64>() / goods.len() as f64)
}

fn deviation(goods: &[f64], less: usize) -> Option<f64> {
    let mean = mean(goods)?;
    let squares: f64 = goods.iter().map(|good| (good - mean).powi(2)).sum();
    Some((squares / goods.len().saturating_sub(less).max(1) as f64).sqrt())
}

/// Microseconds good and bad, and the area under the good ones, each reading held until the next.
fn held(before: Option<Raw>, inside: &[Raw], start: i64, end: i64) -> (i64, i64, f64) {
    let first = before.map(|raw| Raw { at: start, ..raw });
    let all: Vec<Raw> = first.into_iter().chain(inside.iter().copied()).collect();
    let ends = all.iter().skip(1).map(|raw| raw.at).chain([end]);
    all.iter().zip(ends).fold((0, 0, 0.0), |(good, bad, area), (raw, until)| match raw.good() {
        Some(value) => (good + until - raw.at, bad, area + value * (until - raw.at) as f64),
        None => (good, bad + until - raw.at, area),
    })
}

/// The last good reading before, if it is near enough.
fn good_before(raws: &[Raw], start: i64) -> Option<Raw> {
    let before = raws.iter().rev().find(|raw| raw.at < start && raw.good().is_some()).copied();
    before.filter(|before| start - before.at <= INTERVAL + REACH)
}

fn at_line(from: Raw, to: Raw, at: i64) -> Option<f64> {
    let share = (at - from.at) as f64 / (to.at - from.at) as f64;
    Some(from.good()? + (to.good()? - from.good()?) * share)
}

/// Mean height of the lines between good readings, and whether their end was guessed.
fn sloped(raws: &[Raw], inside: &[Raw], start: i64, end: i64, stop: i64) -> (Option<f64>, bool) {
    let goods: Vec<Raw> = inside.iter().copied().filter(|raw| raw.good().is_some()).collect();
    let (Some(first), Some(last)) = (goods.first(), goods.last()) else { return (None, false) };
    let point = |at: i64, value: Option<f64>| Raw { at, value, severity: Severity::Good };
    let left = good_before(raws, start).filter(|_| first.at > start);
    let left = left.map(|before| point(start, at_line(before, *first, start)));
    // The reading that closes the window shows where the line led to.
    let next = raws.iter().find(|raw| raw.at >= start + INTERVAL && raw.at <= stop.max(raw.at));
    let next = next.filter(|next| next.good().is_some() && next.at - (start + INTERVAL) <= REACH);
    let value = next.map_or(last.good(), |next| at_line(*last, *next, end));
    let line: Vec<Raw> = left.into_iter().chain(goods.iter().copied()).chain([point(end, value)]).collect();
    let span = end - line[0].at;
    if span == 0 {
        return (last.good(), false);
    }
    let part =
        |pair: &[Raw]| (pair[0].value.unwrap() + pair[1].value.unwrap()) / 2.0 * (pair[1].at - pair[0].at) as f64;
    (Some(line.windows(2).map(part).sum::<f64>() / span as f64), next.is_none() && last.at < end)
}

#[test]
fn a_window_is_closed_by_time_when_nothing_more_is_read() {
    let mut refinery = refinery(BuiltinType::Double, aggregate(AggregateFunction::TimeAverage2));
    let readings = good(&[(0.0, 10.0), (5.0, 20.0)]);
    for reading in &readings {
        assert!(refinery.refine(now(reading.gateway_time.0), reading.clone()).is_none());
    }
    let wake = refinery.wake_at().unwrap();
    assert_eq!(wake, Duration::from_secs(10 + 4), "its end, two readings and two seconds");
    assert!(refinery.due(Now { monotonic: wake - Duration::from_micros(1), ..now(0) }).is_none());
    assert!(refinery.due(Now { monotonic: wake, ..now(0) }).is_none(), "it waits in a batch");
    let batch = refinery.close(now(20 * SECOND), D0).unwrap();
    assert_eq!(batch.readings()[0].value().and_then(Value::approximate), Some(15.0));
    assert_eq!(batch.readings()[0].status(), StatusCode(0x0401));
}

#[test]
fn an_epoch_ends_without_cutting_a_window_and_a_stop_says_that_it_did() {
    let mut refinery = refinery(BuiltinType::Double, aggregate(AggregateFunction::Average));
    for reading in good(&[(0.0, 1.0), (1.0, 3.0)]) {
        refinery.refine(now(reading.gateway_time.0), reading);
    }
    assert_eq!(refinery.close(now(2 * SECOND), D0), None, "what is not counted is not told");
    refinery.refine(now(3 * SECOND), good(&[(3.0, 5.0)]).remove(0));
    let batch = refinery.end(now(4 * SECOND), D0).unwrap();
    assert_eq!(batch.readings()[0].value().and_then(Value::approximate), Some(3.0));
    assert_eq!(batch.readings()[0].status(), StatusCode(0x0405), "Calculated, Partial");
    assert_eq!(batch.steps()[0].seen, 3);
}

#[test]
fn a_clock_that_jumps_cuts_the_window_and_says_so() {
    let readings = good(&[(1000.0, 1.0), (1001.0, 3.0), (500.0, 8.0), (501.0, 8.0), (5000.0, 2.0)]);
    let found = told(refinery(BuiltinType::Double, aggregate(AggregateFunction::Average)), &readings, 5_001 * SECOND);
    let found: Vec<_> = found
        .iter()
        .map(|told| (told.stamp().gateway_time.seconds(), told.value().and_then(Value::approximate), told.status().0))
        .collect();
    let expected = [(1000, Some(2.0), 0x405), (500, Some(8.0), 0x401), (5000, Some(2.0), 0x405)];
    assert_eq!(found, expected, "the second is whole: it was read from its begin to its end");
}

/// What leaves for source times (seconds) that come every tenth of a second.
fn begins(source_times: impl Iterator<Item = f64>) -> Vec<i64> {
    let readings = (1_i64..).zip(source_times).map(|(tick, source)| {
        let source = UtcMicros((source * SECOND as f64) as i64);
        let reading = Reading::good(PointId(0), Value::Double(1.0), UtcMicros(tick * SECOND / 10));
        Reading { source_time: Some(source.into()), ..reading }
    });
    let readings: Vec<Reading> = readings.collect();
    let stop = readings.last().unwrap().gateway_time.0;
    let told = told(refinery(BuiltinType::Double, aggregate(AggregateFunction::Average)), &readings, stop);
    told.iter().map(|told| told.stamp().source_time.unwrap().utc().seconds()).collect()
}

#[test]
fn a_late_reading_neither_cuts_a_window_nor_tells_one_twice() {
    let stragglers = (0..600).map(|tick| f64::from(tick) / 10.0 - if tick % 3 == 1 { 4.0 } else { 0.0 });
    assert_eq!(begins(stragglers.map(|at| at.max(0.0))), [0, 10, 20, 30, 40, 50]);
    let across_an_edge = (0..100).map(|tick| if tick % 2 == 0 { 999.9 } else { 1000.1 });
    assert_eq!(begins(across_an_edge), [990, 1000]);
}

#[test]
fn a_source_whose_clock_swings_gets_no_window_for_each_reading() {
    let swings = (0..1_000).map(|tick| if tick % 2 == 0 { 5_000.0 } else { 1_000.0 });
    let told = begins(swings).len();
    assert!((2..=2 * 100 / 10).contains(&told), "{told} in 100 s of 10 s windows, for 1000 readings");
}

#[test]
fn a_time_in_which_nothing_was_read_counts_as_bad() {
    let mut refinery = refinery(BuiltinType::Double, aggregate(AggregateFunction::PercentGood));
    let readings = good(&[(0.0, 1.0), (2.0, 1.0)]);
    for reading in readings {
        refinery.refine(now(reading.gateway_time.0), reading);
    }
    refinery.unknown(PointId(0), UtcMicros(4 * SECOND));
    refinery.refine(now(10 * SECOND), good(&[(10.0, 1.0)]).remove(0));
    let batch = refinery.end(now(10 * SECOND), D0).unwrap();
    assert_eq!(batch.readings()[0].value().and_then(Value::approximate), Some(40.0));
}

#[test]
fn a_time_in_which_nothing_was_read_ends_with_the_next_reading_even_if_it_is_told_later() {
    let mut refinery = refinery(BuiltinType::Double, aggregate(AggregateFunction::PercentGood));
    for reading in good(&[(0.0, 1.0), (6.0, 1.0)]) {
        refinery.refine(now(reading.gateway_time.0), reading);
    }
    refinery.unknown(PointId(0), UtcMicros(4 * SECOND));
    refinery.refine(now(10 * SECOND), good(&[(10.0, 1.0)]).remove(0));
    let batch = refinery.end(now(10 * SECOND), D0).unwrap();
    assert_eq!(batch.readings()[0].value().and_then(Value::approximate), Some(80.0));
}

#[test]
fn a_range_that_the_type_cannot_hold_is_told_as_bad() {
    let reading = |at: i64, value| Reading::good(PointId(0), Value::Int16(value), UtcMicros(at * SECOND));
    let readings = [reading(0, i16::MIN), reading(1, i16::MAX)];
    let found = told(refinery(BuiltinType::Int16, aggregate(AggregateFunction::Range)), &readings, INTERVAL);
    assert_eq!(found[0].status(), StatusCode::BAD_AGGREGATE_INVALID_INPUTS);
}

#[test]
fn a_swinging_door_stays_within_its_deviation_and_its_interval() {
    for seed in 0..2_000 {
        let mut dice = Dice(seed);
        let deviation = [0.5, 2.0, 10.0][dice.below(3) as usize];
        let max = dice.one_in(2).then(|| 5 + dice.below(20) as i64);
        let (mut at, mut value) = (0, 0.0);
        let walk = (0..80).map(|_| {
            at += 1 + dice.below(2_000_000) as i64;
            value += (dice.below(9) as f64 - 4.0) / 3.0;
            Reading::good(PointId(0), Value::Double(value), UtcMicros(at))
        });
        let readings: Vec<Reading> = walk.collect();
        let step = Step::SwingingDoor {
            deviation: deviation.to_string().parse().unwrap(),
            max_interval: max.map(|max| Duration::from_secs(max.unsigned_abs())),
        };
        let kept = told(refinery(BuiltinType::Double, step), &readings, at);
        check_line(seed, &readings, &kept, deviation, max.map(|max| max * SECOND));
    }
}

fn check_line(seed: u64, readings: &[Reading], kept: &[Minimized], deviation: f64, max: Option<i64>) {
    let number = |value: Option<&Value>| value.and_then(Value::approximate).unwrap();
    let line: Vec<(i64, f64)> = kept.iter().map(|k| (k.stamp().gateway_time.0, number(k.value()))).collect();
    assert_eq!(line.first().unwrap().0, readings[0].gateway_time.0, "seed {seed}");
    assert_eq!(line.last().unwrap().0, readings.last().unwrap().gateway_time.0, "seed {seed}");
    for reading in readings {
        let (at, value) = (reading.gateway_time.0, number(reading.value.as_ref()));
        let right = line.iter().position(|(time, _)| *time >= at).unwrap();
        let (from, to) = (line[right.saturating_sub(1)], line[right]);
        let span = (to.0 - from.0).max(1) as f64;
        let on_line = if to.0 == at { to.1 } else { from.1 + (to.1 - from.1) * (at - from.0) as f64 / span };
        assert!((on_line - value).abs() <= deviation + 1e-9, "seed {seed} at {at}: {on_line} for {value}");
    }
    for pair in line.windows(2) {
        let between = readings.iter().filter(|r| (pair[0].0 + 1..pair[1].0).contains(&r.gateway_time.0)).count();
        let is_long = max.is_some_and(|max| pair[1].0 - pair[0].0 > max);
        assert!(!is_long || between == 0, "seed {seed}: longer than the interval although something was read");
    }
}
