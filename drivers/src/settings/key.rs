use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::time::Duration;

use lingate_model::Decimal;
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::nearest::elsewhere;
use super::trace::{Kind, Trace};
use super::{Problem, Table, kind_of, nearest, parse_duration, parse_size, show_duration, show_size};

/// A text in the file is never longer.
const TEXT_MAX: usize = 4096;

/// A number as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Literal {
    Integer(i128),
    /// Written with base 16, 8 or 2.
    Bits(u64),
    Number(f64),
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparable {
    Boolean(bool),
    Number(Decimal),
    Text(String),
}

/// One key of a table, waiting to be read as something. Every reader gives `None` (or an empty list) for an absent key
/// silently and for a wrong value with a problem.
#[must_use = "say what it should be"]
pub struct Key<'t, 'a> {
    value: Option<(&'a DeValue<'a>, Range<usize>)>,
    path: String,
    problems: &'t mut Vec<Problem>,
    trace: Option<&'t Trace>,
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method of `Key` as a path is bound to one lifetime, a closure is not"
)]
impl<'t, 'a> Key<'t, 'a> {
    pub(super) fn new(
        value: Option<(&'a DeValue<'a>, Range<usize>)>,
        path: String,
        problems: &'t mut Vec<Problem>,
        trace: Option<&'t Trace>,
    ) -> Key<'t, 'a> {
        Key { value, path, problems, trace }
    }

    /// The words that its reader takes, if that is not `word`: for whoever describes the file.
    pub fn one_of(self, words: &[&str]) -> Self {
        self.asked(|| Kind::Words(words.iter().map(|word| (*word).to_owned()).collect()));
        self
    }

    /// Not empty, at most 4,096 bytes, without control characters.
    pub fn string(mut self) -> Option<String> {
        self.asked(|| Kind::Text);
        let text = self.text("a text")?;
        if text.is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
            return self.wrong(format!("is empty, longer than {TEXT_MAX} bytes or has control characters"), None);
        }
        Some(text.to_owned())
    }

    /// One text or a list of them: `broker = "..."` or `broker = ["...", "..."]`. Empty if absent or wrong.
    pub fn texts(mut self, count: RangeInclusive<usize>) -> Vec<String> {
        self.asked_alone(|| Kind::Texts);
        match self.value {
            Some((DeValue::Array(array), _)) => self.each(array, &count, |key| key.string()),
            _ => self.string().into_iter().collect(),
        }
    }

    /// In any base that TOML knows.
    pub fn integer<T: TryFrom<i64> + PartialOrd + Display>(mut self, range: RangeInclusive<T>) -> Option<T> {
        self.asked(|| Kind::Integer(range.start().to_string(), range.end().to_string()));
        let integer = self.get("an integer", DeValue::as_integer)?;
        match to_i64(integer).and_then(|number| T::try_from(number).ok()).filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => self.out_of_range(integer, range.start(), range.end()),
        }
    }

    /// A fraction or a share; never NaN.
    pub fn number(mut self, range: RangeInclusive<f64>) -> Option<f64> {
        self.asked(|| Kind::Number(*range.start(), *range.end()));
        let text = self.get("a number", number_text)?;
        match text.parse::<f64>().ok().filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => self.out_of_range(text, range.start(), range.end()),
        }
    }

    /// Exactly what stands in the file, not the double next to it.
    pub fn decimal(mut self) -> Option<Decimal> {
        self.asked(|| Kind::Decimal);
        let text = self.get("a number", number_text)?;
        match text.parse() {
            Ok(decimal) => Some(decimal),
            Err(error) => self.wrong(format!("{error}"), None),
        }
    }

    /// One number or a list of them: `invalid = 0x8000` or `invalid = [-9999, 0x7FFF]`. Empty if absent or wrong.
    pub fn literals(mut self, count: RangeInclusive<usize>) -> Vec<Literal> {
        self.asked_alone(|| Kind::Numbers);
        match self.value {
            Some((DeValue::Array(array), _)) => self.each(array, &count, |key| key.literal()),
            _ => self.literal().into_iter().collect(),
        }
    }

    /// One text, number or truth value, or a list of them: `is = "RUN"` or `is = [3, 4]`. Empty if absent or wrong.
    pub fn comparables(mut self, count: RangeInclusive<usize>) -> Vec<Comparable> {
        self.asked_alone(|| Kind::Scalars);
        match self.value {
            Some((DeValue::Array(array), _)) => self.each(array, &count, |key| key.comparable()),
            _ => self.comparable().into_iter().collect(),
        }
    }

    fn comparable(mut self) -> Option<Comparable> {
        self.get("a text, a number, true or false", |value| match value {
            DeValue::String(text) => Some(Comparable::Text(text.to_string())),
            DeValue::Boolean(value) => Some(Comparable::Boolean(*value)),
            value => number_text(value)?.parse().ok().map(Comparable::Number),
        })
    }

    fn literal(mut self) -> Option<Literal> {
        self.get("a number", |value| match value {
            DeValue::Integer(integer) => {
                let number = i128::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()?;
                Some(if integer.radix() == 10 {
                    Literal::Integer(number)
                } else {
                    Literal::Bits(number.try_into().ok()?)
                })
            }
            DeValue::Float(float) => float.as_str().replace('_', "").parse().ok().map(Literal::Number),
            _ => None,
        })
    }

    /// `[0, 400]`, the first below the second.
    pub fn decimal_range(mut self) -> Option<(Decimal, Decimal)> {
        self.asked_alone(|| Kind::Range);
        let array = self.get("a list of two numbers", DeValue::as_array)?;
        if array.len() != 2 {
            let what = format!("has {}, expected a lower and an upper limit", elements(array.len()));
            return self.wrong(what, Some("write it as [0, 400]".to_owned()));
        }
        let limits = self.each(array, &(2..=2), |key| key.decimal());
        let [low, high] = limits[..] else { return None };
        if low.to_f64() >= high.to_f64() {
            return self.wrong(format!("begins at {low}, which is not below its end {high}"), None);
        }
        Some((low, high))
    }

    pub fn boolean(mut self) -> Option<bool> {
        self.asked(|| Kind::Boolean);
        self.get("true or false", DeValue::as_bool)
    }

    /// `"500ms"`, `"1s"`, `"5m"`, `"2h"`, `"7d"`.
    pub fn duration(mut self, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.asked(|| Kind::Duration(*range.start(), *range.end()));
        const HINT: &str = "write a whole number with ms, s, m, h or d, such as \"500ms\"";
        let text = self.get_or_advise("a duration", DeValue::as_str, Some(HINT))?;
        let Some(duration) = parse_duration(text) else {
            return self.wrong(format!("is {}, expected a duration", quote(text)), Some(HINT.to_owned()));
        };
        if !range.contains(&duration) {
            return self.out_of_range(text, show_duration(*range.start()), show_duration(*range.end()));
        }
        Some(duration)
    }

    /// `"8GiB"`, in bytes.
    pub fn size(mut self, range: RangeInclusive<u64>) -> Option<u64> {
        self.asked(|| Kind::Size(*range.start(), *range.end()));
        const HINT: &str = "write a whole number with B, KiB, MiB, GiB or TiB, such as \"8GiB\"";
        let text = self.get_or_advise("a size", DeValue::as_str, Some(HINT))?;
        let Some(size) = parse_size(text) else {
            return self.wrong(format!("is {}, expected a size", quote(text)), Some(HINT.to_owned()));
        };
        if !range.contains(&size) {
            return self.out_of_range(text, show_size(*range.start()), show_size(*range.end()));
        }
        Some(size)
    }

    /// A name or anything else that parses itself; its error goes behind the quoted text.
    pub fn parsed<T: FromStr<Err: Display>>(self) -> Option<T> {
        self.parsed_with(|text| text.parse().map_err(|error: T::Err| (error.to_string(), None)))
    }

    /// As `parsed`, by a function that says what is wrong and what to do.
    pub fn parsed_with<T>(mut self, parse: impl FnOnce(&str) -> Result<T, (String, Option<String>)>) -> Option<T> {
        self.asked(|| Kind::Text);
        let text = self.text("a text")?;
        match parse(text) {
            Ok(parsed) => Some(parsed),
            Err((what, hint)) => self.wrong(format!("{} {what}", quote(text)), hint),
        }
    }

    /// As `parsed_with`, where an integer may also stand without quotes: `register = 40103`.
    pub fn parsed_or_integer<T>(
        mut self,
        parse: impl FnOnce(&str) -> Result<T, (String, Option<String>)>,
    ) -> Option<T> {
        self.asked(|| Kind::TextOrInteger);
        let text = self.get("a text or an integer", |value| match value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(_) => number_text(value),
            _ => None,
        })?;
        match parse(&text) {
            Ok(parsed) => Some(parsed),
            Err((what, hint)) => self.wrong(format!("{} {what}", quote(&text)), hint),
        }
    }

    /// As `parsed_with`, where a number may also stand without quotes: `server_deadband = 0.5`.
    pub fn parsed_or_number<T>(mut self, parse: impl FnOnce(&str) -> Result<T, (String, Option<String>)>) -> Option<T> {
        self.asked(|| Kind::TextOrNumber);
        let text = self.get("a text or a number", |value| match value {
            DeValue::String(text) => Some(text.to_string()),
            value => number_text(value),
        })?;
        match parse(&text) {
            Ok(parsed) => Some(parsed),
            Err((what, hint)) => self.wrong(format!("{} {what}", quote(&text)), hint),
        }
    }

    /// One of the given words.
    pub fn word<T: Clone>(mut self, words: &[(&str, T)]) -> Option<T> {
        self.asked(|| Kind::Words(words.iter().map(|(word, _)| (*word).to_owned()).collect()));
        let text = self.text("a word")?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(meaning.clone());
        }
        let allowed: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let known = || words.iter().map(|(word, _)| *word);
        let hint = nearest(&text.to_lowercase(), known()).or_else(|| elsewhere(text, known()));
        let what = format!("is {}, allowed are {}", quote(text), allowed.join(", "));
        self.wrong(what, hint.map(|word| format!("did you mean {word:?}?")))
    }

    /// `[flush]` or `flush = { ... }`.
    pub fn table(mut self) -> Option<Table<'a>> {
        self.asked(|| Kind::Table);
        let table = self.get("a table", DeValue::as_table)?;
        Some(self.below(table))
    }

    /// `[[device]]` or `minimize = [ { ... }, { ... } ]`; what is not a table is reported and left out.
    pub fn tables(mut self, count: RangeInclusive<usize>) -> Vec<Table<'a>> {
        self.asked(|| Kind::Tables);
        let header: Vec<&str> = self.path.split('.').map(|key| key.split('[').next().unwrap_or(key)).collect();
        let hint = match header.last() {
            Some(&("device" | "dataset" | "point")) => format!("write [[{}]] above each of them", header.join(".")),
            last => format!("write {} = [ {{ ... }}, {{ ... }} ]", last.unwrap_or(&"")),
        };
        let Some(array) = self.get_or_advise("a list of tables", DeValue::as_array, Some(&hint)) else {
            return Vec::new();
        };
        self.each(array, &count, |key| key.table())
    }

    /// Reads every element of a list; none if there are too few or too many, which is reported.
    fn each<T>(
        &mut self,
        array: &'a DeArray<'a>,
        count: &RangeInclusive<usize>,
        read: impl Fn(Key<'_, 'a>) -> Option<T>,
    ) -> Vec<T> {
        if !count.contains(&array.len()) {
            let what = format!("has {}, allowed are {} to {}", elements(array.len()), count.start(), count.end());
            self.wrong::<T>(what, None);
            return Vec::new();
        }
        let path_of = |index: usize| format!("{}[{index}]", self.path);
        let element = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| {
            let value = Some((value.get_ref(), value.span()));
            read(Key { value, path: path_of(index), problems: self.problems, trace: self.trace })
        };
        array.iter().enumerate().filter_map(element).collect()
    }

    fn below(&self, table: &'a DeTable<'a>) -> Table<'a> {
        Table { trace: self.trace.cloned(), ..Table::new(table, self.span(), self.path.clone()) }
    }

    fn asked(&self, kind: impl FnOnce() -> Kind) {
        if let Some(trace) = self.trace {
            trace.asked(&self.path, kind());
        }
    }

    /// As `asked`, of a value that is read in parts: these are not told.
    fn asked_alone(&mut self, kind: impl FnOnce() -> Kind) {
        self.asked(kind);
        self.trace = None;
    }

    fn span(&self) -> Range<usize> {
        self.value.as_ref().map_or(0..0, |(_, span)| span.clone())
    }

    fn text(&mut self, expected: &str) -> Option<&'a str> {
        self.get(expected, DeValue::as_str)
    }

    fn get<T>(&mut self, expected: &str, read: impl FnOnce(&'a DeValue<'a>) -> Option<T>) -> Option<T> {
        self.get_or_advise(expected, read, None)
    }

    fn get_or_advise<T>(
        &mut self,
        expected: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
        hint: Option<&str>,
    ) -> Option<T> {
        let (value, _) = self.value.as_ref()?;
        match read(value) {
            Some(read) => Some(read),
            None => self.wrong(format!("is {}, expected {expected}", kind_of(value)), hint.map(str::to_owned)),
        }
    }

    fn out_of_range<T>(&mut self, value: impl Display, low: impl Display, high: impl Display) -> Option<T> {
        self.wrong(format!("is {value}, allowed are {low} to {high}"), None)
    }

    fn wrong<T>(&mut self, what: String, hint: Option<String>) -> Option<T> {
        let (span, path) = (self.span(), self.path.clone());
        self.problems.push(Problem { span, path, what, hint });
        None
    }
}

/// The digits of an integer or a number, without underscores, in base ten.
fn number_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(integer) => Some(to_i64(integer).map_or_else(|| integer.to_string(), |n| n.to_string())),
        DeValue::Float(float) => Some(float.as_str().replace('_', "")),
        _ => None,
    }
}

fn to_i64(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
}

fn elements(count: usize) -> String {
    if count == 1 { "1 element".to_owned() } else { format!("{count} elements") }
}

/// At most 40 characters of the file, escaped.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}
