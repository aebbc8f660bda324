//! What the tests share: seeded randomness, a plan, and a receiver that does only what wire.md section 4 says.

#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::sync::Arc;
use std::time::Duration;

use hpke::aead::AesGcm128;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, Serializable, single_shot_open};
use lingate_model::{BuiltinType, Class, ClockState, DeviceIdentity, Now, PointId, Priority, Reading, UtcMicros};
use lingate_refine::{Batch, ContextKind, DatasetIndex, DatasetPlan, Export, ExportPlan, Flush, PointPlan, Refinery};
use lingate_seal::wire::sealed::Message;
use lingate_seal::{
    ContentKey, DataMessage, DescribedDevice, Entropy, EntropyFailed, Epoch, EpochTerms, Grant, KeyMessage, Recipient,
    Sealed, SigningKey, parse_body, unpack,
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// SHA-256 of seed and counter, block by block.
pub struct Seeded {
    pub seed: u64,
    block: u64,
}

impl Seeded {
    pub fn new(seed: u64) -> Seeded {
        Seeded { seed, block: 0 }
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        for chunk in bytes.chunks_mut(32) {
            chunk
                .copy_from_slice(&sha256(&[self.seed.to_be_bytes(), self.block.to_be_bytes()].concat())[..chunk.len()]);
            self.block += 1;
        }
        Ok(())
    }
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().try_into().unwrap()
}

pub fn signing_key(seed: u64) -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate_pkcs8(&mut Seeded::new(seed)).unwrap()).unwrap()
}

/// A role: its private and its public key.
pub struct Role {
    pub private: [u8; 32],
    pub public: [u8; 32],
}

impl Role {
    pub fn new(seed: u8) -> Role {
        let (private, public) = X25519HkdfSha256::derive_keypair(&[seed; 32]);
        Role { private: private.to_bytes().into(), public: public.to_bytes().into() }
    }

    pub fn recipient(&self) -> Recipient {
        Recipient::x25519(self.public)
    }
}

pub fn now(seconds: u64) -> Now {
    let monotonic = Duration::from_secs(seconds);
    let utc = UtcMicros(1_795_400_000_000_000 + monotonic.as_micros() as i64);
    Now { monotonic, utc, clock: ClockState::Synced }
}

pub fn dataset() -> DatasetPlan {
    DatasetPlan {
        id: "ds-extr-07".parse().unwrap(),
        purpose: "urn:lingate:purpose:remote-quality".parse().unwrap(),
        ceiling: Class::General,
        flush: Flush { readings: 100_000, age: Duration::from_secs(3600) },
        priority: Priority::Normal,
        padding: 0,
    }
}

/// Points with these types and places, all in dataset 0.
pub fn points(shapes: &[(BuiltinType, Option<u8>)]) -> Vec<Arc<PointPlan>> {
    let point = |(alias, (builtin_type, places)): (u32, &(BuiltinType, Option<u8>))| PointPlan {
        id: PointId(alias),
        name: format!("extruder-1/point-{alias}"),
        export: Some(Export::new(DatasetIndex(0), alias, Some(Class::General), Vec::new())),
        builtin_type: *builtin_type,
        rank: 0,
        places: *places,
        unit: Some("Cel".parse().unwrap()),
        range: Some(("0".parse().unwrap(), "400".parse().unwrap())),
        equipment: "Lingang/Hall2/Extrusion/Line7/E1".parse().unwrap(),
        interval: Duration::from_millis(500),
        source: format!("modbus-tcp holding:{alias} unit 1"),
    };
    (0..).zip(shapes).map(point).map(Arc::new).collect()
}

/// Type, places and number of dimensions.
pub type Shape = (BuiltinType, Option<u8>, u8);

/// Points of these shapes, all in dataset 0.
pub fn shaped(shapes: &[Shape]) -> Vec<Arc<PointPlan>> {
    let plain: Vec<_> = shapes.iter().map(|shape| (shape.0, shape.1)).collect();
    let ranked = |(point, shape): (Arc<PointPlan>, &Shape)| PointPlan { rank: shape.2, ..(*point).clone() };
    points(&plain).into_iter().zip(shapes).map(ranked).map(Arc::new).collect()
}

/// The same points, of which one tells the batch.
pub fn in_batches(mut points: Vec<Arc<PointPlan>>, place: usize) -> Vec<Arc<PointPlan>> {
    Arc::make_mut(&mut points[place]).export.as_mut().unwrap().context = Some(ContextKind::Batch);
    points
}

/// The one of all points.
pub fn device() -> DescribedDevice {
    let identity =
        DeviceIdentity { vendor: "Acme".to_owned(), product: "挤出机 7".to_owned(), revision: "2.1".to_owned() };
    let security = Some("Basic256Sha256, SignAndEncrypt".to_owned());
    DescribedDevice { name: "extruder-1".to_owned(), identity, security }
}

pub fn grant(roles: &[&Role]) -> Grant {
    let mut recipients: Vec<Recipient> = roles.iter().map(|role| role.recipient()).collect();
    recipients.sort_by_key(|recipient| recipient.kid);
    Grant {
        sandbox: "sandbox.lingang.example".to_owned(),
        alias: "q7".parse().unwrap(),
        purpose: dataset().purpose,
        purpose_statement_sha256: sha256(b"Remote quality analysis"),
        ceiling: Class::General,
        policies: Vec::new(),
        approval: None,
        bundle_version: 12,
        bundle_sha256: sha256(b"bundle"),
        suite: 1,
        recipients,
        epoch_seconds: 3600,
        epoch_messages: 1 << 20,
        not_after: UtcMicros(i64::MAX),
    }
}

pub fn terms(points: Vec<Arc<PointPlan>>, grant: Grant) -> EpochTerms {
    let gateway = "gw-0001".parse().unwrap();
    let software = "lingate 0.1.0 sha256:00".to_owned();
    EpochTerms { gateway, software, dataset: dataset(), points, devices: vec![device()], grant }
}

/// The only way to a batch: through the refinery.
pub fn batch(points: &[Arc<PointPlan>], readings: Vec<Reading>) -> Batch {
    let mut refinery = Refinery::new(ExportPlan { datasets: vec![dataset()], points: points.to_vec() });
    for reading in readings {
        assert!(refinery.refine(now(0), reading).is_none());
    }
    refinery.close(now(1), DatasetIndex(0)).unwrap()
}

pub fn open_epoch(points: Vec<Arc<PointPlan>>, role: &Role, signer: &SigningKey) -> (Epoch, Vec<Sealed>) {
    Epoch::open(terms(points, grant(&[role])), None, now(0), signer, &mut Seeded::new(1)).unwrap()
}

/// What a receiver keeps of an epoch.
pub struct Opened {
    pub key: ContentKey,
    pub epoch_id: [u8; 32],
}

/// `None` at the first thing that does not fit.
pub fn open_key(bytes: &[u8], gateway: &[u8; 32], role: &Role) -> Option<Opened> {
    let message = KeyMessage::parse(bytes).ok()?;
    if !message.is_signed_by(gateway) {
        return None;
    }
    let recipient = message.recipients.iter().find(|recipient| recipient.kid == role.recipient().kid)?;
    let layer_key = single_shot_open::<AesGcm128, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &<X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&role.private).ok()?,
        &<X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(recipient.encapsulated).ok()?,
        &message.info(recipient),
        &recipient.wrapped,
        &[],
    )
    .ok()?;
    let plain = decrypt(&layer_key, message.iv, &message.aad(), message.ciphertext)?;
    let key = ContentKey::parse(&plain).ok().filter(|key| key.kid == message.kid())?;
    Some(Opened { key, epoch_id: *message.epoch_id() })
}

pub fn open_data(bytes: &[u8], gateway: &[u8; 32], epoch: &Opened) -> Option<Message> {
    let message = DataMessage::parse(bytes).ok()?;
    if !message.is_signed_by(gateway) || message.kid != epoch.key.kid {
        return None;
    }
    let nonce = epoch.key.nonce(message.seq);
    let plain = decrypt(&*epoch.key.key, nonce, &message.aad(&epoch.epoch_id), message.ciphertext)?;
    parse_body(&unpack(&plain).ok()?).ok()
}

pub fn decrypt(key: &[u8], nonce: [u8; 12], aad: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let mut text = ciphertext.to_vec();
    let length = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}
