use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Found, Tree};
use crate::opcua::preset::Preset;
use crate::opcua::text::shown;
use crate::opcua::tool::Tool;

/// Of a point's name (the model's limit is 128).
const NAME_MAX: usize = 100;
/// Names of the path that a point's name is made of.
const NAME_PARTS: usize = 3;

impl Tree {
    /// Device tables, one for each machine of a preset, else one for all. No point has a dataset or a class: each is
    /// denied until somebody labels it.
    pub fn to_toml(&self, tool: &Tool, preset: Option<&Preset>) -> String {
        let mut machines: BTreeMap<Vec<(String, String)>, Vec<&Found>> = BTreeMap::new();
        for found in self.nodes.iter().filter(|found| found.is_variable && !found.is_property) {
            let root = preset.and_then(|preset| preset.machine_of(&found.path)).unwrap_or(1);
            machines.entry(found.path[..root].to_vec()).or_default().push(found);
        }
        let mut toml = String::new();
        if let Some(preset) = preset {
            let _ = writeln!(toml, "# Browse names of {}.", preset.specification);
        }
        let _ = writeln!(toml, "# Nothing of this leaves: a point without dataset and class is denied. Label what may.");
        for (at, (root, points)) in machines.iter().enumerate() {
            toml.push('\n');
            toml.push_str(&device(at, root, points, tool));
        }
        for people in &self.people {
            let _ = writeln!(toml, "\n# Left out, because it tells of people: {people}");
        }
        if let Some(cut) = self.cut {
            let _ = writeln!(toml, "\n# Not everything is here: browsing ended at {cut}.");
        }
        toml
    }
}

fn device(at: usize, root: &[(String, String)], points: &[&Found], tool: &Tool) -> String {
    let machine = root.last().filter(|_| root.len() > 1).map_or("opcua", |(_, name)| name.as_str());
    let mut name = word(machine);
    name.truncate(56);
    let mut toml = String::new();
    let _ = writeln!(toml, "[[device]]\nname = \"{name}-{}\"\ndriver = \"opcua\"\nevery = \"1s\"", at + 1);
    let _ = writeln!(toml, "equipment = \"enterprise/site/area/line/{name}\"   # ISA-95 path: write the real one");
    let _ = writeln!(toml, "address = {}", quoted(&tool.address()));
    if tool.settings.security.is_none() {
        let sentence = crate::opcua::security::PLAIN_TEXT_SENTENCE;
        let _ = writeln!(toml, "# security = \"none\" was used to browse; it needs accept_plain_text = \"{sentence}\"");
    }
    let mut names = BTreeSet::new();
    for found in points {
        toml.push_str(&point(found, &unique(found, root.len(), &mut names)));
    }
    toml
}

fn point(found: &Found, name: &str) -> String {
    let mut toml = format!("\n[[device.point]]\nname = \"{name}\"\nnode = {}\n", quoted(&found.node));
    let _ = match &found.value_type {
        Some(value_type) => writeln!(toml, "type = \"{value_type}\""),
        None => writeln!(toml, "type = \"structure\"                    # the server's own type: write what it is"),
    };
    let _ = match (found.unit, &found.unit_text) {
        (Some(unit), _) => writeln!(toml, "unit = \"{unit}\""),
        (None, Some(text)) => writeln!(toml, "# unit: the server says \"{text}\", which has no UCUM form here"),
        (None, None) => Ok(()),
    };
    if let Some((low, high)) = found.range {
        let _ = writeln!(toml, "range = [{low:?}, {high:?}]");
    }
    toml.push_str("# dataset = \"...\"\n# class = \"general\"\n");
    toml
}

/// From the last names of the path, as many as make it unique.
fn unique(found: &Found, root: usize, names: &mut BTreeSet<String>) -> String {
    let parts: Vec<_> = found.path[root.min(found.path.len() - 1)..].iter().map(|(_, name)| word(name)).collect();
    let last = &parts[parts.len().saturating_sub(NAME_PARTS)..];
    let mut name = last.join("/");
    if name.len() > NAME_MAX {
        name = name.chars().skip(name.len() - NAME_MAX).collect::<String>().trim_start_matches(['.', '/']).to_owned();
    }
    let mut tried = name.clone();
    let mut count = 1;
    while !names.insert(tried.clone()) {
        count += 1;
        tried = format!("{name}_{count}");
    }
    tried
}

/// Letters, digits, `-` and `_`; never empty, never with a dot in front.
fn word(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    let word: String = name.chars().take(NAME_MAX).map(plain).collect();
    if word.is_empty() { "_".to_owned() } else { word }
}

/// A basic string of TOML that reads back exactly, and in which no character is invisible.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if shown(c.encode_utf8(&mut [0; 4])).chars().ne([c]) => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use opcua::types::NodeId;

    use super::*;
    use crate::settings::{DeTable, Table};

    fn found(names: &[&str], node: &str) -> Found {
        Found {
            path: names.iter().map(|name| ("urn:acme".to_owned(), (*name).to_owned())).collect(),
            node: node.to_owned(),
            id: NodeId::null(),
            is_variable: true,
            is_property: false,
            value_type: Some("double".to_owned()),
            unit: Some("Cel"),
            unit_text: Some("°C".to_owned()),
            range: Some((0.0, 400.0)),
            unit_node: None,
            range_node: None,
        }
    }

    fn written(nodes: Vec<Found>) -> String {
        let tool = Tool::plain("opc.tcp://host:4840", true).unwrap();
        Tree { nodes, people: vec!["Extruder/Users".to_owned()], cut: None }.to_toml(&tool, None)
    }

    #[test]
    fn what_is_written_reads_back_with_every_point_denied() {
        let evil = "nsu=urn:acme;s=a\"\\b\u{1b}[31m\n\u{202e}c";
        let toml = written(vec![found(&["Objects", "X", "Zone 1", "Temp"], evil), found(&["Objects", "X", "Zone 1", "Temp"], "i=7")]);
        let file = DeTable::parse(&toml).unwrap_or_else(|error| panic!("{error}: {toml}"));
        let mut root = Table::new(file.get_ref(), file.span(), "");
        let mut device = root.take("device").tables(1..=1).remove(0);
        let points = device.take("point").tables(2..=2);
        let mut names = BTreeSet::new();
        for (mut point, node) in points.into_iter().zip([evil, "i=7"]) {
            assert!(names.insert(point.take("name").string().unwrap()));
            assert!(!point.has("dataset") && !point.has("class"));
            assert!(toml.contains(&quoted(node)));
            assert_eq!(point.take("unit").string().as_deref(), Some("Cel"));
        }
        assert!(toml.contains("tells of people: Extruder/Users"));
        assert!(toml.chars().all(|c| c == '\n' || !c.is_control()), "{toml}");
    }
}
