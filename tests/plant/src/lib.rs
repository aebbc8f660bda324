//! Floor 7: simulated devices, honest or hostile by script.
//!
//! Promises:
//! - Every value is a pure function of (device, tag, n), where n counts how often its table of registers was polled. n
//!   itself stands as a `u32` in the same block, so a value that arrives anywhere is checked against the n that arrived
//!   with it, without asking the plant: [`DeviceSpec::expected`], [`DeviceSpec::accepts`].
//! - Registers of one answer belong to one n; so do the answers of one poll, if the counter is read first. It has the
//!   lowest address of its table.
//! - Every function code that arrives is counted, understood or not.
//! - Nothing can be written: every function but the four reads is answered with exception 1.
//!
//! The machines that speak OPC UA are in [`opcua`], with promises of their own.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use lingate_plant::{Behaviour, DeviceSpec, Kind, Labels, Mode, Plant};
//!
//! let plant = Plant::start([DeviceSpec::new("extruder-7", Kind::Extruder, Mode::Instrument)]).await?;
//! let extruder = &plant.devices()[0];
//! println!("{}", extruder.toml(&Labels::new("ds-extr-07")));
//! extruder.set_behaviour(Behaviour::WrongTransaction);
//! # Ok(())
//! # }
//! ```

mod checker;
mod hostile;
mod model;
mod motion;
pub mod opcua;
mod print;
pub mod rig;
pub mod sample;
mod sent;
mod server;
mod spec;
mod utilities;

pub use checker::{Accepts, AcceptsMachine, Checker};
pub use hostile::{Behaviour, Functions};
pub use model::{Area, Kind, Tag, Wire};
pub use motion::Motion;
pub use print::{Labels, device_toml};
pub use server::{Plant, PlantDevice, Served};
pub use spec::{DeviceSpec, Mode};
