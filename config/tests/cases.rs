//! Every folder of `tests/cases` is a file and what becomes of it: `lingate.toml` with `plan.txt` or `problems.txt`.
//! A bug report becomes a folder. `UPDATE=1 cargo test -p lingate-config` writes the answers anew; read the difference.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod describe;

use std::fs;
use std::path::{Path, PathBuf};

use describe::describe;
use lingate_config::load_bytes;

#[test]
fn every_case_gives_its_plan_or_its_problems() {
    let cases = folders();
    assert!(cases.len() >= 60, "only {} cases were found", cases.len());
    let failures: Vec<String> = cases.iter().filter_map(|case| check(case)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut folders: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn check(case: &Path) -> Option<String> {
    let bytes = fs::read(case.join("lingate.toml")).unwrap();
    let (name, other, found) = match load_bytes("lingate.toml", &bytes) {
        Ok(plan) => ("plan.txt", "problems.txt", describe(&plan)),
        Err(problems) => ("problems.txt", "plan.txt", format!("{problems}\n")),
    };
    let expected = case.join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&expected, &found).unwrap();
        let _ = fs::remove_file(case.join(other));
        return None;
    }
    if case.join(other).exists() {
        return Some(format!("{}: expected {other}, found:\n{found}", case.display()));
    }
    let known = fs::read_to_string(&expected).unwrap_or_default();
    (known != found).then(|| format!("{}: expected:\n{known}found:\n{found}", expected.display()))
}
