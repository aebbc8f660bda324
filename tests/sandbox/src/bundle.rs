//! The signed bundle of one gateway (wire.md section 7): the policy, dated, versioned and signed by the root keys.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde_json::{Value, json};

use lingate_seal::{Kid, SigningKey, jws};

use crate::authority::{KnownGateway, Revoked, RootKeys};
use crate::keys::{RoleKey, from_base64url, hex};
use crate::policy::{Dataset, Policy, Purpose, Role};
use crate::trust::{DatasetTerms, Grants};

/// Gateways whose clock is this far behind accept a fresh bundle at once.
const BACKDATE_SECONDS: i64 = 300;
const DAY_SECONDS: i64 = 86_400;

pub(crate) struct BundleDraft<'a> {
    pub(crate) sandbox: &'a str,
    pub(crate) gateway: &'a KnownGateway,
    /// SHA-256 of the gateway's bundle before this one.
    pub(crate) previous: Option<[u8; 32]>,
    pub(crate) issued_unix: i64,
    pub(crate) policy: &'a Policy,
    /// By role; the current key first.
    pub(crate) role_keys: &'a BTreeMap<String, Vec<RoleKey>>,
    pub(crate) receipt_key: &'a SigningKey,
    pub(crate) revoked: &'a [Revoked],
    pub(crate) roots: &'a RootKeys,
    /// Set when this bundle brings the root that follows them.
    pub(crate) roots_before: Option<&'a RootKeys>,
}

impl BundleDraft<'_> {
    /// `bundle.jws.json`.
    pub(crate) fn sign(&self) -> Result<Vec<u8>> {
        let payload = serde_json::to_vec(&self.payload()?).expect("a JSON value serializes");
        let before = self.roots_before.into_iter().flat_map(RootKeys::signers);
        let signers: Vec<(Kid, &SigningKey)> = before.chain(self.roots.signers()).map(|key| (key.kid(), key)).collect();
        let signers: Vec<_> = signers.iter().map(|(kid, key)| (kid, *key)).collect();
        Ok(jws::sign_general(&payload, &signers))
    }

    fn payload(&self) -> Result<Value> {
        let terms = &self.policy.bundle;
        // A revoked gateway keeps its audience and loses everything else.
        let datasets = if self.gateway.revoked_at.is_some() { &[][..] } else { &self.policy.datasets };
        Ok(json!({
            "spec": "lingate/1",
            "iss": self.sandbox,
            "aud": [self.gateway.gateway],
            "version": self.gateway.bundle_version,
            "prev": self.previous.map(|hash| format!("sha256:{}", hex(&hash))),
            "iat": self.issued_unix,
            "nbf": self.begins(),
            "exp": self.ends(),
            "root": self.roots.json(),
            "suites": terms.suites,
            "keys": self.key_entries()?,
            "roles": self.policy.roles.iter().map(|role| self.role_entry(role)).collect::<Result<Vec<_>>>()?,
            "purposes": self.policy.purposes.iter().map(purpose_entry).collect::<Vec<_>>(),
            "datasets": datasets.iter().map(dataset_entry).collect::<Vec<_>>(),
            "rotation": {"epoch_s": terms.epoch_seconds, "epoch_msgs": terms.epoch_messages},
            "ack": terms.ack.name(),
            "revoked": self.revoked,
        }))
    }

    fn begins(&self) -> i64 {
        self.issued_unix - BACKDATE_SECONDS
    }

    fn ends(&self) -> i64 {
        let ends = self.issued_unix + i64::from(self.policy.bundle.valid_days) * DAY_SECONDS;
        self.policy.bundle.valid_until.map_or(ends, |until| ends.min(until.as_second()))
    }

    /// What may be sealed to: neither ended nor revoked.
    fn usable_keys(&self, role: &str) -> Result<Vec<&RoleKey>> {
        let keys = self.role_keys.get(role).with_context(|| format!("{role} has no key"))?;
        let is_usable = |key: &&RoleKey| {
            let kid = key.kid().to_string();
            self.policy.bundle.suites.contains(&key.suite())
                && key.ends.is_none_or(|ends| ends > self.issued_unix)
                && !self.revoked.iter().any(|revoked| revoked.kid == kid)
        };
        Ok(keys.iter().filter(is_usable).collect())
    }

    fn role_entry(&self, role: &Role) -> Result<Value> {
        let kids: Vec<_> = self.usable_keys(&role.id)?.iter().map(|key| key.kid().to_string()).collect();
        Ok(json!({"id": role.id, "party": role.party, "kids": kids}))
    }

    fn key_entries(&self) -> Result<Vec<Value>> {
        let mut entries = Vec::new();
        for role in &self.policy.roles {
            for key in self.usable_keys(&role.id)? {
                let ends = key.ends.map_or(self.ends(), |ends| ends.min(self.ends()));
                entries.push(self.key_entry(key.jwk(), "enc", ends));
            }
        }
        // It cosigns audit checkpoints as well, whatever acknowledges records.
        let mut jwk = self.receipt_key.verifying_key().to_jwk();
        jwk["alg"] = json!(self.receipt_key.algorithm().name());
        entries.push(self.key_entry(jwk, "sig", self.ends()));
        Ok(entries)
    }

    fn key_entry(&self, mut jwk: Value, usage: &str, ends: i64) -> Value {
        jwk["use"] = json!(usage);
        (jwk["nbf"], jwk["exp"]) = (json!(self.begins()), json!(ends));
        jwk
    }
}

fn purpose_entry(purpose: &Purpose) -> Value {
    json!({
        "id": purpose.id, "statement": purpose.statement,
        "valid_from": purpose.valid_from, "valid_until": purpose.valid_until, "odrl": {},
    })
}

fn dataset_entry(dataset: &Dataset) -> Value {
    json!({
        "id": dataset.id, "alias": dataset.alias, "purposes": dataset.purposes, "roles": dataset.roles,
        "class_ceiling": dataset.class_ceiling, "approval": dataset.approval, "policy_sha256": dataset.policies,
        "retention_days": dataset.retention_days,
    })
}

/// What a bundle of our own grants.
pub(crate) fn granted_by(bundle: &[u8]) -> Result<Grants> {
    #[derive(Deserialize)]
    struct Outer {
        payload: String,
    }
    #[derive(Deserialize)]
    struct Payload {
        datasets: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        id: String,
        alias: String,
        purposes: Vec<String>,
        class_ceiling: String,
    }
    let outer: Outer = serde_json::from_slice(bundle)?;
    let payload: Payload = serde_json::from_slice(&from_base64url(&outer.payload)?)?;
    let terms = |entry: Entry| {
        let ceiling = entry.class_ceiling.parse().map_err(|()| anyhow!("class {:?}", entry.class_ceiling))?;
        Ok((entry.alias, DatasetTerms { id: entry.id, purposes: entry.purposes, ceiling }))
    };
    payload.datasets.into_iter().map(terms).collect()
}
