//! The gateway beside others and at size.
//!
//! - [`Beat`]: a value that tells by itself when and where it was read. `registers` serves one in fifty values as a beat
//!   and writes down which it served; `tally` writes down which arrived. The two lists give loss, duplicates and delay to
//!   the reading, whoever carried it and in which form.
//! - `fleet`: many gateways in one process, each with its own keys, certificate, connection and stream.

#![allow(clippy::disallowed_methods, reason = "a measurement is made on the real clock")]

mod beat;
mod cpu;
mod walk;

pub use beat::{Arrived, Beat};
pub use cpu::cpu_seconds;
pub use walk::Walk;

/// Since 1970, in microseconds.
pub fn utc_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
