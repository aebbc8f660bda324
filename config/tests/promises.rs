//! What holds for every file: each slip is found at its line, nothing panics, nothing is slow, no secret comes back.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::fmt::Write;

use lingate_config::{FILE_BYTES_MAX, Plan, Problem, Problems, load};
use proptest::prelude::*;

const REFERENCE: &str = include_str!("cases/good-everything/lingate.toml");

/// (line from 1, key) of every setting, those in inline tables included.
fn keys() -> Vec<(usize, &'static str)> {
    let of_line = |(number, line): (usize, &'static str)| {
        let lefts = line.split('=').rev().skip(1);
        let key = |left: &'static str| left.trim_end().rsplit([' ', '{', ',']).next().filter(|key| !key.is_empty());
        lefts.filter_map(key).map(move |key| (number + 1, key)).collect::<Vec<_>>()
    };
    REFERENCE.lines().enumerate().flat_map(of_line).collect()
}

/// The reference with one key of one line written differently.
fn with_key(line: usize, key: &str, written: &str) -> String {
    let change = |(index, text): (usize, &str)| match index + 1 == line {
        true => text.replacen(&format!("{key} ="), &format!("{written} ="), 1) + "\n",
        false => format!("{text}\n"),
    };
    REFERENCE.lines().enumerate().map(change).collect()
}

fn problems(text: &str) -> Problems {
    load("lingate.toml", text).expect_err("the file is wrong")
}

#[test]
fn every_misspelt_key_is_reported_alone_at_its_line_with_what_it_may_mean() {
    let (mut slips, mut meant) = (0, 0);
    for (line, key) in keys() {
        for slip in [swapped(key), format!("{key}x"), doubled(key), key[1..].to_owned()] {
            if slip == key || slip.is_empty() {
                continue;
            }
            let found = problems(&with_key(line, key, &slip));
            let is_told = |problem: &&Problem| problem.what == format!("{slip:?} is not a setting");
            let Some(problem) = found.problems.iter().find(is_told) else { panic!("{slip} for {key}:\n{found}") };
            // A slip of a name of two letters may lead to another one, and then the right one is missing as well.
            let is_short = key.len() <= 2;
            assert_eq!(
                (found.count() == 1 || is_short, problem.place.line),
                (true, line),
                "{slip} for {key}:\n{found}"
            );
            let hint = problem.hint.as_deref().unwrap();
            assert!(hint.starts_with("did you mean") || is_short && hint.starts_with("known here"), "{found}");
            slips += 1;
            meant += u32::from(hint.contains(&format!("{key:?}")) || is_short);
        }
    }
    assert!(slips > 140 && meant * 100 >= slips * 97, "{meant} of {slips} slips led to the right key");
}

fn swapped(key: &str) -> String {
    let mut letters: Vec<char> = key.chars().collect();
    let middle = letters.len() / 2;
    letters.swap(middle, middle - 1);
    letters.into_iter().collect()
}

fn doubled(key: &str) -> String {
    format!("{}{key}", &key[..1])
}

#[test]
fn every_value_of_a_wrong_type_is_reported_at_its_line() {
    let is_inline = |key: &str| ["readings", "age", "deadband", "round"].contains(&key);
    for (line, key) in keys().into_iter().filter(|(_, key)| !is_inline(key)) {
        let found = problems(&with_key(line, key, &format!("{key} = 12:30:00 #")));
        let told: Vec<_> = found.problems.iter().map(|problem| (problem.place.line, &problem.what[..9])).collect();
        assert_eq!(told, [(line, "is a date")], "{key}:\n{found}");
    }
}

#[test]
fn every_required_line_is_missed_when_it_is_gone() {
    let required =
        ["id", "tenant", "broker", "ca", "certificate", "key", "root_sha256", "max_size", "purpose", "class"];
    for (line, key) in keys().into_iter().filter(|(_, key)| required.contains(key)) {
        let text: String =
            REFERENCE.lines().enumerate().filter(|(i, _)| i + 1 != line).map(|(_, l)| format!("{l}\n")).collect();
        let found = problems(&text).to_string();
        assert!(found.contains(&format!("{key:?} is missing")), "{key}:\n{found}");
    }
}

#[test]
fn the_daemon_s_own_findings_are_shown_at_their_place_too() {
    let plan = load("lingate.toml", REFERENCE).unwrap();
    let unreadable = plan.problem_at(&plan.places.certificate, "cannot be read: No such file", None);
    let key = plan.problem_at(&plan.places.key, "is readable by others", None);
    let key = plan.report(vec![key]).unwrap_err().to_string();
    assert!(key.contains("10 | key = \"credential:gateway.key\""), "{key}");
    let hint = "ask the sandbox's operator for it".to_owned();
    let ungranted = plan.problem_at(&plan.places.datasets[0].id, "is not in the bundle", Some(hint));
    let shown = plan.report(vec![ungranted, unreadable]).unwrap_err().to_string();
    let expected = [
        "error: sandbox.certificate cannot be read: No such file",
        " --> lingate.toml:9:15",
        "  |",
        "9 | certificate = \"/etc/lingate/gateway.pem\"",
        "  |               ^^^^^^^^^^^^^^^^^^^^^^^^^^",
        "",
        "error: dataset \"ds-extr-07\", id is not in the bundle",
        "  --> lingate.toml:25:6",
        "   |",
        "25 | id = \"ds-extr-07\"",
        "   |      ^^^^^^^^^^^^",
        "   = hint: ask the sandbox's operator for it",
        "",
        "lingate.toml: 2 problems",
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    assert_eq!(plan.report(Vec::new()), Ok(()));
    assert_eq!((plan.places.devices[0].line, plan.places.brokers[0].line), (34, 7));
}

#[test]
fn a_place_of_an_absent_setting_is_its_table() {
    let plan = load("f", &REFERENCE.replace("state_dir = \"/var/lib/lingate\"\n", "")).unwrap();
    assert_eq!((plan.places.state_dir.line, plan.places.state_dir.subject.as_str()), (1, "gateway.state_dir"));
}

/// `count` points, 1,000 of each device and 10,000 of each dataset, each with `line` added.
fn many_points(count: usize, line: &str) -> String {
    let (head, _) = REFERENCE.split_once("[[dataset]]").unwrap();
    let mut text = head.to_owned();
    for dataset in 0..count.div_ceil(10_000) {
        write!(text, "[[dataset]]\nid = \"ds-{dataset}\"\npurpose = \"urn:x\"\nclass = \"general\"\n").unwrap();
    }
    for number in 0..count {
        if number % 1_000 == 0 {
            write!(text, "[[device]]\nname = \"d{number}\"\ndriver = \"modbus-tcp\"\nevery = \"1s\"\n").unwrap();
            write!(text, "equipment = \"acme/line\"\naddress = \"10.0.0.1\"\n").unwrap();
        }
        let (register, dataset) = (number % 1_000, number / 10_000);
        write!(text, "[[device.point]]\nname = \"p{number}\"\nregister = \"holding:{register}\"\n").unwrap();
        write!(text, "type = \"u16\"\nunit = \"Cel\"\ndataset = \"ds-{dataset}\"\nclass = \"general\"\n{line}\n")
            .unwrap();
    }
    text
}

#[test]
fn many_points_are_numbered_in_file_order_and_per_dataset() {
    let plan = load("f", &many_points(20_000, "")).unwrap();
    let last: &lingate_refine::PointPlan = plan.export.points.last().unwrap();
    let export = last.export.as_ref().unwrap();
    assert_eq!((last.id.0, export.dataset.0, export.alias), (19_999, 1, 9_999));
    assert_eq!(plan.devices.len(), 20);
}

#[test]
fn many_problems_are_counted_and_the_first_thousand_shown() {
    let found = problems(&many_points(10_000, "sacle = 2"));
    assert_eq!((found.count(), found.problems.len(), found.omitted), (10_000, 1_000, 9_000));
    assert!(found.to_string().ends_with("lingate.toml: 10000 problems, the last 9000 of them not shown"));
}

#[test]
fn a_dataset_that_is_full_is_reported_once() {
    let text = many_points(10_000, "")
        + "[[device.point]]\nname = \"a\"\nregister = \"coil:1\"\n\
        dataset = \"ds-0\"\nclass = \"general\"\n[[device.point]]\nname = \"b\"\nregister = \"coil:1\"\n\
        dataset = \"ds-0\"\nclass = \"general\"\n";
    let found = problems(&text);
    assert_eq!(found.problems.iter().map(|p| p.what.as_str()).collect::<Vec<_>>(), ["\"ds-0\" is full"]);
}

#[test]
fn many_wrong_names_are_not_compared_with_many_right_ones() {
    let mut number = 0;
    let numbered = |line: &str| match line {
        "dataset = \"ds-0\"" => {
            number += 1;
            format!("dataset = \"sd-{number:012}\"\n")
        }
        line => format!("{line}\n"),
    };
    let mut text: String = many_points(10_000, "").lines().map(numbered).collect();
    for dataset in 1..1_000 {
        write!(text, "[[dataset]]\nid = \"ds-{dataset:012}\"\npurpose = \"urn:x\"\nclass = \"general\"\n").unwrap();
    }
    assert_eq!(problems(&text).count(), 10_000);
}

#[test]
fn a_name_that_no_dataset_has_is_one_problem_however_many_points_give_it() {
    let text = many_points(19, "").replacen("id = \"ds-0\"", "id = \"ds-00\"", 1);
    let found = problems(&text).to_string();
    let told = "there is no dataset \"ds-0\", which 19 points name; this is the first of them";
    assert!(found.contains(told) && found.contains("did you mean \"ds-00\"?"), "{found}");
    assert!(found.ends_with("lingate.toml: 1 problem"), "{found}");
}

#[test]
fn a_file_on_one_line_has_its_problems_in_one_pass() {
    let points: String = (0..5_000).map(|n| format!("{{name=\"p{n}\",register=\"coil:{n}\",zz=1}},")).collect();
    let (head, _) = REFERENCE.split_once("[[dataset]]").unwrap();
    let text = format!(
        "{head}\n[[device]]\nname=\"d\"\ndriver=\"modbus-tcp\"\nevery=\"1s\"\nequipment=\"a\"\naddress=\"h\"\npoint=[{points}]"
    );
    let found = problems(&text);
    assert_eq!(found.count(), 5_000);
    assert!(found.problems.windows(2).all(|pair| pair[0].place.column < pair[1].place.column));
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let found = problems(&"#".repeat(FILE_BYTES_MAX + 1));
    assert_eq!(found.problems[0].what, "the file has 268435457 bytes, the limit is 256MiB");
}

#[test]
fn depth_is_bounded_however_it_is_written() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}1{}", "{a=".repeat(100_000), "}".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        (1..2_000).map(|n| format!("[{}a]\n", "a.".repeat(n))).collect(),
    ] {
        assert!(problems(&text).count() > 0);
    }
}

fn shown(result: &Result<Plan, Problems>) -> String {
    match result {
        Ok(plan) => format!("{plan:?}"),
        Err(problems) => format!("{problems}{problems:?}"),
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,300}") {
        shown(&load("f", &text));
    }

    #[test]
    fn a_damaged_file_never_panics(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, "[\\[\\]{}=\"'#.,\n\r 0-9a-zé温-]{0,12}"), 1..6)
    ) {
        let mut text = REFERENCE.to_owned();
        for (at, length, new) in cuts {
            let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            if bounds.is_empty() { break }
            let from = at.index(bounds.len());
            let to = (from + length).min(bounds.len() - 1).max(from);
            text.replace_range(bounds[from]..bounds[to], &new);
        }
        let result = load("f", &text);
        if let Err(problems) = &result {
            let lines = text.split('\n').count();
            prop_assert!(problems.count() > 0);
            for problem in &problems.problems {
                prop_assert!((1..=lines).contains(&problem.place.line) && problem.place.column > 0);
            }
        }
        shown(&result);
    }

    #[test]
    fn a_secret_never_comes_back(at in 0_usize..50, slip in 0_usize..50, secret in "[a-zA-Z0-9]{16,40}") {
        let mut lines: Vec<String> = REFERENCE.lines().map(str::to_owned).collect();
        if let Some(line) = lines.get_mut(slip) {
            line.insert(0, 'x');
        }
        let held = [
            format!("password = \"{secret}\""),
            format!("auth = {{ client_secret = '{secret}' }}"),
            format!("key = \"-----BEGIN PRIVATE KEY-----\\n{secret}\""),
            format!("broker = \"mqtts://gw:{secret}@host\""),
        ];
        for line in held {
            let mut lines = lines.clone();
            lines.retain(|old| !line.starts_with("key") || !old.contains("key = "));
            lines.retain(|old| !line.starts_with("broker") || !old.contains("broker = "));
            let sandbox = lines.iter().position(|l| l.contains("[sandbox]")).unwrap_or(0);
            let at = if line.starts_with('k') || line.starts_with('b') { sandbox + 1 } else { at.min(lines.len()) };
            lines.insert(at, line);
            let text = shown(&load("f", &lines.join("\n")));
            prop_assert!(!text.contains(&secret), "{text}");
        }
    }
}
