//! Floor 2: the envelope. A batch becomes a signed and encrypted message, or nothing leaves.
//!
//! Promises:
//! - No IO and no clock; randomness comes in as an argument, and the same randomness gives the same bytes.
//! - [`Sealed`] is made only by an [`Epoch`], or from bytes that already parse as a sealed message.
//! - An [`Epoch`] is opened only for what a [`VerifiedBundle`] grants. Its key is drawn at opening, is in memory only, is
//!   wiped at the end, and is never used with the same nonce twice: numbers are dense from 0 and never outlive the epoch.
//! - The suite is the first that configuration, bundle, signing key and every role's keys have in common, or nothing is
//!   sealed. ECDSA (suite 0x0002) is the one place whose randomness is the system's and not the argument's.
//! - Values and the devices' times arrive bit for bit; what a resolution cannot express travels as a double.
//! - A [`Bundle`] is accepted by every rule or refused whole, with a sentence that says what to do. Unknown members,
//!   algorithms and suites are refused: there is no fallback.
//! - Whatever a peer wrote is bounded before memory is taken for it. No key, no process value shows in `Debug` or errors.
//!
//! An epoch's bytes, all CBOR deterministic:
//!
//! ```text
//! KEY   COSE_Sign1( claims, COSE_Encrypt( COSE_Key, one HPKE wrap per recipient ) )
//! DATA  COSE_Sign1( COSE_Encrypt0( kid, number, ciphertext ) )    0 Catalogue, 1 Lineage, 2.. Batch and Gap, EpochClose
//!       plaintext = codec (0 raw, 1 zstd) || uvarint length || lingate.v1.Sealed || zero padding
//! epoch_id = SHA-256( protected header of KEY )    binds every ciphertext and wrap;  kid = its first 8 bytes
//! ```
//!
//! The receiving side parses with [`KeyMessage`] and [`DataMessage`], opens with its own private key, and reads on with
//! [`unpack`], [`parse_body`] and [`decode_batch`].

mod blocks;
mod blocks_decode;
mod bundle;
mod bundle_document;
mod bundle_keys;
mod bundle_refused;
mod bundle_summary;
mod catalogue;
pub mod cbor;
mod civil;
mod claims;
mod columns;
mod columns_decode;
mod content_key;
mod context_decode;
mod cose;
mod counts;
mod data_message;
mod datum;
mod described;
mod entropy;
mod epoch;
mod gap;
mod grant;
mod json;
pub mod jws;
mod key_message;
mod keys;
mod known_answers;
mod lineage;
mod plain;
mod plaintext;
mod policy;
mod receipt;
mod root;
mod scale;
mod sealed;
mod stated;
pub mod suite;
mod terms;
mod thumbprint;
mod times;
mod verified_bundle;
mod veto;
pub mod wire;
mod wrap;

pub use bundle::{BUNDLE_MAX, Bundle, PreviousBundle};
pub use bundle_refused::BundleRefused;
pub use bundle_summary::{BundleSummary, DatasetSummary, RoleSummary};
pub use catalogue::SCHEMA;
pub use claims::Claims;
pub use columns_decode::{BATCH_READINGS_MAX, BatchRefused, CATALOGUE_TAGS_MAX, DecodedReading, decode_batch};
pub use content_key::ContentKey;
pub use context_decode::{DecodedContext, decode_context};
pub use cose::MessageRefused;
pub use data_message::{DATA_MESSAGE_MAX, DataMessage};
pub use described::DescribedDevice;
pub use entropy::{Entropy, EntropyFailed};
pub use epoch::{Epoch, PreviousEpoch, SealError};
pub use gap::{GapCause, GapRecord};
pub use grant::{Acknowledgement, Grant, NotGranted, PlantTerms, Recipient};
pub use key_message::{KEY_MESSAGE_MAX, KeyMessage, RECIPIENTS_MAX, WrappedKey};
pub use keys::{HeldKey, KeyRefused, SigningFailed, SigningKey, VerifyingKey};
pub use known_answers::{KnownAnswer, known_answers};
pub use lingate_audit::Tree;
pub use plaintext::{BODY_MAX, PlaintextRefused, parse_body, unpack};
pub use policy::{policy_sha256, policy_sha256_of_tags};
pub use receipt::{
    EpochReceipt, RECEIPT_EPOCHS_MAX, RECEIPT_MAX, RECEIPT_RANGES_MAX, Receipt, ReceiptMessage, ReceiptRefused,
};
pub use root::RootSet;
pub use sealed::{Kid, NotSealed, RecordKind, Sealed};
pub use stated::Stated;
pub use suite::SignatureAlgorithm;
pub use terms::EpochTerms;
pub use thumbprint::{ed25519_kid, p256_kid, recipient_kid, x25519_kid};
pub use verified_bundle::{Ending, VerifiedBundle};
pub use veto::Veto;
