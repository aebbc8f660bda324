//! The real binary between real devices and a real broker: what the tests of this crate stand on.
//!
//! A [`Rig`] is a plant's folder with everything in it: keys, certificates, bundle, configuration, buffer, log. A
//! [`Daemon`] is one run of the binary in it. `LINGATE_BIN` names another binary than the one that cargo built.

#![allow(clippy::disallowed_methods, reason = "tests wait for real processes on the real clock")]

mod daemon;
mod growth;
mod hunt;
mod ledger;
mod line;
mod load;
mod opcua;
mod peers;
mod record;
mod rig;
mod sector;
mod stage;

pub use daemon::{Daemon, Health, Launch, ROLE};
pub use growth::{Found, Growth, Sample};
pub use hunt::{Hunt, contents_below};
pub use ledger::{DeclaredGap, Identity, Ledger};
pub use line::{Line, PATIENCE, utc_us};
pub use load::Load;
pub use opcua::{OpcUaPeer, PeerSettings};
pub use peers::{Mosquitto, Peer};
pub use record::{record, record_of};
pub use rig::{Rig, Settings, Surroundings, wait_for};
pub use sector::{Granted, Sector};
pub use stage::{Load as StageLoad, Places, Stage};
