//! Several files that are one configuration: `lingate.toml`, then `lingate.d/*.toml` in the order of their names. Lists
//! (`[[device]]`, `[[dataset]]`) go on, tables (`[buffer]`) are joined, and no key is set twice.

use std::ops::Range;

use lingate_drivers::settings::{DeTable, Problem};
use toml::Spanned;
use toml::de::{DeArray, DeValue};

use crate::source::Source;

/// Takes the next file's table over into the first one's. `start`: where the file's text begins in all of them together.
pub(crate) fn join<'a>(
    root: &mut DeTable<'a>,
    file: DeTable<'a>,
    start: usize,
    source: &Source<'_>,
    problems: &mut Vec<Problem>,
) {
    for (key, value) in shifted_table(file, start) {
        let name = key.get_ref().to_string();
        let Some(known) = root.get_mut(&*name) else {
            root.insert(key, value);
            continue;
        };
        let first = known.span();
        match (known.get_mut(), value.into_inner()) {
            (DeValue::Array(known), DeValue::Array(more)) => more.into_iter().for_each(|value| known.push(value)),
            (DeValue::Table(known), DeValue::Table(more)) => join_keys(known, more, &name, source, problems),
            _ => problems.push(twice(key.span(), name, first, source)),
        }
    }
}

fn join_keys<'a>(
    known: &mut DeTable<'a>,
    more: DeTable<'a>,
    table: &str,
    source: &Source<'_>,
    problems: &mut Vec<Problem>,
) {
    for (key, value) in more {
        let first = known.get_key_value(&**key.get_ref()).map(|(first, _)| first.span());
        match first {
            Some(first) => problems.push(twice(key.span(), format!("{table}.{}", key.get_ref()), first, source)),
            None => drop(known.insert(key, value)),
        }
    }
}

fn twice(span: Range<usize>, path: String, first: Range<usize>, source: &Source<'_>) -> Problem {
    let hint = format!("it is set on {} as well: take one of the two out", source.where_is(first.start));
    Problem { span, path, what: "is set a second time".to_owned(), hint: Some(hint) }
}

/// Its places, so far behind.
pub(crate) fn shifted_table(table: DeTable<'_>, start: usize) -> DeTable<'_> {
    let keys = table.into_iter().map(|(key, value)| {
        let span = moved(key.span(), start);
        (Spanned::new(span, key.into_inner()), shifted(value, start))
    });
    keys.collect()
}

fn shifted(value: Spanned<DeValue<'_>>, start: usize) -> Spanned<DeValue<'_>> {
    let span = moved(value.span(), start);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted_table(table, start)),
        DeValue::Array(array) => {
            let mut elements = DeArray::new();
            array.into_iter().for_each(|element| elements.push(shifted(element, start)));
            DeValue::Array(elements)
        }
        other => other,
    };
    Spanned::new(span, value)
}

fn moved(span: Range<usize>, start: usize) -> Range<usize> {
    span.start + start..span.end + start
}
