//! An epoch that this role can open: the content key and what was promised about the records.

use std::sync::Arc;

use hpke::aead::{Aead, AesGcm128, AesGcm256};
use hpke::kdf::HkdfSha256;
use hpke::kem::{DhP256HkdfSha256, X25519HkdfSha256, XWing};
use hpke::{Deserializable, Kem, OpModeR};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use lingate_seal::suite::{SUITE_P256, SUITE_XWING};
use lingate_seal::{Claims, ContentKey, DataMessage, KeyMessage, Kid, WrappedKey, wire};

use crate::keys::sha256;
use crate::trust::UsedKey;
use crate::{Rejected, RoleKey};

pub(crate) struct OpenEpoch {
    pub(crate) kid: Kid,
    id: [u8; 32],
    pub(crate) signer: Kid,
    pub(crate) claims: Claims,
    content_key: ContentKey,
    /// Once its record (seq 0) has come.
    pub(crate) catalogue: Option<Arc<wire::Catalogue>>,
    /// Names of points by alias, shared with every reading.
    pub(crate) names: Vec<Arc<str>>,
}

impl OpenEpoch {
    /// Opens a KEY whose signature and claims hold.
    pub(crate) fn open<'k>(key: &'k KeyMessage<'k>, keys: &[RoleKey]) -> Result<OpenEpoch, Rejected> {
        let ours = |wrapped: &'k WrappedKey<'k>| {
            keys.iter().find(|role| role.kid() == wrapped.kid).map(|role| (wrapped, role))
        };
        let (wrapped, role) = key.recipients.iter().find_map(ours).ok_or(Rejected::NotForUs)?;
        let layer_key = unwrap(role, wrapped.encapsulated, &key.info(wrapped), &wrapped.wrapped)?;
        let cose_key = gcm_open(&layer_key, key.iv, &key.aad(), key.ciphertext).ok_or(Rejected::Wrap)?;
        let content_key = ContentKey::parse(&cose_key).map_err(|_| Rejected::Wrap)?;
        if content_key.kid != key.kid() {
            return Err(Rejected::Wrap);
        }
        Ok(OpenEpoch {
            kid: key.kid(),
            id: *key.epoch_id(),
            signer: key.signer,
            claims: key.claims.clone(),
            content_key,
            catalogue: None,
            names: Vec::new(),
        })
    }

    pub(crate) fn key_use(&self) -> UsedKey {
        UsedKey { key_sha256: sha256(&*self.content_key.key), base_iv: self.content_key.base_iv }
    }

    /// The decrypted body of a record whose signature holds.
    pub(crate) fn open_record(&self, data: &DataMessage<'_>) -> Result<Vec<u8>, Rejected> {
        let nonce = self.content_key.nonce(data.seq);
        let plaintext = gcm_open(&self.content_key.key, nonce, &data.aad(&self.id), data.ciphertext);
        Ok(lingate_seal::unpack(&plaintext.ok_or(Rejected::Ciphertext)?)?)
    }

    /// Keeps the catalogue, if it is the promised one and declares nothing above the epoch's class.
    pub(crate) fn set_catalogue(&mut self, body: &[u8], catalogue: wire::Catalogue) -> Result<(), Rejected> {
        let is_dense = catalogue.tags.iter().enumerate().all(|(at, tag)| tag.alias as usize == at);
        let is_within = catalogue.tags.iter().all(|tag| tag.class <= self.claims.class as u32);
        let is_bounded = catalogue.tags.len() <= lingate_seal::CATALOGUE_TAGS_MAX;
        // What a later one adds might be values.
        let is_known = catalogue.schema <= lingate_seal::SCHEMA;
        if sha256(body) != self.claims.catalogue_sha256 || !is_dense || !is_within || !is_bounded || !is_known {
            return Err(Rejected::Catalogue);
        }
        self.names = catalogue.tags.iter().map(|tag| tag.name.as_str().into()).collect();
        self.catalogue = Some(Arc::new(catalogue));
        Ok(())
    }
}

/// HPKE base mode (RFC 9180, 5.1.1) with an empty aad, by the suite of the role's key.
fn unwrap(role: &RoleKey, encapsulated: &[u8], info: &[u8], wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, Rejected> {
    let open = match role.suite() {
        SUITE_P256 => open::<AesGcm256, DhP256HkdfSha256>,
        SUITE_XWING => open::<AesGcm256, XWing>,
        _ => open::<AesGcm128, X25519HkdfSha256>,
    };
    let opened = open(role.secret(), encapsulated, info, wrapped).ok_or(Rejected::Wrap)?;
    let key: [u8; 32] = opened.as_slice().try_into().map_err(|_| Rejected::Wrap)?;
    Ok(Zeroizing::new(key))
}

fn open<A: Aead, K: Kem>(
    secret: &[u8],
    encapsulated: &[u8],
    info: &[u8],
    wrapped: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let secret = K::PrivateKey::from_bytes(secret).ok()?;
    let encapsulated = K::EncappedKey::from_bytes(encapsulated).ok()?;
    let mode = OpModeR::Base;
    let opened = hpke::single_shot_open::<A, HkdfSha256, K>(&mode, &secret, &encapsulated, info, wrapped, &[]);
    opened.ok().map(Zeroizing::new)
}

fn gcm_open(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("an AES-256 key has 32 bytes"));
    let mut text = Zeroizing::new(ciphertext.to_vec());
    let length = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}
