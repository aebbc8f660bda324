//! The line, once, from a reading to an opened value.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::time::Duration;

use lingate_world::{Sandbox, World};

#[test]
fn a_reading_goes_from_its_device_to_the_recipient_who_may_open_it() {
    let mut world = World::new(1, &Sandbox::new());

    // Read: the press answers. Nothing leaves yet, the reading waits for company.
    world.poll(0);
    assert_eq!(world.status().datasets[0].read, 2);
    assert_eq!(world.status().buffer.records_waiting, 0);

    // Tagged, minimized, batched, sealed and on disk: flush age and one commit later it is accepted.
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.laws.accepted_readings, 2);
    assert_eq!(world.laws.published, 0, "without a link nothing is published");

    // Published: first the KEY; the catalogue, the lineage and the batch when the broker has acknowledged it.
    world.link_up();
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.laws.acknowledged, 4);
    assert_eq!(world.status().buffer.records_waiting, 0, "what was acknowledged needs no disk");

    // Opened: the recipient has the values that the press served, under the names of the catalogue.
    let [batch] = &world.receiver.batches[..] else { panic!("one batch") };
    let names: Vec<&str> = batch.readings.iter().map(|reading| &*reading.point).collect();
    assert_eq!((&*batch.dataset, names), ("ds-press", vec!["press/counter", "press/weight"]));
    assert!(batch.readings[0].value == Some(lingate_model::Value::UInt32(0)));
    assert!(batch.readings[1].value == Some(lingate_model::Value::Double(0.125)));
}
