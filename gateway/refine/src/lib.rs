//! Floor 1: a reading is tagged, minimized and batched - or it is counted.
//!
//! Promises:
//! - Default deny: a reading leaves this crate only if a rule names its point (M1) and its class is within the ceiling (M2).
//! - For every dataset and step `seen = kept + suppressed`, and the counts travel in the batch they belong to.
//! - Nothing here fails and nothing here reads a clock: what is dropped is counted, time comes in as an argument.
//! - [`Tagged`], [`Minimized`] and [`Batch`] have private fields and one constructor each: the step before them.
//! - Memory is bounded by the plan: per point the last kept reading and the sums of a window, per dataset the readings of
//!   one batch, of 2 MiB of texts and arrays at most.
//! - What leaves depends on the readings, their order and their times, not on when or in what portions they arrive.
//!
//! The steps in their order, whatever the order of the configuration ([`Step`] has their parameters):
//!
//! ```text
//!  Reading ── no dataset names the point ──▶ unassigned (conditions of M3 may see it all the same)
//!     ▼
//!  M1 allow-list ──── the bundle does not grant the dataset ───────────▶ suppressed ┐
//!  M2 class ceiling ─ unlabelled, or above the lower of plan and bundle ▶ suppressed│
//!     ▼                                                                             │
//!  type check ······· wrong type or rank: BadTypeMismatch; too heavy for a          │
//!     │               message: BadEncodingLimitsExceeded; good without value:       ├─▶ counts: seen,
//!     │               BadNoData; bad: no value (counted by no step)                 │   kept per step
//!   Tagged                                                                          │
//!  M3 context gate ── a condition does not hold, or is unknown ────────▶ suppressed │
//!  M4 quality ─────── worse than told ─────────────────────────────────▶ suppressed │
//!  M5 aggregate ───── one value per window; the others ────────────────▶ suppressed │
//!  M6 deadband ────── did not move since the last kept one ────────────▶ suppressed │
//!  M7 swinging door ─ a line between its neighbours says the same ─────▶ suppressed │
//!  M8 rounding, M9 clip, M10 coarser times ··· change, never suppress               │
//!  M11 pseudonym ──── the dataset has no key ──────────────────────────▶ suppressed ┘
//!  M12 masking ······ changes, never suppresses
//!     │
//!  Minimized ──▶ Batch, with the counts since the batch before: closed by count, by the age of its first reading, or
//!                at the end of an epoch
//! ```
//!
//! A reading that a window or a swinging door holds is counted when its fate is known, so that every batch adds up by
//! itself. A batch without readings exists only at the end of an epoch: counts alone neither fill a batch nor age. That end
//! also ends what deadbands and doors remember, so that the first reading of each point in an epoch is always kept.
//! Windows go on over it, and end as partial ones when the gateway stops.

mod aggregate;
mod batch;
mod change;
mod clip;
mod context;
mod count;
mod deadband;
mod door;
mod gate;
mod mask;
mod minimize;
mod minimized;
mod number;
mod outlet;
mod plan;
mod pseudonym;
mod refinery;
mod rounding;
mod stamp;
mod step;
mod sums;
mod tag;
mod time;
mod window;

pub use aggregate::AggregateFunction;
pub use batch::Batch;
pub use context::{CONTEXT_VALUE_MAX, ContextRun};
pub use count::{StepCount, Totals};
pub use gate::{Condition, Scalar, Test};
pub use mask::Mask;
pub use minimized::Minimized;
pub use plan::{ContextKind, DatasetIndex, DatasetPlan, Export, ExportPlan, Flush, Lowered, PointPlan};
pub use pseudonym::PseudonymKey;
pub use refinery::Refinery;
pub use stamp::Stamp;
pub use step::{Band, Percent, Quality, Step, StepId};
pub use tag::{Tagged, VALUE_WEIGHT_MAX};
