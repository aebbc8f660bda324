//! The Modbus driver on every transport, against units of our own that are honest or hostile by script. Values describe
//! themselves, so that one taken from another register, unit or poll is known by its own bits.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and brings its own clock")]

mod bench;
#[path = "../common/device.rs"]
mod device;
mod load;
mod peers;
mod probe;
mod roles;
mod rows;
mod suite;
