//! Three roles, four datasets, two purposes: every combination through real sealing and opening.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use common::*;
use lingate_model::Class;
use lingate_sandbox::{Arrival, Authority, InitOptions, Intake, Store};
use lingate_seal::suite::{SUITE_P256, SUITE_X25519, SUITE_XWING};
use lingate_seal::{DataMessage, EpochTerms, PlantTerms, SignatureAlgorithm, SigningKey};

const ROLES: [&str; 3] = ["role:oem-quality", "role:service", "role:insurer"];
const PURPOSES: [&str; 2] = ["urn:lingate:purpose:remote-quality", "urn:lingate:purpose:maintenance"];
/// By dataset: which roles, which purposes.
const RIGHTS: [([bool; 3], [bool; 2]); 4] = [
    ([true, false, false], [true, false]),
    ([true, true, false], [false, true]),
    ([false, true, true], [true, true]),
    ([true, true, true], [true, false]),
];

fn dataset(at: usize) -> String {
    format!("ds-matrix-{at}")
}

fn chosen<'a>(names: &[&'a str], which: &[bool]) -> Vec<&'a str> {
    names.iter().zip(which).filter(|(_, yes)| **yes).map(|(name, _)| *name).collect()
}

fn policy() -> String {
    let mut text = "[bundle]\nvalid_days = 90\nepoch_seconds = 3600\nepoch_messages = 1048576\n\
                    [certificate]\nvalid_days = 90\n"
        .to_owned();
    for id in PURPOSES {
        text += &format!(
            "[[purpose]]\nid = {id:?}\nstatement = \"For {id}.\"\nvalid_from = \"2020-01-01T00:00:00Z\"\n\
             valid_until = \"2099-01-01T00:00:00Z\"\n"
        );
    }
    for id in ROLES {
        text += &format!("[[role]]\nid = {id:?}\nparty = \"urn:party:{id}\"\n");
    }
    for (at, (roles, purposes)) in RIGHTS.iter().enumerate() {
        let (roles, purposes) = (chosen(&ROLES, roles), chosen(&PURPOSES, purposes));
        text += &format!(
            "[[dataset]]\nid = {:?}\nalias = \"m{at}\"\npurposes = {purposes:?}\nroles = {roles:?}\n\
             class_ceiling = \"general\"\nretention_days = 30\n",
            dataset(at)
        );
    }
    text
}

fn matrix() -> (World, Gateway, lingate_seal::VerifiedBundle) {
    let folder = tempfile::tempdir().unwrap();
    let options = InitOptions { policy: Some(policy()), ..InitOptions::default() };
    let mut authority = Authority::init(&folder.path().join("sandbox"), &options).unwrap();
    let identity = authority.enroll_for_test("gw-0001", "acme").unwrap();
    let roots = lingate_seal::RootSet::from_file(&identity.root_json, &identity.root_sha256).unwrap();
    let bundle = lingate_seal::Bundle::verify(&identity.bundle, &roots, None, &identity.gateway, now().utc).unwrap();
    let any = bundle.grant(&dataset(0).parse().unwrap(), &PURPOSES[0].parse().unwrap(), Class::General, now().utc);
    let gateway = Gateway { identity, grant: any.unwrap() };
    (World { folder, authority }, gateway, bundle)
}

/// Everything of one epoch for this dataset and purpose, or nothing if the bundle does not grant it.
fn seal(gateway: &Gateway, bundle: &lingate_seal::VerifiedBundle, at: usize, purpose: &str) -> Option<Vec<Arrival>> {
    let (id, purpose) = (dataset(at).parse().unwrap(), purpose.parse().unwrap());
    let grant = bundle.grant(&id, &purpose, Class::General, now().utc).ok()?;
    let dataset = lingate_refine::DatasetPlan { id, purpose, ..plan() };
    let gateway_id = gateway.identity.gateway.clone();
    let software = "lingate 0.1.0 sha256:00".to_owned();
    let terms = EpochTerms { gateway: gateway_id, software, dataset, points: points(), devices: Vec::new(), grant };
    let mut stream = gateway.open_with(terms, None);
    stream.batch(&rows(0, 2));
    Some(stream.close().0)
}

#[test]
fn every_role_opens_exactly_what_it_was_granted() {
    let (world, gateway, bundle) = matrix();
    let (mut opened_pairs, mut refused_pairs, mut never_sealed) = (0, 0, 0);
    for (at, (roles, purposes)) in RIGHTS.iter().enumerate() {
        for (purpose, is_granted) in PURPOSES.iter().zip(purposes) {
            let sealed = seal(&gateway, &bundle, at, purpose);
            assert_eq!(sealed.is_some(), *is_granted, "{} for {purpose}", dataset(at));
            for (role, may_open) in ROLES.iter().zip(roles) {
                let Some(sealed) = &sealed else {
                    never_sealed += 1;
                    continue;
                };
                let file = format!(
                    "sqlite:{}",
                    world.folder.path().join(format!("{at}-{opened_pairs}-{refused_pairs}")).display()
                );
                let mut desk =
                    Desk { intake: Intake::new(world.authority.trust(role).unwrap(), Store::open(&file).unwrap()) };
                let readings = opened(&desk.take(sealed));
                let context = format!("{role}, {}, {purpose}", dataset(at));
                if *may_open {
                    assert_eq!(readings, expected(&rows(0, 2)), "{context}");
                    opened_pairs += 1;
                } else {
                    assert!(readings.is_empty(), "{context}");
                    assert_eq!((desk.rejected("not for us"), desk.rejected("refused epoch")), (1, 4), "{context}");
                    refused_pairs += 1;
                }
            }
        }
    }
    // Five granted pairs of dataset and purpose, each with three roles; three pairs were never granted.
    assert_eq!((opened_pairs, refused_pairs, never_sealed), (1 + 2 + 2 * 2 + 3, 5 * 3 - 10, 3 * 3));
}

#[test]
fn who_holds_two_roles_opens_what_either_may() {
    let (world, gateway, bundle) = matrix();
    let both = world.authority.trust_of(&[ROLES[0].to_owned(), ROLES[2].to_owned()]).unwrap();
    let mut desk = Desk { intake: Intake::new(both, Store::open(&world.store_file()).unwrap()) };
    let of = |at: usize, purpose: usize| seal(&gateway, &bundle, at, PURPOSES[purpose]).unwrap();
    for (at, purpose) in [(0, 0), (1, 1), (2, 0), (2, 1), (3, 0)] {
        assert_eq!(opened(&desk.take(&of(at, purpose))), expected(&rows(0, 2)), "{at}");
    }
}

#[test]
fn every_suite_is_sealed_for_and_opened_by_its_own_keys() {
    for (id, algorithm) in [
        (SUITE_X25519, SignatureAlgorithm::Ed25519),
        (SUITE_P256, SignatureAlgorithm::Esp256),
        (SUITE_XWING, SignatureAlgorithm::Ed25519),
    ] {
        let policy = policy().replace("[bundle]", &format!("[bundle]\nsuites = [{id}]"));
        let mut world = World::with(&InitOptions { policy: Some(policy), ..InitOptions::default() });
        let identity = world.authority.enroll_with("gw-0001", "acme", algorithm).unwrap();
        let roots = lingate_seal::RootSet::from_file(&identity.root_json, &identity.root_sha256).unwrap();
        let bundle =
            lingate_seal::Bundle::verify(&identity.bundle, &roots, None, &identity.gateway, now().utc).unwrap();
        let plant = PlantTerms { suites: vec![id], signature: algorithm, ..PlantTerms::default() };
        let (dataset, purpose) = (dataset(3).parse().unwrap(), PURPOSES[0].parse().unwrap());
        let grant = bundle.grant_within(&dataset, &purpose, Class::General, now().utc, &plant).unwrap();
        assert_eq!((grant.suite, grant.recipients.len()), (id, 3));
        let gateway = Gateway { identity, grant: grant.clone() };
        let terms = EpochTerms {
            gateway: gateway.identity.gateway.clone(),
            software: "lingate 0.1.0 sha256:00".to_owned(),
            dataset: lingate_refine::DatasetPlan { id: dataset, purpose, ..plan() },
            points: points(),
            devices: Vec::new(),
            grant,
        };
        let mut stream = gateway.open_with(terms, None);
        stream.batch(&rows(0, 2));
        let sealed = stream.close().0;
        for role in ROLES {
            let store = Store::open("sqlite::memory:").unwrap();
            let mut desk = Desk { intake: Intake::new(world.authority.trust(role).unwrap(), store) };
            assert_eq!(opened(&desk.take(&sealed)), expected(&rows(0, 2)), "suite {id:#06x}, {role}");
            let again = signed_again(&sealed[3], &gateway.signer());
            let is_other = again.payload != sealed[3].payload;
            assert_eq!(is_other, algorithm == SignatureAlgorithm::Esp256, "ECDSA is never the same twice");
            assert_eq!(alarms(&desk.take(&[again])), usize::from(is_other), "one record, two signatures");
        }
    }
}

/// The same record by the same key: the 64 bytes at the end are the signature.
fn signed_again(arrival: &Arrival, signer: &SigningKey) -> Arrival {
    let mut again = arrival.clone();
    let signature = signer.sign(&DataMessage::parse(&arrival.payload).unwrap().to_be_signed());
    let at = again.payload.len() - signature.len();
    again.payload[at..].copy_from_slice(&signature);
    again
}
