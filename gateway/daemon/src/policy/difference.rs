//! What differs between two policies. Conservative: whatever is not certainly narrower counts as wider.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::bilingual::{Words, words};
use crate::language::Language;
use crate::policy::{DatasetPolicy, PointPolicy, Policy, Quota, State, StepPolicy};

/// Keys of which the policies tell, by the kind of table. A device's `unit` is the machine behind an address, and of what is
/// read from it for gates alone no policy tells.
const JUDGED: [&str; 4] = ["dataset", "class", "minimize", "every"];
const JUDGED_OF_POINT: &str = "unit";
const JUDGED_OF_DATASET: [&str; 3] = ["purpose", "minimize", "quota"];

/// Before a dataset's id, where a change names its point otherwise.
const DATASET: &str = "dataset ";

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    /// The policy that this one is compared with.
    pub(crate) against: Against,
    /// Points that leave here and did not there.
    pub(crate) newly_leaves: Vec<String>,
    pub(crate) no_longer_leaves: Vec<String>,
    /// Of points that leave in both, and of datasets.
    pub(crate) changed: Vec<Changed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Against {
    pub(crate) configuration: String,
    pub(crate) configuration_sha256: String,
    pub(crate) bundle_version: Option<u64>,
    pub(crate) bundle_sha256: Option<String>,
    pub(crate) policy_sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Changed {
    pub(crate) point: String,
    pub(crate) what: Words,
    #[serde(serialize_with = "in_english")]
    pub(crate) before: Words,
    #[serde(serialize_with = "in_english")]
    pub(crate) after: Words,
    /// More may leave, or to more recipients, or for longer.
    pub(crate) wider: bool,
}

/// For programs: one text, which does not depend on a language.
fn in_english<S: serde::Serializer>(words: &Words, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&words.en)
}

impl Difference {
    pub(crate) fn between(before: &Policy, after: &Policy) -> Difference {
        let old: BTreeMap<&str, &PointPolicy> = leaving(before).map(|point| (point.name.as_str(), point)).collect();
        let new: BTreeMap<&str, &PointPolicy> = leaving(after).map(|point| (point.name.as_str(), point)).collect();
        let only = |these: &Policy, others: &BTreeMap<&str, &PointPolicy>| {
            let missing = leaving(these).filter(|point| !others.contains_key(point.name.as_str()));
            missing.map(|point| point.name.clone()).collect::<Vec<_>>()
        };
        let both = leaving(after).filter_map(|point| Some((*old.get(point.name.as_str())?, point)));
        let mut changed: Vec<Changed> =
            both.flat_map(|(old, new)| changes(Seen::of(before, old), Seen::of(after, new))).collect();
        changed.extend(after.datasets.iter().filter_map(|dataset| quota(before.dataset(&dataset.id)?, dataset)));
        changed.sort_by_key(|change| !change.wider);
        Difference {
            against: Against::of(before),
            newly_leaves: only(after, &old),
            no_longer_leaves: only(before, &new),
            changed,
        }
    }

    /// Adds what the two files write otherwise and no policy tells: scale, byte order, the register of a point that only
    /// gates another, a dataset's padding. Nobody can know from a file whether more leaves by it: it counts as wider.
    pub(crate) fn add_written(&mut self, before: &str, after: &str) {
        let (before, after) = (lingate_config::as_written(before), lingate_config::as_written(after));
        for (name, new) in &after {
            let Some(old) = before.get(name) else { continue };
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let differing = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
            for key in differing.filter(|key| !is_judged(name, key)) {
                let text = |keys: &BTreeMap<String, String>| Words::plain(keys.get(key).map_or("-", String::as_str));
                let what = words(format!("setting {key}"), format!("设置 {key}"));
                let (before, after) = (text(old), text(new));
                self.changed.push(Changed { point: name.clone(), what, before, after, wider: true });
            }
        }
        self.changed.sort_by_key(|change| !change.wider);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.newly_leaves.is_empty() && self.no_longer_leaves.is_empty() && self.changed.is_empty()
    }

    pub(crate) fn is_wider(&self) -> bool {
        !self.newly_leaves.is_empty() || self.changed.iter().any(|change| change.wider)
    }

    /// 0: no difference; 1: only less leaves; 2: more leaves, or it leaves to more.
    pub(crate) fn exit_code(&self) -> u8 {
        match (self.is_empty(), self.is_wider()) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        }
    }
}

/// `name`: of a table, as [`lingate_config::as_written`] has it.
fn is_judged(name: &str, key: &str) -> bool {
    match name.starts_with(DATASET) {
        true => JUDGED_OF_DATASET.contains(&key),
        false => JUDGED.contains(&key) || name.contains('/') && key == JUDGED_OF_POINT,
    }
}

/// A dataset's day. One that is larger, or limits nothing any more, is wider.
fn quota(before: &DatasetPolicy, after: &DatasetPolicy) -> Option<Changed> {
    let most = |quota: Option<Quota>| quota.map_or((None, None), |quota| (quota.records, quota.bytes));
    let (old, new) = (most(before.quota), most(after.quota));
    let is_wider = |old: Option<u64>, new: Option<u64>| old.is_some_and(|old| new.is_none_or(|new| new > old));
    let shown = |(records, bytes): (Option<u64>, Option<u64>)| {
        let parts = [(words("records", "条记录"), records), (words("bytes", "字节"), bytes)];
        let parts = parts.iter().filter_map(|(unit, most)| {
            let most = (*most)?;
            Some(words(format!("{most} {}", unit.en), format!("{most} {}", unit.zh)))
        });
        joined(&parts.collect::<Vec<_>>(), (", ", "，"))
    };
    (old != new).then(|| Changed {
        point: format!("{DATASET}{}", after.id),
        what: words("quota of a day", "每日限额"),
        before: shown(old),
        after: shown(new),
        wider: is_wider(old.0, new.0) || is_wider(old.1, new.1),
    })
}

impl Against {
    fn of(policy: &Policy) -> Against {
        let bundle = policy.bundle.as_ref();
        Against {
            configuration: policy.configuration.file.clone(),
            configuration_sha256: policy.configuration.sha256.clone(),
            bundle_version: bundle.map(|bundle| bundle.version),
            bundle_sha256: bundle.map(|bundle| bundle.named.sha256.clone()),
            policy_sha256: policy.sha256.clone(),
        }
    }
}

/// Without a bundle: what would leave with one.
fn leaving(policy: &Policy) -> impl Iterator<Item = &PointPolicy> {
    policy.points.iter().filter(|point| point.state != State::Stays)
}

#[derive(Clone, Copy)]
struct Seen<'a> {
    point: &'a PointPolicy,
    dataset: Option<&'a DatasetPolicy>,
}

impl<'a> Seen<'a> {
    fn of(policy: &'a Policy, point: &'a PointPolicy) -> Seen<'a> {
        Seen { point, dataset: point.dataset.as_deref().and_then(|id| policy.dataset(id)) }
    }

    fn purpose_end(self) -> &'a str {
        self.dataset.and_then(|dataset| dataset.purpose.valid_until.as_deref()).unwrap_or("")
    }

    fn keys(self) -> Vec<String> {
        let recipients = self.dataset.into_iter().flat_map(|dataset| &dataset.recipients);
        recipients.flat_map(|to| to.keys.iter().map(|key| format!("{} {key}", to.role))).collect()
    }

    fn steps(self) -> Vec<Words> {
        self.point.steps.iter().map(StepPolicy::in_words).collect()
    }

    fn where_read(self) -> String {
        let PointPolicy { address, source, value_type, .. } = self.point;
        format!("{address} {source}, {value_type}")
    }
}

fn is_added<T: PartialEq>(before: &[T], after: &[T]) -> bool {
    after.iter().any(|one| !before.contains(one))
}

/// With a comma or the like between them, of each language; a dash for none.
fn joined(parts: &[Words], between: (&str, &str)) -> Words {
    let of = |language, between: &str| parts.iter().map(|part| part.of(language)).collect::<Vec<_>>().join(between);
    match parts.is_empty() {
        true => Words::plain("-"),
        false => words(of(Language::English, between.0), of(Language::Chinese, between.1)),
    }
}

fn changes(old: Seen<'_>, new: Seen<'_>) -> Vec<Changed> {
    let text = |text: &Option<String>| Words::plain(text.as_deref().unwrap_or("-"));
    let (keys, steps) = ((old.keys(), new.keys()), (old.steps(), new.steps()));
    let found = [
        (words("dataset", "数据集"), text(&old.point.dataset), text(&new.point.dataset), true),
        (words("purpose", "目的"), text(&old.point.purpose), text(&new.point.purpose), true),
        (
            words("purpose ends", "目的截止"),
            Words::plain(old.purpose_end()),
            Words::plain(new.purpose_end()),
            new.purpose_end() > old.purpose_end() || new.purpose_end().is_empty(),
        ),
        (words("class", "级别"), text(&old.point.class), text(&new.point.class), true),
        (
            words("recipients", "接收方"),
            Words::plain(keys.0.join(", ")),
            Words::plain(keys.1.join(", ")),
            is_added(&keys.0, &keys.1),
        ),
        // A step more suppresses more; every other change of steps may be a weaker one.
        (
            words("steps", "最小化步骤"),
            joined(&steps.0, ("; ", "；")),
            joined(&steps.1, ("; ", "；")),
            is_added(&steps.1, &steps.0),
        ),
        (
            words("interval", "采集周期"),
            Words::plain(format!("{} ms", old.point.interval_ms)),
            Words::plain(format!("{} ms", new.point.interval_ms)),
            new.point.interval_ms < old.point.interval_ms,
        ),
        (words("read at", "读取位置"), Words::plain(old.where_read()), Words::plain(new.where_read()), true),
        (words("unit", "单位"), text(&old.point.unit), text(&new.point.unit), true),
    ];
    let differs = found.into_iter().filter(|(_, before, after, _)| before != after);
    differs
        .map(|(what, before, after, wider)| Changed { point: new.point.name.clone(), what, before, after, wider })
        .collect()
}
