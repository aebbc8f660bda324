//! What a sealed byte costs on the disk. `wear` appends sealed records of 1 KiB at a given pace, commits when the gateway
//! would, acknowledges as a broker would, and reads what the process wrote (`/proc/self/io`) and, if the folder
//! lies on a file system of its own, what its block device wrote. Prints one line of JSON for each pace.

#![allow(clippy::disallowed_methods, reason = "a measurement is made on the real clock")]

use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use lingate_buffer::{Buffer, RealDisk, Settings};
use lingate_e2e::record;
use lingate_model::{Priority, UtcMicros};
use serde_json::json;

/// 32 GB of eMMC, 3,000 cycles a cell (MLC), all of it levelled.
const FLASH_BYTES: f64 = 32e9 * 3_000.0;
const YEAR_S: f64 = 365.25 * 86_400.0;

/// Bytes written for each sealed byte.
#[derive(Parser)]
#[command(name = "wear")]
struct Arguments {
    /// On the file system that is to be measured; a temporary one if it is not given
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Bytes of a sealed record
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(200..=60_000))]
    record_bytes: u32,
    /// Records a second, one run for each
    #[arg(long, value_delimiter = ',', default_value = "10,20,50,200,1000")]
    pace: Vec<u32>,
    /// Of each run. A commit comes when it is due: how much the kernel writes together depends on the time between
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Between two commits; `buffer.commit` is 200 by default
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=60_000))]
    commit_ms: u32,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    for pace in &arguments.pace {
        let folder = match &arguments.folder {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        };
        measure(&arguments, *pace, folder.path())?;
    }
    Ok(())
}

fn measure(arguments: &Arguments, pace: u32, folder: &Path) -> Result<()> {
    let per_commit = (pace * arguments.commit_ms / 1_000).max(1);
    let records = u64::from(per_commit) * u64::from(arguments.seconds * 1_000 / arguments.commit_ms);
    let started = Instant::now();
    let before = Written::now(folder)?;
    let disk = RealDisk::open(folder)?;
    let (mut buffer, _) = Buffer::open(disk, Settings::new(1 << 30))?;
    let mut sealed_bytes = 0;
    let mut waiting = VecDeque::new();
    let opened = Written::now(folder)?;
    for seq in 0..records {
        let sealed = record(seq, arguments.record_bytes as usize, 100);
        sealed_bytes += sealed.bytes().len() as u64;
        buffer.append(Priority::Normal, &sealed)?;
        if (seq + 1) % u64::from(per_commit) == 0 {
            let due = Duration::from_millis((seq + 1) / u64::from(per_commit) * u64::from(arguments.commit_ms));
            std::thread::sleep(due.saturating_sub(started.elapsed()));
            buffer.commit(UtcMicros(1))?;
            while let Some((record, _)) = buffer.next(Priority::Normal)? {
                waiting.push_back(record);
            }
            // One commit later: the round trip of a broker.
            while waiting.len() > per_commit as usize {
                buffer.acknowledge(waiting.pop_front().context("a record waits")?)?;
            }
        }
    }
    buffer.close(UtcMicros(2))?;
    // What the kernel still holds is written some day: now.
    File::open(folder)?.sync_all()?;
    let _ = std::process::Command::new("sync").arg("-f").arg(folder).status();
    let after = Written::now(folder)?;
    let ratio = |from: u64, to: u64| ((to - from) as f64 / sealed_bytes as f64 * 1_000.0).round() / 1_000.0;
    let device = opened.device.zip(after.device).map(|(from, to)| ratio(from, to));
    let years = |amplification: f64| {
        let bytes_a_year = f64::from(pace) * f64::from(arguments.record_bytes) * amplification * YEAR_S;
        (FLASH_BYTES / bytes_a_year * 10.0).round() / 10.0
    };
    let calls = ratio(opened.calls, after.calls);
    println!(
        "{}",
        json!({
            "records_per_s": pace, "commit_ms": arguments.commit_ms, "records_per_commit": per_commit, "record_bytes": arguments.record_bytes,
            "sealed_bytes": sealed_bytes, "opening_bytes": opened.calls - before.calls,
            "written_by_calls": calls, "written_to_page_cache": ratio(opened.pages, after.pages),
            "written_by_device": device, "years_of_32_gb_emmc": years(device.unwrap_or(calls)),
        })
    );
    Ok(())
}

/// Counters since the start of process and device.
struct Written {
    /// Bytes handed to write calls.
    calls: u64,
    /// Bytes of pages that the process dirtied.
    pages: u64,
    /// Bytes that the block device under the folder wrote, its file system's own among them.
    device: Option<u64>,
}

impl Written {
    fn now(folder: &Path) -> Result<Written> {
        let io = fs::read_to_string("/proc/self/io")?;
        let count = |name: &str| {
            let line = io.lines().find_map(|line| line.strip_prefix(name)).context("a counter of /proc/self/io")?;
            Ok::<u64, anyhow::Error>(line.trim().parse()?)
        };
        Ok(Written { calls: count("wchar:")?, pages: count("write_bytes:")?, device: device_bytes(folder) })
    }
}

/// Only of a loop device: others serve more than this folder.
fn device_bytes(folder: &Path) -> Option<u64> {
    let device = fs::metadata(folder).ok()?.dev();
    let (major, minor) = ((device >> 8) & 0xFFF, (device & 0xFF) | ((device >> 12) & 0xFFF00));
    let place = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    place.file_name()?.to_str()?.strip_prefix("loop")?;
    let stat = fs::read_to_string(place.join("stat")).ok()?;
    // Sectors written, of 512 bytes whatever the device (Documentation/block/stat.rst).
    stat.split_whitespace().nth(6)?.parse::<u64>().ok().map(|sectors| sectors * 512)
}
