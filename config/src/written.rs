use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::SourceFile;

/// What a file says of its devices, points and datasets, as it is written: by `device`, `device/point` and `dataset ID`, each
/// key with its value. For comparing two files in what a policy does not hold: scale, byte order, address. Empty: not TOML.
pub fn as_written(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let root: Table = text.parse().unwrap_or_default();
    let mut written = BTreeMap::new();
    for dataset in tables(root.get("dataset")) {
        written.insert(format!("dataset {}", named(dataset, "id")), keys(dataset));
    }
    for device in tables(root.get("device")) {
        let name = named(device, "name");
        for point in tables(device.get("point")) {
            written.insert(format!("{name}/{}", named(point, "name")), keys(point));
        }
        written.insert(name, keys(device));
    }
    written
}

/// What a configuration says, as it is written: by `device NAME`, `point DEVICE/NAME`, `dataset ID` and `[table]`, each key
/// with its value. For telling a person what differs between two.
pub fn told_as_written(files: &[SourceFile]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut told: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for text in files.iter().filter_map(|file| std::str::from_utf8(&file.bytes).ok()) {
        let root: Table = text.parse().unwrap_or_default();
        for (name, keys) in as_written(text) {
            let is_whole = name.starts_with("dataset ");
            let kind = if name.contains('/') { "point" } else { "device" };
            told.insert(if is_whole { name } else { format!("{kind} {name}") }, keys);
        }
        for (name, table) in &root {
            if let Value::Table(table) = table {
                told.entry(format!("[{name}]")).or_default().extend(keys(table));
            }
        }
    }
    told
}

fn tables(value: Option<&Value>) -> impl Iterator<Item = &Table> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table)
}

fn named(table: &Table, key: &str) -> String {
    table.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Without the points of a device, which stand for themselves.
fn keys(table: &Table) -> BTreeMap<String, String> {
    table.iter().filter(|(key, _)| *key != "point").map(|(key, value)| (key.clone(), shown(value))).collect()
}

fn shown(value: &Value) -> String {
    let joined = |items: Vec<String>| items.join(", ");
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(items) => format!("[{}]", joined(items.iter().map(shown).collect())),
        Value::Table(table) => {
            format!("{{ {} }}", joined(table.iter().map(|(key, value)| format!("{key} = {}", shown(value))).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_device_a_point_and_a_dataset_is_there_under_its_name() {
        let text = "[[dataset]]\nid = \"ds-1\"\nquota = { records = 9 }\n[[device]]\nname = \"press\"\nunit = 1\n[[device.point]]\nname = \"speed\"\nscale = 0.10 # a comment\n\
                    minimize = [ { deadband = 0.5 } ]\n";
        let written = as_written(text);
        assert_eq!(written["press"]["unit"], "1");
        assert_eq!(written["dataset ds-1"]["quota"], "{ records = 9 }");
        assert_eq!(written["press/speed"]["scale"], "0.1");
        assert_eq!(written["press/speed"]["minimize"], "[{ deadband = 0.5 }]");
        assert_eq!(written["press"].len(), 2);
        assert!(as_written("[[").is_empty());
    }
}
