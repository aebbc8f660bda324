use std::collections::BTreeMap;
use std::time::Duration;

use crate::report::Report;

/// What is known at one moment: the newest status, the one before it for the rates, and where the eye is.
pub(super) struct Sight {
    pub(super) report: Option<Report>,
    pub(super) rates: Option<Rates>,
    /// Why the newest question had no answer.
    pub(super) silence: Option<String>,
    pub(super) table: Table,
    pub(super) chosen: usize,
    heard_at: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Devices,
    Datasets,
    Causes,
}

/// Readings per second between the last two answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) read: f64,
    pub(super) kept: f64,
    pub(super) durable: f64,
    pub(super) acknowledged: f64,
    pub(super) devices: BTreeMap<String, f64>,
}

impl Table {
    const ALL: [Table; 3] = [Table::Devices, Table::Datasets, Table::Causes];

    pub(super) fn next(self) -> Table {
        Table::ALL[(self as usize + 1) % 3]
    }

    pub(super) fn previous(self) -> Table {
        Table::ALL[(self as usize + 2) % 3]
    }
}

impl Sight {
    pub(super) fn new() -> Sight {
        let (report, rates, silence) = (None, None, None);
        Sight { report, rates, silence, table: Table::Devices, chosen: 0, heard_at: Duration::ZERO }
    }

    /// At this monotonic time.
    pub(super) fn hear(&mut self, now: Duration, answer: Result<Report, String>) {
        match answer {
            Err(why) => {
                self.silence = Some(why);
                self.rates = None;
            }
            Ok(report) => {
                let passed = now.saturating_sub(self.heard_at).as_secs_f64();
                let before = self.report.as_ref().filter(|before| before.uptime_seconds <= report.uptime_seconds);
                self.rates = before.filter(|_| passed > 0.0).map(|before| Rates::between(before, &report, passed));
                self.silence = None;
                self.heard_at = now;
                self.report = Some(report);
                self.move_by(0);
            }
        }
    }

    pub(super) fn show(&mut self, table: Table) {
        self.table = table;
        self.chosen = 0;
    }

    pub(super) fn move_by(&mut self, rows: isize) {
        self.chosen = self.chosen.saturating_add_signed(rows).min(self.rows().saturating_sub(1));
    }

    fn rows(&self) -> usize {
        let Some(report) = &self.report else { return 0 };
        match self.table {
            Table::Devices => report.devices.len(),
            Table::Datasets => report.datasets.len(),
            Table::Causes => report.lost.len() + report.reasons.len(),
        }
    }
}

impl Rates {
    #[allow(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
    fn between(before: &Report, after: &Report, seconds: f64) -> Rates {
        let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
        let sum = |report: &Report, of: fn(&crate::report::DatasetReport) -> u64| {
            report.datasets.iter().map(of).fold(0, u64::saturating_add)
        };
        let of = |field: fn(&crate::report::DatasetReport) -> u64| rate(sum(before, field), sum(after, field));
        let was: BTreeMap<&str, u64> =
            before.devices.iter().map(|device| (device.name.as_str(), device.readings)).collect();
        let device = |device: &crate::report::DeviceReport| {
            let name = device.name.clone();
            was.get(name.as_str()).map(|readings| (name, rate(*readings, device.readings)))
        };
        let devices: BTreeMap<String, f64> = after.devices.iter().filter_map(device).collect();
        Rates {
            read: devices.values().sum(),
            kept: of(|dataset| dataset.kept),
            durable: of(|dataset| dataset.accepted_readings),
            acknowledged: of(|dataset| dataset.acknowledged_readings),
            devices,
        }
    }
}
