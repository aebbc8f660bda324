use std::convert::Infallible;

use hpke::aead::AesGcm128;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeS, Serializable, single_shot_seal_with_rng};
use zeroize::Zeroizing;

use crate::{Entropy, EntropyFailed};

type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrapError {
    Entropy(EntropyFailed),
    /// Not a point that a shared secret can be made with.
    PublicKey,
}

pub(crate) struct Wrapped {
    pub(crate) encapsulated: [u8; 32],
    /// The key and its tag.
    pub(crate) wrapped: [u8; 48],
}

/// HPKE base mode with an empty aad: what the wrap is bound to is in `info`.
pub(crate) fn wrap(
    recipient: &[u8; 32],
    info: &[u8],
    key: &[u8; 32],
    entropy: &mut dyn Entropy,
) -> Result<Wrapped, WrapError> {
    let (encapsulated, wrapped) = seal(recipient, info, &[], key, entropy)?;
    let wrapped = wrapped.try_into().expect("AES-GCM adds 16 bytes");
    Ok(Wrapped { encapsulated, wrapped })
}

fn seal(
    recipient: &[u8; 32],
    info: &[u8],
    aad: &[u8],
    text: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<([u8; 32], Vec<u8>), WrapError> {
    let public = PublicKey::from_bytes(recipient).map_err(|_| WrapError::PublicKey)?;
    let mut drawn = Drawn::from(entropy).map_err(WrapError::Entropy)?;
    let (encapsulated, sealed) = single_shot_seal_with_rng::<AesGcm128, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        info,
        text,
        aad,
        &mut drawn,
    )
    .map_err(|_| WrapError::PublicKey)?;
    Ok((encapsulated.to_bytes().into(), sealed))
}

/// The keying material of one ephemeral key, drawn before the part that cannot fail begins.
struct Drawn {
    bytes: Zeroizing<[u8; 32]>,
    used: usize,
}

impl Drawn {
    fn from(entropy: &mut dyn Entropy) -> Result<Drawn, EntropyFailed> {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(&mut *bytes)?;
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
        bytes.copy_from_slice(self.bytes.get(self.used..end).expect("an X25519 key takes 32 bytes of randomness"));
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
            let recipient = hex(&vector["pkRm"]).try_into().unwrap();
            let mut entropy = Fixed(hex(&vector["ikmE"]));
            let (encapsulated, sealed) = seal(&recipient, &info, &aad, &text, &mut entropy).unwrap();
            assert_eq!(encapsulated.to_vec(), hex(&vector["enc"]));
            assert_eq!(sealed, hex(&first["ct"]));
            assert_eq!(open(&hex(&vector["skRm"]), &encapsulated, &info, &aad, &sealed).unwrap(), text);
        }
    }

    #[test]
    fn a_wrapped_key_opens_only_with_the_same_info() {
        let (private, public) = X25519HkdfSha256::derive_keypair(&[9; 32]);
        let recipient = public.to_bytes().into();
        let sealed = wrap(&recipient, b"info", &[5; 32], &mut Fixed(vec![1; 32])).unwrap();
        let opened = |info| open(&private.to_bytes(), &sealed.encapsulated, info, &[], &sealed.wrapped);
        assert_eq!(opened(b"info").unwrap(), [5; 32]);
        assert!(opened(b"other").is_err());
    }

    #[test]
    fn a_public_key_of_low_order_is_refused() {
        let refused = wrap(&[0; 32], b"", &[5; 32], &mut Fixed(vec![1; 32])).err();
        assert_eq!(refused, Some(WrapError::PublicKey));
    }

    fn open(
        private: &[u8],
        encapsulated: &[u8],
        info: &[u8],
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, hpke::HpkeError> {
        let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(private)?;
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated)?;
        let mode = OpModeR::Base;
        single_shot_open::<AesGcm128, HkdfSha256, X25519HkdfSha256>(&mode, &private, &encapsulated, info, sealed, aad)
    }
}
