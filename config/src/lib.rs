//! Floor 5: TOML to a checked plan. The only crate that knows the shape of `lingate.toml`.
//!
//! Promises:
//! - A [`Plan`] holds nothing that is wrong and can be known from the file alone. What needs the disk or the sandbox's
//!   bundle, the daemon finds; [`Plan::places`] and [`Plan::problem_at`] let it report that with line and column too.
//! - Nothing is ignored: an unknown key, a setting that would do nothing and a setting of a later version are problems.
//! - All [`Problems`] come at once, in file order, each with its place, what is wrong and what to do. Only a file that is
//!   not TOML is reported without its meaning.
//! - No secret is in the file, and a message never repeats one that somebody put there.
//! - Devices that share a line agree on its settings.
//! - Several files read as one: lists go on, tables are joined, what is set twice is told with both places.
//! - [`schema`] describes the file as the parser reads it, because it is made of what the parser asks for.
//! - No input panics, and time grows with the size of the file, which is limited to [`FILE_BYTES_MAX`].
//!
//! Refused: every broker without TLS, a health address that is not loopback, a point without class, core data.

mod broker;
mod buffer;
mod class;
mod dataset;
mod device;
mod file;
mod gateway;
mod health;
mod keys;
mod line;
mod merge;
mod minimize;
mod pieces;
mod plan;
mod point;
mod problem;
mod reload;
mod root;
mod sandbox;
mod schema;
mod secret;
mod source;
mod subject;
mod token;
mod ucum;
mod written;

pub use file::{FILE_BYTES_MAX, SourceFile, load, load_bytes, load_files, state_dir_of};
pub use lingate_drivers::settings::Credential;
pub use plan::{
    Ack, Broker, BufferPlan, DatasetPlaces, DevicePlan, HealthListen, Places, Plan, Quota, ReloadPlan, Replay,
    SandboxPlan,
};
pub use problem::{Problem, Problems};
pub use schema::{REFERENCE, schema};
pub use source::Place;
pub use token::{KeyPlace, TokenKey};
pub use ucum::ucum_of;
pub use written::{as_written, told_as_written};
