//! Effective rights are bundle AND plant, in every direction: datasets, purposes, roles, classes, suites and vetoes.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use common::{Role, now, points, signing_key, terms};
use hpke::kem::{DhP256HkdfSha256, XWing};
use hpke::{Kem, Serializable};
use lingate_model::{BuiltinType, Class, DatasetId, PurposeId, UtcMicros};
use lingate_seal::suite::{SUITE_P256, SUITE_X25519, SUITE_XWING, suite};
use lingate_seal::{
    Acknowledgement, Bundle, BundleRefused, Epoch, EpochReceipt, Grant, KeyMessage, Kid, NotGranted, PlantTerms,
    Receipt, ReceiptRefused, RootSet, SealError, SignatureAlgorithm, SigningKey, VerifiedBundle, Veto, jws,
    recipient_kid,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: UtcMicros = UtcMicros(1_795_400_000_000_000);
const SECOND: i64 = 1_795_400_000;
const DATASETS: [&str; 4] = ["ds-a", "ds-b", "ds-c", "ds-d"];
const PURPOSES: [&str; 2] = ["urn:p:quality", "urn:p:maintenance"];
const ROLES: [&str; 3] = ["role:oem", "role:insurer", "role:plant"];

/// What a bundle says, as sets.
#[derive(Clone, Debug, Default)]
struct Said {
    /// By dataset: purposes, roles, important.
    datasets: Vec<(BTreeSet<usize>, BTreeSet<usize>, bool)>,
    suites: Vec<u16>,
    /// Key algorithms of each role.
    keys: Vec<BTreeSet<u16>>,
}

fn everything() -> Said {
    let all = || ((0..2).collect(), (0..3).collect(), true);
    let keys = vec![BTreeSet::from([SUITE_X25519]); 3];
    Said { datasets: (0..4).map(|_| all()).collect(), suites: vec![SUITE_X25519], keys }
}

fn public(suite: u16, role: usize) -> Vec<u8> {
    let seed = [role as u8 + 1; 64];
    match suite {
        SUITE_P256 => DhP256HkdfSha256::derive_keypair(&seed).1.to_bytes().to_vec(),
        SUITE_XWING => XWing::derive_keypair(&seed).1.to_bytes().to_vec(),
        _ => Role::new(role as u8 + 1).public.to_vec(),
    }
}

fn kid(id: u16, role: usize) -> Kid {
    recipient_kid(suite(id).unwrap(), &public(id, role)).unwrap()
}

fn key(id: u16, role: usize) -> Value {
    let (suite, bytes) = (suite(id).unwrap(), public(id, role));
    let mut key = json!({"kty": suite.kty, "kid": kid(id, role).to_string(), "alg": suite.wrap, "use": "enc",
        "nbf": SECOND - 10, "exp": SECOND + 5000});
    let text = |bytes: &[u8]| json!(BASE64_URL_SAFE_NO_PAD.encode(bytes));
    match id {
        SUITE_P256 => (key["crv"], key["x"], key["y"]) = (json!("P-256"), text(&bytes[1..33]), text(&bytes[33..])),
        SUITE_XWING => key["pub"] = text(&bytes),
        _ => (key["crv"], key["x"]) = (json!("X25519"), text(&bytes)),
    }
    key
}

fn payload(said: &Said) -> Value {
    let root = signing_key(1);
    let ids = |names: &[&str], set: &BTreeSet<usize>| set.iter().map(|at| names[*at].to_owned()).collect::<Vec<_>>();
    let dataset = |(at, (purposes, roles, important)): (usize, &(BTreeSet<usize>, BTreeSet<usize>, bool))| {
        json!({"id": DATASETS[at], "alias": format!("a{at}"), "purposes": ids(&PURPOSES, purposes),
            "roles": ids(&ROLES, roles), "class_ceiling": if *important { "important" } else { "general" },
            "approval": important.then_some("A-1")})
    };
    let role = |(at, suites): (usize, &BTreeSet<u16>)| {
        json!({"id": ROLES[at], "party": format!("urn:party:{at}"),
            "kids": suites.iter().map(|suite| kid(*suite, at).to_string()).collect::<Vec<_>>()})
    };
    let purpose = |id: &&str| {
        json!({"id": id, "statement": id, "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2027-01-01T00:00:00Z"})
    };
    let keys = said.keys.iter().enumerate().flat_map(|(at, suites)| suites.iter().map(move |suite| key(*suite, at)));
    json!({
        "spec": "lingate/1", "iss": "sandbox", "aud": ["gw-0001"], "version": 1, "iat": SECOND, "nbf": SECOND - 100,
        "exp": SECOND + 10_000, "root": {"version": 1, "threshold": 1, "keys": [root.verifying_key().to_jwk()]},
        "suites": said.suites, "keys": keys.collect::<Vec<_>>(),
        "roles": said.keys.iter().enumerate().map(role).collect::<Vec<_>>(),
        "purposes": PURPOSES.iter().map(purpose).collect::<Vec<_>>(),
        "datasets": said.datasets.iter().enumerate().map(dataset).collect::<Vec<_>>(),
        "rotation": {"epoch_s": 3600, "epoch_msgs": 1 << 20}, "ack": "broker",
    })
}

fn verify(payload: &Value) -> Result<VerifiedBundle, BundleRefused> {
    let root = signing_key(1);
    let roots = RootSet::from_stored(payload["root"].to_string().as_bytes()).unwrap();
    let bytes = jws::sign_general(payload.to_string().as_bytes(), &[(&root.kid(), &root)]);
    Bundle::verify(&bytes, &roots, None, &"gw-0001".parse().unwrap(), NOW)
}

fn bundle(said: &Said) -> VerifiedBundle {
    verify(&payload(said)).unwrap()
}

fn grant(
    bundle: &VerifiedBundle,
    dataset: usize,
    purpose: usize,
    class: Class,
    plant: &PlantTerms,
) -> Result<Grant, NotGranted> {
    let dataset: DatasetId = DATASETS[dataset].parse().unwrap();
    let purpose: PurposeId = PURPOSES[purpose].parse().unwrap();
    bundle.grant_within(&dataset, &purpose, class, NOW, plant)
}

fn said() -> impl Strategy<Value = Said> {
    let set = |of: usize| prop::collection::btree_set(0..of, 0..=of);
    let datasets = prop::collection::vec((set(2), set(3), any::<bool>()), 4);
    datasets.prop_map(|datasets| Said { datasets, ..everything() })
}

fn plant() -> impl Strategy<Value = PlantTerms> {
    let names = prop::collection::btree_set(0..3_usize, 0..=2);
    (prop::collection::btree_set(0..4_usize, 0..=2), names, any::<bool>()).prop_map(|(datasets, roles, by_party)| {
        let name = |at: &usize| if by_party { format!("urn:party:{at}") } else { ROLES[*at].to_owned() };
        let datasets = datasets.iter().map(|at| DATASETS[*at].parse().unwrap()).collect();
        let veto = Veto { everything: false, unclear: false, datasets, recipients: roles.iter().map(name).collect() };
        PlantTerms { veto, ..PlantTerms::default() }
    })
}

/// No epoch of `narrow` reaches anybody, or shows anything, that `wide` does not.
fn is_within(narrow: &Result<Grant, NotGranted>, wide: &Result<Grant, NotGranted>) -> bool {
    let Ok(narrow) = narrow else { return true };
    let Ok(wide) = wide else { return false };
    narrow.ceiling <= wide.ceiling
        && narrow.not_after <= wide.not_after
        && narrow.recipients.iter().all(|it| wide.recipients.iter().any(|other| other.kid == it.kid))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn more_in_the_bundle_never_widens_beyond_the_plant(said in said(), plant in plant(), important: bool) {
        let class = if important { Class::Important } else { Class::General };
        let (some, all) = (bundle(&said), bundle(&everything()));
        for (dataset, purpose) in (0..4).flat_map(|dataset| [(dataset, 0), (dataset, 1)]) {
            let (granted, most) =
                (grant(&some, dataset, purpose, class, &plant), grant(&all, dataset, purpose, class, &plant));
            prop_assert!(is_within(&granted, &most));
            prop_assert!(!plant.veto.forbids(&DATASETS[dataset].parse().unwrap()) || most.is_err());
            let Ok(most) = most else { continue };
            prop_assert!(most.ceiling <= class && most.purpose.as_str() == PURPOSES[purpose]);
            for recipient in &most.recipients {
                let role = (0..3).find(|role| kid(SUITE_X25519, *role) == recipient.kid).unwrap();
                let vetoed = [ROLES[role].to_owned(), format!("urn:party:{role}")];
                prop_assert!(vetoed.iter().all(|name| !plant.veto.recipients.contains(name)));
            }
        }
    }

    #[test]
    fn more_in_the_plant_never_widens_beyond_the_bundle(said in said(), plant in plant()) {
        let bundle = bundle(&said);
        for (dataset, purpose) in (0..4).flat_map(|dataset| [(dataset, 0), (dataset, 1)]) {
            let narrow = grant(&bundle, dataset, purpose, Class::General, &plant);
            let wide = grant(&bundle, dataset, purpose, Class::Important, &PlantTerms::default());
            prop_assert!(is_within(&narrow, &wide));
            let (purposes, roles, important) = &said.datasets[dataset];
            prop_assert_eq!(wide.is_ok(), purposes.contains(&purpose) && !roles.is_empty());
            let Ok(wide) = wide else { continue };
            let granted: BTreeSet<Kid> = wide.recipients.iter().map(|recipient| recipient.kid).collect();
            prop_assert_eq!(granted, roles.iter().map(|role| kid(SUITE_X25519, *role)).collect::<BTreeSet<_>>());
            prop_assert_eq!(wide.ceiling == Class::Important, *important);
        }
    }
}

#[test]
fn a_key_that_two_roles_share_is_vetoed_with_either_of_them() {
    let mut payload = payload(&everything());
    payload["roles"][1]["kids"] = payload["roles"][0]["kids"].clone();
    let bundle = verify(&payload).unwrap();
    let veto = Veto { recipients: [ROLES[1].to_owned()].into(), ..Veto::default() };
    let granted = grant(&bundle, 0, 0, Class::General, &PlantTerms { veto, ..PlantTerms::default() }).unwrap();
    assert_eq!(granted.recipients.iter().map(|it| it.kid).collect::<Vec<_>>(), [kid(SUITE_X25519, 2)]);
    let everyone = Veto { everything: true, ..Veto::default() };
    let refused = grant(&bundle, 0, 0, Class::General, &PlantTerms { veto: everyone, ..PlantTerms::default() });
    assert_eq!(refused, Err(NotGranted::Vetoed("ds-a".parse().unwrap())));
}

#[test]
fn a_suite_is_taken_only_if_plant_bundle_signing_key_and_every_role_have_it() {
    let with = |suites: &[u16], keys: [&[u16]; 3]| {
        let keys = keys.iter().map(|suites| suites.iter().copied().collect()).collect();
        bundle(&Said { suites: suites.to_vec(), keys, ..everything() })
    };
    let taken = |bundle: &VerifiedBundle, plant: &[u16], signature: SignatureAlgorithm| {
        let plant = PlantTerms { suites: plant.to_vec(), signature, ..PlantTerms::default() };
        grant(bundle, 0, 0, Class::General, &plant).map(|grant| (grant.suite, grant.recipients.len()))
    };
    let (ed25519, esp256) = (SignatureAlgorithm::Ed25519, SignatureAlgorithm::Esp256);
    let both: &[u16] = &[1, 2, 0x11];
    let all = with(both, [both; 3]);
    assert_eq!(taken(&all, &[1], ed25519), Ok((1, 3)));
    assert_eq!(taken(&all, &[0x11, 1], ed25519), Ok((0x11, 3)));
    assert_eq!(taken(&all, &[2, 1], ed25519), Ok((1, 3)), "the signing key is not for suite 2");
    assert_eq!(taken(&all, &[1, 2], esp256), Ok((2, 3)));
    for (bundle, plant, signature) in [
        (&all, &[2][..], ed25519),
        (&all, &[1], esp256),
        (&all, &[], ed25519),
        (&with(&[1], [both; 3]), &[0x11], ed25519),
        (&with(both, [both, both, &[1]]), &[0x11], ed25519),
        (&with(both, [&[0x11], both, both]), &[1], ed25519),
    ] {
        assert!(matches!(taken(bundle, plant, signature), Err(NotGranted::NoSuite { .. })), "{plant:?}");
    }
}

#[test]
fn an_epoch_of_every_suite_is_sealed_to_all_its_recipients() {
    for (id, der) in [
        (SUITE_X25519, SigningKey::generate_pkcs8(&mut common::Seeded::new(4)).unwrap()),
        (SUITE_P256, SigningKey::generate_p256_pkcs8().unwrap()),
        (SUITE_XWING, SigningKey::generate_pkcs8(&mut common::Seeded::new(4)).unwrap()),
    ] {
        let signer = SigningKey::from_pkcs8(&der).unwrap();
        let said = Said { suites: vec![id], keys: vec![BTreeSet::from([id]); 3], ..everything() };
        let plant = PlantTerms { suites: vec![id], signature: signer.algorithm(), ..PlantTerms::default() };
        let granted = grant(&bundle(&said), 0, 0, Class::General, &plant).unwrap();
        let points = points(&[(BuiltinType::Double, None)]);
        let opened = |signer: &SigningKey| {
            let terms = terms(points.clone(), granted.clone());
            Epoch::open(terms, None, now(0), signer, &mut common::Seeded::new(1))
        };
        let (_, sealed) = opened(&signer).unwrap();
        let message = KeyMessage::parse(sealed[0].bytes()).unwrap();
        assert_eq!((message.claims.suite, message.recipients.len()), (id, 3));
        assert!(message.is_signed_by_key(signer.verifying_key()));
        assert!(!message.is_signed_by(&signing_key(9).public_key()));
        let other = match id {
            SUITE_P256 => signing_key(3),
            _ => SigningKey::from_pkcs8(&SigningKey::generate_p256_pkcs8().unwrap()).unwrap(),
        };
        assert_eq!(opened(&other).err(), Some(SealError::Suite(id)), "no other suite is taken silently");
        // A suite that the claims do not name cannot be read into the message.
        for at in (0..sealed[0].bytes().len()).step_by(7) {
            assert!(KeyMessage::parse(&sealed[0].bytes()[..at]).is_err());
        }
    }
}

#[test]
fn a_receipt_counts_only_by_a_key_of_the_bundle_for_this_gateway_and_time() {
    let receipts = signing_key(7);
    let mut entry = receipts.verifying_key().to_jwk();
    for (name, value) in
        [("alg", json!("Ed25519")), ("use", json!("sig")), ("nbf", json!(SECOND - 10)), ("exp", json!(SECOND + 100))]
    {
        entry[name] = value;
    }
    let mut payload = payload(&everything());
    payload["ack"] = json!("receipt");
    assert_eq!(verify(&payload).err(), Some(BundleRefused::NoReceiptKey));
    payload["keys"].as_array_mut().unwrap().push(entry);
    let bundle = verify(&payload).unwrap();
    assert_eq!(bundle.acknowledgement(), Acknowledgement::Receipt);
    let receipt = |issuer: &str, gateway: &str, signer: &SigningKey| {
        let epochs = vec![EpochReceipt { kid: Kid([1; 8]), next: 5, beyond: vec![] }];
        Receipt { issuer: issuer.to_owned(), gateway: gateway.to_owned(), issued_at: SECOND, epochs }.sign(signer)
    };
    let judged = |bytes: &[u8], utc: UtcMicros| {
        Receipt::verify(bytes, &bundle, &"gw-0001".parse().unwrap(), utc).map(|receipt| receipt.epochs[0].next)
    };
    assert_eq!(judged(&receipt("sandbox", "gw-0001", &receipts), NOW), Ok(5));
    assert_eq!(judged(&receipt("sandbox", "gw-0002", &receipts), NOW), Err(ReceiptRefused::Gateway));
    assert_eq!(judged(&receipt("other", "gw-0001", &receipts), NOW), Err(ReceiptRefused::Issuer));
    let stranger = signing_key(8);
    assert_eq!(judged(&receipt("sandbox", "gw-0001", &stranger), NOW), Err(ReceiptRefused::Signer(stranger.kid())));
    let late = UtcMicros(NOW.0 + 100_000_000);
    assert_eq!(judged(&receipt("sandbox", "gw-0001", &receipts), late), Err(ReceiptRefused::Signer(receipts.kid())));
    let mut forged = receipt("sandbox", "gw-0001", &receipts);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(judged(&forged, NOW), Err(ReceiptRefused::Signature(receipts.kid())));
    // A key for receipts opens nothing.
    payload["roles"][0]["kids"] = json!([receipts.kid().to_string()]);
    assert!(matches!(verify(&payload), Err(BundleRefused::Unresolved { .. })));
}
