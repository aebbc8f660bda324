//! What a receiver believes before the first message: the enrolled gateways, the policy, and its own role key.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use lingate_model::Class;
use lingate_seal::{Claims, Kid};

use crate::keys::Curve;
use crate::{Authority, Rejected, RoleKey, topic::Topic};

/// An epoch lasts 24 h at most (wire.md section 2).
const EPOCH_SECONDS_MAX: i64 = 86_400;

#[derive(Clone)]
pub struct Trust {
    sandbox: String,
    pub(crate) role: RoleKey,
    signers: BTreeMap<Kid, Signer>,
    datasets: BTreeMap<String, DatasetTerms>,
}

#[derive(Clone)]
pub(crate) struct Signer {
    gateway: String,
    tenant: String,
    pub(crate) public_key: [u8; 32],
}

#[derive(Clone)]
struct DatasetTerms {
    id: String,
    purposes: Vec<String>,
    ceiling: Class,
}

impl Authority {
    /// What the holder of `role` needs to open messages, as it is at this moment.
    pub fn trust(&self, role: &str) -> Result<Trust> {
        let mut signers = BTreeMap::new();
        for known in self.known_gateways()? {
            for jwk in &known.keys {
                let public_key = jwk.public_key(Curve::Ed25519).with_context(|| known.gateway.clone())?;
                let (gateway, tenant) = (known.gateway.clone(), known.tenant.clone());
                signers.insert(lingate_seal::ed25519_kid(&public_key), Signer { gateway, tenant, public_key });
            }
        }
        let terms = |dataset: crate::policy::Dataset| {
            let ceiling = dataset.class_ceiling.parse().expect("a parsed policy has known classes");
            (dataset.alias, DatasetTerms { id: dataset.id, purposes: dataset.purposes, ceiling })
        };
        let datasets = self.policy()?.datasets.into_iter().map(terms).collect();
        Ok(Trust { sandbox: self.sandbox_id().to_owned(), role: self.role_key(role)?, signers, datasets })
    }
}

impl Trust {
    /// The key by which a message on this topic must be signed.
    pub(crate) fn signer(&self, kid: Kid, topic: &Topic) -> Result<&Signer, Rejected> {
        let signer = self.signers.get(&kid).ok_or(Rejected::UnknownSigner)?;
        let owns = signer.gateway == topic.gateway.as_str() && signer.tenant == topic.tenant.as_str();
        if owns { Ok(signer) } else { Err(Rejected::ForeignTopic) }
    }

    /// The dataset that this topic's alias stands for.
    pub(crate) fn dataset_of(&self, topic: &Topic) -> Option<&String> {
        self.datasets.get(topic.alias.as_str()).map(|dataset| &dataset.id)
    }

    /// Every claim of a KEY. `exp` says until when the gateway may seal, not until when a record may arrive: an outage
    /// of days delivers epochs that ended long ago.
    pub(crate) fn check_claims(&self, topic: &Topic, claims: &Claims) -> Result<(), Rejected> {
        let ensure = |holds: bool, otherwise: Rejected| if holds { Ok(()) } else { Err(otherwise) };
        ensure(claims.issuer == topic.gateway.as_str(), Rejected::Issuer)?;
        ensure(claims.audience == self.sandbox, Rejected::Audience)?;
        let dataset = self.datasets.get(topic.alias.as_str()).ok_or(Rejected::UnknownAlias)?;
        ensure(claims.subject == dataset.id, Rejected::Dataset)?;
        ensure(dataset.purposes.contains(&claims.purpose), Rejected::Purpose)?;
        ensure(claims.class <= dataset.ceiling, Rejected::Class)?;
        let lifetime = claims.expires.saturating_sub(claims.issued_at);
        ensure((1..=EPOCH_SECONDS_MAX).contains(&lifetime), Rejected::Lifetime)
    }
}
