//! Clocks that are wrong, set, repeated, slow and old: order, delivery and deadlines never ask them.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::time::Duration;

use lingate_world::{Rights, Sandbox, World};

const SECOND: Duration = Duration::from_secs(1);
const MICROS: i64 = 1_000_000;
const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// A world whose wall clock stands at so many seconds since 1970, with rights for two years around it.
fn world_at(seed: u64, seconds: i64, sandbox: &Sandbox) -> World {
    let mut world = World::new(seed, sandbox);
    let now = world.now().utc;
    world.jump(seconds * MICROS - now.0);
    world.grant(sandbox, &Rights { version: 2, valid_for: 2 * YEAR, ..Rights::full(2) });
    world
}

/// Everything that was accepted arrives once, in order and complete.
fn ends_well(mut world: World, sandbox: &Sandbox, least: u64) {
    world.end_well(sandbox, 3);
    assert!(world.laws.accepted_readings >= least, "{} readings show nothing", world.laws.accepted_readings);
}

#[test]
fn the_end_of_a_32_bit_second_counter_is_a_second_like_every_other() {
    let sandbox = Sandbox::new();
    let mut world = world_at(1, (1 << 31) - 30, &sandbox);
    world.link_up();
    world.polls();
    world.run_for(60 * SECOND);
    assert!(world.now().utc.seconds() > 1 << 31);
    ends_well(world, &sandbox, 100);
}

#[test]
fn a_second_that_comes_twice_or_is_smeared_changes_no_order() {
    let sandbox = Sandbox::new();
    let mut world = world_at(2, 1_782_863_990, &sandbox);
    world.link_up();
    world.polls();
    world.run_for(10 * SECOND);
    world.jump(-MICROS);
    world.run_for(10 * SECOND);
    for _ in 0..1_000 {
        world.jump(-1_000);
        world.run_for(SECOND / 50);
    }
    ends_well(world, &sandbox, 100);
}

#[test]
fn deadlines_come_due_on_a_process_that_is_older_than_any_counter_of_32_bits() {
    // 2^32 ms, 2^31 s, 2^32 s, and a century.
    for seconds in [4_294_967, 1 << 31, 1 << 32, 100 * 366 * 86_400] {
        let sandbox = Sandbox::new();
        let mut world = World::new(3, &sandbox);
        world.has_run_for(Duration::from_secs(seconds - 5));
        world.link_up();
        world.polls();
        world.run_for(20 * SECOND);
        assert!(world.laws.accepted_readings > 20, "{seconds}: {}", world.laws.accepted_readings);
        world.end_well(&sandbox, 2);
    }
}

#[test]
fn a_clock_that_drifts_by_500_ppm_for_a_month_loses_and_repeats_nothing() {
    let sandbox = Sandbox::new();
    let mut world = World::paced(4, &sandbox, lingate_world::tiny(), 600);
    world.grant(&sandbox, &Rights { valid_for: 2 * YEAR, epoch_seconds: 86_400, ..Rights::full(1) });
    world.link_up();
    world.polls();
    // Two weeks too fast, then two weeks too slow.
    for drift in [1_800_000; 15 * 24].into_iter().chain([-1_800_000; 15 * 24]) {
        world.run_for(Duration::from_secs(3_600));
        world.jump(drift);
    }
    assert!(world.laws.accepted_readings > 1_000, "{}", world.laws.accepted_readings);
    world.end_well(&sandbox, 2);
}

#[test]
fn a_year_ahead_and_back_within_the_rights_misses_nothing() {
    let sandbox = Sandbox::new();
    let mut world = world_at(5, 1_782_863_990, &sandbox);
    world.link_up();
    world.polls();
    let micros = i64::try_from(YEAR.as_micros()).unwrap();
    for jump in [micros, -micros, micros, -micros] {
        world.run_for(5 * SECOND);
        world.jump(jump);
    }
    ends_well(world, &sandbox, 50);
}

#[test]
fn a_clock_that_is_set_beyond_the_rights_seals_nothing_and_set_back_goes_on_at_once() {
    let sandbox = Sandbox::new();
    let mut world = World::new(6, &sandbox);
    world.grant(&sandbox, &Rights { valid_for: YEAR, ..Rights::full(2) });
    world.link_up();
    world.polls();
    let micros = i64::try_from(YEAR.as_micros()).unwrap();
    for _ in 0..3 {
        world.run_for(5 * SECOND);
        world.jump(2 * micros);
        world.run_for(2 * SECOND);
        let before = world.laws.accepted_readings;
        world.run_for(5 * SECOND);
        assert_eq!(world.laws.accepted_readings, before, "sealed after the end of the rights");
        world.jump(-2 * micros);
        world.run_for(5 * SECOND);
        assert!(world.laws.accepted_readings > before + 20, "{before} to {}", world.laws.accepted_readings);
    }
    ends_well(world, &sandbox, 100);
}
