use std::fmt;
use std::sync::Arc;

use lingate_seal::SignatureAlgorithm;
use rustls::pki_types::{SubjectPublicKeyInfoDer, alg_id};
use rustls::sign::{Signer, SigningKey, public_key_to_spki};
use rustls::{Error, SignatureScheme};

use super::{Token, name};

/// The handshake's view of a key in a token.
pub(super) struct TlsKey(Arc<Token>);

impl TlsKey {
    pub(super) fn new(token: Arc<Token>) -> TlsKey {
        TlsKey(token)
    }

    fn scheme(&self) -> SignatureScheme {
        match self.0.public().algorithm() {
            SignatureAlgorithm::Esp256 => SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureAlgorithm::Ed25519 => SignatureScheme::ED25519,
        }
    }
}

impl fmt::Debug for TlsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name(&self.0.place))
    }
}

impl SigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme()).then(|| Box::new(TlsKey(self.0.clone())) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        let id = match self.0.public().algorithm() {
            SignatureAlgorithm::Esp256 => alg_id::ECDSA_P256,
            SignatureAlgorithm::Ed25519 => alg_id::ED25519,
        };
        Some(public_key_to_spki(&id, self.0.public().bytes()))
    }

    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        match self.0.public().algorithm() {
            SignatureAlgorithm::Esp256 => rustls::SignatureAlgorithm::ECDSA,
            SignatureAlgorithm::Ed25519 => rustls::SignatureAlgorithm::ED25519,
        }
    }
}

impl Signer for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.0.sign_raw(message).map_err(Error::General)?;
        Ok(encode(self.0.public().algorithm(), &signature))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme()
    }
}

/// As certificates and handshakes write a signature: ECDSA as `SEQUENCE { r, s }` (RFC 3279, 2.2.3).
pub(super) fn encode(algorithm: SignatureAlgorithm, signature: &[u8; 64]) -> Vec<u8> {
    match algorithm {
        SignatureAlgorithm::Ed25519 => signature.to_vec(),
        SignatureAlgorithm::Esp256 => {
            let body = [integer(&signature[..32]), integer(&signature[32..])].concat();
            [vec![0x30, u8::try_from(body.len()).expect("at most 70 bytes")], body].concat()
        }
    }
}

/// DER INTEGER of a big-endian unsigned number of 32 bytes.
fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take(number.len() - 1).take_while(|byte| **byte == 0).count();
    let digits = &number[zeros..];
    let pad: &[u8] = if digits[0] & 0x80 == 0 { &[] } else { &[0] };
    let length = u8::try_from(pad.len() + digits.len()).expect("at most 33 bytes");
    [&[0x02, length], pad, digits].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ecdsa_signature_is_two_shortest_integers() {
        let mut signature = [0; 64];
        (signature[31], signature[32]) = (5, 0x80);
        let der = encode(SignatureAlgorithm::Esp256, &signature);
        assert_eq!(der[..8], [0x30, 38, 2, 1, 5, 2, 33, 0]);
        assert_eq!((der[8], der.len()), (0x80, 40));
        assert_eq!(encode(SignatureAlgorithm::Esp256, &[0; 64]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        assert_eq!(encode(SignatureAlgorithm::Ed25519, &signature), signature);
    }
}
