//! One line per register, under a line of column names. Separated by commas, semicolons or tabs; quoted as in RFC 4180.

use std::collections::BTreeMap;

use super::draft::quote;
use super::headings::column;
use super::{DeviceDraft, ImportError, PointDraft, area_word, neuron, type_word};

type Row = BTreeMap<&'static str, String>;

/// The devices, and the titles of columns that mean nothing here.
pub(super) fn read(text: &str, name: &str) -> Result<(Vec<DeviceDraft>, Vec<String>), ImportError> {
    let first = text.lines().next().unwrap_or_default();
    let separator = [';', '\t', ','].into_iter().max_by_key(|c| (first.matches(*c).count(), *c == ',')).unwrap_or(',');
    let mut lines = records(text, separator).into_iter();
    let head = lines.next().unwrap_or_default();
    let columns: Vec<Option<&'static str>> = head.iter().map(|title| column(title)).collect();
    if !columns.contains(&Some("register")) {
        let found: Vec<_> = head.iter().map(|title| quote(title.trim())).collect();
        let what = format!("no column is called register or address; the first line has {}", found.join(", "));
        let hint = "name the columns there, such as name,register,type,scale, or in German or Chinese";
        return Err(ImportError::new(what.chars().take(600).collect::<String>(), hint));
    }
    let ignored = head.iter().zip(&columns).filter(|(title, column)| column.is_none() && !title.trim().is_empty());
    let ignored = ignored.map(|(title, _)| title.trim().to_owned()).collect();
    let is_neuron = head.iter().any(|title| title.trim().eq_ignore_ascii_case("attribute"));
    let mut devices: BTreeMap<String, DeviceDraft> = BTreeMap::new();
    for line in lines {
        let row: Row = columns.iter().zip(line).filter_map(|(column, cell)| Some(((*column)?, cell.trim().to_owned()))).collect();
        if row.values().all(String::is_empty) {
            continue;
        }
        let (slave, point) = match is_neuron {
            true => neuron::point_of(&row),
            false => (cell(&row, "slave").to_owned(), point(&row, separator)),
        };
        let device = devices.entry(slave.clone()).or_insert_with(|| device(name, &slave));
        device.points.push(point);
    }
    Ok((devices.into_values().collect(), ignored))
}

fn device(name: &str, slave: &str) -> DeviceDraft {
    let slave = slave.parse::<u8>().ok();
    let mut keys = vec![("address", quote("192.0.2.1:502"))];
    keys.extend(slave.map(|slave| ("unit", slave.to_string())));
    DeviceDraft {
        name: slave.map_or(name.to_owned(), |slave| format!("{name}-unit-{slave}")),
        driver: "modbus-tcp",
        every: "1s".to_owned(),
        keys,
        points: Vec::new(),
        notes: vec!["the list does not say where the device is: write its address, or another driver for a serial line".to_owned()],
    }
}

pub(super) fn cell<'a>(row: &'a Row, column: &'static str) -> &'a str {
    row.get(column).map_or("", String::as_str)
}

fn point(row: &Row, separator: char) -> PointDraft {
    let mut point = PointDraft { name: cell(row, "name").to_owned(), ..PointDraft::default() };
    if point.name.is_empty() {
        point.name = cell(row, "register").replace(':', "_");
    }
    register(row, &mut point);
    if !cell(row, "type").is_empty() {
        match type_word(cell(row, "type")) {
            Some("bool") if !is_of_bits(&point) => point.refusal = Some("a register has 16 bits: which one is it?".to_owned()),
            Some(word) => point.keys.push(("type", quote(word))),
            None => point.refusal = Some(format!("its type {:?} is not known here", cell(row, "type"))),
        }
    }
    let order = cell(row, "order").to_ascii_lowercase();
    if !order.is_empty() {
        point.keys.push(("word_order", quote(&order)));
    }
    for key in ["scale", "offset", "bit", "count", "digits", "invalid"] {
        let text = cell(row, key);
        match number(text, separator) {
            _ if text.is_empty() => {}
            Some(number) => point.keys.push((key, number)),
            None => point.refusal = Some(format!("its {key} {text:?} may mean thousands or a fraction")),
        }
    }
    if point.keys.contains(&("type", quote("string"))) && !cell(row, "length").is_empty() {
        point.keys.push(("length", cell(row, "length").to_owned()));
    }
    notes(row, &mut point);
    point
}

fn notes(row: &Row, point: &mut PointDraft) {
    point.unit = cell(row, "unit").to_owned();
    if !cell(row, "comment").is_empty() {
        point.notes.push(cell(row, "comment").to_owned());
    }
}

/// `holding:102`, `40103`, or a number with its area in a column of its own.
fn register(row: &Row, point: &mut PointDraft) {
    let (register, area) = (cell(row, "register"), cell(row, "area"));
    match (register.contains(':'), area_word(area)) {
        (true, _) => point.keys.push(("register", quote(register))),
        (false, Some(area)) => point.keys.push(("register", quote(&format!("{area}:{register}")))),
        (false, None) if matches!(register.len(), 5 | 6) => {
            point.keys.extend([("register", quote(register)), ("addressing", quote("one-based"))]);
        }
        (false, None) => {
            point.keys.push(("register", quote(register)));
            point.refusal = Some("holding, input, coil or discrete? Add a column called area".to_owned());
        }
    }
}

/// A comma between digits is the decimal sign where it does not separate cells. `None`: both signs are there.
fn number(text: &str, separator: char) -> Option<String> {
    let is_decimal_comma = separator != ',' && text.matches(',').count() == 1 && !text.starts_with('[');
    match (is_decimal_comma, text.contains('.')) {
        (true, true) => None,
        (true, false) => Some(text.replace(',', ".")),
        (false, _) => Some(text.to_owned()),
    }
}

fn is_of_bits(point: &PointDraft) -> bool {
    let register = point.keys.iter().find(|(key, _)| *key == "register").map_or("", |(_, value)| value);
    ["\"coil:", "\"discrete:", "\"0", "\"1"].iter().any(|begin| register.starts_with(begin))
}

/// RFC 4180, with any line end; a quote that never closes ends with the file.
fn records(text: &str, separator: char) -> Vec<Vec<String>> {
    let (mut records, mut record, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut is_quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' if is_quoted || cell.is_empty() => is_quoted = !is_quoted,
            '\r' if !is_quoted => {}
            '\n' if !is_quoted => {
                record.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut record));
            }
            letter if letter == separator && !is_quoted => record.push(std::mem::take(&mut cell)),
            letter => cell.push(letter),
        }
    }
    if !cell.is_empty() || !record.is_empty() {
        record.push(cell);
        records.push(record);
    }
    records
}
