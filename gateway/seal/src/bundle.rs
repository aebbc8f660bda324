use lingate_model::{Class, DatasetAlias, DatasetId, GatewayId, PurposeId, UtcMicros};

use crate::Kid;

/// The keys that may sign bundles: the root file that plant IT compared by fingerprint, or the root inside an accepted bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootSet {
    _private: (),
}

impl RootSet {
    /// `root.json`: `{"version":1,"threshold":1,"keys":[{"kty":"OKP","crv":"Ed25519","kid":"...","x":"..."}]}`;
    /// `expected_sha256` is the fingerprint of these exact bytes, 64 hex digits, from the configuration.
    pub fn from_file(_bytes: &[u8], _expected_sha256: &str) -> Result<RootSet, BundleRefused> {
        todo!()
    }
}

/// What is stored of the last accepted bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousBundle {
    pub version: u64,
    pub sha256: [u8; 32],
}

/// The sandbox's signed bundle (wire.md section 7).
pub struct Bundle;

impl Bundle {
    /// Every acceptance rule of wire.md section 7. Nothing of a refused bundle is kept.
    pub fn verify(
        _bytes: &[u8],
        _roots: &RootSet,
        _previous: Option<&PreviousBundle>,
        _gateway: &GatewayId,
        _utc: UtcMicros,
    ) -> Result<VerifiedBundle, BundleRefused> {
        todo!()
    }
}

/// A bundle that passed; the only kind that the engine takes.
#[derive(Clone, Debug)]
pub struct VerifiedBundle {
    _private: (),
}

impl VerifiedBundle {
    pub fn version(&self) -> u64 {
        todo!()
    }
    /// SHA-256 of the received bytes.
    pub fn sha256(&self) -> [u8; 32] {
        todo!()
    }
    /// `iss`: the sandbox's id.
    pub fn sandbox(&self) -> &str {
        todo!()
    }
    /// `exp`.
    pub fn expires(&self) -> UtcMicros {
        todo!()
    }
    /// The root set after this bundle.
    pub fn roots(&self) -> &RootSet {
        todo!()
    }
    /// What the bundle allows for this dataset and purpose at this time, with the plant's own class as second veto.
    pub fn grant(
        &self,
        _dataset: &DatasetId,
        _purpose: &PurposeId,
        _class: Class,
        _utc: UtcMicros,
    ) -> Result<Grant, NotGranted> {
        todo!()
    }
}

/// What an epoch may be sealed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub sandbox: String,
    pub alias: DatasetAlias,
    pub purpose: PurposeId,
    pub purpose_statement_sha256: [u8; 32],
    /// The stricter of bundle ceiling and plant class.
    pub ceiling: Class,
    /// Minimization policies that the sandbox approved (see [`crate::policy_sha256`]); empty: the plant's choice.
    pub policies: Vec<[u8; 32]>,
    /// Agreement id or approval reference; present if `ceiling` is important.
    pub approval: Option<String>,
    pub bundle_version: u64,
    pub bundle_sha256: [u8; 32],
    /// 1 to 64, distinct, in ascending order of kid.
    pub recipients: Vec<Recipient>,
    /// 1 to 86,400.
    pub epoch_seconds: u32,
    /// 1 to 2^20.
    pub epoch_messages: u32,
    /// The earliest end of bundle, purpose and recipient keys: nothing is sealed from then on.
    pub not_after: UtcMicros,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub kid: Kid,
    pub x25519: [u8; 32],
}

/// Why nothing may be sealed for a dataset; each says what to ask the sandbox for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    #[error("the sandbox bundle does not list dataset {0}")]
    UnknownDataset(DatasetId),
    #[error("the sandbox bundle does not list purpose {purpose} for dataset {dataset}")]
    PurposeNotGranted { dataset: DatasetId, purpose: PurposeId },
    #[error("purpose {0} is not valid at this time")]
    PurposeExpired(PurposeId),
    #[error("dataset {0} has no recipient with a valid key")]
    NoRecipient(DatasetId),
    #[error("dataset {0} is of class important and the bundle has no approval reference for it")]
    ApprovalMissing(DatasetId),
    #[error("the sandbox bundle has expired")]
    BundleExpired,
}

/// Why a bundle or a root file was refused: one variant per rule, extended freely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleRefused {
    #[error("not a bundle: {0}")]
    Malformed(String),
}
