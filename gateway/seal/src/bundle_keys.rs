//! The keys that a bundle brings: those of roles, to which epochs are wrapped, and those that sign receipts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::bundle::validity;
use crate::bundle_document::KeyDocument;
use crate::bundle_refused::BundleRefused;
use crate::suite::{SUITE_P256, SUITE_X25519, SignatureAlgorithm, Suite, Support, suite_by_wrap};
use crate::verified_bundle::{RoleKey, Validity};
use crate::wrap::is_public_key;
use crate::{Kid, VerifyingKey, jws, recipient_kid};

pub(crate) struct Keys {
    /// `None` for a key of an algorithm that is known but not built in.
    roles: BTreeMap<Kid, Option<RoleKey>>,
    pub(crate) receipt_keys: BTreeMap<Kid, (VerifyingKey, Validity)>,
}

impl Keys {
    pub(crate) fn read(documents: &[KeyDocument]) -> Result<Keys, BundleRefused> {
        let mut keys = Keys { roles: BTreeMap::new(), receipt_keys: BTreeMap::new() };
        for document in documents {
            let kid = jws::parse_kid(&document.kid)?;
            if keys.roles.contains_key(&kid) || keys.receipt_keys.contains_key(&kid) {
                return Err(BundleRefused::Duplicate { kind: "key", id: document.kid.clone() });
            }
            match document.usage.as_str() {
                "sig" => drop(keys.receipt_keys.insert(kid, receipt_key(document)?)),
                _ => drop(keys.roles.insert(kid, role_key(document, kid)?)),
            }
        }
        Ok(keys)
    }

    /// Revocation is effective at once.
    pub(crate) fn without(mut self, revoked: &BTreeSet<Kid>) -> Keys {
        self.roles.retain(|kid, _| !revoked.contains(kid));
        self.receipt_keys.retain(|kid, _| !revoked.contains(kid));
        self
    }

    pub(crate) fn may_receive(&self, kid: Kid) -> bool {
        self.roles.contains_key(&kid)
    }

    /// Those that this build can wrap to.
    pub(crate) fn role_keys(&self) -> BTreeMap<Kid, RoleKey> {
        self.roles.iter().filter_map(|(kid, key)| Some((*kid, key.clone()?))).collect()
    }
}

fn role_key(document: &KeyDocument, kid: Kid) -> Result<Option<RoleKey>, BundleRefused> {
    let suite = suite_by_wrap(&document.alg)
        .ok_or_else(|| BundleRefused::Unknown { kind: "key algorithm", id: document.alg.clone() })?;
    let valid = validity(document.nbf, document.exp)?;
    if suite.support == Support::Reserved {
        return Ok(None);
    }
    let form = (document.kty.as_str(), document.crv.as_deref(), document.usage.as_str());
    if form != (suite.kty, suite.crv, "enc") {
        let wanted = suite.crv.unwrap_or(suite.kty);
        return Err(BundleRefused::malformed(format_args!("key {kid} is not an {wanted} key for encryption")));
    }
    let public = public_bytes(document, suite).filter(|bytes| bytes.len() == suite.public_bytes);
    let public = public.ok_or_else(|| {
        BundleRefused::malformed(format_args!("key {kid} has not the members that a key for {} has", suite.wrap))
    })?;
    if recipient_kid(suite, &public) != Some(kid) {
        return Err(BundleRefused::WrongKid { kid: document.kid.clone() });
    }
    if !is_public_key(suite, &public) {
        return Err(BundleRefused::malformed(format_args!("key {kid} is no point of its curve")));
    }
    Ok(Some(RoleKey { suite: suite.id, public, valid }))
}

/// As HPKE serializes it (RFC 9180, 7.1.1).
fn public_bytes(document: &KeyDocument, suite: &Suite) -> Option<Vec<u8>> {
    let coordinate = |text: &Option<String>| jws::decode_exactly::<32>(text.as_deref()?);
    match (suite.id, &document.y, &document.public) {
        (SUITE_X25519, None, None) => coordinate(&document.x).map(Vec::from),
        (SUITE_P256, Some(_), None) => Some([&[4][..], &coordinate(&document.x)?, &coordinate(&document.y)?].concat()),
        (_, None, Some(public)) if document.x.is_none() => jws::decode(public),
        _ => None,
    }
}

fn receipt_key(document: &KeyDocument) -> Result<(VerifyingKey, Validity), BundleRefused> {
    let algorithm = SignatureAlgorithm::ALL.into_iter().find(|known| known.name() == document.alg);
    let algorithm = algorithm
        .ok_or_else(|| BundleRefused::Unknown { kind: "signature algorithm of key", id: document.alg.clone() })?;
    let mut jwk = json!({"kty": document.kty, "crv": document.crv, "kid": document.kid, "x": document.x});
    document.y.iter().for_each(|y| jwk["y"] = json!(y));
    let key = VerifyingKey::from_jwk(&jwk).filter(|key| key.algorithm() == algorithm);
    let key = key.ok_or_else(|| BundleRefused::WrongKid { kid: document.kid.clone() })?;
    Ok((key, validity(document.nbf, document.exp)?))
}
