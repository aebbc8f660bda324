use std::path::Path;

use anyhow::{Context, Result};

/// What a process used, from /proc.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    pub cpu_seconds: f64,
    pub resident_kib: u64,
    /// Of it, what is no page of a file.
    pub anonymous_kib: u64,
    pub peak_kib: u64,
}

/// Clock ticks per second of /proc/PID/stat: the kernel's USER_HZ, 100 on every Linux port that we build for.
const TICKS: f64 = 100.0;

impl Load {
    pub fn of(pid: u32) -> Result<Load> {
        let folder = Path::new("/proc").join(pid.to_string());
        let stat = std::fs::read_to_string(folder.join("stat"))?;
        let (_, fields) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
        // utime and stime are the 12th and 13th behind the name.
        let ticks = |index| fields.split_whitespace().nth(index).and_then(|field| field.parse::<f64>().ok());
        let status = std::fs::read_to_string(folder.join("status"))?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Ok(Load {
            cpu_seconds: (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / TICKS,
            resident_kib: kib("VmRSS:").context("no VmRSS")?,
            anonymous_kib: kib("RssAnon:").context("no RssAnon")?,
            peak_kib: kib("VmHWM:").context("no VmHWM")?,
        })
    }
}
