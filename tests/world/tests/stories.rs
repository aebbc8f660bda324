//! Random lives of a gateway, each from a seed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lingate_world::{Sandbox, Story, Telling};

const STORIES: u64 = 200;

#[test]
fn every_accepted_record_arrives_in_any_world() {
    let sandbox = Sandbox::new();
    let (mut acknowledged, mut duplicates, mut flips) = (0, 0, 0);
    for seed in 0..STORIES {
        let told = catch_unwind(AssertUnwindSafe(|| Story::tell(seed, &sandbox)));
        let Ok(world) = told else { panic!("seed {seed} breaks a law: paste it into the test below") };
        acknowledged += world.laws.acknowledged;
        duplicates += world.receiver.duplicates;
        flips += world.flips.len();
    }
    assert!(acknowledged > 10_000, "only {acknowledged} records were acknowledged: the stories tell nothing");
    assert!(duplicates > 1_000, "only {duplicates} duplicates: the stories are too easy");
    assert!(flips > 50, "only {flips} bits flipped");
}

/// A Lineage that the buffer refused, gap records behind it that it kept, and a crash before the refused one was declared.
#[test]
fn a_refused_record_leaves_no_hole_when_the_power_goes() {
    Story::tell(239, &Sandbox::new());
}

/// A bit of a gap record flips while no process is there that remembers what it said.
#[test]
fn a_gap_record_of_which_a_bit_flipped_still_speaks() {
    Story::tell_as(69, &Sandbox::new(), Telling { flips: true, ..Telling::short() });
}

/// The last record of an epoch is damaged, and the next KEY has to name its number all the same.
#[test]
fn a_flipped_bit_is_not_taken_for_an_older_disk() {
    Story::tell_as(154, &Sandbox::new(), Telling { flips: true, ..Telling::short() });
}

/// A sync fails and the process ends; behind a bit that flipped meanwhile, the next one counts what was not synced, and
/// then the power goes.
#[test]
fn what_was_not_synced_before_a_bit_flipped_is_not_counted_on() {
    Story::tell_as(94, &Sandbox::new(), Telling { flips: true, ..Telling::short() });
}

/// The place for the seed of a story that failed.
#[test]
fn one_story_from_its_seed() {
    let seed = 0;
    Story::tell(seed, &Sandbox::new());
}
