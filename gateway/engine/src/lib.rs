//! Floor 4: one synchronous state machine that joins refine, seal, buffer and delivery.
//! `handle(now, Input)`, then drain `poll()`, then wait until `wake_at()` or the next input.
//!
//! Promises:
//! - The [`Input`] and [`Output`] enums are all that can happen and all that is ever asked for.
//! - A record is published only after it is durable, and freed only after it was acknowledged on the connection it was
//!   sent on (D2, D3). After a lost link everything unacknowledged is sent again, in order (D5).
//! - What will not arrive is counted by cause at once and declared by a sealed gap record as soon as the dataset has an
//!   epoch to carry it (D6). Behind a record that the buffer refused, its epoch keeps nothing before that gap record.
//!   Counts of gap records add up to what was read and did not arrive, to the unit, but for an unclean stop, which declares
//!   every slot that may have been lost; a declaration that a power cut repeats has the same range and cause.
//! - While the link is up, backlog and live data share it by [`Replay`]; a refused record holds up its dataset and no other,
//!   and one that is refused while others of it are taken is set aside and declared.
//! - Time, randomness and disk are arguments: the same inputs give the same outputs, byte for byte.

mod audit;
mod declared;
mod deliver;
mod description;
mod devices;
mod endings;
mod engine;
mod gaps;
mod heads;
mod held;
mod io;
mod ledger;
mod losses;
mod lost;
mod place;
mod receipts;
mod reload;
mod replay;
mod rights;
mod rules;
mod sealing;
mod share;
mod slots;
mod status;
mod store;
mod stream;
mod streams;

pub use engine::{Engine, Setup};
pub use held::unread;
pub use io::{Accepted, Input, Level, LinkLimits, LinkLoss, Notice, Output, PublishId, ReasonCode, Topic};
pub use ledger::{Amount, ExportLedger, Line, Quota, Reserved, day};
pub use place::Placed;
pub use reload::NewPlan;
pub use rules::Rules;
pub use share::Replay;
pub use status::{BundleStatus, DatasetStatus, DeviceStatus, LinkStatus, RightsStatus, Status};
