//! How much leaves a day, as far as a configuration can tell.
//!
//! - *At most*: a reading at every interval - of a subscribed point as many as its server is asked to keep between two
//!   publishes, because the server decides when it looks -, none suppressed, no value compressed, batches closed by age.
//! - *Typical*: a point that is thinned out by a deadband or a swinging door sends one in [`THINNED`] of its readings, a
//!   value costs what the resolution of its steps leaves of it. A preview's measurement replaces the former.
//!
//! Not in it: what a history brings after a downtime, what is sent again over a bad link. Of texts and structures nobody
//! knows the length: [`TEXT`] bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use lingate_config::Plan;
use lingate_model::BuiltinType;
use lingate_refine::{DatasetPlan, PointPlan, Step, StepId};
use lingate_seal::Grant;
use serde::{Deserialize, Serialize};

use crate::policy::point::AtMost;
use crate::policy::{Policy, State};

const DAY: f64 = 86_400.0;
pub(crate) const THINNED: f64 = 10.0;
pub(crate) const TEXT: f64 = 256.0;

/// Of one DATA message around its columns: envelope, signature, tag, times and counts of the batch.
const MESSAGE: (f64, f64) = (360.0, 290.0);
/// Of each point that has a reading in a message.
const COLUMN: (f64, f64) = (24.0, 8.0);
/// KEY, catalogue, lineage and close of an epoch, then of each recipient, then of each point.
const EPOCH: (f64, f64) = (9_000.0, 4_500.0);
const RECIPIENT: (f64, f64) = (1_400.0, 130.0);
const DESCRIBED_POINT: (f64, f64) = (700.0, 90.0);
/// If no bundle says it.
const EPOCH_SECONDS: f64 = 3_600.0;

/// Of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Volume {
    pub(crate) readings_max: u64,
    pub(crate) readings_typical: u64,
    pub(crate) bytes_max: u64,
    pub(crate) bytes_typical: u64,
}

/// What a preview found: of each point the readings that it kept, and in how many seconds.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    /// By `device/point`.
    pub(crate) kept: BTreeMap<String, u64>,
}

/// At most, and typically.
#[derive(Clone, Copy, Default)]
struct Amount {
    most: f64,
    typical: f64,
}

impl Amount {
    fn of((most, typical): (f64, f64)) -> Amount {
        Amount { most, typical }
    }

    fn plus(self, other: Amount) -> Amount {
        Amount { most: self.most + other.most, typical: self.typical + other.typical }
    }

    fn times(self, other: Amount) -> Amount {
        Amount { most: self.most * other.most, typical: self.typical * other.typical }
    }

    fn share(self, of: Amount) -> Amount {
        let part = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        Amount { most: part(self.most, of.most), typical: part(self.typical, of.typical) }
    }
}

/// Of every point that leaves or waits for a grant. `grants`: by dataset.
pub(crate) fn fill(policy: &mut Policy, plan: &Plan, grants: &[Option<Grant>], measured: &Measured) {
    for (index, dataset) in plan.export.datasets.iter().enumerate() {
        let is_member = |point: &&PointPlan| point.export.as_ref().is_some_and(|e| e.dataset.index() == index);
        let members: Vec<&PointPlan> = plan.export.points.iter().map(|point| &**point).filter(is_member).collect();
        let members: Vec<(&PointPlan, usize)> = members
            .into_iter()
            .map(|point| (point, point.id.index()))
            .filter(|(_, at)| policy.points[*at].state != State::Stays)
            .collect();
        let readings: Vec<Amount> =
            members.iter().map(|(point, at)| readings(point, policy.points[*at].at_most, measured)).collect();
        let all = readings.iter().fold(Amount::default(), |sum, one| sum.plus(*one));
        let around = around(dataset, grants[index].as_ref(), all, members.len());
        let mut total = Volume::default();
        for ((point, at), readings) in members.into_iter().zip(readings) {
            let values = readings.times(value(point, policy.points[at].subscribed));
            // By its slots, so that what is typical never comes out above the most.
            let share = readings.most / all.most.max(1.0);
            let volume = volume(readings, values.plus(around.times(Amount::of((share, share)))));
            policy.points[at].volume = volume;
            total = total.plus(volume);
        }
        policy.datasets[index].volume = total;
        policy.volume = policy.volume.plus(total);
    }
}

fn readings(point: &PointPlan, at_most: AtMost, measured: &Measured) -> Amount {
    let steps = point.export.as_ref().map_or(&[][..], |export| &export.steps);
    let window = steps.iter().find_map(|step| match step {
        Step::Aggregate { interval, .. } => Some(interval.as_secs_f64()),
        _ => None,
    });
    let read = f64::from(at_most.readings) * DAY * 1_000.0 / at_most.per_ms as f64;
    // A window gives one value, and one more where it is cut.
    let most = window.map_or(read, |seconds| read.min(DAY / seconds + 1.0));
    let slots = window.unwrap_or(point.interval.max(Duration::from_millis(1)).as_secs_f64());
    let typical = match measured.kept.get(&point.name) {
        Some(kept) if measured.seconds > 0.0 => (*kept as f64 / measured.seconds * DAY).min(most),
        _ => (DAY / slots / thinning(steps)).min(most),
    };
    Amount { most: most.ceil(), typical: typical.ceil() }
}

/// One in so many readings is assumed to leave.
fn thinning(steps: &[Step]) -> f64 {
    let is_thinned = steps.iter().any(|step| matches!(step.id(), StepId::Deadband | StepId::SwingingDoor));
    if is_thinned { THINNED } else { 1.0 }
}

/// A reading's own bytes: its value, its row in the batch, and the times of the device where it tells them.
fn value(point: &PointPlan, tells_times: bool) -> Amount {
    let times = if tells_times { Amount::of((22.0, 3.0)) } else { Amount::default() };
    let is_counted = point.places.is_some() && point.rank == 0;
    let of = match point.exported_type() {
        _ if point.rank > 0 => (TEXT, TEXT),
        BuiltinType::Boolean | BuiltinType::SByte | BuiltinType::Byte => (18.0, 1.5),
        kind if kind.is_numeric() && (is_counted || !kind.is_floating()) => (26.0, 2.5),
        kind if kind.is_numeric() => (26.0, 8.0),
        BuiltinType::DateTime | BuiltinType::StatusCode => (26.0, 5.0),
        _ => (TEXT, TEXT / 8.0),
    };
    Amount::of(of).plus(times)
}

/// What is around the values of a dataset: messages and epochs.
fn around(dataset: &DatasetPlan, grant: Option<&Grant>, readings: Amount, points: usize) -> Amount {
    if points == 0 {
        return Amount::default();
    }
    let (points, recipients) = (points as f64, grant.map_or(1.0, |grant| grant.recipients.len() as f64));
    let messages = Amount { most: messages_most(dataset, readings.most), typical: messages(dataset, readings.typical) };
    let columns = |per_message: f64| per_message.min(points);
    let filled = readings.share(messages);
    let columns = Amount { most: columns(filled.most.max(1.0)), typical: columns(filled.typical) };
    let padding = f64::from(dataset.padding);
    let message = Amount::of(MESSAGE)
        .plus(Amount::of(COLUMN).times(columns))
        .plus(Amount { most: padding, typical: padding / 2.0 });
    let many = |count: f64| Amount { most: count, typical: count };
    let opening = Amount::of(EPOCH)
        .plus(Amount::of(RECIPIENT).times(many(recipients)))
        .plus(Amount::of(DESCRIBED_POINT).times(many(points)))
        .plus(Amount { most: 4.0 * padding, typical: 2.0 * padding });
    let epochs = |messages: f64| {
        let by_time = DAY / grant.map_or(EPOCH_SECONDS, |grant| f64::from(grant.epoch_seconds.max(1)));
        by_time + messages / grant.map_or(1e6, |grant| f64::from(grant.epoch_messages.max(4)) - 3.0)
    };
    let epochs = Amount { most: epochs(messages.most).ceil() + 1.0, typical: epochs(messages.typical).ceil() };
    messages.times(message).plus(epochs.times(opening))
}

/// A batch waits for its age behind its first reading, or is full.
fn messages(dataset: &DatasetPlan, readings: f64) -> f64 {
    if readings <= 0.0 {
        return 0.0;
    }
    let by_age = DAY / (dataset.flush.age.as_secs_f64() + DAY / readings);
    by_age.max(readings / f64::from(dataset.flush.readings)).min(readings).ceil()
}

/// Both limits may close batches, never more of them than there are readings.
fn messages_most(dataset: &DatasetPlan, readings: f64) -> f64 {
    let by_age = DAY / dataset.flush.age.as_secs_f64().max(0.01);
    (by_age + readings / f64::from(dataset.flush.readings)).min(readings).ceil()
}

fn volume(readings: Amount, bytes: Amount) -> Volume {
    let whole = |amount: f64| amount.ceil().max(0.0) as u64;
    Volume {
        readings_max: whole(readings.most),
        readings_typical: whole(readings.typical),
        bytes_max: whole(bytes.most),
        bytes_typical: whole(bytes.typical),
    }
}

impl Volume {
    fn plus(self, other: Volume) -> Volume {
        Volume {
            readings_max: self.readings_max.saturating_add(other.readings_max),
            readings_typical: self.readings_typical.saturating_add(other.readings_typical),
            bytes_max: self.bytes_max.saturating_add(other.bytes_max),
            bytes_typical: self.bytes_typical.saturating_add(other.bytes_typical),
        }
    }
}
