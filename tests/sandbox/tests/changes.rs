//! Every change of keys and rights, judged by the gateway's own bundle rules.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use common::*;
use lingate_model::Class;
use lingate_sandbox::{Authority, DatasetChange, InitOptions, Issued, KeyChange, PurposeChange};
use lingate_seal::{Bundle, BundleRefused, NotGranted, PreviousBundle, RootSet, VerifiedBundle};

const PURPOSE: &str = "urn:lingate:purpose:remote-quality";

/// A gateway's memory: its roots and its last bundle.
struct Plant {
    roots: RootSet,
    previous: Option<PreviousBundle>,
}

impl Plant {
    fn new(authority: &Authority) -> Plant {
        let root = authority.root_json().unwrap();
        Plant { roots: RootSet::from_file(&root, &authority.root_sha256().unwrap()).unwrap(), previous: None }
    }

    fn take(&mut self, issued: &Issued) -> Result<VerifiedBundle, BundleRefused> {
        let previous = self.previous.as_ref();
        let bundle = Bundle::verify(&issued.bundle, &self.roots, previous, &issued.gateway, now().utc)?;
        self.roots = bundle.roots().clone();
        self.previous = Some(PreviousBundle { version: bundle.version(), sha256: bundle.sha256() });
        Ok(bundle)
    }
}

/// An authority with these root keys, one gateway, and what the gateway remembers after its first bundle.
fn enrolled(root_keys: usize, root_threshold: usize) -> (World, Plant) {
    let folder = tempfile::tempdir().unwrap();
    let options = InitOptions { root_keys, root_threshold, ..InitOptions::default() };
    let mut authority = Authority::init(&folder.path().join("sandbox"), &options).unwrap();
    let mut plant = Plant::new(&authority);
    let enroll = authority.enroll_for_test("gw-0001", "acme").unwrap().enroll;
    plant.take(&authority.issue(&enroll, KeyChange::Refuse).unwrap()).unwrap();
    (World { folder, authority }, plant)
}

fn only(issued: Vec<Issued>) -> Issued {
    let [one] = <[Issued; 1]>::try_from(issued).unwrap();
    one
}

fn recipients(bundle: &VerifiedBundle) -> Vec<String> {
    let dataset = DATASET.parse().unwrap();
    let grant = bundle.grant(&dataset, &PURPOSE.parse().unwrap(), Class::General, now().utc).unwrap();
    grant.recipients.iter().map(|recipient| recipient.kid.to_string()).collect()
}

fn refusal(bundle: &VerifiedBundle) -> NotGranted {
    let dataset = DATASET.parse().unwrap();
    bundle.grant(&dataset, &PURPOSE.parse().unwrap(), Class::General, now().utc).unwrap_err()
}

#[test]
fn each_change_is_the_next_version_and_names_the_one_before() {
    let (mut world, mut plant) = enrolled(1, 1);
    let purpose = PurposeChange {
        id: PURPOSE.to_owned(),
        valid_until: Some("2099-01-01T00:00:00Z".to_owned()),
        ..PurposeChange::default()
    };
    let kid = world.authority.role_key(ROLE).unwrap().kid().to_string();
    let dataset = DatasetChange { id: DATASET.to_owned(), retention_days: Some(30), ..DatasetChange::default() };
    let authority = &mut world.authority;
    let changes = [
        authority.renew(),
        authority.rotate_role(ROLE, 7),
        authority.revoke_role_key(&kid, "lost"),
        authority.grant(&dataset),
        authority.set_purpose(&purpose),
        authority.rotate_root(1, 1),
        authority.withdraw_dataset(DATASET),
    ];
    for (version, issued) in (3..).zip(changes) {
        let bundle = plant.take(&only(issued.unwrap())).unwrap();
        assert_eq!(bundle.version(), version, "and its `prev` is checked, because none was skipped");
    }
    assert_eq!(world.authority.bundle_history("gw-0001").unwrap().len(), 9);
}

#[test]
fn a_rotated_role_key_stays_a_recipient_for_its_overlap_and_opens_what_it_was_sealed_to() {
    let (mut world, mut plant) = enrolled(1, 1);
    let old = world.authority.role_key(ROLE).unwrap().kid();
    let gateway = world.gateway("gw-0002");
    let sealed_before = gateway.epoch(2);
    let issued = world.authority.rotate_role(ROLE, 7).unwrap();
    let new = world.authority.role_key(ROLE).unwrap().kid();
    assert_ne!(old, new);
    let mut both = [old.to_string(), new.to_string()];
    both.sort();
    assert_eq!(recipients(&plant.take(&issued[0]).unwrap()), both);
    let sealed_after = world.gateway("gw-0003").epoch(2);
    let mut desk = world.desk();
    assert_eq!(opened(&desk.take(&[sealed_before, sealed_after].concat())).len(), 12);
    let again = world.authority.rotate_role(ROLE, 0).unwrap();
    assert!(!recipients(&plant.take(&again[0]).unwrap()).contains(&new.to_string()), "no overlap was given");
}

#[test]
fn a_revoked_role_key_is_replaced_and_still_opens_the_past() {
    let (mut world, mut plant) = enrolled(1, 1);
    let lost = world.authority.role_key(ROLE).unwrap().kid().to_string();
    let sealed = world.gateway("gw-0002").epoch(1);
    let issued = world.authority.revoke_role_key(&lost, "laptop stolen").unwrap();
    let recipients = recipients(&plant.take(&issued[0]).unwrap());
    assert_eq!(recipients, [world.authority.role_key(ROLE).unwrap().kid().to_string()]);
    assert!(!recipients.contains(&lost));
    assert_eq!(opened(&world.desk().take(&sealed)).len(), 3);
    assert!(world.authority.revoke_role_key(&lost, "again").is_err());
    assert!(world.authority.revoke_role_key("0000000000000000", "nobody's").is_err());
}

#[test]
fn a_revoked_gateway_may_nothing_until_it_enrols_with_a_new_key() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let mut plant = Plant::new(&world.authority);
    let issued = world.authority.revoke_gateway("gw-0001", "sold").unwrap();
    assert!(matches!(refusal(&plant.take(&issued).unwrap()), NotGranted::UnknownDataset(_)));
    let mut desk = world.desk();
    assert!(desk.take(&gateway.epoch(1)).is_empty());
    assert_eq!((desk.rejected("revoked signer"), desk.report().alarm_count), (5, 0));
    let access = std::fs::read_to_string(world.authority.folder().join("acl")).unwrap();
    assert!(access.contains("user gw-0001\ntopic deny lingate/1/+/gw-0001/k/#"), "{access}");
    let old_key = world.authority.issue(&gateway.identity.enroll, KeyChange::Accept).unwrap_err();
    assert!(old_key.to_string().contains("must enrol with a new one"), "{old_key}");
    let back = world.gateway("gw-0001");
    assert_eq!(opened(&world.desk().take(&back.epoch(1))).len(), 3);
    assert!(!std::fs::read_to_string(world.authority.folder().join("acl")).unwrap().contains("deny"));
}

#[test]
fn the_revocation_list_names_every_certificate_of_a_revoked_gateway_and_no_other() {
    use x509_parser::prelude::FromDer;
    let mut world = World::new();
    let first = world.gateway("gw-0001").identity.chain_pem;
    let other = world.gateway("gw-0002").identity.chain_pem;
    let second = world.authority.renew_certificate("gw-0001").unwrap().chain_pem;
    let listed = |world: &World| {
        let text = std::fs::read(world.authority.folder().join("revoked.crl")).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(&text).unwrap();
        let (_, list) = x509_parser::revocation_list::CertificateRevocationList::from_der(&pem.contents).unwrap();
        list.iter_revoked_certificates().map(|it| it.raw_serial().to_vec()).collect::<Vec<_>>()
    };
    let serial = |chain: &str| {
        let (_, pem) = x509_parser::pem::parse_x509_pem(chain.as_bytes()).unwrap();
        pem.parse_x509().unwrap().raw_serial().to_vec()
    };
    assert!(listed(&world).is_empty());
    world.authority.revoke_gateway("gw-0001", "sold").unwrap();
    let back = world.gateway("gw-0001").identity.chain_pem;
    for _ in 0..2 {
        let listed = listed(&world);
        assert_eq!(listed.len(), 2);
        assert!([&first, &second].into_iter().all(|chain| listed.contains(&serial(chain))));
        assert!([&other, &back].into_iter().all(|chain| !listed.contains(&serial(chain))));
        world.authority = Authority::open(world.authority.folder()).unwrap();
    }
}

#[test]
fn a_root_rotation_is_signed_by_both_thresholds_and_only_once() {
    let (mut world, mut plant) = enrolled(3, 2);
    let mut late = Plant { roots: plant.roots.clone(), previous: plant.previous.clone() };
    assert_eq!(plant.roots.threshold(), 2);
    let fingerprint = world.authority.root_sha256().unwrap();
    let first = only(world.authority.rotate_root(2, 2).unwrap());
    assert_eq!(plant.take(&first).unwrap().roots().version(), 2);
    assert_ne!(world.authority.root_sha256().unwrap(), fingerprint, "new plants begin with the new root");
    let second = only(world.authority.renew().unwrap());
    assert!(plant.take(&second).is_ok());
    assert_eq!(late.take(&second).err(), Some(BundleRefused::Threshold { root: 1, found: 0, needed: 2 }));
    assert!(late.take(&first).is_ok() && late.take(&second).is_ok(), "the history leads there");
    assert!(Authority::open(world.authority.folder()).unwrap().rotate_root(1, 2).is_err());
    assert_eq!(Authority::open(world.authority.folder()).unwrap().root_version(), 2);
}

#[test]
fn what_was_sealed_under_a_right_is_taken_after_the_right_was_withdrawn() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let (before, mut plant) = (gateway.epoch(1), Plant::new(&world.authority));
    let other = "urn:lingate:purpose:audit";
    world
        .authority
        .set_purpose(&PurposeChange {
            id: other.to_owned(),
            statement: Some("Audit.".to_owned()),
            valid_from: Some("2020-01-01T00:00:00Z".to_owned()),
            valid_until: Some("2099-01-01T00:00:00Z".to_owned()),
        })
        .unwrap();
    let datasets: Vec<String> = world.authority.policy().unwrap().datasets.into_iter().map(|d| d.id).collect();
    for id in datasets {
        let change = DatasetChange { id, add_purposes: vec![other.to_owned()], ..DatasetChange::default() };
        world.authority.grant(&change).unwrap();
    }
    let bundle = plant.take(&only(world.authority.withdraw_purpose(PURPOSE).unwrap())).unwrap();
    assert!(matches!(refusal(&bundle), NotGranted::PurposeNotGranted { .. }));
    let mut desk = world.desk();
    assert_eq!(opened(&desk.take(&before)).len(), 3);
    let policy = std::fs::read_to_string(world.authority.folder().join("policy.toml")).unwrap();
    assert!(policy.contains("# Who may open data."), "comments stay:\n{policy}");
}

#[test]
fn a_grant_needs_parties_purposes_and_approvals_that_exist() {
    let (mut world, mut plant) = enrolled(1, 1);
    let change = |edit: fn(&mut DatasetChange)| {
        let mut change = DatasetChange { id: "ds-new-01".to_owned(), ..DatasetChange::default() };
        change.add_roles = vec![ROLE.to_owned()];
        change.add_purposes = vec![PURPOSE.to_owned()];
        edit(&mut change);
        change
    };
    let refused = [
        change(|c| c.add_roles = vec!["role:insurer".to_owned()]),
        change(|c| c.add_roles.clear()),
        change(|c| c.add_purposes = vec!["urn:nobody".to_owned()]),
        change(|c| c.class_ceiling = Some("important".to_owned())),
        change(|c| c.class_ceiling = Some("core".to_owned())),
        change(|c| c.remove_roles = vec!["role:insurer".to_owned()]),
    ];
    let before = std::fs::read(world.authority.folder().join("policy.toml")).unwrap();
    for change in refused {
        assert!(world.authority.grant(&change).is_err(), "{change:?}");
    }
    assert_eq!(std::fs::read(world.authority.folder().join("policy.toml")).unwrap(), before);
    let granted = change(|c| {
        c.add_roles.push("role:insurer".to_owned());
        c.party = Some("urn:lingate:party:insurer".to_owned());
        c.class_ceiling = Some("important".to_owned());
        c.approval = Some("CAC-2026-0815".to_owned());
    });
    let bundle = plant.take(&only(world.authority.grant(&granted).unwrap())).unwrap();
    let (dataset, purpose) = ("ds-new-01".parse().unwrap(), PURPOSE.parse().unwrap());
    let grant = bundle.grant(&dataset, &purpose, Class::Important, now().utc).unwrap();
    assert_eq!((grant.recipients.len(), grant.approval.as_deref()), (2, Some("CAC-2026-0815")));
}

#[test]
fn a_certificate_is_renewed_for_the_enrolled_key_and_the_bundle_stays() {
    let mut world = World::new();
    let first = world.gateway("gw-0001").identity;
    let renewed = world.authority.renew_certificate("gw-0001").unwrap();
    assert_eq!(renewed.bundle, first.bundle);
    assert_ne!(renewed.chain_pem, first.chain_pem);
    assert!(world.authority.renew_certificate("gw-0009").is_err());
}
