//! What the simulated plant allows to leave: two devices, two datasets, every kind of rule.

use std::sync::Arc;
use std::time::Duration;

use lingate_engine::Placed;
use lingate_model::{BuiltinType, Class, DeviceName, PointId, Priority};
use lingate_refine::{DatasetIndex, DatasetPlan, Export, ExportPlan, Flush, PointPlan, Step};

use crate::rights::PURPOSE;

/// Point numbers of the plan.
pub mod point {
    /// Dataset `ds-press`, with a ceiling of important, without steps.
    pub const COUNTER: u32 = 0;
    pub const WEIGHT: u32 = 1;
    /// Dataset `ds-oven`: text, a deadband with rounding, an integer deadband.
    pub const LABEL: u32 = 2;
    pub const TEMPERATURE: u32 = 3;
    pub const LEVEL: u32 = 4;
    /// Listed without a class: never leaves.
    pub const SECRET: u32 = 5;
    /// In no dataset.
    pub const GATE: u32 = 6;
    pub const COUNT: u32 = 7;
}

pub(crate) const DATASETS: [&str; 2] = ["ds-press", "ds-oven"];
pub(crate) const FLUSH_AGE: Duration = Duration::from_millis(400);

pub(crate) struct Device {
    pub(crate) name: &'static str,
    pub(crate) points: std::ops::Range<u32>,
    pub(crate) interval: Duration,
}

pub(crate) const DEVICES: [Device; 2] = [
    Device { name: "press", points: point::COUNTER..point::LABEL, interval: Duration::from_millis(200) },
    Device { name: "oven", points: point::LABEL..point::COUNT, interval: Duration::from_millis(330) },
];

pub(crate) fn device_of(point: u32) -> &'static Device {
    DEVICES.iter().find(|device| device.points.contains(&point)).expect("every point has a device")
}

pub(crate) fn devices() -> Vec<(DeviceName, PointId)> {
    let name = |device: &Device| device.name.parse().expect("a device name");
    DEVICES.iter().map(|device| (name(device), PointId(device.points.start))).collect()
}

pub(crate) fn placed(export: ExportPlan) -> Placed {
    let count = |device: &Device| device.points.len();
    let devices = devices().into_iter().zip(&DEVICES).map(|((name, first), device)| (name, first, count(device)));
    Placed::as_written(export, devices.collect())
}

/// Where a point's readings go; `None` if they stay.
pub(crate) fn dataset_of(point: u32) -> Option<usize> {
    match point {
        point::COUNTER | point::WEIGHT => Some(0),
        point::LABEL | point::TEMPERATURE | point::LEVEL | point::SECRET => Some(1),
        _ => None,
    }
}

pub fn export_plan() -> ExportPlan {
    export_plan_at(1)
}

/// What the oven's level must move by.
pub fn set_level_deadband(plan: &mut ExportPlan, by: &str) {
    let level = Arc::make_mut(&mut plan.points[point::LEVEL as usize]);
    let export = level.export.as_mut().expect("the level leaves");
    export.steps = vec![Step::deadband(by.parse().expect("a decimal"))];
}

/// The press is read, and nothing of it leaves.
pub fn without_press(plan: &mut ExportPlan) {
    plan.datasets.remove(0);
    for point in plan.points.iter_mut().map(Arc::make_mut) {
        point.export.take_if(|export| export.dataset == DatasetIndex(0));
        point.export.iter_mut().for_each(|export| export.dataset = DatasetIndex(0));
    }
}

/// A plant so many times slower: what makes a year bearable.
pub(crate) fn export_plan_at(pace: u32) -> ExportPlan {
    let mut plan = ExportPlan {
        datasets: vec![
            dataset(DATASETS[0], Class::Important, Priority::High, 0),
            dataset(DATASETS[1], Class::General, Priority::Normal, 64),
        ],
        points: Vec::new(),
    };
    plan.datasets.iter_mut().for_each(|dataset| dataset.flush.age *= pace);
    plan.points = (0..point::COUNT).map(|number| Arc::new(point_plan(number, pace))).collect();
    plan
}

pub(crate) fn with_steps(mut plan: ExportPlan, beside: &[(u32, Step)]) -> ExportPlan {
    for (point, step) in beside {
        let export = Arc::make_mut(&mut plan.points[*point as usize]).export.as_mut().expect("a point of a dataset");
        export.steps.push(step.clone());
        export.steps.sort_by_key(Step::id);
    }
    plan
}

fn dataset(id: &str, ceiling: Class, priority: Priority, padding: u32) -> DatasetPlan {
    DatasetPlan {
        id: id.parse().expect("a dataset id"),
        purpose: PURPOSE.parse().expect("a purpose id"),
        ceiling,
        flush: Flush { readings: 12, age: FLUSH_AGE },
        priority,
        padding,
    }
}

fn point_plan(number: u32, pace: u32) -> PointPlan {
    let (name, builtin_type, places) = match number {
        point::COUNTER => ("counter", BuiltinType::UInt32, None),
        point::WEIGHT => ("weight", BuiltinType::Double, Some(3)),
        point::LABEL => ("label", BuiltinType::String, None),
        point::TEMPERATURE => ("temperature", BuiltinType::Double, Some(1)),
        point::LEVEL => ("level", BuiltinType::Int16, None),
        point::SECRET => ("secret", BuiltinType::Int32, None),
        _ => ("gate", BuiltinType::Boolean, None),
    };
    let device = device_of(number);
    PointPlan {
        id: PointId(number),
        name: format!("{}/{name}", device.name),
        export: export(number),
        builtin_type,
        rank: 0,
        places,
        unit: None,
        range: None,
        equipment: "acme/lingang/hall-1/line-2".parse().expect("an equipment path"),
        interval: device.interval * pace,
        source: format!("simulated {number}"),
    }
}

fn export(number: u32) -> Option<Export> {
    let dataset = dataset_of(number)?;
    let first = if dataset == 0 { point::COUNTER } else { point::LABEL };
    let decimal = |text: &str| text.parse().expect("a decimal");
    let steps = match number {
        point::TEMPERATURE => vec![Step::deadband(decimal("0.5")), Step::Round { to: decimal("0.1") }],
        point::LEVEL => vec![Step::deadband(decimal("20"))],
        _ => Vec::new(),
    };
    let class = match number {
        point::SECRET => None,
        _ => Some(Class::General),
    };
    Some(Export::new(DatasetIndex(dataset as u16), number - first, class, steps))
}
