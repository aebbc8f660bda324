//! Floor 5: TOML to a checked plan. The only crate that knows the shape of `lingate.toml`.

mod plan;
mod problem;

pub use plan::{Ack, Broker, BufferPlan, Credential, DevicePlan, HealthListen, Plan, SandboxPlan, load};
pub use problem::{Problems};
