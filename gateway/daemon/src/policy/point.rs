//! One point: where it is read, and what becomes of it.

use std::time::Duration;

use lingate_config::{DevicePlan, Plan};
use lingate_drivers::{Acquisition, Point};
use lingate_model::Class;
use lingate_refine::{ContextKind, Export, Lowered, PointPlan, Step};
use lingate_seal::Grant;
use serde::Serialize;

use crate::policy::basis::Basis;
use crate::policy::reason::{self, Reason};
use crate::policy::{DatasetPolicy, StepPolicy, Volume};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PointPolicy {
    /// `device/point`
    pub(crate) name: String,
    pub(crate) device: String,
    pub(crate) driver: &'static str,
    /// Of the device.
    pub(crate) address: String,
    /// Where in the device: `holding:102 unit 1`
    pub(crate) source: String,
    pub(crate) equipment: String,
    /// `Double`, `Int32[]`
    pub(crate) value_type: String,
    pub(crate) unit: Option<String>,
    pub(crate) range: Option<(String, String)>,
    pub(crate) interval_ms: u64,
    /// It sends changes, and not a value at every interval.
    pub(crate) subscribed: bool,
    /// What is read in so long a time, and no more.
    pub(crate) at_most: AtMost,
    pub(crate) dataset: Option<String>,
    pub(crate) purpose: Option<String>,
    /// Of what leaves.
    pub(crate) class: Option<String>,
    /// Of what is read, where the steps lower it, and why they do.
    pub(crate) lowered: Option<LoweredClass>,
    /// What it tells of the others of its equipment: `batch`, `phase`, `lot`, `recipe`, `state`.
    pub(crate) context: Option<&'static str>,
    pub(crate) state: State,
    /// Why it does not leave.
    pub(crate) reason: Option<Reason>,
    /// Roles.
    pub(crate) recipients: Vec<String>,
    /// In the fixed order; every point passes M1 and M2 before.
    pub(crate) steps: Vec<StepPolicy>,
    pub(crate) volume: Volume,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AtMost {
    pub(crate) readings: u32,
    pub(crate) per_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LoweredClass {
    pub(crate) from: String,
    /// The step that lowers it.
    pub(crate) by: u8,
    /// The plant's words.
    pub(crate) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Leaves,
    /// The plant's file allows it, and no bundle is there that could grant it.
    Waits,
    Stays,
}

/// All points in the order of the file. `datasets`: by `DatasetIndex`.
pub(crate) fn judge(basis: &Basis, datasets: &[(DatasetPolicy, Option<Grant>)]) -> Vec<PointPolicy> {
    let plan = &basis.plan;
    let of_device = |device: &DevicePlan| {
        let read = |(place, point): (usize, &Point)| Read {
            device: device.name.to_string(),
            driver: device.kind,
            address: device.device.address(),
            subscribed: point.acquisition == Acquisition::Subscribed,
            at_most: AtMost::of(device.device.at_most(place)),
        };
        device.device.points().iter().enumerate().map(read).collect::<Vec<_>>()
    };
    let read = plan.devices.iter().flat_map(of_device);
    let judged = plan.export.points.iter().zip(read).map(|(point, read)| {
        let Read { device, driver, address, subscribed, at_most } = read;
        let export = point.export.as_ref().map(|export| (export, &datasets[export.dataset.index()]));
        let (state, reason) = match export {
            None => (State::Stays, Some(unassigned(plan, point))),
            Some((export, dataset)) => verdict(export, dataset),
        };
        let dataset = export.map(|(_, (dataset, _))| dataset);
        let recipients = dataset.filter(|_| state == State::Leaves).map(|dataset| &dataset.recipients);
        PointPolicy {
            name: point.name.clone(),
            source: point.source.strip_prefix(&format!("{device} ")).unwrap_or(&point.source).to_owned(),
            device,
            driver,
            address,
            equipment: point.equipment.to_string(),
            value_type: value_type(point),
            unit: point.unit.as_ref().map(ToString::to_string),
            range: point.range.map(|(low, high)| (low.to_string(), high.to_string())),
            interval_ms: u64::try_from(point.interval.as_millis()).unwrap_or(u64::MAX),
            subscribed,
            at_most,
            dataset: dataset.map(|dataset| dataset.id.clone()),
            purpose: dataset.map(|dataset| dataset.purpose.id.clone()),
            class: export.and_then(|(export, _)| export.class).map(|class| class.to_string()),
            lowered: export.and_then(|(export, _)| export.lowered.as_ref()).map(LoweredClass::of),
            context: export.and_then(|(export, _)| export.context).map(ContextKind::name),
            state,
            reason,
            recipients: recipients.into_iter().flatten().map(|recipient| recipient.role.clone()).collect(),
            steps: export.map(|(export, _)| export.steps.iter().map(StepPolicy::of).collect()).unwrap_or_default(),
            volume: Volume::default(),
        }
    });
    judged.collect()
}

/// What the driver says of a point.
struct Read {
    device: String,
    driver: &'static str,
    address: String,
    subscribed: bool,
    at_most: AtMost,
}

impl AtMost {
    fn of((readings, time): (u32, Duration)) -> AtMost {
        AtMost { readings, per_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1) }
    }
}

impl LoweredClass {
    fn of(lowered: &Lowered) -> LoweredClass {
        LoweredClass { from: lowered.from.to_string(), by: lowered.by as u8, reason: lowered.reason.clone() }
    }
}

/// M1 and M2, as the refinery applies them.
fn verdict(export: &Export, (dataset, grant): &(DatasetPolicy, Option<Grant>)) -> (State, Option<Reason>) {
    let Some(class) = export.leaving_class() else { return (State::Stays, Some(reason::no_class())) };
    match (grant, &dataset.denied) {
        (Some(grant), _) if class > grant.ceiling => above(class, grant.ceiling),
        (Some(_), _) => (State::Leaves, None),
        (None, Some(denied)) if *denied == reason::no_bundle() => (State::Waits, Some(denied.clone())),
        (None, denied) => (State::Stays, denied.clone()),
    }
}

/// It may still decide what leaves of others (M3).
fn unassigned(plan: &Plan, point: &PointPlan) -> Reason {
    let is_asked = |step: &Step| match step {
        Step::OnlyWhen(conditions) => conditions.iter().any(|condition| condition.point == point.id),
        _ => false,
    };
    let exports =
        plan.export.points.iter().filter(|other| other.export.iter().flat_map(|export| &export.steps).any(is_asked));
    let gated: Vec<&str> = exports.map(|other| other.name.as_str()).collect();
    reason::no_dataset(&gated)
}

fn above(class: Class, ceiling: Class) -> (State, Option<Reason>) {
    (State::Stays, Some(reason::above_ceiling(class, ceiling)))
}

fn value_type(point: &PointPlan) -> String {
    let dimensions = ["", "[]", "[,]", "[,,]"].get(usize::from(point.rank)).copied().unwrap_or("[...]");
    format!("{:?}{dimensions}", point.exported_type())
}
