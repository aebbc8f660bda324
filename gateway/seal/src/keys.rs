use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    UnparsedPublicKey,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::suite::SignatureAlgorithm;
use crate::thumbprint::{ed25519_kid, p256_kid};
use crate::{Entropy, EntropyFailed, Kid, jws};

/// DER of an Ed25519 private key up to its 32-byte seed (RFC 8410, 10.3), as `openssl genpkey` writes it.
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A signing key: Ed25519, or ECDSA on P-256 for suite 0x0002. Has no Debug and never leaves memory, or the token that
/// holds it, from here.
pub struct SigningKey {
    pair: Pair,
    public: VerifyingKey,
}

enum Pair {
    Ed25519(Box<Ed25519KeyPair>),
    P256(Box<EcdsaKeyPair>),
    Held(Box<dyn HeldKey>),
}

/// A private key that somebody else holds and uses for us: a token, an agent.
pub trait HeldKey: Send + Sync {
    /// The 64 bytes of Ed25519, or r and s of ECDSA with SHA-256.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SigningFailed>;
}

/// Nothing was signed; the text says why and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signing key does not sign: {0}")]
pub struct SigningFailed(pub String);

/// What checks a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    algorithm: SignatureAlgorithm,
    /// 32 bytes, or the 65 of an uncompressed point.
    bytes: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signing key is not an Ed25519 or P-256 key in PKCS#8 form")]
pub struct KeyRefused;

impl SigningKey {
    /// Ed25519 with or without the public key inside (RFC 8410), P-256 with it (RFC 5915).
    pub fn from_pkcs8(der: &[u8]) -> Result<SigningKey, KeyRefused> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            let public = VerifyingKey { algorithm: SignatureAlgorithm::Ed25519, bytes: bytes_of(&pair) };
            return Ok(SigningKey { pair: Pair::Ed25519(Box::new(pair)), public });
        }
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new());
        let pair = pair.map_err(|_| KeyRefused)?;
        let public = VerifyingKey { algorithm: SignatureAlgorithm::Esp256, bytes: bytes_of(&pair) };
        Ok(SigningKey { pair: Pair::P256(Box::new(pair)), public })
    }

    /// The caller has made sure that both belong together.
    pub fn held(public: VerifyingKey, key: Box<dyn HeldKey>) -> SigningKey {
        SigningKey { pair: Pair::Held(key), public }
    }

    /// A new Ed25519 key, as the DER that `from_pkcs8` takes.
    pub fn generate_pkcs8(entropy: &mut dyn Entropy) -> Result<Zeroizing<Vec<u8>>, EntropyFailed> {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill(&mut *seed)?;
        Ok(Zeroizing::new([&PKCS8_HEAD[..], &*seed].concat()))
    }

    /// A new P-256 key. Its randomness is the system's: ring takes no other for ECDSA.
    pub fn generate_p256_pkcs8() -> Result<Zeroizing<Vec<u8>>, EntropyFailed> {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        der.map(|der| Zeroizing::new(der.as_ref().to_vec())).map_err(|_| EntropyFailed)
    }

    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.public.algorithm
    }

    /// First 8 bytes of the RFC 9679 COSE Key thumbprint (SHA-256).
    pub fn kid(&self) -> Kid {
        self.public.kid()
    }

    /// Of an Ed25519 key. A P-256 key has another form: ask `verifying_key` where it may be one.
    pub fn public_key(&self) -> [u8; 32] {
        self.public.bytes.as_slice().try_into().expect("an Ed25519 key was asked for")
    }

    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// An ECDSA signature is not the same twice: its secret number is drawn by ring, from the system and the key, or by
    /// the token. Only a key that somebody else holds can fail.
    pub fn try_sign(&self, message: &[u8]) -> Result<[u8; 64], SigningFailed> {
        let signature = match &self.pair {
            Pair::Held(key) => return key.sign(message),
            Pair::Ed25519(pair) => pair.sign(message),
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message).expect("the system gave randomness before"),
        };
        Ok(signature.as_ref().try_into().expect("both kinds of signature have 64 bytes"))
    }

    /// For keys in memory, which do not fail.
    ///
    /// # Panics
    /// If somebody else holds the key and does not sign: ask `try_sign` where that can be.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.try_sign(message).expect("a key in memory signs")
    }
}

impl VerifyingKey {
    pub fn ed25519(bytes: [u8; 32]) -> VerifyingKey {
        VerifyingKey { algorithm: SignatureAlgorithm::Ed25519, bytes: bytes.to_vec() }
    }

    /// From an uncompressed point.
    pub fn p256(point: [u8; 65]) -> VerifyingKey {
        VerifyingKey { algorithm: SignatureAlgorithm::Esp256, bytes: point.to_vec() }
    }

    /// Its 32 bytes, if it is an Ed25519 key.
    pub fn as_ed25519(&self) -> Option<[u8; 32]> {
        self.bytes.as_slice().try_into().ok().filter(|_| self.algorithm == SignatureAlgorithm::Ed25519)
    }

    /// As a bundle or an `enroll.json` writes it, with the right `kid`; other members are not looked at.
    pub fn from_jwk(jwk: &Value) -> Option<VerifyingKey> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let key = match (text("kty")?, text("crv")?) {
            ("OKP", "Ed25519") => VerifyingKey::ed25519(jws::decode_exactly(text("x")?)?),
            ("EC", "P-256") => {
                let (x, y): ([u8; 32], [u8; 32]) = (jws::decode_exactly(text("x")?)?, jws::decode_exactly(text("y")?)?);
                VerifyingKey::p256([&[4][..], &x, &y].concat().try_into().expect("1 + 32 + 32 bytes"))
            }
            _ => return None,
        };
        (text("kid")? == key.kid().to_string()).then_some(key)
    }

    pub fn to_jwk(&self) -> Value {
        let kid = self.kid().to_string();
        match self.algorithm {
            SignatureAlgorithm::Ed25519 => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": jws::encode(&self.bytes)})
            }
            SignatureAlgorithm::Esp256 => {
                let (x, y) = (jws::encode(&self.bytes[1..33]), jws::encode(&self.bytes[33..]));
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y})
            }
        }
    }

    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// 32 bytes, or the 65 of an uncompressed point.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn kid(&self) -> Kid {
        match self.algorithm {
            SignatureAlgorithm::Ed25519 => ed25519_kid(self.bytes.as_slice().try_into().expect("32 bytes")),
            SignatureAlgorithm::Esp256 => p256_kid(self.bytes.as_slice().try_into().expect("65 bytes")),
        }
    }

    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let verified = match self.algorithm {
            SignatureAlgorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, signature),
            SignatureAlgorithm::Esp256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.bytes).verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

fn bytes_of<K: KeyPair>(pair: &K) -> Vec<u8> {
    pair.public_key().as_ref().to_vec()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    struct Fixed(u8);
    impl Entropy for Fixed {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
            bytes.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn a_generated_key_loads_and_signs() {
        let ed25519 = SigningKey::generate_pkcs8(&mut Fixed(7)).unwrap();
        let p256 = SigningKey::generate_p256_pkcs8().unwrap();
        for (der, algorithm) in [(ed25519, SignatureAlgorithm::Ed25519), (p256, SignatureAlgorithm::Esp256)] {
            let key = SigningKey::from_pkcs8(&der).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            assert!(key.verifying_key().verifies(b"text", &key.sign(b"text")));
            assert!(!key.verifying_key().verifies(b"other", &key.sign(b"text")));
            let read = VerifyingKey::from_jwk(&key.verifying_key().to_jwk());
            assert_eq!(read.as_ref(), Some(key.verifying_key()));
            let mut renamed = key.verifying_key().to_jwk();
            renamed["kid"] = json!("0000000000000000");
            assert_eq!(VerifyingKey::from_jwk(&renamed), None);
        }
    }

    #[test]
    fn what_is_no_signing_key_is_refused() {
        let key = SigningKey::generate_pkcs8(&mut Fixed(7)).unwrap();
        for der in [&key[..47], &[], &[0; 48], b"-----BEGIN PRIVATE KEY-----"] {
            assert_eq!(SigningKey::from_pkcs8(der).err(), Some(KeyRefused));
        }
    }
}
