//! Floor 1: a reading is tagged, minimized and batched - or it is counted.
//!
//! Promises:
//! - Default deny: a reading leaves this crate only if a rule names its point (M1) and its class is within the ceiling (M2).
//! - For every dataset and step `seen = kept + suppressed`, and the counts travel in the batch they belong to.
//! - Nothing here fails and nothing here reads a clock: what is dropped is counted, time comes in as an argument.
//! - [`Tagged`], [`Minimized`] and [`Batch`] have private fields and one constructor each: the step before them.
//! - Memory is bounded by the plan: per point the last kept reading, per dataset the readings of one batch, of 2 MiB of texts and
//!   arrays at most.
//!
//! The steps in their order, whatever the order of the configuration:
//!
//! ```text
//!  Reading ── no dataset names the point ──▶ unassigned
//!     │ read
//!     ▼
//!  M1 allow-list ──── the bundle does not grant the dataset ────▶ suppressed ┐
//!     ▼                                                                      │
//!  M2 class ceiling ─ unlabelled, or above the lower of plan and bundle ─▶ " │
//!     ▼                                                                      │
//!  type check ······· wrong type or rank: BadTypeMismatch; too heavy for a   ├─▶ counts: seen, kept
//!     │               message: BadEncodingLimitsExceeded; good without value │       per step
//!     │               : BadNoData; bad: no value (counted by no step)        │
//!   Tagged                                                                   │          │
//!     ▼                                                                      │          │
//!  M6 deadband ────── did not move since the last kept one ─────▶ suppressed ┘          │
//!     ▼                                                                                 │
//!  M8 rounding ······ changes the value, never suppresses                               │
//!     │                                                                                 │
//!  Minimized                                                                            │
//!     ▼                                                                                 │
//!  Batch ◀── the counts since the batch before ─────────────────────────────────────────┘
//!     closed by count, by the age of its first reading, or at the end of an epoch
//! ```
//!
//! A batch without readings exists only at the end of an epoch: counts alone neither fill a batch nor age. That end
//! also ends what the deadbands remember, so that the first reading of each point in an epoch is always kept.

mod batch;
mod clip;
mod count;
mod deadband;
mod minimize;
mod outlet;
mod plan;
mod refinery;
mod rounding;
mod stamp;
mod step;
mod tag;
mod time;

pub use batch::Batch;
pub use count::{StepCount, Totals};
pub use minimize::Minimized;
pub use plan::{ContextKind, DatasetIndex, DatasetPlan, Export, ExportPlan, Flush, Lowered, PointPlan};
pub use refinery::Refinery;
pub use stamp::Stamp;
pub use step::{Band, Percent, Quality, Step, StepId};
pub use tag::{Tagged, VALUE_WEIGHT_MAX};
