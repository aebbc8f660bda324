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

fn seal<A: Aead, K: Kem>(
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
struct Drawn {
    bytes: Zeroizing<Vec<u8>>,
    used: usize,
}

impl Drawn {
    fn from(entropy: &mut dyn Entropy, count: usize) -> Result<Drawn, EntropyFailed> {
        let mut bytes = Zeroizing::new(vec![0; count]);
        entropy.fill(&mut bytes)?;
        Ok(Drawn { bytes, used: 0 })
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

    /// RFC 9180, A.1.1, and the other base-mode entries of this suite in the working group's vector file.
    #[test]
    fn the_wrap_gives_the_bytes_of_the_rfc_9180_vectors() {
        let file: Value = serde_json::from_str(include_str!("../tests/vectors/rfc9180.json")).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert!(!vectors.is_empty());
        for vector in vectors {
            let first = &vector["encryptions"][0];
            let (info, aad, text) = (hex(&vector["info"]), hex(&first["aad"]), hex(&first["pt"]));
            let mut drawn = Drawn::from(&mut Fixed(hex(&vector["ikmE"])), 32).unwrap();
            let sealed = seal::<AesGcm128, X25519HkdfSha256>(&hex(&vector["pkRm"]), &info, &aad, &text, &mut drawn);
            let (encapsulated, sealed) = sealed.unwrap();
            assert_eq!(encapsulated, hex(&vector["enc"]));
            assert_eq!(sealed, hex(&first["ct"]));
            let opened =
                open::<AesGcm128, X25519HkdfSha256>(&hex(&vector["skRm"]), &encapsulated, &info, &aad, &sealed);
            assert_eq!(opened.unwrap(), text);
        }
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
