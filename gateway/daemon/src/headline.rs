//! The first question of everybody: is data arriving at the sandbox, and if not, why? One answer for page and command line.

use crate::language::Language;
use crate::report::{DeviceReport, Report};
use crate::words::plural;

/// Readings that wait for longer than this without any acknowledgement do not arrive.
const STALLED_SECONDS: f64 = 30.0;
/// Data that is older than this is not fresh.
const FRESH_SECONDS: f64 = 60.0;
/// A night: whoever reads it in the evening must know whether it lasts.
const SOON_FULL_HOURS: f64 = 24.0;
const NEARLY_FULL_PERCENT: u64 = 80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Light {
    Green,
    /// Data arrives, but not all of it, or it is old.
    Amber,
    /// No data arrives.
    Red,
}

/// The light, and the answer in one or two sentences.
pub(crate) fn headline(report: &Report, language: Language) -> (Light, String) {
    let teller = Teller { report, language };
    if let Some(why) = teller.nothing_arrives() {
        let no_data = language.of("No data is arriving at the sandbox: ", "沙箱没有收到数据：");
        let stop = if why.ends_with(['?', '？']) { "" } else { language.of(".", "。") };
        return (Light::Red, format!("{no_data}{why}{stop}{}", teller.kept()));
    }
    let (flaw, chinese) = (teller.flaw(), language == Language::Chinese);
    match (report.newest_acknowledged_age_seconds, flaw) {
        (Some(age), None) if age < FRESH_SECONDS => (
            Light::Green,
            match chinese {
                true => format!("数据正在到达沙箱；最新的已确认读数是 {age:.0} 秒前的。"),
                false => format!("Data is arriving at the sandbox; the newest acknowledged reading is {age:.0} s old."),
            },
        ),
        (Some(age), Some(flaw)) if age < FRESH_SECONDS => (
            Light::Amber,
            match chinese {
                true => format!("数据正在到达，但是{flaw}。"),
                false => format!("Data is arriving, but {flaw}."),
            },
        ),
        (Some(age), flaw) => {
            let why = flaw.unwrap_or_else(|| teller.waiting());
            let said = match chinese {
                true => format!("最新的已确认读数是 {age:.0} 秒前的；{why}。"),
                false => format!("The newest acknowledged reading is {age:.0} s old; {why}."),
            };
            (Light::Amber, said)
        }
        (None, flaw) => {
            let why = flaw.unwrap_or_else(|| teller.waiting());
            let said = match chinese {
                true => format!("已连接，还没有任何数据得到确认；{why}。"),
                false => format!("Connected, and nothing was acknowledged yet; {why}."),
            };
            (Light::Amber, said)
        }
    }
}

struct Teller<'a> {
    report: &'a Report,
    language: Language,
}

impl Teller<'_> {
    fn nothing_arrives(&self) -> Option<String> {
        let (report, language) = (self.report, self.language);
        if !report.link.up {
            let unknown = || language.of("no connection to the broker yet", "还没有连接到消息代理").to_owned();
            return Some(report.link.reason.as_ref().map_or_else(unknown, |reason| language.told(reason)));
        }
        if !report.link.others_read || report.stalled_seconds > STALLED_SECONDS {
            let unread = self.unread();
            if unread.is_some() {
                return unread;
            }
        }
        if let Some(fault) = &report.disk_fault {
            return Some(format!("{}{fault}", language.of("the disk refuses: ", "磁盘拒绝写入：")));
        }
        if report.stalled_seconds > STALLED_SECONDS {
            let seconds = report.stalled_seconds;
            let silent = match language {
                Language::English => format!("the broker acknowledged nothing for {seconds:.0} s"),
                Language::Chinese => format!("消息代理已有 {seconds:.0} 秒没有确认任何数据"),
            };
            let refused = language.of("; it refused a record: ", "；它拒绝了一条记录：");
            let refusal = report.link.last_refusal.as_ref().map(|refusal| format!("{refused}{refusal}"));
            return Some(silent + &refusal.unwrap_or_default());
        }
        if report.datasets.iter().all(|dataset| dataset.denied.is_some()) {
            return self.denied();
        }
        if report.devices.iter().all(|device| !is_connected(device)) {
            let none = language.of("no device is connected; ", "没有设备连接；");
            return self.away().map(|away| format!("{none}{away}"));
        }
        None
    }

    fn kept(&self) -> String {
        let kept = match (self.report.buffer.records_waiting, self.language) {
            (0, _) => return String::new(),
            (waiting, Language::English) => format!(" Kept on disk: {}.", plural(waiting, "record")),
            (waiting, Language::Chinese) => format!("磁盘上保存着 {waiting} 条记录。"),
        };
        kept + &self.filling().unwrap_or_default()
    }

    /// While it fills there is time to act, and this says how much.
    fn filling(&self) -> Option<String> {
        let buffer = &self.report.buffer;
        let (percent, hours) = (buffer.percent(), buffer.autonomy_hours.filter(|hours| *hours < SOON_FULL_HOURS)?);
        Some(match self.language {
            Language::English => format!(" The buffer is {percent} % full and lasts {hours:.1} h more."),
            Language::Chinese => format!("缓冲区已用 {percent} %，还能保存 {hours:.1} 小时。"),
        })
    }

    /// More is read than is taken, although the link is up.
    fn nearly_full(&self) -> Option<String> {
        let percent = self.report.buffer.percent();
        (percent >= NEARLY_FULL_PERCENT).then(|| match self.language {
            Language::English => format!("the buffer is {percent} % full: more is read than the broker takes"),
            Language::Chinese => format!("缓冲区已用 {percent} %：读取的数据比消息代理接收的多"),
        })
    }

    fn unread(&self) -> Option<String> {
        let topic = self.report.link.unread.as_ref()?;
        Some(match self.language {
            Language::English => lingate_engine::unread(topic),
            Language::Chinese => format!("消息代理上没有订阅者接收 {topic}，因此数据留在磁盘上，稍后重试"),
        })
    }

    /// The first thing that keeps some of the data from arriving.
    fn flaw(&self) -> Option<String> {
        self.unread()
            .or_else(|| self.away())
            .or_else(|| self.nearly_full())
            .or_else(|| self.all_bad())
            .or_else(|| self.still())
            .or_else(|| self.denied())
            .or_else(|| self.audit())
            .or_else(|| self.some_bad())
            .or_else(|| self.refused())
    }

    fn away(&self) -> Option<String> {
        let device = self.report.devices.iter().find(|device| !is_connected(device))?;
        let name = &device.name;
        Some(match (&device.reason, self.language) {
            (Some(reason), Language::English) => format!("device {name} is not connected: {reason}"),
            (Some(reason), Language::Chinese) => format!("设备 {name} 未连接：{}", self.language.told(reason)),
            (None, Language::English) => format!("device {name} is not connected yet"),
            (None, Language::Chinese) => format!("设备 {name} 还没有连接"),
        })
    }

    fn all_bad(&self) -> Option<String> {
        let name = &self.report.devices.iter().find(|device| device.newest_readings_are_bad)?.name;
        Some(match self.language {
            Language::English => format!("all of the newest readings of device {name} are bad"),
            Language::Chinese => format!("设备 {name} 的最新读数全部是坏值"),
        })
    }

    fn still(&self) -> Option<String> {
        let still = |device: &DeviceReport| Some((device.name.clone(), device.about.stand_still(self.language)?));
        let (name, still) = self.report.devices.iter().find_map(still)?;
        Some(match self.language {
            Language::English => format!("device {name} stands still: {still}"),
            Language::Chinese => format!("设备 {name} 停滞：{still}"),
        })
    }

    fn denied(&self) -> Option<String> {
        let dataset = self.report.datasets.iter().find(|dataset| dataset.denied.is_some())?;
        let (id, why) = (&dataset.id, dataset.denied.as_deref().unwrap_or_default());
        Some(match self.language {
            Language::English => format!("dataset {id}: {why}"),
            Language::Chinese => format!("数据集 {id}：{}", self.language.told(why)),
        })
    }

    fn audit(&self) -> Option<String> {
        let audit = &self.report.audit;
        let cannot = self.language.of("the audit log cannot be written: ", "审计日志无法写入：");
        let disputed = self.language.of("audit log: ", "审计日志：");
        let fault = audit.fault.as_ref().map(|fault| format!("{cannot}{fault}"));
        fault.or_else(|| Some(format!("{disputed}{}", self.language.told(audit.dispute.as_deref()?))))
    }

    fn some_bad(&self) -> Option<String> {
        let device = self.report.devices.iter().find(|device| device.bad_point_count > 0)?;
        let (name, bad) = (&device.name, device.bad_points_in_words(self.language)?);
        Some(match self.language {
            Language::English => format!("on device {name} {bad}"),
            Language::Chinese => format!("设备 {name} 上{bad}"),
        })
    }

    fn refused(&self) -> Option<String> {
        let device = self.report.devices.iter().find(|device| device.about.set_aside_count > 0)?;
        let (name, count) = (&device.name, device.about.set_aside_count);
        Some(match self.language {
            Language::English => format!("device {name} refuses {}: see its notes", plural(count, "item")),
            Language::Chinese => format!("设备 {name} 拒绝了 {count} 项：见其说明"),
        })
    }

    fn waiting(&self) -> String {
        let waiting = self.report.buffer.records_waiting;
        match (&self.report.link.last_refusal, self.language) {
            (Some(refusal), Language::English) => format!("the broker refused a record: {refusal}"),
            (Some(refusal), Language::Chinese) => format!("消息代理拒绝了一条记录：{refusal}"),
            (None, Language::English) => format!("{} waiting", plural(waiting, "record")),
            (None, Language::Chinese) => format!("{waiting} 条记录在等待"),
        }
    }
}

fn is_connected(device: &DeviceReport) -> bool {
    device.state == "connected"
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::time::Duration;

    use lingate_model::{ClockState, Now, UtcMicros};
    use serde_json::{Value, json};

    use super::*;
    use crate::audit::Health;
    use crate::recent::Recent;

    fn device(name: &str, state: &str, reason: Option<&str>) -> Value {
        json!({"name": name, "state": state, "reason": reason, "readings": 9, "bad_readings": 0,
            "newest_readings_are_bad": false, "missed_slots": 0, "newest_age_seconds": 1.0})
    }

    fn dataset() -> Value {
        json!({"id": "ds-1", "purpose": "urn:p", "denied": null, "recipients": 1, "read": 9, "kept": 9,
            "suppressed": {}, "accepted_readings": 9, "accepted_records": 1, "acknowledged_readings": 9,
            "acknowledged_records": 1, "newest_acknowledged_age_seconds": 1.0, "gaps": 0})
    }

    /// Two devices and one dataset, all of them well, but for `change`.
    fn told(change: impl FnOnce(&mut Value)) -> (Light, String) {
        let mut report = json!({
            "gateway": "gw-1", "tenant": "acme", "version": "0", "configuration_sha256": "", "uptime_seconds": 100,
            "time": "", "clock": "synced", "ready": true, "reasons": [], "newest_acknowledged": "",
            "newest_acknowledged_age_seconds": 2.0, "stalled_seconds": 0.0,
            "link": {"up": true, "reason": null, "in_flight": 0, "connects": 1, "refused": 0, "last_refusal": null,
                "published_bytes": 0},
            "buffer": {"bytes": 0, "max_bytes": 9, "segments": 1, "records_waiting": 3, "readings_waiting": 3,
                "oldest_age_seconds": 1.0, "autonomy_hours": null},
            "bundle": null, "certificate_days_left": null, "disk_fault": null,
            "devices": [device("press-1", "connected", None), device("press-2", "connected", None)],
            "datasets": [dataset()], "unassigned_readings": 0, "lost": {}
        });
        change(&mut report);
        headline(&serde_json::from_value(report).unwrap(), Language::English)
    }

    #[test]
    fn it_is_green_only_if_nothing_is_wrong() {
        assert_eq!(told(|_| ()).0, Light::Green);
        let (light, words) = told(|report| report["devices"][1] = device("press-2", "backing-off", Some("no answer")));
        assert_eq!(
            (light, &*words),
            (Light::Amber, "Data is arriving, but device press-2 is not connected: no answer.")
        );
        let (light, words) = told(|report| report["devices"][1]["newest_readings_are_bad"] = json!(true));
        assert_eq!(light, Light::Amber);
        assert!(words.starts_with("Data is arriving, but ") && words.contains("press-2"), "{words}");
        let (light, words) = told(|report| {
            report["devices"][1]["heartbeat"] = json!("holding:0");
            report["devices"][1]["still_since"] = json!("12:00");
        });
        assert_eq!(light, Light::Amber);
        assert!(words.starts_with("Data is arriving, but device press-2 stands still: heartbeat holding:0"), "{words}");
        let (light, words) =
            told(|report| report["audit"] = json!(Health { fault: Some("disk full".to_owned()), ..Health::default() }));
        assert!(light == Light::Amber && words.contains("audit log cannot be written: disk full"), "{words}");
        assert_eq!(told(|report| report["newest_acknowledged_age_seconds"] = json!(61.0)).0, Light::Amber);
        let (light, words) = told(|report| {
            report["devices"][1]["bad_points"] = json!({"speed": "BadTimeout"});
            report["devices"][1]["bad_point_count"] = json!(3);
        });
        let named = "Data is arriving, but on device press-2 3 points are bad: speed (BadTimeout) and 2 more.";
        assert_eq!((light, &*words), (Light::Amber, named));
        let (light, words) = told(|report| report["devices"][1]["set_aside_count"] = json!(2));
        assert!(light == Light::Amber && words.contains("press-2 refuses 2"), "{words}");
    }

    #[test]
    fn it_is_red_if_no_data_arrives_and_says_why() {
        let (light, words) = told(|report| {
            report["link"]["up"] = json!(false);
            report["link"]["reason"] = json!("the cable is cut");
        });
        assert!(light == Light::Red && words.contains("the cable is cut") && words.contains("3 records"), "{words}");
        let (_, words) = told(|report| {
            report["link"]["up"] = json!(false);
            report["link"]["reason"] = json!("is it of another CA?");
        });
        assert!(words.contains("another CA? Kept on disk"), "{words}");
        let (light, words) = told(|report| report["link"]["unread"] = json!("lingate/1/acme/gw-1/k/q7"));
        assert!(light == Light::Red && words.contains("no subscriber for lingate/1/acme/gw-1/k/q7"), "{words}");
        let one_of_two = |stalled: f64| {
            told(|report| {
                report["link"]["unread"] = json!("lingate/1/acme/gw-1/k/q7");
                report["link"]["others_read"] = json!(true);
                report["stalled_seconds"] = json!(stalled);
            })
        };
        let (light, words) = one_of_two(0.0);
        assert!(
            light == Light::Amber && words.starts_with("Data is arriving, but the broker has no subscriber"),
            "{words}"
        );
        let (light, words) = one_of_two(31.0);
        assert!(light == Light::Red && words.contains("no subscriber"), "{words}");
        let (light, words) = told(|report| report["stalled_seconds"] = json!(31.0));
        assert!(light == Light::Red && words.contains("31 s"), "{words}");
        let (light, words) = told(|report| {
            report["devices"] =
                json!([device("press-1", "backing-off", Some("no answer")), device("p", "connecting", None)]);
        });
        assert!(light == Light::Red && words.contains("press-1 is not connected: no answer"), "{words}");
        assert_eq!(told(|report| report["datasets"][0]["denied"] = json!("expired")).0, Light::Red);
    }

    #[test]
    fn a_buffer_that_fills_says_for_how_long_it_lasts() {
        let down = |report: &mut Value, bytes: u64, hours: f64| {
            report["link"]["up"] = json!(false);
            report["buffer"]["bytes"] = json!(bytes);
            report["buffer"]["max_bytes"] = json!(1000);
            report["buffer"]["autonomy_hours"] = json!(hours);
        };
        let (light, words) = told(|report| down(report, 640, 3.26));
        assert!(light == Light::Red && words.ends_with("The buffer is 64 % full and lasts 3.3 h more."), "{words}");
        assert!(!told(|report| down(report, 640, 500.0)).1.contains("full"));
        let (light, words) = told(|report| {
            report["buffer"]["bytes"] = json!(800);
            report["buffer"]["max_bytes"] = json!(1000);
        });
        assert!(light == Light::Amber && words.contains("the buffer is 80 % full"), "{words}");
    }

    fn status(readings: u64, bad: u64, waiting: u64, acknowledged: u64) -> lingate_engine::Status {
        let mut status = crate::health::tests::status();
        (status.devices[0].readings, status.devices[0].bad_readings) = (readings, bad);
        status.buffer.records_waiting = waiting;
        status.datasets[0].acknowledged_records = acknowledged;
        status
    }

    fn at(seconds: u64) -> Now {
        Now { monotonic: Duration::from_secs(seconds), utc: UtcMicros(0), clock: ClockState::Synced }
    }

    #[test]
    fn the_newest_readings_are_bad_until_a_good_one_comes() {
        let recent = Recent::started(at(0));
        let bad = |readings, bad| {
            recent.look(&status(readings, bad, 0, 0), at(0));
            recent.newest_are_bad("press-1")
        };
        let seen = [bad(0, 0), bad(10, 0), bad(10, 0), bad(12, 2), bad(12, 2), bad(14, 3), bad(15, 3)];
        assert_eq!(seen, [false, false, false, true, true, false, false]);
    }

    #[test]
    fn only_what_waits_without_any_acknowledgement_is_stalled() {
        let recent = Recent::started(at(0));
        let stalled =
            |waiting, acknowledged, now| recent.stalled(&status(0, 0, waiting, acknowledged), at(now)).as_secs();
        let seen = [stalled(0, 0, 50), stalled(1, 0, 60), stalled(1, 0, 95), stalled(1, 1, 96), stalled(2, 1, 100)];
        assert_eq!(seen, [0, 10, 45, 0, 4]);
    }
}
