use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::Kid;
use crate::cbor::{CborError, Decoder, Encoder};
use crate::suite::ALG_A256GCM;

/// An epoch's secret: what the KEY message carries as COSE_Key. Has no Debug; wiped when dropped.
pub struct ContentKey {
    pub kid: Kid,
    pub base_iv: [u8; 12],
    pub key: Zeroizing<[u8; 32]>,
}

impl ContentKey {
    /// From the opened plaintext of a KEY message: `{1:4, 2:kid, 3:3, 5:base_iv, -1:k}`.
    pub fn parse(cose_key: &[u8]) -> Result<ContentKey, CborError> {
        let mut cbor = Decoder::new(cose_key);
        cbor.map(5)?;
        cbor.exactly(1)?;
        cbor.exactly(4)?;
        cbor.exactly(2)?;
        let kid = Kid(cbor.bytes_exactly()?);
        cbor.exactly(3)?;
        cbor.exactly(ALG_A256GCM)?;
        cbor.exactly(5)?;
        let base_iv = cbor.bytes_exactly()?;
        cbor.exactly(-1)?;
        let key = Zeroizing::new(cbor.bytes_exactly()?);
        cbor.finish()?;
        Ok(ContentKey { kid, base_iv, key })
    }

    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Roomy enough never to grow: a reallocation would leave a copy of the key behind.
        let mut cbor = Encoder::with_capacity(128);
        cbor.map(5).int(1).int(4).int(2).bytes(&self.kid.0).int(3).int(ALG_A256GCM);
        cbor.int(5).bytes(&self.base_iv).int(-1).bytes(&*self.key);
        Zeroizing::new(cbor.finish())
    }

    /// RFC 9052, 3.1: base IV XOR the left-padded partial IV.
    pub fn nonce(&self, seq: u64) -> [u8; 12] {
        let mut nonce = self.base_iv;
        for (byte, piv) in nonce[4..].iter_mut().zip(seq.to_be_bytes()) {
            *byte ^= piv;
        }
        nonce
    }
}

/// Appends the tag. The caller never uses a (key, nonce) twice.
pub(crate) fn encrypt(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], text: &mut Vec<u8>) {
    gcm(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), text)
        .expect("a message is far below the 64 GiB that AES-GCM can take");
}

fn gcm(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("an AES-256 key has 32 bytes"))
}
