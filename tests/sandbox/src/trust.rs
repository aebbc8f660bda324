//! What a receiver believes before the first message: the enrolled gateways, what they were granted, and its own role
//! keys.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use lingate_model::Class;
use lingate_seal::{Claims, KeyMessage, Kid, VerifyingKey};

use crate::bundle::granted_by;
use crate::epoch::OpenEpoch;
use crate::keys::sha256;
use crate::{Authority, Rejected, RoleKey, policy, topic::Topic};

/// An epoch lasts 24 h at most (wire.md section 2).
const EPOCH_SECONDS_MAX: i64 = 86_400;

#[derive(Clone)]
pub struct Trust {
    sandbox: String,
    pub(crate) keys: Vec<RoleKey>,
    signers: BTreeMap<Kid, Signer>,
    revoked: BTreeSet<Kid>,
    /// As the policy has it.
    datasets: Grants,
    /// By the hash of the bundle that granted it.
    history: BTreeMap<[u8; 32], Grants>,
}

#[derive(Clone)]
pub(crate) struct Signer {
    gateway: String,
    tenant: String,
    pub(crate) key: VerifyingKey,
}

/// By dataset alias.
pub(crate) type Grants = BTreeMap<String, DatasetTerms>;

#[derive(Clone)]
pub(crate) struct DatasetTerms {
    pub(crate) id: String,
    pub(crate) purposes: Vec<String>,
    pub(crate) ceiling: Class,
}

impl Authority {
    /// What the holder of `role` needs to open messages, as it is at this moment.
    pub fn trust(&self, role: &str) -> Result<Trust> {
        self.trust_of(&[role.to_owned()])
    }

    /// What a holder of several roles needs.
    pub fn trust_of(&self, roles: &[String]) -> Result<Trust> {
        let mut trust = Trust {
            sandbox: self.sandbox_id().to_owned(),
            keys: Vec::new(),
            signers: BTreeMap::new(),
            revoked: BTreeSet::new(),
            datasets: self.policy()?.datasets.iter().map(terms).collect(),
            history: BTreeMap::new(),
        };
        for role in roles {
            trust.keys.extend(self.role_keys_of(role)?);
        }
        for known in self.known_gateways()? {
            for jwk in &known.keys {
                let key = jwk.verifying_key().with_context(|| known.gateway.clone())?;
                let kid = key.kid();
                if known.revoked_at.is_some() {
                    trust.revoked.insert(kid);
                    continue;
                }
                let (gateway, tenant) = (known.gateway.clone(), known.tenant.clone());
                trust.signers.insert(kid, Signer { gateway, tenant, key });
            }
            for bundle in self.bundle_history(&known.gateway)? {
                let granted = granted_by(&bundle).with_context(|| format!("a bundle of {}", known.gateway))?;
                trust.history.insert(sha256(&bundle), granted);
            }
        }
        Ok(trust)
    }
}

fn terms(dataset: &policy::Dataset) -> (String, DatasetTerms) {
    let ceiling = dataset.class_ceiling.parse().expect("a parsed policy has known classes");
    (dataset.alias.clone(), DatasetTerms { id: dataset.id.clone(), purposes: dataset.purposes.clone(), ceiling })
}

/// What a KEY message holds, for whoever checks that no key meets a nonce twice. The key itself stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedKey {
    pub key_sha256: [u8; 32],
    pub base_iv: [u8; 12],
}

impl Trust {
    /// Of a KEY message of one of these roles; the signature and the claims are not looked at again.
    pub fn key_use(&self, message: &[u8]) -> Result<UsedKey> {
        let key = KeyMessage::parse(message)?;
        Ok(OpenEpoch::open(&key, &self.keys)?.key_use())
    }

    /// The key by which a message on this topic must be signed.
    pub(crate) fn signer(&self, kid: Kid, topic: &Topic) -> Result<&Signer, Rejected> {
        if self.revoked.contains(&kid) {
            return Err(Rejected::RevokedSigner);
        }
        let signer = self.signers.get(&kid).ok_or(Rejected::UnknownSigner)?;
        let owns = signer.gateway == topic.gateway.as_str() && signer.tenant == topic.tenant.as_str();
        if owns { Ok(signer) } else { Err(Rejected::ForeignTopic) }
    }

    /// Whether an epoch with these claims belongs on this topic.
    pub(crate) fn is_on_its_topic(&self, topic: &Topic, claims: &Claims) -> bool {
        self.granted(claims).get(topic.alias.as_str()).is_some_and(|dataset| dataset.id == claims.subject)
    }

    /// Every claim of a KEY. `exp` says until when the gateway may seal, not until when a record may arrive: an outage
    /// of days delivers epochs that ended long ago, under rights that may have been withdrawn since.
    pub(crate) fn check_claims(&self, topic: &Topic, claims: &Claims) -> Result<(), Rejected> {
        let ensure = |holds: bool, otherwise: Rejected| if holds { Ok(()) } else { Err(otherwise) };
        ensure(claims.issuer == topic.gateway.as_str(), Rejected::Issuer)?;
        ensure(claims.audience == self.sandbox, Rejected::Audience)?;
        let dataset = self.granted(claims).get(topic.alias.as_str()).ok_or(Rejected::UnknownAlias)?;
        ensure(claims.subject == dataset.id, Rejected::Dataset)?;
        ensure(dataset.purposes.contains(&claims.purpose), Rejected::Purpose)?;
        ensure(claims.class <= dataset.ceiling, Rejected::Class)?;
        let lifetime = claims.expires.saturating_sub(claims.issued_at);
        ensure((1..=EPOCH_SECONDS_MAX).contains(&lifetime), Rejected::Lifetime)
    }

    /// By the bundle that the epoch names; one that is not on file is judged by the present policy.
    fn granted(&self, claims: &Claims) -> &Grants {
        self.history.get(&claims.bundle_sha256).unwrap_or(&self.datasets)
    }
}
