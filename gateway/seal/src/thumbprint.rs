use ring::digest::{SHA256, digest};

use crate::Kid;
use crate::cbor::Encoder;
use crate::suite::{SUITE_P256, SUITE_X25519, SUITE_XWING, Suite};

/// COSE curve numbers of the OKP key type (RFC 9053, table 18).
const X25519: i64 = 4;
const ED25519: i64 = 6;

/// Kid of a role's public key: the first 8 bytes of its RFC 9679 thumbprint.
pub fn x25519_kid(public: &[u8; 32]) -> Kid {
    okp_kid(X25519, public)
}

/// Kid of a signing key, the gateway's or the sandbox's root.
pub fn ed25519_kid(public: &[u8; 32]) -> Kid {
    okp_kid(ED25519, public)
}

/// Kid of a P-256 key, signing or encrypting, from its uncompressed point of 65 bytes (SEC 1, 2.3.3).
pub fn p256_kid(point: &[u8; 65]) -> Kid {
    let mut key = Encoder::with_capacity(80);
    key.map(4).int(1).int(2).int(-1).int(1).int(-2).bytes(&point[1..33]).int(-3).bytes(&point[33..]);
    kid(&key.finish())
}

/// Kid of a recipient's key. `None`: the bytes have not the length of this suite's keys.
pub fn recipient_kid(suite: &Suite, public: &[u8]) -> Option<Kid> {
    match suite.id {
        SUITE_X25519 => public.try_into().ok().map(x25519_kid),
        SUITE_P256 => public.try_into().ok().map(p256_kid),
        SUITE_XWING if public.len() == suite.public_bytes => {
            // An AKP key (draft-ietf-cose-dilithium): kty 7, its algorithm, its public key.
            let mut key = Encoder::with_capacity(32 + public.len());
            key.map(3).int(1).int(7).int(3).int(suite.wrap_number).int(-1).bytes(public);
            Some(kid(&key.finish()))
        }
        _ => None,
    }
}

/// RFC 9679, section 3: SHA-256 of the deterministic COSE_Key with the required members only (kty, crv, x).
fn okp_kid(curve: i64, x: &[u8; 32]) -> Kid {
    let mut key = Encoder::with_capacity(40);
    key.map(3).int(1).int(1).int(-1).int(curve).int(-2).bytes(x);
    kid(&key.finish())
}

fn kid(key: &[u8]) -> Kid {
    Kid(*sha256(key).first_chunk().expect("SHA-256 has 32 bytes"))
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_over_the_required_members_in_bytewise_order() {
        let mut key = vec![0xa3, 0x01, 0x01, 0x20, 0x04, 0x21, 0x58, 0x20];
        key.extend_from_slice(&[7; 32]);
        assert_eq!(x25519_kid(&[7; 32]).0, sha256(&key)[..8]);
        assert_ne!(x25519_kid(&[7; 32]), ed25519_kid(&[7; 32]));
    }
}
