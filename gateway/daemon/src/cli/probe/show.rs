use std::fmt::Write as _;
use std::ops::RangeInclusive;

use lingate_drivers::modbus::probe::{Blocks, Found, Meaning, Runs, exception_name, meanings};
use lingate_model::DeviceIdentity;
use serde_json::json;

/// Columns of a table of orders.
const WIDE: [&str; 2] = ["u32", "u64"];

/// Each register by itself, then all of them together in every order.
pub(super) fn registers(register: &str, unit: u8, words: &[u16]) -> String {
    let found = meanings(words);
    let mut text = format!("{} registers from {register} of unit {unit}\n\n", words.len());
    let _ = writeln!(text, "   at  hex     u16    i16         f16    bcd  bits");
    for (at, word) in (0..).zip(words) {
        let value = |kind| value(&found, at, 1, kind, "ab");
        let _ = writeln!(
            text,
            "  +{at:<3} 0x{word:04X}  {:>5} {:>6} {:>11}   {:>4}  {:04b} {:04b} {:04b} {:04b}",
            value("u16"),
            value("i16"),
            value("f16"),
            value("bcd"),
            word >> 12,
            word >> 8 & 15,
            word >> 4 & 15,
            word & 15
        );
    }
    for (registers, kinds) in [(2, ["u32", "i32", "f32", "bcd"]), (4, ["u64", "i64", "f64", "bcd"])] {
        orders(&mut text, &found, registers, kinds);
    }
    others(&mut text, &found);
    text
}

fn orders(text: &mut String, found: &[Meaning], registers: u16, kinds: [&str; 4]) {
    let is_wide = |meaning: &&Meaning| meaning.registers == registers && WIDE.contains(&meaning.kind.as_str());
    let names: Vec<_> = found.iter().filter(is_wide).map(|meaning| meaning.order).collect();
    if names.is_empty() {
        return;
    }
    let [a, b, c, d] = kinds;
    let _ = writeln!(text, "\n  {registers} registers {a:>20} {b:>21} {c:>22} {d:>17}");
    for order in names {
        let value = |kind| value(found, 0, registers, kind, order);
        let _ = writeln!(text, "  {order:<11} {:>20} {:>21} {:>22} {:>17}", value(a), value(b), value(c), value(d));
    }
}

/// Texts and dates: only those that make sense.
fn others(text: &mut String, found: &[Meaning]) {
    let is_other = |meaning: &&Meaning| meaning.kind == "string" || meaning.kind.starts_with("datetime");
    for (index, meaning) in found.iter().filter(is_other).enumerate() {
        let begin = if index == 0 { "\n" } else { "" };
        let _ = writeln!(text, "{begin}  {:<22} {:<5} {}", meaning.kind, meaning.order, meaning.value);
    }
}

fn value<'a>(found: &'a [Meaning], at: u16, registers: u16, kind: &str, order: &str) -> &'a str {
    let is = |m: &&Meaning| (m.at, m.registers, m.kind.as_str(), m.order) == (at, registers, kind, order);
    found.iter().find(is).map_or("-", |meaning| &meaning.value)
}

pub(super) fn registers_json(register: &str, unit: u8, words: &[u16]) -> String {
    let meanings = meanings(words).into_iter().map(|meaning| {
        let Meaning { at, registers, kind, order, value } = meaning;
        json!({ "at": at, "registers": registers, "type": kind, "word_order": order, "value": value })
    });
    let meanings: Vec<_> = meanings.collect();
    json!({ "unit": unit, "register": register, "words": words, "meanings": meanings }).to_string()
}

pub(super) fn bits(register: &str, unit: u8, bits: &[bool]) -> String {
    let mut text = format!("{} bits from {register} of unit {unit}\n\n", bits.len());
    for (row, chunk) in bits.chunks(16).enumerate() {
        let digits: Vec<_> = chunk
            .chunks(4)
            .map(|four| four.iter().map(|bit| if *bit { '1' } else { '0' }).collect::<String>())
            .collect();
        let _ = writeln!(text, "  +{:<4} {}", row * 16, digits.join(" "));
    }
    text
}

pub(super) fn bits_json(register: &str, unit: u8, bits: &[bool]) -> String {
    json!({ "unit": unit, "register": register, "bits": bits }).to_string()
}

pub(super) fn identity_json(identity: &DeviceIdentity) -> String {
    let DeviceIdentity { vendor, product, revision } = identity;
    json!({ "vendor": vendor, "product": product, "revision": revision }).to_string()
}

pub(super) fn unit(unit: u8, found: Found, areas: &[(&str, Blocks)], range: &RangeInclusive<u16>) -> String {
    let mut text = format!("unit {unit} answers");
    if let Found::Refuses(code) = found {
        let _ = write!(text, " with exception {code:02X}, {}", exception_name(code));
    }
    text.push('\n');
    for (area, Blocks { runs, is_cut }) in areas {
        let cut = if *is_cut { " (stopped after a minute, there may be more)" } else { "" };
        let _ = match runs.is_empty() {
            true => writeln!(text, "  {area:<9} nothing from {} to {}{cut}", range.start(), range.end()),
            false => writeln!(text, "  {area:<9} {}{cut}", in_words(runs)),
        };
    }
    text
}

/// Units side by side with one exception share a line.
pub(super) fn unreached(units: &[(u8, u8)]) -> Vec<String> {
    let same = |one: &(u8, u8), next: &(u8, u8)| one.1 == next.1 && one.0.checked_add(1) == Some(next.0);
    let line = |run: &[(u8, u8)]| {
        let [(first, code), .., (last, _)] = run else {
            let (unit, code) = run[0];
            return format!("unit {unit}: only exception {code:02X}, {}: nobody is there", exception_name(code));
        };
        format!("units {first} to {last}: only exception {code:02X}, {}: nobody is there", exception_name(*code))
    };
    units.chunk_by(same).map(line).collect()
}

fn in_words(runs: &Runs) -> String {
    let words = runs.iter().map(|run| match run.start() == run.end() {
        true => run.start().to_string(),
        false => format!("{} to {}", run.start(), run.end()),
    });
    words.collect::<Vec<_>>().join(", ")
}

pub(super) fn unit_json(unit: u8, areas: &[(&str, Blocks)]) -> String {
    let areas = areas.iter().map(|(area, blocks)| {
        let runs = blocks.runs.iter().map(|run| json!([run.start(), run.end()])).collect::<Vec<_>>();
        ((*area).to_owned(), json!(runs))
    });
    json!({ "unit": unit, "areas": areas.collect::<serde_json::Map<_, _>>() }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_read_shows_all_orders_side_by_side() {
        let text = registers("holding:102", 3, &[0xE979, 0x42F6]);
        assert!(text.starts_with("2 registers from holding:102 of unit 3\n"), "{text}");
        let line = text.lines().find(|line| line.contains("cdab")).unwrap_or_default();
        assert!(line.contains("1123477881") && line.contains("123.456"), "{text}");
        assert!(text.contains("0xE979") && text.contains("1110 1001 0111 1001"), "{text}");
        assert!(!text.contains("4 registers"), "{text}");
    }

    #[test]
    fn what_a_scan_found_is_told_in_runs() {
        let areas = [("holding", Blocks { runs: vec![0..=9, 20..=20], is_cut: false }), ("input", Blocks::default())];
        let text = unit(7, Found::Answers, &areas, &(0..=127));
        assert_eq!(text, "unit 7 answers\n  holding   0 to 9, 20\n  input     nothing from 0 to 127\n");
        assert_eq!(unit_json(7, &areas), r#"{"areas":{"holding":[[0,9],[20,20]],"input":[]},"unit":7}"#);
    }

    #[test]
    fn units_that_only_a_gateway_speaks_for_are_not_counted_as_there() {
        let lines = unreached(&[(2, 11), (3, 11), (4, 11), (6, 11), (7, 4)]);
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("units 2 to 4: only exception 0B, gateway target device"), "{}", lines[0]);
        assert!(lines[2].starts_with("unit 7: only exception 04, "), "{}", lines[2]);
        let found = unit(7, Found::Refuses(2), &[], &(0..=9));
        assert_eq!(found, "unit 7 answers with exception 02, illegal data address\n");
    }

    #[test]
    fn bits_stand_in_rows_of_sixteen() {
        let text = bits("coil:0", 1, &[true; 18]);
        assert!(text.ends_with("  +0    1111 1111 1111 1111\n  +16   11\n"), "{text}");
    }
}
