//! Floor 1: the audit log. What happened, in an order that nobody can change afterwards without being caught.
//!
//! Promises:
//! - No IO and no clock: lines go in and out as bytes, times are arguments. The daemon owns the files.
//! - Never a process value: an [`Event`] holds names, hashes, counts and reasons; it has no way to hold a measured number.
//! - Whatever comes from outside is escaped and cut to 256 characters; a line has at most [`LINE_MAX`] bytes.
//!
//! The bytes of a file:
//!
//! ```text
//! {"v":1,"n":0,"t":"...","prev":"000...","ev":"audit.file","file":1,"root":"...","frontier":[],...}   LF
//! {"v":1,"n":1,"t":"...","prev":"<SHA-256 of the line before, without its LF>","ev":"start",...}       LF
//! ```
//!
//! Line `n` is leaf `n` of one RFC 9162 tree over all files: leaf = SHA-256(0x00 || line without LF). The first line of
//! each file names hash, number and root of everything before it, and the roots of the full subtrees, so that reading can
//! begin at any file. A [`Checkpoint`] is a C2SP signed note over size and root; a witness adds a cosignature/v1.

mod checkpoint;
mod coalesce;
mod event;
mod hex;
mod log;
mod note;
mod proof;
mod tree;
mod verify;
mod witness;

pub use checkpoint::{CHECKPOINT_MAX, Checkpoint, CheckpointRefused, Cosignature};
pub use coalesce::Coalescer;
pub use event::{Event, Kind, TEXT_MAX, clean, is_deceptive};
pub use hex::{from_hex, hex};
pub use log::{Header, LINE_MAX, Line, LineRefused, Log, shown};
pub use note::{KeyRefused, Note, NoteRefused, Signer, Verifier};
pub use proof::{is_consistent, is_included, prove_consistency, prove_inclusion};
pub use tree::{Hash, Tree, leaf_hash, sha256};
pub use verify::{Checked, Finding, Report, Verification};
pub use witness::{PROOF_MAX, Submission, SubmissionRefused};
