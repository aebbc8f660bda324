use crate::Kid;

/// The gateway's Ed25519 signing key. Has no Debug and never leaves memory from here.
pub struct SigningKey {
    _private: (),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signing key is not an Ed25519 key in PKCS#8 form")]
pub struct KeyRefused;

impl SigningKey {
    pub fn from_pkcs8(_der: &[u8]) -> Result<SigningKey, KeyRefused> {
        todo!()
    }

    /// First 8 bytes of the RFC 9679 COSE Key thumbprint (SHA-256).
    pub fn kid(&self) -> Kid {
        todo!()
    }

    pub fn public_key(&self) -> [u8; 32] {
        todo!()
    }

    pub fn sign(&self, _message: &[u8]) -> [u8; 64] {
        todo!()
    }
}
