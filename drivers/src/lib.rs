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
mod site;

pub use device::{
    Acquisition, BoxFuture, Device, DeviceSettings, Driver, LinkError, Opens, Point, PointSettings, Session,
    SharedLine, SiteProblem,
};
pub use sink::{DeviceEvent, Sink, SinkClosed};
pub use site::{Lines, Site};

/// One line per protocol, with its kinds of device.
macro_rules! drivers {
    ($($protocol:ident: $($kind:ident),+;)*) => {
        $(pub mod $protocol;)*
        /// Every driver of this build.
        pub const DRIVERS: &[Driver] = &[$($($protocol::$kind),+),*];
    };
}

drivers! {
    modbus: TCP, UDP, TLS, RTU, ASCII, RTU_OVER_TCP, ASCII_OVER_TCP;
    opcua: DRIVER;
}

/// The driver that a device table names: `driver = "modbus-tcp"`.
pub fn driver(kind: &str) -> Option<&'static Driver> {
    DRIVERS.iter().find(|driver| driver.kind == kind)
}
