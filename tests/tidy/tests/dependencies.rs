//! Every direct dependency is justified, and nothing is named that nobody uses.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::{BTreeMap, BTreeSet};

use lingate_tidy::{root, sources};
use toml::Table;

const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

fn manifests() -> impl Iterator<Item = (String, Table)> {
    let all = sources(&["gateway", "drivers", "config", "tests"], &["Cargo.toml"]);
    all.into_iter().map(|source| (source.path, source.text.parse().unwrap()))
}

fn workspace() -> Table {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let whole: Table = text.parse().unwrap();
    whole["workspace"]["dependencies"].as_table().unwrap().clone()
}

/// Name in our manifests, with the manifests.
fn used() -> BTreeMap<String, BTreeSet<String>> {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, manifest) in manifests() {
        let targets = manifest.get("target").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        let tables = targets.values().filter_map(toml::Value::as_table).chain([&manifest]);
        for table in tables.flat_map(|table| KINDS.iter().filter_map(|kind| table.get(*kind)?.as_table())) {
            for name in table.keys() {
                used.entry(name.clone()).or_default().insert(path.clone());
            }
        }
    }
    used
}

/// As a word: `serde` does not stand in `serde_json`.
fn is_named(document: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    document.match_indices(name).any(|(at, _)| {
        let before = document[..at].chars().next_back();
        let behind = document[at + name.len()..].chars().next();
        !before.is_some_and(is_part) && !behind.is_some_and(is_part)
    })
}

#[test]
fn every_direct_dependency_is_justified() {
    let document = std::fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let workspace = workspace();
    let foreign: Vec<_> = used().into_iter().filter(|(name, _)| !name.starts_with("lingate")).collect();
    assert!(foreign.len() > 40, "only {} dependencies found: did the manifests move?", foreign.len());
    for (name, users) in foreign {
        let published = workspace.get(&name).and_then(|entry| entry.get("package")).and_then(toml::Value::as_str);
        let published = published.unwrap_or(&name);
        assert!(
            is_named(&document, published) || is_named(&document, &name),
            "docs/dependencies.md does not say what {published} is for, and who keeps it; {users:?} uses it"
        );
    }
}

#[test]
fn what_no_crate_uses_is_no_dependency_of_the_workspace() {
    let used = used();
    for name in workspace().keys().filter(|name| !name.starts_with("lingate")) {
        assert!(used.contains_key(name), "Cargo.toml offers {name} to the workspace, and no crate takes it");
    }
}

#[test]
fn a_name_within_another_is_not_named() {
    assert!(is_named("serde, `toml` 1", "toml") && is_named("| ring 0.17 |", "ring") && is_named("serde", "serde"));
    assert!(!is_named("serde_json and tokio-util, strings", "serde") && !is_named("strings", "ring"));
    assert!(!is_named("tokio-util", "tokio") && !is_named("x509-parser", "parser"));
}

#[test]
fn what_is_shipped_checks_overflow_and_unwinds() {
    let whole: Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let profile = |name: &str| whole["profile"][name].as_table().unwrap().clone();
    let release = profile("release");
    assert_eq!(release["overflow-checks"].as_bool(), Some(true), "a length that a peer tells would wrap in silence");
    assert_eq!(release["panic"].as_str(), Some("unwind"), "a panic in one device's task would end the gateway");
    for name in ["dist", "cross-check"] {
        let shipped = profile(name);
        assert_eq!(shipped["inherits"].as_str(), Some("release"), "{name}");
        assert!(["overflow-checks", "panic"].iter().all(|key| !shipped.contains_key(*key)), "{name} undoes it");
    }
}
