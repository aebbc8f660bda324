//! Gap records add up, over all causes there are and to the unit.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lingate_buffer::fake::Crash;
use lingate_engine::{Input, ReasonCode};
use lingate_model::{Missed, MissedCause, PointId};
use lingate_seal::{GapCause, Veto};
use lingate_world::{Rights, Sandbox, World, tiny};

const SECOND: Duration = Duration::from_secs(1);
const PRESS: usize = 0;
/// Readings of one poll of the press, which has no step that suppresses any.
const OF_A_POLL: u64 = 2;

/// One poll of the press, on the disk and nowhere else.
fn poll_and_commit(world: &mut World) {
    world.poll(PRESS);
    world.run_for(2 * SECOND);
}

fn miss(world: &mut World, cause: MissedCause, slots: u64) {
    let (from, to) = (world.now().utc, world.now().utc);
    let device = "press".parse().unwrap();
    world.feed(Input::Missed(Missed { device, from, to, slots: vec![(PointId(0), slots)], cause }));
}

/// The newest record of the press: a bit of what is sealed in it flips.
fn damage_the_newest(world: &mut World) {
    let path =
        world.disk.paths().into_iter().rfind(|path| path.starts_with("high/") && path.ends_with(".seg")).unwrap();
    let bytes = world.disk.contents(&path).unwrap().len() as u64;
    world.disk.flip(&path, (bytes - 20) * 8);
}

#[test]
fn what_was_read_is_received_or_declared_to_the_unit_whatever_the_cause() {
    let sandbox = Sandbox::new();
    let mut world = World::new(401, &sandbox);
    world.link_up();
    poll_and_commit(&mut world);

    // Slots in which nothing was read, each cause with a count of its own.
    let of_slots = [
        (MissedCause::DeviceDown, "device_down", 3),
        (MissedCause::Overload, "overload", 5),
        (MissedCause::Quarantine, "quarantine", 7),
        (MissedCause::DeviceOverflow, "device_overflow", 11),
        (MissedCause::NotificationLost, "notification_lost", 13),
        (MissedCause::DecodeFailure, "decode_failure", 17),
    ];
    let mut expected = BTreeMap::new();
    for (cause, name, slots) in of_slots {
        miss(&mut world, cause, slots);
        *expected.entry(name).or_default() += slots;
    }
    let mut lost = 0;
    let mut lose = |name: &'static str, readings: u64| {
        *expected.entry(name).or_default() += readings;
        lost += readings;
    };

    // A record that the broker refuses for ever.
    world.broker.poison = Some(ReasonCode(0x99));
    poll_and_commit(&mut world);
    assert!(world.broker.poisoned.is_some());
    for _ in 0..40 {
        world.run_for(9 * SECOND);
        poll_and_commit(&mut world);
    }
    assert_eq!(world.status().buffer.quarantined, 1);
    lose("quarantine", OF_A_POLL);

    // Rights that end before what was read is sealed.
    world.poll(PRESS);
    world.grant(&sandbox, &Rights { ceilings: [None, Some("general")], ..Rights::full(2) });
    world.run_for(SECOND);
    world.grant(&sandbox, &Rights::full(3));
    lose("policy_expired", OF_A_POLL);

    // A veto of the plant.
    poll_and_commit(&mut world);
    world.veto(Veto { datasets: ["ds-press".parse().unwrap()].into(), ..Veto::default() });
    poll_and_commit(&mut world);
    poll_and_commit(&mut world);
    world.veto(Veto::default());
    lose("withheld", 2 * OF_A_POLL);
    poll_and_commit(&mut world);

    // No randomness for the next epoch.
    world.has_no_entropy.store(true, Ordering::Relaxed);
    world.grant(&sandbox, &Rights::full(4));
    poll_and_commit(&mut world);
    poll_and_commit(&mut world);
    world.has_no_entropy.store(false, Ordering::Relaxed);
    lose("seal_failure", 2 * OF_A_POLL);
    poll_and_commit(&mut world);

    // A record whose bits flipped while it waited.
    world.link_down();
    poll_and_commit(&mut world);
    poll_and_commit(&mut world);
    damage_the_newest(&mut world);
    lose("corruption", OF_A_POLL);
    world.link_up();
    world.run_for(5 * SECOND);

    // What waits is destroyed.
    world.link_down();
    poll_and_commit(&mut world);
    poll_and_commit(&mut world);
    poll_and_commit(&mut world);
    world.feed(Input::Purge("ds-press".parse().unwrap()));
    lose("purge", 3 * OF_A_POLL);
    world.run_for(2 * SECOND);
    world.link_up();
    world.run_for(5 * SECOND);
    let poisoned = world.broker.poisoned.clone();
    world.end_well(&sandbox, 5);
    assert!(poisoned.is_some(), "it was refused until the end");

    let declared = world.receiver.declared_by_cause();
    assert_eq!(declared, expected, "every cause, to the unit");
    assert_eq!(world.receiver.of("ds-press") + lost, world.plant.read[PRESS], "read = received + declared");
    let all = GapCause::ALL.map(GapCause::name);
    let elsewhere = ["overflow", "unclean_stop"];
    let silent: Vec<_> = all.iter().filter(|name| !declared.contains_key(*name) && !elsewhere.contains(name)).collect();
    assert!(silent.is_empty(), "{silent:?} are declared nowhere");
}

/// Told at each poll, twelve times a second: points of four intervals that the device refuses.
fn sets_aside(world: &mut World, told: &mut Vec<i64>, millis: u64) {
    for at in (0..millis).step_by(20) {
        if at % 100 == 0 || (at % 500 == 20) {
            told.push(world.now().utc.0);
            miss(world, MissedCause::Quarantine, 1);
        }
        world.run_for(SECOND / 50);
    }
}

#[test]
fn points_that_a_device_refuses_cost_one_gap_record_in_a_batchs_age_however_often_they_are_told() {
    let sandbox = Sandbox::new();
    let mut world = World::new(405, &sandbox);
    world.link_up();
    world.polls();
    let mut told = Vec::new();
    sets_aside(&mut world, &mut told, 60_000);
    assert_eq!(told.len(), 720);
    world.end_well(&sandbox, 2);
    let gaps = world.receiver.gaps.iter().filter(|it| it.gap.cause == GapCause::Quarantine as i32).count();
    println!("{} times told in 60 s, {gaps} gap records", told.len());
    // A batch is at most 400 ms old.
    assert!((1..=150).contains(&gaps), "{gaps} gap records in 60 s");
    assert_eq!(world.receiver.declared_by_cause(), [("quarantine", 720)].into());
}

#[test]
fn what_waits_to_be_declared_is_told_until_it_is() {
    let sandbox = Sandbox::new();
    let mut world = World::new(408, &sandbox);
    world.link_up();
    let undeclared = |world: &World| world.status().datasets.iter().map(|it| it.undeclared).sum::<u64>();
    miss(&mut world, MissedCause::DeviceDown, 3);
    miss(&mut world, MissedCause::Quarantine, 4);
    assert_eq!(undeclared(&world), 7);
    world.run_for(2 * SECOND);
    assert_eq!(undeclared(&world), 0);
    world.end_well(&sandbox, 2);
}

/// What waited to be declared is declared by the gap over the unclean stop.
#[test]
fn no_refused_slot_is_forgotten_by_a_process_that_is_killed() {
    let sandbox = Sandbox::new();
    let mut is_declared_late = false;
    for millis in (3_000..6_000).step_by(140) {
        let mut world = World::new(406, &sandbox);
        world.polls();
        let mut told = Vec::new();
        sets_aside(&mut world, &mut told, millis);
        world.crash(Crash::DropAll);
        world.end_well(&sandbox, 2);
        let of_press = |it: &&lingate_sandbox::OpenedGap| &*it.dataset == "ds-press";
        let unclean = |it: &&lingate_sandbox::OpenedGap| it.gap.cause == GapCause::UncleanStop as i32;
        let from = world.receiver.gaps.iter().filter(of_press).find(unclean).unwrap().gap.from_us;
        let before = told.iter().filter(|slot| **slot < from).count() as u64;
        let declared = world.receiver.declared(GapCause::Quarantine);
        assert!(
            before <= declared && declared <= told.len() as u64,
            "{before} slots, {declared} declared ({millis} ms)"
        );
        is_declared_late |= declared < told.len() as u64;
    }
    assert!(is_declared_late, "nothing waited when the process was killed");
}

#[test]
fn what_overflowed_is_declared_to_the_unit() {
    let sandbox = Sandbox::new();
    let mut world = World::without_bundle(402, &sandbox, tiny());
    world.grant(&sandbox, &Rights { epoch_seconds: 10, ..Rights::full(1) });
    for _ in 0..300 {
        world.poll(PRESS);
        world.run_for(SECOND / 5);
    }
    assert!(world.status().lost["overflow"] > 100);
    world.link_up();
    world.end_well(&sandbox, 2);
    let declared = world.receiver.declared_by_cause();
    assert_eq!(declared.keys().copied().collect::<Vec<_>>(), ["overflow"]);
    assert_eq!(world.receiver.of("ds-press") + declared["overflow"], world.plant.read[PRESS]);
}

/// Nobody knows what was read and not accepted: the slots of every point since the oldest batch could have begun.
#[test]
fn an_unclean_stop_declares_every_slot_since_the_oldest_open_batch() {
    let sandbox = Sandbox::new();
    let mut world = World::new(403, &sandbox);
    world.polls();
    world.run_for(7 * SECOND);
    world.crash(Crash::DropAll);
    world.end_well(&sandbox, 2);
    let mut gaps = world.receiver.gaps.iter().filter(|it| it.gap.cause == GapCause::UncleanStop as i32);
    let gap = &gaps.find(|it| &*it.dataset == "ds-press").unwrap().gap;
    let span = gap.to_us - gap.from_us;
    assert!((400_000..1_000_000).contains(&span), "the flush age and a commit: {span} us");
    assert_eq!(gap.readings as i64, OF_A_POLL as i64 * (span / 200_000), "two points every 200 ms");
    assert_eq!(world.receiver.declared_by_cause().keys().copied().collect::<Vec<_>>(), ["unclean_stop"]);
}

#[test]
fn a_power_cut_around_a_declaration_at_most_repeats_the_range_that_was_on_its_way() {
    let sandbox = Sandbox::new();
    let live = |world: &mut World| {
        for _ in 0..60 {
            world.poll(PRESS);
            world.run_for(SECOND / 2);
        }
        world.stops_polling();
    };
    let small = || lingate_buffer::Settings { max_bytes: 48 << 10, ..tiny() };
    let mut undisturbed = World::without_bundle(404, &sandbox, small());
    undisturbed.grant(&sandbox, &Rights { epoch_seconds: 10, ..Rights::full(1) });
    live(&mut undisturbed);
    assert!(undisturbed.status().lost.contains_key("overflow"));
    let (calls, mut declared, mut again) = (undisturbed.disk.calls(), 0, 0);
    for call in (calls / 2..calls).step_by(2) {
        for crash in [Crash::DropAll, Crash::KeepAll] {
            let mut world = World::without_bundle(404, &sandbox, small());
            world.grant(&sandbox, &Rights { epoch_seconds: 10, ..Rights::full(1) });
            world.laws.keys_may_stand_alone = true;
            world.disk.cut_power_after(call);
            live(&mut world);
            world.crash(crash);
            world.laws.keys_may_stand_alone = true;
            world.end_well(&sandbox, 2);
            declared += world.receiver.gaps.len() as u64;
            again += world.receiver.declared_again();
        }
    }
    println!("{declared} gap records, {again} of them say again what an earlier one said");
    assert!(declared > 500, "{declared} gap records: hardly anything was declared");
    // Only a cut between the sync of the gap record and that of the cursor.
    assert!(again * 50 < declared, "{again} of {declared} gap records say again what an earlier one said");
}
