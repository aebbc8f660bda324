//! Floor 2: the envelope (wire.md). No IO, no clock; randomness comes in as an argument.

mod bundle;
mod entropy;
mod epoch;
mod keys;
mod sealed;

pub use bundle::{Bundle, BundleRefused, Grant, NotGranted, PreviousBundle, Recipient, RootSet, VerifiedBundle};
pub use entropy::{Entropy, EntropyFailed};
pub use epoch::{Epoch, EpochTerms, GapCause, GapRecord, PreviousEpoch, SealError};
pub use keys::{KeyRefused, SigningKey};
pub use sealed::{Kid, NotSealed, RecordKind, Sealed};
