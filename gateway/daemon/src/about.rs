//! What a device's driver knows of it beyond counts, as `/status` answers it. Texts come from devices: they are bounded
//! where they enter, and escaped where they are shown.

use std::collections::BTreeMap;
use std::time::Duration;

use lingate_model::{DeviceReport, SetAside};
use serde::{Deserialize, Serialize};

use crate::language::Language;
use crate::tls::show_time;
use crate::words::plural;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct About {
    pub(crate) vendor: String,
    pub(crate) product: String,
    pub(crate) revision: String,
    /// `null`: the protocol knows no protection, or nothing was connected yet.
    pub(crate) security: Option<String>,
    /// Everybody on the device's network can read along.
    pub(crate) unprotected: bool,
    /// In use, where several are configured.
    pub(crate) endpoint: Option<String>,
    /// The device's clock less the gateway's.
    pub(crate) clock_skew_seconds: Option<f64>,
    /// Between the time at which a slot was due and that at which it was served.
    pub(crate) lateness_seconds: Option<f64>,
    pub(crate) worst_lateness_seconds: Option<f64>,
    /// What the device refuses, and when it is asked again; at most 64 of `set_aside_count`.
    pub(crate) set_aside: Vec<Aside>,
    pub(crate) set_aside_count: usize,
    /// The point that must change while the device lives; `null`: none was named.
    pub(crate) heartbeat: Option<String>,
    /// The heartbeat has not changed since then: every value of the device is told as uncertain.
    pub(crate) still_since: Option<String>,
    /// Since the start: `late_answers`, `overflows`, `reconnects`.
    pub(crate) counters: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Aside {
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) since: String,
    pub(crate) again: Option<String>,
}

impl About {
    pub(crate) const UNPROTECTED: &str = "NOT PROTECTED: everybody on its network can read along";

    pub(crate) fn of(report: &DeviceReport) -> About {
        let identity = report.identity.clone().unwrap_or_default();
        let lateness = |of: fn(&lingate_model::Lateness) -> Duration| report.lateness.as_ref().map(of);
        About {
            vendor: identity.vendor,
            product: identity.product,
            revision: identity.revision,
            security: report.security.clone(),
            unprotected: report.is_unprotected(),
            endpoint: report.endpoint.clone(),
            clock_skew_seconds: report.clock_skew_us.map(seconds),
            lateness_seconds: lateness(|it| it.newest).map(|it| it.as_secs_f64()),
            worst_lateness_seconds: lateness(|it| it.worst).map(|it| it.as_secs_f64()),
            set_aside: report.set_aside.iter().map(Aside::of).collect(),
            set_aside_count: report.set_aside_count,
            heartbeat: report.heartbeat.as_ref().map(|heartbeat| heartbeat.what.clone()),
            still_since: report.heartbeat.as_ref().and_then(|heartbeat| heartbeat.still_since).map(show_time),
            counters: report.counters.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        }
    }

    /// One note each, the loud one first.
    pub(crate) fn in_words(&self, language: Language) -> Vec<String> {
        let loud = self.unprotected.then(|| About::UNPROTECTED.to_owned());
        let security = self.security.as_ref().map(|security| format!("security: {security}"));
        let endpoint = self.endpoint.as_ref().map(|endpoint| format!("endpoint: {endpoint}"));
        let still = self.stand_still(Language::English).map(|still| format!("STANDS STILL: {still}"));
        let notes =
            [loud, still, self.identity(), security, endpoint, self.skew(), self.lateness(), self.counts(language)];
        notes.into_iter().flatten().chain(self.asides()).collect()
    }

    pub(crate) fn stand_still(&self, language: Language) -> Option<String> {
        let (what, since) = (self.heartbeat.as_ref()?, self.still_since.as_ref()?);
        Some(match language {
            Language::English => {
                format!("heartbeat {what} has not changed since {since}, so that all of its values are uncertain")
            }
            Language::Chinese => format!("心跳 {what} 自 {since} 起没有变化，因此它的所有值都不确定"),
        })
    }

    fn identity(&self) -> Option<String> {
        let words: Vec<&str> = [&self.vendor, &self.product, &self.revision].map(String::as_str).into();
        let said = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        (!said.is_empty()).then_some(said)
    }

    fn skew(&self) -> Option<String> {
        let skew = self.clock_skew_seconds?;
        let direction = if skew < 0.0 { "behind" } else { "ahead of" };
        Some(format!("its clock is {:.3} s {direction} the gateway's", skew.abs()))
    }

    fn lateness(&self) -> Option<String> {
        let (newest, worst) = (self.lateness_seconds?, self.worst_lateness_seconds?);
        Some(format!("asked {newest:.3} s late, at worst {worst:.3} s"))
    }

    fn counts(&self, language: Language) -> Option<String> {
        let counts = self.counters.iter().filter(|(_, count)| **count > 0);
        let count = |(name, count): (&String, &u64)| match language {
            Language::English => format!("{count} {}", name.replace('_', " ")),
            Language::Chinese => format!("{} {count}", counter_in_chinese(name)),
        };
        let counts: Vec<String> = counts.map(count).collect();
        (!counts.is_empty()).then(|| counts.join(language.of(", ", "，")))
    }

    fn asides(&self) -> impl Iterator<Item = String> + '_ {
        let hidden = self.set_aside_count.saturating_sub(self.set_aside.len());
        let rest = (hidden > 0).then(|| format!("and {} set aside", plural(hidden, "more item")));
        self.set_aside.iter().map(Aside::in_words).chain(rest)
    }
}

impl Aside {
    fn of(aside: &SetAside) -> Aside {
        let SetAside { what, why, since, again } = aside;
        Aside { what: what.clone(), why: why.clone(), since: show_time(*since), again: again.map(show_time) }
    }

    fn in_words(&self) -> String {
        let Aside { what, why, since, again } = self;
        let again = again.as_ref().map_or("not asked again".to_owned(), |again| format!("asked again {again}"));
        format!("set aside: {what}: {why}, since {since}, {again}")
    }
}

/// A name that no driver of ours has stays as it is.
fn counter_in_chinese(name: &str) -> &str {
    const NAMES: [(&str, &str); 24] = [
        ("backfilled", "回填读数"),
        ("crc_errors", "校验错误"),
        ("dead_subscriptions", "失效订阅"),
        ("deadband_own", "本地死区"),
        ("decode_failures", "解码失败"),
        ("foreign_answers", "错配应答"),
        ("history_refused", "历史读取被拒"),
        ("late_answers", "迟到应答"),
        ("log_lines_withheld", "未写的日志行"),
        ("notification_lost", "丢失通知"),
        ("opaque", "无法解读"),
        ("overflows", "队列溢出"),
        ("panics", "驱动程序崩溃"),
        ("publishes", "发布应答"),
        ("queues_reduced", "队列缩短"),
        ("reconnects", "重新连接"),
        ("republished", "补发通知"),
        ("requests", "请求"),
        ("requests_halved", "请求减半"),
        ("server_restarts", "服务器重启"),
        ("skewed", "时钟偏差"),
        ("stale_readings", "停滞读数"),
        ("timeouts", "超时"),
        ("unlearned_holes", "待确认空洞"),
    ];
    NAMES.iter().find(|(english, _)| *english == name).map_or(name, |(_, chinese)| chinese)
}

#[allow(clippy::cast_precision_loss, reason = "shown with three places")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
pub(crate) mod tests {
    use lingate_model::{DeviceIdentity, Heartbeat, Lateness, UtcMicros};

    use super::*;

    /// As much as a driver can tell, some of it hostile.
    pub(crate) fn report() -> DeviceReport {
        let identity =
            DeviceIdentity { vendor: "<b>Acme\"</b>".to_owned(), revision: "2".to_owned(), ..Default::default() };
        let aside = SetAside {
            what: "holding:104 to 107".to_owned(),
            why: "illegal data address".to_owned(),
            since: UtcMicros(0),
            again: Some(UtcMicros(60_000_000)),
        };
        DeviceReport {
            identity: Some(identity),
            security: Some("none (as the configuration says)".to_owned()),
            endpoint: Some("opc.tcp://10.0.4.18:4840".to_owned()),
            clock_skew_us: Some(-1_500_000),
            lateness: Some(Lateness { newest: Duration::from_millis(3), worst: Duration::from_secs(2) }),
            set_aside: vec![aside],
            set_aside_count: 3,
            heartbeat: Some(Heartbeat { what: "holding:0".to_owned(), still_since: Some(UtcMicros(9_000_000)) }),
            counters: [("late_answers", 7), ("overflows", 0)].into(),
        }
    }

    #[test]
    fn everything_that_is_known_of_a_device_is_said_and_the_loud_part_first() {
        assert_eq!(
            About::of(&report()).in_words(Language::English),
            [
                "NOT PROTECTED: everybody on its network can read along",
                "STANDS STILL: heartbeat holding:0 has not changed since 1970-01-01T00:00:09Z, so that all of its values \
                 are uncertain",
                "<b>Acme\"</b> 2",
                "security: none (as the configuration says)",
                "endpoint: opc.tcp://10.0.4.18:4840",
                "its clock is 1.500 s behind the gateway's",
                "asked 0.003 s late, at worst 2.000 s",
                "7 late answers",
                "set aside: holding:104 to 107: illegal data address, since 1970-01-01T00:00:00Z, asked again \
                 1970-01-01T00:01:00Z",
                "and 2 more items set aside",
            ]
        );
        assert_eq!(About::default().in_words(Language::English), Vec::<String>::new());
    }
}
