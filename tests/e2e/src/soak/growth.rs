//! Whether a process grows: its resident memory by the median of all slopes, descriptors and threads by their maximum.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use lingate_e2e::Load;

/// Of a process, this is warming up.
const WARM_S: f64 = 30.0;
/// Shorter pieces between two restarts say nothing about a slope.
const PIECE_S: f64 = 60.0;
/// KiB an hour that a measurement of this length may show without growth: 4 KiB a page, arenas of malloc.
const SLOPE_MAX: f64 = 2_048.0;
const DESCRIPTORS_MAX: u64 = 64;
const THREADS_MAX: u64 = 32;

#[derive(Clone, Copy)]
pub(crate) struct Sample {
    at: f64,
    rss_kib: f64,
    descriptors: u64,
    threads: u64,
}

impl Sample {
    pub(crate) fn of(pid: u32, at: Duration) -> Result<Sample> {
        let count = |what: &str| -> Result<u64> { Ok(fs::read_dir(format!("/proc/{pid}/{what}"))?.count() as u64) };
        Ok(Sample {
            at: at.as_secs_f64(),
            rss_kib: Load::of(pid)?.resident_kib as f64,
            descriptors: count("fd")?,
            threads: count("task")?,
        })
    }
}

/// Samples by process.
pub(crate) struct Growth(Vec<Vec<Sample>>);

pub(crate) struct Found {
    pub(crate) rss_kib_per_hour: f64,
    pub(crate) rss_kib: f64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// In which the slope was measured.
    pub(crate) seconds: f64,
    pub(crate) complaints: Vec<String>,
}

impl Default for Growth {
    fn default() -> Growth {
        Growth(vec![Vec::new()])
    }
}

impl Growth {
    pub(crate) fn add(&mut self, sample: Sample) {
        if let Some(process) = self.0.last_mut() {
            process.push(sample);
        }
    }

    pub(crate) fn mark(&mut self, is_new_process: bool) {
        if is_new_process {
            self.0.push(Vec::new());
        }
    }

    pub(crate) fn last_words(&self) -> String {
        let newest = self.0.iter().flatten().next_back();
        newest.map_or_else(String::new, |it| {
            format!("rss {} KiB, {} descriptors, {} threads", it.rss_kib, it.descriptors, it.threads)
        })
    }

    pub(crate) fn judge(&self) -> Found {
        let mut slopes = Vec::new();
        let mut seconds = 0.0;
        for process in &self.0 {
            let Some(first) = process.first() else { continue };
            let warm: Vec<Sample> = process.iter().filter(|it| it.at - first.at > WARM_S).copied().collect();
            let length = warm.last().zip(warm.first()).map_or(0.0, |(last, first)| last.at - first.at);
            if length >= PIECE_S {
                seconds += length;
                slopes.extend(slopes_of(&warm));
            }
        }
        slopes.sort_by(f64::total_cmp);
        let slope = slopes.get(slopes.len() / 2).copied().unwrap_or(0.0) * 3_600.0;
        let most = |of: fn(&Sample) -> u64| self.0.iter().flatten().map(of).max().unwrap_or(0);
        let (descriptors, threads) = (most(|it| it.descriptors), most(|it| it.threads));
        let mut complaints = Vec::new();
        // A piece of a few minutes tells pages from growth only roughly; an hour's slope needs its share of an hour.
        let allowed = SLOPE_MAX * (3_600.0 / seconds.max(60.0)).sqrt();
        if slope > allowed {
            complaints.push(format!("memory grows by {slope:.0} KiB an hour, {allowed:.0} at most in {seconds:.0} s"));
        }
        if descriptors > DESCRIPTORS_MAX {
            complaints.push(format!("{descriptors} descriptors, {DESCRIPTORS_MAX} at most"));
        }
        if threads > THREADS_MAX {
            complaints.push(format!("{threads} threads, {THREADS_MAX} at most"));
        }
        let rss_kib = self.0.iter().flatten().next_back().map_or(0.0, |it| it.rss_kib);
        Found { rss_kib_per_hour: slope.round(), rss_kib, descriptors, threads, seconds: seconds.round(), complaints }
    }
}

/// Theil-Sen: of every pair that lies at least a third of the piece apart.
fn slopes_of(samples: &[Sample]) -> Vec<f64> {
    let step = samples.len() / 3;
    let mut slopes = Vec::new();
    for (at, first) in samples.iter().enumerate() {
        for later in samples.iter().skip(at + step.max(1)).step_by(5) {
            slopes.push((later.rss_kib - first.rss_kib) / (later.at - first.at).max(0.001));
        }
    }
    slopes
}
