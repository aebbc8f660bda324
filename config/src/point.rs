use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use lingate_drivers::Point;
use lingate_drivers::settings::{Problem, Table, nearest};
use lingate_model::{Class, Decimal, DeviceName, EquipmentPath, PointName, Ucum};
use lingate_refine::{ContextKind, DatasetIndex, Export, Lowered, PointPlan, Step, StepId};

use crate::dataset::Datasets;
use crate::device::EVERY;
use crate::keys::require;
use crate::minimize::{self, Placed, Shape, When, Wish};
use crate::{class, ucum};

/// The keys that no driver reads.
pub(crate) const COMMON: [&str; 8] =
    ["name", "unit", "range", "dataset", "class", "class_after", "context", "minimize"];

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
    /// Of its dataset.
    defaults: Arc<[Placed]>,
}

/// A place in a dataset.
struct Admission {
    dataset: DatasetIndex,
    alias: u32,
    /// Of what leaves.
    class: Option<Class>,
    lowered: Option<Lowering>,
    context: Option<ContextKind>,
}

/// `class_after = { class = "general", by = "aggregate", reason = "..." }`, and where `by` stands.
struct Lowering {
    lowered: Lowered,
    span: Range<usize>,
    path: String,
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
    let defaults = export.as_ref().map_or_else(Arc::default, |export| datasets.minimize(export.dataset));
    let path = table.path().to_owned();
    problems.extend(table.take_problems());
    Common { name, name_span, every, unit, range, range_span, path, export, steps, defaults }
}

/// A point without dataset stays in the plant; what would only concern its export would do nothing.
fn admit(table: &mut Table<'_>, datasets: &mut Datasets) -> Option<Admission> {
    if !table.has("dataset") {
        let _ = table.take("dataset");
        report_idle(table);
        return None;
    }
    let declared = class::read(require(table, "class", class::EXAMPLE), class::OF_POINT);
    let lowered = lowering(table, declared);
    let class = lowered.as_ref().map_or(declared, |(after, _)| Some(*after));
    let lowered = lowered.map(|(_, lowering)| lowering);
    let context = table.take("context").word(&ContextKind::ALL.map(|kind| (kind.name(), kind)));
    let id = table.take("dataset").string()?;
    match datasets.join(&id, class) {
        Ok(joined) => joined.map(|(dataset, alias)| Admission { dataset, alias, class, lowered, context }),
        Err((what, hint)) => {
            table.problem("dataset", what, hint);
            None
        }
    }
}

/// The class of what leaves, and why it is lower than that of what is read.
fn lowering(point: &mut Table<'_>, declared: Option<Class>) -> Option<(Class, Lowering)> {
    let mut table = point.take("class_after").table()?;
    let after = class::read(require(&mut table, "class", "\"general\""), class::OF_POINT);
    let (span, path) = (table.span_of("by"), table.path_of("by"));
    let example = "\"aggregate\", the step of this point that lowers it";
    let by = require(&mut table, "by", example).parsed_with(|key| {
        let hint = "write the key of one of the point's steps, such as \"aggregate\" or \"pseudonym\"";
        minimize::step_of_key(key).ok_or_else(|| ("is no step".to_owned(), Some(hint.to_owned())))
    });
    let reason = require(&mut table, "reason", "\"an hourly mean tells no recipe\", for whoever signs").string();
    if let (Some(declared), Some(after)) = (declared, after)
        && after >= declared
    {
        let hint = "take class_after out, or declare the class of what is read".to_owned();
        table.problem("class", format!("is {after}, and what is read is {declared}: nothing is lowered"), Some(hint));
    }
    point.add_problems(table.finish());
    let lowered = Lowered { from: declared?, by: by?, reason: reason? };
    Some((after?, Lowering { lowered, span, path }))
}

fn report_idle(table: &mut Table<'_>) {
    let is_misspelt = table.keys().any(|key| nearest(key, ["dataset"]).is_some());
    let is_class = class::read(table.take("class"), class::OF_POINT).is_some();
    let is_set = |key| table.has(key);
    let others = ["minimize", "context", "class_after"].map(|key| (key, is_set(key)));
    ["context", "class_after"].into_iter().for_each(|key| drop(table.take(key)));
    for (key, is_set) in [("class", is_class)].into_iter().chain(others) {
        if is_set && !is_misspelt {
            let hint =
                format!("a point without dataset never leaves the plant: add dataset = \"...\", or take {key} out");
            table.problem(key, "does nothing without a dataset", Some(hint));
        }
    }
}

impl Admission {
    /// A class is only lowered by a step that is there.
    fn unjustified(&self, steps: &[Step]) -> Option<Problem> {
        let Lowering { lowered, span, path } = self.lowered.as_ref()?;
        let is_there = steps.iter().any(|step| step.id() == lowered.by);
        (!is_there).then(|| Problem {
            span: span.clone(),
            path: path.clone(),
            what: "is not among the steps of this point: its class is not lowered".to_owned(),
            hint: Some("add the step to minimize, or take class_after out".to_owned()),
        })
    }

    /// That a batch or a phase has ended must not be hidden.
    fn hides_context(&self, steps: &[Step], path: &str, span: &Range<usize>) -> Option<Problem> {
        self.context?;
        let hiding = [StepId::ContextGate, StepId::QualityFilter, StepId::Aggregate, StepId::SwingingDoor];
        let step = steps.iter().find(|step| hiding.contains(&step.id()))?;
        Some(Problem {
            span: span.clone(),
            path: format!("{path}.context"),
            what: format!("would not be told when it ends: step M{} may suppress it", step.id() as u8),
            hint: Some("take only_when, quality, aggregate and swinging_door out of a context point".to_owned()),
        })
    }
}

impl Common {
    /// What its conditions speak of, in their order: the point's own first.
    pub(crate) fn whens(&self) -> Vec<When> {
        let of = |placed: &Placed| match &placed.wish {
            Wish::OnlyWhen(whens) => whens.clone(),
            _ => Vec::new(),
        };
        self.steps.iter().chain(self.defaults.iter()).flat_map(of).collect()
    }

    /// Joins what the gateway and the driver know of the point; what does not fit together is a problem.
    pub(crate) fn plan(
        self,
        device: &DeviceName,
        equipment: &EquipmentPath,
        point: &Point,
        problems: &mut Vec<Problem>,
    ) -> Arc<PointPlan> {
        let shape = Shape::of(point, self.range);
        let (mut steps, misfits) = minimize::with_defaults(&self.steps, &self.defaults, shape);
        problems.extend(misfits);
        if let Some(export) = &self.export {
            problems.extend(export.unjustified(&steps));
            problems.extend(export.hides_context(&steps, &self.path, &self.name_span));
            if export.context.is_some() && !steps.iter().any(|step| step.id() == StepId::Deadband) {
                // A context is told when it changes.
                steps.push(Step::deadband(Decimal::ZERO));
                steps.sort_by_key(Step::id);
            }
        }
        if let Some(what) = minimize::no_number(shape).filter(|_| self.range.is_some()) {
            problems.push(Problem {
                span: self.range_span,
                path: format!("{}.range", self.path),
                what,
                hint: Some("take it out".to_owned()),
            });
        }
        let keeps_unit = steps.iter().all(|step| match step {
            Step::Aggregate { function, .. } => function.keeps_unit(),
            _ => true,
        });
        let name = self.name.as_ref().map_or("", PointName::as_str);
        Arc::new(PointPlan {
            id: point.id,
            name: format!("{device}/{name}"),
            builtin_type: point.builtin_type,
            rank: point.rank,
            places: minimize::places(&steps, point.places),
            unit: self.unit.filter(|_| keeps_unit),
            range: self.range.filter(|_| keeps_unit),
            equipment: equipment.clone(),
            interval: point.interval,
            source: format!("{device} {}", point.source),
            export: self.export.map(|Admission { dataset, alias, class, lowered, context }| Export {
                lowered: lowered.map(|lowering| lowering.lowered),
                context,
                ..Export::new(dataset, alias, class, steps)
            }),
        })
    }
}
