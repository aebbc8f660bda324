//! Who may use whom: a crate uses floors below it, never above or beside it.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use lingate_tidy::{root, sources};

/// Crate, folder, floor. `tests` is the top floor and may use everything.
const FLOORS: &[(&str, &str, u8)] = &[
    ("lingate-model", "gateway/model", 0),
    ("lingate-refine", "gateway/refine", 1),
    ("lingate-drivers", "drivers", 1),
    ("lingate-audit", "gateway/audit", 1),
    ("lingate-seal", "gateway/seal", 2),
    ("lingate-buffer", "gateway/buffer", 3),
    ("lingate-engine", "gateway/engine", 4),
    ("lingate-config", "config", 5),
    ("lingate", "gateway/daemon", 6),
];

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(crate_name, _, _)| *crate_name == name).map(|(_, _, floor)| *floor)
}

fn manifest(folder: &str) -> toml::Table {
    std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap().parse().unwrap()
}

#[test]
fn a_crate_uses_only_floors_below_it() {
    for (name, folder, own) in FLOORS {
        let manifest = manifest(folder);
        assert_eq!(manifest["package"]["name"].as_str(), Some(*name), "{folder}/Cargo.toml");
        for used in manifest["dependencies"].as_table().unwrap().keys() {
            if used.starts_with("lingate") {
                let below = floor(used).unwrap_or(7);
                assert!(below < *own, "{name} (floor {own}) uses {used} (floor {below}): arrows point down only");
            }
        }
    }
}

#[test]
fn every_crate_keeps_the_workspace_lints() {
    for source in sources(&["gateway", "drivers", "config", "tests"], &["Cargo.toml"]) {
        let manifest: toml::Table = source.text.parse().unwrap();
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(lints, Some(true), "{}: say `[lints] workspace = true`, or `unsafe` is not forbidden", source.path);
    }
}

#[test]
fn the_pure_floors_know_no_async_and_no_outside_world() {
    let pure = [
        "gateway/model/src",
        "gateway/refine/src",
        "gateway/audit/src",
        "gateway/seal/src",
        "gateway/engine/src",
        "config/src",
    ];
    let words = ["async ", ".await", "tokio::", "std::fs", "TcpStream", "UdpSocket", "std::process", "std::env::"];
    let mut all = sources(&pure, &[".rs"]);
    // It asks which defect a test wants, and only with a feature that no release build has.
    all.retain(|source| source.path != "gateway/model/src/defect.rs");
    lingate_tidy::forbid(&all, &words, "these floors decide and do not act: no IO, no async");
    let buffer = sources(&["gateway/buffer/src"], &[".rs"]);
    lingate_tidy::forbid(&buffer, &["async ", ".await", "tokio::"], "the buffer blocks on purpose: no async");
}

#[test]
fn only_the_link_knows_the_mqtt_library() {
    let mut all = sources(&["gateway", "drivers", "config"], &[".rs"]);
    all.retain(|source| {
        source.path != "gateway/daemon/src/link.rs" && !source.path.starts_with("gateway/daemon/src/link/")
    });
    lingate_tidy::forbid(&all, &["rumqttc"], "rumqttc has one maintainer: only daemon/src/link.rs may name it");
}

#[test]
fn the_engine_has_one_input_and_one_output() {
    let enums = sources(&["gateway/engine/src"], &[".rs"]);
    for name in ["pub enum Input", "pub enum Output"] {
        let count: usize = enums.iter().map(|source| source.text.matches(name).count()).sum();
        assert_eq!(count, 1, "the engine has exactly one `{name}`");
    }
}
