//! Each key and each table of the reference, which has every one of every driver, is misspelt in several ways: each slip is
//! told at its line and column, with the name that was meant.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::BTreeSet;
use std::ops::Range;

use lingate_config::{REFERENCE, load};
use toml::de::{DeTable, DeValue};

/// Where each key stands, of tables those of their headers, and which keys stand beside it.
struct Written {
    span: Range<usize>,
    key: String,
    beside: BTreeSet<String>,
}

fn written() -> Vec<Written> {
    let root = DeTable::parse(REFERENCE).unwrap();
    let mut found = Vec::new();
    below(root.get_ref(), &mut found);
    let mut seen = BTreeSet::new();
    found.retain(|key: &Written| seen.insert((key.span.start, key.span.end)));
    found
}

fn below(table: &DeTable<'_>, found: &mut Vec<Written>) {
    let names: BTreeSet<String> = table.keys().map(|key| key.get_ref().to_string()).collect();
    for (key, value) in table {
        found.push(Written { span: key.span(), key: key.get_ref().to_string(), beside: names.clone() });
        of_value(value.get_ref(), found);
    }
}

fn of_value(value: &DeValue<'_>, found: &mut Vec<Written>) {
    match value {
        DeValue::Table(table) => below(table, found),
        DeValue::Array(array) => array.iter().for_each(|element| of_value(element.get_ref(), found)),
        _ => {}
    }
}

/// A letter too many, too few, wrong, two swapped, capitals, and `-` for `_`.
fn slips(key: &str) -> Vec<String> {
    let letters: Vec<char> = key.chars().collect();
    let middle = letters.len() / 2;
    let with = |change: &dyn Fn(&mut Vec<char>)| {
        let mut letters = letters.clone();
        change(&mut letters);
        letters.into_iter().collect::<String>()
    };
    let mut slips = vec![
        with(&|letters| letters.push('s')),
        with(&|letters| letters.insert(middle, letters[middle])),
        with(&|letters| letters.swap(middle, middle - 1)),
        with(&|letters| letters[middle] = 'q'),
        key.to_uppercase(),
        key.replace('_', "-"),
        key.replace('_', ""),
    ];
    if letters.len() > 2 {
        slips.push(with(&|letters| {
            let _ = letters.remove(middle);
        }));
        slips.push(with(&|letters| {
            let _ = letters.remove(0);
        }));
    }
    slips.retain(|slip| slip != key);
    slips.sort();
    slips.dedup();
    slips
}

/// In a header the tables below it bear the slip too, as they would in a file: up to the next table beside it.
fn with_slip(span: &Range<usize>, slip: &str) -> String {
    let start = REFERENCE[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let mut text = REFERENCE.to_owned();
    let Some(segments) = header(&REFERENCE[start..]) else {
        text.replace_range(span.clone(), slip);
        return text;
    };
    let depth = REFERENCE[start..span.start].matches('.').count();
    let rest = REFERENCE[start..].split_inclusive('\n');
    let mut is_over = false;
    let changed: String = rest
        .enumerate()
        .map(|(number, line)| {
            let Some(of_line) = header(line) else { return line.to_owned() };
            is_over |= number > 0 && of_line.len() <= depth;
            if is_over || of_line.get(..=depth) != Some(&segments[..=depth]) {
                return line.to_owned();
            }
            let at = line.chars().take_while(|c| *c == '[').count();
            let at = at + of_line[..depth].iter().map(|segment| segment.len() + 1).sum::<usize>();
            format!("{}{slip}{}", &line[..at], &line[at + of_line[depth].len()..])
        })
        .collect();
    text.replace_range(start.., &changed);
    text
}

fn header(text: &str) -> Option<Vec<&str>> {
    let line = text.lines().next()?;
    let inner = line.strip_prefix('[')?.trim_start_matches('[');
    Some(inner.split(']').next()?.split('.').collect())
}

#[test]
fn every_slip_in_every_key_is_told_at_its_place_with_the_name_that_was_meant() {
    assert!(load("reference.toml", REFERENCE).is_ok());
    let (mut keys, mut slips_told, mut alone) = (0, 0, 0);
    let mut wrong: Vec<String> = Vec::new();
    for Written { span, key, beside } in written() {
        keys += 1;
        for slip in slips(&key).into_iter().filter(|slip| !beside.contains(slip)) {
            let text = with_slip(&span, &slip);
            let problems = load("reference.toml", &text).expect_err("the file is wrong");
            let line = text[..span.start].matches('\n').count() + 1;
            let column = span.start - text[..span.start].rfind('\n').map_or(0, |at| at + 1) + 1;
            let is_told = |problem: &&lingate_config::Problem| {
                (problem.place.line, problem.place.column) == (line, column)
                    && problem.what == format!("{slip:?} is not a setting")
                    && problem.hint.as_ref().is_some_and(|hint| hint.starts_with(&format!("did you mean {key:?}?")))
            };
            match problems.problems.iter().filter(is_told).count() {
                1 => slips_told += 1,
                told => wrong.push(format!("{slip} for {key} at {line}:{column}, told {told} times:\n{problems}")),
            }
            alone += u32::from(problems.count() == 1);
        }
    }
    println!("{keys} keys, {slips_told} slips, {alone} told as the only problem");
    assert!(
        wrong.is_empty(),
        "{} are not told as they should:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(9)].join("\n")
    );
    assert!(keys > 280 && slips_told > 2_000, "{keys} keys, {slips_told} slips");
}
