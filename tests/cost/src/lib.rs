//! What a reading costs, in figures that do not drift with the load of the machine: instructions of each step (`steps`,
//! under callgrind; `benches/instructions` compares them with what is committed), allocations (`tests/allocations.rs`),
//! bytes on the wire (`bytes`).
//!
//! - [`signal`]: what is read: walks, machines, noise.
//! - [`stage`]: refinery, epoch and engine for so many points.
//! - [`poll`]: a Modbus device on the loopback and the driver that reads it.
//! - [`steps`]: each step alone, prepared outside of what is counted.

#![allow(clippy::disallowed_methods, reason = "a measurement is made on the real clock")]

pub mod poll;
pub mod signal;
pub mod stage;
pub mod steps;
