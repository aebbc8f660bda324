use std::collections::{BTreeMap, BTreeSet};

use lingate_model::{Class, DatasetAlias, DatasetId, PurposeId, UtcMicros};

use crate::suite::{Suite, built};
use crate::{Acknowledgement, Grant, Kid, NotGranted, PlantTerms, Recipient, RootSet, VerifyingKey, Veto, civil};

/// Something without which nothing is sealed, and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub what: String,
    pub at: UtcMicros,
    /// `2026-11-23T05:30:11Z`
    pub shown: String,
}

/// A bundle that passed; the only kind that the engine takes.
#[derive(Clone, Debug)]
pub struct VerifiedBundle {
    pub(crate) version: u64,
    pub(crate) sha256: [u8; 32],
    pub(crate) sandbox: String,
    pub(crate) valid: Validity,
    pub(crate) roots: RootSet,
    pub(crate) suites: Vec<u16>,
    pub(crate) keys: BTreeMap<Kid, RoleKey>,
    pub(crate) receipt_keys: BTreeMap<Kid, (VerifyingKey, Validity)>,
    pub(crate) revoked: BTreeSet<Kid>,
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) purposes: BTreeMap<PurposeId, Purpose>,
    pub(crate) datasets: BTreeMap<DatasetId, Dataset>,
    pub(crate) epoch_seconds: u32,
    pub(crate) epoch_messages: u32,
    pub(crate) ack: Acknowledgement,
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
    pub(crate) suite: u16,
    pub(crate) public: Vec<u8>,
    pub(crate) valid: Validity,
}

#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) party: String,
    /// Ascending, each once.
    pub(crate) kids: Vec<Kid>,
}

#[derive(Clone, Debug)]
pub(crate) struct Purpose {
    pub(crate) statement: String,
    pub(crate) statement_sha256: [u8; 32],
    pub(crate) valid: Validity,
}

#[derive(Clone, Debug)]
pub(crate) struct Dataset {
    pub(crate) alias: DatasetAlias,
    pub(crate) purposes: Vec<PurposeId>,
    pub(crate) roles: Vec<String>,
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

    /// `ack`: what the sandbox promises to acknowledge with.
    pub fn acknowledgement(&self) -> Acknowledgement {
        self.ack
    }

    /// A key that may sign receipts at this time.
    pub fn receipt_key(&self, kid: Kid, utc: UtcMicros) -> Option<&VerifyingKey> {
        self.receipt_keys.get(&kid).filter(|(_, valid)| valid.contains(utc)).map(|(key, _)| key)
    }

    /// Keys that sign receipts and cosign audit checkpoints, whenever they are valid: Ed25519, as C2SP asks for.
    pub fn witness_keys(&self) -> impl Iterator<Item = [u8; 32]> {
        self.receipt_keys.values().filter_map(|(key, _)| key.as_ed25519())
    }

    pub fn has_receipt_key(&self, utc: UtcMicros) -> bool {
        self.receipt_keys.values().any(|(_, valid)| valid.contains(utc))
    }

    /// Keys that the sandbox took back.
    pub fn revoked(&self) -> impl Iterator<Item = Kid> {
        self.revoked.iter().copied()
    }

    /// When what these datasets need ends: the bundle, their purposes, and the last key of each of their roles.
    pub fn endings<'a>(&self, uses: impl Iterator<Item = (&'a DatasetId, &'a PurposeId)>) -> Vec<Ending> {
        let mut endings =
            BTreeMap::from([(format!("the sandbox bundle of version {}", self.version), self.valid.until)]);
        for (dataset, purpose) in uses {
            let stated = self.purposes.get(purpose);
            endings.extend(stated.map(|stated| (format!("purpose {purpose}"), stated.valid.until)));
            for role in self.datasets.get(dataset).iter().flat_map(|dataset| &dataset.roles) {
                let kids = self.roles.get(role).into_iter().flat_map(|role| &role.kids);
                let last = kids.filter_map(|kid| Some(self.keys.get(kid)?.valid.until)).max();
                endings.extend(last.map(|until| (format!("the last key of {role}"), until)));
            }
        }
        endings.into_iter().map(|(what, at)| Ending { what, at, shown: civil::format(at) }).collect()
    }

    /// Datasets of which a role, a party or a key by this name may read something.
    pub fn datasets_of<'a>(&'a self, recipient: &'a str) -> impl Iterator<Item = &'a DatasetId> {
        let veto = Veto { recipients: [recipient.to_owned()].into(), ..Veto::default() };
        let holds = move |dataset: &Dataset| self.kids(dataset).into_iter().any(|(kid, _)| self.is_vetoed(kid, &veto));
        self.datasets.iter().filter(move |(_, dataset)| holds(dataset)).map(|(id, _)| id)
    }

    /// What the bundle allows for this dataset and purpose at this time, with the plant's own class as second veto, in
    /// the default suite.
    pub fn grant(
        &self,
        dataset: &DatasetId,
        purpose: &PurposeId,
        class: Class,
        utc: UtcMicros,
    ) -> Result<Grant, NotGranted> {
        self.grant_within(dataset, purpose, class, utc, &PlantTerms::default())
    }

    /// What both the bundle and the plant allow.
    pub fn grant_within(
        &self,
        dataset: &DatasetId,
        purpose: &PurposeId,
        class: Class,
        utc: UtcMicros,
        plant: &PlantTerms,
    ) -> Result<Grant, NotGranted> {
        if plant.veto.forbids(dataset) {
            return Err(NotGranted::Vetoed(dataset.clone()));
        }
        if !self.valid.contains(utc) {
            return Err(NotGranted::BundleExpired);
        }
        let granted = self.datasets.get(dataset).ok_or_else(|| NotGranted::UnknownDataset(dataset.clone()))?;
        let stated = self.stated(dataset, granted, purpose, utc)?;
        let ceiling = granted.ceiling.min(class);
        if ceiling == Class::Important && granted.approval.is_none() {
            return Err(NotGranted::ApprovalMissing(dataset.clone()));
        }
        let keys = self.allowed_keys(dataset, granted, utc, &plant.veto)?;
        let suite = self.suite_for(dataset, &keys, plant)?;
        let keys: Vec<&AllowedKey<'_>> = keys.iter().filter(|key| key.key.suite == suite.id).collect();
        if keys.len() > suite.recipients_max {
            let (dataset, found, limit) = (dataset.clone(), keys.len(), suite.recipients_max);
            return Err(NotGranted::TooManyRecipients { dataset, suite: suite.name, found, limit });
        }
        let key_end = keys.iter().map(|key| key.key.valid.until).min();
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
            suite: suite.id,
            recipients: keys.iter().map(|key| key.recipient()).collect(),
            epoch_seconds: self.epoch_seconds,
            epoch_messages: self.epoch_messages,
            not_after: self.valid.until.min(stated.valid.until).min(key_end.unwrap_or(self.valid.until)),
        })
    }

    fn stated(
        &self,
        dataset: &DatasetId,
        granted: &Dataset,
        purpose: &PurposeId,
        utc: UtcMicros,
    ) -> Result<&Purpose, NotGranted> {
        let listed = self.purposes.get(purpose).filter(|_| granted.purposes.contains(purpose));
        let stated = listed.ok_or_else(|| {
            let (dataset, purpose) = (dataset.clone(), purpose.clone());
            NotGranted::PurposeNotGranted { dataset, purpose }
        })?;
        match utc {
            _ if utc < stated.valid.from => Err(NotGranted::PurposeNotBegun(purpose.clone())),
            _ if utc >= stated.valid.until => Err(NotGranted::PurposeExpired(purpose.clone())),
            _ => Ok(stated),
        }
    }

    /// Keys of the dataset's roles that are valid at this time and not vetoed, by kid.
    fn allowed_keys<'a>(
        &'a self,
        dataset: &DatasetId,
        granted: &'a Dataset,
        utc: UtcMicros,
        veto: &Veto,
    ) -> Result<Vec<AllowedKey<'a>>, NotGranted> {
        let known = self.kids(granted).into_iter();
        let valid = known.filter_map(|(kid, roles)| {
            let key = self.keys.get(&kid).filter(|key| key.valid.contains(utc))?;
            Some(AllowedKey { kid, key, roles })
        });
        let valid: Vec<AllowedKey<'_>> = valid.collect();
        if valid.is_empty() {
            return Err(NotGranted::NoRecipient(dataset.clone()));
        }
        let allowed: Vec<AllowedKey<'_>> = valid.into_iter().filter(|key| !self.is_vetoed(key.kid, veto)).collect();
        match allowed.is_empty() {
            true => Err(NotGranted::RecipientsVetoed(dataset.clone())),
            false => Ok(allowed),
        }
    }

    /// The keys of a dataset's roles, with the roles that hold each.
    fn kids<'a>(&'a self, dataset: &'a Dataset) -> BTreeMap<Kid, BTreeSet<&'a str>> {
        let mut kids: BTreeMap<Kid, BTreeSet<&str>> = BTreeMap::new();
        for role in &dataset.roles {
            for kid in self.roles.get(role).iter().flat_map(|role| &role.kids) {
                kids.entry(*kid).or_default().insert(role);
            }
        }
        kids
    }

    /// In whatever role of the bundle its holder appears.
    fn is_vetoed(&self, kid: Kid, veto: &Veto) -> bool {
        let holders = self.roles.iter().filter(|(_, role)| role.kids.contains(&kid));
        veto.excludes(kid, holders.flat_map(|(id, role)| [id.as_str(), role.party.as_str()]))
    }

    /// The first suite of the plant that the bundle allows, the signing key fits to, and every role that has a key at
    /// all has a key of: nobody is left out for want of a suite, and no other suite is taken instead.
    fn suite_for(
        &self,
        dataset: &DatasetId,
        keys: &[AllowedKey<'_>],
        plant: &PlantTerms,
    ) -> Result<&'static Suite, NotGranted> {
        let roles: BTreeSet<&str> = keys.iter().flat_map(|key| key.roles.iter().copied()).collect();
        let serves = |suite: &Suite| {
            let has_key = |role: &&str| keys.iter().any(|key| key.key.suite == suite.id && key.roles.contains(*role));
            roles.iter().all(has_key)
        };
        let allowed = plant.suites.iter().filter(|id| self.suites.contains(id)).filter_map(|id| built(*id));
        let fit = allowed.filter(|suite| suite.signature == plant.signature).find(|suite| serves(suite));
        fit.ok_or_else(|| NotGranted::NoSuite {
            dataset: dataset.clone(),
            plant: names(&plant.suites),
            key: plant.signature.name(),
            bundle: names(&self.suites),
        })
    }
}

struct AllowedKey<'a> {
    kid: Kid,
    key: &'a RoleKey,
    roles: BTreeSet<&'a str>,
}

impl AllowedKey<'_> {
    fn recipient(&self) -> Recipient {
        let roles = self.roles.iter().map(|role| (*role).to_owned()).collect();
        Recipient { kid: self.kid, public: self.key.public.clone(), roles }
    }
}

fn names(suites: &[u16]) -> String {
    suites.iter().map(|id| format!("0x{id:04x}")).collect::<Vec<_>>().join(", ")
}
