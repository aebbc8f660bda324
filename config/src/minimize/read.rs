use std::ops::RangeInclusive;
use std::time::Duration;

use lingate_drivers::settings::Table;
use lingate_model::Decimal;
use lingate_refine::{AggregateFunction, Band, Mask, Quality, Step, StepId};

use super::{Wish, when};
use crate::keys::{optional, require};

/// The key that names each step, and how it is read.
const KEYS: [(&str, StepId, Read); 10] = [
    ("only_when", StepId::ContextGate, when::read),
    ("quality", StepId::QualityFilter, quality),
    ("aggregate", StepId::Aggregate, aggregate),
    ("deadband", StepId::Deadband, deadband),
    ("swinging_door", StepId::SwingingDoor, swinging_door),
    ("round", StepId::Rounding, round),
    ("clip", StepId::Clip, clip),
    ("coarsen", StepId::TimeCoarsening, coarsen),
    ("pseudonym", StepId::Pseudonym, pseudonym),
    ("mask", StepId::Masking, mask),
];

/// Keys that stand beside one of them.
const BESIDE: [&str; 3] = ["max_interval", "interval", "with"];

pub(super) type Read = fn(&mut Table<'_>) -> Option<Wish>;

const HEARTBEAT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
const COARSE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(86_400);

const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// What stands in the place of what a mask finds.
const MASKED: &str = "*";

/// The keys of the table that name a step.
pub(super) fn step_keys(table: &Table<'_>) -> impl Iterator<Item = &'static str> {
    let names: Vec<&str> = table.keys().collect();
    KEYS.iter().map(|(key, ..)| *key).filter(move |key| names.contains(key))
}

pub(crate) fn step_of_key(key: &str) -> Option<StepId> {
    KEYS.iter().find(|(name, ..)| *name == key).map(|(_, step, _)| *step)
}

/// So that a misspelt key finds its neighbour, and what stands beside is not reported twice.
pub(super) fn know_all(table: &mut Table<'_>) {
    let keys = KEYS.iter().map(|(key, ..)| *key);
    keys.chain(BESIDE).for_each(|key| drop(table.take(key)));
}

pub(super) fn step(table: &mut Table<'_>, key: &'static str) -> Option<Wish> {
    let (.., read) = KEYS.iter().find(|(name, ..)| *name == key)?;
    read(table)
}

fn quality(table: &mut Table<'_>) -> Option<Wish> {
    let keeps = table.take("quality").word(&[("good", Quality::Good), ("not-bad", Quality::NotBad)])?;
    Some(Wish::Step(Step::Quality { keeps }))
}

/// `deadband = 0.5` or `deadband = "2%"`, with `max_interval = "10m"` if told.
fn deadband(table: &mut Table<'_>) -> Option<Wish> {
    let max_interval = table.take("max_interval").duration(HEARTBEAT);
    match table.take("deadband").parsed_or_number(amount)? {
        Amount::Absolute(by) => Some(Wish::Step(Step::Deadband(Band { by, percent: None, max_interval }))),
        Amount::Percent(percent) => Some(Wish::PercentDeadband { percent, max_interval }),
    }
}

/// `aggregate = "TimeAverage"` with `interval = "1m"`.
fn aggregate(table: &mut Table<'_>) -> Option<Wish> {
    let names = AggregateFunction::ALL.map(|function| (function.name(), function));
    let function = table.take("aggregate").word(&names);
    let interval = require(table, "interval", "\"1m\", the length of a window").duration(WINDOW);
    Some(Wish::Step(Step::Aggregate { function: function?, interval: interval? }))
}

/// `swinging_door = 0.5` or `swinging_door = "1%"`, with `max_interval = "10m"` if told.
fn swinging_door(table: &mut Table<'_>) -> Option<Wish> {
    let max_interval = table.take("max_interval").duration(HEARTBEAT);
    match table.take("swinging_door").parsed_or_number(amount)? {
        Amount::Absolute(deviation) => Some(Wish::Step(Step::SwingingDoor { deviation, max_interval })),
        Amount::Percent(percent) => Some(Wish::PercentDoor { percent, max_interval }),
    }
}

fn pseudonym(table: &mut Table<'_>) -> Option<Wish> {
    table.take("pseudonym").word(&[("hmac-sha-256", ())])?;
    Some(Wish::Step(Step::Pseudonym))
}

/// `mask = "[0-9]{6,}"`, with `with = "#"` if told.
fn mask(table: &mut Table<'_>) -> Option<Wish> {
    let with = optional(table, "with", String::new(), |key| key.parsed_with(|text| Ok(text.to_owned())));
    let with = with.filter(|_| table.has("with")).unwrap_or_else(|| MASKED.to_owned());
    let hint = "write a pattern as for the regex crate, such as mask = \"[A-Z]{2}[0-9]{4,}\"";
    let mask =
        table.take("mask").parsed_with(|text| Mask::new(text, &with).map_err(|what| (what, Some(hint.to_owned()))))?;
    Some(Wish::Step(Step::Mask(mask)))
}

fn round(table: &mut Table<'_>) -> Option<Wish> {
    let to = positive(table, "round")?;
    Some(Wish::Step(Step::Round { to }))
}

/// `clip = [0, 400]`, or `clip = { low = 0 }` for one limit.
fn clip(table: &mut Table<'_>) -> Option<Wish> {
    if !table.is_table("clip") {
        let (low, high) = table.take("clip").decimal_range()?;
        return Some(Wish::Step(Step::Clip { low: Some(low), high: Some(high) }));
    }
    let mut limits = table.take("clip").table()?;
    let (low, high) = (limits.take("low").decimal(), limits.take("high").decimal());
    let is_upside_down = low.zip(high).is_some_and(|(low, high)| low.to_f64() >= high.to_f64());
    if is_upside_down || (low.is_none() && high.is_none()) {
        let what = if is_upside_down { "lies above the upper limit" } else { "stands without any limit" };
        limits.problem("low", what, Some("write clip = [0, 400], or clip = { high = 400 }".to_owned()));
    }
    let problems = limits.finish();
    let is_whole = problems.is_empty();
    table.add_problems(problems);
    is_whole.then_some(Wish::Step(Step::Clip { low, high }))
}

fn coarsen(table: &mut Table<'_>) -> Option<Wish> {
    let to = table.take("coarsen").duration(COARSE)?;
    Some(Wish::Step(Step::Coarsen { to }))
}

fn positive(table: &mut Table<'_>, key: &'static str) -> Option<Decimal> {
    let amount = table.take(key).decimal()?;
    if !amount.is_positive() {
        let hint = "write the smallest change that matters, or take the step out".to_owned();
        table.problem(key, format!("is {amount}, expected more than 0"), Some(hint));
        return None;
    }
    Some(amount)
}

enum Amount {
    Absolute(Decimal),
    Percent(Decimal),
}

fn amount(text: &str) -> Result<Amount, (String, Option<String>)> {
    let hint = || Some("write 0.5 in the point's unit, or \"2%\" of its range".to_owned());
    let (number, is_percent) = text.strip_suffix('%').map_or((text, false), |number| (number.trim_end(), true));
    let number: Decimal = number.parse().map_err(|error| (format!("{error}"), hint()))?;
    match number.is_positive() {
        false => Err(("is not more than 0".to_owned(), hint())),
        true if is_percent && number.to_f64() >= 100.0 => {
            Err(("is the whole range: no change would leave".to_owned(), hint()))
        }
        true if is_percent => Ok(Amount::Percent(number)),
        true => Ok(Amount::Absolute(number)),
    }
}
