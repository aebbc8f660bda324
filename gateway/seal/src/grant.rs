use std::collections::BTreeMap;

use lingate_model::{Class, DatasetAlias, DatasetId, PurposeId, UtcMicros};

use crate::{Kid, RootSet};

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

/// A bundle that passed; the only kind that the engine takes.
#[derive(Clone, Debug)]
pub struct VerifiedBundle {
    pub(crate) version: u64,
    pub(crate) sha256: [u8; 32],
    pub(crate) sandbox: String,
    pub(crate) valid: Validity,
    pub(crate) roots: RootSet,
    pub(crate) keys: BTreeMap<Kid, RoleKey>,
    pub(crate) purposes: BTreeMap<PurposeId, Purpose>,
    pub(crate) datasets: BTreeMap<DatasetId, Dataset>,
    pub(crate) epoch_seconds: u32,
    pub(crate) epoch_messages: u32,
}

/// From its start to before its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    pub(crate) from: UtcMicros,
    pub(crate) until: UtcMicros,
}

impl Validity {
    pub(crate) fn contains(self, utc: UtcMicros) -> bool {
        (self.from..self.until).contains(&utc)
    }
}

/// A key that this build can wrap to and that is not revoked.
#[derive(Clone, Debug)]
pub(crate) struct RoleKey {
    pub(crate) x25519: [u8; 32],
    pub(crate) valid: Validity,
}

#[derive(Clone, Debug)]
pub(crate) struct Purpose {
    pub(crate) statement_sha256: [u8; 32],
    pub(crate) valid: Validity,
}

#[derive(Clone, Debug)]
pub(crate) struct Dataset {
    pub(crate) alias: DatasetAlias,
    pub(crate) purposes: Vec<PurposeId>,
    /// Of all its roles, ascending, each once.
    pub(crate) kids: Vec<Kid>,
    pub(crate) ceiling: Class,
    pub(crate) approval: Option<String>,
    pub(crate) policies: Vec<[u8; 32]>,
}

impl VerifiedBundle {
    pub fn version(&self) -> u64 {
        self.version
    }

    /// SHA-256 of the received bytes.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// `iss`: the sandbox's id.
    pub fn sandbox(&self) -> &str {
        &self.sandbox
    }

    /// `exp`.
    pub fn expires(&self) -> UtcMicros {
        self.valid.until
    }

    /// The root set after this bundle.
    pub fn roots(&self) -> &RootSet {
        &self.roots
    }

    /// What the bundle allows for this dataset and purpose at this time, with the plant's own class as second veto.
    pub fn grant(
        &self,
        dataset: &DatasetId,
        purpose: &PurposeId,
        class: Class,
        utc: UtcMicros,
    ) -> Result<Grant, NotGranted> {
        if !self.valid.contains(utc) {
            return Err(NotGranted::BundleExpired);
        }
        let granted = self.datasets.get(dataset).ok_or_else(|| NotGranted::UnknownDataset(dataset.clone()))?;
        let listed = self.purposes.get(purpose).filter(|_| granted.purposes.contains(purpose));
        let stated = listed.ok_or_else(|| {
            let (dataset, purpose) = (dataset.clone(), purpose.clone());
            NotGranted::PurposeNotGranted { dataset, purpose }
        })?;
        if !stated.valid.contains(utc) {
            return Err(NotGranted::PurposeExpired(purpose.clone()));
        }
        let ceiling = granted.ceiling.min(class);
        if ceiling == Class::Important && granted.approval.is_none() {
            return Err(NotGranted::ApprovalMissing(dataset.clone()));
        }
        let keys: Vec<(Kid, &RoleKey)> = self.valid_keys(granted, utc).collect();
        let key_end = keys.iter().map(|(_, key)| key.valid.until).min();
        let key_end = key_end.ok_or_else(|| NotGranted::NoRecipient(dataset.clone()))?;
        Ok(Grant {
            sandbox: self.sandbox.clone(),
            alias: granted.alias.clone(),
            purpose: purpose.clone(),
            purpose_statement_sha256: stated.statement_sha256,
            ceiling,
            policies: granted.policies.clone(),
            approval: granted.approval.clone(),
            bundle_version: self.version,
            bundle_sha256: self.sha256,
            recipients: keys.into_iter().map(|(kid, key)| Recipient { kid, x25519: key.x25519 }).collect(),
            epoch_seconds: self.epoch_seconds,
            epoch_messages: self.epoch_messages,
            not_after: self.valid.until.min(stated.valid.until).min(key_end),
        })
    }

    fn valid_keys<'a>(&'a self, dataset: &'a Dataset, utc: UtcMicros) -> impl Iterator<Item = (Kid, &'a RoleKey)> {
        let known = dataset.kids.iter().filter_map(|kid| Some((*kid, self.keys.get(kid)?)));
        known.filter(move |(_, key)| key.valid.contains(utc))
    }
}
