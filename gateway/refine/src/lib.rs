//! Floor 1: a reading is tagged, minimized and batched - or it is counted.
//!
//! Promises:
//! - Default deny: a reading leaves this crate only if a rule names its point (M1) and its class is within the ceiling (M2).
//! - For every dataset and step `seen = kept + suppressed`, and the counts travel in the batch they belong to.
//! - Nothing here fails and nothing here reads a clock: what is dropped is counted, time comes in as an argument.
//! - [`Tagged`], [`Minimized`] and [`Batch`] have private fields and one constructor each: the step before them.

mod batch;
mod count;
mod deadband;
mod minimize;
mod plan;
mod refinery;
mod rounding;
mod tag;

pub use batch::Batch;
pub use count::{StepCount, Totals};
pub use minimize::Minimized;
pub use plan::{DatasetIndex, DatasetPlan, Export, ExportPlan, Flush, PointPlan, Step, StepId};
pub use refinery::Refinery;
pub use tag::Tagged;
