//! From an opened value back to device, steps, policy, bundle and software: each hop is proven, and falls with its proof.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use common::*;
use lingate_model::UtcMicros;
use lingate_sandbox::{Evidence, Hop, Store};

const HOPS: [&str; 10] =
    ["value", "record", "point", "source", "step", "policy", "bundle", "software", "gateway", "counts"];

/// A world with one closed epoch of a hundred rows.
fn world() -> World {
    let mut world = World::new();
    let mut stream = world.gateway("gw-0001").open(None);
    stream.batch(&rows(0, 60));
    stream.batch(&rows(60, 40));
    world.desk().take(&stream.close().0);
    world
}

fn point() -> String {
    points()[1].name.clone()
}

fn walk(world: &World, point: &str, time: UtcMicros, change: impl FnOnce(&mut Evidence<'_>)) -> Option<Vec<Hop>> {
    let store = Store::open(&world.store_file()).unwrap();
    let mut evidence = Evidence::of(&world.authority).unwrap();
    change(&mut evidence);
    store.lineage(DATASET, point, time, &evidence).unwrap()
}

/// Names of the hops whose proof does not hold, each once.
fn broken(hops: &[Hop]) -> Vec<&'static str> {
    let mut names: Vec<&str> = hops.iter().filter(|hop| hop.holds == Some(false)).map(|hop| hop.what).collect();
    names.dedup();
    names
}

fn tamper(world: &World, sql: &str) {
    let file = world.store_file();
    let connection = rusqlite::Connection::open(file.trim_start_matches("sqlite:")).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0, "{sql} changed nothing");
}

#[test]
fn every_hop_from_a_value_to_its_software_is_proven() {
    let world = world();
    let hops = walk(&world, &point(), time(50), |_| ()).unwrap();
    let mut kinds: Vec<&str> = hops.iter().map(|hop| hop.what).collect();
    kinds.dedup();
    assert_eq!(kinds, HOPS);
    assert!(hops.iter().all(|hop| hop.holds == Some(true)), "{hops:#?}");
    let steps: Vec<&str> = hops.iter().filter(|hop| hop.what == "step").map(|hop| hop.says.as_str()).collect();
    assert_eq!(steps, ["M1 suppression", "M2 class ceiling, ceiling general", "M6 AbsoluteDeadband, by 5"]);
    assert!(hops[0].says.contains(&format!("{} = 500", point())), "{:?}", hops[0]);
    assert_eq!(walk(&world, "nobody/nothing", time(50), |_| ()), None);
    assert_eq!(walk(&world, &point(), UtcMicros(0), |_| ()), None);
}

/// What a person with the database could change, and which hops fall with it.
#[test]
fn each_hop_falls_with_its_proof() {
    let of_point = "alias = 1 AND seq = 2";
    for (sql, hops) in [
        (format!("UPDATE readings SET value = value + 1 WHERE {of_point}"), &["value"][..]),
        (format!("UPDATE readings SET status = 1073741824 WHERE {of_point}"), &["value"]),
        (format!("UPDATE readings SET time_us = time_us - 1 WHERE {of_point}"), &["value"]),
        ("UPDATE records SET digest = zeroblob(32) WHERE seq = 3".to_owned(), &["record"]),
        ("DELETE FROM records WHERE seq = 3".to_owned(), &["record"]),
        (
            format!("UPDATE messages SET message = {} WHERE seq = 2", with_another_byte("message", "201")),
            &["value", "record", "counts"],
        ),
        (
            "UPDATE messages SET message = (SELECT o.message FROM messages o WHERE o.seq = 3) WHERE seq = 2".to_owned(),
            &["value", "record", "counts"],
        ),
        ("UPDATE epochs SET close_seq = 3".to_owned(), &["record"]),
        ("UPDATE points SET source = 'holding:9' WHERE alias = 1".to_owned(), &["point"]),
        ("UPDATE points SET unit = 'K' WHERE alias = 1".to_owned(), &["point"]),
        (
            "UPDATE epochs SET catalogue = CAST(replace(catalogue, 'holding', 'holdang') AS BLOB)".to_owned(),
            &["value", "point", "source", "step", "policy", "counts"],
        ),
        (
            "UPDATE epochs SET lineage = CAST(replace(lineage, 'line-A', 'line-B') AS BLOB)".to_owned(),
            &["source", "step", "policy", "software"],
        ),
        ("UPDATE epochs SET lineage = NULL".to_owned(), &["source", "step", "policy", "software"]),
        ("UPDATE steps SET kept = kept + 1 WHERE step = 6".to_owned(), &["counts"]),
        (
            format!("UPDATE epochs SET key_message = {}", with_another_byte("key_message", "length(key_message)")),
            &["gateway"],
        ),
    ] {
        let world = world();
        tamper(&world, &sql);
        assert_eq!(broken(&walk(&world, &point(), time(50), |_| ()).unwrap()), hops, "{sql}");
    }
}

/// The column with a changed byte at this place (from 1), whatever is there.
fn with_another_byte(column: &str, place: &str) -> String {
    let byte = format!("iif(substr({column}, {place}, 1) = x'00', x'01', x'00')");
    format!("CAST(substr({column}, 1, {place} - 1) || {byte} || substr({column}, {place} + 1) AS BLOB)")
}

/// What the sandbox's own folder says otherwise.
#[test]
fn a_bundle_an_enrolment_or_a_program_that_is_another_is_told() {
    let world = world();
    let folder = world.folder.path().join("sandbox/gateways/gw-0001");
    assert_eq!(broken(&walk(&world, &point(), time(50), |it| it.program = Some([7; 32])).unwrap()), ["software"]);

    let history = std::fs::read_dir(folder.join("history")).unwrap().map(|entry| entry.unwrap().path());
    let bundles: Vec<_> = history.map(|path| (std::fs::read(&path).unwrap(), path)).collect();
    bundles.iter().for_each(|(bytes, path)| std::fs::write(path, [&bytes[..], b" "].concat()).unwrap());
    assert_eq!(broken(&walk(&world, &point(), time(50), |_| ()).unwrap()), ["bundle"]);
    bundles.iter().for_each(|(bytes, path)| std::fs::write(path, bytes).unwrap());

    let root = world.folder.path().join("sandbox/root.json");
    let before = std::fs::read(&root).unwrap();
    let foreign = World::new();
    std::fs::copy(foreign.folder.path().join("sandbox/root.json"), &root).unwrap();
    assert_eq!(broken(&walk(&world, &point(), time(50), |_| ()).unwrap()), ["bundle"], "signed by nobody we know");
    std::fs::write(&root, before).unwrap();

    // Another gateway under the same name.
    let mut other = World::new();
    other.gateway("gw-0001");
    let enrolled = other.folder.path().join("sandbox/gateways/gw-0001/gateway.json");
    std::fs::copy(enrolled, folder.join("gateway.json")).unwrap();
    assert_eq!(broken(&walk(&world, &point(), time(50), |_| ()).unwrap()), ["gateway"]);
}

#[test]
fn what_is_not_at_hand_is_neither_proven_nor_broken() {
    let world = world();
    let store = Store::open(&world.store_file()).unwrap();
    let hops = store.lineage(DATASET, &point(), time(50), &Evidence::default()).unwrap().unwrap();
    assert_eq!(broken(&hops), [""; 0]);
    let open: Vec<&str> = hops.iter().filter(|hop| hop.holds.is_none()).map(|hop| hop.what).collect();
    assert_eq!(open, ["value", "record", "bundle", "gateway", "counts"]);
}
