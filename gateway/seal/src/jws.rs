//! RFC 7515 JWS in General JSON serialization, with Ed25519 signatures (RFC 9864) only: what bundles come in.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;

use crate::{Kid, SigningKey};

pub(crate) const TYPE: &str = "lingate-bundle+jws";

/// Signs `payload` with every key. For whoever issues bundles; the gateway itself never signs one.
pub fn sign_general(payload: &[u8], signers: &[(&Kid, &SigningKey)]) -> Vec<u8> {
    let payload = BASE64_URL_SAFE_NO_PAD.encode(payload);
    let signatures: Vec<_> = signers
        .iter()
        .map(|(kid, key)| {
            let header = json!({"alg": "Ed25519", "kid": kid.to_string(), "typ": TYPE});
            let protected = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
            let signature = key.sign(format!("{protected}.{payload}").as_bytes());
            json!({"protected": protected, "signature": BASE64_URL_SAFE_NO_PAD.encode(signature)})
        })
        .collect();
    json!({"payload": payload, "signatures": signatures}).to_string().into_bytes()
}
