//! What a person writes into the file and what the reader makes of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::time::Duration;

use lingate_drivers::settings::{DeTable, Problem, Table};
use lingate_model::{Decimal, DeviceName};

fn read<T>(text: &str, take: impl FnOnce(&mut Table<'_>) -> T) -> (T, Vec<Problem>) {
    let file = DeTable::parse(text).unwrap();
    let mut table = Table::new(file.get_ref(), file.span(), "device[2]");
    let taken = take(&mut table);
    let problems = table.finish();
    (taken, problems)
}

#[track_caller]
fn check<T: PartialEq + std::fmt::Debug>(
    text: &str,
    take: impl FnOnce(&mut Table<'_>) -> Option<T>,
    expected: Result<T, &str>,
) {
    let (taken, problems) = read(text, take);
    match expected {
        Ok(value) => assert_eq!((taken, problems), (Some(value), vec![])),
        Err(what) => {
            assert_eq!(taken, None);
            assert_eq!(problems.iter().map(|p| p.what.as_str()).collect::<Vec<_>>(), [what]);
        }
    }
}

#[test]
fn a_key_that_nobody_asked_for_is_reported_at_its_place_with_what_it_may_mean() {
    let text = "timeout = '1s'\nregistr = 7\nzzz = 1";
    let (_, problems) = read(text, |t| {
        t.take("register").string();
        t.take("timeout").duration(Duration::ZERO..=Duration::from_secs(9))
    });
    assert_eq!(&text[problems[0].span.clone()], "registr");
    assert_eq!(problems[0].what, "\"registr\" is not a setting");
    assert_eq!(problems[0].hint.as_deref(), Some("did you mean \"register\"?"));
    assert_eq!(problems[1].hint.as_deref(), Some("known here: register, timeout"));
}

#[test]
fn a_missing_key_is_reported_once_and_a_wrong_one_is_not_missing() {
    check("", |t| t.require("unit").integer(0..=9_u8), Err("\"unit\" is missing"));
    check("unit = 'x'", |t| t.require("unit").integer(0..=9_u8), Err("is a text, expected an integer"));
    let (_, problems) = read("unit = 11", |t| t.require("unit").integer(0..=9_u8));
    assert_eq!(problems[0].path, "device[2].unit");
    assert_eq!(problems[0].span, 7..9);
}

#[test]
fn numbers_keep_to_their_range_and_their_type() {
    check("n = 255", |t| t.take("n").integer(0..=255_u8), Ok(255));
    check("n = 0xff", |t| t.take("n").integer(0..=255_u8), Ok(255));
    check("n = -1", |t| t.take("n").integer(0..=255_u8), Err("is -1, allowed are 0 to 255"));
    check("n = 70_000", |t| t.take("n").integer(0..=9_u16), Err("is 70000, allowed are 0 to 9"));
    check("n = 1.0", |t| t.take("n").integer(0..=9_u8), Err("is a number, expected an integer"));
    check("n = 0.5", |t| t.take("n").number(0.0..=1.0), Ok(0.5));
    check("n = nan", |t| t.take("n").number(0.0..=1.0), Err("is nan, allowed are 0 to 1"));
    check("n = true", |t| t.take("n").boolean(), Ok(true));
}

#[test]
fn a_decimal_is_what_stands_in_the_file() {
    for (text, decimal) in [("0.1", "0.1"), ("0.10", "0.1"), ("1_000.5", "1000.5"), ("-3", "-3"), ("1e-3", "0.001")] {
        check(&format!("n = {text}"), |t| t.take("n").decimal(), Ok(decimal.parse::<Decimal>().unwrap()));
    }
    let refused = "has more than 15 digits before or after the point";
    check("n = 0.12345678901234567", |t| t.take("n").decimal(), Err(refused));
    check("n = inf", |t| t.take("n").decimal(), Err("is not a decimal number such as 0.1, 25 or 1e-3"));
    let pair = |low: &str, high: &str| Ok((low.parse::<Decimal>().unwrap(), high.parse::<Decimal>().unwrap()));
    check("n = [0, 400.5]", |t| t.take("n").decimal_range(), pair("0", "400.5"));
    check("n = [4, 4]", |t| t.take("n").decimal_range(), Err("begins at 4, which is not below its end 4"));
    check("n = [4]", |t| t.take("n").decimal_range(), Err("has 1 element, expected a lower and an upper limit"));
}

#[test]
fn durations_and_sizes_have_units_and_limits() {
    let hour = || Duration::from_millis(1)..=Duration::from_secs(3600);
    check("d = '500ms'", |t| t.take("d").duration(hour()), Ok(Duration::from_millis(500)));
    check("d = '2h'", |t| t.take("d").duration(hour()), Err("is 2h, allowed are 1ms to 1h"));
    check("d = 5", |t| t.take("d").duration(hour()), Err("is an integer, expected a duration"));
    check("d = '5'", |t| t.take("d").duration(hour()), Err("is \"5\", expected a duration"));
    check("s = '8GiB'", |t| t.take("s").size(0..=1 << 40), Ok(8 << 30));
    check("s = '1B'", |t| t.take("s").size(1 << 20..=1 << 30), Err("is 1B, allowed are 1MiB to 1GiB"));
}

#[test]
fn words_and_names_are_parsed_with_advice() {
    let orders = [("abcd", 1), ("cdab", 2)];
    check("w = 'cdab'", |t| t.take("w").word(&orders), Ok(2));
    let (_, problems) = read("w = 'abdc'", |t| t.take("w").word(&orders));
    assert_eq!(problems[0].what, "is \"abdc\", allowed are \"abcd\", \"cdab\"");
    assert_eq!(problems[0].hint.as_deref(), Some("did you mean \"abcd\"?"));
    check("n = 'ex 7'", |t| t.take("n").parsed::<DeviceName>(), {
        Err("\"ex 7\" has ' ' at byte 2; allowed: letters, digits, - _ .")
    });
}

#[test]
fn tables_below_have_paths_of_their_own() {
    let text = "minimize = [ { deadband = 0.5 }, { round = 0.1, x = 1 } ]\n[flush]\nage = '1s'\n[[point]]\na = 1";
    let file = DeTable::parse(text).unwrap();
    let mut table = Table::new(file.get_ref(), file.span(), "device[2]");
    assert!(table.take("flush").table().unwrap().take("age").string().is_some());
    assert_eq!(table.take("point").tables(0..=9).len(), 1);
    let mut steps = table.take("minimize").tables(0..=16);
    assert_eq!(table.finish(), []);
    assert_eq!(steps[0].keys().collect::<Vec<_>>(), ["deadband"]);
    let mut second = steps.remove(1);
    assert!(second.take("round").decimal().is_some());
    assert_eq!(second.path(), "device[2].minimize[1]");
    assert_eq!(second.finish()[0].path, "device[2].minimize[1]");
}

#[test]
fn what_is_not_a_table_in_a_list_of_tables_is_reported_with_its_number() {
    let (count, problems) = read("point = [1, {}]", |t| t.take("point").tables(0..=9).len());
    assert_eq!(count, 1);
    assert_eq!(problems[0].path, "device[2].point[0]");
    assert_eq!(problems[0].what, "is an integer, expected a table");
}

#[test]
fn one_text_or_a_list_of_texts() {
    check("b = 'x'", |t| Some(t.take("b").texts(1..=3)), Ok(vec!["x".to_owned()]));
    check("b = ['x', 'y']", |t| Some(t.take("b").texts(1..=3)), Ok(vec!["x".to_owned(), "y".to_owned()]));
    let (_, problems) = read("b = []", |t| t.take("b").texts(1..=3));
    assert_eq!(problems[0].what, "has 0 elements, allowed are 1 to 3");
}

#[test]
fn a_problem_never_quotes_a_long_text() {
    let (_, problems) = read(&format!("w = '{}'", "k".repeat(500)), |t| t.take("w").word(&[("a", ())]));
    assert!(problems[0].what.len() < 80, "{}", problems[0].what);
}
