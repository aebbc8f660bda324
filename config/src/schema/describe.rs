use std::collections::BTreeMap;

use lingate_drivers::settings::DeTable;
use toml::de::DeValue;

/// The comment behind each key, by its path without numbers; of a device's keys also by `device`, its driver and the rest.
/// The first that stands in the file holds.
pub(super) fn descriptions(reference: &str) -> BTreeMap<String, String> {
    let root = DeTable::parse(reference).map(toml::Spanned::into_inner).unwrap_or_default();
    let mut found = BTreeMap::new();
    let mut reader = Reader { text: reference, found: &mut found };
    reader.read(&root, &[String::new()]);
    found
}

struct Reader<'a> {
    text: &'a str,
    found: &'a mut BTreeMap<String, String>,
}

impl Reader<'_> {
    fn read(&mut self, table: &DeTable<'_>, paths: &[String]) {
        for (key, value) in table {
            let below: Vec<String> = paths
                .iter()
                .map(
                    |path| {
                        if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) }
                    },
                )
                .collect();
            let line_end = self.text[key.span().end..].find('\n').map_or(self.text.len(), |end| key.span().end + end);
            let behind = if value.span().end <= line_end { value.span().end.max(key.span().end) } else { line_end };
            if let Some((_, comment)) = self.text[behind..line_end].split_once('#') {
                below.iter().for_each(|path| {
                    self.found.entry(path.clone()).or_insert_with(|| comment.trim().to_owned());
                });
            }
            self.value(value.get_ref(), &below);
        }
    }

    fn value(&mut self, value: &DeValue<'_>, paths: &[String]) {
        match value {
            DeValue::Table(table) => self.read(table, &with_driver(table, paths)),
            DeValue::Array(array) => array.iter().for_each(|element| self.value(element.get_ref(), paths)),
            _ => {}
        }
    }
}

fn with_driver(table: &DeTable<'_>, paths: &[String]) -> Vec<String> {
    let driver = table.get("driver").and_then(|driver| driver.get_ref().as_str());
    let own = driver.filter(|_| paths == ["device"]).map(|driver| format!("device.{driver}"));
    paths.iter().cloned().chain(own).collect()
}
