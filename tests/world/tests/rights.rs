//! The plant's veto, its quota, and receipts: what takes effect at once, what is destroyed, and what is still declared.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use lingate_buffer::fake::{Call, Crash};
use lingate_engine::{Input, Quota, ReasonCode, Rules};
use lingate_seal::{EpochReceipt, GapCause, Kid, Veto};
use lingate_world::{Mood, Rights, Sandbox, World};

const SECOND: Duration = Duration::from_secs(1);
const PRESS: usize = 0;
const OVEN: usize = 1;
const ROLE: &str = "role:oem-quality";

fn of_dataset(id: &str) -> Veto {
    Veto { datasets: [id.parse().unwrap()].into(), ..Veto::default() }
}

fn of_recipient(name: &str) -> Veto {
    Veto { recipients: [name.to_owned()].into(), ..Veto::default() }
}

fn opened(world: &World, device: &str) -> usize {
    let readings = world.receiver.batches.iter().flat_map(|batch| &batch.readings);
    readings.filter(|reading| reading.point.starts_with(device)).count()
}

#[test]
fn a_vetoed_dataset_is_destroyed_where_it_waits_and_declared_when_it_may_be() {
    let sandbox = Sandbox::new();
    let mut world = World::new(101, &sandbox);
    world.polls();
    world.run_for(10 * SECOND);
    let waiting = world.status().datasets[PRESS].accepted_readings;
    world.veto(of_dataset("ds-press"));
    assert_eq!(world.purged.len(), 1, "{:?}", world.notices.last());
    world.link_up();
    world.run_for(10 * SECOND);
    assert_eq!(opened(&world, "press"), 0);
    assert!(opened(&world, "oven") > 40);
    let denied = world.status().datasets[PRESS].denied.clone().unwrap();
    assert!(denied.contains("veto"), "{denied}");
    let destroyed = world.status().lost["purge"];
    assert!(destroyed >= waiting && waiting > 50, "{destroyed} of {waiting}");
    let withheld = world.status().lost["withheld"];
    assert!(withheld > 50, "{withheld} readings in ten seconds");

    world.veto(Veto::default());
    world.run_for(5 * SECOND);
    assert!(opened(&world, "press") > 0, "a veto that is lifted lets sealing go on");
    world.end_well(&sandbox, 2);
    assert_eq!(world.receiver.declared(GapCause::Purge), destroyed);
    assert_eq!(world.receiver.declared(GapCause::Withheld), withheld);
}

#[test]
fn a_veto_that_nobody_understands_holds_everything_back_and_destroys_nothing() {
    let sandbox = Sandbox::new();
    let mut world = World::new(120, &sandbox);
    world.polls();
    world.run_for(10 * SECOND);
    let waiting = world.status().buffer.records_waiting;
    world.veto(Veto { unclear: true, ..Veto::default() });
    world.link_up();
    world.run_for(10 * SECOND);
    world.crash(Crash::KeepAll);
    world.link_up();
    world.run_for(10 * SECOND);
    assert_eq!(world.receiver.readings(), 0);
    assert!(world.status().buffer.records_waiting >= waiting && waiting > 10, "{waiting}");
    assert!(world.status().datasets.iter().all(|dataset| dataset.denied.is_some()));

    world.veto(Veto::default());
    world.run_for(5 * SECOND);
    assert!(opened(&world, "press") > 50 && opened(&world, "oven") > 50);
    world.end_well(&sandbox, 2);
    assert_eq!(world.receiver.declared(GapCause::Purge), 0);
}

#[test]
fn a_vetoed_recipient_gets_nothing_from_then_on_also_over_a_crash_and_without_a_link() {
    for name in [ROLE, "urn:lingate:party:oem"] {
        let sandbox = Sandbox::new();
        let mut world = World::new(102, &sandbox);
        world.polls();
        world.run_for(5 * SECOND);
        world.veto(of_recipient(name));
        world.run_for(5 * SECOND);
        world.crash(Crash::KeepAll);
        world.link_up();
        world.run_for(10 * SECOND);
        assert_eq!(world.receiver.readings(), 0, "{name}");
        assert!(world.status().datasets.iter().all(|dataset| dataset.denied.is_some()), "{name}");
        world.veto(Veto::default());
        world.end_well(&sandbox, 2);
        assert!(world.receiver.declared(GapCause::Purge) > 0, "{name}");
    }
}

#[test]
fn a_purge_destroys_what_waits_and_reading_goes_on() {
    let sandbox = Sandbox::new();
    let mut world = World::new(103, &sandbox);
    world.polls();
    world.run_for(10 * SECOND);
    let before = world.now().utc;
    world.feed(Input::Purge("ds-press".parse().unwrap()));
    world.run_for(5 * SECOND);
    world.link_up();
    world.run_for(5 * SECOND);
    let of_press =
        world.receiver.batches.iter().flat_map(|batch| &batch.readings).filter(|it| it.point.starts_with("press"));
    let mut times = of_press.map(|reading| reading.time);
    assert!(times.clone().count() > 20 && times.all(|time| time >= before));
    let destroyed = world.status().lost["purge"];
    world.end_well(&sandbox, 2);
    assert_eq!(world.receiver.declared(GapCause::Purge), destroyed);
}

#[test]
fn a_purge_that_the_disk_refuses_is_tried_until_it_is_done() {
    let sandbox = Sandbox::new();
    let mut world = World::new(104, &sandbox);
    world.polls();
    world.run_for(5 * SECOND);
    world.disk_fails(Call::Write, 3);
    world.veto(of_dataset("ds-press"));
    assert!(world.purged.is_empty(), "a purge that did not happen must not be told as done");
    world.run_for(10 * SECOND);
    assert_eq!(world.purged.len(), 1);
    world.link_up();
    world.run_for(5 * SECOND);
    assert_eq!(opened(&world, "press"), 0);
    world.veto(Veto::default());
    world.end_well(&sandbox, 2);
}

#[test]
fn a_quota_ends_sealing_for_its_day_and_a_restart_does_not_forget_it() {
    let sandbox = Sandbox::new();
    let quotas = BTreeMap::from([("ds-press".parse().unwrap(), Quota { records: Some(12), bytes: None })]);
    let mut world = World::with_rules(105, &sandbox, Rules { quotas, ..Rules::default() });
    world.link_up();
    world.polls();
    world.run_for(60 * SECOND);
    let records = |world: &World| {
        let ledger = world.status().rights.ledger;
        ledger.total(world.now().utc, "ds-press").records
    };
    let used = records(&world);
    assert!((12..=14).contains(&used), "{used}");
    assert!(world.status().datasets[PRESS].denied.clone().unwrap().contains("quota"));
    assert!(world.status().datasets[OVEN].denied.is_none());
    world.restart();
    world.link_up();
    world.run_for(60 * SECOND);
    assert_eq!(records(&world), used);
    // Midnight.
    world.jump(86_400_000_000);
    world.grant(&sandbox, &Rights::full(2));
    world.run_for(SECOND);
    assert!(world.status().datasets[PRESS].accepted_records > 0);
    world.rules.quotas.clear();
    world.restart();
    world.end_well(&sandbox, 3);
}

/// The record that reaches it is the last, and an epoch may still be closed: so a few more.
#[test]
fn a_quota_is_not_exceeded_by_kills_at_any_moment() {
    let sandbox = Sandbox::new();
    let quota = Quota { records: Some(1_600), bytes: None };
    let quotas = BTreeMap::from([("ds-press".parse().unwrap(), quota)]);
    let mut world = World::with_rules(111, &sandbox, Rules { quotas, ..Rules::default() });
    let mut sealed: u64 = 0;
    for kill in 0..60 {
        world.link_up();
        world.polls();
        world.run_for(SECOND * (kill % 7) + SECOND / 3);
        sealed += world.status().datasets[PRESS].accepted_records;
        world.crash(Crash::KeepAll);
    }
    assert!((60..=1_605).contains(&sealed), "{sealed} of 1600");
    assert!(world.status().datasets[PRESS].denied.clone().unwrap().contains("quota"));
    world.rules.quotas.clear();
    world.restart();
    world.end_well(&sandbox, 3);
}

#[test]
fn what_nobody_subscribes_to_is_not_delivered_and_comes_when_somebody_does() {
    let sandbox = Sandbox::new();
    let mut world = World::new(112, &sandbox);
    world.broker.mood = Mood::Refusing { reason: ReasonCode::NO_SUBSCRIBER, one_in: 1 };
    world.link_up();
    world.polls();
    world.run_for(60 * SECOND);
    let status = world.status();
    assert_eq!((world.receiver.readings(), status.link.refused), (0, 0));
    assert!(status.link.unread.unwrap().contains("/k/"), "the KEY waits, and all behind it");
    let told = world.notices.iter().filter(|notice| notice.text.contains("no subscriber")).count();
    assert_eq!(told, 1);
    world.broker.mood = Mood::AtOnce;
    world.run_for(6 * SECOND);
    assert!(world.receiver.readings() > 500, "{}", world.receiver.readings());
    assert_eq!(world.status().link.unread, None);
    world.end_well(&sandbox, 2);
}

#[test]
fn a_connection_carries_one_record_until_the_broker_has_taken_one() {
    let sandbox = Sandbox::new();
    let mut world = World::new(114, &sandbox);
    world.link_up();
    world.polls();
    world.run_for(5 * SECOND);
    world.link_down();
    world.run_for(5 * SECOND);
    world.broker.mood = Mood::Late(SECOND / 10);
    world.link_up();
    assert_eq!(world.broker.unanswered().len(), 1, "its receivers may not have subscribed again");
    world.run_for(SECOND / 10 + SECOND / 20);
    assert!(world.broker.unanswered().len() > 1, "it took the first");
    world.broker.mood = Mood::AtOnce;
    world.end_well(&sandbox, 2);
}

#[test]
fn one_unread_topic_is_not_all_of_them_and_a_veto_ends_it() {
    let sandbox = Sandbox::new();
    let mut world = World::new(113, &sandbox);
    world.broker.refused_topic = Some(("p7".to_owned(), ReasonCode::NO_SUBSCRIBER));
    world.link_up();
    world.polls();
    world.run_for(10 * SECOND);
    let link = world.status().link;
    assert!(link.unread.unwrap().ends_with("/p7") && link.others_read, "the oven's data arrives");
    assert!(opened(&world, "oven") > 40);
    world.veto(Veto { datasets: ["ds-press".parse().unwrap()].into(), ..Veto::default() });
    world.run_for(5 * SECOND);
    assert_eq!(world.status().link.unread, None, "nothing of it waits any more");
    world.broker.refused_topic = None;
    world.veto(Veto::default());
    world.end_well(&sandbox, 2);
}

#[test]
fn the_ledger_says_what_was_sealed_for_whom() {
    let sandbox = Sandbox::new();
    let mut world = World::new(106, &sandbox);
    world.link_up();
    world.polls();
    world.run_for(20 * SECOND);
    let status = world.status();
    let lines: Vec<_> = status.rights.ledger.lines().collect();
    assert_eq!(lines.len(), 2);
    for (line, amount) in lines {
        assert_eq!(line.recipient, ROLE);
        let dataset = status.datasets.iter().find(|dataset| dataset.id == line.dataset).unwrap();
        assert!(amount.records >= dataset.accepted_records && amount.bytes > 0, "{line:?} {amount:?}");
    }
    world.end_well(&sandbox, 2);
}

/// What the receiver has, as the sandbox would say it.
fn received(world: &World) -> Vec<EpochReceipt> {
    let mut epochs: Vec<EpochReceipt> = ["p7", "o3"]
        .into_iter()
        .flat_map(|alias| world.laws.epochs(alias))
        .map(|kid| EpochReceipt { kid: *kid, next: world.laws.received_below(*kid), beyond: Vec::new() })
        .collect();
    epochs.sort_by_key(|epoch| epoch.kid);
    epochs
}

fn with_receipts(seed: u64, sandbox: &Sandbox) -> World {
    let mut world = World::new(seed, sandbox);
    world.grant(sandbox, &Rights { receipts: true, ..Rights::full(2) });
    world.link_up();
    world.polls();
    world
}

#[test]
fn with_receipts_a_puback_frees_nothing_and_a_receipt_does() {
    let sandbox = Sandbox::new();
    let mut world = with_receipts(107, &sandbox);
    world.run_for(20 * SECOND);
    let status = world.status();
    assert!(status.rights.asks_for_receipts && status.link.awaiting_receipt > 50, "{:?}", status.link);
    assert_eq!(status.datasets[PRESS].acknowledged_records, 0);
    let waiting = status.buffer.records_waiting;
    let utc = world.now().utc;
    let receipt = sandbox.receipt(utc, received(&world));
    world.feed(Input::Receipt(receipt.clone()));
    let after = world.status();
    assert!(after.buffer.records_waiting < 5 && waiting > 50, "{} of {waiting}", after.buffer.records_waiting);
    assert!(after.datasets[PRESS].acknowledged_records > 20);
    // The same again, and an older one after it.
    world.feed(Input::Receipt(receipt));
    world.feed(Input::Receipt(
        sandbox.receipt(utc, vec![EpochReceipt { kid: received(&world)[0].kid, next: 1, beyond: vec![] }]),
    ));
    assert_eq!(world.status().datasets[PRESS].acknowledged_records, after.datasets[PRESS].acknowledged_records);
    world.end_well(&sandbox, 3);
}

#[test]
fn a_receipt_that_is_forged_foreign_or_broken_frees_nothing() {
    let sandbox = Sandbox::new();
    let mut world = with_receipts(108, &sandbox);
    world.run_for(10 * SECOND);
    let waiting = world.status().buffer.records_waiting;
    let good = sandbox.receipt(world.now().utc, received(&world));
    let mut refused = 0;
    for at in (0..good.len()).step_by(3) {
        let mut forged = good.clone();
        forged[at] ^= 0x10;
        for bytes in [forged, good[..at].to_vec()] {
            world.feed(Input::Receipt(bytes));
            refused += 1;
        }
    }
    world.feed(Input::Receipt(vec![0; 1 << 20]));
    world.feed(Input::Receipt(
        sandbox.receipt(world.now().utc, vec![EpochReceipt { kid: Kid([7; 8]), next: 9, beyond: vec![] }]),
    ));
    let status = world.status();
    assert_eq!((status.buffer.records_waiting, status.link.receipts_refused), (waiting, refused + 1));
    assert_eq!(status.datasets[PRESS].acknowledged_records, 0);
    let told = world.notices.iter().filter(|notice| notice.text.contains("frees nothing")).count();
    assert!(told < 20, "{told} notices: a flood of forgeries must not flood the journal");
    world.end_well(&sandbox, 3);
}

#[test]
fn what_no_receipt_confirms_is_sent_again_and_lost_by_no_crash() {
    let sandbox = Sandbox::new();
    let mut world = with_receipts(109, &sandbox);
    world.run_for(20 * SECOND);
    world.stops_polling();
    world.run_for(10 * SECOND);
    let (published, waiting) = (world.laws.published, world.status().buffer.records_waiting);
    world.run_for(45 * SECOND);
    assert!(world.laws.published >= published + waiting - 2, "{} and {waiting}", world.laws.published - published);
    assert!(world.receiver.duplicates >= waiting - 4);
    // The broker forgets what it had acknowledged, and the gateway loses power.
    world.crash(Crash::DropAll);
    assert!(world.status().buffer.records_waiting >= waiting);
    world.link_up();
    world.run_for(10 * SECOND);
    world.feed(Input::Receipt(sandbox.receipt(world.now().utc, received(&world))));
    assert!(world.status().buffer.records_waiting < 8, "{:?}", world.status().buffer);
    world.end_well(&sandbox, 3);
}
