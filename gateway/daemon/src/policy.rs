//! The effective policy: of every point of the configuration, whether it leaves, for whom, after which steps, or why not.
//! Judged as the daemon judges, offline: bundle and plant's terms decide together, and the strictest of them wins.

pub(crate) mod basis;
pub(crate) mod difference;
pub(crate) mod page;
mod point;
pub(crate) mod reason;
mod steps;
pub(crate) mod table;
pub(crate) mod told;
mod volume;

use std::collections::BTreeMap;
use std::sync::Arc;

use lingate_drivers::settings::show_duration;
use lingate_refine::{DatasetIndex, DatasetPlan, PointPlan};
use lingate_seal::{Grant, VerifiedBundle, policy_sha256};
use serde::Serialize;

use crate::bilingual::Words;
use crate::files;
use crate::policy::basis::Basis;
use crate::policy::reason::Reason;
use crate::software::hex;
use crate::tls::show_time;

pub(crate) use crate::policy::point::{PointPolicy, State};
pub(crate) use crate::policy::steps::StepPolicy;
pub(crate) use crate::policy::volume::{Measured, Volume};

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Policy {
    pub(crate) gateway: String,
    pub(crate) tenant: String,
    /// `lingate 0.1.0 sha256:...`
    pub(crate) software: String,
    /// The moment for which it holds.
    pub(crate) at: String,
    pub(crate) configuration: Named,
    pub(crate) bundle: Option<NamedBundle>,
    /// Of everything below but the volumes and the notes: the same rights have the same number.
    pub(crate) sha256: String,
    pub(crate) notes: Vec<Words>,
    /// In the order of the file, as are the points.
    pub(crate) datasets: Vec<DatasetPolicy>,
    pub(crate) points: Vec<PointPolicy>,
    pub(crate) volume: Volume,
}

/// A file and the SHA-256 of its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Named {
    pub(crate) file: String,
    pub(crate) sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NamedBundle {
    #[serde(flatten)]
    pub(crate) named: Named,
    pub(crate) sandbox: String,
    pub(crate) version: u64,
    pub(crate) root_version: u64,
    pub(crate) valid_from: String,
    pub(crate) valid_until: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct DatasetPolicy {
    pub(crate) id: String,
    pub(crate) purpose: Purpose,
    /// The plant's ceiling, and the lower one of plant and bundle.
    pub(crate) class: String,
    pub(crate) ceiling: Option<String>,
    pub(crate) approval: Option<String>,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) suite: Option<&'static str>,
    pub(crate) policy_sha256: String,
    pub(crate) priority: &'static str,
    pub(crate) flush: String,
    pub(crate) quota: Option<Quota>,
    /// Nothing is sealed for it.
    pub(crate) denied: Option<Reason>,
    pub(crate) volume: Volume,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Purpose {
    pub(crate) id: String,
    /// As the bundle states it.
    pub(crate) statement: Option<String>,
    pub(crate) valid_from: Option<String>,
    pub(crate) valid_until: Option<String>,
}

/// A role and its keys that the epoch's key is wrapped to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Recipient {
    pub(crate) role: String,
    pub(crate) party: String,
    pub(crate) keys: Vec<String>,
}

/// A day's most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Quota {
    pub(crate) records: Option<u64>,
    pub(crate) bytes: Option<u64>,
}

impl Policy {
    pub(crate) fn of(basis: &Basis, measured: &Measured) -> Policy {
        let Basis { plan, .. } = basis;
        let datasets: Vec<(DatasetPolicy, Option<Grant>)> =
            (0..).zip(&plan.export.datasets).map(|(at, dataset)| judge(basis, DatasetIndex(at), dataset)).collect();
        let points = point::judge(basis, &datasets);
        let (datasets, grants): (Vec<_>, Vec<_>) = datasets.into_iter().unzip();
        let mut policy = Policy {
            gateway: plan.gateway.to_string(),
            tenant: plan.tenant.to_string(),
            software: crate::software::name(),
            at: show_time(basis.utc),
            configuration: Named { file: plan.places.file.clone(), sha256: hex(&plan.sha256) },
            bundle: basis.bundle.as_ref().map(|found| named(&found.file, &found.bundle)),
            sha256: String::new(),
            notes: basis.notes.clone(),
            datasets,
            points,
            volume: Volume::default(),
        };
        policy.sha256 = policy.digest();
        volume::fill(&mut policy, plan, &grants, measured);
        policy
    }

    /// Before the volumes are filled in.
    fn digest(&self) -> String {
        let Policy { gateway, tenant, datasets, points, .. } = self;
        let text = serde_json::to_vec(&(gateway, tenant, datasets, points)).expect("texts and numbers");
        hex(&files::sha256(&text))
    }

    pub(crate) fn dataset(&self, id: &str) -> Option<&DatasetPolicy> {
        self.datasets.iter().find(|dataset| dataset.id == id)
    }

    pub(crate) fn count(&self, state: State) -> usize {
        self.points.iter().filter(|point| point.state == state).count()
    }
}

fn named(file: &str, bundle: &VerifiedBundle) -> NamedBundle {
    NamedBundle {
        named: Named { file: file.to_owned(), sha256: hex(&bundle.sha256()) },
        sandbox: bundle.sandbox().to_owned(),
        version: bundle.version(),
        root_version: bundle.roots().version(),
        valid_from: show_time(bundle.valid_from()),
        valid_until: show_time(bundle.expires()),
    }
}

fn judge(basis: &Basis, index: DatasetIndex, dataset: &DatasetPlan) -> (DatasetPolicy, Option<Grant>) {
    let bundle = basis.bundle.as_ref().map(|found| &found.bundle);
    let policy = policy_sha256(dataset, &points_of(basis, index));
    let granted = grant(basis, dataset, &policy);
    let (grant, denied) = match granted {
        Ok(grant) => (Some(grant), None),
        Err(reason) => (None, Some(reason)),
    };
    let quota = basis.plan.quotas.get(&dataset.id);
    let judged = DatasetPolicy {
        id: dataset.id.to_string(),
        purpose: purpose(bundle, dataset),
        class: dataset.ceiling.to_string(),
        ceiling: grant.as_ref().map(|grant| grant.ceiling.to_string()),
        approval: grant.as_ref().and_then(|grant| grant.approval.clone()),
        recipients: grant.as_ref().zip(bundle).map(|(grant, bundle)| recipients(grant, bundle)).unwrap_or_default(),
        suite: grant.as_ref().and_then(|grant| lingate_seal::suite::suite(grant.suite)).map(|suite| suite.name),
        policy_sha256: hex(&policy),
        priority: dataset.priority.name(),
        flush: format!("{} / {}", dataset.flush.readings, show_duration(dataset.flush.age)),
        quota: quota.map(|quota| Quota { records: quota.records, bytes: quota.bytes }),
        denied,
        volume: Volume::default(),
    };
    (judged, grant)
}

fn grant(basis: &Basis, dataset: &DatasetPlan, policy: &[u8; 32]) -> Result<Grant, Reason> {
    let Some(found) = &basis.bundle else { return Err(reason::no_bundle()) };
    let granted = found.bundle.grant_within(&dataset.id, &dataset.purpose, dataset.ceiling, basis.utc, &basis.terms);
    let granted = granted.map_err(|refused| reason::of(&refused))?;
    match granted.policies.is_empty() || granted.policies.contains(policy) {
        true => Ok(granted),
        false => Err(reason::policy_not_approved(&hex(policy))),
    }
}

/// By alias.
fn points_of(basis: &Basis, index: DatasetIndex) -> Vec<Arc<PointPlan>> {
    let is_member = |point: &&Arc<PointPlan>| point.export.as_ref().is_some_and(|export| export.dataset == index);
    let mut points: Vec<Arc<PointPlan>> = basis.plan.export.points.iter().filter(is_member).cloned().collect();
    points.sort_by_key(|point| point.export.as_ref().map(|export| export.alias));
    points
}

fn purpose(bundle: Option<&VerifiedBundle>, dataset: &DatasetPlan) -> Purpose {
    let stated = bundle.and_then(|bundle| bundle.stated_purpose(&dataset.purpose));
    Purpose {
        id: dataset.purpose.to_string(),
        statement: stated.map(|stated| stated.statement.chars().take(1024).collect()),
        valid_from: stated.map(|stated| show_time(stated.from)),
        valid_until: stated.map(|stated| show_time(stated.until)),
    }
}

fn recipients(grant: &Grant, bundle: &VerifiedBundle) -> Vec<Recipient> {
    let mut roles: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for recipient in &grant.recipients {
        for role in &recipient.roles {
            roles.entry(role).or_default().push(recipient.kid.to_string());
        }
    }
    let recipient = |(role, keys): (&str, Vec<String>)| Recipient {
        role: role.to_owned(),
        party: bundle.party(role).unwrap_or_default().to_owned(),
        keys,
    };
    roles.into_iter().map(recipient).collect()
}
