//! The schema that editors check with says what the parser says: of keys everything, of values their types and words.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod draft7;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use draft7::Validator;
use lingate_config::{REFERENCE, load, schema};
use serde_json::Value;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn validator() -> Validator {
    Validator::of(schema())
}

fn as_json(text: &str) -> Value {
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

fn errors(validator: &Validator, text: &str) -> Vec<String> {
    validator.errors(&as_json(text))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn cases(kind: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder("tests/cases")).unwrap().map(|entry| entry.unwrap().path());
    let named = entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path));
    let mut found: Vec<_> =
        named.filter(|(name, _)| kind(name)).map(|(name, path)| (name, read(&path.join("lingate.toml")))).collect();
    found.sort();
    found
}

/// Everything that is good for the parser.
fn good() -> Vec<(String, String)> {
    let mut good = cases(|name| name.starts_with("good-"));
    for entry in fs::read_dir(folder("examples")).unwrap() {
        let path = entry.unwrap().path();
        good.push((path.display().to_string(), read(&path)));
    }
    let head = read(&folder("../gateway/daemon/src/cli/sample.toml"));
    let samples =
        lingate_drivers::DRIVERS.iter().map(|driver| (driver.kind.to_owned(), format!("{head}{}", driver.sample)));
    good.extend(samples);
    good.push(("reference".to_owned(), REFERENCE.to_owned()));
    good
}

#[test]
fn what_the_parser_takes_is_valid() {
    let (validator, good) = (validator(), good());
    assert!(good.len() >= 20, "{}", good.len());
    for (name, text) in good {
        assert!(load(&name, &text).is_ok(), "{name}");
        assert_eq!(errors(&validator, &text), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_is_wrong_in_a_key_or_a_type_is_invalid() {
    let is_shape = |name: &str| {
        let starts = ["key-unknown", "secret-password", "table-missing", "table-wrong", "type-wrong", "file-empty"];
        starts.iter().any(|start| name.starts_with(start)) || WRONG.contains(&name)
    };
    const WRONG: &[&str] = &[
        "backlog-share-and-rate-out-of-range",
        "class-core",
        "class-core-dataset",
        "class-wrong",
        "dataset-order-wrong",
        "dataset-priority-wrong",
        "dataset-purpose-missing",
        "dataset-without-id",
        "driver-unknown",
        "duration-wrong",
        "minimize-not-a-list",
        "overflow-thin",
        "register-type-missing",
        "size-without-unit",
        "size-wrong-unit",
    ];
    let (validator, wrong) = (validator(), cases(is_shape));
    assert!(wrong.len() >= 20, "{}", wrong.len());
    // That a register needs a type and a coil does not, no schema of keys can say.
    for (name, text) in wrong.iter().filter(|(name, _)| name != "register-type-missing") {
        assert!(!errors(&validator, text).is_empty(), "{name}");
    }
}

/// The shapes of all tables in a schema, with their keys: the union for all drivers is left aside.
fn tables(schema: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    walk(schema, "", &mut found);
    for (driver, device) in schema["definitions"].as_object().unwrap() {
        walk(device, &format!("device.{driver}"), &mut found);
    }
    found
}

fn walk(value: &Value, path: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    if let Some(options) = value["anyOf"].as_array() {
        options.iter().for_each(|option| walk(option, path, found));
    }
    if value["items"].is_object() {
        walk(&value["items"], path, found);
    }
    let Some(properties) = value["properties"].as_object() else { return };
    let keys = found.entry(path.to_owned()).or_default();
    keys.extend(properties.keys().cloned());
    for (key, below) in properties.iter().filter(|(key, _)| !(path.is_empty() && *key == "device")) {
        let below_path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        walk(below, &below_path, found);
    }
}

/// Every key that a table of the schema has, written into each such table of the reference, is one that the parser knows
/// there, and a key that no schema has is one that it does not know.
#[test]
fn the_parser_knows_exactly_the_keys_of_the_schema() {
    let tables = tables(&schema());
    let root: toml::Table = REFERENCE.parse().unwrap();
    let mut checked = 0;
    for (path, keys) in &tables {
        for key in keys.iter().map(String::as_str).chain(["no_such_key"]) {
            let Some(text) = with_key(&root, path, key) else {
                // Read in the same way at the points where the reference has them.
                assert!(path.contains("minimize") || path.contains("class_after"), "the reference has no table {path}");
                continue;
            };
            let is_unknown = match load("f", &text) {
                Ok(_) => false,
                Err(problems) => {
                    let what = format!("{key:?} is not a setting");
                    problems.problems.iter().any(|problem| problem.what == what)
                }
            };
            assert_eq!(is_unknown, key == "no_such_key", "{path}.{key}");
            checked += 1;
        }
    }
    assert!(checked > 250, "{checked} keys");
}

/// The reference with this key in the first table of this shape, of a wrong type if it was not there.
fn with_key(root: &toml::Table, path: &str, key: &str) -> Option<String> {
    let mut root = root.clone();
    let table = find(&mut root, &path.split('.').filter(|part| !part.is_empty()).collect::<Vec<_>>())?;
    if path.ends_with("minimize") {
        table.clear();
        let step = [("max_interval", "deadband"), ("interval", "aggregate"), ("with", "mask")];
        let of = step.into_iter().filter(|(beside, _)| *beside == key).map(|(_, step)| step);
        of.for_each(|step| drop(table.insert(step.to_owned(), toml::Value::Boolean(true))));
    }
    table.entry(key).or_insert(toml::Value::Boolean(true));
    Some(root.iter().map(|(key, value)| format!("{key} = {}\n", inline(value))).collect())
}

fn find<'t>(table: &'t mut toml::Table, path: &[&str]) -> Option<&'t mut toml::Table> {
    let Some((key, mut rest)) = path.split_first() else { return Some(table) };
    match table.get_mut(*key)? {
        toml::Value::Table(below) => find(below, rest),
        toml::Value::Array(elements) => {
            let driver = rest.split_first().filter(|_| *key == "device").map(|(driver, behind)| {
                rest = behind;
                *driver
            });
            let tables = elements.iter_mut().filter_map(toml::Value::as_table_mut);
            let mut meant = tables.filter(|table| driver.is_none_or(|driver| table["driver"].as_str() == Some(driver)));
            meant.find_map(|element| find(element, rest))
        }
        _ => None,
    }
}

fn inline(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => format!("{text:?}"),
        toml::Value::Array(elements) => format!("[{}]", elements.iter().map(inline).collect::<Vec<_>>().join(", ")),
        toml::Value::Table(table) => {
            let members: Vec<_> = table.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => format!("{number:?}"),
        toml::Value::Boolean(flag) => flag.to_string(),
        toml::Value::Datetime(time) => time.to_string(),
    }
}

/// A key that a parser takes only where the reference does not lead would be missing from the schema.
#[test]
fn every_key_that_the_sources_take_is_in_the_schema() {
    let known: BTreeSet<String> = tables(&schema()).into_values().flatten().collect();
    let mut taken = BTreeSet::new();
    for source in ["src", "../drivers/src"] {
        collect(&folder(source), &mut taken);
    }
    assert!(taken.len() > 100, "{taken:?}");
    let missing: Vec<&String> = taken.difference(&known).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

fn collect(folder: &Path, taken: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, taken);
        } else if name.ends_with(".rs") && !name.starts_with("test") && !path.ends_with("settings/trace.rs") {
            let text = read(&path);
            let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
            for call in
                [".take(\"", ".require(\"", "(table, \"", "(&mut table, \"", "(dataset, \"", "require_table(root, \""]
            {
                let names = code.match_indices(call).map(|(at, _)| &code[at + call.len()..]);
                taken.extend(names.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()));
            }
        }
    }
}

#[test]
fn every_key_has_a_meaning_and_a_kind() {
    fn check(value: &Value, path: &str) {
        let properties = value["properties"].as_object().into_iter().flatten();
        for (key, below) in properties {
            let path = format!("{path}.{key}");
            let is_driver = key == "driver" && below["const"].is_string();
            assert!(
                is_driver || below["description"].is_string(),
                "{path} has no meaning: write it into reference.toml"
            );
            assert!(below.as_object().unwrap().len() > 1 || is_driver, "{path} has no kind: {below}");
            for inner in below["anyOf"].as_array().into_iter().flatten().chain([below, &below["items"]]) {
                check(inner, &path);
            }
        }
    }
    let schema = schema();
    check(&schema, "");
    schema["definitions"].as_object().unwrap().iter().for_each(|(driver, device)| check(device, driver));
}
