use std::ops::Range;

use lingate_drivers::settings::{self, DeTable, Table, show_size};
use lingate_refine::ExportPlan;
use ring::digest;

use crate::dataset::Datasets;
use crate::device::Devices;
use crate::problem::PROBLEMS_MAX;
use crate::source::Source;
use crate::subject::subject;
use crate::{
    DatasetPlaces, Place, Places, Plan, Problem, Problems, buffer, dataset, device, gateway, health, sandbox, secret,
};

/// A larger file is not read at all. 100,000 points with all their settings take 20 MiB, and reading them 40 times that
/// in memory for a moment.
pub const FILE_BYTES_MAX: usize = 32 << 20;

/// More syntax errors than this are only echoes of the first ones.
const SYNTAX_ERRORS_MAX: usize = 20;

/// As [`load`], for what came from the disk and may not even be text.
pub fn load_bytes(file: &str, bytes: &[u8]) -> Result<Plan, Problems> {
    match std::str::from_utf8(bytes) {
        Ok(text) => load(file, text),
        Err(error) => {
            let readable = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or("");
            let place = Source::new(readable).place(readable.len()..readable.len(), String::new());
            let hint = "save the file as UTF-8".to_owned();
            Err(one(file, place, "the next byte is not UTF-8 text", Some(hint)))
        }
    }
}

/// Parses and checks a configuration. `file` is only for messages.
pub fn load(file: &str, text: &str) -> Result<Plan, Problems> {
    if text.len() > FILE_BYTES_MAX {
        let (size, limit) = (text.len(), show_size(FILE_BYTES_MAX as u64));
        let place = Source::new("").place(0..0, String::new());
        let what = format!("the file has {size} bytes, the limit is {limit}");
        return Err(one(file, place, &what, None));
    }
    let source = Source::new(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(syntax(file, &source, &errors));
    }
    let root = Root { file, text, source, table: root.get_ref() };
    root.read()
}

fn one(file: &str, place: Place, what: &str, hint: Option<String>) -> Problems {
    Problems::new(file.to_owned(), vec![Problem { place, what: what.to_owned(), hint }])
}

/// What the words mean cannot be told from a file whose words are broken: only these are reported.
fn syntax(file: &str, source: &Source<'_>, errors: &[toml::de::Error]) -> Problems {
    let problem = |error: &toml::de::Error| Problem {
        place: source.place(error.span().unwrap_or(0..0), String::new()),
        what: format!("not TOML: {}", error.message().replace('\n', ", ")),
        hint: syntax_hint(error.message()).map(str::to_owned),
    };
    let mut is_open = false;
    let told = errors.iter().filter(|error| {
        let is_echo = is_open;
        is_open |= is_inside_brackets(error.message());
        !is_echo
    });
    Problems::new(file.to_owned(), told.take(SYNTAX_ERRORS_MAX).map(problem).collect())
}

/// After it, everything up to the end of the file is taken for the inside of brackets.
fn is_inside_brackets(message: &str) -> bool {
    ["missing comma", "missing key for inline", "unexpected `=` in array", "unclosed array", "unclosed inline"]
        .iter()
        .any(|start| message.starts_with(start) && !message.starts_with("unclosed array table"))
}

fn syntax_hint(message: &str) -> Option<&'static str> {
    match message {
        message if is_inside_brackets(message) => {
            Some("look for a [ or { that is not closed, here or on a line above; what follows is not checked yet")
        }
        message if message.starts_with("duplicate key") => {
            Some("each key stands once in a table: take one of them out")
        }
        message if message.starts_with("string values must be quoted") => Some("write text in \"quotes\""),
        _ => None,
    }
}

struct Root<'a> {
    file: &'a str,
    text: &'a str,
    source: Source<'a>,
    table: &'a DeTable<'a>,
}

impl Root<'_> {
    fn read(&self) -> Result<Plan, Problems> {
        // What is missing at the top would belong at the end of the file.
        let end = self.text.len();
        let mut table = Table::new(self.table, end..end, "");
        let mut problems = Vec::new();
        let gateway = gateway::read(&mut table, &mut problems);
        let sandbox = sandbox::read(&mut table, self.table, &mut problems);
        let buffer = buffer::read(&mut table, &mut problems);
        let health = health::read(&mut table, &mut problems);
        let mut datasets = dataset::read(&mut table, &self.source, &mut problems);
        let devices = device::read(&mut table, &mut datasets, &self.source, &mut problems);
        problems.extend(table.finish());
        datasets.report_empty(&mut problems);
        if !problems.is_empty() {
            return Err(self.problems(problems));
        }
        let (Some(gateway), Some(sandbox), Some(buffer), Some(health)) = (gateway, sandbox, buffer, health) else {
            unreachable!("a table that gives nothing reports a problem");
        };
        let places = self.places(&datasets, &devices);
        Ok(Plan {
            gateway: gateway.id,
            tenant: gateway.tenant,
            state_dir: gateway.state_dir,
            sandbox,
            buffer,
            health,
            quotas: datasets.quotas(),
            live_first: datasets.live_first(),
            export: ExportPlan { datasets: datasets.plans(), points: devices.points },
            devices: devices.devices,
            sha256: sha256(self.text),
            places,
        })
    }

    fn places(&self, datasets: &Datasets, devices: &Devices) -> Places {
        let at = |table: &str, key: &str| self.place_of(table, key);
        let below = |path: &str, span: &Range<usize>, key: &str| {
            self.source.place(span.clone(), subject(self.table, &format!("{path}.{key}")))
        };
        let dataset = |dataset: &dataset::Entry| DatasetPlaces {
            id: below(&dataset.path, &dataset.spans[0], "id"),
            purpose: below(&dataset.path, &dataset.spans[1], "purpose"),
            class: below(&dataset.path, &dataset.spans[2], "class"),
        };
        let device = |(index, span): (usize, &Range<usize>)| {
            self.source.place(span.clone(), subject(self.table, &format!("device[{index}]")))
        };
        Places {
            file: self.file.to_owned(),
            gateway: at("gateway", "id"),
            tenant: at("gateway", "tenant"),
            state_dir: at("gateway", "state_dir"),
            ca: at("sandbox", "ca"),
            certificate: at("sandbox", "certificate"),
            key: at("sandbox", "key"),
            signing_key: at("sandbox", "signing_key"),
            root_sha256: at("sandbox", "root_sha256"),
            brokers: sandbox::broker_spans(self.table)
                .into_iter()
                .map(|span| self.source.place(span, "sandbox.broker".to_owned()))
                .collect(),
            health: at("health", "listen"),
            datasets: datasets.entries().iter().map(dataset).collect(),
            devices: devices.name_spans.iter().enumerate().map(device).collect(),
        }
    }

    /// Of a value, of its table if it is absent, of the end of the file if that is absent as well.
    fn place_of(&self, table: &str, key: &str) -> Place {
        let end = self.text.len();
        let found = self.table.get(table);
        let value = found.and_then(|found| found.get_ref().as_table()?.get(key)).map(toml::Spanned::span);
        let span = value.or_else(|| found.map(toml::Spanned::span)).unwrap_or(end..end);
        self.source.place(span, format!("{table}.{key}"))
    }

    fn problems(&self, mut found: Vec<settings::Problem>) -> Problems {
        found.sort_by_key(|problem| problem.span.start);
        found.dedup();
        let misspelt: std::collections::BTreeSet<String> = found.iter().filter_map(meant).collect();
        found.retain(|problem| !(is_missing(problem) && misspelt.contains(&problem.path)));
        let omitted = found.len().saturating_sub(PROBLEMS_MAX);
        found.truncate(PROBLEMS_MAX);
        let shown = found.into_iter().map(|problem| self.resolve(problem)).collect();
        Problems { omitted, ..Problems::new(self.file.to_owned(), shown) }
    }

    fn resolve(&self, problem: settings::Problem) -> Problem {
        let unknown = unknown_key(&problem).is_some_and(secret::is_key_name);
        let hint = if unknown { Some(secret::HINT.to_owned()) } else { problem.hint.clone() };
        let path = match is_missing(&problem) {
            true => problem.path.rsplit_once('.').map_or("", |(table, _)| table),
            false => &problem.path,
        };
        let place = self.source.place(problem.span, subject(self.table, path));
        let place = if secret::concerns(&problem.path) { place.without_excerpt() } else { place };
        Problem { place, what: problem.what, hint }
    }
}

/// The path that a misspelt key should have had: its absence is the same mistake and needs no message of its own.
fn meant(problem: &settings::Problem) -> Option<String> {
    unknown_key(problem)?;
    let known = problem.hint.as_deref()?.strip_prefix("did you mean \"")?.strip_suffix("\"?")?;
    Some(match problem.path.as_str() {
        "" => known.to_owned(),
        path => format!("{path}.{known}"),
    })
}

fn unknown_key(problem: &settings::Problem) -> Option<&str> {
    problem.what.strip_prefix('"')?.strip_suffix("\" is not a setting")
}

fn is_missing(problem: &settings::Problem) -> bool {
    problem.what.ends_with("\" is missing")
}

fn sha256(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    hash
}
