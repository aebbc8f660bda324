//! No number of an epoch is ever sealed with two contents, whatever the disk forgets and whenever: no key meets a nonce
//! twice.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use lingate_buffer::fake::Crash;
use lingate_seal::{Kid, RecordKind, Sealed};
use lingate_world::{Sandbox, World};

const SECOND: Duration = Duration::from_secs(1);

/// By epoch and number, the KEY apart: what was sealed, seen on the disk, synced or not, at the end of every life.
#[derive(Default)]
struct Seen(BTreeMap<(Kid, Option<u64>), Vec<u8>>);

impl Seen {
    fn look(&mut self, world: &World, at: &str) {
        for sealed in world.waiting_on_disk() {
            let name = name(&sealed);
            let known = self.0.entry(name).or_insert_with(|| sealed.bytes().to_vec());
            assert!(known == sealed.bytes(), "{name:?} has two contents: {at}");
        }
    }
}

fn name(sealed: &Sealed) -> (Kid, Option<u64>) {
    (sealed.kid(), (sealed.kind() != RecordKind::Key).then_some(sealed.seq()))
}

#[test]
fn a_power_cut_at_any_call_around_seal_and_persist_uses_no_number_twice() {
    let sandbox = Sandbox::new();
    let live = |world: &mut World| {
        world.link_up();
        world.polls();
        world.run_for(2 * SECOND);
        world.stops_polling();
    };
    let mut undisturbed = World::new(301, &sandbox);
    let first = undisturbed.disk.calls();
    live(&mut undisturbed);
    let (calls, mut seen) = (undisturbed.disk.calls(), Seen::default());
    assert!(calls > first + 30, "hardly anything was written: {first}..{calls}");
    for call in first..=calls {
        for crash in [Crash::DropAll, Crash::KeepAll, Crash::Random(call)] {
            // Another seed, other keys: what is seen of all worlds is compared.
            let mut world = World::new(1_000 * call + 302, &sandbox);
            world.laws.keys_may_stand_alone = true;
            world.disk.cut_power_after(call);
            let at = format!("{crash:?} after {call} calls");
            live(&mut world);
            seen.look(&world, &at);
            for _ in 0..2 {
                world.crash(crash);
                live(&mut world);
                seen.look(&world, &at);
            }
            world.end_well(&sandbox, 2);
        }
    }
    println!("{} records of {} worlds, each number with one content", seen.0.len(), 3 * (calls - first + 1));
}
