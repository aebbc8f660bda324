#![allow(clippy::unwrap_used, reason = "a test fails by panic")]
//! `lingate bundle`, `veto`, `purge` and `ledger`, as a person in front of a terminal meets them.

mod common;

use std::fs;

use common::{Answer, Plant, lingate};

fn ask(plant: &Plant, command: &[&str]) -> Answer {
    let config = plant.path("lingate.toml");
    lingate(&[command, &["--config", config.to_str().unwrap()]].concat())
}

fn in_force() -> Plant {
    let plant = Plant::new();
    plant.listen(&format!("unix:{}", plant.path("health.sock").display()));
    plant.run().is_good();
    plant
}

#[test]
fn a_bundle_is_shown_with_its_days_its_roles_and_its_purposes() {
    let plant = in_force();
    let shown = ask(&plant, &["bundle", "show"]);
    shown.is_good();
    for words in [
        "version 1 of sandbox.test, root 1, until 20",
        " days left",
        "dataset ds-extr-07: up to class",
        "read by role:oem-quality",
        "purpose urn:lingate:purpose:remote-quality: until ",
    ] {
        assert!(shown.told.contains(words), "{words:?} is not in:\n{}", shown.told);
    }
    let json: serde_json::Value = serde_json::from_str(&ask(&plant, &["bundle", "show", "--json"]).told).unwrap();
    assert_eq!((&json["version"], &json["root_version"]), (&1.into(), &1.into()));
    assert!(json["valid"]["days_left"].as_i64().unwrap() > 0 && json["roles"][0]["keys"][0]["kid"].is_string());
}

#[test]
fn a_file_is_verified_offline_and_installed_only_if_it_is_good() {
    let mut plant = in_force();
    let next = plant.authority.enroll_for_test("gw-1", "acme").unwrap().bundle;
    let mut broken = next.clone();
    *broken.iter_mut().rfind(|byte| **byte == b'A').unwrap() = b'B';
    plant.write("broken.json", &broken, 0o644);
    plant.write("next.json", &next, 0o644);
    let (bad, good) = (plant.path("broken.json"), plant.path("next.json"));
    for command in ["verify", "install"] {
        let answer = ask(&plant, &["bundle", command, bad.to_str().unwrap()]);
        answer.does_not_verify(&["broken.json is refused: "]);
    }
    let answer = ask(&plant, &["bundle", "verify", good.to_str().unwrap()]);
    answer.is_good();
    assert!(answer.told.starts_with("version 2 of sandbox.test"), "{}", answer.told);
    let inbox =
        || fs::read_dir(plant.path("state/inbox")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file());
    assert_eq!(inbox().count(), 0, "nothing was put there yet");
    ask(&plant, &["bundle", "install", good.to_str().unwrap()]).is_good();
    assert_eq!(inbox().count(), 1);
    plant.run().is_good();
    assert!(ask(&plant, &["bundle", "show"]).told.starts_with("version 2 "));
    assert!(ask(&plant, &["bundle", "install", good.to_str().unwrap()]).told.contains("in force already"));
    plant.write("old.json", &plant.identity.bundle, 0o644);
    ask(&plant, &["bundle", "verify", plant.path("old.json").to_str().unwrap()])
        .does_not_verify(&["version 2 is in use"]);
}

#[test]
fn a_veto_is_added_listed_and_removed_and_a_misspelt_one_is_told() {
    let plant = in_force();
    let near = ask(&plant, &["veto", "add", "--dataset", "ds-extr-7"]);
    assert!(near.code == 64 && near.told.contains("did you mean \"ds-extr-07\"?"), "{}", near.told);
    let near = ask(&plant, &["veto", "add", "--recipient", "role:oem-qualty"]);
    near.is_good();
    assert!(near.told.contains("forbids nothing yet; did you mean \"role:oem-quality\"?"), "{}", near.told);
    ask(&plant, &["veto", "remove", "--recipient", "role:oem-qualty"]).is_good();
    let known = ask(&plant, &["veto", "add", "--recipient", "role:oem-quality"]);
    assert!(known.code == 0 && !known.told.contains("WARNING"), "{}", known.told);
    ask(&plant, &["veto", "add", "--dataset", "ds-extr-07"]).is_good();
    let list = ask(&plant, &["veto", "list"]).told;
    assert!(list.contains("forbidden: dataset ds-extr-07, recipient role:oem-quality"), "{list}");
    assert!(list.contains("not yet destroyed"), "{list}");
    plant.check(&[]).refuses(&["veto"]);
    let config = plant.path("lingate.toml");
    lingate(&["run", "--once", "4", "--config", config.to_str().unwrap()]).is_good();
    let list = ask(&plant, &["veto", "list"]).told;
    assert!(list.contains("what waited of it: destroyed"), "{list}");
    for what in [["--recipient", "role:oem-quality"], ["--dataset", "ds-extr-07"]] {
        ask(&plant, &["veto", "remove", what[0], what[1]]).is_good();
    }
    assert!(ask(&plant, &["veto", "list"]).told.contains("nothing is forbidden"));
    plant.check(&[]).is_good();
}

#[test]
fn a_purge_is_asked_for_and_carried_out_by_the_next_run() {
    let plant = in_force();
    let unknown = ask(&plant, &["purge", "--dataset", "ds-x"]);
    assert_eq!(unknown.code, 64, "{}", unknown.told);
    ask(&plant, &["purge", "--dataset", "ds-extr-07"]).is_good();
    assert!(ask(&plant, &["veto", "list"]).told.contains("asked for: purge of ds-extr-07"));
    let config = plant.path("lingate.toml");
    lingate(&["run", "--once", "4", "--config", config.to_str().unwrap()]).is_good();
    assert!(!ask(&plant, &["veto", "list"]).told.contains("asked for"));
}

#[test]
fn the_ledger_is_told_in_a_table_and_for_programs() {
    let plant = Plant::new();
    let empty = ask(&plant, &["ledger"]);
    empty.is_good();
    assert!(empty.told.starts_with("DAY (UTC)") && empty.told.lines().count() == 1, "{}", empty.told);
    let line = serde_json::json!([{"day": 20_000, "dataset": "ds-extr-07", "purpose": "urn:p", "recipient": "role:a"},
        {"records": 3, "bytes": 456}]);
    let stored = serde_json::json!({"lines": [line], "totals": [], "aliases": {}}).to_string();
    plant.write("state/ledger.json", stored.as_bytes(), 0o600);
    let table = ask(&plant, &["ledger"]).told;
    assert!(table.contains("2024-10-04") && table.contains("ds-extr-07, urn:p, role:a"), "{table}");
    let json: serde_json::Value = serde_json::from_str(&ask(&plant, &["ledger", "--json"]).told).unwrap();
    assert_eq!((&json["records"], &json["bytes"], &json["recipient"]), (&3.into(), &456.into(), &"role:a".into()));
    plant.write("state/ledger.json", b"{", 0o600);
    let damaged = ask(&plant, &["ledger"]);
    assert!(damaged.code == 74 && damaged.told.contains("ledger.json is damaged"), "{}", damaged.told);
}

#[test]
fn a_veto_by_hand_for_a_dataset_that_does_not_exist_is_told_and_can_be_removed() {
    let plant = in_force();
    fs::create_dir_all(plant.path("state/veto")).unwrap();
    plant.write("state/veto/dataset:ds-extr-7", b"", 0o600);
    let listed = ask(&plant, &["veto", "list"]);
    assert!(listed.told.contains("it forbids nothing") && listed.told.contains("\"ds-extr-07\""), "{}", listed.told);
    let removed = ask(&plant, &["veto", "remove", "--dataset", "ds-extr-7"]);
    assert!(removed.told.starts_with("Allowed again"), "{}", removed.told);
    assert!(ask(&plant, &["veto", "list"]).told.starts_with("nothing is forbidden"));
    ask(&plant, &["veto", "add", "--dataset", "ds-extr-07"]).is_good();
    plant.check(&[]).refuses(&["lingate veto remove"]);
}
