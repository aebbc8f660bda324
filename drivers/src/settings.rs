//! Reads one TOML table: every key once, every problem with its place, unknown keys with a suggestion. `config` uses
//! the same reader for its own tables.
//!
//! ```
//! use lingate_drivers::settings::{DeTable, Table};
//!
//! let file = DeTable::parse("unit = 1\ntimeot = '2s'").expect("TOML");
//! let mut table = Table::new(file.get_ref(), file.span(), "device[0]");
//! assert_eq!(table.take("unit").integer(0..=255_u8), Some(1));
//! assert_eq!(table.take("timeout").string(), None);
//! assert_eq!(table.finish()[0].hint.as_deref(), Some("did you mean \"timeout\"?"));
//! ```
//!
//! Promises: reading never stops at a problem; a key that is taken but wrong is reported once and reads as `None`, so
//! that the caller can go on with a default; a problem quotes at most 40 characters of the file.

mod credential;
mod key;
mod nearest;
mod path;
mod trace;
mod units;
mod written;

use std::collections::BTreeMap;
use std::ops::Range;

/// The spanned document of `toml`: `DeTable::parse(text)`.
pub use toml::de::DeTable;
use toml::de::DeValue;

pub use credential::Credential;
pub use key::{Comparable, Key, Literal};
pub use nearest::nearest;
pub use path::parse_path;
pub use trace::{Asked, Kind, Trace};
pub use units::{parse_duration, parse_size, show_duration, show_size};

/// Something wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Byte range in the file that is at fault.
    pub span: Range<usize>,
    /// `device[2].point[0].register`
    pub path: String,
    /// What is wrong, in one sentence without the path: `is 300, allowed are 0 to 255`.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

/// All problems of one table and the tables below it; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(pub Vec<Problem>);

/// A table whose keys are taken one by one; `finish` reports the keys that nobody took.
///
/// Give it away half read (`config` takes the keys of every device, the driver takes the rest): what was taken and what
/// was wrong goes with it.
#[derive(Clone, Debug)]
#[must_use = "finish() tells the problems"]
pub struct Table<'a> {
    table: &'a DeTable<'a>,
    span: Range<usize>,
    path: String,
    /// Every key that was asked for, present or not: what an unknown key may have meant.
    known: BTreeMap<&'static str, ()>,
    problems: Vec<Problem>,
    trace: Option<Trace>,
}

impl<'a> Table<'a> {
    /// `path` is empty for the whole file. `span`: where a missing key is reported.
    pub fn new(table: &'a DeTable<'a>, span: Range<usize>, path: impl Into<String>) -> Table<'a> {
        Table { table, span, path: path.into(), known: BTreeMap::new(), problems: Vec::new(), trace: None }
    }

    /// Everything that is asked of it, and of the tables below, is told to `trace`.
    pub fn traced(self, trace: &Trace) -> Table<'a> {
        Table { trace: Some(trace.clone()), ..self }
    }

    /// The value of `key`, which may be absent.
    pub fn take(&mut self, key: &'static str) -> Key<'_, 'a> {
        self.known.insert(key, ());
        let value = self.table.get(key).map(|value| (value.get_ref(), value.span()));
        let path = self.path_of(key);
        if let Some(trace) = &self.trace {
            trace.asked(&path, Kind::Known);
        }
        Key::new(value, path, &mut self.problems, self.trace.as_ref())
    }

    /// The value of `key`; reported if absent.
    pub fn require(&mut self, key: &'static str) -> Key<'_, 'a> {
        self.note_required(key);
        if !self.has(key) {
            let what = format!("{key:?} is missing");
            self.problems.push(Problem { span: self.span.clone(), path: self.path_of(key), what, hint: None });
        }
        self.take(key)
    }

    /// For a caller that reports by itself that `key` is absent.
    pub fn note_required(&self, key: &str) {
        if let Some(trace) = &self.trace {
            trace.asked(&self.path_of(key), Kind::Required);
        }
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub fn is_table(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| matches!(value.get_ref(), DeValue::Table(_)))
    }

    pub fn is_list(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| matches!(value.get_ref(), DeValue::Array(_)))
    }

    /// All keys in the table, taken or not, in alphabetical order: for a table whose only key names its kind, such as
    /// `{ deadband = 0.5 }`.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.table.keys().map(|key| key.get_ref().as_ref())
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// `device[2].register`
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Tells `hear` what the table says, without spaces, comments, order, and these keys: for a digest.
    pub fn tell(&self, except: &[&str], hear: &mut dyn FnMut(&[u8])) {
        written::tell(self.table, except, hear);
    }

    /// Where the value of `key` stands; the table itself if it is absent.
    pub fn span_of(&self, key: &str) -> Range<usize> {
        self.table.get(key).map_or_else(|| self.span(), toml::Spanned::span)
    }

    /// Reports what the caller found wrong with the value of `key`.
    pub fn problem(&mut self, key: &str, what: impl Into<String>, hint: Option<String>) {
        let (span, path) = (self.span_of(key), self.path_of(key));
        self.problems.push(Problem { span, path, what: what.into(), hint });
    }

    /// Takes over what a table below this one found.
    pub fn add_problems(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    /// Takes out what was found so far.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    /// All problems, in the order of the file; every key that nobody asked for is one of them.
    pub fn finish(mut self) -> Vec<Problem> {
        for key in self.table.keys().filter(|key| !self.known.contains_key(key.get_ref().as_ref())) {
            let name = key::quote(key.get_ref());
            let hint = match self.meant_by(key.get_ref()) {
                Some(known) => format!("did you mean {known:?}?"),
                None => format!("known here: {}", self.known.keys().copied().collect::<Vec<_>>().join(", ")),
            };
            let (what, path) = (format!("{name} is not a setting"), self.path.clone());
            self.problems.push(Problem { span: key.span(), path, what, hint: Some(hint) });
        }
        self.problems.sort_by_key(|problem| problem.span.start);
        self.problems
    }

    /// Rather a key that is missing than one that need not be there, and that rather than one that is there already.
    fn meant_by(&self, key: &str) -> Option<&'static str> {
        let known = || self.known.keys().copied();
        let is_missed = |known: &&str| {
            let (path, what) = (self.path_of(known), format!("{known:?} is missing"));
            self.problems.iter().any(|problem| problem.path == path && problem.what == what)
        };
        nearest(key, known().filter(is_missed))
            .or_else(|| nearest(key, known().filter(|known| !self.has(known))))
            .or_else(|| nearest(key, known()))
    }
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
