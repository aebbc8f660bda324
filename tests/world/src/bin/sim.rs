//! `cargo sim -- --seed N`: one random life of a gateway, told line by line. `--stories N`: many, silently. `--days N`: a
//! gateway's days, with something amiss every twenty minutes, from many seeds. In every third, bits flip.

#![allow(clippy::disallowed_methods, reason = "a test tool says how fast it was")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lingate_world::arguments::Arguments;
use lingate_world::{Sandbox, Story, Telling};

const USAGE: &str =
    "usage: sim --seed N [--steps N] [--pace N] [--flips] | sim --stories N [--seed N] | sim --days N [--seed N]";

fn main() -> ExitCode {
    let numbers = ["seed", "steps", "pace", "stories", "days", "threads"];
    let arguments = match Arguments::parse(&numbers, &["day", "flips"]) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("error: {wrong}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    let (seed, threads) = (arguments.number("seed", 0), arguments.number("threads", 2));
    match (arguments.given("stories"), arguments.given("days"), arguments.given("seed")) {
        (Some(stories), _, _) => many(seed, stories, threads, Telling::short()),
        (_, Some(days), _) => many(seed, days, threads, Telling::day()),
        (_, _, Some(seed)) => one(seed, &arguments),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(64)
        }
    }
}

fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    let mut telling = if arguments.has("day") { Telling::day() } else { Telling::short() };
    telling.acts = arguments.number("steps", telling.acts);
    telling.pace = arguments.number("pace", telling.pace.into()) as u32;
    telling.narrates = true;
    telling.flips = arguments.has("flips") || telling.with_flips(seed).flips;
    let world = Story::tell_as(seed, &Sandbox::new(), telling);
    let (laws, age) = (&world.laws, world.age());
    println!(
        "the end after {age:?}: {} records accepted, {} received, {} acknowledgements, {} duplicates, no law broken",
        laws.accepted_records(),
        laws.received_records(),
        laws.acknowledged,
        world.receiver.duplicates
    );
    ExitCode::SUCCESS
}

#[derive(Default)]
struct Sum {
    told: AtomicU64,
    seconds: AtomicU64,
    acknowledged: AtomicU64,
    duplicates: AtomicU64,
    gaps: AtomicU64,
    flips: AtomicU64,
    declared_again: AtomicU64,
}

fn many(first: u64, count: u64, threads: u64, telling: Telling) -> ExitCode {
    let (began, sum) = (Instant::now(), Sum::default());
    let broken: Vec<u64> = thread::scope(|scope| {
        let work = |part: u64| {
            let sum = &sum;
            move || {
                (first..first + count)
                    .skip(part as usize)
                    .step_by(threads as usize)
                    .find(|seed| !tell(*seed, telling, sum))
            }
        };
        let running: Vec<_> = (0..threads).map(|part| scope.spawn(work(part))).collect();
        running.into_iter().filter_map(|thread| thread.join().expect("panics are caught")).collect()
    });
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let days = Duration::from_secs(read(&sum.seconds)).as_secs_f64() / 86_400.0;
    println!(
        "{} stories, {days:.1} simulated gateway-days, {} acknowledged, {} duplicates, {} gap records \
         of which {} repeat one, {} flipped bits; {:.0} s",
        read(&sum.told),
        read(&sum.acknowledged),
        read(&sum.duplicates),
        read(&sum.gaps),
        read(&sum.declared_again),
        read(&sum.flips),
        began.elapsed().as_secs_f64()
    );
    if let Some(seed) = broken.first() {
        let day = if telling.pace > 1 { " --day" } else { "" };
        eprintln!("seed {seed} breaks a law. Tell it again: cargo sim -- --seed {seed}{day}");
        eprintln!("or paste it into one_story_from_its_seed in tests/world/tests/stories.rs: let seed = {seed};");
        return ExitCode::FAILURE;
    }
    if read(&sum.acknowledged) < 10_000 || read(&sum.gaps) < 3 {
        eprintln!("hardly anything happened: this run shows nothing");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn tell(seed: u64, telling: Telling, sum: &Sum) -> bool {
    let Ok(world) = catch_unwind(AssertUnwindSafe(|| Story::tell_as(seed, &Sandbox::new(), telling.with_flips(seed))))
    else {
        return false;
    };
    let add = |to: &AtomicU64, count: u64| {
        to.fetch_add(count, Ordering::Relaxed);
    };
    add(&sum.told, 1);
    add(&sum.seconds, world.age().as_secs());
    add(&sum.acknowledged, world.laws.acknowledged);
    add(&sum.duplicates, world.receiver.duplicates);
    add(&sum.gaps, world.receiver.gaps.len() as u64);
    add(&sum.declared_again, world.receiver.declared_again());
    add(&sum.flips, world.flips.len() as u64);
    true
}
