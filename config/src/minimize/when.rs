//! `{ only_when = { point = "etcher/state", is = ["RUN", 4], max_age = "30s" } }`, or a list of such tables: all must hold.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use lingate_drivers::settings::{Comparable, Problem, Table, nearest};
use lingate_model::{BuiltinType, PointId};
use lingate_refine::{Condition, PointPlan, Scalar, Test};

use super::Wish;

const CONDITIONS: RangeInclusive<usize> = 1..=8;
const VALUES: RangeInclusive<usize> = 1..=64;
const AGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(86_400);

/// A condition before anybody knows which point it speaks of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct When {
    /// `device/point`, or a point of the same device.
    point: String,
    test: Test,
    max_age: Option<Duration>,
    span: Range<usize>,
    path: String,
}

pub(super) fn read(table: &mut Table<'_>) -> Option<Wish> {
    let conditions = match table.is_list("only_when") {
        true => table.take("only_when").tables(CONDITIONS),
        false => table.take("only_when").table().into_iter().collect(),
    };
    let count = conditions.len();
    let mut whens = Vec::new();
    for mut condition in conditions {
        whens.extend(one(&mut condition));
        table.add_problems(condition.finish());
    }
    (count > 0 && whens.len() == count).then_some(Wish::OnlyWhen(whens))
}

fn one(table: &mut Table<'_>) -> Option<When> {
    let (span, path) = (table.span_of("point"), table.path_of("point"));
    let point = table.require("point").string();
    let is = scalars(table, "is");
    let is_not = scalars(table, "is_not");
    let (low, high) = (table.take("at_least").decimal(), table.take("at_most").decimal());
    let max_age = table.take("max_age").duration(AGE);
    let test = match (is.is_empty(), is_not.is_empty(), low.is_none() && high.is_none()) {
        (false, true, true) => Test::Is(is),
        (true, false, true) => Test::IsNot(is_not),
        (true, true, false) => Test::Within { low, high },
        _ => {
            let hint = "write one of is = [\"RUN\"], is_not = [0], or at_least = 3 and at_most = 5";
            table.problem("point", "is compared with nothing, or in two ways", Some(hint.to_owned()));
            return None;
        }
    };
    Some(When { point: point?, test, max_age, span, path })
}

fn scalars(table: &mut Table<'_>, key: &'static str) -> Vec<Scalar> {
    let scalar = |comparable| match comparable {
        Comparable::Boolean(value) => Scalar::Boolean(value),
        Comparable::Number(value) => Scalar::Number(value),
        Comparable::Text(text) => Scalar::Text(text),
    };
    table.take(key).comparables(VALUES).into_iter().map(scalar).collect()
}

/// Every point of the file by `device/point`.
pub(crate) struct PointNames<'a>(BTreeMap<&'a str, &'a PointPlan>);

impl<'a> PointNames<'a> {
    pub(crate) fn of(points: impl Iterator<Item = &'a PointPlan>) -> PointNames<'a> {
        PointNames(points.map(|point| (point.name.as_str(), point)).collect())
    }
}

impl When {
    /// Before its point is known.
    pub(super) fn open(&self) -> Condition {
        let When { point, test, max_age, .. } = self;
        Condition { point: PointId(u32::MAX), name: point.clone(), test: test.clone(), max_age: *max_age }
    }

    /// With the point that it speaks of, seen from `device/point`.
    pub(crate) fn resolve(&self, from: &PointPlan, names: &PointNames<'_>) -> Result<Condition, Problem> {
        let device = from.name.split_once('/').map_or("", |(device, _)| device);
        let name = if self.point.contains('/') { self.point.clone() } else { format!("{device}/{}", self.point) };
        let Some(point) = names.0.get(name.as_str()) else {
            let near = nearest(&name, names.0.keys().copied()).map(|near| format!("did you mean {near:?}?"));
            let hint =
                near.unwrap_or_else(|| "write \"device/point\", or the name of a point of this device".to_owned());
            return Err(self.problem(format!("there is no point {name:?}"), hint));
        };
        if point.id == from.id {
            return Err(self.problem("speaks of the point itself".to_owned(), "name another point".to_owned()));
        }
        if let Some(what) = self.cannot_hold(point) {
            return Err(self.problem(what, "compare with values of its type".to_owned()));
        }
        Ok(Condition { point: point.id, name, ..self.open() })
    }

    /// A comparison that no value of the point's type ever passes, or every one.
    fn cannot_hold(&self, point: &PointPlan) -> Option<String> {
        let BuiltinType::Variant = point.builtin_type else {
            let is_number = point.builtin_type.is_numeric() && point.rank == 0;
            let is_boolean = point.builtin_type == BuiltinType::Boolean && point.rank == 0;
            let fits = |scalar: &Scalar| match scalar {
                Scalar::Number(_) => is_number,
                Scalar::Boolean(_) => is_boolean,
                Scalar::Text(_) => !is_number && !is_boolean && point.rank == 0,
            };
            let all_fit = match &self.test {
                Test::Is(scalars) | Test::IsNot(scalars) => scalars.iter().all(fits),
                Test::Within { .. } => is_number,
            };
            let dimensions = if point.rank > 0 { "an array of " } else { "" };
            return (!all_fit).then(|| {
                format!("{} is {dimensions}{:?}, which is compared with something else", point.name, point.builtin_type)
            });
        };
        None
    }

    fn problem(&self, what: String, hint: String) -> Problem {
        Problem { span: self.span.clone(), path: self.path.clone(), what, hint: Some(hint) }
    }
}
