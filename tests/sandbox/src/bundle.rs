//! The signed bundle of one gateway (wire.md section 7): the policy, dated, versioned and signed by the root keys.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use lingate_seal::{Kid, SigningKey, jws};

use crate::keys::{Curve, Jwk, RoleKey, hex};
use crate::policy::{Dataset, Policy, Purpose};

/// Gateways whose clock is this far behind accept a fresh bundle at once.
const BACKDATE_SECONDS: i64 = 300;
const DAY_SECONDS: i64 = 86_400;

pub(crate) struct BundleDraft<'a> {
    pub(crate) sandbox: &'a str,
    pub(crate) gateway: &'a str,
    pub(crate) version: u64,
    /// SHA-256 of the gateway's bundle before this one.
    pub(crate) previous: Option<[u8; 32]>,
    pub(crate) issued_unix: i64,
    pub(crate) policy: &'a Policy,
    pub(crate) role_keys: &'a BTreeMap<String, RoleKey>,
    pub(crate) roots: &'a [SigningKey],
}

impl BundleDraft<'_> {
    /// `bundle.jws.json`.
    pub(crate) fn sign(&self) -> Result<Vec<u8>> {
        let payload = serde_json::to_vec(&self.payload()?).expect("a JSON value serializes");
        let kids: Vec<Kid> = self.roots.iter().map(SigningKey::kid).collect();
        Ok(jws::sign_general(&payload, &kids.iter().zip(self.roots).collect::<Vec<_>>()))
    }

    fn payload(&self) -> Result<Value> {
        let (begins, ends) = (self.issued_unix - BACKDATE_SECONDS, self.ends());
        let terms = &self.policy.bundle;
        Ok(json!({
            "spec": "lingate/1",
            "iss": self.sandbox,
            "aud": [self.gateway],
            "version": self.version,
            "prev": self.previous.map(|hash| format!("sha256:{}", hex(&hash))),
            "iat": self.issued_unix,
            "nbf": begins,
            "exp": ends,
            "root": root_json(self.roots),
            "suites": [1],
            "keys": self.key_entries()?,
            "roles": self.policy.roles.iter().map(|role| Ok(json!({
                "id": role.id, "party": role.party, "kids": [self.key_of(&role.id)?.kid],
            }))).collect::<Result<Vec<_>>>()?,
            "purposes": self.policy.purposes.iter().map(purpose_entry).collect::<Vec<_>>(),
            "datasets": self.policy.datasets.iter().map(dataset_entry).collect::<Vec<_>>(),
            "rotation": {"epoch_s": terms.epoch_seconds, "epoch_msgs": terms.epoch_messages},
            "ack": "broker",
            "revoked": [],
        }))
    }

    fn ends(&self) -> i64 {
        self.issued_unix + i64::from(self.policy.bundle.valid_days) * DAY_SECONDS
    }

    fn key_of(&self, role: &str) -> Result<Jwk> {
        Ok(self.role_keys.get(role).with_context(|| format!("{role} has no key"))?.jwk())
    }

    fn key_entries(&self) -> Result<Vec<Value>> {
        let entry = |role: &crate::policy::Role| {
            let jwk = self.key_of(&role.id)?;
            Ok(json!({
                "kty": jwk.kty, "crv": jwk.crv, "kid": jwk.kid, "alg": "HPKE-3-KE", "use": "enc", "x": jwk.x,
                "nbf": self.issued_unix - BACKDATE_SECONDS, "exp": self.ends(),
            }))
        };
        self.policy.roles.iter().map(entry).collect()
    }
}

/// The content of `root.json`, also inside every bundle.
pub(crate) fn root_json(roots: &[SigningKey]) -> Value {
    let jwk = |key: &SigningKey| Jwk::okp(Curve::Ed25519, &key.public_key());
    json!({"version": 1, "threshold": roots.len(), "keys": roots.iter().map(jwk).collect::<Vec<_>>()})
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
        "class_ceiling": dataset.class_ceiling, "approval": dataset.approval, "policy_sha256": [],
        "retention_days": dataset.retention_days,
    })
}
