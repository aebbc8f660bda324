//! The engine in a world of virtual time: simulated devices, a disk that loses power, a broker with moods, a receiver
//! that opens everything, and laws that hold after every step.
//!
//! Promises:
//! - One seed, one story: devices, faults, keys and times come from the seed; nothing here reads a clock or sleeps.
//! - Each value says which point and which slot it is from, so an invented, shifted or mixed value is recognised without
//!   asking the engine.
//! - A broken law panics with the seed and the virtual time.
//!
//! ```text
//!  Plant ── readings ──▶ Engine ── publish ──▶ Broker ── arrivals ──▶ Receiver (lingate-sandbox)
//!                          │  ▲                  │
//!                       FakeDisk └── acked ──────┘        Laws watch every arrow
//! ```

mod age;
pub mod arguments;
mod broker;
mod chance;
pub mod crash;
mod ending;
mod harm;
mod laws;
mod plan;
mod plant;
mod receiver;
mod reload;
mod rights;
mod story;
mod world;

pub use broker::{Broker, Mood};
pub use chance::Chance;
pub use laws::Laws;
pub use plan::{export_plan, point, set_level_deadband, without_press};
pub use plant::{Plant, Serving};
pub use receiver::Receiver;
pub use rights::{Rights, Sandbox};
pub use story::{Story, Telling};
pub use world::{World, roomy, tiny};
