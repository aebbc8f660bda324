#![allow(clippy::unwrap_used, reason = "a test fails by panic")]
//! The inbox against bundles of a real authority, over restarts.

use base64::prelude::BASE64_STANDARD;
use lingate_sandbox::{Authority, InitOptions};
use lingate_seal::{Kid, SigningKey, jws};
use serde_json::{Value, json};

use super::*;
use crate::audit::spool;
use crate::bundle_history::KEPT;
use crate::clock::SystemClock;
use crate::entropy::SystemEntropy;
use crate::keys;

mod power;
mod refused;

struct World {
    home: tempfile::TempDir,
    authority: Authority,
    root_sha256: String,
}

impl World {
    fn new() -> World {
        let home = tempfile::tempdir().unwrap();
        let options = InitOptions {
            sandbox_id: "sandbox.test".to_owned(),
            broker_names: vec!["localhost".to_owned()],
            broker_port: 8883,
            ..InitOptions::default()
        };
        let authority = Authority::init(&home.path().join("sandbox"), &options).unwrap();
        fs::create_dir_all(home.path().join("state/inbox")).unwrap();
        fs::write(home.path().join("state/root.json"), authority.root_json().unwrap()).unwrap();
        let root_sha256 = authority.root_sha256().unwrap();
        World { home, authority, root_sha256 }
    }

    /// The next version.
    fn issue(&mut self) -> Vec<u8> {
        self.authority.enroll_for_test("gw-1", "acme").unwrap().bundle
    }

    fn root_key(&self) -> SigningKey {
        let mut keys = fs::read_dir(self.home.path().join("sandbox/root-keys")).unwrap();
        let pem = fs::read_to_string(keys.next().unwrap().unwrap().path()).unwrap();
        let base64: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
        SigningKey::from_pkcs8(&BASE64_STANDARD.decode(base64).unwrap()).unwrap()
    }

    /// Dropped an hour ago.
    fn drop_file(&self, name: &str, bytes: &[u8]) {
        let path = self.path(&format!("inbox/{name}"));
        fs::write(&path, bytes).unwrap();
        make_older(&path);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("state").join(name)
    }

    fn try_open(&self, utc: UtcMicros) -> Result<(Bundles, Option<Fault>), Fault> {
        let state_dir = self.home.path().join("state");
        let pinned = keys::pinned(&state_dir, &self.root_sha256).unwrap();
        Bundles::open(&state_dir, pinned, &"gw-1".parse().unwrap(), utc)
    }

    fn open(&self, utc: UtcMicros) -> (Bundles, Option<Fault>) {
        self.try_open(utc).unwrap()
    }
}

/// By an hour.
fn make_older(path: &Path) {
    let old = fs::metadata(path).unwrap().modified().unwrap() - Duration::from_secs(3600);
    fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
}

fn new_key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate_pkcs8(&mut SystemEntropy::new()).unwrap()).unwrap()
}

/// Another bundle in the place of this one: with the second root, which has this key alone.
fn with_second_root(bundle: &[u8], key: &SigningKey, signers: &[&SigningKey]) -> Vec<u8> {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": key.kid().to_string(),
        "x": BASE64_URL_SAFE_NO_PAD.encode(key.public_key())});
    changed(bundle, signers, |payload| {
        payload["root"] = json!({"version": 2, "threshold": 1, "keys": [jwk]});
        payload["prev"] = Value::Null;
    })
}

fn changed(bundle: &[u8], signers: &[&SigningKey], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let document: Value = serde_json::from_slice(bundle).unwrap();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(document["payload"].as_str().unwrap()).unwrap();
    let mut payload: Value = serde_json::from_slice(&payload).unwrap();
    change(&mut payload);
    let kids: Vec<Kid> = signers.iter().map(|key| key.kid()).collect();
    let signers: Vec<_> = kids.iter().zip(signers.iter().copied()).collect();
    jws::sign_general(payload.to_string().as_bytes(), &signers)
}

fn today() -> UtcMicros {
    SystemClock::start().now().utc
}

fn in_ten_years() -> UtcMicros {
    UtcMicros(today().0 + 10 * 365 * 86_400_000_000)
}

#[test]
fn an_accepted_bundle_is_on_disk_before_it_is_in_force_and_leaves_the_inbox() {
    let mut world = World::new();
    let bundle = world.issue();
    world.drop_file("bundle.jws.json", &bundle);
    let (mut bundles, fault) = world.open(today());
    assert!(fault.unwrap().what.contains("no sandbox bundle yet"));
    assert_eq!(bundles.scan(today()), [Found::Installed { version: 1 }]);
    assert_eq!(fs::read(world.path("bundle/current.jws.json")).unwrap(), bundle);
    assert!(!world.path("inbox/bundle.jws.json").exists());
    assert_eq!(world.open(today()).0.current().unwrap().version(), 1);
}

#[test]
fn an_older_bundle_never_comes_back_even_after_the_newer_one_expired() {
    let mut world = World::new();
    let (first, second) = (world.issue(), world.issue());
    world.drop_file("b.json", &second);
    world.open(today()).0.scan(today());
    for utc in [today(), in_ten_years()] {
        world.drop_file("a.json", &first);
        let (mut bundles, fault) = world.open(utc);
        assert_eq!(fault, None);
        assert!(matches!(&bundles.scan(utc)[..], [Found::Rejected { file, .. }] if file == "a.json"));
        assert_eq!(bundles.current().unwrap().version(), 2);
    }
    assert!(world.path("inbox/rejected/a.json.reason.txt").exists());
}

#[test]
fn a_file_that_is_still_being_copied_is_left_alone() {
    let mut world = World::new();
    let bundle = world.issue();
    fs::write(world.path("inbox/half.json"), &bundle[..bundle.len() / 2]).unwrap();
    let (mut bundles, _) = world.open(today());
    assert_eq!(bundles.scan(today()), []);
    fs::write(world.path("inbox/half.json"), &bundle).unwrap();
    assert_eq!(bundles.scan(today()), [Found::Installed { version: 1 }]);
}

#[test]
fn the_same_bundle_again_changes_nothing() {
    let mut world = World::new();
    let bundle = world.issue();
    let (mut bundles, _) = world.open(today());
    world.drop_file("a.json", &bundle);
    bundles.scan(today());
    world.drop_file("b.json", &bundle);
    assert_eq!(bundles.scan(today()), []);
    assert!(!world.path("inbox/b.json").exists() && !world.path("inbox/rejected").exists());
}

#[test]
fn rejected_files_do_not_pile_up() {
    let world = World::new();
    let (mut bundles, _) = world.open(today());
    for number in 0..3 * KEPT {
        world.drop_file(&format!("{number}.json"), b"{}");
        bundles.scan(today());
    }
    let kept = fs::read_dir(world.path("inbox/rejected")).unwrap().count();
    assert!(kept <= 2 * KEPT, "{kept} files");
}

#[test]
fn new_root_keys_stay_in_force_over_a_restart_and_the_old_ones_out_of_force() {
    let mut world = World::new();
    let (old, new) = (world.root_key(), new_key());
    let (first, second, third) = (world.issue(), world.issue(), world.issue());
    let steps = [with_second_root(&first, &new, &[&old, &new]), with_second_root(&second, &new, &[&new])];
    for (version, step) in (1..).zip(&steps) {
        world.drop_file("a.json", step);
        assert_eq!(world.open(today()).0.scan(today()), [Found::Installed { version }]);
        let (bundles, fault) = world.open(today());
        assert_eq!((bundles.current().map(VerifiedBundle::version), fault), (Some(version), None));
    }
    world.drop_file("a.json", &third);
    let found = world.open(today()).0.scan(today());
    assert!(matches!(&found[..], [Found::Rejected { reason, .. }] if reason.contains("root")), "{found:?}");
}

#[test]
fn an_older_bundle_does_not_come_back_when_the_stored_one_is_broken_or_gone() {
    for break_it in [|path: &Path| fs::write(path, b"{").unwrap(), |path: &Path| fs::remove_file(path).unwrap()] {
        let mut world = World::new();
        let (first, second) = (world.issue(), world.issue());
        world.drop_file("b.json", &second);
        world.open(today()).0.scan(today());
        break_it(&world.path("bundle/current.jws.json"));
        world.drop_file("a.json", &first);
        let (mut bundles, fault) = world.open(today());
        assert!(fault.is_some());
        assert!(matches!(&bundles.scan(today())[..], [Found::Rejected { .. }]));
        assert!(bundles.current().is_none());
        world.drop_file("b.json", &second);
        assert_eq!(bundles.scan(today()), [Found::Installed { version: 2 }], "the same one mends it");
        assert_eq!(world.open(today()).1, None);
    }
}

#[test]
fn without_the_record_of_what_was_accepted_nothing_is() {
    let mut world = World::new();
    let bundle = world.issue();
    world.drop_file("a.json", &bundle);
    world.open(today()).0.scan(today());
    let record = world.path("bundle/accepted.json");
    fs::write(&record, b"{}").unwrap();
    assert!(world.try_open(today()).err().unwrap().what.contains("accepted.json is damaged"));
    fs::remove_file(&record).unwrap();
    let fault = world.try_open(today()).err().unwrap();
    assert!(fault.what.contains("accepted.json cannot be read") && fault.hint.contains("begin anew"), "{fault}");
    fs::remove_dir_all(world.path("bundle")).unwrap();
    assert!(world.try_open(today()).is_ok(), "as the hint says");
}

/// The root changes with the bundle, so that it can be taken again only as it was judged the first time.
#[test]
fn after_a_crash_between_record_and_bundle_the_inbox_completes_it() {
    let mut world = World::new();
    let (old, new) = (world.root_key(), new_key());
    let (first, second) = (world.issue(), world.issue());
    let second = with_second_root(&second, &new, &[&old, &new]);
    for bundle in [&first, &second] {
        world.drop_file("a.json", bundle);
        world.open(today()).0.scan(today());
    }
    fs::write(world.path("bundle/current.jws.json"), &first).unwrap();
    let (mut bundles, fault) = world.open(today());
    assert!(fault.unwrap().what.contains("is refused: it is not the one that was accepted last"));
    assert!(bundles.current().is_none());
    world.drop_file("a.json", &second);
    assert_eq!(bundles.scan(today()), [Found::Installed { version: 2 }]);
    assert_eq!(world.open(today()).0.current().unwrap().version(), 2);
}

#[test]
fn another_pinned_root_is_refused_as_long_as_a_bundle_of_the_first_is_in_force() {
    let (mut world, other) = (World::new(), World::new());
    let bundle = world.issue();
    world.drop_file("a.json", &bundle);
    world.open(today()).0.scan(today());
    fs::write(world.path("root.json"), other.authority.root_json().unwrap()).unwrap();
    let first = std::mem::replace(&mut world.root_sha256, other.root_sha256.clone());
    let fault = world.try_open(today()).err().unwrap();
    assert_eq!(fault.setting, Setting::RootSha256);
    assert!(fault.what.contains(&first), "{fault}");
}

#[test]
fn a_bundle_that_is_not_valid_yet_waits_in_the_inbox_and_is_told_once() {
    let mut world = World::new();
    let bundle = world.issue();
    world.drop_file("a.json", &bundle);
    let clock_unset = UtcMicros(0);
    let (mut bundles, _) = world.open(clock_unset);
    assert!(matches!(&bundles.scan(clock_unset)[..], [Found::Waiting { file, .. }] if file == "a.json"));
    assert_eq!(bundles.scan(clock_unset), []);
    assert!(world.path("inbox/a.json").exists());
    assert_eq!(bundles.scan(today()), [Found::Installed { version: 1 }]);
}

/// A folder cannot be removed like a file.
#[test]
fn a_stored_bundle_is_in_force_even_if_its_file_cannot_leave_the_inbox() {
    let mut world = World::new();
    let bundle = world.issue();
    let (mut bundles, _) = world.open(today());
    let verified = bundles.verify(&bundle, today()).unwrap();
    let installed = bundles.install(&world.path("inbox"), &bundle, verified.clone(), true, UtcMicros(0));
    assert_eq!(installed, Some(Found::Installed { version: 1 }));
    assert_eq!(bundles.current().map(VerifiedBundle::version), Some(1));
    assert_eq!(world.open(today()).0.current().map(VerifiedBundle::version), Some(1));
    assert_eq!(bundles.install(&world.path("inbox"), &bundle, verified, true, UtcMicros(0)), None);
}
