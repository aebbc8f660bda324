//! The promises one by one, each in the smallest world that can break it.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::time::Duration;

use lingate_buffer::fake::{Call, Crash};
use lingate_buffer::{Overflow, Settings};
use lingate_engine::{Input, ReasonCode};
use lingate_seal::GapCause;
use lingate_world::{Mood, Rights, Sandbox, Serving, World, tiny};

const SECOND: Duration = Duration::from_secs(1);
const PRESS: usize = 0;
const REFUSING: Mood = Mood::Refusing { reason: ReasonCode(0x97), one_in: 1 };

#[test]
fn no_data_is_published_before_its_key_is_acknowledged() {
    let mut world = World::new(1, &Sandbox::new());
    world.link_up();
    for mood in [Mood::Silent, REFUSING] {
        world.broker.mood = mood;
        world.link_down();
        world.link_up();
        world.poll(PRESS);
        world.run_for(100 * SECOND);
        assert_eq!(world.laws.received_records(), 0, "{mood:?}: DATA was published");
    }
    world.broker.mood = Mood::Late(3 * SECOND);
    world.run_for(100 * SECOND);
    assert_eq!(world.laws.epochs("p7").len(), 1);
    assert!(world.laws.received_records() >= 4);
}

#[test]
fn a_refused_record_is_tried_again_and_never_dropped() {
    let sandbox = Sandbox::new();
    let mut world = World::new(2, &sandbox);
    world.link_up();
    world.broker.mood = REFUSING;
    world.poll(PRESS);
    world.run_for(600 * SECOND);
    assert_eq!((world.laws.acknowledged, world.receiver.readings()), (0, 0));
    let refused = world.status().link.refused;
    assert!((10..30).contains(&refused), "{refused} attempts in ten minutes: pauses grow up to a minute");
    let told = world.notices.iter().filter(|notice| notice.text.contains("quota exceeded")).count();
    assert_eq!(told, 1, "the operator is told once, not at every attempt");

    world.broker.mood = Mood::AtOnce;
    world.run_for(61 * SECOND);
    assert_eq!(world.receiver.readings(), 2);
    world.end_well(&sandbox, 2);
}

#[test]
fn a_late_acknowledgement_of_an_old_connection_frees_nothing() {
    let sandbox = Sandbox::new();
    let mut world = World::new(3, &sandbox);
    world.broker.mood = Mood::Deaf;
    world.link_up();
    world.poll(PRESS);
    world.run_for(SECOND);
    let (old, waiting) = (world.broker.unanswered(), world.status().buffer.records_waiting);
    assert_eq!(old.len(), 1, "the KEY is on its way");

    world.link_down();
    old.iter().for_each(|id| world.feed(Input::Acked(*id)));
    world.link_up();
    old.iter().for_each(|id| world.feed(Input::Acked(*id)));
    world.run_for(SECOND);
    assert_eq!(world.status().buffer.records_waiting, waiting);
    assert_eq!(world.broker.unanswered().len(), 1, "still only the KEY");
    world.end_well(&sandbox, 2);
    assert_eq!(world.receiver.readings(), 2);
}

#[test]
fn a_drain_puts_everything_on_disk_and_closes_the_epochs() {
    let sandbox = Sandbox::new();
    let mut world = World::new(4, &sandbox);
    world.poll(PRESS);
    world.poll(1);
    world.feed(Input::Drain);
    assert!(world.has_drained, "with a disk that works there is nothing to wait for");
    let kept: u64 = world.status().datasets.iter().map(|dataset| dataset.kept).sum();
    assert_eq!(world.laws.accepted_readings, kept);

    world.restart();
    world.link_up();
    world.run_for(SECOND);
    let report = world.receiver.report();
    assert_eq!(world.receiver.readings(), kept);
    for dataset in &report.datasets {
        assert_eq!((dataset.epochs, dataset.closed_epochs, dataset.gaps), (1, 1, 0), "{}", dataset.dataset);
    }
    assert_eq!(report.datasets.len(), 2);
}

#[test]
fn an_unclean_stop_is_declared_at_the_next_start() {
    let sandbox = Sandbox::new();
    let mut world = World::new(5, &sandbox);
    world.polls();
    world.run_for(3 * SECOND);
    world.disk_fails(Call::SyncData, 1_000);
    world.run_for(4 * SECOND);
    let (read, accepted) = (world.plant.read[PRESS], world.status().datasets[PRESS].accepted_readings);
    assert!(read > accepted + 30, "four seconds of readings are in memory only");

    world.stops_polling();
    world.crash(Crash::DropAll);
    assert!(!world.recovery.clean);
    world.end_well(&sandbox, 2);
    let gaps = || world.receiver.gaps.iter().filter(|gap| gap.gap.cause == GapCause::UncleanStop as i32);
    assert_eq!(gaps().map(|gap| &*gap.dataset).collect::<Vec<_>>(), ["ds-press", "ds-oven"]);
    let declared = gaps().next().unwrap().gap.readings;
    let lost = read - accepted;
    assert!((lost..lost + 8).contains(&declared), "{declared} declared, {lost} lost");
}

#[test]
fn the_audit_log_hears_of_records_when_they_are_durable() {
    let sandbox = Sandbox::new();
    let mut world = World::new(40, &sandbox);
    world.audit = Some(Vec::new());
    world.polls();
    world.run_for(6 * SECOND);
    world.disk_fails(Call::SyncData, 1_000);
    world.run_for(70 * SECOND);
    let accepted: u64 = world.status().datasets.iter().map(|dataset| dataset.accepted_readings).sum();
    let told = |world: &World| -> u64 {
        let lines = world.audit.iter().flatten().filter(|line| line.contains("data.range"));
        lines.map(|line| count(line, "readings")).sum()
    };
    assert_eq!(told(&world), accepted);
    assert!(accepted > 50, "{accepted}");
    world.stops_polling();
    world.crash(Crash::DropAll);
    world.end_well(&sandbox, 2);
}

/// A number in a line of the audit log.
fn count(line: &str, name: &str) -> u64 {
    let digits = line.split(&format!("\"{name}\":")).nth(1).unwrap();
    digits.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[test]
fn slots_of_a_missed_poll_are_declared() {
    let sandbox = Sandbox::new();
    let mut world = World::new(6, &sandbox);
    world.polls();
    world.run_for(SECOND);
    world.plant.serve(PRESS, Serving::Nothing);
    let from = world.now().utc;
    world.run_for(5 * SECOND);
    world.plant.serve(PRESS, Serving::Values);
    world.run_for(SECOND);
    world.end_well(&sandbox, 2);
    let [opened] = &world.receiver.gaps[..] else { panic!("one gap record") };
    assert_eq!((&*opened.dataset, &*opened.gap.device), ("ds-press", "press"));
    assert_eq!(opened.gap.readings, world.plant.missed[PRESS]);
    assert!(opened.gap.from_us >= from.0 && opened.gap.to_us - opened.gap.from_us >= 4_800_000);
    let read = world.receiver.report().datasets.iter().find(|it| it.dataset == "ds-press").unwrap().read;
    assert_eq!(read, world.plant.read[PRESS], "every slot is a value or in the gap");
}

#[test]
fn a_failed_commit_is_tried_again_and_nothing_is_reported() {
    for call in [Call::SyncData, Call::Write, Call::Create, Call::SyncDirectory] {
        let sandbox = Sandbox::new();
        let mut world = World::new(7, &sandbox);
        world.link_up();
        world.disk_fails(call, 1_000);
        world.poll(PRESS);
        world.run_for(10 * SECOND);
        assert_eq!((world.laws.accepted_readings, world.laws.published), (0, 0), "{call:?}");
        assert!(world.status().disk_fault.is_some(), "{call:?}");
        let told = world.notices.iter().filter(|notice| notice.text.contains("check the disk")).count();
        assert!((1..=2).contains(&told), "{call:?}: told {told} times");

        world.disk.heal();
        world.run_for(2 * SECOND);
        assert_eq!(world.status().disk_fault, None, "{call:?}");
        assert_eq!((world.laws.accepted_readings, world.receiver.readings()), (2, 2), "{call:?}");
        world.end_well(&sandbox, 2);
    }
}

#[test]
fn what_a_commit_left_behind_is_tried_again() {
    let mut world = World::new(14, &Sandbox::new());
    world.poll(PRESS);
    world.run_for(SECOND);
    world.poll(PRESS);
    world.poll(1);
    world.disk_fails(Call::Create, 1);
    world.run_for(SECOND);
    assert_eq!(world.laws.accepted_readings, 4, "the press has its segment, the oven does not get one");
    world.run_for(2 * SECOND);
    assert_eq!(world.laws.accepted_readings, 7, "nothing but its own clock wakes it");
}

#[test]
fn what_a_disk_refused_to_read_is_read_again() {
    let sandbox = Sandbox::new();
    let mut world = World::new(8, &sandbox);
    world.poll(PRESS);
    world.run_for(SECOND);
    world.disk_fails(Call::Read, 3);
    world.link_up();
    world.run_for(30 * SECOND);
    assert_eq!(world.receiver.readings(), 2, "no reading, no acknowledgement: only its own clock can wake it");
}

#[test]
fn a_changed_bundle_opens_a_new_epoch_at_once() {
    let sandbox = Sandbox::new();
    let mut world = World::new(9, &sandbox);
    world.link_up();
    world.poll(PRESS);
    world.run_for(SECOND);
    world.poll(PRESS);
    world.grant(&sandbox, &Rights::full(2));
    world.run_for(SECOND);
    let epochs = world.laws.epochs("p7");
    let of_batches: Vec<_> = world.receiver.batches.iter().map(|batch| batch.kid).collect();
    assert_eq!(epochs.len(), 2);
    assert_eq!(of_batches, epochs, "what was pending goes under the new bundle");
    assert_eq!(world.receiver.report().datasets[0].closed_epochs, 1);
    world.end_well(&sandbox, 3);
}

#[test]
fn a_narrower_grant_withholds_what_is_pending() {
    for ceiling in [None, Some("general")] {
        let sandbox = Sandbox::new();
        let mut world = World::new(10, &sandbox);
        world.link_up();
        world.poll(PRESS);
        let withheld = world.now().utc;
        let mut narrow = Rights::full(2);
        narrow.ceilings[PRESS] = ceiling;
        world.grant(&sandbox, &narrow);
        world.run_for(SECOND);
        world.poll(PRESS);
        world.run_for(SECOND);
        assert_eq!(world.status().lost.get("policy"), Some(&2), "{ceiling:?}");

        world.end_well(&sandbox, 3);
        assert_eq!(world.receiver.declared(GapCause::PolicyExpired), 2, "{ceiling:?}");
        let opened = || world.receiver.batches.iter().flat_map(|batch| &batch.readings);
        assert!(opened().all(|reading| reading.time != withheld), "{ceiling:?}: a withheld reading was opened");
        let names: Vec<&str> = opened().map(|reading| &*reading.point).collect();
        assert_eq!(
            names,
            if ceiling.is_some() { vec!["press/counter", "press/weight"] } else { vec![] },
            "{ceiling:?}"
        );
    }
}

#[test]
fn an_expired_bundle_stops_sealing_and_counts() {
    let sandbox = Sandbox::new();
    let mut world = World::without_bundle(11, &sandbox, lingate_world::roomy());
    world.grant(&sandbox, &Rights { valid_for: 10 * SECOND, ..Rights::full(1) });
    world.link_up();
    world.polls();
    let end = world.now().utc.0 + 10_000_000;
    world.run_for(30 * SECOND);
    let status = world.status();
    assert!(status.datasets.iter().all(|dataset| dataset.denied.is_some()), "{:?}", status.datasets);
    let newest = world.receiver.batches.iter().flat_map(|batch| &batch.readings).map(|reading| reading.time.0).max();
    assert!(newest.is_some_and(|newest| (end - 1_500_000..end).contains(&newest)));
    let press = &status.datasets[PRESS];
    let suppressed: u64 = press.suppressed.iter().map(|(_, count)| count).sum();
    assert_eq!(press.read, press.kept + suppressed);
    assert!(suppressed > 150, "{suppressed} readings were denied in twenty seconds");
    let withheld = status.lost.get("policy").copied().unwrap_or(0);
    let of_allow_list = |(step, count): &(u8, u64)| if *step == 1 { *count } else { 0 };
    let denied: u64 = status.datasets.iter().flat_map(|it| &it.suppressed).map(of_allow_list).sum();
    assert!(denied > 150 && withheld >= denied, "{withheld} of {denied}: every reading behind the end is lost");

    world.end_well(&sandbox, 2);
    assert_eq!(world.receiver.declared(GapCause::PolicyExpired), withheld);
    let report = world.receiver.report();
    let press = report.datasets.iter().find(|dataset| dataset.dataset == "ds-press").unwrap();
    assert_eq!(press.suppressed, suppressed, "the denied readings are counted in the next epoch");
}

#[test]
fn a_right_that_begins_later_is_used_when_it_begins() {
    let sandbox = Sandbox::new();
    let mut world = World::without_bundle(12, &sandbox, lingate_world::roomy());
    world.grant(&sandbox, &Rights { begins_after: 600 * SECOND, ..Rights::full(1) });
    world.link_up();
    world.polls();
    world.run_for(240 * SECOND);
    assert_eq!(world.laws.accepted_readings, 0);
    world.run_for(360 * SECOND);
    assert!(world.laws.accepted_readings > 0, "{:?}", world.status().datasets[PRESS].denied);
    world.end_well(&sandbox, 2);
}

#[test]
fn an_evicted_segment_is_declared() {
    let sandbox = Sandbox::new();
    let mut world = World::without_bundle(13, &sandbox, tiny());
    world.grant(&sandbox, &Rights { epoch_seconds: 10, ..Rights::full(1) });
    world.polls();
    world.run_for(60 * SECOND);
    let usage = world.status().buffer;
    let lost = world.status().lost;
    assert!(lost.get("overflow").is_some_and(|readings| *readings > 100), "{lost:?} {usage:?}");
    let accepted = world.laws.accepted_readings;

    world.stops_polling();
    world.link_up();
    world.run_for(130 * SECOND);
    let refused = world.status().lost.get("buffer_refused").copied().unwrap_or(0);
    world.end_well(&sandbox, 2);
    let (received, declared) = (world.receiver.readings(), world.receiver.declared(GapCause::Overflow));
    assert!(received > 0 && declared > 0);
    assert!(world.laws.accepted_readings >= accepted);
    assert_eq!(received + declared, world.laws.accepted_readings + refused, "to the unit");
}

#[test]
fn overflow_never_stops_the_line() {
    let sandbox = Sandbox::new();
    let mut world = World::without_bundle(354, &sandbox, tiny());
    world.grant(&sandbox, &Rights { epoch_seconds: 10, ..Rights::full(1) });
    world.polls();
    for _ in 0..12 {
        let accepted = world.laws.accepted_readings;
        world.run_for(10 * SECOND);
        assert!(world.laws.accepted_readings > accepted + 50, "{} readings accepted", world.laws.accepted_readings);
    }
    assert!(world.status().lost.get("overflow").is_some_and(|readings| *readings > 500));
    world.end_well(&sandbox, 2);
}

#[test]
fn a_full_buffer_declares_no_more_than_it_can_hold_and_all_of_it_when_there_is_room() {
    let sandbox = Sandbox::new();
    let mut world = World::paced(9, &sandbox, tiny(), 500);
    world.grant(&sandbox, &Rights { epoch_messages: 4, epoch_seconds: 1_000, ..Rights::full(1) });
    world.polls();
    world.run_for(6 * 3_600 * SECOND);
    world.crash(Crash::DropAll);
    world.run_for(6 * 3_600 * SECOND);
    let (status, undeclared) = (world.status(), undeclared(&world));
    assert!(status.lost["overflow"] > 500 && undeclared > 500, "{undeclared} of {:?}", status.lost);
    let gaps: u64 = status.datasets.iter().map(|dataset| dataset.gaps).sum();
    let records: u64 = status.datasets.iter().map(|dataset| dataset.accepted_records).sum();
    assert!(gaps * 4 < records && records > 200, "{gaps} of {records} records are gap records");
    assert!(status.buffer.bytes <= status.buffer.max_bytes, "{:?}", status.buffer);
    world.stops_polling();
    world.link_up();
    world.run_for(600 * SECOND);
    assert_eq!(self::undeclared(&world), 0, "it has room again");
    world.end_well(&sandbox, 2);
}

fn undeclared(world: &World) -> u64 {
    world.status().datasets.iter().map(|dataset| dataset.undeclared).sum()
}

#[test]
fn nothing_is_kept_behind_a_refused_record_before_its_gap() {
    // A buffer that ends within each of the records of an epoch. None is opened that has no room for its first ones.
    for step in 0..30 {
        let sandbox = Sandbox::new();
        let settings = Settings { max_bytes: (64 << 10) + 100 * step, overflow: Overflow::RefuseNew, ..tiny() };
        let mut world = World::without_bundle(18, &sandbox, settings);
        world.laws.keys_may_stand_alone = true;
        world.polls();
        let mut version = 0;
        while !world.notices.iter().any(|notice| notice.text.contains("was not kept")) {
            version += 1;
            assert!(version < 100, "{step}: the buffer takes everything");
            if version % 8 == 1 {
                world.grant(&sandbox, &Rights::full(version));
            }
            for serving in [Serving::Nothing, Serving::Values] {
                world.plant.serve(PRESS, serving);
                world.run_for(SECOND / 3);
            }
        }
        world.crash(Crash::DropAll);
        world.laws.keys_may_stand_alone = true;
        world.end_well(&sandbox, version + 1);
    }
}

#[test]
fn an_epoch_whose_key_was_evicted_is_declared_whole_also_after_a_restart() {
    for crash in [None, Some(Crash::DropAll), Some(Crash::KeepAll)] {
        let sandbox = Sandbox::new();
        let mut world = World::without_bundle(16, &sandbox, tiny());
        world.grant(&sandbox, &Rights::full(1));
        world.polls();
        while !world.status().lost.contains_key("overflow") {
            world.run_for(SECOND);
        }
        world.stops_polling();
        world.run_for(SECOND);
        match crash {
            None => world.restart(),
            Some(crash) => world.crash(crash),
        }
        world.end_well(&sandbox, 2);
        // A KEY counts as a loss up to the last sequence number that an epoch can have.
        let whole = world.receiver.gaps.iter().find(|opened| opened.gap.last_seq == (1 << 20) - 1);
        let evicted = &whole.expect("the KEY of an epoch is lost").gap.kid;
        let rest = |gap: &&lingate_sandbox::OpenedGap| gap.gap.kid == *evicted && gap.gap.first_seq > 0;
        assert!(world.receiver.gaps.iter().any(|gap| rest(&gap)), "{crash:?}: nothing was left of the epoch");
        assert!(world.receiver.batches.iter().all(|batch| batch.kid.0[..] != **evicted), "{crash:?}");
    }
}

#[test]
fn what_an_evicted_gap_declared_is_declared_again() {
    for crash in [None, Some(Crash::DropAll)] {
        let sandbox = Sandbox::new();
        let mut world = World::without_bundle(17, &sandbox, tiny());
        world.grant(&sandbox, &Rights { epoch_seconds: 10, ..Rights::full(1) });
        world.polls();
        world.run_for(SECOND);
        world.plant.serve(PRESS, Serving::Nothing);
        world.run_for(5 * SECOND);
        world.plant.serve(PRESS, Serving::Values);
        world.run_for(5 * SECOND);
        // Another process does not remember what the gap record said.
        match crash {
            None => world.restart(),
            Some(crash) => world.crash(crash),
        }
        let (records, epochs) = (world.laws.accepted_records(), world.laws.accepted_epochs());
        world.run_for(90 * SECOND);
        assert!(world.laws.accepted_records() > records + 100, "the gap record is long gone");
        world.end_well(&sandbox, 2);
        assert_eq!(world.receiver.declared(GapCause::DeviceDown), world.plant.missed[PRESS], "{crash:?}");
        let opened = world.receiver.gaps.iter().find(|gap| gap.gap.cause == GapCause::DeviceDown as i32).unwrap();
        assert!(!epochs.contains(&opened.kid), "{crash:?}: the first gap record arrived");
    }
}
