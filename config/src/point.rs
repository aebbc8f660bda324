use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use lingate_drivers::Point;
use lingate_drivers::settings::{Problem, Table, nearest};
use lingate_model::{Class, Decimal, DeviceName, EquipmentPath, PointName, Ucum};
use lingate_refine::{DatasetIndex, Export, PointPlan, Step};

use crate::dataset::Datasets;
use crate::device::EVERY;
use crate::keys::require;
use crate::minimize::{self, Placed, Shape};
use crate::{class, ucum};

/// What every driver's points have in common.
pub(crate) struct Common {
    pub(crate) name: Option<PointName>,
    pub(crate) name_span: Range<usize>,
    pub(crate) every: Option<Duration>,
    unit: Option<Ucum>,
    range: Option<(Decimal, Decimal)>,
    range_span: Range<usize>,
    path: String,
    export: Option<Admission>,
    steps: Vec<Placed>,
}

/// A place in a dataset.
struct Admission {
    dataset: DatasetIndex,
    alias: u32,
    class: Option<Class>,
}

/// Takes the common keys out of a point's table and leaves the driver's in it.
pub(crate) fn read(table: &mut Table<'_>, datasets: &mut Datasets, problems: &mut Vec<Problem>) -> Common {
    let name_span = table.span_of("name");
    let name = require(table, "name", "\"melt_temperature_zone_1\", unique in its device").parsed();
    let every = table.take("every").duration(EVERY);
    let unit = table.take("unit").parsed_with(ucum::parse);
    let range_span = table.span_of("range");
    let range = table.take("range").decimal_range();
    let export = admit(table, datasets);
    let steps = minimize::read(table, problems);
    let path = table.path().to_owned();
    problems.extend(table.take_problems());
    Common { name, name_span, every, unit, range, range_span, path, export, steps }
}

/// A point without dataset stays in the plant; what would only concern its export would do nothing.
fn admit(table: &mut Table<'_>, datasets: &mut Datasets) -> Option<Admission> {
    if !table.has("dataset") {
        let _ = table.take("dataset");
        report_idle(table);
        return None;
    }
    let class = class::read(require(table, "class", class::EXAMPLE), class::OF_POINT);
    let id = table.take("dataset").string()?;
    match datasets.join(&id, class) {
        Ok(joined) => joined.map(|(dataset, alias)| Admission { dataset, alias, class }),
        Err((what, hint)) => {
            table.problem("dataset", what, hint);
            None
        }
    }
}

fn report_idle(table: &mut Table<'_>) {
    let is_misspelt = table.keys().any(|key| nearest(key, ["dataset"]).is_some());
    let is_class = class::read(table.take("class"), class::OF_POINT).is_some();
    for (key, is_set) in [("class", is_class), ("minimize", table.has("minimize"))] {
        if is_set && !is_misspelt {
            let hint =
                format!("a point without dataset never leaves the plant: add dataset = \"...\", or take {key} out");
            table.problem(key, "does nothing without a dataset", Some(hint));
        }
    }
}

impl Common {
    /// Joins what the gateway and the driver know of the point; what does not fit together is a problem.
    pub(crate) fn plan(
        self,
        device: &DeviceName,
        equipment: &EquipmentPath,
        point: &Point,
        problems: &mut Vec<Problem>,
    ) -> Arc<PointPlan> {
        let shape = Shape::of(point, self.range);
        let (steps, misfits): (Vec<_>, Vec<_>) =
            self.steps.iter().map(|placed| placed.fit(shape)).partition(Result::is_ok);
        problems.extend(misfits.into_iter().filter_map(Result::err));
        if let Some(what) = minimize::no_number(shape).filter(|_| self.range.is_some()) {
            problems.push(Problem {
                span: self.range_span,
                path: format!("{}.range", self.path),
                what,
                hint: Some("take it out".to_owned()),
            });
        }
        let steps: Vec<Step> = steps.into_iter().filter_map(Result::ok).collect();
        let name = self.name.as_ref().map_or("", PointName::as_str);
        Arc::new(PointPlan {
            id: point.id,
            name: format!("{device}/{name}"),
            builtin_type: point.builtin_type,
            rank: point.rank,
            places: minimize::places(&steps, point.places),
            unit: self.unit,
            range: self.range,
            equipment: equipment.clone(),
            interval: point.interval,
            source: format!("{device} {}", point.source),
            export: self.export.map(|Admission { dataset, alias, class }| Export::new(dataset, alias, class, steps)),
        })
    }
}
