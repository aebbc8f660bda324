use std::collections::BTreeSet;

use lingate_model::{Class, DatasetAlias, DatasetId, PurposeId, UtcMicros};

use crate::suite::{SUITE_X25519, SignatureAlgorithm};
use crate::{Kid, Veto, x25519_kid};

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
    /// What the epoch is sealed with: built in, and fit for the gateway's signing key.
    pub suite: u16,
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
    /// As HPKE serializes a public key of the suite.
    pub public: Vec<u8>,
    /// Roles of the dataset that hold this key, ascending.
    pub roles: Vec<String>,
}

impl Grant {
    /// Of all recipients, each once, ascending.
    pub fn roles(&self) -> Vec<String> {
        let roles: BTreeSet<&String> = self.recipients.iter().flat_map(|recipient| &recipient.roles).collect();
        roles.into_iter().cloned().collect()
    }
}

impl Recipient {
    pub fn x25519(public: [u8; 32]) -> Recipient {
        Recipient { kid: x25519_kid(&public), public: public.to_vec(), roles: Vec::new() }
    }
}

/// What the plant allows, whatever a bundle grants.
#[derive(Clone, Debug)]
pub struct PlantTerms {
    /// The first that bundle, recipients and signing key all have is taken; there is no other.
    pub suites: Vec<u16>,
    /// Of the gateway's signing key.
    pub signature: SignatureAlgorithm,
    pub veto: Veto,
}

impl Default for PlantTerms {
    fn default() -> PlantTerms {
        PlantTerms { suites: vec![SUITE_X25519], signature: SignatureAlgorithm::Ed25519, veto: Veto::default() }
    }
}

/// What frees a record on the gateway's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    Broker,
    Receipt,
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
    #[error("purpose {0} is not valid yet")]
    PurposeNotBegun(PurposeId),
    #[error("dataset {0} has no recipient with a valid key")]
    NoRecipient(DatasetId),
    #[error("dataset {0} is of class important and the bundle has no approval reference for it")]
    ApprovalMissing(DatasetId),
    #[error("the sandbox bundle has expired")]
    BundleExpired,
    #[error("the plant's veto forbids dataset {0}; `lingate veto list` shows it")]
    Vetoed(DatasetId),
    #[error("the plant's veto forbids every recipient of dataset {0}; `lingate veto list` shows it")]
    RecipientsVetoed(DatasetId),
    #[error(
        "no crypto suite fits for dataset {dataset}: the configuration allows {plant}, the signing key is {key}, the \
         bundle allows {bundle}, and each role needs a key of that suite"
    )]
    NoSuite { dataset: DatasetId, plant: String, key: &'static str, bundle: String },
    #[error("dataset {dataset} has {found} recipients, an epoch of suite {suite} has at most {limit}")]
    TooManyRecipients { dataset: DatasetId, suite: &'static str, found: usize, limit: usize },
}
