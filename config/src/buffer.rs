use std::time::Duration;

use lingate_buffer::{Overflow, Settings};
use lingate_drivers::settings::{Problem, Table};

use crate::BufferPlan;
use crate::keys::{optional, refuse_unavailable, require, require_table};

/// Room for a few segments of each priority class and for the reserve.
const SIZE_MIN: u64 = 64 << 20;
const SIZE_MAX: u64 = 16 << 40;
const COMMIT: Duration = Duration::from_millis(200);
const COMMIT_MAX: Duration = Duration::from_secs(10);
const OVERFLOWS: [(&str, Overflow); 2] = [("drop-oldest", Overflow::DropOldest), ("refuse-new", Overflow::RefuseNew)];

pub(crate) fn read(root: &mut Table<'_>, problems: &mut Vec<Problem>) -> Option<BufferPlan> {
    let mut table = require_table(root, "buffer", "max_size")?;
    let example = "\"8GiB\", the disk that the gateway may fill during an outage";
    let max_bytes = require(&mut table, "max_size", example).size(SIZE_MIN..=SIZE_MAX);
    let commit = optional(&mut table, "commit", COMMIT, |key| key.duration(Duration::ZERO..=COMMIT_MAX));
    let overflow = optional(&mut table, "overflow", Overflow::DropOldest, |key| key.word(&OVERFLOWS));
    let hint = "leave it out: live data and backlog are sent in the order in which they were stored";
    refuse_unavailable(&mut table, "backlog_share", hint);
    problems.extend(table.finish());
    let settings = Settings { overflow: overflow?, ..Settings::new(max_bytes?) };
    Some(BufferPlan { settings, commit: commit? })
}
