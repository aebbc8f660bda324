use std::ops::RangeInclusive;
use std::time::Duration;

use lingate_buffer::{Overflow, Settings};
use lingate_drivers::settings::{Problem, Table};

use crate::keys::{optional, require, require_table};
use crate::{BufferPlan, Replay};

/// Room for a few segments of each priority class and for the reserve.
const SIZE_MIN: u64 = 64 << 20;
const SIZE_MAX: u64 = 16 << 40;
const COMMIT: Duration = Duration::from_millis(200);
const COMMIT_MAX: Duration = Duration::from_secs(10);
/// Of the bytes on the link while both wait.
const SHARE: f64 = 0.5;
const SHARES: RangeInclusive<f64> = 0.01..=1.0;
/// Bytes in a second.
const RATE_MIN: u64 = 1 << 10;
const RATE_MAX: u64 = 16 << 30;
const OVERFLOWS: [(&str, Overflow); 2] = [("drop-oldest", Overflow::DropOldest), ("refuse-new", Overflow::RefuseNew)];

pub(crate) fn read(root: &mut Table<'_>, problems: &mut Vec<Problem>) -> Option<BufferPlan> {
    let mut table = require_table(root, "buffer", "max_size")?;
    let example = "\"8GiB\", the disk that the gateway may fill during an outage";
    let max_bytes = require(&mut table, "max_size", example).size(SIZE_MIN..=SIZE_MAX);
    let commit = optional(&mut table, "commit", COMMIT, |key| key.duration(Duration::ZERO..=COMMIT_MAX));
    let overflow = optional(&mut table, "overflow", Overflow::DropOldest, |key| key.word(&OVERFLOWS));
    let share = optional(&mut table, "backlog_share", SHARE, |key| key.number(SHARES));
    let rate = optional(&mut table, "backlog_rate", None, |key| key.size(RATE_MIN..=RATE_MAX).map(Some));
    problems.extend(table.finish());
    let settings = Settings { overflow: overflow?, ..Settings::new(max_bytes?) };
    // Three digits are enough for anybody, and the engine counts without fractions.
    let replay = Replay { backlog_share: (share? * 1000.0).round() as u16, backlog_rate: rate? };
    Some(BufferPlan { settings, commit: commit?, replay })
}
