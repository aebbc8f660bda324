//! Keys of the sandbox: Ed25519 roots that sign bundles, X25519 role keys that open epochs.

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, Serializable};
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use lingate_seal::{Entropy, EntropyFailed, Kid, SigningKey};

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new().fill(&mut bytes).expect("the system gives randomness");
    bytes
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    BASE64URL.encode(bytes)
}

pub(crate) fn from_base64url(text: &str) -> Result<Vec<u8>> {
    BASE64URL.decode(text).map_err(|_| anyhow!("not base64url without padding"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    X25519,
    Ed25519,
}

/// First 8 bytes of the RFC 9679 thumbprint of an OKP key.
pub(crate) fn thumbprint_kid(curve: Curve, x: &[u8; 32]) -> Kid {
    match curve {
        Curve::X25519 => lingate_seal::x25519_kid(x),
        Curve::Ed25519 => lingate_seal::ed25519_kid(x),
    }
}

/// An OKP public key as the bundle and the enrolment file carry it; `kid` is checked against the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    pub kty: String,
    pub crv: String,
    /// 16 hex digits: first 8 bytes of the RFC 9679 thumbprint.
    pub kid: String,
    /// base64url of 32 bytes.
    pub x: String,
}

impl Jwk {
    pub(crate) fn okp(curve: Curve, x: &[u8; 32]) -> Jwk {
        Jwk {
            kty: "OKP".to_owned(),
            crv: format!("{curve:?}"),
            kid: thumbprint_kid(curve, x).to_string(),
            x: base64url(x),
        }
    }

    /// The raw public key, if this is a consistent key of the curve.
    pub(crate) fn public_key(&self, curve: Curve) -> Result<[u8; 32]> {
        let x = from_base64url(&self.x).context("jwk.x")?;
        let x: [u8; 32] = x.try_into().map_err(|_| anyhow!("jwk.x must have 32 bytes"))?;
        let expected = Jwk::okp(curve, &x);
        if *self != expected {
            bail!("jwk must be {{kty: OKP, crv: {}, kid: {}}} for its x", expected.crv, expected.kid);
        }
        Ok(x)
    }
}

/// An Ed25519 key in PKCS#8, PEM.
pub(crate) fn generate_ed25519_pem() -> String {
    let der = SigningKey::generate_pkcs8(&mut SystemEntropy).expect("the system gives randomness");
    let text = base64::prelude::BASE64_STANDARD.encode(&*der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

pub(crate) fn ed25519_from_pem(pem: &str) -> Result<SigningKey> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| anyhow!("not a PEM file"))?;
    Ok(SigningKey::from_pkcs8(&pem.contents)?)
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        ring::rand::SystemRandom::new().fill(bytes).map_err(|_| EntropyFailed)
    }
}

/// The private X25519 key of a recipient role. Has no Debug.
#[derive(Clone)]
pub struct RoleKey {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 32],
    /// Nothing is sealed to it from then on, in seconds since 1970; `None`: it is its role's current key.
    pub(crate) ends: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct PrivateJwk {
    #[serde(flatten)]
    public: Jwk,
    d: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
}

impl RoleKey {
    pub(crate) fn generate() -> RoleKey {
        RoleKey::from_secret(random()).expect("any 32 bytes are an X25519 key")
    }

    fn from_secret(secret: [u8; 32]) -> Result<RoleKey> {
        let secret = Zeroizing::new(secret);
        let key =
            <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&*secret).map_err(|_| anyhow!("not an X25519 key"))?;
        let public = X25519HkdfSha256::sk_to_pk(&key).to_bytes().as_slice().try_into().expect("X25519 has 32 bytes");
        Ok(RoleKey { secret, public, ends: None })
    }

    pub(crate) fn to_json(&self) -> String {
        let jwk = PrivateJwk { public: self.jwk(), d: base64url(&*self.secret), exp: self.ends };
        serde_json::to_string_pretty(&jwk).expect("strings serialize") + "\n"
    }

    pub(crate) fn from_json(text: &str) -> Result<RoleKey> {
        let jwk: PrivateJwk = serde_json::from_str(text).context("not a private OKP key (JWK)")?;
        let secret = from_base64url(&jwk.d)?.try_into().map_err(|_| anyhow!("jwk.d must have 32 bytes"))?;
        let key = RoleKey { ends: jwk.exp, ..RoleKey::from_secret(secret)? };
        if key.jwk() != jwk.public {
            bail!("the private key does not belong to the public one beside it");
        }
        Ok(key)
    }

    pub fn jwk(&self) -> Jwk {
        Jwk::okp(Curve::X25519, &self.public)
    }

    pub fn kid(&self) -> Kid {
        thumbprint_kid(Curve::X25519, &self.public)
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_role_key_survives_its_file() {
        let key = RoleKey::generate();
        let read = RoleKey::from_json(&key.to_json()).unwrap();
        assert_eq!(read.jwk(), key.jwk());
        assert!(read.secret() == key.secret());
    }

    #[test]
    fn a_jwk_whose_kid_is_not_its_thumbprint_is_refused() {
        let mut jwk = RoleKey::generate().jwk();
        assert!(jwk.public_key(Curve::X25519).is_ok());
        assert!(jwk.public_key(Curve::Ed25519).is_err(), "another curve");
        jwk.kid = "0000000000000000".to_owned();
        assert!(jwk.public_key(Curve::X25519).is_err());
    }
}
