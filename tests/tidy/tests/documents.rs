//! The documents say what the tree holds.

use std::collections::BTreeSet;

use lingate_tidy::{root, sources};

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names of all test functions of the workspace, scripts of the interop tests included.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in sources(&["gateway", "drivers", "config", "tests"], &[".rs"]) {
        let mut is_test = false;
        for line in source.text.lines().map(str::trim) {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            if let Some(rest) = line.trim_start_matches("async ").strip_prefix("fn ") {
                if is_test {
                    names.insert(rest.split(['(', '<']).next().unwrap_or_default().to_owned());
                }
                is_test = false;
            }
        }
    }
    names
}

/// A promise names its tests as `` `test: some_law` ``; each must exist.
#[test]
fn every_test_that_the_specification_names_exists() {
    let tests = tests();
    let mut named = 0;
    for path in ["SPECIFICATION.md", "ARCHITECTURE.md", "SECURITY.md"] {
        for part in text(path).split("`test: ").skip(1) {
            let name = part.split('`').next().unwrap_or_default();
            assert!(tests.contains(name), "{path} names the test `{name}`, which does not exist");
            named += 1;
        }
    }
    assert!(named >= 15, "only {named} tests are named by the documents");
}

#[test]
fn every_promise_is_in_the_specification() {
    let specification = text("SPECIFICATION.md");
    for number in 1..=9 {
        assert!(specification.contains(&format!("D{number}")), "SPECIFICATION.md does not speak of D{number}");
    }
}

#[test]
fn both_readmes_give_the_two_commands() {
    for path in ["README.md", "README.zh-CN.md"] {
        for command in ["cargo run --release --bin demo", "cargo test --workspace"] {
            let first_screen: String = text(path).lines().take(40).collect::<Vec<_>>().join("\n");
            assert!(first_screen.contains(command), "{path} does not give `{command}` on its first screen");
        }
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    for path in ["README.md", "README.zh-CN.md", "ARCHITECTURE.md", "SPECIFICATION.md", "CHANGELOG.md", "SECURITY.md"] {
        for part in text(path).split("](").skip(1) {
            let target = part.split([')', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                assert!(root().join(target).exists(), "{path} links to {target}, which does not exist");
            }
        }
    }
}
