//! Every rule by which a bundle is accepted (wire.md section 7) has its law here.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use common::{Role, sha256, signing_key};
use lingate_model::{Class, DatasetId, GatewayId, PurposeId, UtcMicros};
use lingate_seal::{
    BUNDLE_MAX, Bundle, BundleRefused, NotGranted, PreviousBundle, RootSet, SigningKey, VerifiedBundle, ed25519_kid,
    jws, x25519_kid,
};
use serde_json::{Value, json};

const NOW: UtcMicros = UtcMicros(1_795_400_000_000_000);
const SECOND: i64 = 1_795_400_000;

fn root(version: u64, threshold: usize, keys: &[&SigningKey]) -> Value {
    let key = |key: &&SigningKey| {
        let x = BASE64_URL_SAFE_NO_PAD.encode(key.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": ed25519_kid(&key.public_key()).to_string(), "x": x})
    };
    json!({"version": version, "threshold": threshold, "keys": keys.iter().map(key).collect::<Vec<_>>()})
}

fn root_set(root: &Value) -> RootSet {
    RootSet::from_stored(root.to_string().as_bytes()).unwrap()
}

fn role_key(seed: u8) -> Value {
    let public = Role::new(seed).public;
    json!({
        "kty": "OKP", "crv": "X25519", "kid": x25519_kid(&public).to_string(), "alg": "HPKE-3-KE", "use": "enc",
        "x": BASE64_URL_SAFE_NO_PAD.encode(public), "nbf": SECOND - 10, "exp": SECOND + 5000,
    })
}

fn role_kid(seed: u8) -> String {
    x25519_kid(&Role::new(seed).public).to_string()
}

/// Accepted as it is, under root version 3 with the key of seed 1.
fn payload() -> Value {
    json!({
        "spec": "lingate/1", "iss": "sandbox.lingang.example", "aud": ["gw-0000", "gw-0001"], "version": 12,
        "prev": null, "iat": SECOND, "nbf": SECOND - 100, "exp": SECOND + 10_000,
        "root": root(3, 1, &[&signing_key(1)]),
        "suites": [2, 1],
        "keys": [role_key(1), role_key(2)],
        "roles": [{"id": "role:oem-quality", "party": "urn:lei:1", "kids": [role_kid(1), role_kid(2)]}],
        "purposes": [{
            "id": "urn:lingate:purpose:remote-quality", "statement": "Remote quality analysis",
            "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2027-01-01T00:00:00Z", "odrl": {"any": [1]},
        }],
        "datasets": [{
            "id": "ds-extr-07", "alias": "q7", "purposes": ["urn:lingate:purpose:remote-quality"],
            "roles": ["role:oem-quality"], "class_ceiling": "general", "approval": null, "policy_sha256": [],
            "retention_days": 1095,
        }],
        "rotation": {"epoch_s": 3600, "epoch_msgs": 1_048_576}, "ack": "broker", "revoked": [],
    })
}

fn sign(payload: &Value, keys: &[&SigningKey]) -> Vec<u8> {
    sign_text(&payload.to_string(), keys)
}

fn sign_text(payload: &str, keys: &[&SigningKey]) -> Vec<u8> {
    let kids: Vec<_> = keys.iter().map(|key| key.kid()).collect();
    jws::sign_general(payload.as_bytes(), &kids.iter().zip(keys.iter().copied()).collect::<Vec<_>>())
}

fn verify(bytes: &[u8]) -> Result<VerifiedBundle, BundleRefused> {
    verify_after(bytes, None)
}

fn verify_after(bytes: &[u8], previous: Option<&PreviousBundle>) -> Result<VerifiedBundle, BundleRefused> {
    Bundle::verify(bytes, &root_set(&root(3, 1, &[&signing_key(1)])), previous, &gateway(), NOW)
}

fn gateway() -> GatewayId {
    "gw-0001".parse().unwrap()
}

/// The accepted payload with one change.
fn changed(change: impl FnOnce(&mut Value)) -> Result<VerifiedBundle, BundleRefused> {
    let mut payload = payload();
    change(&mut payload);
    verify(&sign(&payload, &[&signing_key(1)]))
}

fn refused(change: impl FnOnce(&mut Value)) -> BundleRefused {
    changed(change).map(|_| ()).expect_err("a bundle that breaks a rule")
}

fn grant(bundle: &VerifiedBundle, class: Class, utc: UtcMicros) -> Result<lingate_seal::Grant, NotGranted> {
    let dataset: DatasetId = "ds-extr-07".parse().unwrap();
    let purpose: PurposeId = "urn:lingate:purpose:remote-quality".parse().unwrap();
    bundle.grant(&dataset, &purpose, class, utc)
}

#[test]
fn a_bundle_that_keeps_every_rule_is_accepted_and_grants_what_it_says() {
    let bytes = sign(&payload(), &[&signing_key(1)]);
    let bundle = verify(&bytes).unwrap();
    assert_eq!((bundle.version(), bundle.sandbox()), (12, "sandbox.lingang.example"));
    assert_eq!(bundle.sha256(), sha256(&bytes));
    assert_eq!(bundle.expires(), UtcMicros((SECOND + 10_000) * 1_000_000));
    let grant = grant(&bundle, Class::General, NOW).unwrap();
    assert_eq!(grant.alias.as_str(), "q7");
    assert_eq!(grant.purpose_statement_sha256, sha256(b"Remote quality analysis"));
    assert_eq!(grant.recipients.len(), 2);
    assert!(grant.recipients[0].kid < grant.recipients[1].kid);
    assert_eq!(grant.not_after, UtcMicros((SECOND + 5000) * 1_000_000));
    assert_eq!((grant.epoch_seconds, grant.epoch_messages), (3600, 1 << 20));
}

#[test]
fn every_changed_byte_makes_it_refused() {
    let bytes = sign(&payload(), &[&signing_key(1)]);
    let mut broken = bytes.clone();
    for at in 0..bytes.len() {
        for mask in [0x01, 0x20, 0x80] {
            broken[at] ^= mask;
            assert!(verify(&broken).is_err(), "byte {at} changed by {mask:02x} was accepted");
            broken[at] = bytes[at];
        }
    }
    assert!(verify(&bytes[..bytes.len() - 1]).is_err());
    assert!(verify(&[&bytes[..], b"x"].concat()).is_err());
    assert!(verify(&bytes).is_ok());
}

#[test]
fn fewer_signatures_than_the_threshold_are_not_enough_and_one_key_counts_once() {
    let (one, two) = (signing_key(1), signing_key(2));
    let root = root(3, 2, &[&one, &two]);
    let mut payload = payload();
    payload["root"] = root.clone();
    let check = |keys: &[&SigningKey]| {
        Bundle::verify(&sign(&payload, keys), &root_set(&root), None, &gateway(), NOW).map(|_| ())
    };
    assert_eq!(check(&[&one]), Err(BundleRefused::Threshold { root: 3, found: 1, needed: 2 }));
    assert_eq!(check(&[]), Err(BundleRefused::Threshold { root: 3, found: 0, needed: 2 }));
    assert!(matches!(check(&[&one, &one]), Err(BundleRefused::Duplicate { .. })));
    assert_eq!(check(&[&two, &one]), Ok(()));
}

#[test]
fn a_signature_of_a_key_that_no_root_names_is_refused() {
    let stranger = signing_key(9);
    let alone = verify(&sign(&payload(), &[&stranger])).map(|_| ());
    assert_eq!(alone, Err(BundleRefused::Threshold { root: 3, found: 0, needed: 1 }));
    let beside = verify(&sign(&payload(), &[&signing_key(1), &stranger])).map(|_| ());
    assert_eq!(beside, Err(BundleRefused::UnknownSigner { kid: stranger.kid().to_string() }));
}

#[test]
fn a_new_root_needs_the_signatures_of_the_old_and_of_the_new_one() {
    let (old, new) = (signing_key(1), signing_key(2));
    let mut payload = payload();
    payload["root"] = root(4, 1, &[&new]);
    let threshold = |root| Some(BundleRefused::Threshold { root, found: 0, needed: 1 });
    assert_eq!(verify(&sign(&payload, &[&old])).err(), threshold(4));
    assert_eq!(verify(&sign(&payload, &[&new])).err(), threshold(3));
    let bundle = verify(&sign(&payload, &[&old, &new])).unwrap();
    assert_eq!(bundle.roots(), &root_set(&root(4, 1, &[&new])));
    assert_eq!(RootSet::from_stored(&bundle.roots().to_json()).as_ref(), Ok(bundle.roots()));
}

#[test]
fn a_root_cannot_be_skipped_go_back_or_change_in_place() {
    let (one, two) = (signing_key(1), signing_key(2));
    for found in [5, 2, 0] {
        let mut payload = payload();
        payload["root"] = root(found, 1, &[&one]);
        assert_eq!(verify(&sign(&payload, &[&one])).err(), Some(BundleRefused::RootSkipped { current: 3, found }));
    }
    let in_place = refused(|payload| payload["root"] = root(3, 1, &[&one, &two]));
    assert_eq!(in_place, BundleRefused::RootChangedInPlace { version: 3 });
}

#[test]
fn an_older_version_is_a_rollback_and_the_same_one_must_have_the_same_bytes() {
    let bytes = sign(&payload(), &[&signing_key(1)]);
    let previous = |version, sha256| PreviousBundle { version, sha256 };
    let after = |previous| verify_after(&bytes, Some(&previous)).map(|bundle| bundle.version());
    assert_eq!(after(previous(11, [0; 32])), Ok(12));
    assert_eq!(after(previous(12, sha256(&bytes))), Ok(12));
    assert_eq!(after(previous(12, [0; 32])), Err(BundleRefused::SameVersionOtherBytes { version: 12 }));
    assert_eq!(after(previous(13, [0; 32])), Err(BundleRefused::Rollback { stored: 13, found: 12 }));
}

#[test]
fn the_next_version_follows_the_one_that_it_names() {
    let mut payload = payload();
    payload["prev"] = json!(format!("sha256:{}", "ab".repeat(32)));
    let bytes = sign(&payload, &[&signing_key(1)]);
    let after = |version, byte| {
        verify_after(&bytes, Some(&PreviousBundle { version, sha256: [byte; 32] })).map(|bundle| bundle.version())
    };
    assert_eq!(after(11, 0xab), Ok(12));
    assert_eq!(after(11, 0xac), Err(BundleRefused::OtherPredecessor { version: 12 }));
    assert_eq!(after(7, 0xac), Ok(12), "bundles in between may have been missed");
}

#[test]
fn a_bundle_is_valid_from_nbf_to_before_exp() {
    let bytes = sign(&payload(), &[&signing_key(1)]);
    let roots = root_set(&root(3, 1, &[&signing_key(1)]));
    let at = |second: i64| Bundle::verify(&bytes, &roots, None, &gateway(), UtcMicros(second * 1_000_000)).map(|_| ());
    assert!(matches!(at(SECOND - 101), Err(BundleRefused::NotYetValid { .. })));
    assert_eq!(at(SECOND - 100), Ok(()));
    assert_eq!(at(SECOND + 9_999), Ok(()));
    assert!(matches!(at(SECOND + 10_000), Err(BundleRefused::Expired { .. })));
}

#[test]
fn a_bundle_for_another_gateway_is_refused() {
    let gateway = gateway();
    assert_eq!(refused(|p| p["aud"] = json!(["gw-0002"])), BundleRefused::WrongAudience { gateway });
}

#[test]
fn names_that_occur_twice_are_refused() {
    let kinds = [
        (refused(|p| p["keys"] = json!([role_key(1), role_key(2), role_key(1)])), "key"),
        (refused(|p| p["roles"] = json!([p["roles"][0], p["roles"][0]])), "role"),
        (refused(|p| p["purposes"] = json!([p["purposes"][0], p["purposes"][0]])), "purpose"),
        (refused(|p| p["datasets"] = json!([p["datasets"][0], p["datasets"][0]])), "dataset alias"),
        (
            refused(|p| {
                let mut other = p["datasets"][0].clone();
                other["alias"] = json!("q8");
                p["datasets"] = json!([p["datasets"][0], other]);
            }),
            "dataset",
        ),
    ];
    for (error, expected) in kinds {
        assert!(matches!(&error, BundleRefused::Duplicate { kind, .. } if *kind == expected), "{error}");
    }
}

#[test]
fn algorithms_classes_and_suites_that_nobody_knows_are_refused() {
    for error in [
        refused(|p| p["keys"][0]["alg"] = json!("HPKE-99-KE")),
        refused(|p| p["suites"] = json!([1, 0x7777])),
        refused(|p| p["spec"] = json!("lingate/2")),
        refused(|p| p["datasets"][0]["class_ceiling"] = json!("core")),
    ] {
        assert!(matches!(error, BundleRefused::Unknown { .. }), "{error}");
    }
    assert_eq!(refused(|p| p["suites"] = json!([0x101])), BundleRefused::NoSuite);
    assert_eq!(refused(|p| p["ack"] = json!("post")), BundleRefused::Acknowledgement("post".to_owned()));
}

#[test]
fn a_reference_to_something_that_is_not_there_is_refused() {
    for error in [
        refused(|p| p["keys"] = json!([role_key(1)])),
        refused(|p| p["datasets"][0]["roles"] = json!(["role:nobody"])),
        refused(|p| p["datasets"][0]["purposes"] = json!(["urn:other"])),
    ] {
        assert!(matches!(error, BundleRefused::Unresolved { .. }), "{error}");
    }
}

#[test]
fn a_key_under_another_keys_name_is_refused() {
    let error = refused(|p| p["keys"][0]["x"] = role_key(3)["x"].clone());
    assert_eq!(error, BundleRefused::WrongKid { kid: role_kid(1) });
}

#[test]
fn a_member_that_is_unknown_missing_or_there_twice_is_refused() {
    assert!(matches!(refused(|p| p["crit"] = json!([])), BundleRefused::Malformed(_)));
    assert!(matches!(refused(|p| drop(p.as_object_mut().unwrap().remove("exp"))), BundleRefused::Malformed(_)));
    let twice = payload().to_string().replacen("\"version\":12", "\"version\":13,\"version\":12", 1);
    let error = verify(&sign_text(&twice, &[&signing_key(1)])).err();
    assert!(matches!(&error, Some(BundleRefused::Malformed(text)) if text.contains("\"version\" occurs twice")));
}

#[test]
fn rotation_and_times_outside_of_their_bounds_are_refused() {
    for error in [
        refused(|p| p["rotation"]["epoch_s"] = json!(86_401)),
        refused(|p| p["rotation"]["epoch_s"] = json!(0)),
        refused(|p| p["rotation"]["epoch_msgs"] = json!(1_048_577)),
        refused(|p| p["nbf"] = json!(SECOND + 20_000)),
        refused(|p| p["exp"] = json!(i64::MAX)),
        refused(|p| p["purposes"][0]["valid_until"] = json!("tomorrow")),
        refused(|p| p["datasets"][0]["policy_sha256"] = json!(["sha256:xyz"])),
        refused(|p| p["datasets"][0]["alias"] = json!("a/b")),
    ] {
        assert!(matches!(error, BundleRefused::Malformed(_)), "{error}");
    }
}

#[test]
fn a_file_beyond_its_bound_is_refused_unread() {
    let error = verify(&vec![b' '; BUNDLE_MAX + 1]).err();
    assert_eq!(error, Some(BundleRefused::TooLarge { bytes: BUNDLE_MAX + 1, limit: BUNDLE_MAX }));
}

#[test]
fn only_ed25519_signatures_of_a_bundle_are_taken() {
    let text = String::from_utf8(sign(&payload(), &[&signing_key(1)])).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let kid = signing_key(1).kid().to_string();
    for header in [
        json!({"alg": "none", "kid": kid, "typ": "lingate-bundle+jws"}),
        json!({"alg": "HS256", "kid": kid, "typ": "lingate-bundle+jws"}),
        json!({"alg": "Ed25519", "kid": kid, "typ": "JWT"}),
        json!({"alg": "Ed25519", "kid": kid, "typ": "lingate-bundle+jws", "crit": ["b64"], "b64": false}),
    ] {
        let mut document = document.clone();
        document["signatures"][0]["protected"] = json!(BASE64_URL_SAFE_NO_PAD.encode(header.to_string()));
        assert!(verify(document.to_string().as_bytes()).is_err(), "{header}");
    }
}

#[test]
fn the_root_file_is_taken_only_under_its_fingerprint() {
    let file = root(1, 1, &[&signing_key(1)]).to_string();
    let fingerprint: String = sha256(file.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(RootSet::from_file(file.as_bytes(), &fingerprint).is_ok());
    assert!(RootSet::from_file(file.as_bytes(), &format!("SHA256:{}", fingerprint.to_uppercase())).is_ok());
    let spaced = format!("{file}\n");
    let error = RootSet::from_file(spaced.as_bytes(), &fingerprint).unwrap_err();
    assert!(error.to_string().contains(&fingerprint), "{error}");
}

#[test]
fn a_root_with_no_keys_or_an_impossible_threshold_is_refused() {
    let (one, two) = (signing_key(1), signing_key(2));
    for bad in [root(1, 0, &[&one]), root(1, 3, &[&one, &two]), root(1, 1, &[]), root(1, 1, &[&one, &one])] {
        assert!(RootSet::from_stored(bad.to_string().as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_revoked_key_gets_nothing_from_the_next_version_on() {
    let revoked = |kids: &[u8]| {
        let entry = |seed: &u8| json!({"kid": role_kid(*seed), "at": "2026-11-01T00:00:00Z", "reason": "lost"});
        let entries: Vec<Value> = kids.iter().map(entry).collect();
        changed(|payload| payload["revoked"] = json!(entries)).unwrap()
    };
    let one = grant(&revoked(&[1]), Class::General, NOW).unwrap();
    assert_eq!(one.recipients.iter().map(|r| r.kid.to_string()).collect::<Vec<_>>(), [role_kid(2)]);
    assert!(matches!(grant(&revoked(&[1, 2]), Class::General, NOW), Err(NotGranted::NoRecipient(_))));
}

#[test]
fn a_key_of_a_suite_that_is_not_built_in_is_known_but_no_recipient() {
    let bundle = changed(|p| {
        let kid = role_kid(2);
        p["keys"][1] = json!({
            "kty": "EC", "crv": "SM2", "kid": kid, "alg": "GB/T 35275", "use": "enc", "x": "AA", "y": "AA",
            "nbf": SECOND - 10, "exp": SECOND + 5000,
        });
    })
    .unwrap();
    assert_eq!(grant(&bundle, Class::General, NOW).unwrap().recipients.len(), 1);
}

#[test]
fn the_stricter_of_bundle_and_plant_decides_the_class() {
    let bundle = changed(|_| {}).unwrap();
    assert_eq!(grant(&bundle, Class::Important, NOW).unwrap().ceiling, Class::General);
    let without = changed(|p| p["datasets"][0]["class_ceiling"] = json!("important")).unwrap();
    assert!(matches!(grant(&without, Class::Important, NOW), Err(NotGranted::ApprovalMissing(_))));
    assert_eq!(grant(&without, Class::General, NOW).unwrap().ceiling, Class::General);
    let with = changed(|p| {
        p["datasets"][0]["class_ceiling"] = json!("important");
        p["datasets"][0]["approval"] = json!("CAC-2026-0815");
    });
    let granted = grant(&with.unwrap(), Class::Important, NOW).unwrap();
    assert_eq!((granted.ceiling, granted.approval.as_deref()), (Class::Important, Some("CAC-2026-0815")));
}

#[test]
fn what_is_not_listed_or_not_valid_is_not_granted() {
    let bundle = changed(|_| {}).unwrap();
    let (dataset, purpose): (DatasetId, PurposeId) = ("ds-x".parse().unwrap(), "urn:x".parse().unwrap());
    let known: DatasetId = "ds-extr-07".parse().unwrap();
    let unknown = bundle.grant(&dataset, &purpose, Class::General, NOW);
    assert_eq!(unknown, Err(NotGranted::UnknownDataset(dataset)));
    let refused = bundle.grant(&known, &purpose, Class::General, NOW);
    assert_eq!(refused, Err(NotGranted::PurposeNotGranted { dataset: known, purpose }));
    let after = |seconds: i64| grant(&bundle, Class::General, UtcMicros(NOW.0 + seconds * 1_000_000));
    assert!(matches!(after(5001), Err(NotGranted::NoRecipient(_))));
    assert!(matches!(after(10_001), Err(NotGranted::BundleExpired)));
    let old = changed(|p| p["purposes"][0]["valid_until"] = json!("2026-06-01T00:00:00Z")).unwrap();
    assert!(matches!(grant(&old, Class::General, NOW), Err(NotGranted::PurposeExpired(_))));
}
