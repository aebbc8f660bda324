//! The annotated samples, one per sector, are files that a plant could start with.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::path::Path;

use lingate_config::load;
use lingate_drivers::DRIVERS;

#[test]
fn every_example_is_a_plan_in_which_something_leaves_and_something_stays() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let plan = load(&file.display().to_string(), &text).unwrap_or_else(|problems| panic!("{problems}"));
        let leaving = plan.export.points.iter().filter(|point| point.export.is_some()).count();
        assert!(leaving > 0 && leaving < plan.export.points.len(), "{}", file.display());
    }
}

#[test]
fn every_driver_s_sample_is_a_device_that_loads() {
    let (head, _) = include_str!("../examples/extruder-line.toml").split_once("[[dataset]]").unwrap();
    let dataset = "[[dataset]]\nid = \"ds-extr-07\"\npurpose = \"urn:lingate:purpose:x\"\nclass = \"general\"\n";
    for driver in DRIVERS {
        let text = format!("{head}{dataset}{}", driver.sample);
        let plan = load(driver.kind, &text).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(plan.devices[0].kind, driver.kind);
    }
}
