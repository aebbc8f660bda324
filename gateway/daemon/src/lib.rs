//! Floor 6: the daemon and its command line. The only crate that spawns, opens sockets or asks the time.
//!
//! Promises:
//! - One thread (the heart) owns the engine; every other task only waits and turns what happened into an `Input`.
//! - Every task has a name, an owner and an exit rule ([architecture]: a poller, the link and the bundle watch are
//!   restarted; heart and health end the daemon with an exit code of their own). Every queue is bounded.
//! - `lingate check` and `lingate run` judge with the same code.
//! - No process value and no key in a log line, an error or an answer of the health endpoint.
//!
//! Refuses: a signing key that others may read, a root file with another fingerprint than the configuration's, a
//! certificate for another gateway, a broker without TLS 1.3, any request to the health endpoint that is not a read.
//!
//! Exit codes follow sysexits(3): 0, 64 usage, 65 data that does not verify, 69 unavailable, 70 internal, 74 I/O, 77 permission, 78 configuration.
//!
//! [architecture]: the table of tasks in ARCHITECTURE.md

pub mod cli;
#[doc(hidden)]
pub mod fuzz;

mod about;
mod accepted;
mod audit;
mod bilingual;
mod bundle_history;
mod changes;
mod chinese;
mod clock;
mod components;
mod configuration;
mod entropy;
mod export_ledger;
mod fault;
mod fence;
mod files;
mod grid;
mod headline;
mod health;
mod heart;
mod history;
mod inbox;
mod journal;
mod keys;
mod language;
mod ledger;
mod limiter;
mod lineage;
mod link;
mod log_lines;
mod metrics;
mod page;
mod panics;
mod policy;
mod poller;
mod pollers;
mod prepare;
mod preview;
mod pseudonyms;
mod pulse;
mod receipt_queue;
mod recent;
mod reload;
mod report;
mod retry;
mod revocation;
mod rights_report;
mod run;
mod sheet;
mod signals;
mod software;
mod supervise;
mod systemd;
mod tls;
mod token;
mod veto;
mod view;
mod words;
