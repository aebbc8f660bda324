//! Floor 2: the envelope (wire.md). No IO, no clock; randomness comes in as an argument.

mod bundle;
pub mod cbor;
mod claims;
mod columns_decode;
mod content_key;
mod cose;
mod data_message;
mod entropy;
mod epoch;
pub mod jws;
mod key_message;
mod keys;
mod plaintext;
mod scale;
mod sealed;
pub mod suite;
mod thumbprint;
pub mod wire;

pub use bundle::{Bundle, BundleRefused, Grant, NotGranted, PreviousBundle, Recipient, RootSet, VerifiedBundle};
pub use claims::Claims;
pub use columns_decode::{BATCH_READINGS_MAX, BatchRefused, CATALOGUE_TAGS_MAX, DecodedReading, decode_batch};
pub use content_key::ContentKey;
pub use cose::MessageRefused;
pub use data_message::{DATA_MESSAGE_MAX, DataMessage};
pub use entropy::{Entropy, EntropyFailed};
pub use epoch::{Epoch, EpochTerms, GapCause, GapRecord, PreviousEpoch, SealError};
pub use key_message::{KEY_MESSAGE_MAX, KeyMessage, RECIPIENTS_MAX, WrappedKey};
pub use keys::{KeyRefused, SigningKey};
pub use plaintext::{BODY_MAX, PlaintextRefused, parse_body, unpack};
pub use sealed::{Kid, NotSealed, RecordKind, Sealed};
pub use thumbprint::{ed25519_kid, x25519_kid};
