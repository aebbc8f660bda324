//! `policy.toml`: what the sandbox grants, written by its operator. A bundle is this file, dated and signed.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use lingate_model::{Class, DatasetAlias, DatasetId, PurposeId};

use crate::{clock, keys};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub bundle: BundleTerms,
    pub certificate: CertificateTerms,
    #[serde(rename = "purpose", default)]
    pub purposes: Vec<Purpose>,
    #[serde(rename = "role", default)]
    pub roles: Vec<Role>,
    #[serde(rename = "dataset", default)]
    pub datasets: Vec<Dataset>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleTerms {
    /// 1 to 3,650.
    pub valid_days: u32,
    /// No bundle lives longer than to this time, such as 2026-01-31T00:00:00Z.
    #[serde(default)]
    pub valid_until: Option<jiff::Timestamp>,
    /// 1 to 86,400.
    pub epoch_seconds: u32,
    /// 4 to 2^20: catalogue, lineage, one batch, close.
    pub epoch_messages: u32,
    /// Crypto suites that gateways may use, best first.
    #[serde(default = "default_suites")]
    pub suites: Vec<u16>,
    /// What frees a record from a gateway's buffer.
    #[serde(default)]
    pub ack: Acknowledgement,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acknowledgement {
    /// The broker's PUBACK.
    #[default]
    Broker,
    /// A receipt that `receive --receipts` signs.
    Receipt,
}

impl Acknowledgement {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Acknowledgement::Broker => "broker",
            Acknowledgement::Receipt => "receipt",
        }
    }
}

fn default_suites() -> Vec<u16> {
    vec![1]
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateTerms {
    /// 1 to 3,650.
    pub valid_days: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    pub id: String,
    /// Its SHA-256 is sealed into every epoch.
    pub statement: String,
    /// RFC 3339.
    pub valid_from: String,
    pub valid_until: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// `role:` and a name.
    pub id: String,
    pub party: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    pub id: String,
    pub alias: String,
    pub purposes: Vec<String>,
    pub roles: Vec<String>,
    pub class_ceiling: String,
    pub approval: Option<String>,
    /// Minimization policies that are approved, as `lingate plan` names them: `sha256:` and 64 hex digits. Empty: the plant's
    /// choice.
    #[serde(default)]
    pub policies: Vec<String>,
    pub retention_days: u32,
}

impl Role {
    /// The id without `role:`; also the name of its key file.
    pub fn name(&self) -> &str {
        role_name(&self.id).unwrap_or(&self.id)
    }
}

/// `role:oem-quality` gives `oem-quality`; nothing if that could not be a file name.
pub(crate) fn role_name(id: &str) -> Option<&str> {
    let name = id.strip_prefix("role:")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (!name.is_empty() && name.len() <= 64 && name.chars().all(is_plain)).then_some(name)
}

impl Policy {
    /// Parses and checks everything that a gateway would refuse later.
    pub fn parse(text: &str) -> Result<Policy> {
        let policy: Policy = toml::from_str(text).context("policy.toml")?;
        policy.check().context("policy.toml")?;
        Ok(policy)
    }

    pub fn dataset(&self, id: &str) -> Option<&Dataset> {
        self.datasets.iter().find(|dataset| dataset.id == id)
    }

    fn check(&self) -> Result<()> {
        let BundleTerms { valid_days, epoch_seconds, epoch_messages, .. } = self.bundle;
        ensure!((1..=3650).contains(&valid_days), "bundle.valid_days is {valid_days}, allowed: 1 to 3650");
        ensure!((1..=86_400).contains(&epoch_seconds), "bundle.epoch_seconds is {epoch_seconds}, allowed: 1 to 86400");
        ensure!(
            (4..=1 << 20).contains(&epoch_messages),
            "bundle.epoch_messages is {epoch_messages}, allowed: 4 to 1048576"
        );
        for suite in &self.bundle.suites {
            ensure!(lingate_seal::suite::suite(*suite).is_some(), "bundle.suites: nobody knows suite {suite}");
        }
        ensure!(!self.bundle.suites.is_empty(), "bundle.suites must name a suite");
        let days = self.certificate.valid_days;
        ensure!((1..=3650).contains(&days), "certificate.valid_days is {days}, allowed: 1 to 3650");
        self.purposes.iter().try_for_each(Purpose::check)?;
        for role in &self.roles {
            ensure!(role_name(&role.id).is_some(), "role {:?} must be \"role:\" and letters, digits, - or _", role.id);
        }
        self.datasets.iter().try_for_each(|dataset| self.check_dataset(dataset))?;
        unique("purpose", self.purposes.iter().map(|purpose| &purpose.id))?;
        unique("role", self.roles.iter().map(|role| &role.id))?;
        unique("dataset", self.datasets.iter().map(|dataset| &dataset.id))?;
        unique("dataset alias", self.datasets.iter().map(|dataset| &dataset.alias))
    }

    fn check_dataset(&self, dataset: &Dataset) -> Result<()> {
        let named = |what: &str| format!("dataset {:?}: {what}", dataset.id);
        dataset.id.parse::<DatasetId>().with_context(|| named("id"))?;
        dataset.alias.parse::<DatasetAlias>().with_context(|| named("alias"))?;
        if let Some(unknown) = dataset.purposes.iter().find(|id| !self.purposes.iter().any(|p| p.id == **id)) {
            bail!(named(&format!("purpose {unknown:?} has no [[purpose]]")));
        }
        if let Some(unknown) = dataset.roles.iter().find(|id| !self.roles.iter().any(|r| r.id == **id)) {
            bail!(named(&format!("role {unknown:?} has no [[role]]")));
        }
        ensure!(!dataset.purposes.is_empty() && !dataset.roles.is_empty(), named("needs a purpose and a role"));
        let is_hash = |text: &str| text.strip_prefix("sha256:").and_then(lingate_audit::from_hex).is_some();
        if let Some(wrong) = dataset.policies.iter().find(|policy| !is_hash(policy)) {
            bail!(named(&format!(
                "policy {wrong:?} must be \"sha256:\" and 64 hex digits, as `lingate plan` names it"
            )));
        }
        let Ok(class) = dataset.class_ceiling.parse::<Class>() else {
            bail!(named("class_ceiling must be \"general\" or \"important\""));
        };
        ensure!(
            class == Class::General || dataset.approval.is_some(),
            named("class_ceiling \"important\" needs an approval reference")
        );
        Ok(())
    }
}

impl Purpose {
    fn check(&self) -> Result<()> {
        self.id.parse::<PurposeId>().with_context(|| format!("purpose {:?}: id", self.id))?;
        let time = |name: &str, text: &str| {
            text.parse::<jiff::Timestamp>()
                .with_context(|| format!("purpose {:?}: {name} must be like 2026-01-31T00:00:00Z", self.id))
        };
        ensure!(
            time("valid_from", &self.valid_from)? < time("valid_until", &self.valid_until)?,
            "purpose {:?} ends before it begins",
            self.id
        );
        Ok(())
    }
}

fn unique<'a>(what: &str, ids: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for id in ids {
        ensure!(seen.insert(id), "{what} {id:?} occurs twice");
    }
    Ok(())
}

/// What `init` writes: the demo's three datasets, each under a random alias.
pub fn sample() -> String {
    let now = clock::unix_seconds();
    let day = |seconds: i64| {
        let time = jiff::Timestamp::from_second(now + seconds).expect("three years from now is before the year 9999");
        format!("{}T00:00:00Z", time.strftime("%Y-%m-%d"))
    };
    let datasets: String = [("ds-fab-01", "fab tool"), ("ds-bio-01", "bioreactor"), ("ds-extr-07", "extruder")]
        .iter()
        .map(|(id, what)| sample_dataset(id, what, &random_alias()))
        .collect();
    include_str!("policy-head.toml")
        .replace("{valid_from}", &day(-86_400))
        .replace("{valid_until}", &day(3 * 365 * 86_400))
        + &datasets
}

pub(crate) fn random_alias() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    keys::random::<8>().iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

fn sample_dataset(id: &str, what: &str, alias: &str) -> String {
    format!(
        r#"
[[dataset]]                             # {what}
id = "{id}"
alias = "{alias}"                      # its name in topics: random, so that it tells nothing
purposes = ["urn:lingate:purpose:remote-quality"]
roles = ["role:oem-quality"]
class_ceiling = "general"               # or "important", which needs approval = "reference of the assessment"
retention_days = 1095
"#
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_valid_policy_with_opaque_aliases() {
        let policy = Policy::parse(&sample()).unwrap();
        let ids: Vec<_> = policy.datasets.iter().map(|dataset| dataset.id.as_str()).collect();
        assert_eq!(ids, ["ds-fab-01", "ds-bio-01", "ds-extr-07"]);
        assert_ne!(policy.datasets[0].alias, Policy::parse(&sample()).unwrap().datasets[0].alias);
    }

    #[test]
    fn what_a_gateway_would_refuse_is_refused_before_it_is_signed() {
        let sample = sample();
        for (from, to, said) in [
            ("role:oem-quality\"]", "role:nobody\"]", "has no [[role]]"),
            ("class_ceiling = \"general\"", "class_ceiling = \"core\"", "class_ceiling"),
            ("class_ceiling = \"general\"", "class_ceiling = \"important\"", "approval"),
            ("epoch_seconds = 3600", "epoch_seconds = 0", "epoch_seconds"),
            ("id = \"ds-bio-01\"", "id = \"ds-fab-01\"", "occurs twice"),
            ("id = \"ds-bio-01\"", "id = \"ds/bio\"", "id"),
            ("retention_days", "retention_dayz", "retention_dayz"),
            ("id = \"role:oem-quality\"", "id = \"role:../../x\"", "role"),
        ] {
            assert!(sample.contains(from), "{from}");
            let error = format!("{:#}", Policy::parse(&sample.replace(from, to)).unwrap_err());
            assert!(error.contains(said), "{to}: {error}");
        }
    }
}
