//! `tests/vectors/messages.json`: what every suite's messages look like, for receivers in other languages. With
//! `UPDATE=1` the file is written anew. Ed25519 suites give the same bytes every time; ECDSA does not, so suite 0x0002
//! is opened, not reproduced.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::sync::OnceLock;

use common::{Seeded, batch, dataset, in_batches, now, points, signing_key, terms};
use hpke::aead::{Aead, AesGcm128, AesGcm256};
use hpke::kdf::HkdfSha256;
use hpke::kem::{DhP256HkdfSha256, X25519HkdfSha256, XWing};
use hpke::{Deserializable, Kem, OpModeR, Serializable, single_shot_open};
use lingate_model::{BuiltinType, PointId, Reading, StatusCode, UtcMicros, Value as Reads};
use lingate_seal::cbor::{Decoder, Encoder};
use lingate_seal::suite::{SUITE_P256, SUITE_X25519, SUITE_XWING, suite};
use lingate_seal::{
    ContentKey, DataMessage, Epoch, GapCause, GapRecord, KeyMessage, Recipient, RecordKind, SigningKey, WrappedKey,
    parse_body, recipient_kid, unpack,
};
use serde_json::{Value, json};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/messages.json");
/// A P-256 key in PKCS#8, made for this file only.
const P256_PKCS8: &str = "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420e3178bd37dc201fc589b3a0d79e356735b6ad89267f6e11227d1645645900539a144034200042cbd5cd8df99ad0f335ac1c274f83d6ede2ec4fad83bd58269db25d41706858b40735dfbc436119da7189a6065442fabe98672371a448cd35111acf186fdcc62";
/// Within the payload of a KEY: behind tag, protected header and iv.
const COSE_KEY_AT: usize = 32;
const IDS: [u16; 3] = [SUITE_X25519, SUITE_P256, SUITE_XWING];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    from_hex(value.as_str().unwrap())
}

fn signer(id: u16) -> SigningKey {
    match id {
        SUITE_P256 => SigningKey::from_pkcs8(&from_hex(P256_PKCS8)).unwrap(),
        _ => signing_key(1),
    }
}

/// Private and public key of a role, as HPKE serializes them.
fn role_keys(id: u16, seed: u8) -> (Vec<u8>, Vec<u8>) {
    fn pair<K: Kem>(seed: u8) -> (Vec<u8>, Vec<u8>) {
        let (private, public) = K::derive_keypair(&[seed; 64]);
        (private.to_bytes().to_vec(), public.to_bytes().to_vec())
    }
    match id {
        SUITE_X25519 => pair::<X25519HkdfSha256>(seed),
        SUITE_P256 => pair::<DhP256HkdfSha256>(seed),
        _ => pair::<XWing>(seed),
    }
}

/// One point of each shape; readings of several types, a bad one, one that is not a count of its resolution.
fn readings() -> Vec<Reading> {
    let reading = |point: u32, value, row: i64| {
        Reading::good(PointId(point), value, UtcMicros(1_795_400_000_000_000 + row * 500_000))
    };
    let row = |n: i64| {
        let melt = match n {
            2 => Reading::bad(PointId(0), StatusCode::BAD_SENSOR_FAILURE, UtcMicros(1_795_400_001_000_000)),
            3 => reading(0, Reads::Double(0.1 + 0.2), n),
            _ => reading(0, Reads::Double((1_800 + n) as f64 / 10.0), n),
        };
        [melt, reading(1, Reads::UInt16(40 + n as u16), n), reading(2, Reads::String(format!("order-{n}").into()), n)]
    };
    (0..5).flat_map(row).collect()
}

fn vectors(id: u16) -> Value {
    let (signer, points) = (signer(id), in_batches(points(&shapes()), 2));
    let keys: Vec<(Vec<u8>, Vec<u8>)> = [11, 12].map(|seed| role_keys(id, seed)).to_vec();
    let kid = |public: &[u8]| recipient_kid(suite(id).unwrap(), public).unwrap();
    let mut recipients: Vec<Recipient> = keys
        .iter()
        .map(|(_, public)| Recipient { kid: kid(public), public: public.clone(), roles: Vec::new() })
        .collect();
    recipients.sort_by_key(|recipient| recipient.kid);
    let mut grant = common::grant(&[]);
    (grant.suite, grant.recipients) = (id, recipients);
    let terms = terms(points.clone(), grant);
    let (mut epoch, mut sealed) = Epoch::open(terms, None, now(0), &signer, &mut Seeded::new(id.into())).unwrap();
    sealed.push(epoch.seal_batch(&batch(&points, readings()), &signer).unwrap());
    let (device, from, to) = ("extruder-1".to_owned(), UtcMicros(1), UtcMicros(2));
    let gap = GapRecord::Slots { device, from, to, readings: 3, cause: GapCause::DeviceDown };
    sealed.push(epoch.seal_gap(&gap, &signer).unwrap());
    sealed.push(epoch.close(&signer).0.unwrap());
    let key = sealed[0].bytes().to_vec();
    let opened = open_key(id, &key, &signer, &keys[0].0).unwrap();
    let data: Vec<Value> = sealed[1..]
        .iter()
        .map(|sealed| {
            let body = open_data(sealed.bytes(), &signer, &opened).unwrap();
            json!({"kind": kind_name(sealed.kind()), "message": hex(sealed.bytes()), "body": hex(&body)})
        })
        .collect();
    let role = |(private, public): &(Vec<u8>, Vec<u8>)| json!({"kid": kid(public).to_string(), "public": hex(public), "private": hex(private)});
    json!({
        "suite": id,
        "name": suite(id).unwrap().name,
        "dataset": dataset().id.as_str(),
        "gateway": signer.verifying_key().to_jwk(),
        "roles": keys.iter().map(role).collect::<Vec<_>>(),
        "epoch_id": hex(&opened.epoch_id),
        "content_key": hex(&*opened.key.key),
        "base_iv": hex(&opened.key.base_iv),
        "key": hex(&key),
        "data": data,
        "refused": refused(&key, sealed[3].bytes(), &signer),
    })
}

fn shapes() -> Vec<(BuiltinType, Option<u8>)> {
    vec![(BuiltinType::Double, Some(1)), (BuiltinType::UInt16, None), (BuiltinType::String, None)]
}

fn kind_name(kind: RecordKind) -> String {
    format!("{kind:?}").to_lowercase()
}

/// What a receiver must not take. Those behind `signature` are signed by the gateway's true key, as a thief of it could.
fn refused(key: &[u8], data: &[u8], signer: &SigningKey) -> Value {
    let flipped = |message: &[u8], at: usize| {
        let mut changed = message.to_vec();
        changed[at] ^= 1;
        changed
    };
    let case = |what: &str, kind: &str, reason: &str, message: Vec<u8>| json!({"what": what, "kind": kind, "reason": reason, "message": hex(&message)});
    let thief = signing_key(99);
    json!([
        case("a bit of the signature", "key", "signature", flipped(key, key.len() - 1)),
        case("a bit of the claims", "key", "signature", flipped(key, 40)),
        case(
            "a bit of the encrypted COSE_Key, signed again",
            "key",
            "wrap",
            resigned(key, signer, |payload| {
                payload[COSE_KEY_AT] ^= 1;
            })
        ),
        case("cut in the middle", "key", "form", key[..key.len() / 2].to_vec()),
        case("a byte behind the end", "key", "form", [key, &[0]].concat()),
        case("a bit of the signature", "data", "signature", flipped(data, data.len() - 1)),
        case("a bit of the ciphertext", "data", "signature", flipped(data, data.len() - 80)),
        case(
            "a bit of the ciphertext, signed again",
            "data",
            "ciphertext",
            resigned(data, signer, |payload| {
                let last = payload.len() - 1;
                payload[last] ^= 1;
            })
        ),
        case("another number, signed again", "data", "ciphertext", renumbered(data, signer, &[9])),
        case("a number with a leading zero, signed again", "data", "form", renumbered(data, signer, &[0, 2])),
        case("no number, signed again", "data", "form", renumbered(data, signer, &[])),
        case("signed by another key under the gateway's name", "data", "signature", resigned(data, &thief, |_| {})),
        case("cut in the middle", "data", "form", data[..data.len() / 2].to_vec()),
    ])
}

/// The message with a changed payload and a signature of `signer`.
fn resigned(message: &[u8], signer: &SigningKey, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (protected, mut payload) = parts(message);
    change(&mut payload);
    sign(&protected, &payload, signer)
}

fn parts(message: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut cbor = Decoder::new(message);
    cbor.tag(18).unwrap();
    cbor.array(4).unwrap();
    let protected = cbor.bytes(1 << 16).unwrap().to_vec();
    cbor.map(0).unwrap();
    (protected, cbor.bytes(1 << 20).unwrap().to_vec())
}

fn sign(protected: &[u8], payload: &[u8], signer: &SigningKey) -> Vec<u8> {
    let mut structure = Encoder::default();
    structure.array(4).text("Signature1").bytes(protected).bytes(&[]).bytes(payload);
    let signature = signer.sign(&structure.finish());
    let mut cbor = Encoder::default();
    cbor.tag(18).array(4).bytes(protected).map(0).bytes(payload).bytes(&signature);
    cbor.finish()
}

fn renumbered(message: &[u8], signer: &SigningKey, partial_iv: &[u8]) -> Vec<u8> {
    let data = DataMessage::parse(message).unwrap();
    let mut cbor = Encoder::default();
    cbor.tag(16).array(3).bytes(&[0xa1, 1, 3]).map(2).int(4).bytes(&data.kid.0).int(6).bytes(partial_iv);
    cbor.bytes(data.ciphertext);
    sign(&parts(message).0, &cbor.finish(), signer)
}

/// What a receiver keeps of an epoch.
struct Opened {
    key: ContentKey,
    epoch_id: [u8; 32],
}

fn open_key(id: u16, message: &[u8], signer: &SigningKey, private: &[u8]) -> Result<Opened, &'static str> {
    let message = KeyMessage::parse(message).map_err(|_| "form")?;
    if message.signer != signer.kid() || !message.is_signed_by_key(signer.verifying_key()) {
        return Err("signature");
    }
    let (unwrap, public): (Unwrap, Vec<u8>) = match id {
        SUITE_X25519 => (unwrap::<AesGcm128, X25519HkdfSha256>, public_of::<X25519HkdfSha256>(private)),
        SUITE_P256 => (unwrap::<AesGcm256, DhP256HkdfSha256>, public_of::<DhP256HkdfSha256>(private)),
        _ => (unwrap::<AesGcm256, XWing>, public_of::<XWing>(private)),
    };
    let kid = recipient_kid(suite(id).unwrap(), &public).unwrap();
    let wrapped = message.recipients.iter().find(|recipient| recipient.kid == kid).ok_or("recipient")?;
    let layer_key = unwrap(private, wrapped, &message.info(wrapped)).ok_or("wrap")?;
    let plain = common::decrypt(&layer_key, message.iv, &message.aad(), message.ciphertext).ok_or("wrap")?;
    let key = ContentKey::parse(&plain).map_err(|_| "wrap")?;
    if key.kid != message.kid() {
        return Err("wrap");
    }
    Ok(Opened { key, epoch_id: *message.epoch_id() })
}

type Unwrap = fn(&[u8], &WrappedKey<'_>, &[u8]) -> Option<Vec<u8>>;

fn unwrap<A: Aead, K: Kem>(private: &[u8], wrapped: &WrappedKey<'_>, info: &[u8]) -> Option<Vec<u8>> {
    let private = K::PrivateKey::from_bytes(private).ok()?;
    let encapsulated = K::EncappedKey::from_bytes(wrapped.encapsulated).ok()?;
    single_shot_open::<A, HkdfSha256, K>(&OpModeR::Base, &private, &encapsulated, info, &wrapped.wrapped, &[]).ok()
}

fn public_of<K: Kem>(private: &[u8]) -> Vec<u8> {
    K::sk_to_pk(&K::PrivateKey::from_bytes(private).unwrap()).to_bytes().to_vec()
}

/// The decompressed body.
fn open_data(message: &[u8], signer: &SigningKey, epoch: &Opened) -> Result<Vec<u8>, &'static str> {
    let message = DataMessage::parse(message).map_err(|_| "form")?;
    if message.signer != signer.kid() || !message.is_signed_by_key(signer.verifying_key()) {
        return Err("signature");
    }
    if message.kid != epoch.key.kid {
        return Err("epoch");
    }
    let (nonce, aad) = (epoch.key.nonce(message.seq), message.aad(&epoch.epoch_id));
    let plain = common::decrypt(&*epoch.key.key, nonce, &aad, message.ciphertext).ok_or("ciphertext")?;
    unpack(&plain).map_err(|_| "plaintext")
}

/// Written at most once, whichever test comes first.
fn stored() -> Vec<Value> {
    static STORED: OnceLock<Vec<Value>> = OnceLock::new();
    STORED.get_or_init(read_or_update).clone()
}

fn read_or_update() -> Vec<Value> {
    if std::env::var_os("UPDATE").is_some() {
        let suites: Vec<Value> = IDS.into_iter().map(vectors).collect();
        std::fs::write(FILE, serde_json::to_string_pretty(&json!({"suites": suites})).unwrap() + "\n").unwrap();
    }
    let file: Value = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    file["suites"].as_array().unwrap().clone()
}

#[test]
fn the_committed_messages_of_every_suite_open_and_their_damaged_forms_do_not() {
    let suites = stored();
    assert_eq!(suites.len(), IDS.len());
    for (id, vector) in IDS.into_iter().zip(suites) {
        let (signer, name) = (signer(id), vector["name"].as_str().unwrap());
        assert_eq!(vector["gateway"], signer.verifying_key().to_jwk());
        for role in vector["roles"].as_array().unwrap() {
            let opened = open_key(id, &bytes(&vector["key"]), &signer, &bytes(&role["private"])).unwrap();
            assert_eq!((hex(&opened.epoch_id), hex(&*opened.key.key)), text_pair(&vector));
            for data in vector["data"].as_array().unwrap() {
                let body = open_data(&bytes(&data["message"]), &signer, &opened).unwrap();
                assert_eq!(body, bytes(&data["body"]), "{name}: {}", data["kind"]);
                assert!(parse_body(&body).is_ok());
            }
            for case in vector["refused"].as_array().unwrap() {
                let (message, private) = (bytes(&case["message"]), bytes(&role["private"]));
                let refused = match case["kind"].as_str().unwrap() {
                    "key" => open_key(id, &message, &signer, &private).err(),
                    _ => open_data(&message, &signer, &opened).err(),
                };
                assert_eq!(refused, case["reason"].as_str(), "{name}: {}", case["what"]);
            }
        }
        let stranger = role_keys(id, 13).0;
        assert_eq!(open_key(id, &bytes(&vector["key"]), &signer, &stranger).err(), Some("recipient"));
    }
}

fn text_pair(vector: &Value) -> (String, String) {
    let text = |name: &str| vector[name].as_str().unwrap().to_owned();
    (text("epoch_id"), text("content_key"))
}

#[test]
fn suites_that_sign_by_ed25519_give_the_committed_bytes_again() {
    for (id, vector) in IDS.into_iter().zip(stored()) {
        let again = vectors(id);
        if id != SUITE_P256 {
            assert_eq!(again, vector, "with UPDATE=1 the file is written anew: look at the difference first");
        }
        assert_eq!(again["epoch_id"], vector["epoch_id"], "the epoch's id does not hang on signatures");
    }
}
