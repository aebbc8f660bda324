//! The bundle that granted it, and the gateway that signed for it.

use lingate_model::UtcMicros;
use lingate_seal::{Bundle, PlantTerms, RootSet, VerifiedBundle};

use super::{Hop, Walk};
use crate::Authority;
use crate::keys::{hex, sha256};

impl Walk<'_> {
    /// The sandbox signed this bundle, and it grants the dataset for the purpose, the class and every recipient of the KEY.
    pub(super) fn bundle(&self) -> Hop {
        let claims = self.claims();
        let hash = hex(&claims.bundle_sha256);
        let says = format!("granted by bundle {} of {}", claims.bundle_version, claims.audience);
        let (proof, holds) = match self.evidence.authority.map(|authority| self.granted(authority)) {
            None => ("the sandbox's folder was not given (--sandbox)".to_owned(), None),
            Some(Ok(())) => (
                "a root key signed the bundle with the SHA-256 of claim -70005; it grants dataset, purpose, class and recipients"
                    .to_owned(),
                Some(true),
            ),
            Some(Err(why)) => (why, Some(false)),
        };
        Hop { what: "bundle", says, proof: format!("{proof}: {hash}"), holds }
    }

    fn granted(&self, authority: &Authority) -> Result<(), String> {
        let claims = self.claims();
        let history = authority.bundle_history(&claims.issuer).map_err(|error| error.to_string())?;
        let bytes = history.iter().find(|bundle| sha256(bundle) == claims.bundle_sha256);
        let bytes = bytes.ok_or("the sandbox signed no bundle with the SHA-256 of claim -70005")?;
        let issued = UtcMicros(claims.issued_at.saturating_mul(1_000_000));
        let bundle = verified(authority, bytes, &claims.issuer, issued)?;
        if bundle.version() != claims.bundle_version || bundle.sandbox() != claims.audience {
            return Err("the bundle has another version or issuer than claimed".to_owned());
        }
        let dataset = claims.subject.parse().map_err(|_| "the claimed dataset is no name".to_owned())?;
        let purpose = claims.purpose.parse().map_err(|_| "the claimed purpose is no name".to_owned())?;
        let plant = PlantTerms { suites: vec![claims.suite], signature: self.key.algorithm, ..PlantTerms::default() };
        let grant = bundle.grant_within(&dataset, &purpose, claims.class, issued, &plant);
        let grant = grant.map_err(|refused| refused.to_string())?;
        let is_granted = |kid| grant.recipients.iter().any(|recipient| recipient.kid == kid);
        if !self.key.recipients.iter().all(|recipient| is_granted(recipient.kid)) {
            return Err("the KEY has a recipient that the bundle does not grant".to_owned());
        }
        match grant.policies.is_empty() || grant.policies.contains(&claims.policy_sha256) {
            true => Ok(()),
            false => Err("the bundle approves other policies".to_owned()),
        }
    }

    /// Its signing key, with which it was enrolled, signed the claims.
    pub(super) fn gateway(&self) -> Hop {
        let holds = match (self.evidence.authority, &self.signer) {
            (None, _) => None,
            (Some(_), signer) => Some(signer.as_ref().is_some_and(|signer| self.key.is_signed_by_key(signer))),
        };
        let says = format!("gateway {}, signing key {}", self.claims().issuer, self.key.signer);
        let proof = format!(
            "its signature over all these claims (SHA-256 {}, of which the epoch's name is the beginning), by the key with which it \
             was enrolled; the audit log's epoch.open line names the same hashes",
            hex(self.key.epoch_id())
        );
        Hop { what: "gateway", says, proof, holds }
    }
}

/// By the roots of today, or those before.
fn verified(authority: &Authority, bytes: &[u8], gateway: &str, issued: UtcMicros) -> Result<VerifiedBundle, String> {
    let gateway = gateway.parse().map_err(|_| "the claimed gateway is no name".to_owned())?;
    let roots = authority.root_files().map_err(|error| error.to_string())?;
    let sets = roots.iter().filter_map(|file| RootSet::from_stored(file).ok());
    let mut refused = "the sandbox's root is not here".to_owned();
    for set in sets {
        match Bundle::verify(bytes, &set, None, &gateway, issued) {
            Ok(bundle) => return Ok(bundle),
            Err(error) => refused = error.to_string(),
        }
    }
    Err(refused)
}
