//! What is refused goes through the inbox into the history, each with its own reason and without losing another.

use super::*;
use crate::bundle_history::standing_refusal;

/// A name and bytes that must not come into force.
struct Attack(String, Vec<u8>);

fn attacks(honest: &[u8], stored: &[u8], key: &SigningKey) -> Vec<Attack> {
    let mut attacks = Vec::new();
    let stride = honest.len() / 60 + 1;
    for at in (0..honest.len()).step_by(stride) {
        let mut flipped = honest.to_vec();
        flipped[at] ^= 1;
        attacks.push(Attack(format!("flip-{at}"), flipped));
        attacks.push(Attack(format!("cut-{at}"), honest[..at].to_vec()));
    }
    let signed = |name: &str, change: &dyn Fn(&mut Value)| {
        Attack(name.to_owned(), changed(honest, &[key], |payload| change(payload)))
    };
    attacks.push(signed("audience", &|payload| payload["aud"] = json!(["gw-2"])));
    attacks.push(signed("rollback", &|payload| payload["version"] = json!(0)));
    attacks.push(signed("predecessor", &|payload| payload["prev"] = json!(format!("sha256:{}", "00".repeat(32)))));
    attacks.push(signed("root-skipped", &|payload| payload["root"]["version"] = json!(7)));
    attacks.push(signed("root-in-place", &|payload| {
        payload["root"]["keys"] = json!([new_key().verifying_key().to_jwk()]);
    }));
    attacks.push(signed("expired", &|payload| payload["exp"] = json!(payload["nbf"].as_i64().unwrap() + 1)));
    attacks.push(signed("reference", &|payload| payload["datasets"][0]["roles"] = json!(["role:nobody"])));
    attacks.push(Attack("threshold".to_owned(), changed(honest, &[], |_| {})));
    attacks.push(Attack("stranger".to_owned(), changed(honest, &[&new_key()], |_| {})));
    attacks.push(Attack("same-version".to_owned(), changed(stored, &[key], |payload| payload["iat"] = json!(1))));
    let twice = String::from_utf8(honest.to_vec()).unwrap().replacen('{', "{\"payload\":\"\",", 1);
    attacks.push(Attack("member-twice".to_owned(), twice.into_bytes()));
    attacks
}

#[test]
fn every_attack_on_a_bundle_is_in_the_history_with_its_reason() {
    let mut world = World::new();
    let (stored, honest) = (world.issue(), world.issue());
    world.drop_file("first.json", &stored);
    let (mut bundles, _) = world.open(today());
    bundles.scan(today());
    let attacks = attacks(&honest, &stored, &world.root_key());
    let mut expected = Vec::new();
    for Attack(name, bytes) in &attacks {
        world.drop_file(&format!("{name}.json"), bytes);
        match &bundles.scan(today())[..] {
            [Found::Rejected { file, reason }] => expected.push((file.clone(), reason.clone())),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(bundles.current().map(VerifiedBundle::version), Some(1), "{name}");
    }
    assert_eq!(history(&world), expected);
    let reasons: std::collections::BTreeSet<_> = expected[expected.len() - 11..].iter().map(|it| &it.1).collect();
    assert!(reasons.len() >= 10, "each rule has its own words: {reasons:#?}");
    world.drop_file("honest.json", &honest);
    assert_eq!(bundles.scan(today()), [Found::Installed { version: 2 }]);
}

/// File and reason of what was refused, in order.
fn history(world: &World) -> Vec<(String, String)> {
    let told = spool::waiting(&world.path("")).into_iter().map(|(_, event)| event.unwrap().1.to_json());
    let lines = told.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let refused = lines.filter(|line| line["ev"] == "bundle.rejected");
    refused
        .map(|line| (line["file"].as_str().unwrap().to_owned(), line["reason"].as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn a_refusal_is_told_until_a_bundle_is_accepted_or_the_file_is_deleted() {
    let mut world = World::new();
    let (first, second) = (world.issue(), world.issue());
    let (mut bundles, _) = world.open(today());
    let told = |world: &World| standing_refusal(&world.path("")).map(|refusal| refusal.file);
    world.drop_file("first.json", &first);
    bundles.scan(today());
    assert_eq!(told(&world), None);

    // File times are as coarse as the kernel's tick.
    fs::read_dir(world.path("inbox/accepted")).unwrap().for_each(|entry| make_older(&entry.unwrap().path()));
    world.drop_file("bad.json", b"{");
    bundles.scan(today());
    let refusal = standing_refusal(&world.path("")).unwrap();
    assert_eq!(refusal.file, "bad.json");
    assert!(fs::read_to_string(world.path("inbox/rejected/bad.json.reason.txt")).unwrap().contains(&refusal.reason));
    fs::remove_file(world.path("inbox/rejected/bad.json")).unwrap();
    assert_eq!(told(&world), None, "the person who deletes it knows of it");

    world.drop_file("worse.json", b"[");
    bundles.scan(today());
    assert_eq!(told(&world).as_deref(), Some("worse.json"));
    world.drop_file("second.json", &second);
    bundles.scan(today());
    assert_eq!(told(&world), None, "another one was accepted");
}

#[test]
fn a_refused_file_never_takes_the_place_of_an_earlier_one_of_its_name() {
    let world = World::new();
    let (mut bundles, _) = world.open(today());
    for bytes in [&b"{"[..], b"[", b"{}"] {
        world.drop_file("bundle.json", bytes);
        bundles.scan(today());
    }
    for (name, bytes) in [("bundle.json", &b"{"[..]), ("bundle.json.2", b"["), ("bundle.json.3", b"{}")] {
        assert_eq!(fs::read(world.path(&format!("inbox/rejected/{name}"))).unwrap(), bytes);
        assert!(world.path(&format!("inbox/rejected/{name}.reason.txt")).exists());
    }
    assert_eq!(history(&world).len(), 3);
}
