//! Random lives against the naive model.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::ErrorKind;

use common::{Witness, tiny};
use lingate_buffer::fake::{Call, Crash};
use lingate_model::Priority;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    Append(Priority, usize),
    Commit,
    Deliver(Priority, usize),
    /// The n-th of those handed out and not acknowledged, counted from either end.
    Acknowledge(usize),
    Rewind,
    Crash(Crash),
    Close,
    Fail(Call, u64, ErrorKind),
}

fn priority() -> impl Strategy<Value = Priority> {
    prop::sample::select(Priority::ALL.to_vec())
}

fn act() -> impl Strategy<Value = Act> {
    let crash = prop_oneof![
        Just(Crash::DropAll),
        Just(Crash::KeepAll),
        (0u64..20).prop_map(Crash::Prefix),
        any::<u64>().prop_map(Crash::Random),
    ];
    let call = prop::sample::select(vec![
        Call::Write,
        Call::SyncData,
        Call::SyncDirectory,
        Call::Create,
        Call::Remove,
        Call::Truncate,
    ]);
    let kind = prop::sample::select(vec![ErrorKind::Other, ErrorKind::StorageFull]);
    prop_oneof![
        8 => (priority(), prop_oneof![4 => 0usize..400, 1 => 1000usize..3500, 1 => Just(5000)])
            .prop_map(|(priority, size)| Act::Append(priority, size)),
        6 => Just(Act::Commit),
        4 => (priority(), 1usize..20).prop_map(|(priority, count)| Act::Deliver(priority, count)),
        8 => (0usize..6).prop_map(Act::Acknowledge),
        1 => Just(Act::Rewind),
        1 => crash.prop_map(Act::Crash),
        1 => Just(Act::Close),
        1 => (call, 1u64..4, kind).prop_map(|(call, count, kind)| Act::Fail(call, count, kind)),
    ]
}

fn check(acts: &[Act]) {
    let mut witness = Witness::new(tiny());
    let mut handed = Vec::new();
    for act in acts {
        match act {
            Act::Append(priority, size) => witness.append(*priority, *size),
            // A commit that fails has reported nothing.
            Act::Commit => drop(witness.commit()),
            Act::Deliver(priority, count) => {
                handed.extend((0..*count).map_while(|_| witness.next(*priority)));
            }
            Act::Acknowledge(_) if handed.is_empty() => {}
            Act::Acknowledge(nth) => witness.acknowledge(handed.remove(nth % handed.len())),
            Act::Rewind => {
                handed.clear();
                witness.rewind();
            }
            Act::Crash(crash) => {
                handed.clear();
                witness.crash(*crash);
            }
            Act::Close => {
                handed.clear();
                witness.disk.heal();
                witness.close();
            }
            Act::Fail(call, count, kind) => witness.disk.fail_next(*call, *count, *kind),
        }
    }
    witness.check_drained();
}

proptest! {
    #[test]
    fn what_was_reported_and_not_acknowledged_comes_back(acts in prop::collection::vec(act(), 1..150)) {
        check(&acts);
    }
}
