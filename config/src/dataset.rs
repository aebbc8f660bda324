use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use lingate_drivers::settings::{Problem, Table, nearest};
use lingate_model::{Class, DatasetId, Priority, PurposeId};
use lingate_refine::{DatasetIndex, DatasetPlan, Flush};

use crate::Quota;
use crate::class;
use crate::keys::{optional, require};
use crate::minimize::{self, Placed};
use crate::source::Source;

const DATASETS_MAX: usize = 1_000;

/// A dataset's catalogue is one message, and at about 100 bytes a point this is as much as brokers pass by default.
const POINTS_MAX: u32 = 10_000;

const PADDING_MAX: u32 = 65_536;
const RECORDS_MAX: u64 = 1_000_000_000;
const BYTES_MAX: u64 = 1 << 50;
const READINGS: u32 = 1_000;
const READINGS_MAX: u32 = 100_000;
const AGE: Duration = Duration::from_secs(1);
const AGE_MIN: Duration = Duration::from_millis(10);
const AGE_MAX: Duration = Duration::from_secs(3_600);

/// Wrong names for which a similar one is looked for: the search is slow and nobody reads more.
const SUGGESTIONS_MAX: usize = 30;

/// The datasets of the file, with what their points will make of them.
pub(crate) struct Datasets {
    entries: Vec<Entry>,
    by_id: BTreeMap<DatasetId, DatasetIndex>,
    /// A dataset has no readable id: then an unknown name may be its, and is no further problem.
    has_nameless: bool,
    /// Names of datasets that are not there, and how many points give them.
    unknown: BTreeMap<String, usize>,
}

pub(crate) struct Entry {
    /// `None`: wrong, and reported.
    plan: Option<DatasetPlan>,
    quota: Option<Quota>,
    order: Order,
    ceiling: Option<Class>,
    /// `None`: it cannot be read, or another dataset has it.
    id: Option<DatasetId>,
    points: u32,
    /// Steps for all of its points.
    minimize: Arc<[Placed]>,
    pub(crate) path: String,
    /// Of id, purpose and class.
    pub(crate) spans: [Range<usize>; 3],
}

/// In which order a dataset's records leave after an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    InOrder,
    /// The newest beside the backlog, in an epoch of its own.
    LiveFirst,
}

const ORDERS: [(&str, Order); 2] = [("in-order", Order::InOrder), ("live-first", Order::LiveFirst)];

/// Why a point has no place in a dataset: what is wrong and what to do.
pub(crate) type Refusal = (String, Option<String>);

pub(crate) fn read(root: &mut Table<'_>, source: &Source<'_>, problems: &mut Vec<Problem>) -> Datasets {
    let tables = root.take("dataset").tables(0..=DATASETS_MAX);
    let mut datasets =
        Datasets { entries: Vec::new(), by_id: BTreeMap::new(), has_nameless: false, unknown: BTreeMap::new() };
    for table in tables {
        datasets.add(table, source, problems);
    }
    datasets
}

impl Datasets {
    fn add(&mut self, mut table: Table<'_>, source: &Source<'_>, problems: &mut Vec<Problem>) {
        let spans = ["id", "purpose", "class"].map(|key| table.span_of(key));
        let path = table.path().to_owned();
        let read = Read::take(&mut table, problems);
        let minimize = minimize::read(&mut table, problems).into();
        let id = read.id.clone().filter(|id| self.is_new(id, source, &mut table));
        self.has_nameless |= read.id.is_none();
        if let Some(id) = id.clone() {
            let index = u16::try_from(self.entries.len()).expect("at most 1,000 datasets were read");
            self.by_id.insert(id, DatasetIndex(index));
        }
        problems.extend(table.finish());
        let (ceiling, quota, order) = (read.ceiling, read.quota.flatten(), read.order.unwrap_or(Order::InOrder));
        self.entries.push(Entry { plan: read.plan(), quota, order, ceiling, id, points: 0, minimize, path, spans });
    }

    fn is_new(&self, id: &DatasetId, source: &Source<'_>, table: &mut Table<'_>) -> bool {
        let Some(first) = self.by_id.get(id) else { return true };
        let first = source.where_is(self.entries[first.index()].spans[0].start);
        let hint = format!("the dataset on {first} has this id: give this one its own");
        table.problem("id", format!("{id:?} stands twice"), Some(hint));
        false
    }

    /// The steps that hold for every point of the dataset.
    pub(crate) fn minimize(&self, index: DatasetIndex) -> Arc<[Placed]> {
        self.entries[index.index()].minimize.clone()
    }

    /// The next free alias in the dataset. `Ok(None)`: the dataset itself is wrong, and that is already reported.
    pub(crate) fn join(&mut self, id: &str, class: Option<Class>) -> Result<Option<(DatasetIndex, u32)>, Refusal> {
        let Some(index) = self.by_id.get(id).copied() else {
            return if self.has_nameless { Ok(None) } else { self.unknown(id) };
        };
        let entry = &mut self.entries[index.index()];
        let alias = entry.points;
        entry.points = entry.points.saturating_add(1);
        if alias == POINTS_MAX {
            let hint = format!("move this point and those after it to another dataset: one holds {POINTS_MAX} points");
            return Err((format!("{id:?} is full"), Some(hint)));
        }
        match (entry.ceiling, class) {
            (Some(Class::General), Some(Class::Important)) => {
                let hint = "take a dataset with class = \"important\", which needs the sandbox's approval";
                Err((format!("{id:?} is of class general and takes no important point"), Some(hint.to_owned())))
            }
            // Said once for all the points that are too many.
            _ if alias > POINTS_MAX => Ok(None),
            _ => Ok(Some((index, alias))),
        }
    }

    /// The first point that gives a name speaks for all that do; without any dataset the first one for all points.
    fn unknown(&mut self, id: &str) -> Result<Option<(DatasetIndex, u32)>, Refusal> {
        let is_first = self.unknown.is_empty();
        let points = self.unknown.entry(id.to_owned()).or_default();
        *points += 1;
        if *points > 1 {
            return Ok(None);
        }
        let what = no_dataset(id);
        if self.entries.is_empty() {
            let hint = "add a table [[dataset]] with this id".to_owned();
            return if is_first { Err((what, Some(hint))) } else { Ok(None) };
        }
        let searched = self.unknown.len() <= SUGGESTIONS_MAX && id.len() <= 64;
        let near = searched.then(|| nearest(id, self.by_id.keys().map(DatasetId::as_str))).flatten();
        let hint = match near {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("the datasets are {}", self.names()),
        };
        Err((what, Some(hint)))
    }

    /// Adds to the problem of each name how many points it concerns.
    pub(crate) fn fold_unknown(&self, problems: &mut [Problem]) {
        for (id, points) in self.unknown.iter().filter(|(_, points)| **points > 1) {
            let what = no_dataset(id);
            if let Some(first) = problems.iter_mut().find(|problem| problem.what == what) {
                first.what = format!("{what}, which {points} points name; this is the first of them");
            }
        }
    }

    fn names(&self) -> String {
        let mut names: Vec<String> = self.by_id.keys().take(8).map(|id| format!("{id:?}")).collect();
        if self.by_id.len() > names.len() {
            names.push(format!("and {} more", self.by_id.len() - names.len()));
        }
        names.join(", ")
    }

    /// Only if nothing else is wrong: from a point that is misspelt it would follow.
    pub(crate) fn report_empty(&self, problems: &mut Vec<Problem>) {
        if !problems.is_empty() {
            return;
        }
        for entry in self.entries.iter().filter(|entry| entry.points == 0) {
            let Some(id) = &entry.id else { continue };
            problems.push(Problem {
                span: entry.spans[0].clone(),
                path: format!("{}.id", entry.path),
                what: "no point belongs to this dataset".to_owned(),
                hint: Some(format!("write dataset = {id:?} at a point, or take the dataset out")),
            });
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn quotas(&self) -> BTreeMap<DatasetId, Quota> {
        self.entries.iter().filter_map(|entry| Some((entry.id.clone()?, entry.quota?))).collect()
    }

    pub(crate) fn live_first(&self) -> BTreeSet<DatasetId> {
        let live_first = self.entries.iter().filter(|entry| entry.order == Order::LiveFirst);
        live_first.filter_map(|entry| entry.id.clone()).collect()
    }

    /// Complete if nothing was reported.
    pub(crate) fn plans(&self) -> Vec<DatasetPlan> {
        self.entries.iter().filter_map(|entry| entry.plan.clone()).collect()
    }
}

/// The settings of one dataset, as far as they could be read.
struct Read {
    id: Option<DatasetId>,
    purpose: Option<PurposeId>,
    ceiling: Option<Class>,
    flush: Option<Flush>,
    priority: Option<Priority>,
    padding: Option<u32>,
    /// `Some(None)`: not limited.
    quota: Option<Option<Quota>>,
    order: Option<Order>,
}

impl Read {
    fn take(table: &mut Table<'_>, problems: &mut Vec<Problem>) -> Read {
        let id = require(table, "id", "\"ds-extr-07\", as the sandbox's bundle names it").parsed();
        let example = "\"urn:lingate:purpose:remote-quality\", as the sandbox's bundle names it";
        let purpose = require(table, "purpose", example).parsed();
        let ceiling = class::read(require(table, "class", class::EXAMPLE), class::OF_DATASET);
        let flush = flush(table, problems);
        let priorities = Priority::ALL.map(|priority| (priority.name(), priority));
        let priority = optional(table, "priority", Priority::Normal, |key| key.word(&priorities));
        let padding = optional(table, "padding", 0, |key| key.integer(0..=PADDING_MAX));
        let quota = quota(table, problems);
        let order = optional(table, "order", Order::InOrder, |key| key.word(&ORDERS));
        Read { id, purpose, ceiling, flush, priority, padding, quota, order }
    }

    fn plan(self) -> Option<DatasetPlan> {
        self.quota?;
        Some(DatasetPlan {
            id: self.id?,
            purpose: self.purpose?,
            ceiling: self.ceiling?,
            flush: self.flush?,
            priority: self.priority?,
            padding: self.padding?,
        })
    }
}

fn flush(dataset: &mut Table<'_>, problems: &mut Vec<Problem>) -> Option<Flush> {
    let default = Flush { readings: READINGS, age: AGE };
    if !dataset.has("flush") {
        return optional(dataset, "flush", default, |_| None);
    }
    let mut table = dataset.take("flush").table()?;
    let readings = optional(&mut table, "readings", default.readings, |key| key.integer(1..=READINGS_MAX));
    let age = optional(&mut table, "age", default.age, |key| key.duration(AGE_MIN..=AGE_MAX));
    problems.extend(table.finish());
    Some(Flush { readings: readings?, age: age? })
}

fn quota(dataset: &mut Table<'_>, problems: &mut Vec<Problem>) -> Option<Option<Quota>> {
    if !dataset.has("quota") {
        return optional(dataset, "quota", None, |_| None);
    }
    let mut table = dataset.take("quota").table()?;
    let records = optional(&mut table, "records", None, |key| key.integer(1..=RECORDS_MAX).map(Some));
    let bytes = optional(&mut table, "bytes", None, |key| key.size(1..=BYTES_MAX).map(Some));
    let limits_nothing = (records, bytes) == (Some(None), Some(None));
    if limits_nothing {
        table.problem("bytes", "limits nothing", Some("write quota = { bytes = \"100MiB\" }, a day (UTC)".to_owned()));
    }
    problems.extend(table.finish());
    (!limits_nothing).then_some(Some(Quota { records: records?, bytes: bytes? }))
}

const UNKNOWN: &str = "there is no dataset ";

fn no_dataset(id: &str) -> String {
    format!("{UNKNOWN}{:?}", short(id))
}

pub(crate) fn is_unknown(what: &str) -> bool {
    what.starts_with(UNKNOWN)
}

/// At most 40 characters of what stands in the file.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
