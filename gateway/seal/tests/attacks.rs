//! What The Update Framework calls by name (specification, section 1.5.2), done to a bundle. Nothing of it is accepted,
//! and each is refused for its own reason.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use common::{Role, sha256, signing_key};
use lingate_model::{GatewayId, UtcMicros};
use lingate_seal::{
    BUNDLE_MAX, Bundle, BundleRefused, PreviousBundle, RootSet, SigningKey, VerifiedBundle, jws, x25519_kid,
};
use serde_json::{Value, json};

const NOW: UtcMicros = UtcMicros(1_795_400_000_000_000);
const SECOND: i64 = 1_795_400_000;

fn root(version: u64, threshold: usize, keys: &[&SigningKey]) -> Value {
    let keys: Vec<Value> = keys.iter().map(|key| key.verifying_key().to_jwk()).collect();
    json!({"version": version, "threshold": threshold, "keys": keys})
}

/// Version 12 under root 3, of which two of three keys (seeds 1, 2, 3) must sign.
fn payload() -> Value {
    let role = Role::new(1).public;
    let kid = x25519_kid(&role).to_string();
    json!({
        "spec": "lingate/1", "iss": "sandbox.lingang.example", "aud": ["gw-0001"], "version": 12,
        "prev": format!("sha256:{}", "ab".repeat(32)), "iat": SECOND, "nbf": SECOND - 100, "exp": SECOND + 10_000,
        "root": root(3, 2, &[&signing_key(1), &signing_key(2), &signing_key(3)]),
        "suites": [1],
        "keys": [{"kty": "OKP", "crv": "X25519", "kid": kid, "alg": "HPKE-3-KE", "use": "enc",
            "x": BASE64URL.encode(role), "nbf": SECOND - 10, "exp": SECOND + 5000}],
        "roles": [{"id": "role:oem-quality", "party": "urn:lei:1", "kids": [kid]}],
        "purposes": [{"id": "urn:p:quality", "statement": "Quality", "valid_from": "2026-01-01T00:00:00Z",
            "valid_until": "2027-01-01T00:00:00Z", "odrl": {"any": [1]}}],
        "datasets": [{"id": "ds-extr-07", "alias": "q7", "purposes": ["urn:p:quality"], "roles": ["role:oem-quality"],
            "class_ceiling": "general", "approval": null, "policy_sha256": [], "retention_days": 1095}],
        "rotation": {"epoch_s": 3600, "epoch_msgs": 1_048_576}, "ack": "broker",
        "revoked": [{"kid": "00000000000000aa", "at": "2026-11-01T00:00:00Z", "reason": "lost"}],
    })
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut payload = payload();
    change(&mut payload);
    payload
}

fn sign(payload: &str, seeds: &[u64]) -> Vec<u8> {
    let keys: Vec<SigningKey> = seeds.iter().map(|seed| signing_key(*seed)).collect();
    let kids: Vec<_> = keys.iter().map(SigningKey::kid).collect();
    jws::sign_general(payload.as_bytes(), &kids.iter().zip(&keys).collect::<Vec<_>>())
}

fn honest() -> Vec<u8> {
    sign(&payload().to_string(), &[1, 2])
}

fn gateway() -> GatewayId {
    "gw-0001".parse().unwrap()
}

fn roots() -> RootSet {
    RootSet::from_stored(payload()["root"].to_string().as_bytes()).unwrap()
}

/// A gateway that has version 11, whose hash version 12 names.
fn take_at(bytes: &[u8], utc: UtcMicros) -> Result<VerifiedBundle, BundleRefused> {
    let previous = PreviousBundle { version: 11, sha256: [0xab; 32] };
    Bundle::verify(bytes, &roots(), Some(&previous), &gateway(), utc)
}

fn take(bytes: &[u8]) -> Result<u64, BundleRefused> {
    take_at(bytes, NOW).map(|bundle| bundle.version())
}

fn refused(bytes: &[u8]) -> BundleRefused {
    take(bytes).expect_err("an attack")
}

/// The variant's name: the reason by kind.
fn kind(refused: &BundleRefused) -> String {
    let debug = format!("{refused:?}");
    debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

#[test]
fn the_bundle_that_is_attacked_here_is_accepted() {
    assert_eq!(take(&honest()), Ok(12));
}

#[test]
fn arbitrary_installation() {
    let threshold = BundleRefused::Threshold { root: 3, found: 0, needed: 2 };
    assert_eq!(refused(&sign(&payload().to_string(), &[])), threshold);
    assert_eq!(refused(&sign(&payload().to_string(), &[8, 9])), threshold);
    let own_root = changed(|p| p["root"] = root(4, 1, &[&signing_key(9)]));
    assert_eq!(refused(&sign(&own_root.to_string(), &[9])), threshold);
    let in_place = changed(|p| p["root"] = root(3, 1, &[&signing_key(9)]));
    assert_eq!(refused(&sign(&in_place.to_string(), &[9])), threshold);
}

#[test]
fn rollback() {
    for version in [0, 1, 10] {
        let old = sign(&changed(|p| p["version"] = json!(version)).to_string(), &[1, 2]);
        assert_eq!(refused(&old), BundleRefused::Rollback { stored: 11, found: version });
    }
    let other = sign(&changed(|p| p["version"] = json!(11)).to_string(), &[1, 2]);
    assert_eq!(refused(&other), BundleRefused::SameVersionOtherBytes { version: 11 });
    let back = sign(&changed(|p| p["root"]["version"] = json!(2)).to_string(), &[1, 2]);
    assert_eq!(refused(&back), BundleRefused::RootSkipped { current: 3, found: 2 });
}

#[test]
fn fast_forward() {
    for version in [13, u64::MAX] {
        let forged = sign(&changed(|p| p["version"] = json!(version)).to_string(), &[1, 9]);
        assert_eq!(refused(&forged), BundleRefused::Threshold { root: 3, found: 1, needed: 2 });
    }
    let beyond = payload().to_string().replacen("\"version\":12", "\"version\":18446744073709551616", 1);
    assert_eq!(kind(&refused(&sign(&beyond, &[1, 2]))), "Malformed");
    for found in [5, u64::MAX] {
        let skipped = sign(&changed(|p| p["root"]["version"] = json!(found)).to_string(), &[1, 2]);
        assert_eq!(refused(&skipped), BundleRefused::RootSkipped { current: 3, found });
    }
}

#[test]
fn indefinite_freeze() {
    let at = |second: i64| take_at(&honest(), UtcMicros(second * 1_000_000)).map(|_| ()).map_err(|e| kind(&e));
    assert_eq!(at(SECOND + 9_999), Ok(()));
    for second in [SECOND + 10_000, SECOND + 1_000_000_000] {
        assert_eq!(at(second), Err("Expired".to_owned()), "also the one in use, when it comes again");
    }
}

#[test]
fn endless_data() {
    let limit = BUNDLE_MAX;
    assert_eq!(refused(&vec![b'x'; limit + 1]), BundleRefused::TooLarge { bytes: limit + 1, limit });
    let deep = format!("{{\"payload\":{}", "[".repeat(limit - 20));
    assert_eq!(kind(&refused(deep.as_bytes())), "Malformed");
    let seeds: Vec<u64> = (1..=33).collect();
    assert_eq!(kind(&refused(&sign(&payload().to_string(), &seeds))), "Malformed");
}

#[test]
fn extraneous_dependencies() {
    for pointer in ["", "/keys/0", "/roles/0", "/purposes/0", "/datasets/0", "/rotation", "/revoked/0", "/root"] {
        let extended = changed(|p| p.pointer_mut(pointer).unwrap()["requires"] = json!("urn:other"));
        assert_eq!(kind(&refused(&sign(&extended.to_string(), &[1, 2]))), "Malformed", "{pointer:?}");
    }
    let dangling = [
        ("/datasets/0/roles/0", json!("role:nobody")),
        ("/datasets/0/purposes/0", json!("urn:p:other")),
        ("/roles/0/kids/0", json!("00000000000000bb")),
    ];
    for (pointer, value) in dangling {
        let bundle = changed(|p| *p.pointer_mut(pointer).unwrap() = value);
        assert_eq!(kind(&refused(&sign(&bundle.to_string(), &[1, 2]))), "Unresolved", "{pointer}");
    }
}

#[test]
fn mix_and_match() {
    let one: Value = serde_json::from_slice(&honest()).unwrap();
    let other = sign(&changed(|p| p["datasets"][0]["class_ceiling"] = json!("important")).to_string(), &[1, 2]);
    let other: Value = serde_json::from_slice(&other).unwrap();
    let mut payload_of_other = one.clone();
    payload_of_other["payload"] = other["payload"].clone();
    let mut signature_of_other = one.clone();
    signature_of_other["signatures"][1] = other["signatures"][1].clone();
    let mut header_of_neighbour = one.clone();
    header_of_neighbour["signatures"][0]["protected"] = one["signatures"][1]["protected"].clone();
    header_of_neighbour["signatures"][1]["protected"] = one["signatures"][0]["protected"].clone();
    for mixed in [payload_of_other, signature_of_other, header_of_neighbour] {
        assert_eq!(kind(&refused(mixed.to_string().as_bytes())), "BadSignature");
    }
    let other_line = sign(&changed(|p| p["prev"] = json!("cd".repeat(32))).to_string(), &[1, 2]);
    assert_eq!(refused(&other_line), BundleRefused::OtherPredecessor { version: 12 });
}

#[test]
fn wrong_software_installation() {
    for audience in [json!([]), json!(["gw-0002"]), json!(["gw-000"]), json!(["GW-0001"])] {
        let bundle = sign(&changed(|p| p["aud"] = audience).to_string(), &[1, 2]);
        assert_eq!(refused(&bundle), BundleRefused::WrongAudience { gateway: gateway() });
    }
    for (pointer, value) in [("/spec", json!("lingate/2")), ("/suites/0", json!(999)), ("/keys/0/alg", json!("none"))] {
        let bundle = changed(|p| *p.pointer_mut(pointer).unwrap() = value);
        assert_eq!(kind(&refused(&sign(&bundle.to_string(), &[1, 2]))), "Unknown", "{pointer}");
    }
}

#[test]
fn key_compromise_below_the_threshold() {
    let one_short = BundleRefused::Threshold { root: 3, found: 1, needed: 2 };
    assert_eq!(refused(&sign(&payload().to_string(), &[2])), one_short);
    assert_eq!(kind(&refused(&sign(&payload().to_string(), &[2, 2]))), "Duplicate");
    let lowered = changed(|p| p["root"] = root(4, 1, &[&signing_key(2)]));
    assert_eq!(refused(&sign(&lowered.to_string(), &[2])), one_short);
    let taken_over = changed(|p| p["root"] = root(4, 1, &[&signing_key(9)]));
    assert_eq!(refused(&sign(&taken_over.to_string(), &[2, 9])), one_short);
}

#[test]
fn key_compromise_after_a_rotation() {
    let rotated = changed(|p| p["root"] = root(4, 1, &[&signing_key(7)]));
    let roots = take_at(&sign(&rotated.to_string(), &[1, 2, 7]), NOW).unwrap().roots().clone();
    let later = changed(|p| {
        p["root"] = root(4, 1, &[&signing_key(7)]);
        p["version"] = json!(13);
    });
    let after = |seeds: &[u64]| {
        let bytes = sign(&later.to_string(), seeds);
        Bundle::verify(&bytes, &roots, None, &gateway(), NOW).map(|bundle| bundle.version())
    };
    assert_eq!(after(&[7]), Ok(13));
    assert_eq!(after(&[1, 2, 3]), Err(BundleRefused::Threshold { root: 4, found: 0, needed: 1 }));
    assert_eq!(kind(&after(&[1, 7]).unwrap_err()), "UnknownSigner");
}

/// One bundle, every bit of every byte.
#[test]
fn every_flipped_bit_is_refused_with_a_reason() {
    let bytes = honest();
    let mut reasons = BTreeMap::<String, usize>::new();
    let mut broken = bytes.clone();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            broken[at] ^= 1 << bit;
            *reasons.entry(kind(&refused(&broken))).or_default() += 1;
            broken[at] = bytes[at];
        }
    }
    assert_eq!(reasons.values().sum::<usize>(), bytes.len() * 8);
    for expected in ["BadSignature", "Malformed"] {
        assert!(reasons.contains_key(expected), "{reasons:?}");
    }
}

#[test]
fn a_bundle_cut_at_any_byte_is_refused_as_malformed() {
    let bytes = honest();
    for at in 0..bytes.len() {
        assert_eq!(kind(&refused(&bytes[..at])), "Malformed", "cut at {at}");
    }
    for more in [&b"x"[..], b"{}", b"\0"] {
        assert_eq!(kind(&refused(&[&bytes, more].concat())), "Malformed");
    }
}

#[test]
fn every_member_that_occurs_twice_is_refused() {
    let payload = payload();
    let members = with_member_twice(&payload, usize::MAX).1;
    assert!(members > 50, "{members}");
    for which in 0..members {
        let error = refused(&sign(&with_member_twice(&payload, which).0, &[1, 2]));
        let text = error.to_string();
        assert!(kind(&error) == "Malformed" && text.contains("occurs twice"), "{which}: {text}");
    }
    let outside: Value = serde_json::from_slice(&honest()).unwrap();
    for which in 0..with_member_twice(&outside, usize::MAX).1 {
        assert_eq!(kind(&refused(with_member_twice(&outside, which).0.as_bytes())), "Malformed");
    }
}

/// The document as text with member number `which` written twice, and how many members there are.
fn with_member_twice(document: &Value, which: usize) -> (String, usize) {
    fn write(value: &Value, which: usize, count: &mut usize) -> String {
        match value {
            Value::Object(members) => {
                let mut parts = Vec::new();
                for (name, value) in members {
                    let is_twice = *count == which;
                    *count += 1;
                    let part = format!("{}:{}", json!(name), write(value, which, count));
                    parts.extend(std::iter::repeat_n(part, 1 + usize::from(is_twice)));
                }
                format!("{{{}}}", parts.join(","))
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| write(item, which, count)).collect();
                format!("[{}]", items.join(","))
            }
            other => other.to_string(),
        }
    }
    let mut count = 0;
    (write(document, which, &mut count), count)
}

#[test]
fn the_same_bytes_again_change_nothing() {
    let bytes = honest();
    let stored = PreviousBundle { version: 12, sha256: sha256(&bytes) };
    let again = Bundle::verify(&bytes, &roots(), Some(&stored), &gateway(), NOW).unwrap();
    assert_eq!((again.version(), again.sha256()), (12, stored.sha256));
    let resigned = sign(&payload().to_string(), &[2, 3]);
    let other = Bundle::verify(&resigned, &roots(), Some(&stored), &gateway(), NOW).map(|_| ());
    assert_eq!(other, Err(BundleRefused::SameVersionOtherBytes { version: 12 }));
}
