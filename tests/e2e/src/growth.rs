//! Whether a process grows: its anonymous memory by the median of all slopes, descriptors and threads by their maximum and
//! by what they have more at the end of a piece than at its begin. Pages of the program's file are not growth: each code
//! path that runs for the first time maps some.

use std::fs;
use std::time::Duration;

use crate::Load;
use anyhow::Result;

/// Of a process, this is warming up: what is bounded fills, and malloc's arenas find their size.
const WARM_S: f64 = 120.0;
/// Shorter pieces between two restarts say nothing about a slope.
const PIECE_S: f64 = 60.0;
/// KiB an hour. The soak seals about 680,000 records an hour: a leak of two bytes a record is more.
const SLOPE_MAX: f64 = 1_024.0;
/// KiB that malloc may ask for once in a measurement of any length.
const STEP: f64 = 128.0;
const DESCRIPTORS_MAX: u64 = 64;
const THREADS_MAX: u64 = 32;
/// More of them in the last third of a piece than in the first, by the median: connections come and go with the faults.
const MORE_MAX: u64 = 4;

#[derive(Clone, Copy)]
pub struct Sample {
    at: f64,
    anonymous_kib: f64,
    descriptors: u64,
    threads: u64,
}

impl Sample {
    pub fn of(pid: u32, at: Duration) -> Result<Sample> {
        let count = |what: &str| -> Result<u64> { Ok(fs::read_dir(format!("/proc/{pid}/{what}"))?.count() as u64) };
        Ok(Sample {
            at: at.as_secs_f64(),
            anonymous_kib: Load::of(pid)?.anonymous_kib as f64,
            descriptors: count("fd")?,
            threads: count("task")?,
        })
    }
}

/// Samples by process.
pub struct Growth(Vec<Vec<Sample>>);

pub struct Found {
    pub anonymous_kib_per_hour: f64,
    pub anonymous_kib: f64,
    pub descriptors: u64,
    pub threads: u64,
    /// In which growth was measured: pieces without a restart, warm, of at least a minute.
    pub seconds: f64,
    pub pieces: u64,
    /// Descriptors and threads, more at the end of a piece than at its begin.
    pub more_descriptors: u64,
    pub more_threads: u64,
    pub complaints: Vec<String>,
}

impl Default for Growth {
    fn default() -> Growth {
        Growth(vec![Vec::new()])
    }
}

impl Growth {
    pub fn add(&mut self, sample: Sample) {
        if let Some(process) = self.0.last_mut() {
            process.push(sample);
        }
    }

    pub fn mark(&mut self, is_new_process: bool) {
        if is_new_process {
            self.0.push(Vec::new());
        }
    }

    pub fn last_words(&self) -> String {
        let newest = self.0.iter().flatten().next_back();
        newest.map_or_else(String::new, |it| {
            format!("anonymous {} KiB, {} descriptors, {} threads", it.anonymous_kib, it.descriptors, it.threads)
        })
    }

    /// Nothing measured is a complaint, too: a run whose processes never live long enough shows nothing.
    pub fn judge(&self) -> Found {
        let pieces: Vec<Vec<Sample>> = self.0.iter().filter_map(|process| warm(process)).collect();
        let seconds: f64 = pieces.iter().map(|piece| length(piece)).sum();
        let mut slopes: Vec<f64> = pieces.iter().flat_map(|piece| slopes_of(piece)).collect();
        slopes.sort_by(f64::total_cmp);
        let slope = slopes.get(slopes.len() / 2).copied().unwrap_or(0.0) * 3_600.0;
        let most = |of: fn(&Sample) -> u64| self.0.iter().flatten().map(of).max().unwrap_or(0);
        let more = |of: fn(&Sample) -> u64| pieces.iter().map(|piece| more_at_the_end(piece, of)).max().unwrap_or(0);
        let mut found = Found {
            anonymous_kib_per_hour: slope.round(),
            anonymous_kib: self.0.iter().flatten().next_back().map_or(0.0, |it| it.anonymous_kib),
            descriptors: most(|it| it.descriptors),
            threads: most(|it| it.threads),
            seconds: seconds.round(),
            pieces: pieces.len() as u64,
            more_descriptors: more(|it| it.descriptors),
            more_threads: more(|it| it.threads),
            complaints: Vec::new(),
        };
        found.complain();
        found
    }
}

impl Found {
    fn complain(&mut self) {
        let mut complain = |is_wrong: bool, text: String| self.complaints.extend(is_wrong.then_some(text));
        let allowed = SLOPE_MAX + STEP * 3_600.0 / self.seconds.max(PIECE_S);
        let (slope, seconds) = (self.anonymous_kib_per_hour, self.seconds);
        complain(self.pieces == 0, format!("no process lived for {:.0} s: growth was not measured", WARM_S + PIECE_S));
        complain(
            slope > allowed,
            format!("memory grows by {slope:.0} KiB an hour, {allowed:.0} at most in {seconds:.0} s"),
        );
        for (what, most, limit, more) in [
            ("descriptors", self.descriptors, DESCRIPTORS_MAX, self.more_descriptors),
            ("threads", self.threads, THREADS_MAX, self.more_threads),
        ] {
            complain(most > limit, format!("{most} {what}, {limit} at most"));
            complain(more > MORE_MAX, format!("{more} {what} more at the end than at the begin, {MORE_MAX} at most"));
        }
    }
}

/// What is behind the warming up, if it is long enough.
fn warm(process: &[Sample]) -> Option<Vec<Sample>> {
    let began = process.first()?.at;
    let warm: Vec<Sample> = process.iter().filter(|it| it.at - began > WARM_S).copied().collect();
    (length(&warm) >= PIECE_S).then_some(warm)
}

fn length(piece: &[Sample]) -> f64 {
    piece.last().zip(piece.first()).map_or(0.0, |(last, first)| last.at - first.at)
}

fn more_at_the_end(piece: &[Sample], of: fn(&Sample) -> u64) -> u64 {
    let third = piece.len() / 3;
    let median = |samples: &[Sample]| {
        let mut counts: Vec<u64> = samples.iter().map(of).collect();
        counts.sort_unstable();
        counts.get(counts.len() / 2).copied().unwrap_or(0)
    };
    median(&piece[piece.len() - third..]).saturating_sub(median(&piece[..third]))
}

/// Theil-Sen: of every pair that lies at least a third of the piece apart.
fn slopes_of(samples: &[Sample]) -> Vec<f64> {
    let step = samples.len() / 3;
    let mut slopes = Vec::new();
    for (at, first) in samples.iter().enumerate() {
        for later in samples.iter().skip(at + step.max(1)).step_by(5) {
            slopes.push((later.anonymous_kib - first.anonymous_kib) / (later.at - first.at).max(0.001));
        }
    }
    slopes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample a second; `of` gives memory in KiB, descriptors and threads.
    fn process(seconds: u32, of: fn(f64) -> (f64, u64, u64)) -> Growth {
        let mut growth = Growth::default();
        for at in (0..seconds).map(f64::from) {
            let (anonymous_kib, descriptors, threads) = of(at);
            growth.add(Sample { at, anonymous_kib, descriptors, threads });
        }
        growth
    }

    #[test]
    fn a_flat_process_is_no_complaint() {
        let found = process(300, |at| (4_000.0 + at % 7.0, 20 + (at as u64) % 3, 6)).judge();
        assert_eq!(found.complaints, Vec::<String>::new());
        assert_eq!((found.pieces, found.seconds), (1, 178.0));
    }

    #[test]
    fn a_run_in_which_nothing_was_measured_is_a_complaint() {
        let mut growth = Growth::default();
        assert_eq!(growth.judge().complaints.len(), 1);
        for at in (0..500).map(f64::from) {
            growth.add(Sample { at, anonymous_kib: 20_000.0, descriptors: 20, threads: 6 });
            growth.mark((at as u64).is_multiple_of(160));
        }
        assert_eq!(growth.judge().complaints, ["no process lived for 180 s: growth was not measured"]);
    }

    #[test]
    fn memory_descriptors_and_threads_that_grow_are_told() {
        let complaint = |of| process(500, of).judge().complaints;
        assert!(complaint(|at| (20_000.0 + at * 4.0, 20, 6))[0].starts_with("memory grows by 14400 KiB"));
        // 64 bytes of each of 190 records a second.
        assert!(complaint(|at| (4_000.0 + at * 190.0 / 16.0, 20, 6))[0].starts_with("memory grows by 42750 KiB"));
        assert!(complaint(|at| (20_000.0, 20 + at as u64 / 20, 6))[0].contains("descriptors more at the end"));
        assert!(complaint(|at| (20_000.0, 20, 6 + at as u64 / 30))[0].contains("threads more at the end"));
        assert_eq!(complaint(|at| (20_000.0, if at == 9.0 { 65 } else { 20 }, 6)), ["65 descriptors, 64 at most"]);
    }
}
