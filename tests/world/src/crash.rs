//! Every crash of one life of a buffer: after each call to the disk, with each subset of what was not synced.
//!
//! A second, naive implementation is the judge: a disk that is a list of files and a list of changes, and an owner that
//! remembers in plain sets what was reported, acknowledged and declared. Neither shares a line with the buffer or with
//! its own fake disk.

mod flips;
mod image;
mod life;
mod record;
mod sweep;

pub use flips::{Flips, flip_every_bit};
pub use sweep::{Sweep, sweep};
