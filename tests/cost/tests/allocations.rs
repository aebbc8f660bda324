//! No allocation per reading in the steady state: a poll, a batch and a record may take memory, a reading may not.
//! One test alone, because the allocator counts for the whole process.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::alloc::System;

use lingate_cost::signal::Signal;
use lingate_cost::{poll, stage};
use lingate_engine::Input;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BATCH: u32 = 500;
const WARM: usize = 40;
const COUNTED: usize = 200;

/// Until now, growth of what was taken included.
fn allocations() -> usize {
    let stats = GLOBAL.stats();
    stats.allocations + stats.reallocations
}

#[test]
fn memory_is_taken_per_answer_and_per_batch_and_not_per_reading() {
    let per_poll = of_polls();
    println!("poll of {} values: {per_poll:.1} allocations", poll::VALUES);
    // 8 answers of up to 62 values each.
    assert!(per_poll < 100.0, "a poll of {} values took memory {per_poll:.1} times", poll::VALUES);
    for (points, bound) in [(10, 120.0), (500, 100.0)] {
        let per_batch = of_line(points);
        println!("batch of {BATCH} readings of {points} points, to the acknowledgement: {per_batch:.1} allocations");
        assert!(per_batch < bound, "a batch of {BATCH} readings of {points} points took memory {per_batch:.1} times");
    }
}

/// Ask, decode, hand over.
fn of_polls() -> f64 {
    let (mut polls, mut before, mut after) = (0, 0, 0);
    poll::poll(|readings| {
        drop(readings);
        polls += 1;
        match polls {
            WARM => before = allocations(),
            polls if polls == WARM + COUNTED => after = allocations(),
            _ => {}
        }
        polls < WARM + COUNTED
    })
    .unwrap();
    (after - before) as f64 / COUNTED as f64
}

/// Refine, seal, append, commit, publish, acknowledge.
fn of_line(points: usize) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = stage::engine(folder.path(), points, BATCH).unwrap();
    let per_batch = BATCH as usize / points;
    let polls = stage::polls(Signal::Walk, points, (WARM + COUNTED) * per_batch);
    let mut before = 0;
    for (at, poll) in polls.into_iter().enumerate() {
        if at == WARM * per_batch {
            before = allocations();
        }
        stage::feed(&mut engine, stage::now(at), Input::Readings(poll));
    }
    (allocations() - before) as f64 / COUNTED as f64
}
