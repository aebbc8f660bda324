//! A mutation fuzzer: inputs of the corpus, changed at random from a seed, into every parser of bytes that somebody else
//! wrote. It is not led by coverage. What crashes a parser is kept in `corpus/TARGET/crash-...` and is tried first in every
//! later run and in `cargo test`.

#![allow(clippy::disallowed_methods, reason = "a run lasts for so many real seconds")]

mod mutate;
mod targets;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::json;

use mutate::Dice;
use targets::{TARGETS, Target};

/// One input may take so long; the slowest is told.
const SLOW: Duration = Duration::from_secs(5);

/// Makes up bytes for every parser of what somebody else wrote.
#[derive(Parser)]
#[command(name = "fuzz")]
struct Arguments {
    /// Only these targets
    targets: Vec<String>,
    /// For each target
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Another one makes up other bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    if let Some(unknown) = arguments.targets.iter().find(|name| !TARGETS.iter().any(|target| target.name == **name)) {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        bail!("{unknown:?} is no target; there are {}", names.join(", "));
    }
    let is_asked =
        |target: &&Target| arguments.targets.is_empty() || arguments.targets.iter().any(|name| name == target.name);
    let (mut executions, mut crashes) = (0, 0);
    for target in TARGETS.iter().filter(is_asked) {
        let found = fuzz(target, Duration::from_secs(arguments.seconds), arguments.seed)?;
        println!("{}", found.to_json(target.name));
        executions += found.executions;
        crashes += found.crashes;
    }
    println!("{}", json!({"run": "fuzz", "executions": executions, "open_crashes": crashes}));
    Ok(crashes == 0)
}

#[derive(Default)]
struct Found {
    corpus: usize,
    executions: u64,
    /// Inputs that the parser took.
    taken: u64,
    crashes: u64,
    slowest: Duration,
}

impl Found {
    fn to_json(&self, target: &str) -> serde_json::Value {
        json!({
            "target": target, "corpus": self.corpus, "executions": self.executions, "taken": self.taken,
            "crashes": self.crashes, "slowest_ms": self.slowest.as_millis() as u64,
        })
    }
}

fn fuzz(target: &Target, lasts: Duration, seed: u64) -> Result<Found> {
    let corpus = corpus(target)?;
    let mut found = Found { corpus: corpus.len(), ..Found::default() };
    corpus.iter().try_for_each(|input| execute(target, input, &mut found))?;
    let (began, mut dice) = (Instant::now(), Dice::new(seed));
    while began.elapsed() < lasts && found.crashes < 10 {
        let input = mutate::input(&mut dice, &corpus);
        execute(target, &input, &mut found)?;
    }
    Ok(found)
}

fn execute(target: &Target, input: &[u8], found: &mut Found) -> Result<()> {
    let began = Instant::now();
    let came = catch_unwind(|| (target.run)(input));
    let took = began.elapsed();
    found.executions += 1;
    found.slowest = found.slowest.max(took);
    found.taken += u64::from(matches!(came, Ok(true)));
    if came.is_err() || took > SLOW {
        found.crashes += 1;
        keep(target, input)?;
    }
    Ok(())
}

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

fn corpus(target: &Target) -> Result<Vec<Vec<u8>>> {
    let mut inputs = (target.seeds)();
    if let Ok(entries) = fs::read_dir(folder(target)) {
        let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.sort();
        for file in files {
            inputs.push(fs::read(&file).with_context(|| file.display().to_string())?);
        }
    }
    anyhow::ensure!(!inputs.is_empty(), "{} has no corpus", target.name);
    Ok(inputs)
}

/// Under a name of its own, for a fix and for ever after.
fn keep(target: &Target, input: &[u8]) -> Result<()> {
    let sum = input
        .iter()
        .fold(0xCBF2_9CE4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3));
    let file = folder(target).join(format!("crash-{sum:016x}"));
    fs::create_dir_all(folder(target))?;
    eprintln!("fuzz: {} does not survive {} bytes; they are kept in {}", target.name, input.len(), file.display());
    Ok(fs::write(file, input)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn every_fuzz_target_survives_its_corpus_and_what_becomes_of_it() {
        for target in &TARGETS {
            let corpus = corpus(target).unwrap();
            let (mut dice, mut found) = (Dice::new(7), Found::default());
            for input in &corpus {
                found.taken += u64::from((target.run)(input));
            }
            // A target that takes nothing of what is honest never comes beyond its first check.
            assert!(found.taken > 0, "{} takes nothing of its corpus", target.name);
            for _ in 0..200 {
                (target.run)(&mutate::input(&mut dice, &corpus));
            }
        }
    }

    #[test]
    fn a_crash_is_seen_and_counted() {
        let target = Target { name: "broken", seeds: || vec![vec![0; 8]], run: |bytes| bytes[7] == 0 };
        let came = catch_unwind(|| (target.run)(&mutate::input(&mut Dice::new(1), &[vec![0; 3]])));
        assert!(came.is_err());
    }

    #[test]
    fn the_same_seed_makes_up_the_same_bytes() {
        let corpus = [b"one".to_vec(), b"another".to_vec()];
        let made = |seed| {
            let mut dice = Dice::new(seed);
            (0..100).map(|_| mutate::input(&mut dice, &corpus)).collect::<Vec<_>>()
        };
        assert!(made(1) == made(1) && made(1) != made(2));
    }
}
