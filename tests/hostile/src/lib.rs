//! The plan for hostile peers, one file a row in `rows/`: who misbehaves and how, as data. A new misbehaviour is a new file.
//!
//! A row is *played* by the program `hostile` against the daemon (or, where only bytes matter, against the parser), *held*
//! by a named test of this workspace, or *left* with the reason. Every played row has to keep the same rule: nothing that
//! was accepted is lost, no value is wrong, no missed slot is undeclared, nothing panics, and a fresh reading arrives
//! within 10 s after the peer is honest again.

#![allow(clippy::disallowed_methods, reason = "peers and patience need the real clock")]

mod broker;
mod bundle;
mod catalogue;
mod certificates;
mod health;
mod judge;
mod modbus;
mod opcua;
mod packets;
mod parsed;
mod plant;
mod play;
mod proxy;
mod row;
mod table;
mod uplink;
mod words;

pub use catalogue::{Catalogue, tests_of, tests_that_run_of};
pub use parsed::play as play_parsed;
pub use plant::play as play_plant;
pub use play::{FRESH_MS, Played, Totals};
pub use row::{Row, State};
pub use table::{END, START, table};
pub use uplink::play as play_uplink;
