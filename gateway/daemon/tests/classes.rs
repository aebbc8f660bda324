#![allow(clippy::unwrap_used, reason = "a test fails by panic")]
//! Class and approval in `lingate plan`: the stricter wins, whoever is stricter, and the reason is told.

mod common;

use std::fs;

use common::{Plant, lingate};
use lingate_sandbox::DatasetChange;
use serde_json::Value;

const DATASET: &str = "ds-extr-07";

/// A general point, an important one, one whose class a step lowers, and one without class.
fn configure(plant: &Plant, dataset_class: &str, dataset_steps: &str) {
    let point = |name: &str, register: u32, more: &str| {
        format!(
            "[[device.point]]\nname = \"{name}\"\nregister = \"holding:{register}\"\ntype = \"i16\"\ndataset = \"{DATASET}\"\n{more}\n"
        )
    };
    let lowered = "class = \"important\"\nclass_after = { class = \"general\", by = \"aggregate\", reason = \"a mean tells no recipe\" }\n\
                   minimize = [ { aggregate = \"TimeAverage\", interval = \"1m\" } ]";
    let more = [
        point("recipe_value", 110, "class = \"important\""),
        point("recipe_mean", 111, lowered),
        point("unlabelled", 112, "").replace(&format!("dataset = \"{DATASET}\"\n"), ""),
        point("fine", 113, "class = \"general\"\nminimize = [ { deadband = 2 }, { round = 1 } ]"),
    ];
    let text = plant.described(DATASET, &plant.identity.root_sha256, &format!("range = [0, 400]\n{}", more.concat()));
    let of_dataset = format!("class = \"{dataset_class}\"\n{dataset_steps}\n[[device]]");
    let text = text.replacen("class = \"general\"\n[[device]]", &of_dataset, 1);
    assert!(text.contains(&of_dataset));
    fs::write(plant.path("lingate.toml"), text).unwrap();
}

/// With another bundle from the sandbox in the inbox.
fn grant(plant: &mut Plant, change: DatasetChange) {
    let issued = plant.authority.grant(&DatasetChange { id: DATASET.to_owned(), ..change }).unwrap();
    let bundle = fs::read(issued[0].folder.join("bundle.jws.json")).unwrap();
    fs::write(plant.path("state/inbox/bundle.jws.json"), bundle).unwrap();
}

fn policy(plant: &Plant, options: &[&str]) -> Value {
    let config = plant.path("lingate.toml");
    let answer = lingate(&[&["plan", "--json", "--config", config.to_str().unwrap()], options].concat());
    assert_eq!(answer.code, 0, "{}", answer.told);
    serde_json::from_str::<Value>(&answer.told).unwrap()["policy"].take()
}

/// (state, code of the reason) of a point.
fn verdict(policy: &Value, point: &str) -> (String, String) {
    let name = format!("extruder-7/{point}");
    let points = policy["points"].as_array().unwrap();
    let point = points.iter().find(|it| it["name"] == name.as_str()).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    (text(&point["state"]), text(&point["reason"]["code"]))
}

fn is(state: &str, code: &str) -> (String, String) {
    (state.to_owned(), code.to_owned())
}

#[test]
fn a_point_above_the_lower_ceiling_of_plant_and_bundle_stays() {
    let mut plant = Plant::new();
    configure(&plant, "important", "");
    let told = policy(&plant, &[]);
    assert_eq!(told["datasets"][0]["ceiling"], "general", "the bundle's is the lower one");
    assert_eq!(verdict(&told, "melt_temperature"), is("leaves", ""));
    assert_eq!(verdict(&told, "recipe_value"), is("stays", "class-above-ceiling"));
    assert_eq!(verdict(&told, "recipe_mean"), is("leaves", ""), "what leaves of it is general");
    assert_eq!(verdict(&told, "unlabelled"), is("stays", "no-dataset"));

    let important = Some("important".to_owned());
    grant(
        &mut plant,
        DatasetChange {
            class_ceiling: important,
            approval: Some("CAC-2026-17".to_owned()),
            ..DatasetChange::default()
        },
    );
    let told = policy(&plant, &[]);
    assert_eq!(
        (&told["datasets"][0]["ceiling"], &told["datasets"][0]["approval"]),
        (&"important".into(), &"CAC-2026-17".into())
    );
    assert_eq!(verdict(&told, "recipe_value"), is("leaves", ""));

    configure(&plant, "general", "");
    let refused = lingate(&["check", "--config", plant.path("lingate.toml").to_str().unwrap()]);
    refused.refuses(&["important", "general", "recipe_value"]);
}

#[test]
fn a_policy_that_the_sandbox_did_not_approve_is_not_sealed_and_the_plan_says_which_it_is() {
    let mut plant = Plant::new();
    configure(&plant, "important", "");
    let hash = format!("sha256:{}", policy(&plant, &[])["datasets"][0]["policy_sha256"].as_str().unwrap());
    grant(&mut plant, DatasetChange { add_policies: vec![hash.clone()], ..DatasetChange::default() });
    assert_eq!(verdict(&policy(&plant, &[]), "fine"), is("leaves", ""));

    // Any other step is another policy.
    configure(&plant, "important", "minimize = [ { deadband = 1 } ]");
    let told = policy(&plant, &[]);
    assert_eq!(verdict(&told, "fine"), is("stays", "policy-not-approved"));
    let other = format!("sha256:{}", told["datasets"][0]["policy_sha256"].as_str().unwrap());
    let table = lingate(&["plan", "--config", plant.path("lingate.toml").to_str().unwrap()]).told;
    assert!(other != hash && table.contains(&other), "{table}");
    grant(&mut plant, DatasetChange { add_policies: vec![other], ..DatasetChange::default() });
    assert_eq!(verdict(&policy(&plant, &[]), "fine"), is("leaves", ""));
}

#[test]
fn where_a_datasets_steps_and_a_points_meet_the_stricter_is_planned() {
    let plant = Plant::new();
    let parameters = |dataset_steps: &str| -> Vec<String> {
        configure(&plant, "important", dataset_steps);
        let told = policy(&plant, &[]);
        let points = told["points"].as_array().unwrap().iter();
        let fine = points.clone().find(|it| it["name"] == "extruder-7/fine").unwrap();
        let step = |it: &Value| format!("M{} {}", it["step"], it["parameters"][0][1].as_str().unwrap());
        fine["steps"].as_array().unwrap().iter().map(step).collect()
    };
    assert_eq!(parameters(""), ["M6 2", "M8 1"]);
    assert_eq!(parameters("minimize = [ { deadband = 1 }, { round = 1 } ]"), ["M6 2", "M8 1"]);
    assert_eq!(
        parameters("minimize = [ { deadband = 5 }, { round = 10 }, { quality = \"good\" } ]"),
        ["M4 Good", "M6 5", "M8 10"]
    );
}

#[test]
fn figures_of_a_preview_replace_the_estimate() {
    let plant = Plant::new();
    configure(&plant, "important", "");
    let typical = |told: &Value, place: usize| told["points"][place]["volume"]["readings_typical"].as_u64().unwrap();
    let before = policy(&plant, &[]);
    assert_eq!(typical(&before, 4), 17_280, "one in ten, behind a deadband");
    let measured = r#"{"seconds": 60.0, "kept": {"extruder-7/fine": 3}}"#;
    fs::write(plant.path("measured.json"), measured).unwrap();
    let file = plant.path("measured.json");
    let after = policy(&plant, &["--measured", file.to_str().unwrap()]);
    assert_eq!((typical(&after, 4), typical(&after, 0)), (4_320, typical(&before, 0)));
    fs::write(&file, "{").unwrap();
    let refused = lingate(&[
        "plan",
        "--config",
        plant.path("lingate.toml").to_str().unwrap(),
        "--measured",
        file.to_str().unwrap(),
    ]);
    assert!(refused.code == 64 && refused.told.contains("lingate preview --json"), "{}", refused.told);
}
