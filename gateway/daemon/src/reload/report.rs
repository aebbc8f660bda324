use serde::{Deserialize, Serialize};

/// The newest answer of a daemon to a wish for another configuration; `/status` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ReloadReport {
    pub(crate) outcome: Outcome,
    /// UTC, RFC 3339; of the start if nothing was reloaded yet.
    pub(crate) at: String,
    /// Who asked, as they named themselves.
    pub(crate) request: Option<String>,
    /// SHA-256 of what is in force.
    pub(crate) configuration_sha256: String,
    /// What changed with it, or would have.
    pub(crate) changes: Vec<String>,
    /// Devices that were stopped, started or read anew.
    pub(crate) restarted: Vec<String>,
    /// Why it was refused, one sentence each.
    pub(crate) problems: Vec<String>,
    /// Since the start.
    pub(crate) applied: u64,
    pub(crate) refused: u64,
    /// Seconds since 1970 (UTC) of the newest configuration that came into force.
    pub(crate) succeeded_at: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// Nobody asked yet: what the daemon started with.
    #[default]
    Started,
    /// The file was wrong at the start, and the last good one is in force.
    LastGood,
    Applied,
    /// The files say what is in force already.
    Unchanged,
    /// What was in force stays.
    Refused,
}

impl Outcome {
    /// What is in force is what the files said last.
    pub(crate) fn is_good(self) -> bool {
        !matches!(self, Outcome::LastGood | Outcome::Refused)
    }
}

impl ReloadReport {
    /// What stands in the way, in one sentence for a page; `None`: nothing.
    pub(crate) fn warning(&self) -> Option<String> {
        let first = self.problems.first().map_or("", String::as_str);
        match self.outcome {
            Outcome::LastGood => {
                Some(format!("the configuration is wrong, and the last good one is in force: {first}"))
            }
            Outcome::Refused => Some(format!("the newest configuration was refused, and the old one stays: {first}")),
            _ => None,
        }
    }
}
