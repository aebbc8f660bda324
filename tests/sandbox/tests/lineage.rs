//! From an opened value back to device, steps, policy, bundle and software, with the proof of each hop.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use common::*;
use lingate_model::UtcMicros;
use lingate_sandbox::{Hop, Store};

fn walk(world: &World, point: &str, time: UtcMicros) -> Option<Vec<Hop>> {
    let store = Store::open(&world.store_file()).unwrap();
    store.lineage(DATASET, point, time, Some(&world.authority)).unwrap()
}

#[test]
fn every_hop_from_a_value_to_its_software_is_proven() {
    let mut world = World::new();
    let mut stream = world.gateway("gw-0001").open(None);
    stream.batch(&rows(0, 100));
    let (sent, _) = stream.close();
    let mut desk = world.desk();
    desk.take(&sent);
    let name = points()[1].name.clone();
    let hops = walk(&world, &name, time(50)).unwrap();
    let kinds: Vec<&str> = hops.iter().map(|hop| hop.what).collect();
    assert_eq!(kinds.first(), Some(&"value"));
    for kind in ["point", "source", "step", "policy", "bundle", "software", "gateway", "counts"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    assert!(hops.iter().all(|hop| hop.holds == Some(true)), "{hops:#?}");
    assert!(hops.iter().any(|hop| hop.says.starts_with("M1 ")) && hops.iter().any(|hop| hop.says.starts_with("M6 ")));
    assert!(hops[0].says.contains(&name), "{:?}", hops[0]);
    assert_eq!(walk(&world, "nobody/nothing", time(50)), None);
    assert_eq!(walk(&world, &name, UtcMicros(0)), None);
}

#[test]
fn a_changed_lineage_or_catalogue_no_longer_proves_anything() {
    for column in ["lineage", "catalogue"] {
        let mut world = World::new();
        let mut stream = world.gateway("gw-0001").open(None);
        stream.batch(&rows(0, 10));
        let (sent, _) = stream.close();
        world.desk().take(&sent);
        let file = world.store_file();
        let sql = rusqlite::Connection::open(file.trim_start_matches("sqlite:")).unwrap();
        sql.execute(&format!("UPDATE epochs SET {column} = CAST(replace({column}, 'e', 'a') AS BLOB)"), []).unwrap();
        let hops = walk(&world, &points()[1].name, time(50)).unwrap();
        assert!(hops.iter().any(|hop| hop.holds == Some(false)), "{column}: {hops:#?}");
    }
}
