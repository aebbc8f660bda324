//! Floor 4: one synchronous state machine that joins refine, seal, buffer and delivery.
//! `handle(now, Input)`, then drain `poll()`, then wait until `wake_at()` or the next input.

mod engine;
mod io;
mod status;

pub use engine::{Engine, Setup};
pub use io::{Accepted, Input, Level, LinkLimits, LinkLoss, Notice, Output, PublishId, ReasonCode, Topic};
pub use status::{BundleStatus, DatasetStatus, DeviceStatus, LinkStatus, Status};
