use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::{Row, State};

/// How many rows the plan has, by group.
const PLAN: [(char, usize); 12] = [
    ('B', 31),
    ('C', 16),
    ('M', 20),
    ('O', 24),
    ('Q', 30),
    ('N', 10),
    ('K', 16),
    ('G', 14),
    ('H', 15),
    ('R', 10),
    ('S', 16),
    ('V', 4),
];

/// All rows, by number.
pub struct Catalogue(pub Vec<Row>);

impl Catalogue {
    pub fn read() -> Result<Catalogue> {
        let folder = root().join("tests/hostile/rows");
        let mut rows = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let text = fs::read_to_string(&path)?;
            let row: Row = toml::from_str(&text).with_context(|| path.display().to_string())?;
            let is_named = path.file_stem().is_some_and(|stem| *stem == *row.id);
            ensure!(is_named, "{} holds the row {}", path.display(), row.id);
            if let Some(complaint) = row.complaint() {
                bail!("{}: {complaint}", path.display());
            }
            rows.push(row);
        }
        rows.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(Catalogue(rows))
    }

    /// Every number of the plan is there once.
    pub fn is_whole(&self) -> Result<()> {
        for (group, count) in PLAN {
            let numbers: BTreeSet<String> = (1..=count).map(|number| format!("{group}{number:02}")).collect();
            let found: BTreeSet<String> = self.of(group).map(|row| row.id.clone()).collect();
            ensure!(numbers == found, "group {group}: the plan has {numbers:?}, the folder {found:?}");
        }
        let all: usize = PLAN.iter().map(|(_, count)| count).sum();
        ensure!(self.0.len() == all, "rows of no group");
        Ok(())
    }

    /// A test that a row names is there and runs: in `cargo test`, or its file is named in `.ci/run`.
    pub fn names_tests_that_run(&self) -> Result<()> {
        let tests = tests_of(&root())?;
        let steps = fs::read_to_string(root().join(".ci/run"))?;
        for row in &self.0 {
            for name in &row.held {
                runs(name, &tests, &steps).with_context(|| format!("{} names the test {name}", row.id))?;
            }
            for step in &row.step {
                ensure!(steps.contains(step.as_str()), "{} names the step {step:?}, which .ci/run has not", row.id);
            }
        }
        Ok(())
    }

    pub fn of(&self, group: char) -> impl Iterator<Item = &Row> {
        self.0.iter().filter(move |row| row.group() == group)
    }

    pub fn groups() -> impl Iterator<Item = char> {
        PLAN.into_iter().map(|(group, _)| group)
    }

    pub fn count(&self, group: Option<char>, state: State) -> usize {
        self.0.iter().filter(|row| group.is_none_or(|of| row.group() == of) && row.state() == state).count()
    }
}

fn runs(name: &str, tests: &BTreeMap<String, (String, bool)>, steps: &str) -> Result<()> {
    let (file, is_ignored) = tests.get(name).context("it does not exist")?;
    let is_run = !is_ignored || steps.contains(&format!("--test {file} ")) || steps.contains(name);
    ensure!(is_run, "it is ignored, and no step of .ci/run names it");
    Ok(())
}

/// How many tests a document names as `` `test: NAME` ``, each of which runs.
pub fn tests_that_run_of(document: &str) -> Result<usize> {
    let (tests, steps) = (tests_of(&root())?, fs::read_to_string(root().join(".ci/run"))?);
    let text = fs::read_to_string(root().join(document))?;
    let names: Vec<&str> = text.split("`test: ").skip(1).filter_map(|rest| rest.split('`').next()).collect();
    for name in &names {
        runs(name, &tests, &steps).with_context(|| format!("{document} names the test {name}"))?;
    }
    Ok(names.len())
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}

/// Every test function below: its file's name, and whether it is ignored.
pub fn tests_of(root: &Path) -> Result<BTreeMap<String, (String, bool)>> {
    let mut tests = BTreeMap::new();
    for folder in ["gateway", "drivers", "config", "tests"] {
        collect(&root.join(folder), &mut tests)?;
    }
    Ok(tests)
}

fn collect(folder: &Path, tests: &mut BTreeMap<String, (String, bool)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, tests)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            // `tests/lines/rows.rs` belongs to the test `lines`.
            let beside = path.parent().filter(|folder| folder.join("main.rs").exists());
            let stem = beside.and_then(Path::file_name).or(path.file_stem()).unwrap_or_default();
            note(&fs::read_to_string(&path)?, &stem.to_string_lossy(), tests);
        }
    }
    Ok(())
}

fn note(text: &str, file: &str, tests: &mut BTreeMap<String, (String, bool)>) {
    let (mut is_test, mut is_ignored) = (false, false);
    for line in text.lines().map(str::trim) {
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        is_ignored |= line.starts_with("#[ignore");
        if let Some(rest) = line.trim_start_matches("async ").strip_prefix("fn ") {
            if is_test {
                let name = rest.split(['(', '<']).next().unwrap_or_default();
                tests.insert(name.to_owned(), (file.to_owned(), is_ignored));
            }
            (is_test, is_ignored) = (false, false);
        }
    }
}
