//! The authority through its public door.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lingate_sandbox::{Authority, InitOptions, KeyChange};

fn authority(folder: &Path) -> Authority {
    Authority::init(&folder.join("sandbox"), &InitOptions::default()).unwrap()
}

#[test]
fn private_keys_are_for_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    for name in ["ca.key", "broker.key", "receiver.key", "receipt.key", "roles/oem-quality.jwk"] {
        let mode = std::fs::metadata(authority.folder().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    for key in std::fs::read_dir(authority.folder().join("root-keys")).unwrap() {
        assert_eq!(key.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn an_existing_folder_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let fingerprint = authority(folder.path()).root_sha256().unwrap();
    let error = Authority::init(&folder.path().join("sandbox"), &InitOptions::default()).err().unwrap();
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(Authority::open(&folder.path().join("sandbox")).unwrap().root_sha256().unwrap(), fingerprint);
}

#[test]
fn every_issue_raises_the_version_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = authority(folder.path());
    let identity = first.enroll_for_test("gw-0001", "acme").unwrap();
    assert_eq!(first.issue(&identity.enroll, KeyChange::Refuse).unwrap().bundle_version, 2);
    let mut second = Authority::open(first.folder()).unwrap();
    let issued = second.issue(&identity.enroll, KeyChange::Refuse).unwrap();
    assert_eq!(issued.bundle_version, 3);
    for name in ["gateway.pem", "sandbox-ca.pem", "root.json", "bundle.jws.json", "NEXT-STEPS.txt"] {
        assert!(issued.folder.join(name).exists(), "{name}");
    }
    let steps = std::fs::read_to_string(issued.folder.join("NEXT-STEPS.txt")).unwrap();
    assert!(steps.contains(&second.root_sha256().unwrap()) && steps.contains("mqtts://localhost:8883"));
}

#[test]
fn another_signing_key_for_a_known_gateway_needs_the_operators_word() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = authority(folder.path());
    let first = authority.enroll_for_test("gw-0001", "acme").unwrap();
    authority.enroll_for_test("gw-0001", "acme").unwrap();
    let error = authority.issue(&first.enroll, KeyChange::Refuse).unwrap_err();
    assert!(error.to_string().contains("--new-key"), "{error}");
    let known = authority.known_gateways().unwrap();
    assert_eq!((known.len(), known[0].keys.len()), (1, 2), "the older key still opens what is on its way");
}

#[test]
fn another_tenant_cannot_take_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = authority(folder.path());
    authority.enroll_for_test("gw-0001", "acme").unwrap();
    assert!(authority.enroll_for_test("gw-0001", "mallory").is_err());
}

#[test]
fn a_changed_enrolment_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = authority(folder.path());
    let enroll = authority.enroll_for_test("gw-0001", "acme").unwrap().enroll;
    let jws: serde_json::Value = serde_json::from_slice(&enroll).unwrap();
    for member in ["payload", "signature"] {
        let mut changed = jws.clone();
        let place = if member == "payload" { &mut changed[member] } else { &mut changed["signatures"][0][member] };
        let mut text = place.as_str().unwrap().to_owned();
        let flipped = if text.as_bytes()[40] == b'A' { "B" } else { "A" };
        text.replace_range(40..41, flipped);
        *place = text.into();
        assert!(authority.issue(changed.to_string().as_bytes(), KeyChange::Accept).is_err(), "{member}");
    }
    assert!(authority.issue(b"{}", KeyChange::Accept).is_err());
    assert!(authority.issue(&vec![b' '; 100_000], KeyChange::Accept).is_err());
}

#[test]
fn names_that_could_break_a_topic_or_a_path_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = authority(folder.path());
    for gateway in ["../gw", "gw/1", "+", "sandbox:receiver", ""] {
        assert!(authority.enroll_for_test(gateway, "acme").is_err(), "{gateway:?}");
    }
}
