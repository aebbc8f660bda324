use std::convert::Infallible;

use hpke::aead::{Aead, AesGcm128, AesGcm256};
use hpke::kdf::HkdfSha256;
use hpke::kem::{DhP256HkdfSha256, X25519HkdfSha256, XWing};
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeS, Serializable, single_shot_seal_with_rng};
use zeroize::Zeroizing;

use crate::suite::{SUITE_P256, SUITE_X25519, SUITE_XWING, Suite};
use crate::{Entropy, EntropyFailed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrapError {
    Entropy(EntropyFailed),
    /// Not a point that a shared secret can be made with, or a suite without code.
    PublicKey,
}

pub(crate) struct Wrapped {
    /// HPKE `enc`.
    pub(crate) encapsulated: Vec<u8>,
    /// The key and its tag.
    pub(crate) wrapped: [u8; 48],
}

/// HPKE base mode with an empty aad: what the wrap is bound to is in `info`.
pub(crate) fn wrap(
    suite: &Suite,
    recipient: &[u8],
    info: &[u8],
    key: &[u8; 32],
    entropy: &mut dyn Entropy,
) -> Result<Wrapped, WrapError> {
    let seal = match suite.id {
        SUITE_X25519 => seal::<AesGcm128, X25519HkdfSha256>,
        SUITE_P256 => seal::<AesGcm256, DhP256HkdfSha256>,
        SUITE_XWING => seal::<AesGcm256, XWing>,
        _ => return Err(WrapError::PublicKey),
    };
    let mut drawn = Drawn::from(entropy, suite.seed_bytes).map_err(WrapError::Entropy)?;
    let (encapsulated, wrapped) = seal(recipient, info, &[], key, &mut drawn)?;
    let wrapped = wrapped.try_into().expect("AES-GCM adds 16 bytes");
    Ok(Wrapped { encapsulated, wrapped })
}

/// Whether these bytes are a public key that a suite can wrap to.
pub(crate) fn is_public_key(suite: &Suite, bytes: &[u8]) -> bool {
    match suite.id {
        SUITE_X25519 => <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(bytes).is_ok(),
        SUITE_P256 => <DhP256HkdfSha256 as Kem>::PublicKey::from_bytes(bytes).is_ok(),
        SUITE_XWING => <XWing as Kem>::PublicKey::from_bytes(bytes).is_ok(),
        _ => false,
    }
}

pub(crate) fn seal<A: Aead, K: Kem>(
    recipient: &[u8],
    info: &[u8],
    aad: &[u8],
    text: &[u8],
    drawn: &mut Drawn,
) -> Result<(Vec<u8>, Vec<u8>), WrapError> {
    let public = K::PublicKey::from_bytes(recipient).map_err(|_| WrapError::PublicKey)?;
    let (encapsulated, sealed) =
        single_shot_seal_with_rng::<A, HkdfSha256, K>(&OpModeS::Base, &public, info, text, aad, drawn)
            .map_err(|_| WrapError::PublicKey)?;
    Ok((encapsulated.to_bytes().to_vec(), sealed))
}

/// The randomness of one encapsulation, drawn before the part that cannot fail begins.
pub(crate) struct Drawn {
    bytes: Zeroizing<Vec<u8>>,
    used: usize,
}

impl Drawn {
    fn from(entropy: &mut dyn Entropy, count: usize) -> Result<Drawn, EntropyFailed> {
        let mut bytes = Zeroizing::new(vec![0; count]);
        entropy.fill(&mut bytes)?;
        Ok(Drawn { bytes, used: 0 })
    }

    /// For answers that are known before.
    pub(crate) fn fixed(bytes: Vec<u8>) -> Drawn {
        Drawn { bytes: Zeroizing::new(bytes), used: 0 }
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let Ok(()) = self.try_fill_bytes(&mut taken);
        taken
    }
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.take()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.take()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        let end = self.used + bytes.len();
        bytes.copy_from_slice(self.bytes.get(self.used..end).expect("the table of suites says how much is taken"));
        self.used = end;
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use hpke::{OpModeR, single_shot_open};
    use serde_json::Value;

    use super::*;
    use crate::cbor::Decoder;
    use crate::key_message::recipient_structure;
    use crate::suite::suite;

    struct Fixed(Vec<u8>);

    impl Entropy for Fixed {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
            bytes.copy_from_slice(&self.0);
            Ok(())
        }
    }

    fn hex(value: &Value) -> Vec<u8> {
        let digits = value.as_str().unwrap().as_bytes();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// RFC 9180, appendix A.1.1 and A.3.1, and the same with the other AES-GCM.
    #[test]
    fn the_wrap_gives_the_bytes_of_the_rfc_9180_vectors() {
        let file: Value = serde_json::from_str(include_str!("../tests/vectors/rfc9180.json")).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 4);
        for vector in vectors {
            match (vector["kem_id"].as_u64().unwrap(), vector["aead_id"].as_u64().unwrap()) {
                (0x20, 1) => gives_the_bytes_of::<AesGcm128, X25519HkdfSha256>(vector),
                (0x20, 2) => gives_the_bytes_of::<AesGcm256, X25519HkdfSha256>(vector),
                (0x10, 1) => gives_the_bytes_of::<AesGcm128, DhP256HkdfSha256>(vector),
                (0x10, 2) => gives_the_bytes_of::<AesGcm256, DhP256HkdfSha256>(vector),
                other => panic!("{other:?}"),
            }
        }
    }

    fn gives_the_bytes_of<A: Aead, K: Kem>(vector: &Value) {
        let first = &vector["encryptions"][0];
        let (info, aad, text) = (hex(&vector["info"]), hex(&first["aad"]), hex(&first["pt"]));
        let mut drawn = Drawn::from(&mut Fixed(hex(&vector["ikmE"])), 32).unwrap();
        let sealed = seal::<A, K>(&hex(&vector["pkRm"]), &info, &aad, &text, &mut drawn);
        let (encapsulated, sealed) = sealed.unwrap();
        assert_eq!(encapsulated, hex(&vector["enc"]));
        assert_eq!(sealed, hex(&first["ct"]));
        assert_eq!(open::<A, K>(&hex(&vector["skRm"]), &encapsulated, &info, &aad, &sealed).unwrap(), text);
    }

    /// A recipient of the draft's vectors, read with our decoder.
    struct DraftRecipient {
        next_layer: i64,
        protected: Vec<u8>,
        encapsulated: Vec<u8>,
        wrapped: Vec<u8>,
    }

    fn draft_recipient(message: &[u8]) -> DraftRecipient {
        let mut cbor = Decoder::new(message);
        cbor.tag(96).unwrap();
        cbor.array(4).unwrap();
        let mut content = Decoder::new(cbor.bytes(16).unwrap());
        content.map(1).unwrap();
        content.exactly(1).unwrap();
        let next_layer = content.int().unwrap();
        cbor.map(1).unwrap();
        cbor.exactly(5).unwrap();
        cbor.bytes(32).unwrap();
        cbor.bytes(64).unwrap();
        cbor.array(1).unwrap();
        cbor.array(3).unwrap();
        let protected = cbor.bytes(64).unwrap().to_vec();
        cbor.map(1).unwrap();
        cbor.exactly(-4).unwrap();
        let (encapsulated, wrapped) = (cbor.bytes(65).unwrap().to_vec(), cbor.bytes(64).unwrap().to_vec());
        cbor.finish().unwrap();
        DraftRecipient { next_layer, protected, encapsulated, wrapped }
    }

    /// `-4: d` is the last entry of the vectors' COSE_Keys.
    fn draft_private_key(cose_key: &str) -> Vec<u8> {
        let bytes = hex(&Value::from(cose_key));
        assert_eq!(bytes[bytes.len() - 35..bytes.len() - 32], [0x23, 0x58, 0x20]);
        bytes[bytes.len() - 32..].to_vec()
    }

    /// What `external` stands for is not in the vectors' file: those with other info or aad must not open.
    #[test]
    fn the_draft_vectors_of_cose_hpke_open_with_our_recipient_info_and_with_no_other() {
        let (mut private, mut opened, mut refused) = (Vec::new(), 0, 0);
        let lines = include_str!("../tests/vectors/cose-hpke.txt").lines().filter(|line| !line.starts_with('#'));
        for line in lines {
            let parts: Vec<&str> = line.split(' ').collect();
            if parts[0] == "key" {
                private = draft_private_key(parts[2]);
                continue;
            }
            let recipient = draft_recipient(&hex(&Value::from(parts[3])));
            let info = recipient_structure(recipient.next_layer, &recipient.protected, b"");
            let open = match parts[1] {
                "HPKE-3-KE" => open::<AesGcm128, X25519HkdfSha256>,
                _ => open::<AesGcm256, DhP256HkdfSha256>,
            };
            let key = open(&private, &recipient.encapsulated, &info, b"", &recipient.wrapped);
            // The external aad of the layer below does not reach the wrap.
            let is_default = parts[2].ends_with("default-info,default-hpke-aad");
            assert_eq!(key.is_ok(), is_default, "{} {}", parts[1], parts[2]);
            if let Ok(key) = key {
                assert_eq!(key.len(), if recipient.next_layer == 1 { 16 } else { 32 });
                opened += 1;
            } else {
                refused += 1;
            }
        }
        assert_eq!((opened, refused), (4, 12));
    }

    #[test]
    fn a_wrapped_key_opens_only_with_the_same_info_in_every_suite() {
        opens_only_with_its_info::<AesGcm128, X25519HkdfSha256>(SUITE_X25519);
        opens_only_with_its_info::<AesGcm256, DhP256HkdfSha256>(SUITE_P256);
        opens_only_with_its_info::<AesGcm256, XWing>(SUITE_XWING);
    }

    fn opens_only_with_its_info<A: Aead, K: Kem>(id: u16) {
        let suite = suite(id).unwrap();
        let (private, public) = K::derive_keypair(&[9; 64]);
        let public = public.to_bytes();
        assert_eq!(public.len(), suite.public_bytes);
        assert!(is_public_key(suite, &public));
        let entropy = &mut Fixed(vec![1; suite.seed_bytes]);
        let sealed = wrap(suite, &public, b"info", &[5; 32], entropy).unwrap();
        assert_eq!(sealed.encapsulated.len(), suite.encapsulated_bytes);
        let private = private.to_bytes();
        let opened = |info| open::<A, K>(&private, &sealed.encapsulated, info, &[], &sealed.wrapped);
        assert_eq!(opened(b"info").unwrap(), [5; 32]);
        assert!(opened(b"other").is_err());
    }

    #[test]
    fn a_public_key_that_is_none_is_refused() {
        let refused = |id, bytes: &[u8]| {
            let suite = suite(id).unwrap();
            wrap(suite, bytes, b"", &[5; 32], &mut Fixed(vec![1; suite.seed_bytes])).err()
        };
        assert_eq!(refused(SUITE_X25519, &[0; 32]), Some(WrapError::PublicKey));
        assert_eq!(refused(SUITE_X25519, &[9; 31]), Some(WrapError::PublicKey));
        assert_eq!(refused(SUITE_P256, &[4; 65]), Some(WrapError::PublicKey));
        assert_eq!(refused(SUITE_XWING, &[0xff; 1_216]), Some(WrapError::PublicKey));
    }

    fn open<A: Aead, K: Kem>(
        private: &[u8],
        encapsulated: &[u8],
        info: &[u8],
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, hpke::HpkeError> {
        let private = K::PrivateKey::from_bytes(private)?;
        let encapsulated = K::EncappedKey::from_bytes(encapsulated)?;
        single_shot_open::<A, HkdfSha256, K>(&OpModeR::Base, &private, &encapsulated, info, sealed, aad)
    }
}
