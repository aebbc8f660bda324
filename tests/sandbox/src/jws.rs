//! RFC 7515 JWS in General JSON form with one Ed25519 signature, as the enrolment file uses it (RFC 9864; the older
//! name EdDSA of RFC 8037 is understood).

use anyhow::{Context, Result, anyhow, ensure};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;

use crate::keys::from_base64url;

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
        ensure!(
            matches!(protected.alg.as_str(), "EdDSA" | "Ed25519"),
            "alg must be Ed25519, it is {:?}",
            protected.alg
        );
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
