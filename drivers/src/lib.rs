//! Floor 1: devices. A driver knows the model and nothing of the gateway.
//!
//! Promises:
//! - Nothing can be written to a device: no write function code and no write service exists here.
//! - A point that cannot be read is a reading of bad quality and never repeats an older value.
//! - Every slot that is due while a session runs is accounted for: a reading, good or bad, or a `Missed`.
//! - A connection that may be out of step is dropped and not used again.
//! - No clock is read here; the time comes from the [`Sink`].
//!
//! Refused: a device table with any unknown, missing or wrong key; all of them are reported at once, with their places.

mod device;
mod schedule;
pub mod settings;
mod sink;

pub use device::{BoxFuture, Device, DeviceSettings, Driver, LinkError, Point, PointSettings, Session};
pub use sink::{DeviceEvent, Sink, SinkClosed};

/// One line per driver.
macro_rules! drivers {
    ($($driver:ident),* $(,)?) => {
        $(mod $driver;)*
        /// Every driver of this build.
        pub const DRIVERS: &[Driver] = &[$($driver::DRIVER),*];
    };
}

drivers! { modbus }

/// The driver that a device table names: `driver = "modbus-tcp"`.
pub fn driver(kind: &str) -> Option<&'static Driver> {
    DRIVERS.iter().find(|driver| driver.kind == kind)
}
