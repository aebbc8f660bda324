//! RFC 7515 JWS in General JSON form with one signature, as the enrolment file uses it: Ed25519 or ESP256 (RFC 9864;
//! the older names EdDSA and ES256 are understood).

use anyhow::{Context, Result, anyhow, ensure};
use lingate_seal::{SignatureAlgorithm, SigningKey, VerifyingKey};
use serde::Deserialize;
use serde_json::json;

use crate::keys::{base64url, from_base64url};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct General {
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    protected: String,
    signature: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Protected {
    alg: String,
    kid: String,
    #[serde(rename = "typ")]
    _typ: Option<String>,
}

/// A message with exactly one signature, not yet verified: the key may stand in its own payload.
pub(crate) struct Single {
    pub(crate) payload: Vec<u8>,
    pub(crate) kid: String,
    algorithm: SignatureAlgorithm,
    signed: String,
    signature: [u8; 64],
}

impl Single {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Single> {
        let jws: General = serde_json::from_slice(bytes).context("not a JWS in General JSON form")?;
        let [signature] = &jws.signatures[..] else {
            return Err(anyhow!("a JWS with exactly one signature is expected"));
        };
        let protected: Protected =
            serde_json::from_slice(&from_base64url(&signature.protected)?).context("the protected header")?;
        let algorithm = match protected.alg.as_str() {
            "EdDSA" | "Ed25519" => SignatureAlgorithm::Ed25519,
            "ES256" | "ESP256" => SignatureAlgorithm::Esp256,
            other => return Err(anyhow!("alg must be Ed25519 or ESP256, it is {other:?}")),
        };
        Ok(Single {
            payload: from_base64url(&jws.payload).context("payload")?,
            kid: protected.kid,
            algorithm,
            signed: format!("{}.{}", signature.protected, jws.payload),
            signature: from_base64url(&signature.signature)
                .context("signature")?
                .try_into()
                .map_err(|_| anyhow!("a signature has 64 bytes"))?,
        })
    }

    pub(crate) fn verify(&self, key: &VerifyingKey) -> Result<()> {
        let is_right = key.algorithm() == self.algorithm && key.verifies(self.signed.as_bytes(), &self.signature);
        ensure!(is_right, "the signature is wrong");
        Ok(())
    }
}

/// What `lingate enroll` writes, by a key of either kind.
pub(crate) fn sign(payload: &[u8], key: &SigningKey) -> Vec<u8> {
    let payload = base64url(payload);
    let header = json!({"alg": key.algorithm().name(), "kid": key.kid().to_string()}).to_string();
    let protected = base64url(header.as_bytes());
    let signature = base64url(&key.sign(format!("{protected}.{payload}").as_bytes()));
    json!({"payload": payload, "signatures": [{"protected": protected, "signature": signature}]})
        .to_string()
        .into_bytes()
}
