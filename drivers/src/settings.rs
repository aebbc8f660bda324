//! Reads one TOML table: every key once, every problem with its place, unknown keys with a suggestion. `config` uses
//! the same reader for its own tables.

use std::ops::Range;

/// Something wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Byte range in the file that is at fault.
    pub span: Range<usize>,
    /// `device[2].point[0].register`
    pub path: String,
    /// What is wrong, in one sentence.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

/// All problems of one table and the tables below it; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(pub Vec<Problem>);

/// A table whose keys are taken one by one; `finish` reports the keys that nobody took.
/// The author of this module completes it: `take_string`, `take_integer(range)`, `take_decimal`, `take_duration`,
/// `take_bool`, `take_enum`, `required(...)`, nested tables and arrays, `finish() -> Vec<Problem>`.
pub struct Table<'a> {
    _table: std::marker::PhantomData<&'a ()>,
}
