//! One file and those beside it read as one configuration, and each problem names its own file.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use lingate_config::{Plan, Problems, SourceFile, load, load_files};

const WHOLE: &str = include_str!("cases/good-everything/lingate.toml");

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), bytes: text.as_bytes().to_owned() }
}

/// The good configuration, its dataset and its device in files of their own.
fn parts() -> [String; 3] {
    let (head, rest) = WHOLE.split_once("[[dataset]]").unwrap();
    let (dataset, device) = rest.split_once("[[device]]").unwrap();
    [head.to_owned(), format!("[[dataset]]{dataset}"), format!("[[device]]{device}")]
}

fn read(texts: &[&str]) -> Result<Plan, Problems> {
    let names = ["lingate.toml", "lingate.d/10-datasets.toml", "lingate.d/20-hall-2.toml", "lingate.d/30-hall-3.toml"];
    load_files(&names.iter().zip(texts).map(|(name, text)| file(name, text)).collect::<Vec<_>>())
}

fn told(texts: &[&str]) -> String {
    read(texts).expect_err("something is wrong").to_string()
}

#[test]
fn a_configuration_in_parts_is_the_same_as_in_one() {
    let [head, dataset, device] = parts();
    let (whole, parts) = (load("lingate.toml", WHOLE).unwrap(), read(&[&head, &dataset, &device]).unwrap());
    assert_eq!(format!("{:?}", whole.export), format!("{:?}", parts.export));
    assert_eq!(whole.devices[0].settings_sha256, parts.devices[0].settings_sha256);
    assert_ne!(whole.sha256, parts.sha256);
    let place = &parts.places.datasets[0].id;
    assert_eq!((&*place.file, place.line), ("lingate.d/10-datasets.toml", 2));
}

#[test]
fn lists_go_on_in_the_order_of_the_files() {
    let [head, dataset, device] = parts();
    let other = device.replace("\"extruder-7\"", "\"extruder-8\"");
    let plan = read(&[&head, &dataset, &device, &other]).unwrap();
    let names: Vec<&str> = plan.devices.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(names, ["extruder-7", "extruder-8"]);
}

#[test]
fn a_table_may_be_written_in_several_files_and_a_key_in_one() {
    let [head, dataset, device] = parts();
    let head = head.replace("[health]\nlisten = \"127.0.0.1:9273\"\n", "");
    let more = format!("{dataset}\n[health]\nlisten = \"127.0.0.1:9999\"\n");
    assert!(read(&[&head, &more, &device]).is_ok());
    let twice = format!("{more}\n[buffer]\ncommit = \"1s\"\n");
    let expected = [
        "error: buffer.commit: is set a second time",
        "  --> lingate.d/10-datasets.toml:15:1",
        "   |",
        "15 | commit = \"1s\"",
        "   | ^^^^^^",
        "   = hint: it is set on line 16 of lingate.toml as well: take one of the two out",
        "",
        "lingate.toml: 1 problem",
    ];
    let found = told(&[&head, &twice, &device]);
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found[1..], expected[1..]);
}

#[test]
fn names_that_stand_twice_are_told_with_both_places() {
    let [head, dataset, device] = parts();
    let found = told(&[&head, &dataset, &device, &format!("{dataset}\n{device}")]);
    assert!(found.contains("--> lingate.d/30-hall-3.toml:2:6"), "{found}");
    assert!(found.contains("the dataset on line 2 of lingate.d/10-datasets.toml has this id"), "{found}");
    assert!(found.contains("--> lingate.d/30-hall-3.toml:12:8"), "{found}");
    assert!(found.contains("the device on line 2 of lingate.d/20-hall-2.toml has this name"), "{found}");
}

#[test]
fn problems_of_all_files_come_at_once_each_with_its_own_line_and_column() {
    let [head, dataset, device] = parts();
    let (head, dataset) = (head.replace("tenant", "tennant"), dataset.replace("\"general\"", "\"generel\""));
    let device = device.replace("every = \"500ms\"", "every = 500");
    let found = told(&[&head, &dataset, &device]);
    let places: Vec<&str> = found.lines().filter(|line| line.contains("-->")).map(str::trim_start).collect();
    assert_eq!(
        places,
        ["--> lingate.toml:3:1", "--> lingate.d/10-datasets.toml:4:9", "--> lingate.d/20-hall-2.toml:4:9"],
        "{found}"
    );
}

#[test]
fn a_file_that_is_no_toml_is_told_by_its_name() {
    let [head, dataset, device] = parts();
    let found = told(&[&head, &dataset, &device.replace("\"modbus-tcp\"", "\"modbus-tcp")]);
    assert!(found.contains("--> lingate.d/20-hall-2.toml:3:10"), "{found}");
    let files =
        [file("lingate.toml", &head), SourceFile { name: "lingate.d/x.toml".to_owned(), bytes: vec![b'a', 0xFF] }];
    assert!(load_files(&files).unwrap_err().to_string().contains("--> lingate.d/x.toml:1:2"));
}
