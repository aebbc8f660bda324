use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::thumbprint::ed25519_kid;
use crate::{Entropy, EntropyFailed, Kid};

/// DER of an Ed25519 private key up to its 32-byte seed (RFC 8410, 10.3), as `openssl genpkey` writes it.
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The gateway's Ed25519 signing key. Has no Debug and never leaves memory from here.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: [u8; 32],
    kid: Kid,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signing key is not an Ed25519 key in PKCS#8 form")]
pub struct KeyRefused;

impl SigningKey {
    /// With or without the public key inside (RFC 8410).
    pub fn from_pkcs8(der: &[u8]) -> Result<SigningKey, KeyRefused> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| KeyRefused)?;
        let public = pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes");
        Ok(SigningKey { pair, public, kid: ed25519_kid(&public) })
    }

    /// A new key, as the DER that `from_pkcs8` takes.
    pub fn generate_pkcs8(entropy: &mut dyn Entropy) -> Result<Zeroizing<Vec<u8>>, EntropyFailed> {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill(&mut *seed)?;
        Ok(Zeroizing::new([&PKCS8_HEAD[..], &*seed].concat()))
    }

    /// First 8 bytes of the RFC 9679 COSE Key thumbprint (SHA-256).
    pub fn kid(&self) -> Kid {
        self.kid
    }

    pub fn public_key(&self) -> [u8; 32] {
        self.public
    }

    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message).as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

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
        let key = SigningKey::from_pkcs8(&SigningKey::generate_pkcs8(&mut Fixed(7)).unwrap()).unwrap();
        let public = UnparsedPublicKey::new(&ED25519, key.public_key());
        assert!(public.verify(b"text", &key.sign(b"text")).is_ok());
        assert!(public.verify(b"other", &key.sign(b"text")).is_err());
    }

    #[test]
    fn what_is_no_ed25519_key_is_refused() {
        let key = SigningKey::generate_pkcs8(&mut Fixed(7)).unwrap();
        for der in [&key[..47], &[], &[0; 48], b"-----BEGIN PRIVATE KEY-----"] {
            assert_eq!(SigningKey::from_pkcs8(der).err(), Some(KeyRefused));
        }
    }
}
