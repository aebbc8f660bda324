//! The first question of everybody: is data arriving at the sandbox, and if not, why? One answer for page and command line.

use crate::report::{DeviceReport, Report};
use crate::words::plural;

/// Readings that wait for longer than this without any acknowledgement do not arrive.
const STALLED_SECONDS: f64 = 30.0;
/// Data that is older than this is not fresh.
const FRESH_SECONDS: f64 = 60.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Light {
    Green,
    /// Data arrives, but not all of it, or it is old.
    Amber,
    /// No data arrives.
    Red,
}

pub(crate) fn headline(report: &Report) -> (Light, String) {
    if let Some(why) = nothing_arrives(report) {
        let waiting = report.buffer.records_waiting;
        let kept = if waiting > 0 { format!(" Kept on disk: {}.", plural(waiting, "record")) } else { String::new() };
        return (Light::Red, format!("No data is arriving at the sandbox: {why}.{kept}"));
    }
    match (report.newest_acknowledged_age_seconds, flaw(report)) {
        (Some(age), None) if age < FRESH_SECONDS => (
            Light::Green,
            format!("Data is arriving at the sandbox; the newest acknowledged reading is {age:.0} s old."),
        ),
        (Some(age), Some(flaw)) if age < FRESH_SECONDS => (Light::Amber, format!("Data is arriving, but {flaw}.")),
        (Some(age), flaw) => {
            let why = flaw.unwrap_or_else(|| waiting(report));
            (Light::Amber, format!("The newest acknowledged reading is {age:.0} s old; {why}."))
        }
        (None, flaw) => {
            let why = flaw.unwrap_or_else(|| waiting(report));
            (Light::Amber, format!("Connected, and nothing was acknowledged yet; {why}."))
        }
    }
}

fn nothing_arrives(report: &Report) -> Option<String> {
    if !report.link.up {
        return Some(report.link.reason.clone().unwrap_or_else(|| "no connection to the broker yet".to_owned()));
    }
    if let Some(topic) = &report.link.unread {
        return Some(lingate_engine::unread(topic));
    }
    if let Some(fault) = &report.disk_fault {
        return Some(format!("the disk refuses: {fault}"));
    }
    if report.stalled_seconds > STALLED_SECONDS {
        let refusal = report.link.last_refusal.as_ref().map(|refusal| format!("; it refused a record: {refusal}"));
        let seconds = report.stalled_seconds;
        return Some(format!("the broker acknowledged nothing for {seconds:.0} s{}", refusal.unwrap_or_default()));
    }
    if report.datasets.iter().all(|dataset| dataset.denied.is_some()) {
        return denied(report);
    }
    if report.devices.iter().all(|device| !is_connected(device)) {
        return away(report).map(|away| format!("no device is connected; {away}"));
    }
    None
}

/// The first thing that keeps some of the data from arriving.
fn flaw(report: &Report) -> Option<String> {
    let bad = || {
        let device = report.devices.iter().find(|device| device.newest_readings_are_bad)?;
        Some(format!("all of the newest readings of device {} are bad", device.name))
    };
    let some_bad = || {
        let device = report.devices.iter().find(|device| device.bad_point_count > 0)?;
        Some(format!("on device {} {}", device.name, device.bad_points_in_words()?))
    };
    let refused = || {
        let device = report.devices.iter().find(|device| device.about.set_aside_count > 0)?;
        let count = plural(device.about.set_aside_count, "item");
        Some(format!("device {} refuses {count}: see its notes", device.name))
    };
    away(report).or_else(bad).or_else(|| denied(report)).or_else(some_bad).or_else(refused)
}

fn away(report: &Report) -> Option<String> {
    let device = report.devices.iter().find(|device| !is_connected(device))?;
    Some(match &device.reason {
        Some(reason) => format!("device {} is not connected: {reason}", device.name),
        None => format!("device {} is not connected yet", device.name),
    })
}

fn denied(report: &Report) -> Option<String> {
    let dataset = report.datasets.iter().find(|dataset| dataset.denied.is_some())?;
    Some(format!("dataset {}: {}", dataset.id, dataset.denied.as_deref().unwrap_or_default()))
}

fn waiting(report: &Report) -> String {
    match &report.link.last_refusal {
        Some(refusal) => format!("the broker refused a record: {refusal}"),
        None => format!("{} waiting", plural(report.buffer.records_waiting, "record")),
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
        headline(&serde_json::from_value(report).unwrap())
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
        let (light, words) = told(|report| report["link"]["unread"] = json!("lingate/1/acme/gw-1/k/q7"));
        assert!(light == Light::Red && words.contains("no subscriber for lingate/1/acme/gw-1/k/q7"), "{words}");
        let (light, words) = told(|report| report["stalled_seconds"] = json!(31.0));
        assert!(light == Light::Red && words.contains("31 s"), "{words}");
        let (light, words) = told(|report| {
            report["devices"] =
                json!([device("press-1", "backing-off", Some("no answer")), device("p", "connecting", None)]);
        });
        assert!(light == Light::Red && words.contains("press-1 is not connected: no answer"), "{words}");
        assert_eq!(told(|report| report["datasets"][0]["denied"] = json!("expired")).0, Light::Red);
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
