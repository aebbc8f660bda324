//! The nouns of the line: what a device said, when, and how far it can be trusted.
//!
//! Promises:
//! - A [`Value`] keeps its exact OPC UA built-in type: nothing is widened, rounded or reinterpreted here.
//! - An array or structure is within its bounds: 10 deep, 1,048,576 values, dimensions that fit its items.
//! - A name is parsed once at the border. Inside, a name that could break a topic, a path or a log line cannot exist.
//! - Nothing here reads a clock, a socket or a file. Time comes in as [`Now`].

mod backoff;
mod clock;
mod compound;
mod decimal;
pub mod defect;
mod device_report;
mod names;
mod point;
mod reading;
mod status;
mod value;

pub use backoff::Backoff;
pub use clock::{Clock, ClockState, DeviceTime, Now, UtcMicros};
pub use compound::{Array, DEPTH_MAX, ITEMS_MAX, Misshapen, Structure};
pub use decimal::{Decimal, DecimalError};
pub use device_report::{DeviceIdentity, DeviceReport, Heartbeat, Lateness, SetAside};
pub use names::{
    DatasetAlias, DatasetId, DeviceName, EquipmentPath, GatewayId, NameError, PointName, PurposeId, TenantId, Ucum,
};
pub use point::{Class, PointId, Priority};
pub use reading::{DeviceState, Missed, MissedCause, Origin, Reading};
pub use status::{Severity, StatusCode};
pub use value::{BuiltinType, Value};
