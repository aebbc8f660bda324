//! What differs between two configurations, in lines for a person.

use std::collections::{BTreeMap, BTreeSet};

use lingate_config::{SourceFile, told_as_written};

/// Nobody reads further; how many there are more is told.
const LINES_MAX: usize = 200;
const VALUE_MAX: usize = 80;

/// `+ device oven-9`, `- dataset ds-7`, `~ point press/speed: scale 0.1 -> 0.01`; empty if both say the same.
pub(crate) fn difference(before: &[SourceFile], after: &[SourceFile]) -> Vec<String> {
    let (before, after) = (told_as_written(before), told_as_written(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut lines = Vec::new();
    for name in names {
        match (before.get(name), after.get(name)) {
            // A device that is new or gone speaks for its points.
            (None, Some(_)) if !has_device(name, &before) => {}
            (Some(_), None) if !has_device(name, &after) => {}
            (None, Some(_)) => lines.push(format!("+ {}", shown(name))),
            (Some(_), None) => lines.push(format!("- {}", shown(name))),
            (Some(old), Some(new)) => lines.extend(changes(name, old, new)),
            (None, None) => {}
        }
    }
    lines.sort_by_key(|line| rank(line));
    let more = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    lines.extend((more > 0).then(|| format!("and {more} more")));
    lines
}

/// Of a point: whether its device is in the other configuration too. Everything else has none and stands for itself.
fn has_device(name: &str, other: &BTreeMap<String, BTreeMap<String, String>>) -> bool {
    let device = name.strip_prefix("point ").and_then(|point| point.split_once('/')).map(|(device, _)| device);
    device.is_none_or(|device| other.contains_key(&format!("device {device}")))
}

fn changes(name: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let value =
        |keys: &BTreeMap<String, String>, key: &str| keys.get(key).map_or("(default)".to_owned(), |it| shown(it));
    let differing = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    differing.map(|key| format!("~ {}: {key} {} -> {}", shown(name), value(old, key), value(new, key))).collect()
}

/// Tables, datasets, devices, points.
fn rank(line: &str) -> (usize, char) {
    let place = ["[", "dataset ", "device ", "point "].iter().position(|start| line[2..].starts_with(start));
    (place.unwrap_or(9), line.chars().next().unwrap_or(' '))
}

fn shown(text: &str) -> String {
    let safe: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match safe.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}...", &safe[..end]),
        None => safe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Vec<SourceFile> {
        vec![SourceFile { name: "f".to_owned(), bytes: text.as_bytes().to_owned() }]
    }

    #[test]
    fn each_change_is_a_line_and_a_new_device_one_line_with_all_its_points() {
        let before = file(
            "[buffer]\ncommit = '200ms'\n[[dataset]]\nid = 'a'\n[[device]]\nname = 'one'\nevery = '1s'\n[[device.point]]\n\
             name = 'x'\nscale = 1\n[[device]]\nname = 'two'\n[[device.point]]\nname = 'y'\n",
        );
        let after = file(
            "[buffer]\ncommit = '1s'\n[[device]]\nname = 'three'\n[[device.point]]\nname = 'z'\n[[device]]\nname = 'one'\n\
             every = '2s'\n[[device.point]]\nname = 'x'\nscale = 0.1\n[[device.point]]\nname = 'w'\n[[dataset]]\nid = 'b'\n",
        );
        assert_eq!(
            difference(&before, &after),
            [
                "~ [buffer]: commit \"200ms\" -> \"1s\"",
                "+ dataset b",
                "- dataset a",
                "+ device three",
                "- device two",
                "~ device one: every \"1s\" -> \"2s\"",
                "+ point one/w",
                "~ point one/x: scale 1 -> 0.1",
            ]
        );
        assert_eq!(difference(&before, &before), Vec::<String>::new());
    }

    #[test]
    fn a_thousand_changes_are_counted() {
        let many = |every: &str| -> Vec<SourceFile> {
            file(&(0..500).map(|n| format!("[[device]]\nname = 'd{n}'\nevery = '{every}'\n")).collect::<String>())
        };
        let lines = difference(&many("1s"), &many("2s"));
        assert_eq!((lines.len(), lines[200].as_str()), (201, "and 300 more"));
    }
}
