//! A machine that is lost and comes back with an older copy of its disk: noticed, whatever had happened since.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::time::Duration;

use lingate_buffer::fake::Crash;
use lingate_seal::EpochReceipt;
use lingate_world::{Rights, Sandbox, World};

const SECOND: Duration = Duration::from_secs(1);

/// With a copy of the disk after ten seconds of work.
fn copied(seed: u64, sandbox: &Sandbox) -> (World, lingate_buffer::fake::FakeDisk) {
    let mut world = World::new(seed, sandbox);
    world.link_up();
    world.polls();
    world.run_for(10 * SECOND);
    let copy = world.disk.crash(Crash::KeepAll);
    (world, copy)
}

/// The alarms that come within a few seconds of the old disk's life.
fn alarms(mut world: World, copy: lingate_buffer::fake::FakeDisk) -> Vec<String> {
    world.receiver.alarms = Some(Vec::new());
    world.restore(copy);
    world.link_up();
    world.run_for(5 * SECOND);
    world.receiver.alarms.unwrap()
}

#[test]
fn an_old_disk_is_noticed_by_records_behind_its_last_one() {
    let sandbox = Sandbox::new();
    let (mut world, copy) = copied(201, &sandbox);
    world.run_for(5 * SECOND);
    let told = alarms(world, copy);
    assert!(told.len() == 2 && told[0].contains("its disk is an old copy"), "one per dataset: {told:?}");
}

#[test]
fn an_old_disk_is_noticed_by_an_epoch_that_already_has_a_successor() {
    for (clean, entropy_fails) in [(true, 0), (false, 0), (true, 3)] {
        let sandbox = Sandbox::new();
        let (mut world, copy) = copied(202, &sandbox);
        world.stops_polling();
        match clean {
            true => world.restart(),
            false => world.crash(Crash::KeepAll),
        }
        world.link_up();
        world.polls();
        world.run_for(5 * SECOND);
        world.entropy_fails = entropy_fails;
        let told = alarms(world, copy);
        let is_noticed = told.len() == 2 && told[0].contains("its disk is an old copy");
        assert!(is_noticed, "{clean}, {entropy_fails} failures: {told:?}");
    }
}

#[test]
fn a_disk_from_which_nothing_had_gone_on_is_no_alarm() {
    let sandbox = Sandbox::new();
    let (world, _) = copied(203, &sandbox);
    let copy = world.disk.crash(Crash::KeepAll);
    assert_eq!(alarms(world, copy), Vec::<String>::new());
}

#[test]
fn with_receipts_the_gateway_notices_its_old_disk_itself() {
    let sandbox = Sandbox::new();
    let (mut world, copy) = copied(204, &sandbox);
    world.grant(&sandbox, &Rights { receipts: true, ..Rights::full(2) });
    let newest = world.disk.crash(Crash::KeepAll);
    let kid = lingate_buffer::Buffer::open(newest, world.settings.clone()).unwrap().1.heads.values().next().unwrap().0;
    world.receiver.alarms = Some(Vec::new());
    for (next, is_old) in [(3, false), (1 << 19, true)] {
        world.restore(copy.crash(Crash::KeepAll));
        let heads: Vec<_> = world.recovery.heads.values().copied().collect();
        assert!(heads.iter().any(|(of, _)| *of == kid) || !heads.is_empty());
        world.notices.clear();
        let epochs = vec![EpochReceipt { kid: heads[0].0, next, beyond: Vec::new() }];
        let receipt = sandbox.receipt(world.now().utc, epochs);
        world.feed(lingate_engine::Input::Receipt(receipt.clone()));
        world.feed(lingate_engine::Input::Receipt(receipt));
        let told = world.notices.iter().filter(|notice| notice.text.contains("the state directory is an old copy"));
        assert_eq!(told.count(), usize::from(is_old), "{next}");
    }
}
