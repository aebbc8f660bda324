//! Keys of the sandbox: Ed25519 roots that sign bundles, role keys that open epochs.

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use hpke::kem::{DhP256HkdfSha256, X25519HkdfSha256, XWing};
use hpke::{Deserializable, Kem, Serializable};
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub(crate) use lingate_audit::hex;
use lingate_seal::suite::{SUITE_P256, SUITE_X25519, SUITE_XWING, SUITES, Suite};
use lingate_seal::{Entropy, EntropyFailed, Kid, SigningKey, VerifyingKey};

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new().fill(&mut bytes).expect("the system gives randomness");
    bytes
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    BASE64URL.encode(bytes)
}

pub(crate) fn from_base64url(text: &str) -> Result<Vec<u8>> {
    BASE64URL.decode(text).map_err(|_| anyhow!("not base64url without padding"))
}

/// A public signing key as the bundle and the enrolment file carry it; `kid` is checked against the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    pub kty: String,
    pub crv: String,
    /// 16 hex digits: first 8 bytes of the RFC 9679 thumbprint.
    pub kid: String,
    /// base64url of 32 bytes.
    pub x: String,
    /// Of a P-256 key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
}

impl Jwk {
    pub(crate) fn of(key: &VerifyingKey) -> Jwk {
        serde_json::from_value(key.to_jwk()).expect("a signing key has these members")
    }

    /// The key, if this is consistent.
    pub(crate) fn verifying_key(&self) -> Result<VerifyingKey> {
        let value = serde_json::to_value(self).expect("strings serialize");
        let key = VerifyingKey::from_jwk(&value).filter(|key| Jwk::of(key) == *self);
        key.with_context(|| format!("jwk is not an Ed25519 or P-256 key with the kid of its coordinates: {}", self.kid))
    }
}

/// An Ed25519 key in PKCS#8, PEM.
pub(crate) fn generate_ed25519_pem() -> String {
    let der = SigningKey::generate_pkcs8(&mut SystemEntropy).expect("the system gives randomness");
    let text = base64::prelude::BASE64_STANDARD.encode(&*der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

pub(crate) fn ed25519_from_pem(pem: &str) -> Result<SigningKey> {
    Ok(SigningKey::from_pkcs8(&ed25519_der_from_pem(pem)?)?)
}

pub(crate) fn ed25519_der_from_pem(pem: &str) -> Result<Zeroizing<Vec<u8>>> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| anyhow!("not a PEM file"))?;
    Ok(Zeroizing::new(pem.contents))
}

pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        ring::rand::SystemRandom::new().fill(bytes).map_err(|_| EntropyFailed)
    }
}

/// The private key of a recipient role, of one suite. Has no Debug.
#[derive(Clone)]
pub struct RoleKey {
    suite: &'static Suite,
    /// As HPKE serializes them.
    secret: Zeroizing<Vec<u8>>,
    public: Vec<u8>,
    /// Nothing is sealed to it from then on, in seconds since 1970; `None`: it is its role's current key.
    pub(crate) ends: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct PrivateJwk {
    kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    kid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// base64url of the private key as HPKE serializes it; the public one follows from it.
    d: String,
}

impl RoleKey {
    pub(crate) fn generate(suite: &'static Suite) -> RoleKey {
        fn draw<K: Kem>() -> Zeroizing<Vec<u8>> {
            let material = Zeroizing::new(random::<64>());
            Zeroizing::new(K::derive_keypair(&*material).0.to_bytes().to_vec())
        }
        let secret = match suite.id {
            SUITE_P256 => draw::<DhP256HkdfSha256>(),
            SUITE_XWING => draw::<XWing>(),
            _ => draw::<X25519HkdfSha256>(),
        };
        RoleKey::from_secret(suite, secret).expect("a key that was just made is one")
    }

    fn from_secret(suite: &'static Suite, secret: Zeroizing<Vec<u8>>) -> Result<RoleKey> {
        fn public<K: Kem>(secret: &[u8]) -> Result<Vec<u8>> {
            let key = K::PrivateKey::from_bytes(secret).map_err(|_| anyhow!("not a private key of its suite"))?;
            Ok(K::sk_to_pk(&key).to_bytes().to_vec())
        }
        let public = match suite.id {
            SUITE_X25519 => public::<X25519HkdfSha256>(&secret),
            SUITE_P256 => public::<DhP256HkdfSha256>(&secret),
            SUITE_XWING => public::<XWing>(&secret),
            other => bail!("suite {other:#06x} is not built in"),
        }?;
        Ok(RoleKey { suite, secret, public, ends: None })
    }

    pub(crate) fn to_json(&self) -> String {
        let jwk = PrivateJwk {
            kty: self.suite.kty.to_owned(),
            crv: self.suite.crv.map(str::to_owned),
            kid: self.kid().to_string(),
            alg: Some(self.suite.wrap.to_owned()),
            exp: self.ends,
            d: base64url(&self.secret),
        };
        serde_json::to_string_pretty(&jwk).expect("strings serialize") + "\n"
    }

    pub(crate) fn from_json(text: &str) -> Result<RoleKey> {
        let jwk: PrivateJwk = serde_json::from_str(text).context("not a private role key (JWK)")?;
        let form = (jwk.kty.as_str(), jwk.crv.as_deref());
        let suite = SUITES.iter().find(|suite| (suite.kty, suite.crv) == form);
        let suite = suite.with_context(|| format!("no suite has keys of kty {:?} and crv {:?}", jwk.kty, jwk.crv))?;
        let secret = Zeroizing::new(from_base64url(&jwk.d).context("jwk.d")?);
        let key = RoleKey { ends: jwk.exp, ..RoleKey::from_secret(suite, secret)? };
        if key.kid().to_string() != jwk.kid {
            bail!("the private key does not belong to the kid beside it");
        }
        Ok(key)
    }

    /// The public key as a bundle carries it, but for its use and its validity.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = json!({"kty": self.suite.kty, "kid": self.kid().to_string(), "alg": self.suite.wrap});
        self.suite.crv.iter().for_each(|crv| jwk["crv"] = json!(crv));
        match self.suite.id {
            SUITE_X25519 => jwk["x"] = json!(base64url(&self.public)),
            SUITE_P256 => {
                (jwk["x"], jwk["y"]) = (json!(base64url(&self.public[1..33])), json!(base64url(&self.public[33..])));
            }
            _ => jwk["pub"] = json!(base64url(&self.public)),
        }
        jwk
    }

    pub fn kid(&self) -> Kid {
        lingate_seal::recipient_kid(self.suite, &self.public).expect("the key was made for its suite")
    }

    pub fn suite(&self) -> u16 {
        self.suite.id
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_seal::suite::Support;

    use super::*;

    #[test]
    fn a_role_key_of_any_suite_survives_its_file() {
        for suite in SUITES.iter().filter(|suite| suite.support != Support::Reserved) {
            let key = RoleKey { ends: Some(7), ..RoleKey::generate(suite) };
            let read = RoleKey::from_json(&key.to_json()).unwrap();
            assert_eq!((read.jwk(), read.ends, read.suite()), (key.jwk(), Some(7), suite.id));
            assert!(read.secret() == key.secret());
            assert_ne!(RoleKey::generate(suite).kid(), key.kid());
        }
    }

    #[test]
    fn a_jwk_whose_kid_is_not_its_thumbprint_is_refused() {
        let key = ed25519_from_pem(&generate_ed25519_pem()).unwrap();
        let mut jwk = Jwk::of(key.verifying_key());
        assert_eq!(jwk.verifying_key().unwrap(), *key.verifying_key());
        jwk.kid = "0000000000000000".to_owned();
        assert!(jwk.verifying_key().is_err());
    }
}
