use std::sync::Arc;

use lingate_refine::{DatasetPlan, PointPlan, Step};

use crate::scale::Scale;
use crate::wire;

/// Number of the catalogue's schema.
const SCHEMA: u32 = 1;

/// What a receiver needs to understand a batch: alias to tag, by alias.
pub(crate) fn catalogue(dataset: &DatasetPlan, points: &[Arc<PointPlan>]) -> wire::Catalogue {
    let tags = points.iter().zip(0..).map(|(point, alias)| tag(dataset, point, alias)).collect();
    wire::Catalogue { schema: SCHEMA, tags }
}

/// The resolution that a column of this point counts in; only floats have one.
pub(crate) fn scale_of(point: &PointPlan) -> Option<Scale> {
    point.places.filter(|_| point.builtin_type.is_floating()).and_then(Scale::of_places)
}

fn tag(dataset: &DatasetPlan, point: &PointPlan, alias: u32) -> wire::Tag {
    let export = point.export.as_ref();
    let without_scale = if point.builtin_type.is_floating() { 0.0 } else { 1.0 };
    wire::Tag {
        alias,
        name: point.name.clone(),
        builtin_type: point.builtin_type as u32,
        scale: scale_of(point).map_or(without_scale, Scale::resolution),
        range: point.range.map(|(low, high)| wire::Range { low: low.to_f64(), high: high.to_f64() }),
        equipment: point.equipment.to_string(),
        class: export.and_then(|export| export.class).map_or(0, |class| class as u32),
        purposes: vec![dataset.purpose.to_string()],
        steps: export.map_or_else(Vec::new, |export| export.steps.iter().map(step).collect()),
        interval_ms: u32::try_from(point.interval.as_millis()).unwrap_or(u32::MAX),
        source: point.source.clone(),
        ucum: point.unit.as_ref().map_or_else(String::new, ToString::to_string),
        ..wire::Tag::default()
    }
}

fn step(step: &Step) -> wire::Step {
    let (name, value) = step.parameter();
    wire::Step {
        id: step.id() as u32,
        term: step.id().term().to_owned(),
        parameters: [(name.to_owned(), value)].into(),
    }
}
