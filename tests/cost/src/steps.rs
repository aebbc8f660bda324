use std::hint::black_box;

use anyhow::{Result, bail};
use lingate_engine::Input;
use lingate_model::{Priority, UtcMicros};
use lingate_refine::{Batch, Refinery};
use lingate_seal::Sealed;

use crate::signal::{BEGIN, Signal};
use crate::{poll, stage};

/// Name and what it does.
pub const STEPS: [(&str, &str); 7] = [
    ("poll", "ask a Modbus device on the loopback, decode, hand over"),
    ("refine", "tag, minimize, batch"),
    ("seal_narrow", "columns, zstd, AES-GCM, Ed25519: 10 points, 50 rows"),
    ("seal_wide", "the same: 500 points, one row"),
    ("append", "frame, checksum and write, two records a commit"),
    ("line", "the engine: refine, seal, append, commit, publish, acknowledge"),
    ("line_wide", "the same: 5,000 points in batches of 500"),
];

const READINGS: usize = 100_000;
const BATCH: u32 = 500;

/// What callgrind counts, and nothing else.
#[inline(never)]
pub fn measured<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Gives the number of readings that went through it.
pub fn run(step: &str) -> Result<usize> {
    match step {
        "poll" => poll_device(),
        "refine" => Ok(refine(10)),
        "seal_narrow" => seal(10),
        "seal_wide" => seal(500),
        "append" => append(),
        "line" => line(10),
        "line_wide" => line(5_000),
        other => bail!("no step has the name {other:?}; there are {:?}", STEPS.map(|(name, _)| name)),
    }
}

fn poll_device() -> Result<usize> {
    let mut left = READINGS;
    measured(|| {
        poll::poll(|readings| {
            left = left.saturating_sub(readings.len());
            left > 0
        })
    })?;
    Ok(READINGS)
}

fn refine(points: usize) -> usize {
    let mut refinery = Refinery::new(stage::plan(points, BATCH));
    let polls = stage::polls(Signal::Walk, points, READINGS / points);
    measured(|| {
        for (at, poll) in polls.into_iter().enumerate() {
            for reading in poll {
                black_box(refinery.refine(stage::now(at), reading));
            }
        }
    });
    READINGS
}

fn seal(points: usize) -> Result<usize> {
    let (mut epoch, signer) = stage::epoch(points, BATCH)?;
    let batches = batches(points);
    measured(|| -> Result<()> {
        for batch in &batches {
            black_box(epoch.seal_batch(batch, &signer)?);
        }
        Ok(())
    })?;
    Ok(READINGS)
}

fn batches(points: usize) -> Vec<Batch> {
    let polls = stage::polls(Signal::Walk, points, READINGS / points);
    stage::batches(&mut Refinery::new(stage::plan(points, BATCH)), polls)
}

fn append() -> Result<usize> {
    let folder = tempfile::tempdir()?;
    let (mut buffer, _) = stage::buffer(folder.path())?;
    let (mut epoch, signer) = stage::epoch(10, BATCH)?;
    let sealed = batches(10).into_iter().map(|batch| epoch.seal_batch(&batch, &signer));
    let sealed: Vec<Sealed> = sealed.collect::<Result<_, _>>()?;
    measured(|| -> Result<()> {
        for pair in sealed.chunks(2) {
            for sealed in pair {
                buffer.append(Priority::Normal, sealed)?;
            }
            buffer.commit(UtcMicros(BEGIN))?;
        }
        Ok(())
    })?;
    Ok(READINGS)
}

fn line(points: usize) -> Result<usize> {
    let folder = tempfile::tempdir()?;
    let mut engine = stage::engine(folder.path(), points, BATCH)?;
    // The first ones open the epoch, which is done once an hour.
    let opening = READINGS / 10;
    let mut polls = stage::polls(Signal::Walk, points, (opening + READINGS) / points).into_iter().enumerate();
    let mut feed = |(at, poll)| black_box(stage::feed(&mut engine, stage::now(at), Input::Readings(poll)));
    polls.by_ref().take(opening / points).for_each(|poll| {
        feed(poll);
    });
    measured(|| {
        polls.for_each(|poll| {
            feed(poll);
        });
    });
    Ok(READINGS)
}
