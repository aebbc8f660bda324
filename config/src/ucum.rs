//! Units of measure in UCUM's case-sensitive form (ucum.org, version 2.2).
//!
//! A wrong unit is worse than none: the receiver would convert it. What people write in its place is refused with the
//! right form; a unit that is unknown here and well formed passes.

mod atoms;
mod habits;

use lingate_model::{NameError, Ucum};

type Advice = (String, Option<String>);

pub(crate) fn parse(text: &str) -> Result<Ucum, Advice> {
    if let Some((_, meant)) = habits::WHOLE.iter().find(|(wrong, _)| *wrong == text) {
        return Err(not_ucum(Some(format!("write {meant}"))));
    }
    let plain = habits::plain(text);
    let corrected = terms(&plain).map(|terms| correct(&terms));
    match corrected {
        Some(corrected) if corrected != text => Err(not_ucum(Some(format!("write \"{corrected}\"")))),
        Some(_) => text.parse().map_err(|error: NameError| (error.to_string(), None)),
        None => Err(not_ucum(Some(EXAMPLES.to_owned()))),
    }
}

/// What people mean by a unit in a register list, in UCUM. `None`: it is not known here, or may mean two things.
pub fn ucum_of(text: &str) -> Option<String> {
    let text = text.trim();
    if let Some((_, meant)) = habits::TURNS.iter().find(|(known, _)| *known == text) {
        return Some((*meant).to_owned());
    }
    if habits::WHOLE.iter().any(|(ambiguous, _)| *ambiguous == text) {
        return None;
    }
    let plain = habits::plain(text);
    let corrected = correct(&terms(&plain)?);
    let is_known = |term: &Term<'_>| match term {
        Term::Sign(_) => true,
        Term::Unit { name, .. } => {
            name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || atoms::is_known(name)
        }
    };
    let is_all_known = terms(&corrected)?.iter().all(is_known);
    (is_all_known && parse(&corrected).is_ok()).then_some(corrected)
}

const EXAMPLES: &str = "write it as in \"Cel\", \"bar\", \"kg/h\", \"m3/h\", \"%\" or \"1\" for a plain number";

fn not_ucum(hint: Option<String>) -> Advice {
    ("is not a UCUM unit".to_owned(), hint)
}

/// A part of a unit: an operator or parenthesis, or a unit with its exponent and annotation.
#[derive(Debug, PartialEq)]
enum Term<'a> {
    Sign(char),
    Unit { name: &'a str, exponent: &'a str, annotation: &'a str },
}

/// `None`: not well formed.
fn terms(text: &str) -> Option<Vec<Term<'_>>> {
    let mut terms = Vec::new();
    let (mut rest, mut open) = (text, 0_usize);
    while let Some(first) = rest.chars().next() {
        let is_after_unit = matches!(terms.last(), Some(Term::Unit { .. } | Term::Sign(')')));
        match first {
            '/' if is_after_unit || terms.is_empty() => {}
            '.' if is_after_unit => {}
            '(' if !is_after_unit => open += 1,
            ')' if is_after_unit && open > 0 => open -= 1,
            '/' | '.' | '(' | ')' => return None,
            _ if is_after_unit => return None,
            _ => {
                let unit;
                (unit, rest) = take_unit(rest)?;
                terms.push(unit);
                continue;
            }
        }
        terms.push(Term::Sign(first));
        rest = &rest[first.len_utf8()..];
    }
    let is_complete = matches!(terms.last(), Some(Term::Unit { .. } | Term::Sign(')')));
    (is_complete && open == 0).then_some(terms)
}

/// Up to the next operator outside of `[...]` and `{...}`.
fn take_unit(text: &str) -> Option<(Term<'_>, &str)> {
    let mut closing = None;
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        match (closing, c) {
            (Some(expected), c) if c == expected => closing = None,
            (Some(_), '[' | '{' | ']' | '}') | (None, ']' | '}') => return None,
            (Some(_), _) => {}
            (None, '[') => closing = Some(']'),
            (None, '{') => closing = Some('}'),
            (None, '/' | '.' | '(' | ')') => {
                end = at;
                break;
            }
            (None, _) => {}
        }
    }
    let (unit, rest) = text.split_at(end);
    let (symbol, annotation) = unit.split_at(unit.find('{').unwrap_or(unit.len()));
    let is_annotation_last = annotation.is_empty() || annotation.find('}') == Some(annotation.len() - 1);
    let (name, exponent) = split_exponent(symbol);
    (closing.is_none() && is_annotation_last).then_some((Term::Unit { name, exponent, annotation }, rest))
}

/// `m3` is `m` and `3`, `s-1` is `s` and `-1`; a number such as `10*3` or `60` is a name as a whole.
fn split_exponent(symbol: &str) -> (&str, &str) {
    let is_number = symbol.starts_with(|c: char| c.is_ascii_digit());
    let name = symbol.trim_end_matches(|c: char| c.is_ascii_digit());
    if is_number || name.len() == symbol.len() {
        return (symbol, "");
    }
    let name = name.strip_suffix(['-', '+']).unwrap_or(name);
    symbol.split_at(name.len())
}

fn correct(terms: &[Term<'_>]) -> String {
    let is_single = terms.len() == 1;
    let text = |term: &Term<'_>| match *term {
        Term::Sign(sign) => sign.to_string(),
        Term::Unit { name, exponent, annotation } => {
            let name = corrected_name(name, exponent);
            let is_compound = name.contains(['/', '.']) && !(is_single && exponent.is_empty());
            let name = if is_compound { format!("({name})") } else { name };
            format!("{name}{exponent}{annotation}")
        }
    };
    terms.iter().map(text).collect()
}

fn corrected_name(name: &str, exponent: &str) -> String {
    if let Some((_, meant)) = habits::NAMES.iter().find(|(wrong, _)| *wrong == name) {
        return (*meant).to_owned();
    }
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || atoms::is_known(name) {
        return name.to_owned();
    }
    // A bracketed name that is not in the table is one of the several hundred of the standard.
    if name.contains('[') && exponent.is_empty() {
        return atoms::known_in_other_case(name).unwrap_or_else(|| name.to_owned());
    }
    let lower = name.to_ascii_lowercase();
    match habits::NAMES.iter().find(|(wrong, _)| *wrong == lower) {
        Some((_, meant)) => (*meant).to_owned(),
        None => atoms::known_in_other_case(name).unwrap_or_else(|| name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_in_lists_becomes_ucum_or_stays_unknown() {
        let known =
            [("°C", "Cel"), ("℃", "Cel"), ("m³/h", "m3/h"), ("kWh", "kW.h"), ("U/min", "{rev}/min"), ("bar", "bar")];
        for (text, meant) in known {
            assert_eq!(ucum_of(text).as_deref(), Some(meant), "{text}");
        }
        for unknown in ["", "C", "转", "Stk", "foo/min", "a/"] {
            assert_eq!(ucum_of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn units_of_the_plants_pass() {
        for unit in [
            "Cel",
            "K",
            "bar",
            "mbar",
            "kPa",
            "MPa",
            "%",
            "1",
            "kg/h",
            "m3/h",
            "L/min",
            "mL/min",
            "g/L",
            "mg/mL",
            "/min",
            "1/min",
            "{rev}/min",
            "[pH]",
            "[ppm]",
            "[psi]",
            "[degF]",
            "mm",
            "um",
            "nm",
            "mm/s",
            "m/s2",
            "A",
            "mA",
            "V",
            "kV",
            "W",
            "kW",
            "kW.h",
            "Hz",
            "N.m",
            "kN",
            "Ohm",
            "uS/cm",
            "mS/cm",
            "mol/L",
            "10*6/mL",
            "10*3/uL",
            "deg",
            "s",
            "min",
            "h",
            "d",
            "m[H2O]",
            "mm[Hg]",
            "bar{gauge}",
            "kg.m/s2",
            "J/(kg.K)",
            "cm3/min{standard}",
            "m3{normal}/h",
            "{count}",
            "dB",
            "Pa.s",
            "mPa.s",
            "t/h",
            "W/m2",
            "eV",
            "[car_Au]",
            "T",
            "mT",
            "[iU]/mL",
            "m-1",
            "s-1",
            "rad/s",
            "kat",
            "L/(m2.h)",
            "[in_i]",
            "[ft_i]",
            "g%",
        ] {
            assert_eq!(parse(unit).map(|u| u.to_string()), Ok(unit.to_owned()), "{unit}");
        }
    }

    #[test]
    fn what_people_write_is_refused_with_the_right_form() {
        for (wrong, right) in [
            ("°C", "\"Cel\""),
            ("℃", "\"Cel\""),
            ("degC", "\"Cel\""),
            ("celsius", "\"Cel\""),
            ("cel", "\"Cel\""),
            ("°C/min", "\"Cel/min\""),
            ("°F", "\"[degF]\""),
            ("m³/h", "\"m3/h\""),
            ("m^3/h", "\"m3/h\""),
            ("µm", "\"um\""),
            ("μS/cm", "\"uS/cm\""),
            ("kΩ", "\"kOhm\""),
            ("percent", "\"%\""),
            ("rpm", "\"{rev}/min\""),
            ("RPM", "\"{rev}/min\""),
            ("sec", "\"s\""),
            ("hr", "\"h\""),
            ("kg/hr", "\"kg/h\""),
            ("psi", "\"[psi]\""),
            ("ppm", "\"[ppm]\""),
            ("pH", "\"[pH]\""),
            ("ph", "\"[pH]\""),
            ("Bar", "\"bar\""),
            ("KPa", "\"kPa\""),
            ("hz", "\"Hz\""),
            ("Kg/h", "\"kg/h\""),
            ("kWh", "\"kW.h\""),
            ("Nm", "\"N.m\""),
            ("N·m", "\"N.m\""),
            ("mmHg", "\"mm[Hg]\""),
            ("lpm", "\"L/min\""),
            ("slpm", "\"L/min{standard}\""),
            ("barg", "\"bar{gauge}\""),
            ("l/min/m²", "\"l/min/m2\""),
            ("kg / h", "\"kg/h\""),
            ("ohm", "\"Ohm\""),
            ("°", "\"deg\""),
            ("s⁻¹", "\"s-1\""),
            ("[PSI]", "\"[psi]\""),
            ("Nm3/h", "\"m3{normal}/h\""),
            ("W/m**2", "\"W/m2\""),
            ("kWh/kg", "\"(kW.h)/kg\""),
        ] {
            let hint = parse(wrong).map_err(|(_, hint)| hint);
            assert_eq!(hint, Err(Some(format!("write {right}"))), "{wrong}");
        }
    }

    #[test]
    fn capitals_alone_never_decide_between_milli_and_mega() {
        assert_eq!(parse("mpa").map_err(|(_, hint)| hint), Err(Some("write \"MPa\" or \"mPa\"".to_owned())));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for bad in
            ["", "/", "m//s", "m/", ".m", "m.", "(m", "m)", "[x", "x]", "{x", "x}", "()", "m(s)", "{a{b}}", "m{x}y"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("度").is_err());
        assert!(parse(&"m.".repeat(30)).is_err());
    }
}
