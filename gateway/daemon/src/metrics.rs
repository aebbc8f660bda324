//! OpenMetrics text for Prometheus: `lingate_` prefix, base units, one HELP each. Names and counts only.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::about::About;
use crate::report::{DeviceReport, Report};

type Labels = Vec<(&'static str, String)>;

/// The page of `/metrics`, made anew from the report, so that both can never disagree.
pub(crate) fn page(report: &Report) -> Result<String, fmt::Error> {
    let mut sheet = Sheet(Registry::with_prefix("lingate"));
    sheet.process(report);
    sheet.audit(report);
    sheet.link(report);
    sheet.buffer(report);
    sheet.devices(report);
    sheet.datasets(report);
    let mut text = String::new();
    encode(&mut text, &sheet.0)?;
    Ok(text)
}

/// The same in Prometheus' text format 0.0.4, in which a counter's family has the name of its samples, and which knows
/// neither units nor an end mark.
pub(crate) fn classic(open: &str) -> String {
    let counters: BTreeSet<&str> =
        open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match [words.next(), words.next(), words.next(), words.next()] {
            [Some("#"), Some(what), Some(family), Some(rest)] if counters.contains(family) => {
                let _ = writeln!(text, "# {what} {family}_total {rest}");
            }
            _ => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

struct Sheet(Registry);

impl Sheet {
    fn process(&mut self, report: &Report) {
        let build = vec![("gateway", report.gateway.clone()), ("version", report.version.clone())];
        self.gauges("build", "Constant 1, with gateway and software version", None, [(build, 1.0)]);
        self.gauge("ready", "1 when configuration, buffer, keys and health are up", None, flag(report.ready));
        self.gauge("uptime", "Time since the start", Some(Unit::Seconds), whole(report.uptime_seconds));
        self.gauge("clock_synced", "1 when the system clock is synchronised", None, flag(report.clock == "synced"));
        let reload = &report.reload;
        let help = "1 while the configuration in force is what the files said last";
        self.gauge("config_last_reload_successful", help, None, flag(reload.outcome.is_good()));
        let help = "When the configuration in force was taken, seconds since 1970";
        self.gauge("config_last_reload_success_timestamp", help, Some(Unit::Seconds), reload.succeeded_at as f64);
        let counts = [("applied", reload.applied), ("refused", reload.refused)];
        let counts = counts.map(|(outcome, count)| (vec![("outcome", outcome.to_owned())], count));
        self.counters("config_reloads", "Wishes for another configuration since the start", counts);
        let barriers = report
            .fence
            .iter()
            .map(|barrier| (vec![("barrier", barrier.name.replace(' ', "_"))], flag(barrier.in_force)));
        let help = "1 while the process can do no more than its work: /status says what each barrier allows";
        self.gauges("fence", help, None, barriers);
        let seconds = |days: f64| days * 86_400.0;
        self.maybe(
            "certificate_left",
            "Time until the client certificate expires",
            report.certificate_days_left.map(seconds),
        );
        let help = "1 while the newest bundle that came was refused and the one before stays in force";
        self.gauge("bundle_refused", help, None, flag(report.bundle_refused.is_some()));
        let bundle = report.bundle.as_ref();
        self.maybe(
            "bundle_left",
            "Time until the sandbox bundle expires",
            bundle.map(|bundle| seconds(bundle.days_left)),
        );
        if let Some(bundle) = bundle {
            self.gauge("bundle_version", "Version of the sandbox bundle in force", None, whole(bundle.version));
        }
        let lost = report.lost.iter().map(|(cause, readings)| (vec![("cause", cause.clone())], *readings));
        let help = "Readings that were lost: counted at once, declared by a gap record as soon as the dataset may seal";
        self.counters("lost_readings", help, lost);
        self.counter("unassigned_readings", "Readings of points that no dataset names", report.unassigned_readings);
        let help = "Values of context points of more than 256 bytes, which were not told as context";
        self.counter("contexts_too_long", help, report.contexts_too_long);
        self.gauge("disk_fault", "1 while the disk refuses to commit", None, flag(report.disk_fault.is_some()));
    }

    fn audit(&mut self, report: &Report) {
        let audit = &report.audit;
        self.gauge("audit_lines", "Lines of the audit log", None, whole(audit.lines));
        self.gauge("audit", "Disk space of the audit log", Some(Unit::Bytes), whole(audit.bytes));
        self.gauge(
            "audit_checkpoint_lines",
            "Lines that the newest signed checkpoint covers",
            None,
            whole(audit.checkpoint),
        );
        self.gauge("audit_cosigned_lines", "Lines that the sandbox has cosigned", None, whole(audit.cosigned));
        self.counter("audit_lost_events", "Events that the audit log could not take", audit.lost);
        self.gauge("audit_fault", "1 while the audit log cannot be written", None, flag(audit.fault.is_some()));
        let help = "1 while the sandbox knows another history of the audit log";
        self.gauge("audit_dispute", help, None, flag(audit.dispute.is_some()));
    }

    fn link(&mut self, report: &Report) {
        let link = &report.link;
        self.gauge("link_up", "1 while connected to the sandbox's broker", None, flag(link.up));
        self.gauge(
            "link_in_flight_records",
            "Records that wait for an acknowledgement",
            None,
            whole(link.in_flight as u64),
        );
        self.counter("link_connects", "Connections that the broker accepted", link.connects);
        self.counter("link_refused_records", "Records that the broker refused", link.refused);
        self.counter(
            "link_published_bytes",
            "Bytes of records handed to the link, repetitions included",
            link.published_bytes,
        );
        let newest = report.newest_acknowledged_age_seconds;
        self.maybe("newest_acknowledged_age", "Age of the newest acknowledged reading", newest);
    }

    fn buffer(&mut self, report: &Report) {
        let buffer = &report.buffer;
        self.gauge("buffer", "Disk space in use", Some(Unit::Bytes), whole(buffer.bytes));
        self.gauge("buffer_limit", "Disk space that may be used", Some(Unit::Bytes), whole(buffer.max_bytes));
        self.gauge("buffer_records", "Durable records that wait for delivery", None, whole(buffer.records_waiting));
        self.gauge("buffer_readings", "Durable readings that wait for delivery", None, whole(buffer.readings_waiting));
        self.maybe("buffer_oldest_age", "Age of the oldest record that waits", buffer.oldest_age_seconds);
        self.gauge("buffer_quarantined", "Records set aside, refused for ever", None, whole(buffer.quarantined));
        self.gauge("buffer_damaged", "Records that could not be read since the start", None, whole(buffer.damaged));
        let autonomy = buffer.autonomy_hours.map(|hours| hours * 3600.0);
        self.maybe("buffer_autonomy", "Time until the buffer is full at the mean rate", autonomy);
    }

    fn devices(&mut self, report: &Report) {
        let device = |name: &str| vec![("device", name.to_owned())];
        let devices = &report.devices;
        let up = devices.iter().map(|d| (device(&d.name), flag(d.state == "connected")));
        self.gauges("device_up", "1 while the device is connected", None, up);
        let counts = devices.iter().map(|d| (device(&d.name), d.readings));
        self.counters("device_readings", "Readings of the device", counts);
        let counts = devices.iter().map(|d| (device(&d.name), d.bad_readings));
        self.counters("device_bad_readings", "Readings of bad quality", counts);
        let bad = devices.iter().map(|d| (device(&d.name), whole(d.bad_point_count as u64)));
        self.gauges("device_bad_points", "Points of which the newest reading is bad", None, bad);
        let counts = devices.iter().map(|d| (device(&d.name), d.missed_slots));
        self.counters("device_missed_slots", "Scheduled slots that gave nothing", counts);
        self.about(devices);
    }

    /// What the drivers know of their devices.
    fn about(&mut self, devices: &[DeviceReport]) {
        let device = |d: &DeviceReport| vec![("device", d.name.clone())];
        let identity = |d: &DeviceReport| {
            let About { vendor, product, revision, .. } = d.about.clone();
            let words = [("vendor", vendor), ("product", product), ("revision", revision)];
            device(d).into_iter().chain(words).collect::<Labels>()
        };
        let known = devices.iter().filter(|d| !(d.about.vendor.is_empty() && d.about.product.is_empty()));
        self.gauges(
            "device_identity",
            "Constant 1, with what the device says of itself",
            None,
            known.map(|d| (identity(d), 1.0)),
        );
        let secured = devices.iter().filter(|d| d.about.security.is_some());
        let help = "1 if the connection is protected, 0 if everybody on the network can read along";
        self.gauges("device_protected", help, None, secured.map(|d| (device(d), flag(!d.about.unprotected))));
        let aside = devices.iter().map(|d| (device(d), whole(d.about.set_aside_count as u64)));
        self.gauges(
            "device_set_aside",
            "Points or blocks that the device refuses and that are asked rarely",
            None,
            aside,
        );
        let watched = devices.iter().filter(|d| d.about.heartbeat.is_some());
        let help = "1 if the device's heartbeat stands still and its values are uncertain, 0 if it counts";
        self.gauges("device_stale", help, None, watched.map(|d| (device(d), flag(d.about.still_since.is_some()))));
        type Seconds = fn(&About) -> Option<f64>;
        let seconds: [(&str, &str, Seconds); 3] = [
            ("device_clock_skew", "Device clock less gateway clock", |about| about.clock_skew_seconds),
            ("device_lateness", "Between due and served, of the newest slot", |about| about.lateness_seconds),
            ("device_worst_lateness", "The longest since the start", |about| about.worst_lateness_seconds),
        ];
        for (name, help, of) in seconds {
            let values = devices.iter().filter_map(|d| Some((device(d), of(&d.about)?)));
            self.gauges(name, help, Some(Unit::Seconds), values);
        }
        let event =
            |d: &DeviceReport, event: &str| device(d).into_iter().chain([("event", event.to_owned())]).collect();
        let counts = devices.iter().flat_map(|d| d.about.counters.iter().map(move |(name, n)| (event(d, name), *n)));
        self.counters(
            "device_events",
            "What the driver counts: late answers, overflows, reconnects and others",
            counts,
        );
    }

    fn datasets(&mut self, report: &Report) {
        let dataset = |id: &str| vec![("dataset", id.to_owned())];
        let datasets = &report.datasets;
        let denied = datasets.iter().map(|d| (dataset(&d.id), flag(d.denied.is_some())));
        self.gauges("dataset_denied", "1 while nothing may be sealed for the dataset", None, denied);
        let help = "Readings and slots that were lost and wait for their gap record";
        let undeclared = datasets.iter().map(|d| (dataset(&d.id), whole(d.undeclared)));
        self.gauges("dataset_undeclared_readings", help, None, undeclared);
        type Count = fn(&crate::report::DatasetReport) -> u64;
        let counters: [(&str, &str, Count); 7] = [
            ("dataset_read_readings", "Readings before minimization", |d| d.read),
            ("dataset_kept_readings", "Readings that minimization kept", |d| d.kept),
            ("dataset_accepted_readings", "Readings that became durable", |d| d.accepted_readings),
            ("dataset_accepted_records", "Records that became durable", |d| d.accepted_records),
            (
                "dataset_acknowledged_readings",
                "Readings that the sandbox acknowledged, those of earlier runs among them",
                |d| d.acknowledged_readings,
            ),
            (
                "dataset_acknowledged_records",
                "Records that the sandbox acknowledged, those of earlier runs among them",
                |d| d.acknowledged_records,
            ),
            ("dataset_gaps", "Gap records", |d| d.gaps),
        ];
        for (name, help, count) in counters {
            self.counters(name, help, datasets.iter().map(|d| (dataset(&d.id), count(d))));
        }
        let suppressed = datasets.iter().flat_map(|d| {
            d.suppressed.iter().map(|(step, count)| (vec![("dataset", d.id.clone()), ("step", step.clone())], *count))
        });
        self.counters("dataset_suppressed_readings", "Readings that a minimization step dropped", suppressed);
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<Unit>, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.register(name, help, unit, gauge);
    }

    /// Seconds; absent as long as there is nothing to tell.
    fn maybe(&mut self, name: &str, help: &str, seconds: Option<f64>) {
        if let Some(seconds) = seconds {
            self.gauge(name, help, Some(Unit::Seconds), seconds);
        }
    }

    fn gauges(&mut self, name: &str, help: &str, unit: Option<Unit>, values: impl IntoIterator<Item = (Labels, f64)>) {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(value);
        }
        self.register(name, help, unit, family);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        self.register(name, help, None, counter);
    }

    fn counters(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).inc_by(value);
        }
        self.register(name, help, None, family);
    }

    fn register(&mut self, name: &str, help: &str, unit: Option<Unit>, metric: impl Metric) {
        match unit {
            Some(unit) => self.0.register_with_unit(name, help, unit, metric),
            None => self.0.register(name, help, metric),
        }
    }
}

fn flag(is_set: bool) -> f64 {
    f64::from(u8::from(is_set))
}

#[allow(clippy::cast_precision_loss, reason = "OpenMetrics gauges are doubles")]
fn whole(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::health::tests::view;

    #[test]
    fn the_older_format_names_a_counter_as_its_samples() {
        let open = "# HELP a_bytes Space.\n# TYPE a_bytes gauge\n# UNIT a_bytes bytes\na_bytes 1\n# HELP b Lost readings.\n\
                    # TYPE b counter\nb_total{cause=\"x\"} 9\n# EOF\n";
        assert_eq!(
            classic(open),
            "# HELP a_bytes Space.\n# TYPE a_bytes gauge\na_bytes 1\n# HELP b_total Lost readings.\n\
             # TYPE b_total counter\nb_total{cause=\"x\"} 9\n"
        );
    }

    #[test]
    fn the_reference_names_every_metric_with_its_meaning_and_no_other() {
        let mut report = Report::of(&view());
        report.certificate_days_left = Some(1.0);
        report.newest_acknowledged_age_seconds = Some(1.0);
        report.bundle =
            Some(serde_json::from_value(serde_json::json!({"sandbox": "", "version": 1, "days_left": 1.0})).unwrap());
        (report.buffer.oldest_age_seconds, report.buffer.autonomy_hours) = (Some(1.0), Some(1.0));
        let page = classic(&page(&report).unwrap());
        let helps = page.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
        let told: BTreeMap<&str, &str> = helps.collect();
        for (file, has_english) in [("metrics.md", true), ("metrics.zh-CN.md", false)] {
            let path = format!("{}/../../docs/plant-it/{file}", env!("CARGO_MANIFEST_DIR"));
            let reference = fs::read_to_string(path).unwrap();
            let rows = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
            let rows: BTreeMap<&str, &str> = rows.collect();
            assert_eq!(rows.keys().collect::<Vec<_>>(), told.keys().collect::<Vec<_>>(), "{file}");
            for (name, help) in told.iter().filter(|_| has_english) {
                let help = help.trim_end_matches('.');
                assert!(rows[name].contains(help), "{file} says of {name}: {:?}, and not {help:?}", rows[name]);
            }
        }
    }
}
