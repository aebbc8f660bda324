//! The plan and what is said of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use lingate_hostile::{Catalogue, END, START, State, play_parsed, table, tests_that_run_of};

#[test]
fn every_row_of_the_plan_is_one_file() {
    Catalogue::read().unwrap().is_whole().unwrap();
}

#[test]
fn a_row_that_a_test_holds_names_one_that_runs() {
    Catalogue::read().unwrap().names_tests_that_run().unwrap();
}

#[test]
fn a_promise_names_tests_that_run() {
    assert!(tests_that_run_of("SPECIFICATION.md").unwrap() > 300);
    assert!(tests_that_run_of("SECURITY.md").unwrap() > 40);
    tests_that_run_of("ARCHITECTURE.md").unwrap();
}

#[test]
fn every_configuration_of_a_row_is_judged_as_it_says() {
    let played = play_parsed(&Catalogue::read().unwrap(), |_| true).unwrap();
    let broken: Vec<_> = played.iter().filter(|row| !row.holds()).collect();
    assert!(broken.is_empty() && played.len() >= 5, "{broken:#?}");
}

/// `UPDATE=1` writes it.
#[test]
fn the_document_has_the_table_of_the_rows() {
    let catalogue = Catalogue::read().unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/hostile.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (head, rest) = text.split_once(START).unwrap();
    let (written, tail) = rest.split_once(END).unwrap();
    let made = table(&catalogue);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, format!("{head}{START}{made}{END}{tail}")).unwrap();
    } else {
        assert!(written == made, "docs/hostile.md is not what the rows say: UPDATE=1 cargo test -p lingate-hostile");
    }
    assert!(catalogue.count(None, State::Played) + catalogue.count(None, State::Held) >= 150);
}
