use std::sync::Arc;
use std::time::Duration;

use lingate_model::{BuiltinType, Decimal};

use super::pace::{MODES, Mode, Pace};
use super::target::Target;
use crate::device::PointSettings;
use crate::settings::Table;

/// The driver's own keys of a point.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) target: Target,
    pub(crate) shape: Shape,
    /// A part of an array, as the server cuts it (OPC 10000-4, 7.27).
    pub(crate) range: Option<String>,
    /// A field of a structure, and a field of that: only this leaves.
    pub(crate) field: Vec<Arc<str>>,
    pub(crate) mode: Mode,
    pub(crate) interval: Duration,
    /// Of a subscribed point: changes that the server keeps between two publishes.
    pub(crate) queue: u32,
    pub(crate) deadband: Option<Deadband>,
}

/// What a value must be; anything else is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) builtin_type: BuiltinType,
    pub(crate) rank: u8,
}

/// Changes that are smaller are not told (OPC 10000-4, 7.22.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Deadband {
    Absolute(f64),
    /// Of the node's EURange.
    Percent(f64),
}

const FIELDS_MAX: usize = 10;
const QUEUE_MAX: u32 = 100_000;
/// Beyond twice the changes that are due between two publishes.
const QUEUE_SLACK: u128 = 3;

impl Item {
    /// `None` if a key is missing or wrong; the problems stay in the point's table.
    pub(crate) fn take(point: &mut PointSettings<'_>, pace: &Pace, every: Duration) -> Option<Item> {
        let table = &mut point.table;
        let target = take_target(table);
        let shape = table.require("type").parsed_with(Shape::parse);
        let range = table.take("index").parsed_with(parse_range);
        let field = table.take("field").parsed_with(parse_field).unwrap_or_default();
        let mode = table.take("mode").word(&MODES).unwrap_or(pace.mode);
        let interval = point.every.unwrap_or(every);
        let queue = table.take("queue").integer(1..=QUEUE_MAX);
        let deadband = take_deadband(table, shape);
        if mode == Mode::Poll {
            refuse_beside_poll(table);
        }
        let queue = queue.unwrap_or_else(|| queue_for(pace.publishing, interval));
        Some(Item { target: target?, shape: shape?, range, field, mode, interval, queue, deadband })
    }

    /// For catalogue and lineage.
    pub(crate) fn source(&self) -> String {
        let mut source = self.target.to_string();
        if let Some(range) = &self.range {
            source.push_str(&format!("[{range}]"));
        }
        if !self.field.is_empty() {
            source.push_str(&format!(" field {}", self.field.join(".")));
        }
        source
    }
}

/// So many that nothing is lost if one publish is late.
fn queue_for(publishing: Duration, interval: Duration) -> u32 {
    let changes = publishing.as_nanos().div_ceil(interval.as_nanos().max(1));
    u32::try_from(2 * changes + QUEUE_SLACK).unwrap_or(u32::MAX).min(QUEUE_MAX)
}

fn take_target(table: &mut Table<'_>) -> Option<Target> {
    if table.has("path") && table.has("node") {
        table.problem("path", "stands beside \"node\": one of them is enough", None);
    }
    if table.has("path") {
        let _ = table.take("node");
        return table.take("path").parsed_with(Target::parse_path);
    }
    let _ = table.take("path");
    table.require("node").parsed_with(Target::parse_node)
}

fn refuse_beside_poll(table: &mut Table<'_>) {
    for key in ["queue", "server_deadband"] {
        if table.has(key) {
            let hint = "remove it, or write mode = \"subscribe\"";
            table.problem(key, "is for subscribed points, this one is polled", Some(hint.to_owned()));
        }
    }
}

/// `server_deadband = 0.5` or `server_deadband = "2%"`.
fn take_deadband(table: &mut Table<'_>, shape: Option<Shape>) -> Option<Deadband> {
    let deadband = table.take("server_deadband").parsed_or_number(parse_deadband)?;
    if shape.is_some_and(|shape| !shape.builtin_type.is_numeric()) {
        table.problem("server_deadband", "is for numbers", None);
        return None;
    }
    Some(deadband)
}

fn parse_deadband(text: &str) -> Result<Deadband, (String, Option<String>)> {
    let refused =
        |what: &str| (what.to_owned(), Some("write 0.5 in the point's unit, or \"2%\" of its range".to_owned()));
    let (number, is_percent) = text.strip_suffix('%').map_or((text, false), |number| (number, true));
    let number = number.trim().parse::<Decimal>().map_err(|error| refused(&error.to_string()))?;
    match (number.is_positive(), is_percent, number.to_f64()) {
        (false, ..) => Err(refused("is not above 0")),
        (true, true, percent) if percent > 100.0 => Err(refused("is more than the whole range")),
        (true, true, percent) => Ok(Deadband::Percent(percent)),
        (true, false, absolute) => Ok(Deadband::Absolute(absolute)),
    }
}

impl Shape {
    /// `double`, `int32[]`, `float[,]`: the standard's names in small letters.
    pub(crate) fn parse(text: &str) -> Result<Shape, (String, Option<String>)> {
        let hint = || {
            let words: Vec<_> = BuiltinType::ALL.into_iter().map(type_word).collect();
            Some(format!(
                "known are {}; behind it [] for a list, [,] and [,,] for two and three dimensions",
                words.join(", ")
            ))
        };
        let (word, rank) = match text.split_once('[') {
            None => (text, 0),
            Some((word, "]")) => (word, 1),
            Some((word, ",]")) => (word, 2),
            Some((word, ",,]")) => (word, 3),
            Some(_) => return Err(("has no such dimensions".to_owned(), hint())),
        };
        let known = BuiltinType::ALL.into_iter().find(|known| type_word(*known) == word);
        let builtin_type = known.ok_or_else(|| ("is no built-in type of OPC UA".to_owned(), hint()))?;
        if builtin_type == BuiltinType::Variant && rank == 0 {
            let hint = "write the type that the node has; variant[] is a list whose values differ in type";
            return Err(("is not the type of one value".to_owned(), Some(hint.to_owned())));
        }
        Ok(Shape { builtin_type, rank })
    }
}

/// As `type = "..."` in the file names it.
pub(crate) fn type_word(builtin_type: BuiltinType) -> String {
    format!("{builtin_type:?}").to_lowercase()
}

/// `1:3`, `5`, `0:1,4` (OPC 10000-4, 7.27).
fn parse_range(text: &str) -> Result<String, (String, Option<String>)> {
    let is_number = |n: &str| !n.is_empty() && n.len() <= 9 && n.bytes().all(|b| b.is_ascii_digit());
    let is_part = |part: &str| match part.split_once(':') {
        Some((from, to)) => is_number(from) && is_number(to) && from.parse::<u32>().ok() < to.parse::<u32>().ok(),
        None => is_number(part),
    };
    let parts: Vec<_> = text.split(',').collect();
    if (1..=3).contains(&parts.len()) && parts.iter().all(|part| is_part(part)) {
        return Ok(text.to_owned());
    }
    Err((
        "is no range of an array".to_owned(),
        Some("write \"1:3\" for the second to the fourth, \"0:1,4\" for two dimensions".to_owned()),
    ))
}

fn parse_field(text: &str) -> Result<Vec<Arc<str>>, (String, Option<String>)> {
    let names: Vec<Arc<str>> = text.split('.').map(Arc::from).collect();
    if names.len() > FIELDS_MAX || names.iter().any(|name| name.is_empty()) {
        let hint = "write the names from the outermost in, as in \"Position.X\"";
        return Err((format!("is not 1 to {FIELDS_MAX} names with a dot between them"), Some(hint.to_owned())));
    }
    Ok(names)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_type_has_a_word_and_up_to_three_dimensions() {
        for builtin_type in BuiltinType::ALL {
            let word = type_word(builtin_type);
            for (rank, dimensions) in [(1, "[]"), (2, "[,]"), (3, "[,,]")] {
                assert_eq!(Shape::parse(&format!("{word}{dimensions}")), Ok(Shape { builtin_type, rank }));
            }
            assert_eq!(Shape::parse(&word).is_ok(), builtin_type != BuiltinType::Variant, "{word}");
        }
        for wrong in ["", "Double", "double[", "double[,,,]", "int", "double []"] {
            assert!(Shape::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_queue_holds_twice_the_changes_between_two_publishes() {
        let ms = Duration::from_millis;
        for (publishing, interval, queue) in [(1000, 100, 23), (100, 1000, 5), (500, 300, 7), (60_000, 1, QUEUE_MAX)] {
            assert_eq!(queue_for(ms(publishing), ms(interval)), queue, "{publishing} {interval}");
        }
    }

    #[test]
    fn ranges_fields_and_deadbands_are_read_or_refused() {
        for text in ["0", "1:3", "0:1,4", "1,2,3"] {
            assert_eq!(parse_range(text).unwrap(), text);
        }
        for wrong in ["", "3:1", "1:1", "-1", "1:", "1,2,3,4", "9999999999", "1 :3"] {
            assert!(parse_range(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(parse_field("a.b").unwrap(), ["a".into(), "b".into()]);
        assert!(parse_field("a..b").is_err() && parse_field("").is_err());
        assert_eq!(parse_deadband("0.5").unwrap(), Deadband::Absolute(0.5));
        assert_eq!(parse_deadband("2.5 %").unwrap(), Deadband::Percent(2.5));
        for wrong in ["0", "-1", "101%", "x", "%"] {
            assert!(parse_deadband(wrong).is_err(), "{wrong:?}");
        }
    }
}
