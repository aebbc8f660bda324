//! What is said of a policy, on a terminal and on paper alike.

use lingate_refine::StepId;

use crate::bilingual::{Words, words};
use crate::policy::difference::Against;
use crate::policy::{DatasetPolicy, PointPolicy, Policy, State, Volume, steps};

/// What the document describes.
pub(crate) fn facts(policy: &Policy) -> Vec<(Words, Words)> {
    let configuration = &policy.configuration;
    let bundle = policy.bundle.as_ref().map_or(words("none", "无"), |bundle| {
        let (named, sandbox, version) = (&bundle.named, &bundle.sandbox, bundle.version);
        words(
            format!(
                "version {version} of {sandbox}, valid {} to {}, root {}, {}, sha256 {}",
                bundle.valid_from, bundle.valid_until, bundle.root_version, named.file, named.sha256
            ),
            format!(
                "{sandbox} 版本 {version}，有效期 {} 至 {}，根 {}，{}，sha256 {}",
                bundle.valid_from, bundle.valid_until, bundle.root_version, named.file, named.sha256
            ),
        )
    });
    vec![
        (
            words("gateway", "网关"),
            words(
                format!("{} of {}", policy.gateway, policy.tenant),
                format!("{}（{}）", policy.gateway, policy.tenant),
            ),
        ),
        (words("holds at", "判定时刻"), Words::plain(&policy.at)),
        (
            words("configuration", "配置文件"),
            Words::plain(format!("{}, sha256 {}", configuration.file, configuration.sha256)),
        ),
        (words("bundle", "沙箱授权包"), bundle),
        (words("this list", "本清单"), Words::plain(format!("sha256 {}", policy.sha256))),
        (words("software", "软件"), Words::plain(&policy.software)),
    ]
}

pub(crate) fn dataset_facts(dataset: &DatasetPolicy) -> Vec<(Words, Words)> {
    let purpose = &dataset.purpose;
    let mut facts = vec![(words("purpose", "目的"), Words::plain(&purpose.id))];
    if let Some(statement) = &purpose.statement {
        facts.push((words("stated as", "目的说明"), Words::plain(statement)));
    }
    if let (Some(from), Some(until)) = (&purpose.valid_from, &purpose.valid_until) {
        facts.push((
            words("purpose holds", "目的有效期"),
            words(format!("{from} to {until}"), format!("{from} 至 {until}")),
        ));
    }
    match &dataset.denied {
        Some(denied) => facts.push((words("denied", "未放行"), denied.words.clone())),
        None => facts.push((words("recipients", "接收方"), Words::plain(recipients(dataset)))),
    }
    let ceiling = dataset.ceiling.as_deref().unwrap_or(&dataset.class);
    facts.push((words("class ceiling", "级别上限"), class_words(ceiling)));
    if let Some(approval) = &dataset.approval {
        facts.push((words("approval", "审批文号"), Words::plain(approval)));
    }
    facts.push((
        words("policy, as approved, sealed and audited", "最小化策略（与审批、封装、审计一致）"),
        Words::plain(format!("sha256:{}", dataset.policy_sha256)),
    ));
    facts.extend(dataset.suite.map(|suite| (words("sealed with", "密码套件"), Words::plain(suite))));
    facts.push((
        words("batches of", "批量"),
        words(
            format!("{}, priority {}", dataset.flush, dataset.priority),
            format!("{}，优先级 {}", dataset.flush, dataset.priority),
        ),
    ));
    if let Some(quota) = &dataset.quota {
        let limits = [quota.records.map(|most| format!("{} records", number(most))), quota.bytes.map(bytes)];
        let limits = limits.into_iter().flatten().collect::<Vec<_>>().join(", ");
        facts.push((words("at most a day", "每日上限"), Words::plain(limits)));
    }
    facts.push((words("for every point", "所有测点"), both_common()));
    facts
}

fn both_common() -> Words {
    let (allow, ceiling) = (steps::common(StepId::AllowList), steps::common(StepId::ClassCeiling));
    words(format!("{}, {}", allow.en, ceiling.en), format!("{}，{}", allow.zh, ceiling.zh))
}

fn recipients(dataset: &DatasetPolicy) -> String {
    let shown = dataset.recipients.iter().map(|to| format!("{} ({}): key {}", to.role, to.party, to.keys.join(", ")));
    shown.collect::<Vec<_>>().join("; ")
}

pub(crate) fn class_words(class: &str) -> Words {
    match class {
        "general" => words("general", "一般数据"),
        "important" => words("important", "重要数据"),
        other => Words::plain(other),
    }
}

/// Before and after the steps, where they lower it.
pub(crate) fn class_of(point: &PointPolicy) -> Words {
    let after = class_words(point.class.as_deref().unwrap_or("-"));
    let Some(lowered) = &point.lowered else { return after };
    let before = class_words(&lowered.from);
    words(
        format!("{}, lowered from {} by M{}: {}", after.en, before.en, lowered.by, lowered.reason),
        format!("{}，由 M{} 自{}降级：{}", after.zh, lowered.by, before.zh, lowered.reason),
    )
}

/// What a point says about the others of its equipment.
pub(crate) fn context_words(kind: &str) -> Words {
    let zh = match kind {
        "batch" => "批次",
        "phase" => "阶段",
        "lot" => "批号",
        "recipe" => "配方",
        "state" => "设备状态",
        other => other,
    };
    words(format!("context: {kind}"), format!("情境：{zh}"))
}

pub(crate) fn every(point: &PointPolicy) -> String {
    let every = lingate_drivers::settings::show_duration(std::time::Duration::from_millis(point.interval_ms));
    if point.subscribed { format!("{every} subscribed") } else { every }
}

pub(crate) fn newly_leaves() -> Words {
    words("leaves newly", "新增出厂")
}

pub(crate) fn no_longer_leaves() -> Words {
    words("leaves no longer", "不再出厂")
}

pub(crate) fn no_difference() -> Words {
    words(
        "No difference: the same points leave, read in the same way, for the same recipients, after the same steps.",
        "无差异：出厂测点、接收方与最小化步骤均相同。",
    )
}

/// `Compared with signed.toml (bundle 3)`
pub(crate) fn compared_with(against: &Against) -> Words {
    let (file, version) = (&against.configuration, against.bundle_version);
    match version {
        Some(version) => {
            words(format!("Compared with {file} (bundle {version})"), format!("与 {file}（授权包第 {version} 版）比较"))
        }
        None => words(format!("Compared with {file} (no bundle)"), format!("与 {file}（无授权包）比较")),
    }
}

pub(crate) fn sum(policy: &Policy) -> Words {
    let [leaves, waits, stays] = [State::Leaves, State::Waits, State::Stays].map(|state| policy.count(state));
    let Volume { readings_max, readings_typical, bytes_max, bytes_typical } = policy.volume;
    let (readings, most) = (number(readings_typical), number(readings_max));
    let (size, size_most) = (bytes(bytes_typical), bytes(bytes_max));
    words(
        format!(
            "{leaves} points leave, {waits} wait for a grant, {stays} stay. A day: about {readings} readings ({size}), at most {most} ({size_most})."
        ),
        format!(
            "出厂测点 {leaves} 个，待授权 {waits} 个，不出厂 {stays} 个。每天约 {readings} 条（{size}），至多 {most} 条（{size_most}）。"
        ),
    )
}

/// How the figures came about.
pub(crate) fn estimate() -> Words {
    words(
        "At most: one reading at every interval (of a subscribed point as many as its server keeps between two publishes), nothing suppressed, nothing compressed, every batch closed by its age. About: \
         a point with a deadband or a swinging door sends one reading in ten (--measured takes a preview's figures instead), \
         values cost what their resolution leaves, texts 32 bytes. A context gate is not counted in either, nor is what a \
         history brings after a downtime or what is sent twice over a bad link.",
        "“至多”：每个周期一条（订阅测点按服务器在两次发布之间保留的条数计），无抑制、无压缩，批次均因超时关闭。“约”：设有死区或旋转门的测点按十分之一计（可用 --measured \
         采用预览实测值），数值按取整后的分辨率计，文本按 32 字节计。两者均未计入情境门控、断线后的历史补传以及链路不良时的重发。",
    )
}

/// `86,400`
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let group = |(at, digit): (usize, char)| {
        let is_start = at > 0 && (digits.len() - at).is_multiple_of(3);
        is_start.then_some(',').into_iter().chain([digit]).collect::<String>()
    };
    digits.chars().enumerate().map(group).collect()
}

pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if n < 1_000 {
        return format!("{n} B");
    }
    let mut amount = n as f64;
    let mut unit = "";
    for next in UNITS {
        if amount < 999.5 {
            break;
        }
        (amount, unit) = (amount / 1_000.0, next);
    }
    if amount < 9.95 { format!("{amount:.1} {unit}") } else { format!("{amount:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_bytes_are_short() {
        assert_eq!([7, 1_000, 1_234_567].map(number), ["7", "1,000", "1,234,567"]);
        assert_eq!(
            [999, 1_000, 9_960, 123_456, 7_800_000_000].map(bytes),
            ["999 B", "1.0 kB", "10 kB", "123 kB", "7.8 GB"]
        );
    }
}
