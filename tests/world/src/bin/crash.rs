//! `cargo crash -- [--states N] [--seed N] [--flips]`: every crash of many lives of a buffer, and every flipped bit of a
//! segment. Prints states per second; ends with an error at the first violation.

#![allow(clippy::disallowed_methods, reason = "a test tool says how fast it was")]

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use lingate_world::arguments::Arguments;
use lingate_world::crash::{Flips, Sweep, flip_every_bit, sweep};

const CALLS: usize = 2_000;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(&["states", "seed", "threads"], &["flips"]) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("error: {wrong}\nusage: crash [--states N] [--seed N] [--threads N] [--flips]");
            return ExitCode::from(64);
        }
    };
    let threads = arguments.number("threads", thread::available_parallelism().map_or(2, |count| count.get() as u64));
    let done = match arguments.has("flips") {
        true => flip(threads),
        false => crash(arguments.number("seed", 1), arguments.number("states", 100_000), threads as usize),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(violation) => {
            eprintln!("violation: {violation}");
            ExitCode::FAILURE
        }
    }
}

fn crash(first: u64, wanted: u64, threads: usize) -> Result<(), String> {
    let began = Instant::now();
    let (mut seed, mut all) = (first, Sweep::default());
    while all.states < wanted {
        let parts = on_threads(threads, |part| sweep(seed, CALLS, part, threads))?;
        for part in parts {
            all.states += part.states;
            all.owed += part.owed;
            all.losses_told += part.losses_told;
            all.calls = all.calls.max(part.calls);
        }
        seed += 1;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} crash states of {} lives of at least {CALLS} calls, 0 violations; {:.0} states/s on {threads} threads, {seconds:.0} s; \
         {} owed records came back or were told, {} losses told",
        all.states,
        seed - first,
        all.states as f64 / seconds,
        all.owed,
        all.losses_told
    );
    if all.owed < all.states || all.losses_told == 0 {
        return Err("nothing was owed or nothing was lost: this run shows nothing".to_owned());
    }
    Ok(())
}

fn flip(threads: u64) -> Result<(), String> {
    let began = Instant::now();
    let parts = on_threads(threads as usize, |part| flip_every_bit(part as u64, threads))?;
    let all = parts.into_iter().fold(Flips::default(), |sum, part| Flips {
        bits: sum.bits + part.bits,
        repaired: sum.repaired + part.repaired,
        lost: sum.lost + part.lost,
        noticed: sum.noticed + part.noticed,
    });
    println!(
        "{} bits of a segment flipped, each seen: {} put right, {} cost their one frame and were told, {} in the segment's \
         header; {:.0} s",
        all.bits,
        all.repaired,
        all.lost,
        all.noticed,
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

fn on_threads<T: Send>(threads: usize, work: impl Fn(usize) -> Result<T, String> + Sync) -> Result<Vec<T>, String> {
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|part| {
                scope.spawn({
                    let work = &work;
                    move || work(part)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?).collect()
    })
}
