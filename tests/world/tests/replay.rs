//! What the link is used for: refused records, a poison record, live data beside a backlog.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::time::Duration;

use lingate_buffer::fake::Crash;
use lingate_engine::{Input, ReasonCode, Replay, Rules};
use lingate_seal::GapCause;
use lingate_world::{Mood, Rights, Sandbox, World};

const SECOND: Duration = Duration::from_secs(1);
const PRESS: usize = 0;
const OVEN: usize = 1;

/// A record that the broker refuses whatever happens, among others that it takes.
fn poisoned(world: &mut World) {
    world.link_up();
    world.poll(PRESS);
    world.run_for(2 * SECOND);
    world.broker.poison = Some(ReasonCode(0x99));
    world.poll(PRESS);
    world.run_for(SECOND);
    assert!(world.broker.poisoned.is_some(), "nothing was poisoned");
}

#[test]
fn a_poison_record_is_set_aside_declared_and_delivered_when_somebody_retries_it() {
    for crash in [None, Some(Crash::DropAll)] {
        let sandbox = Sandbox::new();
        let mut world = World::new(31, &sandbox);
        poisoned(&mut world);
        world.polls();
        world.run_for(180 * SECOND);
        let status = world.status();
        assert_eq!((status.buffer.quarantined, status.link.quarantined), (1, 1));
        assert_eq!(world.receiver.declared(GapCause::Quarantine), 2, "its gap arrived");
        assert!(status.buffer.records_waiting < 4, "its stream goes on: {:?}", status.buffer);
        assert_eq!(world.receiver.report().datasets.iter().map(|it| it.declared_yet_received).sum::<u64>(), 0);

        world.broker.cure();
        world.stops_polling();
        world.run_for(2 * SECOND);
        if let Some(crash) = crash {
            world.crash(crash);
            world.link_up();
        }
        let received = world.receiver.readings();
        world.feed(Input::Retry(Vec::new()));
        world.run_for(2 * SECOND);
        assert_eq!(world.status().buffer.quarantined, 0);
        assert_eq!(world.receiver.readings(), received + 2, "what was set aside arrives after all");
        world.end_well(&sandbox, 2);
    }
}

#[test]
fn a_request_to_retry_survives_a_link_that_is_lost_before_and_after_it_was_sent() {
    let sandbox = Sandbox::new();
    let mut world = World::new(38, &sandbox);
    poisoned(&mut world);
    world.polls();
    world.run_for(180 * SECOND);
    world.stops_polling();
    world.run_for(2 * SECOND);
    world.broker.cure();
    world.link_down();
    world.feed(Input::Retry(Vec::new()));
    world.broker.mood = Mood::Silent;
    world.link_up();
    world.run_for(2 * SECOND);
    assert_eq!((world.status().buffer.quarantined, world.status().link.retrying), (1, 1));
    world.link_down();
    world.broker.mood = Mood::AtOnce;
    world.link_up();
    world.run_for(2 * SECOND);
    assert_eq!((world.status().buffer.quarantined, world.status().link.retrying), (0, 0));
    world.end_well(&sandbox, 2);
}

#[test]
fn a_poison_record_survives_a_link_that_comes_and_goes() {
    let sandbox = Sandbox::new();
    let mut world = World::new(32, &sandbox);
    poisoned(&mut world);
    world.polls();
    for _ in 0..40 {
        world.run_for(10 * SECOND);
        world.link_down();
        world.link_up();
    }
    assert_eq!(world.status().buffer.quarantined, 1, "{:?}", world.status().link);
    world.broker.cure();
    world.end_well(&sandbox, 2);
}

#[test]
fn a_stream_that_is_refused_as_a_whole_waits_and_no_other_does() {
    let sandbox = Sandbox::new();
    let mut world = World::new(33, &sandbox);
    world.link_up();
    world.polls();
    world.run_for(2 * SECOND);
    world.broker.refused_topic = Some(("p7".to_owned(), ReasonCode(0x87)));
    let before = world.receiver.of("ds-oven");
    world.run_for(300 * SECOND);
    let oven = world.status().datasets[OVEN].accepted_readings;
    assert!(world.receiver.of("ds-oven") + 10 > oven && world.receiver.of("ds-oven") > before + 500);
    assert_eq!(world.status().buffer.quarantined, 0, "a right that somebody forgot costs nothing");
    assert!(world.status().link.refused < 30, "{} attempts in five minutes", world.status().link.refused);
    world.broker.refused_topic = None;
    world.run_for(61 * SECOND);
    world.stops_polling();
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver.readings(), world.laws.accepted_readings);
    world.end_well(&sandbox, 2);
}

fn live_first(replay: Replay) -> Rules {
    Rules { live_first: ["ds-press".parse().unwrap()].into(), replay, ..Rules::default() }
}

/// Ten minutes without a link, then one that lets a window through every 50 ms.
fn with_backlog(seed: u64, sandbox: &Sandbox, rules: Rules) -> World {
    let mut world = World::with_rules(seed, sandbox, rules);
    world.laws.live_first.insert("p7".to_owned());
    world.polls();
    world.run_for(600 * SECOND);
    world.broker.mood = Mood::Late(Duration::from_millis(400));
    world.link_up();
    world
}

#[test]
fn live_data_of_a_live_first_dataset_does_not_wait_behind_its_backlog() {
    let sandbox = Sandbox::new();
    let mut world = with_backlog(34, &sandbox, live_first(Replay::default()));
    let began = world.now().utc;
    world.run_for(30 * SECOND);
    let ages = world.receiver.ages("ds-press", began);
    assert!(ages.len() > 40, "{} batches", ages.len());
    let worst = ages.iter().max().unwrap();
    assert!(*worst < 5 * SECOND, "live data came {worst:?} late");
    assert!(world.status().buffer.records_waiting > 500, "the backlog was gone too soon to show anything");
    let oldest = world.receiver.batches.iter().filter(|batch| batch.readings[0].time < began).count();
    assert!(oldest > 100, "the backlog goes on beside it: {oldest} batches");

    world.link_down();
    world.link_up();
    world.run_for(120 * SECOND);
    world.crash(Crash::KeepAll);
    world.broker.mood = Mood::AtOnce;
    world.link_up();
    world.run_for(60 * SECOND);
    world.end_well(&sandbox, 2);
}

#[test]
fn a_bundle_that_comes_behind_the_link_lets_live_data_pass_too() {
    let sandbox = Sandbox::new();
    let mut world = World::with_rules(39, &sandbox, live_first(Replay::default()));
    world.laws.live_first.insert("p7".to_owned());
    world.polls();
    world.run_for(600 * SECOND);
    world.loses_its_bundle();
    world.broker.mood = Mood::Late(Duration::from_millis(400));
    world.link_up();
    world.run_for(SECOND);
    world.grant(&sandbox, &Rights::full(2));
    let began = world.now().utc;
    world.run_for(20 * SECOND);
    let ages = world.receiver.ages("ds-press", began);
    assert!(ages.len() > 20 && ages.iter().all(|age| *age < 5 * SECOND), "{ages:?}");
    assert!(world.status().buffer.records_waiting > 500, "the backlog was gone too soon to show anything");
    world.broker.mood = Mood::AtOnce;
    world.run_for(60 * SECOND);
    world.end_well(&sandbox, 3);
}

#[test]
fn a_backlog_keeps_to_its_rate_and_live_data_does_not() {
    let sandbox = Sandbox::new();
    let rate = 20_000;
    let replay = Replay { backlog_rate: Some(rate), ..Replay::default() };
    let mut world = with_backlog(35, &sandbox, live_first(replay));
    world.broker.mood = Mood::AtOnce;
    let before = world.status().link.published_bytes;
    let began = world.now().utc;
    world.run_for(20 * SECOND);
    let sent = world.status().link.published_bytes - before;
    let live: u64 = world.status().datasets.iter().map(|it| it.accepted_records).sum::<u64>() * 1_200 / 31;
    assert!(sent > 19 * rate && sent < 21 * rate + live, "{sent} bytes in twenty seconds, about {live} of them live");
    let ages = world.receiver.ages("ds-press", began);
    assert!(ages.iter().all(|age| *age < 2 * SECOND), "{ages:?}");
    world.run_for(600 * SECOND);
    world.end_well(&sandbox, 2);
}

#[test]
fn a_link_that_comes_and_goes_does_not_cost_an_epoch_each_time() {
    let sandbox = Sandbox::new();
    let mut world = with_backlog(36, &sandbox, live_first(Replay { backlog_rate: Some(20_000), ..Replay::default() }));
    for _ in 0..60 {
        world.run_for(2 * SECOND);
        world.link_down();
        world.link_up();
    }
    let epochs = world.laws.accepted_epochs().len();
    assert!((4..=8).contains(&epochs), "{epochs} epochs of two datasets");
    world.end_well(&sandbox, 2);
}

#[test]
fn an_unknown_packet_is_not_an_answer() {
    let sandbox = Sandbox::new();
    let mut world = World::new(37, &sandbox);
    world.broker.mood = Mood::Silent;
    world.link_up();
    world.poll(PRESS);
    world.run_for(SECOND);
    let waiting = world.status().buffer.records_waiting;
    for id in [1, 2, 7, 1_000, u64::MAX] {
        world.feed(Input::Acked(lingate_engine::PublishId(id)));
        world.feed(Input::Refused(lingate_engine::PublishId(id), ReasonCode(0x80)));
    }
    assert_eq!(world.status().buffer.records_waiting, waiting);
    world.grant(&sandbox, &Rights::full(2));
    world.end_well(&sandbox, 3);
}
