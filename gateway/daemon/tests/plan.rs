#![allow(clippy::unwrap_used, reason = "a test fails by panic")]
//! `lingate plan`, as a data protection officer meets it.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::Plant;
use serde_json::Value;

/// `steps`: of the point that leaves; one more point stays.
fn configure(plant: &Plant, name: &str, steps: &str) {
    let more = format!(
        r#"unit = "Cel"
{steps}
[[device.point]]
name = "screw_speed"
register = "holding:120"
type = "u16""#
    );
    fs::write(plant.path(name), plant.described("ds-extr-07", &plant.identity.root_sha256, &more)).unwrap();
}

fn with_a_point_that_stays() -> Plant {
    let plant = Plant::new();
    configure(&plant, "lingate.toml", "");
    plant
}

fn plan(plant: &Plant, options: &[&str]) -> Output {
    plan_of(&plant.path("lingate.toml"), options)
}

fn json(plant: &Plant, options: &[&str]) -> Value {
    let output = plan(plant, &[&["--json"], options].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn plan_of(config: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lingate"));
    command.args(["plan", "--config", config.to_str().unwrap()]).args(options).env_remove("RUST_LOG");
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_plan_names_what_leaves_for_whom_and_what_stays_and_why() {
    let plant = with_a_point_that_stays();
    let policy = &json(&plant, &[])["policy"];
    assert_eq!((&policy["points"][0]["state"], &policy["points"][1]["state"]), (&"leaves".into(), &"stays".into()));
    assert_eq!(policy["points"][0]["recipients"][0], "role:oem-quality");
    assert_eq!(policy["points"][1]["reason"]["code"], "no-dataset");
    assert_eq!(policy["points"][0]["volume"]["readings_max"], 172_800);
    let recipient = &policy["datasets"][0]["recipients"][0];
    assert_eq!((recipient["keys"][0].as_str().unwrap().len(), policy["bundle"]["version"].as_u64()), (16, Some(1)));
    let table = told(&plan(&plant, &[]));
    for words in
        ["extruder-7/melt_temperature", "role:oem-quality", "172,800", "Stays in the plant", "no dataset names it"]
    {
        assert!(table.contains(words), "{words:?} is not in:\n{table}");
    }
    assert!(plant.path("state/inbox/bundle.jws.json").exists() && !plant.path("state/bundle").exists());
}

#[test]
fn without_a_grant_nothing_leaves_and_the_reason_is_told() {
    let plant = with_a_point_that_stays();
    let state = |options: &[&str]| {
        let point = json(&plant, options)["policy"]["points"][0].take();
        (point["state"].as_str().unwrap().to_owned(), point["reason"]["code"].as_str().unwrap_or("").to_owned())
    };
    let is = |state: &str, code: &str| (state.to_owned(), code.to_owned());
    assert_eq!(state(&["--no-bundle"]), is("waits", "no-bundle"));
    assert_eq!(state(&["--at", "2099-01-01T00:00:00Z"]), is("stays", "bundle-expired"));
    fs::create_dir(plant.path("state/veto")).unwrap();
    fs::write(plant.path("state/veto/dataset:ds-extr-07"), "").unwrap();
    assert_eq!(state(&[]), is("stays", "vetoed"));
    fs::remove_file(plant.path("state/veto/dataset:ds-extr-07")).unwrap();
    fs::remove_file(plant.path("state/root.json")).unwrap();
    assert_eq!(state(&[]), is("waits", "no-bundle"), "a bundle that cannot be verified is none");
}

#[test]
fn a_signing_key_that_was_not_read_is_told_and_no_token_is_asked() {
    let plant = with_a_point_that_stays();
    let notes = || json(&plant, &[])["policy"]["notes"].to_string();
    assert!(!notes().contains("signing key"), "{}", notes());
    let plain = fs::read_to_string(plant.path("lingate.toml")).unwrap();
    let token = "signing_key = \"pkcs11:token=t;object=o?module-path=/nowhere.so&pin-source=/nowhere.pin\"\n[buffer]";
    fs::write(plant.path("lingate.toml"), plain.replacen("[buffer]", token, 1)).unwrap();
    assert!(notes().contains("it is in a token, which was not asked"), "{}", notes());
    fs::write(plant.path("lingate.toml"), plain).unwrap();
    fs::remove_file(plant.path("state/identity/signing.pk8")).unwrap();
    let told = notes();
    assert!(told.contains("signing.pk8 cannot be read") && told.contains("assume Ed25519"), "{told}");
}

#[test]
fn a_bundle_that_is_named_is_verified_or_refused() {
    let plant = with_a_point_that_stays();
    let (good, bad) = (plant.path("good.json"), plant.path("bad.json"));
    let mut bytes = plant.identity.bundle.clone();
    fs::write(&good, &bytes).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    fs::write(&bad, &bytes).unwrap();
    assert_eq!(json(&plant, &["--bundle", good.to_str().unwrap()])["policy"]["points"][0]["state"], "leaves");
    let refused = plan(&plant, &["--bundle", bad.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(65), "{}", told(&refused));
    assert!(told(&refused).contains("is refused"), "{}", told(&refused));
}

#[test]
fn a_difference_tells_first_what_newly_leaves_and_ends_with_its_code() {
    let plant = with_a_point_that_stays();
    configure(&plant, "stricter.toml", "minimize = [ { deadband = 2 } ]");
    let other = fs::read_to_string(plant.path("lingate.toml")).unwrap();
    let more = format!("{other}dataset = \"ds-extr-07\"\nclass = \"general\"\n");
    fs::write(plant.path("more.toml"), more).unwrap();
    let compare = |config: &str, against: &str| {
        let against = plant.path(against);
        let options = ["--json", "--exit-code", "--against", against.to_str().unwrap()];
        let output = plan_of(&plant.path(config), &options);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code().unwrap(), json["difference"].clone())
    };
    assert_eq!(compare("lingate.toml", "lingate.toml").0, 0);
    let (code, difference) = compare("stricter.toml", "lingate.toml");
    assert_eq!((code, &difference["changed"][0]["wider"]), (1, &Value::Bool(false)), "{difference}");
    let (code, difference) = compare("lingate.toml", "stricter.toml");
    assert_eq!((code, &difference["changed"][0]["wider"]), (2, &Value::Bool(true)), "{difference}");
    let scaled = other.replacen("register = ", "scale = 100\nregister = ", 1);
    fs::write(plant.path("scaled.toml"), scaled).unwrap();
    let (code, difference) = compare("scaled.toml", "lingate.toml");
    assert_eq!((code, &difference["changed"][1]["after"]), (2, &"100".into()), "{difference}");
    let unit = other.replacen("address = ", "unit = 7\naddress = ", 1);
    fs::write(plant.path("unit.toml"), unit).unwrap();
    let (code, difference) = compare("unit.toml", "lingate.toml");
    let told = difference["changed"].to_string();
    assert!(code == 2 && told.contains("setting unit"), "{told}");
    let (code, difference) = compare("more.toml", "lingate.toml");
    assert_eq!((code, &difference["newly_leaves"][0]), (2, &"extruder-7/screw_speed".into()));
    let (code, difference) = compare("lingate.toml", "more.toml");
    assert_eq!((code, &difference["no_longer_leaves"][0]), (1, &"extruder-7/screw_speed".into()));
}

#[test]
fn a_quota_that_is_raised_or_removed_and_other_settings_of_a_dataset_are_a_difference() {
    let plant = with_a_point_that_stays();
    let plain = fs::read_to_string(plant.path("lingate.toml")).unwrap();
    let with = |name: &str, setting: &str| {
        let text = plain.replacen("[[dataset]]\n", &format!("[[dataset]]\n{setting}\n"), 1);
        fs::write(plant.path(name), text).unwrap();
    };
    with("small.toml", "quota = { records = 1000 }");
    with("large.toml", "quota = { records = 1000, bytes = \"9MiB\" }");
    with("padded.toml", "padding = 512");
    let compare = |config: &str, against: &str| {
        let options = ["--exit-code", "--against", plant.path(against).to_str().unwrap()].map(str::to_owned);
        let output = plan_of(&plant.path(config), &options.each_ref().map(String::as_str));
        (output.status.code().unwrap(), told(&output))
    };
    for (config, against, code, words) in [
        ("lingate.toml", "small.toml", 2, "quota of a day"),
        ("small.toml", "lingate.toml", 1, "1000 records"),
        ("small.toml", "large.toml", 2, "dataset ds-extr-07"),
        ("large.toml", "small.toml", 1, "9437184 bytes"),
        ("padded.toml", "lingate.toml", 2, "setting padding"),
        ("small.toml", "small.toml", 0, ""),
    ] {
        let (found, told) = compare(config, against);
        assert!(found == code && told.contains(words), "{config} against {against}: {found} for {code}\n{told}");
    }
}

#[test]
fn the_page_needs_nothing_beside_itself_and_names_what_it_describes() {
    let plant = with_a_point_that_stays();
    let page = plant.path("plan.html");
    let output = plan(&plant, &["--html", page.to_str().unwrap()]);
    assert!(output.status.success(), "{}", told(&output));
    let html = fs::read_to_string(&page).unwrap();
    let policy = json(&plant, &[])["policy"].take();
    for hash in [&policy["sha256"], &policy["configuration"]["sha256"], &policy["bundle"]["sha256"]] {
        assert!(html.contains(hash.as_str().unwrap()));
    }
    for words in ["Signatures", "签署", "melt_temperature", "不出厂", "Remote quality analysis"] {
        assert!(html.contains(words), "{words}");
    }
    for outside in ["<script", "src=", "href=", "url(", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn the_same_rights_have_the_same_number() {
    let plant = with_a_point_that_stays();
    let number = || json(&plant, &[])["policy"]["sha256"].clone();
    let before = number();
    let text = fs::read_to_string(plant.path("lingate.toml")).unwrap();
    fs::write(plant.path("lingate.toml"), format!("# a comment\n{text}")).unwrap();
    assert_eq!(number(), before);
    configure(&plant, "lingate.toml", "minimize = [ { deadband = 2 } ]");
    assert_ne!(number(), before);
}
