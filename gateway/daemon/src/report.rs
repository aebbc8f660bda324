//! What `/status` answers and `lingate status` reads: names, counts, times and reasons. Never a process value.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use lingate_engine::{DatasetStatus, DeviceStatus, Status};
use lingate_model::{DeviceState, UtcMicros};
use serde::{Deserialize, Serialize};

use crate::about::About;
use crate::audit;
use crate::bundle_history::Refusal;
use crate::fence::Barrier;
use crate::language::Language;
use crate::recent::Recent;
use crate::reload::ReloadReport;
use crate::rights_report::RightsReport;
use crate::view::View;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) gateway: String,
    pub(crate) tenant: String,
    pub(crate) version: String,
    pub(crate) configuration_sha256: String,
    pub(crate) uptime_seconds: u64,
    pub(crate) time: String,
    pub(crate) clock: String,
    pub(crate) ready: bool,
    /// Why not, one sentence each.
    pub(crate) reasons: Vec<String>,
    pub(crate) newest_acknowledged: Option<String>,
    pub(crate) newest_acknowledged_age_seconds: Option<f64>,
    /// For how long nothing was acknowledged although records wait.
    pub(crate) stalled_seconds: f64,
    pub(crate) link: LinkReport,
    pub(crate) buffer: BufferReport,
    pub(crate) bundle: Option<BundleReport>,
    /// The one in force stays.
    #[serde(default)]
    pub(crate) bundle_refused: Option<Refusal>,
    pub(crate) certificate_days_left: Option<f64>,
    pub(crate) disk_fault: Option<String>,
    pub(crate) devices: Vec<DeviceReport>,
    pub(crate) datasets: Vec<DatasetReport>,
    pub(crate) unassigned_readings: u64,
    /// Values of context points that were too long to be told as context.
    #[serde(default)]
    pub(crate) contexts_too_long: u64,
    /// Lost readings by cause.
    pub(crate) lost: BTreeMap<String, u64>,
    #[serde(default)]
    pub(crate) rights: RightsReport,
    #[serde(default)]
    pub(crate) audit: audit::Health,
    #[serde(default)]
    pub(crate) reload: ReloadReport,
    /// What the process gave up before it heard anybody.
    #[serde(default)]
    pub(crate) fence: Vec<Barrier>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LinkReport {
    pub(crate) up: bool,
    pub(crate) reason: Option<String>,
    pub(crate) in_flight: usize,
    pub(crate) connects: u64,
    pub(crate) refused: u64,
    pub(crate) last_refusal: Option<String>,
    /// A topic that nobody reads: what is published there waits on disk.
    #[serde(default)]
    pub(crate) unread: Option<String>,
    /// Other datasets' topics are read.
    #[serde(default)]
    pub(crate) others_read: bool,
    pub(crate) published_bytes: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BufferReport {
    pub(crate) bytes: u64,
    pub(crate) max_bytes: u64,
    pub(crate) segments: u64,
    pub(crate) records_waiting: u64,
    pub(crate) readings_waiting: u64,
    pub(crate) oldest_age_seconds: Option<f64>,
    /// Records that were set aside because the broker refuses them for ever.
    #[serde(default)]
    pub(crate) quarantined: u64,
    /// Records that could not be read since the start.
    #[serde(default)]
    pub(crate) damaged: u64,
    /// Until it is full, at the mean rate since the start; absent until that rate is known.
    pub(crate) autonomy_hours: Option<f64>,
}

impl BufferReport {
    /// Of what it may use.
    pub(crate) fn percent(&self) -> u64 {
        self.bytes.saturating_mul(100).checked_div(self.max_bytes).unwrap_or(0).min(100)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BundleReport {
    pub(crate) sandbox: String,
    pub(crate) version: u64,
    /// Of the root keys that the next bundle must be signed by; the configuration pins the first root only.
    #[serde(default)]
    pub(crate) root_version: u64,
    pub(crate) days_left: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeviceReport {
    pub(crate) name: String,
    /// connecting, connected or backing-off.
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) readings: u64,
    pub(crate) bad_readings: u64,
    /// Points of which the newest reading is bad, with its OPC UA status; the first of `bad_point_count`.
    #[serde(default)]
    pub(crate) bad_points: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) bad_point_count: usize,
    /// All that it gave in the last seconds in which it gave any.
    pub(crate) newest_readings_are_bad: bool,
    pub(crate) missed_slots: u64,
    pub(crate) newest_age_seconds: Option<f64>,
    #[serde(flatten)]
    pub(crate) about: About,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DatasetReport {
    pub(crate) id: String,
    pub(crate) purpose: String,
    /// Why nothing is sealed for it.
    pub(crate) denied: Option<String>,
    pub(crate) recipients: usize,
    #[serde(default)]
    pub(crate) recipient_roles: Vec<String>,
    pub(crate) read: u64,
    pub(crate) kept: u64,
    /// By minimization step, `M6`.
    pub(crate) suppressed: BTreeMap<String, u64>,
    pub(crate) accepted_readings: u64,
    pub(crate) accepted_records: u64,
    pub(crate) acknowledged_readings: u64,
    pub(crate) acknowledged_records: u64,
    pub(crate) newest_acknowledged_age_seconds: Option<f64>,
    pub(crate) gaps: u64,
    /// Readings and slots that are lost and whose gap record is not sealed yet.
    #[serde(default)]
    pub(crate) undeclared: u64,
}

/// Names in one sentence for people; `/status` has more.
const POINTS_SAID: usize = 4;

impl DeviceReport {
    /// One note each, for people: what is bad first, then what the driver knows.
    pub(crate) fn notes(&self, language: Language) -> Vec<String> {
        // Of a device that is away, everything is bad, and why is said already.
        let bad = (self.state == "connected").then(|| self.bad_points_in_words(language)).flatten();
        bad.into_iter().chain(self.about.in_words(language)).collect()
    }

    /// `2 points are bad: melt_pressure (BadOutOfRange), speed (BadTimeout)`.
    pub(crate) fn bad_points_in_words(&self, language: Language) -> Option<String> {
        let shown = self.bad_points.iter().take(POINTS_SAID).map(|(name, status)| format!("{name} ({status})"));
        let shown: Vec<String> = shown.collect();
        let (count, shown, hidden) =
            (self.bad_point_count, shown.join(", "), self.bad_point_count.saturating_sub(shown.len()));
        let points = match (language, count) {
            (_, 0) => return None,
            (Language::English, 1) => "1 point is bad: ".to_owned(),
            (Language::English, _) => format!("{count} points are bad: "),
            (Language::Chinese, _) => format!("有 {count} 个测点是坏值："),
        };
        let more = match (language, hidden) {
            (_, 0) => String::new(),
            (Language::English, _) => format!(" and {hidden} more"),
            (Language::Chinese, _) => format!("，另有 {hidden} 个"),
        };
        Some(points + &shown + &more)
    }
}

impl Report {
    pub(crate) fn of(view: &View) -> Report {
        let (now, status) = (view.clock.now(), view.status());
        let newest = status.datasets.iter().filter_map(|dataset| dataset.newest_acknowledged).max();
        let reasons = view.unready();
        let uptime = now.monotonic.saturating_sub(view.started.monotonic);
        Report {
            gateway: view.gateway.to_string(),
            tenant: view.tenant.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            configuration_sha256: view.reloaded.borrow().configuration_sha256.clone(),
            reload: (**view.reloaded.borrow()).clone(),
            uptime_seconds: uptime.as_secs(),
            time: crate::tls::show_time(now.utc),
            clock: status.clock.to_string(),
            fence: view.fence.to_vec(),
            ready: reasons.is_empty(),
            reasons,
            newest_acknowledged: newest.map(crate::tls::show_time),
            newest_acknowledged_age_seconds: newest.map(|newest| age(now.utc, newest)),
            stalled_seconds: view.recent.stalled(&status, now).as_secs_f64().floor(),
            link: link(&status),
            buffer: buffer(&status, now.utc, uptime.as_secs_f64()),
            rights: RightsReport::new(&status, now.utc),
            audit: view.audit.health(),
            bundle: status.bundle.as_ref().map(|bundle| BundleReport {
                sandbox: bundle.sandbox.clone(),
                version: bundle.version,
                root_version: bundle.root_version,
                days_left: days(now.utc, bundle.expires),
            }),
            bundle_refused: view.bundle_refused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            certificate_days_left: view.certificate_expires().map(|expires| days(now.utc, expires)),
            disk_fault: status.disk_fault.clone(),
            devices: status.devices.iter().map(|device| self::device(device, now.utc, &view.recent)).collect(),
            datasets: status.datasets.iter().map(|dataset| self::dataset(dataset, now.utc)).collect(),
            unassigned_readings: status.unassigned,
            contexts_too_long: status.contexts_too_long,
            lost: status.lost.iter().map(|(cause, readings)| ((*cause).to_owned(), *readings)).collect(),
        }
    }
}

fn link(status: &Status) -> LinkReport {
    let link = &status.link;
    LinkReport {
        up: link.up,
        reason: link.reason.clone(),
        in_flight: link.in_flight,
        connects: link.connects,
        refused: link.refused,
        last_refusal: link.last_refusal.clone(),
        unread: link.unread.clone(),
        others_read: link.others_read,
        published_bytes: link.published_bytes,
    }
}

fn buffer(status: &Status, utc: UtcMicros, uptime_seconds: f64) -> BufferReport {
    let usage = &status.buffer;
    BufferReport {
        bytes: usage.bytes,
        max_bytes: usage.max_bytes,
        segments: usage.segments,
        records_waiting: usage.records_waiting,
        readings_waiting: usage.readings_waiting,
        oldest_age_seconds: usage.oldest.map(|oldest| age(utc, oldest)),
        quarantined: usage.quarantined,
        damaged: usage.damaged,
        autonomy_hours: autonomy_hours(usage, uptime_seconds),
    }
}

/// Until the oldest has to be dropped or the newest refused, at the mean rate since the start.
#[allow(clippy::cast_precision_loss, reason = "an estimate in hours")]
fn autonomy_hours(usage: &lingate_buffer::Usage, uptime_seconds: f64) -> Option<f64> {
    if usage.committed_bytes == 0 || uptime_seconds < 10.0 {
        return None;
    }
    let free = usage.max_bytes.saturating_sub(usage.bytes) as f64;
    Some(free / (usage.committed_bytes as f64 / uptime_seconds) / 3600.0)
}

fn device(device: &DeviceStatus, utc: UtcMicros, recent: &Recent) -> DeviceReport {
    let (state, reason) = match &device.state {
        DeviceState::Connecting => ("connecting", None),
        DeviceState::Connected => ("connected", None),
        DeviceState::BackingOff { reason } => ("backing-off", Some(reason.clone())),
    };
    DeviceReport {
        name: device.name.clone(),
        state: state.to_owned(),
        reason,
        readings: device.readings,
        bad_readings: device.bad_readings,
        bad_points: device.bad_points.iter().map(|(name, status)| (name.clone(), status.to_string())).collect(),
        bad_point_count: device.bad_point_count,
        newest_readings_are_bad: recent.newest_are_bad(&device.name),
        missed_slots: device.missed_slots,
        newest_age_seconds: device.newest.map(|newest| age(utc, newest)),
        about: About::of(&device.report),
    }
}

fn dataset(dataset: &DatasetStatus, utc: UtcMicros) -> DatasetReport {
    DatasetReport {
        id: dataset.id.clone(),
        purpose: dataset.purpose.clone(),
        denied: dataset.denied.clone(),
        recipients: dataset.recipients,
        recipient_roles: dataset.recipient_roles.clone(),
        read: dataset.read,
        kept: dataset.kept,
        suppressed: dataset.suppressed.iter().map(|(step, count)| (format!("M{step}"), *count)).collect(),
        accepted_readings: dataset.accepted_readings,
        accepted_records: dataset.accepted_records,
        acknowledged_readings: dataset.acknowledged_readings,
        acknowledged_records: dataset.acknowledged_records,
        newest_acknowledged_age_seconds: dataset.newest_acknowledged.map(|newest| age(utc, newest)),
        gaps: dataset.gaps,
        undeclared: dataset.undeclared,
    }
}

/// Seconds, not negative: a clock that was set back must not make data look newer than now.
#[allow(clippy::cast_precision_loss, reason = "shown with three places")]
pub(crate) fn age(now: UtcMicros, then: UtcMicros) -> f64 {
    (now.0.saturating_sub(then.0).max(0) / 1000) as f64 / 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "shown with one place")]
pub(crate) fn days(now: UtcMicros, end: UtcMicros) -> f64 {
    (end.0.saturating_sub(now.0) / 8_640_000_000) as f64 / 10.0
}

#[cfg(test)]
mod tests {
    use lingate_buffer::Usage;

    use super::*;

    #[test]
    fn hours_of_autonomy_are_the_free_bytes_at_the_mean_rate() {
        let usage = Usage { bytes: 1 << 30, max_bytes: 3 << 30, committed_bytes: 1 << 30, ..Usage::default() };
        // A GiB an hour, and room for two.
        assert_eq!(autonomy_hours(&usage, 3_600.0), Some(2.0));
        assert_eq!(autonomy_hours(&Usage { bytes: 4 << 30, ..usage.clone() }, 3_600.0), Some(0.0));
        assert_eq!(autonomy_hours(&usage, 9.0), None, "too short to tell");
        assert_eq!(autonomy_hours(&Usage { committed_bytes: 0, ..usage }, 3_600.0), None);
    }
}
