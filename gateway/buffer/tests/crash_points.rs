//! One short life, cut at every call to the disk, and with every call failing.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::ErrorKind;

use common::{Witness, tiny};
use lingate_buffer::fake::Crash;
use lingate_buffer::{LossCause, Settings};
use lingate_model::Priority::{High, Low, Normal};

/// Small enough that this life rolls segments, frees some, overflows, and declares what it dropped.
fn narrow() -> Settings {
    Settings { max_bytes: 3 * 8192 + 8192 + 5 * 4096, ..tiny() }
}

/// Calls may fail at any point: what fails is simply not done.
fn live(witness: &mut Witness) {
    for round in 0..4 {
        for size in [900, 20, 1500] {
            witness.append(Normal, size);
            witness.append(Low, 600);
            let _ = witness.commit();
        }
        witness.append(High, 100);
        let _ = witness.commit();
        let handed: Vec<_> = (0..3).map_while(|_| witness.try_next(Normal)).collect();
        for id in handed.into_iter().skip(round % 2) {
            witness.acknowledge(id);
        }
        witness.rewind();
    }
    let _ = witness.commit();
}

/// The number of calls that an undisturbed life makes.
fn calls() -> u64 {
    let mut witness = Witness::new(narrow());
    live(&mut witness);
    assert!(witness.declared().iter().any(|loss| loss.cause == LossCause::Overflow), "nothing overflowed");
    assert!(!witness.disk.paths().contains(&"normal/00000000000000000000.seg".to_owned()), "nothing was freed");
    witness.disk.calls()
}

#[test]
fn a_crash_after_any_disk_call_keeps_what_was_reported() {
    for call in Witness::new(narrow()).disk.calls()..=calls() {
        for crash in [Crash::DropAll, Crash::KeepAll, Crash::Random(call), Crash::Random(call << 32 | 1)] {
            let mut witness = Witness::new(narrow());
            witness.disk.cut_power_after(call);
            live(&mut witness);
            witness.crash(crash);
            witness.check_drained();
        }
    }
}

#[test]
fn every_prefix_of_the_unsynced_writes_is_a_good_start() {
    for call in (Witness::new(narrow()).disk.calls()..=calls()).step_by(5) {
        let mut witness = Witness::new(narrow());
        witness.disk.cut_power_after(call);
        live(&mut witness);
        for kept in 1..witness.disk.unsynced() {
            let mut witness = Witness::new(narrow());
            witness.disk.cut_power_after(call);
            live(&mut witness);
            witness.crash(Crash::Prefix(kept));
            witness.check_drained();
        }
    }
}

#[test]
fn a_second_power_cut_during_recovery_loses_nothing_either() {
    for call in (Witness::new(narrow()).disk.calls()..=calls()).step_by(11) {
        for again in (1..60).step_by(2) {
            let mut witness = Witness::new(narrow());
            witness.disk.cut_power_after(call);
            live(&mut witness);
            witness.crash_twice(Crash::Random(call), again, Crash::Random(again));
            witness.check_drained();
        }
    }
}

#[test]
fn any_one_call_may_fail() {
    for call in Witness::new(narrow()).disk.calls()..=calls() {
        for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
            let mut witness = Witness::new(narrow());
            witness.disk.fail_call(call, kind);
            live(&mut witness);
            if call % 2 == 0 {
                witness.crash(Crash::DropAll);
            }
            witness.check_drained();
        }
    }
}
