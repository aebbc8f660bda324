//! RFC 7515 JWS in General JSON form with Ed25519 (RFC 8037), as bundle and enrolment file use it.

use anyhow::{Context, Result, anyhow, ensure};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::keys::{RootKey, base64url, from_base64url};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct General {
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    protected: String,
    signature: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Protected {
    alg: String,
    kid: String,
}

/// One signature per key.
pub(crate) fn sign(payload: &[u8], signers: &[&RootKey]) -> String {
    let payload = base64url(payload);
    let signatures = signers
        .iter()
        .map(|key| {
            let protected = Protected { alg: "EdDSA".to_owned(), kid: key.jwk().kid };
            let protected = base64url(&serde_json::to_vec(&protected).expect("strings serialize"));
            let signature = base64url(&key.sign(format!("{protected}.{payload}").as_bytes()));
            Signature { protected, signature }
        })
        .collect();
    serde_json::to_string_pretty(&General { payload, signatures }).expect("strings serialize") + "\n"
}

/// A message with exactly one signature, not yet verified: the key may stand in its own payload.
pub(crate) struct Single {
    pub(crate) payload: Vec<u8>,
    pub(crate) kid: String,
    signed: String,
    signature: Vec<u8>,
}

impl Single {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Single> {
        let jws: General = serde_json::from_slice(bytes).context("not a JWS in General JSON form")?;
        let [signature] = &jws.signatures[..] else {
            return Err(anyhow!("a JWS with exactly one signature is expected"));
        };
        let protected: Protected =
            serde_json::from_slice(&from_base64url(&signature.protected)?).context("the protected header")?;
        ensure!(matches!(protected.alg.as_str(), "EdDSA" | "Ed25519"), "alg must be EdDSA, it is {:?}", protected.alg);
        Ok(Single {
            payload: from_base64url(&jws.payload).context("payload")?,
            kid: protected.kid,
            signed: format!("{}.{}", signature.protected, jws.payload),
            signature: from_base64url(&signature.signature).context("signature")?,
        })
    }

    pub(crate) fn verify(&self, public_key: &[u8; 32]) -> Result<()> {
        UnparsedPublicKey::new(&ED25519, public_key)
            .verify(self.signed.as_bytes(), &self.signature)
            .map_err(|_| anyhow!("the signature is wrong"))
    }
}
