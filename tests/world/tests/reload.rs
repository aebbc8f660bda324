//! Another configuration while everything runs: what is the same goes on, what changed begins anew, and nothing is lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::time::Duration;

use lingate_engine::{Quota, Status};
use lingate_world::{Sandbox, World, export_plan, set_level_deadband, without_press};

const PRESS: usize = 0;
const OVEN: usize = 1;

fn running(seed: u64, sandbox: &Sandbox) -> World {
    let mut world = World::new(seed, sandbox);
    world.link_up();
    world.polls();
    world.run_for(Duration::from_secs(3));
    world
}

fn epochs(world: &World) -> [usize; 2] {
    ["p7", "o3"].map(|alias| world.laws.epochs(alias).len())
}

#[test]
fn a_reload_that_changes_nothing_is_not_noticed() {
    let sandbox = Sandbox::new();
    let told = |reloads: u64| {
        let mut world = World::new(31, &sandbox);
        world.link_up();
        world.polls();
        for _ in 0..50 {
            world.run_for(Duration::from_millis(137));
            (0..reloads).for_each(|_| world.reload(export_plan()));
        }
        let Status { datasets, lost, .. } = world.status();
        (epochs(&world), world.laws.accepted_readings, format!("{datasets:?}"), lost)
    };
    assert_eq!(told(0), told(20));
}

#[test]
fn only_the_dataset_that_changed_begins_a_new_epoch_and_loses_nothing() {
    let sandbox = Sandbox::new();
    let mut world = running(32, &sandbox);
    let before = epochs(&world);
    for deadband in ["30", "40", "50"] {
        let mut written = export_plan();
        set_level_deadband(&mut written, deadband);
        world.reload(written);
        world.run_for(Duration::from_secs(2));
    }
    assert_eq!(epochs(&world), [before[PRESS], before[OVEN] + 3]);
    let (read, status) = (world.plant.read, world.status());
    assert_eq!([status.datasets[PRESS].read, status.datasets[OVEN].read], read, "the counts go on");
    assert_eq!(status.lost.values().sum::<u64>(), 0, "{:?}", status.lost);
    world.end_well(&sandbox, 2);
    assert_eq!(world.receiver.readings(), world.laws.accepted_readings);
}

#[test]
fn what_was_read_of_a_dataset_that_is_gone_is_delivered_and_it_may_come_back() {
    let sandbox = Sandbox::new();
    let mut world = running(33, &sandbox);
    world.link_down();
    world.run_for(Duration::from_secs(2));
    let read = world.plant.read[PRESS];
    let mut without = export_plan();
    without_press(&mut without);
    world.reload(without.clone());
    let status = world.status();
    assert_eq!(status.datasets.iter().map(|dataset| dataset.id.as_str()).collect::<Vec<_>>(), ["ds-oven"]);
    world.run_for(Duration::from_secs(5));
    world.reload(without);
    world.link_up();
    world.run_for(Duration::from_secs(5));
    let of_press = |world: &World| {
        let batches = world.receiver.batches.iter().filter(|batch| &*batch.dataset == "ds-press");
        batches.map(|batch| batch.readings.len() as u64).sum::<u64>()
    };
    assert_eq!(of_press(&world), read, "all that was read before, nothing that was read after");
    world.reload(export_plan());
    world.run_for(Duration::from_secs(2));
    assert!(of_press(&world) > read && world.status().datasets.len() == 2);
    assert_eq!(world.status().lost.values().sum::<u64>(), 0);
    world.end_well(&sandbox, 2);
}

#[test]
fn a_quota_that_is_new_holds_nothing_back_before_its_first_part_is_on_disk() {
    let sandbox = Sandbox::new();
    let mut world = running(34, &sandbox);
    let quota = Quota { records: Some(1_000_000), bytes: None };
    world.rules.quotas.insert("ds-press".parse().unwrap(), quota);
    world.reload(export_plan());
    world.run_for(Duration::from_secs(3));
    let status = world.status();
    assert!(status.datasets.iter().all(|dataset| dataset.denied.is_none()), "{:?}", status.datasets);
    assert_eq!(status.lost.values().sum::<u64>(), 0, "{:?}", status.lost);
    assert!(world.rules.quotas.len() == 1 && world.laws.accepted_readings > 40);
    world.end_well(&sandbox, 2);
}
