//! Each primitive of the envelope against a published answer: for `lingate selftest`, which asks whether this CPU and this
//! build compute what everybody else computes.

use hpke::Kem;
use hpke::aead::{AesGcm128, AesGcm256};
use hpke::kem::{DhP256HkdfSha256, X25519HkdfSha256, XWing};
use hpke::{Deserializable, Serializable};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};

use crate::content_key::encrypt;
use crate::keys::VerifyingKey;
use crate::wrap::{Drawn, seal};

/// One primitive and whether it gave the published bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownAnswer {
    pub primitive: &'static str,
    /// Where the answer is published.
    pub source: &'static str,
    pub is_right: bool,
}

type Case = (&'static str, &'static str, fn() -> Option<bool>);

const CASES: [Case; 8] = [
    ("SHA-256", "FIPS 180-4, \"abc\"", sha256),
    ("AES-256-GCM", "McGrew and Viega, test case 16", aes_gcm),
    ("Ed25519 signing", "RFC 8032, 7.1, test 3", ed25519_signs),
    ("Ed25519 verifying", "RFC 8032, 7.1, test 3, and with a flipped bit", ed25519_verifies),
    ("ECDSA P-256", "RFC 6979, A.2.5, and a signature of its own", p256),
    ("HPKE X25519, AES-128-GCM", "RFC 9180, A.1.1", hpke_x25519),
    ("HPKE P-256, AES-256-GCM", "RFC 9180 vectors, mode 0, KEM 16, AEAD 2", hpke_p256),
    ("HPKE X-Wing, AES-256-GCM", "bytes that a recipient opened, SHA-256", hpke_xwing),
];

/// All of them, whether right or wrong; takes some milliseconds.
pub fn known_answers() -> Vec<KnownAnswer> {
    let ask = |(primitive, source, case): Case| KnownAnswer { primitive, source, is_right: case() == Some(true) };
    CASES.into_iter().map(ask).collect()
}

fn sha256() -> Option<bool> {
    let expected = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    Some(digest(&SHA256, b"abc").as_ref() == expected)
}

fn aes_gcm() -> Option<bool> {
    let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308").try_into().ok()?;
    let nonce = hex("cafebabefacedbaddecaf888").try_into().ok()?;
    let mut text = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    encrypt(&key, nonce, &hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"), &mut text);
    let expected = hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
         8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662\
         76fc6ece0f4e1768cddf8853bb2d551b");
    Some(text == expected)
}

const ED25519_PUBLIC: &str = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
const ED25519_SIGNATURE: &str = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
    18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";

fn ed25519_signs() -> Option<bool> {
    let seed = hex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7");
    let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &hex(ED25519_PUBLIC)).ok()?;
    Some(pair.sign(&[0xaf, 0x82]).as_ref() == hex(ED25519_SIGNATURE))
}

fn ed25519_verifies() -> Option<bool> {
    let key = VerifyingKey::ed25519(hex(ED25519_PUBLIC).try_into().ok()?);
    let good: [u8; 64] = hex(ED25519_SIGNATURE).try_into().ok()?;
    let mut flipped = good;
    flipped[40] ^= 1;
    Some(key.verifies(&[0xaf, 0x82], &good) && !key.verifies(&[0xaf, 0x82], &flipped))
}

fn p256() -> Option<bool> {
    let point = hex("0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
         7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
    let published: [u8; 64] = hex("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8")
    .try_into()
    .ok()?;
    let key = VerifyingKey::p256(point.clone().try_into().ok()?);
    let private = hex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
    let random = SystemRandom::new();
    let pair =
        EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &point, &random);
    let own: [u8; 64] = pair.ok()?.sign(&random, b"test").ok()?.as_ref().try_into().ok()?;
    Some(key.verifies(b"sample", &published) && key.verifies(b"test", &own) && !key.verifies(b"sample", &own))
}

const INFO: &str = "4f6465206f6e2061204772656369616e2055726e";
const AAD: &str = "436f756e742d30";
const TEXT: &str = "4265617574792069732074727574682c20747275746820626561757479";

fn hpke_x25519() -> Option<bool> {
    let recipient = hex("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d");
    let mut drawn = Drawn::fixed(hex("7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234"));
    let (encapsulated, sealed) =
        seal::<AesGcm128, X25519HkdfSha256>(&recipient, &hex(INFO), &hex(AAD), &hex(TEXT), &mut drawn).ok()?;
    let is_right = encapsulated == hex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
        && sealed == hex("f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a");
    Some(is_right)
}

fn hpke_p256() -> Option<bool> {
    let recipient = hex("04abc7e49a4c6b3566d77d0304addc6ed0e98512ffccf505e6a8e3eb25c685136f\
         853148544876de76c0f2ef99cdc3a05ccf5ded7860c7c021238f9e2073d2356c");
    let mut drawn = Drawn::fixed(hex("a90d3417c3da9cb6c6ae19b4b5dd6cc9529a4cc24efb7ae0ace1f31887a8cd6c"));
    let (encapsulated, sealed) =
        seal::<AesGcm256, DhP256HkdfSha256>(&recipient, &hex(INFO), &hex(AAD), &hex(TEXT), &mut drawn).ok()?;
    let is_right = encapsulated
        == hex("04c06b4f6bebc7bb495cb797ab753f911aff80aefb86fd8b6fcc35525f3ab5f03e\
             0b21bd31a86c6048af3cb2d98e0d3bf01da5cc4c39ff5370d331a4f1f7d5a4e0")
        && sealed == hex("58c61a45059d0c5704560e9d88b564a8b63f1364b8d1fcb3c4c6ddc1d291742465e902cd216f8908da49f8f96f");
    Some(is_right)
}

const XWING_SEED: [u8; 32] = [0x2a; 32];
const XWING_DRAWN: [u8; 64] = [0x07; 64];
/// SHA-256 of encapsulation and ciphertext: 1,165 bytes are too many to stand here.
const XWING_SHA256: &str = "492997bc6332476293035c2f20e2946f806067c8ec45ba012c9b94b84347f971";

fn hpke_xwing() -> Option<bool> {
    Some(digest(&SHA256, &xwing()?.concat()).as_ref() == hex(XWING_SHA256))
}

fn xwing() -> Option<[Vec<u8>; 2]> {
    let (_, public) = XWing::derive_keypair(&XWING_SEED);
    let public = <XWing as Kem>::PublicKey::from_bytes(&public.to_bytes()).ok()?.to_bytes().to_vec();
    let mut drawn = Drawn::fixed(XWING_DRAWN.to_vec());
    let (encapsulated, sealed) =
        seal::<AesGcm256, XWing>(&public, &hex(INFO), &hex(AAD), &hex(TEXT), &mut drawn).ok()?;
    Some([encapsulated, sealed])
}

/// Of a constant: two digits each.
fn hex(digits: &str) -> Vec<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
    digits.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | value(*digit))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use hpke::kdf::HkdfSha256;
    use hpke::{OpModeR, single_shot_open};

    use super::*;

    #[test]
    fn every_primitive_gives_its_published_answer() {
        let wrong: Vec<_> = known_answers().into_iter().filter(|answer| !answer.is_right).collect();
        let found = digest(&SHA256, &xwing().unwrap().concat());
        assert!(wrong.is_empty(), "{wrong:?}; X-Wing gives {found:?}");
    }

    /// A digest of our own output would say nothing by itself: the recipient opens it.
    #[test]
    fn what_x_wing_gives_is_opened_by_its_recipient() {
        let [encapsulated, sealed] = xwing().unwrap();
        let (private, _) = XWing::derive_keypair(&XWING_SEED);
        let encapsulated = <XWing as Kem>::EncappedKey::from_bytes(&encapsulated).unwrap();
        let opened = single_shot_open::<AesGcm256, HkdfSha256, XWing>(
            &OpModeR::Base,
            &private,
            &encapsulated,
            &hex(INFO),
            &sealed,
            &hex(AAD),
        );
        assert_eq!(opened.unwrap(), hex(TEXT));
    }
}
