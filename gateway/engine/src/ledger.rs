//! What was sealed for whom: per day, dataset, purpose and recipient. The plant's own count, beside the sandbox's.

use std::collections::{BTreeMap, BTreeSet};

use lingate_model::{DatasetAlias, DatasetId, UtcMicros};
use lingate_seal::Grant;
use serde::{Deserialize, Serialize};

const DAY: i64 = 86_400_000_000;
/// Oldest days go when there are more lines than this.
const LINES_MAX: usize = 4_000;
/// Names that a dataset had in topics; the oldest are forgotten.
const ALIASES_MAX: usize = 16;

/// Counts records when they are kept for export, not when they arrive: what a purge destroys later stays counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportLedger {
    lines: BTreeMap<Line, Amount>,
    /// By day and dataset, whoever receives it: what a quota is compared with.
    totals: BTreeMap<(i64, String), Amount>,
    /// By dataset, so that records of a bundle long ago are still known as the dataset's.
    aliases: BTreeMap<String, BTreeSet<String>>,
    /// How far the totals may go before this is kept again: a process that dies has used at most so much.
    reserved: Reserved,
}

/// Of datasets with a quota, by day and dataset.
pub type Reserved = BTreeMap<(i64, String), Amount>;

/// A quota is reserved in so many parts, of which none is smaller than this: an epoch that waits for one has to be opened
/// again.
const PARTS: u64 = 16;
const PART_RECORDS: u64 = 64;
const PART_BYTES: u64 = 64 << 10;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    pub dataset: String,
    pub purpose: String,
    /// A role, or a kid where the bundle has no role for the key.
    pub recipient: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    pub records: u64,
    pub bytes: u64,
}

/// A dataset's most per day (UTC). The record that reaches it is the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    pub records: Option<u64>,
    pub bytes: Option<u64>,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.records = self.records.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Of this and as much again as a part of the quota, but not more than the quota.
    fn ahead(self, quota: &Quota) -> Amount {
        let ahead = |used: u64, most: Option<u64>, least: u64| {
            most.map_or(u64::MAX, |most| used.saturating_add((most / PARTS).max(least)).min(most))
        };
        Amount {
            records: ahead(self.records, quota.records, PART_RECORDS),
            bytes: ahead(self.bytes, quota.bytes, PART_BYTES),
        }
    }

    /// Half of the part is left, or all that the quota has.
    fn is_ample(self, used: Amount, quota: &Quota) -> bool {
        let ample = |reserved: u64, used: u64, most: Option<u64>| {
            most.is_none_or(|most| reserved >= most || reserved.saturating_sub(used) > most / PARTS / 2)
        };
        ample(self.records, used.records, quota.records) && ample(self.bytes, used.bytes, quota.bytes)
    }

    fn is_below(self, reserved: Amount) -> bool {
        self.records < reserved.records && self.bytes < reserved.bytes
    }

    fn reaches(self, quota: &Quota) -> bool {
        quota.records.is_some_and(|most| self.records >= most) || quota.bytes.is_some_and(|most| self.bytes >= most)
    }
}

pub fn day(utc: UtcMicros) -> i64 {
    utc.0.div_euclid(DAY)
}

impl ExportLedger {
    pub(crate) fn add(&mut self, utc: UtcMicros, dataset: &str, grant: &Grant, bytes: u64) {
        let day = day(utc);
        self.totals.entry((day, dataset.to_owned())).or_default().add(bytes);
        let mut recipients: BTreeSet<String> = BTreeSet::new();
        for recipient in &grant.recipients {
            match recipient.roles.is_empty() {
                true => drop(recipients.insert(recipient.kid.to_string())),
                false => recipients.extend(recipient.roles.iter().cloned()),
            }
        }
        for recipient in recipients {
            let (dataset, purpose) = (dataset.to_owned(), grant.purpose.to_string());
            self.lines.entry(Line { day, dataset, purpose, recipient }).or_default().add(bytes);
        }
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        while self.lines.len() > LINES_MAX {
            self.lines.pop_first();
        }
        while self.totals.len() > LINES_MAX {
            self.totals.pop_first();
        }
    }

    /// A clock that was set back finds the count of the day that it came back to.
    pub(crate) fn is_used_up(&self, utc: UtcMicros, dataset: &str, quota: &Quota) -> bool {
        self.total(utc, dataset).reaches(quota)
    }

    /// Asks for more where less than half of a part is left, today and tomorrow. Effective when it is kept.
    pub fn reserve(&mut self, utc: UtcMicros, quotas: &BTreeMap<DatasetId, Quota>) {
        let today = day(utc);
        self.reserved.retain(|(day, _), _| (today - 1..=today + 1).contains(day));
        for (dataset, quota) in quotas {
            for day in [today, today + 1] {
                let name = (day, dataset.to_string());
                let used = self.totals.get(&name).copied().unwrap_or_default();
                if !self.reserved.get(&name).is_some_and(|reserved| reserved.is_ample(used, quota)) {
                    self.reserved.insert(name, used.ahead(quota));
                }
            }
        }
    }

    pub fn reserved(&self) -> &Reserved {
        &self.reserved
    }

    /// After a process that died, at `utc`: what it had reserved may have been used, so it was - but for days that have not
    /// begun and of which it used nothing.
    pub fn settle(&mut self, utc: UtcMicros) {
        let today = day(utc);
        for (name, reserved) in std::mem::take(&mut self.reserved) {
            if name.0 > today && !self.totals.contains_key(&name) {
                continue;
            }
            let used = self.totals.entry(name).or_default();
            let within = |used: u64, reserved: u64| if reserved == u64::MAX { used } else { used.max(reserved) };
            used.records = within(used.records, reserved.records);
            used.bytes = within(used.bytes, reserved.bytes);
        }
    }

    /// As it is kept by a process that ends by itself.
    #[must_use]
    pub fn settled(&self) -> ExportLedger {
        ExportLedger { reserved: Reserved::new(), ..self.clone() }
    }

    /// Nobody knows what was used: nothing more of it is, on this day.
    pub fn use_up(&mut self, utc: UtcMicros, dataset: &DatasetId) {
        let all = Amount { records: u64::MAX, bytes: u64::MAX };
        self.totals.insert((day(utc), dataset.to_string()), all);
    }

    /// Less than what was durably reserved has been used.
    pub(crate) fn is_within(&self, utc: UtcMicros, dataset: &str, reserved: &Reserved) -> bool {
        let kept = reserved.get(&(day(utc), dataset.to_owned()));
        kept.is_some_and(|kept| self.total(utc, dataset).is_below(*kept))
    }

    /// Of the day of this time.
    pub fn total(&self, utc: UtcMicros, dataset: &str) -> Amount {
        self.totals.get(&(day(utc), dataset.to_owned())).copied().unwrap_or_default()
    }

    /// In the order of days.
    pub fn lines(&self) -> impl Iterator<Item = (&Line, &Amount)> {
        self.lines.iter()
    }

    pub(crate) fn name(&mut self, dataset: &str, alias: &DatasetAlias) {
        let aliases = self.aliases.entry(dataset.to_owned()).or_default();
        if aliases.len() < ALIASES_MAX {
            aliases.insert(alias.to_string());
        }
    }

    pub(crate) fn has_named(&self, dataset: &str, alias: &DatasetAlias) -> bool {
        self.aliases.get(dataset).is_some_and(|aliases| aliases.contains(alias.as_str()))
    }

    pub fn to_json(&self) -> Vec<u8> {
        let lines: Vec<(&Line, &Amount)> = self.lines.iter().collect();
        let totals: Vec<(&(i64, String), &Amount)> = self.totals.iter().collect();
        let reserved: Vec<(&(i64, String), &Amount)> = self.reserved.iter().collect();
        let stored = Stored { lines, totals, aliases: &self.aliases, reserved };
        serde_json::to_vec(&stored).expect("plain texts and numbers")
    }

    /// `None`: not what `to_json` gave.
    pub fn from_json(bytes: &[u8]) -> Option<ExportLedger> {
        let stored: StoredOwned = serde_json::from_slice(bytes).ok()?;
        let (lines, totals) = (stored.lines.into_iter().collect(), stored.totals.into_iter().collect());
        Some(ExportLedger { lines, totals, aliases: stored.aliases, reserved: stored.reserved.into_iter().collect() })
    }
}

/// JSON has no maps whose keys are more than a text.
#[derive(Serialize)]
struct Stored<'a> {
    lines: Vec<(&'a Line, &'a Amount)>,
    totals: Vec<(&'a (i64, String), &'a Amount)>,
    aliases: &'a BTreeMap<String, BTreeSet<String>>,
    reserved: Vec<(&'a (i64, String), &'a Amount)>,
}

#[derive(Deserialize)]
struct StoredOwned {
    lines: Vec<(Line, Amount)>,
    totals: Vec<((i64, String), Amount)>,
    aliases: BTreeMap<String, BTreeSet<String>>,
    #[serde(default)]
    reserved: Vec<((i64, String), Amount)>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::Class;
    use lingate_seal::Recipient;

    use super::*;

    fn grant(roles: &[&str]) -> Grant {
        let recipient = |(seed, role): (u8, &&str)| {
            let roles = vec![(*role).to_owned()];
            Recipient { roles, ..Recipient::x25519([seed; 32]) }
        };
        Grant {
            sandbox: "s".to_owned(),
            alias: "q7".parse().unwrap(),
            purpose: "urn:p".parse().unwrap(),
            purpose_statement_sha256: [0; 32],
            ceiling: Class::General,
            policies: Vec::new(),
            approval: None,
            bundle_version: 1,
            bundle_sha256: [0; 32],
            suite: 1,
            recipients: (1..).zip(roles).map(recipient).collect(),
            epoch_seconds: 60,
            epoch_messages: 100,
            not_after: UtcMicros(i64::MAX),
        }
    }

    #[test]
    fn every_recipient_is_counted_once_and_the_dataset_once() {
        let mut ledger = ExportLedger::default();
        ledger.add(UtcMicros(5), "ds", &grant(&["role:a", "role:b", "role:a"]), 10);
        ledger.add(UtcMicros(DAY), "ds", &grant(&["role:a"]), 7);
        let told: Vec<_> = ledger.lines().map(|(line, amount)| (line.day, &*line.recipient, amount.bytes)).collect();
        assert_eq!(told, [(0, "role:a", 10), (0, "role:b", 10), (1, "role:a", 7)]);
        assert_eq!(ledger.total(UtcMicros(DAY - 1), "ds"), Amount { records: 1, bytes: 10 });
        assert_eq!(ExportLedger::from_json(&ledger.to_json()), Some(ledger));
    }

    #[test]
    fn a_quota_holds_for_its_day_and_its_dataset() {
        let mut ledger = ExportLedger::default();
        let quota = Quota { records: None, bytes: Some(20) };
        for used_up in [false, false, true] {
            assert_eq!(ledger.is_used_up(UtcMicros(0), "ds", &quota), used_up);
            ledger.add(UtcMicros(0), "ds", &grant(&["role:a", "role:b"]), 10);
        }
        assert!(!ledger.is_used_up(UtcMicros(DAY), "ds", &quota) && !ledger.is_used_up(UtcMicros(0), "other", &quota));
        assert!(ledger.is_used_up(UtcMicros(0), "ds", &Quota { records: Some(3), bytes: None }));
    }

    #[test]
    fn what_a_dead_process_had_reserved_counts_as_used_and_never_more_than_the_quota() {
        let quotas = BTreeMap::from([("ds".parse().unwrap(), Quota { records: Some(1_600), bytes: None })]);
        let mut ledger = ExportLedger::default();
        assert!(!ledger.is_within(UtcMicros(0), "ds", ledger.reserved()), "nothing is reserved yet");
        ledger.reserve(UtcMicros(0), &quotas);
        let kept = ledger.clone();
        for used in 0..100 {
            assert!(ledger.is_within(UtcMicros(0), "ds", kept.reserved()), "{used}");
            ledger.add(UtcMicros(0), "ds", &grant(&["role:a"]), 7);
        }
        assert!(!ledger.is_within(UtcMicros(0), "ds", kept.reserved()), "what is reserved is used");
        ledger.reserve(UtcMicros(0), &quotas);
        assert_eq!(ledger.reserved()[&(0, "ds".to_owned())].records, 200);
        let mut found = ExportLedger::from_json(&kept.to_json()).unwrap();
        found.settle(UtcMicros(0));
        assert_eq!(found.total(UtcMicros(0), "ds"), Amount { records: 100, bytes: 0 });
        for _ in 0..40 {
            found.reserve(UtcMicros(0), &quotas);
            found.settle(UtcMicros(0));
        }
        assert_eq!(found.total(UtcMicros(0), "ds").records, 1_600);
        assert_eq!(found.total(UtcMicros(DAY), "ds"), Amount::default(), "a day that has not begun");
        let mut past_midnight = kept.clone();
        past_midnight.settle(UtcMicros(DAY));
        assert_eq!(past_midnight.total(UtcMicros(DAY), "ds").records, 100, "it may have died behind midnight");
        assert_eq!(kept.settled().total(UtcMicros(0), "ds"), Amount::default());
    }

    #[test]
    fn the_oldest_days_go_first() {
        let mut ledger = ExportLedger::default();
        for n in 0..LINES_MAX as i64 + 10 {
            ledger.add(UtcMicros(n * DAY), "ds", &grant(&["role:a"]), 1);
        }
        assert_eq!(ledger.lines().count(), LINES_MAX);
        assert_eq!(ledger.lines().next().unwrap().0.day, 10);
    }
}
