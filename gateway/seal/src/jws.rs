//! RFC 7515 JWS in General JSON serialization, with Ed25519 signatures (RFC 9864) only: what bundles come in.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::json;

use crate::bundle_refused::BundleRefused;
use crate::{Kid, RootSet, SigningKey, json as strict};

const TYPE: &str = "lingate-bundle+jws";
const ALGORITHM: &str = "Ed25519";
const SIGNATURES_MAX: usize = 32;

/// Signs `payload` with every key. For whoever issues bundles; the gateway itself never signs one.
pub fn sign_general(payload: &[u8], signers: &[(&Kid, &SigningKey)]) -> Vec<u8> {
    let payload = encode(payload);
    let signatures: Vec<_> = signers
        .iter()
        .map(|(kid, key)| {
            let protected =
                encode(json!({"alg": ALGORITHM, "kid": kid.to_string(), "typ": TYPE}).to_string().as_bytes());
            let signature = key.sign(format!("{protected}.{payload}").as_bytes());
            json!({"protected": protected, "signature": encode(&signature)})
        })
        .collect();
    json!({"payload": payload, "signatures": signatures}).to_string().into_bytes()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    protected: String,
    signature: String,
}

/// `crit` and everything else that would change the meaning is unknown, hence refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

/// A message of the right form; whose it is, is still open.
pub(crate) struct Signed {
    pub(crate) payload: Vec<u8>,
    encoded_payload: String,
    signatures: Vec<(Kid, String, [u8; 64])>,
}

impl Signed {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Signed, BundleRefused> {
        let document: Document = strict::parse(bytes).map_err(BundleRefused::Malformed)?;
        if document.signatures.len() > SIGNATURES_MAX {
            return Err(BundleRefused::malformed(format_args!("more than {SIGNATURES_MAX} signatures")));
        }
        let payload =
            decode(&document.payload).ok_or_else(|| BundleRefused::malformed("its payload is not base64url"))?;
        let signatures = document.signatures.into_iter().map(Signature::check).collect::<Result<Vec<_>, _>>()?;
        let mut seen = BTreeSet::new();
        match signatures.iter().find(|(kid, ..)| !seen.insert(*kid)) {
            Some((kid, ..)) => Err(BundleRefused::Duplicate { kind: "signature by key", id: kid.to_string() }),
            None => Ok(Signed { payload, encoded_payload: document.payload, signatures }),
        }
    }

    /// Enough signatures by keys of `roots`, and none of them wrong.
    pub(crate) fn verify(&self, roots: &RootSet) -> Result<(), BundleRefused> {
        let mut found = 0;
        for (kid, protected, signature) in &self.signatures {
            let Some(key) = roots.key(*kid) else { continue };
            let text = format!("{protected}.{}", self.encoded_payload);
            let is_valid = UnparsedPublicKey::new(&ED25519, key).verify(text.as_bytes(), signature).is_ok();
            if !is_valid {
                return Err(BundleRefused::BadSignature { kid: *kid });
            }
            found += 1;
        }
        if found < roots.threshold() {
            return Err(BundleRefused::Threshold { root: roots.version(), found, needed: roots.threshold() });
        }
        Ok(())
    }

    /// A signature that nobody can check must not lend its weight to the file.
    pub(crate) fn refuse_strangers(&self, one: &RootSet, other: &RootSet) -> Result<(), BundleRefused> {
        let is_stranger = |kid: Kid| one.key(kid).is_none() && other.key(kid).is_none();
        match self.signatures.iter().find(|(kid, ..)| is_stranger(*kid)) {
            Some((kid, ..)) => Err(BundleRefused::UnknownSigner { kid: kid.to_string() }),
            None => Ok(()),
        }
    }
}

impl Signature {
    fn check(self) -> Result<(Kid, String, [u8; 64]), BundleRefused> {
        let bytes = decode(&self.protected).ok_or_else(|| BundleRefused::malformed("a header is not base64url"))?;
        let header: Header = strict::parse(&bytes).map_err(BundleRefused::Malformed)?;
        if header.alg != ALGORITHM {
            return Err(BundleRefused::Unknown { kind: "signature algorithm", id: header.alg });
        }
        if header.typ != TYPE {
            return Err(BundleRefused::Unknown { kind: "type", id: header.typ });
        }
        let kid = parse_kid(&header.kid)?;
        let signature = decode_exactly(&self.signature).ok_or(BundleRefused::BadSignature { kid })?;
        Ok((kid, self.protected, signature))
    }
}

/// 16 lower-case hex digits.
pub(crate) fn parse_kid(text: &str) -> Result<Kid, BundleRefused> {
    let number = u64::from_str_radix(text, 16).map(|number| Kid(number.to_be_bytes()));
    let kid = number.ok().filter(|kid| kid.to_string() == text);
    kid.ok_or_else(|| BundleRefused::malformed(format_args!("{text:?} is not a kid of 16 hex digits")))
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

pub(crate) fn decode_exactly<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}
