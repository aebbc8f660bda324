use lingate_drivers::settings::DeTable;
use toml::de::DeValue;

/// `device[0].point[1].register` in words: `device "extruder-7", point "melt_temperature", register`.
pub(crate) fn subject(root: &DeTable<'_>, path: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut keys: Vec<&str> = Vec::new();
    let mut here = Some(root);
    for segment in path.split('.').filter(|segment| !segment.is_empty()) {
        let (key, index) = parts(segment);
        let value = here.and_then(|table| table.get(key)).map(toml::Spanned::get_ref);
        let Some(index) = index else {
            keys.push(key);
            here = value.and_then(DeValue::as_table);
            continue;
        };
        words.extend((!keys.is_empty()).then(|| std::mem::take(&mut keys).join(".")));
        here = value.and_then(|list| list.get(index)).and_then(|element| element.get_ref().as_table());
        words.push(match here.and_then(name) {
            Some(name) => format!("{key} {name}"),
            None => format!("{key} number {}", index + 1),
        });
    }
    words.extend((!keys.is_empty()).then(|| keys.join(".")));
    words.join(", ")
}

/// `point[1]` is (`point`, 1).
fn parts(segment: &str) -> (&str, Option<usize>) {
    match segment.strip_suffix(']').and_then(|segment| segment.split_once('[')) {
        Some((key, index)) => (key, index.parse().ok()),
        None => (segment, None),
    }
}

fn name(table: &DeTable<'_>) -> Option<String> {
    let name = ["name", "id"].iter().find_map(|key| table.get(*key)?.get_ref().as_str())?;
    let short: String = name.chars().take(60).collect();
    Some(format!("{short:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_points_go_by_their_names_and_otherwise_by_number() {
        let text = "[[device]]\nname='x'\n[[device]]\nname='ext'\n[[device.point]]\n[[device.point]]\nname='melt'";
        let root = DeTable::parse(text).expect("TOML");
        for (path, words) in [
            ("device[1].point[1].unit", "device \"ext\", point \"melt\", unit"),
            ("device[1].point[0]", "device \"ext\", point number 1"),
            ("device[1].point[1].minimize[0].round", "device \"ext\", point \"melt\", minimize number 1, round"),
            ("dataset[0].flush.age", "dataset number 1, flush.age"),
            ("sandbox.key", "sandbox.key"),
            ("", ""),
        ] {
            assert_eq!(subject(root.get_ref(), path), words);
        }
    }
}
