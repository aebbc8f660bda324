use std::collections::BTreeSet;
use std::ops::Range;

use lingate_drivers::settings::{self, DeTable, Table, Trace};
use lingate_refine::ExportPlan;
use ring::digest;

use crate::dataset::Datasets;
use crate::device::Devices;
use crate::problem::PROBLEMS_MAX;
use crate::source::Source;
use crate::subject::subject;
use crate::{
    DatasetPlaces, Place, Places, Plan, Problem, Problems, buffer, dataset, device, gateway, health, reload, sandbox,
    secret,
};

/// The table of the whole configuration.
pub(crate) struct Root<'a> {
    /// Name and text of each.
    pub(crate) files: &'a [(&'a str, &'a str)],
    pub(crate) source: Source<'a>,
    pub(crate) table: &'a DeTable<'a>,
    pub(crate) trace: Option<&'a Trace>,
}

impl Root<'_> {
    /// `problems`: what the files contradict one another.
    pub(crate) fn read(&self, mut problems: Vec<settings::Problem>) -> Result<Plan, Problems> {
        let end = self.end();
        let table = Table::new(self.table, end..end, "");
        let mut table = self.trace.map_or_else(|| table.clone(), |trace| table.clone().traced(trace));
        let gateway = gateway::read(&mut table, &mut problems);
        let sandbox = sandbox::read(&mut table, self.table, &mut problems);
        let buffer = buffer::read(&mut table, &mut problems);
        let health = health::read(&mut table, &mut problems);
        let reload = reload::read(&mut table, &mut problems);
        let mut datasets = dataset::read(&mut table, &self.source, &mut problems);
        let devices = device::read(&mut table, &mut datasets, &self.source, &mut problems);
        problems.extend(table.finish());
        datasets.report_empty(&mut problems);
        datasets.fold_unknown(&mut problems);
        if !problems.is_empty() {
            return Err(self.problems(problems));
        }
        let (Some(gateway), Some(sandbox), Some(buffer), Some(health), Some(reload)) =
            (gateway, sandbox, buffer, health, reload)
        else {
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
            reload,
            quotas: datasets.quotas(),
            live_first: datasets.live_first(),
            export: ExportPlan { datasets: datasets.plans(), points: devices.points },
            devices: devices.devices,
            sha256: self.sha256(),
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
            file: self.name().to_owned(),
            gateway: at("gateway", "id"),
            tenant: at("gateway", "tenant"),
            state_dir: at("gateway", "state_dir"),
            ca: at("sandbox", "ca"),
            crl: at("sandbox", "crl"),
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

    fn name(&self) -> &str {
        self.files.first().map_or("", |(name, _)| name)
    }

    /// Of the first file: what is missing at the top would belong there.
    fn end(&self) -> usize {
        self.files.first().map_or(0, |(_, text)| text.len())
    }

    /// Of a value, of its table if it is absent, of the end of the file if that is absent as well.
    fn place_of(&self, table: &str, key: &str) -> Place {
        let end = self.end();
        let found = self.table.get(table);
        let value = found.and_then(|found| found.get_ref().as_table()?.get(key)).map(toml::Spanned::span);
        let span = value.or_else(|| found.map(toml::Spanned::span)).unwrap_or(end..end);
        self.source.place(span, format!("{table}.{key}"))
    }

    /// Of a configuration of one file: of its bytes, so that `sha256sum` gives the same. Of several: of the digests of each,
    /// in their order.
    fn sha256(&self) -> [u8; 32] {
        match self.files {
            [(_, text)] => sha256(text.as_bytes()),
            files => sha256(&files.iter().flat_map(|(_, text)| sha256(text.as_bytes())).collect::<Vec<u8>>()),
        }
    }

    fn problems(&self, mut found: Vec<settings::Problem>) -> Problems {
        found.sort_by_key(|problem| problem.span.start);
        found.dedup();
        let misspelt: BTreeSet<String> = found.iter().filter_map(meant).collect();
        let names_datasets = !misspelt.contains("dataset");
        found.retain(|problem| {
            !misspelt.contains(&problem.path) && (names_datasets || !dataset::is_unknown(&problem.what))
        });
        let omitted = found.len().saturating_sub(PROBLEMS_MAX);
        found.truncate(PROBLEMS_MAX);
        let shown = found.into_iter().map(|problem| self.resolve(problem)).collect();
        Problems { omitted, ..Problems::new(self.name().to_owned(), shown) }
    }

    fn resolve(&self, problem: settings::Problem) -> Problem {
        let unknown = unknown_key(&problem).is_some_and(secret::is_key_name);
        let near = problem.hint.as_deref().filter(|hint| hint.starts_with("did you mean"));
        let hint = match unknown {
            true => Some(near.map_or_else(|| secret::HINT.to_owned(), |near| format!("{near} And {}", secret::HINT))),
            false => problem.hint.clone(),
        };
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

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}
