//! Floor 7: the judge of a run. Knows what the simulators served, what the gateway reported durable, what the receiver
//! opened and what gap records declare - and nothing of the gateway's inside.
//!
//! With A = values served, D = identities reported durable, R = what was opened, G = what verified gap records declare:
//!
//! | | invariant | judged from |
//! |---|---|---|
//! | I1 | D without R and G is empty after the drain | log, store |
//! | I2 | R without A is empty | serve counters, store |
//! | I3 | every value in R is f(device, tag, n) | [`Values`] |
//! | I4 | every served value is once in R, or in G | serve counters, store |
//! | I5 | a duplicate has the bytes of the first arrival | alarms of the receiver |
//! | I6 | records of an epoch come in order, their numbers are dense but for what G declares | store |
//! | I7 | counts of gaps add up; what is declared lost for certain was not received | steps, gaps |
//! | I8 | nothing leaves the disk unless it was acknowledged or declared | images of the disk after a kill |
//! | I9 | (key, nonce) pairs are distinct over all lives of the gateway | KEY messages opened ([`KeyUse`]), log, alarms |
//! | I10 | points in R are those of the policy | catalogues |
//! | I11 | after the faults it drains, and a fresh reading arrives, in time | [`Liveness`] |
//! | I12 | only reading functions on the wire, no canary in the clear | [`Taps`] |
//! | I13 | the counters on the health endpoint are the checker's own | [`Health`] |
//!
//! What a run gives no evidence for is not judged, and the verdict says why. A run with too few records or faults is
//! vacuous and fails: [`Least`].

mod durable;
mod evidence;
mod image;
mod judge;
mod opened;
mod points;
mod verdict;

pub use durable::{Durable, Identity};
pub use evidence::{Counts, Evidence, Health, KeyUse, Least, Liveness, RUN_FILE, ServedDevice, Taps, Values};
pub use image::DiskImage;
pub use judge::judge;
pub use opened::{Epoch, Gap, Lost, Opened, OpenedValue, Record, Steps};
pub use verdict::{Outcome, Verdict};
