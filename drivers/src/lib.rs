//! Floor 1: devices. A driver knows the model and nothing of the gateway, and cannot write to a device:
//! no write function code and no write service exists here.

mod device;
pub mod settings;
mod sink;

pub use device::{BoxFuture, Device, DeviceSettings, Driver, LinkError, Point, Session};
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
