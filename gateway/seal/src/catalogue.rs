use std::collections::BTreeSet;
use std::sync::Arc;

use lingate_model::Class;
use lingate_refine::{DatasetPlan, Export, PointPlan, Step};

use crate::described::DescribedDevice;
use crate::scale::Scale;
use crate::{described, wire};

/// Number of the payload's schema. 2: columns that name their places, and blocks.
pub const SCHEMA: u32 = 2;

/// What a receiver needs to understand a batch: alias to tag, by alias. Of a point above the ceiling only the alias
/// stands there: its readings do not leave, and neither does its name. Devices are told of the other points only.
pub(crate) fn catalogue(
    dataset: &DatasetPlan,
    points: &[Arc<PointPlan>],
    devices: &[DescribedDevice],
    ceiling: Class,
) -> wire::Catalogue {
    let tag = |(point, alias): (&Arc<PointPlan>, u32)| match is_told(point, ceiling) {
        true => tag(dataset, point, alias),
        false => wire::Tag { alias, ..wire::Tag::default() },
    };
    let told: BTreeSet<&str> =
        points.iter().filter(|point| is_told(point, ceiling)).map(|point| device_of(point)).collect();
    let devices = devices.iter().filter(|device| told.contains(device.name.as_str()));
    wire::Catalogue {
        schema: SCHEMA,
        tags: points.iter().zip(0..).map(tag).collect(),
        devices: described::to_wire(devices),
    }
}

/// Whether catalogue and lineage may speak of a point: an unlabelled one, or one above the ceiling, never leaves.
pub(crate) fn is_told(point: &PointPlan, ceiling: Class) -> bool {
    let class = point.export.as_ref().and_then(Export::leaving_class);
    class.is_some_and(|class| class <= ceiling)
}

/// The resolution that a column of this point counts in; only floats have one, and only by themselves.
pub(crate) fn scale_of(point: &PointPlan) -> Option<Scale> {
    point.places.filter(|_| point.exported_type().is_floating() && point.rank == 0).and_then(Scale::of_places)
}

/// Of `device/point`.
fn device_of(point: &PointPlan) -> &str {
    point.name.split_once('/').map_or("", |(device, _)| device)
}

fn tag(dataset: &DatasetPlan, point: &PointPlan, alias: u32) -> wire::Tag {
    let export = point.export.as_ref();
    let lowered = export.and_then(|export| export.lowered.as_ref());
    let exported = point.exported_type();
    let without_scale = if exported.is_floating() { 0.0 } else { 1.0 };
    wire::Tag {
        alias,
        name: point.name.clone(),
        builtin_type: exported as u32,
        scale: scale_of(point).map_or(without_scale, Scale::resolution),
        range: point.range.map(|(low, high)| wire::Range { low: low.to_f64(), high: high.to_f64() }),
        equipment: point.equipment.to_string(),
        class: export.and_then(Export::leaving_class).map_or(0, |class| class as u32),
        purposes: vec![dataset.purpose.to_string()],
        steps: export.map_or_else(Vec::new, |export| export.steps.iter().map(step).collect()),
        interval_ms: u32::try_from(point.interval.as_millis()).unwrap_or(u32::MAX),
        source: point.source.clone(),
        dimensions: point.rank.into(),
        context: export.and_then(|export| export.context).map_or(0, |kind| kind as i32),
        class_before: lowered.map(|lowered| lowered.from as u32),
        class_step: lowered.map_or(0, |lowered| lowered.by as u32),
        class_reason: lowered.map_or_else(String::new, |lowered| lowered.reason.clone()),
        ucum: point.unit.as_ref().map_or_else(String::new, ToString::to_string),
        ..wire::Tag::default()
    }
}

fn step(step: &Step) -> wire::Step {
    wire::Step {
        id: step.id() as u32,
        term: step.term().to_owned(),
        parameters: step.parameters().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}
