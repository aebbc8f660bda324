//! Simulated machines that speak OPC UA: etch tool, bioreactor, extruder, one variable of every type, and load.
//!
//! Promises:
//! - Every value is a pure function of (machine, variable, n). n counts ticks since 2026-01-01 and stands in the value's
//!   own SourceTimestamp, which is exactly `2026-01-01 + n * tick`: whatever arrives anywhere is checked by itself,
//!   across restarts of the machine too.
//! - While a machine runs, every n is written, in order, also when the process was late.
//! - Nothing can be written to a machine, no method can be called.
//! - [`Tap`] counts every service request that passes over an unencrypted channel, and every byte that is not one.

#![allow(clippy::disallowed_methods, reason = "a machine has its own clock")]

mod evil;
mod machine;
mod manager;
mod motion;
mod pki;
mod print;
mod samples;
mod server;
mod space;
mod spec;
mod tap;
mod wire;

pub use evil::{Evil, EvilSeen, Frame, Say, Script, When};
pub use machine::{MachineKind, Quantity, Variable};
pub use pki::{Identity, IdentityOptions};
pub use print::{Connection, INSECURE, machine_toml};
pub use server::{Machine, MachineLimits, MachineOptions, Users};
pub use spec::{EPOCH_TICKS, MachineSpec};
pub use tap::{PLANNED_SERVICES, Tap, TapCounts};
