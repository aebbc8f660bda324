//! What this gateway can show, offline, of where an epoch's readings came from and under which rights: the configuration's
//! points and policies, and the epochs of its audit log, each held against the other. Values it cannot show: nobody here
//! can open what was sealed.
//!
//! ```text
//! point ─ device, address, steps ─ policy ─┐ computed from the configuration
//!                                          ├ the same hash?
//! start ─ policy.loaded ─ epoch.open ──────┘ ─ data.range, data.acked, epoch.close    lines of the log
//!           bundle.accepted ┘ the copy in inbox/accepted has this hash?
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use lingate_audit::{Kind, Line};
use serde::Serialize;

use crate::files;
use crate::policy::{PointPolicy, Policy, StepPolicy};
use crate::software::hex;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lineage {
    pub(crate) gateway: String,
    pub(crate) configuration: String,
    pub(crate) datasets: Vec<DatasetLineage>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct DatasetLineage {
    pub(crate) dataset: String,
    /// Claim -70004 of what this configuration seals.
    pub(crate) policy: String,
    pub(crate) points: Vec<PointLineage>,
    /// Epochs of the log, and the newest of them, oldest first.
    pub(crate) epochs: u64,
    pub(crate) newest: VecDeque<EpochLineage>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct PointLineage {
    pub(crate) name: String,
    pub(crate) device: String,
    pub(crate) driver: &'static str,
    pub(crate) address: String,
    pub(crate) source: String,
    pub(crate) equipment: String,
    pub(crate) class: Option<String>,
    /// After M1 and M2.
    pub(crate) steps: Vec<StepPolicy>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct EpochLineage {
    pub(crate) kid: String,
    pub(crate) opened: String,
    pub(crate) closed: Option<String>,
    pub(crate) purpose: String,
    pub(crate) class: String,
    /// Claims -70004, -70007 and -70009.
    pub(crate) policy: String,
    pub(crate) catalogue: String,
    pub(crate) lineage: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) bundle: u64,
    pub(crate) bundle_sha256: Option<String>,
    pub(crate) software: String,
    pub(crate) configuration: String,
    pub(crate) records: u64,
    pub(crate) readings: u64,
    pub(crate) acknowledged: u64,
    pub(crate) checks: Checks,
}

/// `None`: what it needs is not here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Checks {
    /// The daemon had loaded this policy for the dataset.
    pub(crate) policy_was_loaded: Option<bool>,
    /// The points above are those of this epoch.
    pub(crate) policy_is_this_configurations: bool,
    /// The accepted bundle is still kept, and has the hash that the log names.
    pub(crate) bundle_is_kept: Option<bool>,
}

impl Checks {
    pub(crate) fn holds(self) -> bool {
        self.policy_was_loaded != Some(false) && self.bundle_is_kept != Some(false)
    }
}

/// Takes the lines of a log in their order.
pub(crate) struct Reader {
    lineage: Lineage,
    accepted: PathBuf,
    newest_max: usize,
    /// As the newest lines have it.
    software: String,
    configuration: String,
    loaded: BTreeMap<String, String>,
    bundles: BTreeMap<u64, String>,
}

impl Reader {
    /// `newest_max`: epochs of each dataset that are kept.
    pub(crate) fn new(policy: &Policy, state_dir: &Path, newest_max: usize) -> Reader {
        let dataset = |it: &crate::policy::DatasetPolicy| DatasetLineage {
            dataset: it.id.clone(),
            policy: it.policy_sha256.clone(),
            points: policy.points.iter().filter(|point| point.dataset.as_ref() == Some(&it.id)).map(point).collect(),
            epochs: 0,
            newest: VecDeque::new(),
        };
        let lineage = Lineage {
            gateway: policy.gateway.clone(),
            configuration: policy.configuration.sha256.clone(),
            datasets: policy.datasets.iter().map(dataset).collect(),
        };
        let (software, configuration) = Default::default();
        let (loaded, bundles) = Default::default();
        Reader {
            lineage,
            accepted: state_dir.join("inbox/accepted"),
            newest_max,
            software,
            configuration,
            loaded,
            bundles,
        }
    }

    pub(crate) fn take(&mut self, line: &Line) {
        let text = |name: &str| line.text(name).unwrap_or_default().to_owned();
        match line.kind {
            Some(Kind::Start) => {
                (self.software, self.configuration) = (text("software"), text("config"));
                self.loaded.clear();
            }
            Some(Kind::PolicyLoaded) => drop(self.loaded.insert(text("dataset"), text("policy"))),
            Some(Kind::BundleAccepted) => {
                drop(self.bundles.insert(line.count("version").unwrap_or_default(), text("sha256")));
            }
            Some(Kind::EpochOpen) => self.open(line),
            Some(Kind::EpochClose) => self.of(line, |epoch, line| epoch.closed = Some(line.t.clone())),
            Some(Kind::DataRange) => self.of(line, |epoch, line| {
                epoch.records = epoch.records.saturating_add(line.count("records").unwrap_or_default());
                epoch.readings = epoch.readings.saturating_add(line.count("readings").unwrap_or_default());
            }),
            Some(Kind::DataAcked) => self.of(line, |epoch, line| {
                epoch.acknowledged = epoch.acknowledged.saturating_add(line.count("records").unwrap_or_default());
            }),
            _ => {}
        }
    }

    fn open(&mut self, line: &Line) {
        let text = |name: &str| line.text(name).unwrap_or_default().to_owned();
        let Some(dataset) = self.lineage.datasets.iter_mut().find(|it| line.text("dataset") == Some(&it.dataset))
        else {
            return;
        };
        let recipients = line.members.get("recipients").and_then(|it| it.as_array()).into_iter().flatten();
        let policy = text("policy");
        let bundle = line.count("bundle").unwrap_or_default();
        let bundle_sha256 = self.bundles.get(&bundle).cloned();
        let checks = Checks {
            policy_was_loaded: self.loaded.get(&dataset.dataset).map(|loaded| *loaded == policy),
            policy_is_this_configurations: dataset.policy == policy,
            bundle_is_kept: bundle_sha256.as_ref().and_then(|sha256| is_kept(&self.accepted, bundle, sha256)),
        };
        dataset.epochs += 1;
        dataset.newest.push_back(EpochLineage {
            kid: text("kid"),
            opened: line.t.clone(),
            purpose: text("purpose"),
            class: text("class"),
            policy,
            catalogue: text("catalogue"),
            lineage: text("lineage"),
            recipients: recipients.filter_map(|kid| Some(kid.as_str()?.to_owned())).collect(),
            bundle,
            bundle_sha256,
            software: self.software.clone(),
            configuration: self.configuration.clone(),
            checks,
            ..EpochLineage::default()
        });
        if dataset.newest.len() > self.newest_max {
            dataset.newest.pop_front();
        }
    }

    /// The epoch that a line speaks of, if it is one of those that are kept.
    fn of(&mut self, line: &Line, change: impl FnOnce(&mut EpochLineage, &Line)) {
        let epochs = self.lineage.datasets.iter_mut().flat_map(|dataset| &mut dataset.newest);
        if let Some(epoch) = epochs.rev().find(|epoch| line.text("kid") == Some(&epoch.kid)) {
            change(epoch, line);
        }
    }

    pub(crate) fn finish(self) -> Lineage {
        self.lineage
    }
}

impl Lineage {
    pub(crate) fn epochs(&self) -> impl Iterator<Item = &EpochLineage> {
        self.datasets.iter().flat_map(|dataset| &dataset.newest)
    }
}

fn point(point: &PointPolicy) -> PointLineage {
    PointLineage {
        name: point.name.clone(),
        device: point.device.clone(),
        driver: point.driver,
        address: point.address.clone(),
        source: point.source.clone(),
        equipment: point.equipment.clone(),
        class: point.class.clone(),
        steps: point.steps.clone(),
    }
}

/// `None`: the copy was removed, as old ones are.
fn is_kept(accepted: &Path, version: u64, sha256: &str) -> Option<bool> {
    let name = format!("{version:010}-{}.json", sha256.get(..16)?);
    let bytes = files::read(&accepted.join(name)).ok()?;
    Some(hex(&files::sha256(&bytes)) == sha256)
}
