//! What the ledger says about completeness: received, twice, missing, declared, out of order - per dataset.

use std::collections::BTreeMap;

use serde::Serialize;

use lingate_model::UtcMicros;
use lingate_seal::{Kid, wire};

use crate::Store;
use crate::clock::rfc3339;
use crate::database::Row;
use crate::store::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub datasets: Vec<DatasetReport>,
    /// Messages that were not taken, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// The newest last, 100 at most.
    pub alarms: Vec<String>,
    pub alarm_count: u64,
    /// Records that wait for their KEY or catalogue.
    pub held: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DatasetReport {
    pub dataset: String,
    pub gateways: Vec<String>,
    pub epochs: u64,
    pub closed_epochs: u64,
    /// DATA records, each counted once.
    pub records: u64,
    pub bytes: u64,
    pub duplicates: u64,
    pub readings: u64,
    pub bad_readings: u64,
    /// Sequence numbers that did not come and that no gap declares.
    pub holes: u64,
    /// Sequence numbers that did not come and that a gap declares.
    pub declared_records: u64,
    /// Declared as lost for certain, and yet received.
    pub declared_yet_received: u64,
    /// Epochs that another one names as its predecessor and that never came.
    pub missing_epochs: u64,
    /// Gap records, and the readings that they declare lost.
    pub gaps: u64,
    pub gap_readings: BTreeMap<String, u64>,
    /// Records that came after a later one; a group of receivers does not count them, because its broker deals out
    /// one stream to many.
    pub order_violations: u64,
    /// Closed and complete epochs whose Merkle root or count is wrong.
    pub wrong_roots: u64,
    pub alarms: u64,
    /// By the gateway's clock.
    pub first_time: Option<String>,
    pub last_time: Option<String>,
    /// As the newest epoch that tells of them describes them.
    pub devices: Vec<DescribedDevice>,
    pub steps: Vec<StepReport>,
    pub read: u64,
    pub kept: u64,
    pub suppressed: u64,
    /// `read = kept + suppressed`, and as many readings came as were kept.
    pub counts_agree: bool,
}

/// Who a device said that it is, and how it was read; empty: it did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DescribedDevice {
    pub gateway: String,
    pub device: String,
    pub vendor: String,
    pub product: String,
    pub revision: String,
    pub security: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StepReport {
    pub step: u32,
    pub seen: u64,
    pub kept: u64,
}

/// An epoch as far as completeness needs it.
struct EpochRow {
    kid: Kid,
    dataset: String,
    records: i64,
    /// The highest number that must exist.
    last_known: i64,
}

impl Store {
    pub fn report(&self) -> Result<Report> {
        let mut datasets = self.totals()?;
        self.add_gaps(&mut datasets)?;
        self.add_steps_of(&mut datasets)?;
        self.add_devices(&mut datasets)?;
        self.add_alarms(&mut datasets)?;
        for epoch in self.epoch_rows()? {
            let report = datasets.entry(epoch.dataset.clone()).or_default();
            self.add_holes(&epoch, report)?;
        }
        let mut datasets: Vec<_> = datasets.into_values().collect();
        datasets.iter_mut().for_each(DatasetReport::judge_counts);
        Ok(Report {
            datasets,
            rejected: self.rejected()?,
            alarms: self.alarm_texts()?,
            alarm_count: self.count("SELECT count(*) FROM alarms")?,
            held: self.count("SELECT count(*) FROM held")?,
        })
    }

    fn totals(&self) -> Result<BTreeMap<String, DatasetReport>> {
        let rows = self.sql.query(
            "SELECT dataset, count(*), count(close_seq), CAST(sum(records) AS BIGINT), CAST(sum(bytes) AS BIGINT),
                    CAST(sum(duplicates) AS BIGINT), CAST(sum(readings) AS BIGINT),
                    CAST(sum(bad_readings) AS BIGINT), CAST(sum(order_violations) AS BIGINT),
                    count(CASE WHEN root_state = 'wrong' THEN 1 END), min(oldest_us), max(newest_us),
                    (SELECT count(DISTINCT previous_kid) FROM epochs orphan WHERE orphan.dataset = epochs.dataset
                        AND previous_kid IS NOT NULL AND previous_kid NOT IN (SELECT kid FROM epochs)
                        AND EXISTS (SELECT 1 FROM epochs earlier WHERE earlier.dataset = orphan.dataset
                            AND earlier.gateway = orphan.gateway AND earlier.ordinal < orphan.ordinal))
             FROM epochs GROUP BY dataset",
            vec![],
        )?;
        let time = |us: Option<i64>| us.map(|us| rfc3339(UtcMicros(us)));
        let report = |row: &Row| {
            Ok(DatasetReport {
                dataset: row.text(0)?,
                epochs: row.count(1)?,
                closed_epochs: row.count(2)?,
                records: row.count(3)?,
                bytes: row.count(4)?,
                duplicates: row.count(5)?,
                readings: row.count(6)?,
                bad_readings: row.count(7)?,
                order_violations: row.count(8)?,
                wrong_roots: row.count(9)?,
                first_time: time(row.opt_int(10)?),
                last_time: time(row.opt_int(11)?),
                missing_epochs: row.count(12)?,
                ..DatasetReport::default()
            })
        };
        let mut datasets: BTreeMap<String, DatasetReport> =
            rows.iter().map(|row| report(row).map(|report| (report.dataset.clone(), report))).collect::<Result<_>>()?;
        let query = "SELECT DISTINCT dataset, gateway FROM epochs ORDER BY dataset, gateway";
        for row in self.sql.query(query, vec![])? {
            datasets.entry(row.text(0)?).or_default().gateways.push(row.text(1)?);
        }
        Ok(datasets)
    }

    fn add_gaps(&self, datasets: &mut BTreeMap<String, DatasetReport>) -> Result<()> {
        // The same range for the same cause is one loss, however many processes told of it; a loss without a name has no range.
        let rows = self.sql.query(
            "SELECT dataset, cause, CAST(sum(gaps) AS BIGINT), CAST(sum(readings) AS BIGINT) FROM (
                SELECT dataset, cause, count(*) AS gaps, CASE WHEN lost_kid IS NULL OR lost_kid = ?1
                    THEN sum(gaps.readings) ELSE max(gaps.readings) END AS readings
                FROM gaps JOIN epochs USING (kid) GROUP BY dataset, cause, lost_kid, first_seq, last_seq) AS ranges
             GROUP BY dataset, cause",
            vec![Kid([0; 8]).into()],
        )?;
        for row in rows {
            let report = datasets.entry(row.text(0)?).or_default();
            report.gaps += row.count(2)?;
            let cause = i32::try_from(row.int(1)?).map_err(|_| StoreError::Column(1))?;
            *report.gap_readings.entry(cause_name(cause)).or_default() += row.count(3)?;
        }
        Ok(())
    }

    fn add_steps_of(&self, datasets: &mut BTreeMap<String, DatasetReport>) -> Result<()> {
        let rows = self.sql.query(
            "SELECT dataset, step, CAST(sum(seen) AS BIGINT), CAST(sum(kept) AS BIGINT)
             FROM steps JOIN epochs USING (kid) GROUP BY dataset, step ORDER BY dataset, step",
            vec![],
        )?;
        for row in rows {
            let step = u32::try_from(row.int(1)?).map_err(|_| StoreError::Column(1))?;
            let step = StepReport { step, seen: row.count(2)?, kept: row.count(3)? };
            datasets.entry(row.text(0)?).or_default().steps.push(step);
        }
        Ok(())
    }

    fn add_devices(&self, datasets: &mut BTreeMap<String, DatasetReport>) -> Result<()> {
        let rows = self.sql.query(
            "SELECT e.dataset, e.gateway, d.name, d.vendor, d.product, d.revision, d.security
             FROM devices d JOIN epochs e USING (kid)
             WHERE e.ordinal = (SELECT max(newer.ordinal) FROM devices same JOIN epochs newer USING (kid)
                WHERE same.name = d.name AND newer.dataset = e.dataset AND newer.gateway = e.gateway)
             ORDER BY 1, 2, 3",
            vec![],
        )?;
        for row in rows {
            let device = DescribedDevice {
                gateway: row.text(1)?,
                device: row.text(2)?,
                vendor: row.text(3)?,
                product: row.text(4)?,
                revision: row.text(5)?,
                security: row.text(6)?,
            };
            datasets.entry(row.text(0)?).or_default().devices.push(device);
        }
        Ok(())
    }

    fn add_alarms(&self, datasets: &mut BTreeMap<String, DatasetReport>) -> Result<()> {
        let query = "SELECT dataset, count(*) FROM alarms JOIN epochs USING (kid) GROUP BY dataset";
        for row in self.sql.query(query, vec![])? {
            datasets.entry(row.text(0)?).or_default().alarms = row.count(1)?;
        }
        Ok(())
    }

    /// The end of an epoch is known from its records, from its close, from its successor and from gaps.
    fn epoch_rows(&self) -> Result<Vec<EpochRow>> {
        let rows = self.sql.query(
            "SELECT kid, dataset, records,
                greatest(coalesce(max_seq, -1), coalesce(close_seq, -1),
                    coalesce((SELECT max(previous_last_seq) FROM epochs next WHERE next.previous_kid = epochs.kid), -1),
                    coalesce((SELECT max(last_seq) FROM gaps WHERE gaps.lost_kid = epochs.kid), -1))
             FROM epochs ORDER BY ordinal",
            vec![],
        )?;
        let row = |row: &Row| {
            Ok(EpochRow { kid: row.kid(0)?, dataset: row.text(1)?, records: row.int(2)?, last_known: row.int(3)? })
        };
        rows.iter().map(row).collect()
    }

    fn add_holes(&self, epoch: &EpochRow, report: &mut DatasetReport) -> Result<()> {
        let declared = self.declared(epoch.kid)?;
        if !declared.iter().any(|range| range.is_certain) && epoch.records == epoch.last_known + 1 {
            return Ok(());
        }
        let received = self.numbers(epoch.kid, 0)?;
        let mut missing = Vec::new();
        let mut expected = 0;
        for seq in received.iter().copied().chain([epoch.last_known + 1]) {
            missing.push((expected, seq));
            expected = seq + 1;
        }
        for (first, end) in missing.into_iter().filter(|(first, end)| first < end) {
            let covered = covered(&declared, first, end);
            report.declared_records += covered;
            report.holes += (end - first).unsigned_abs() - covered;
        }
        let is_certain = |seq: &&i64| declared.iter().any(|range| range.is_certain && range.contains(**seq));
        report.declared_yet_received += received.iter().filter(is_certain).count() as u64;
        Ok(())
    }

    /// Gaps about this epoch's records, ascending.
    pub(crate) fn declared(&self, kid: Kid) -> Result<Vec<Declared>> {
        let query = "SELECT first_seq, last_seq, maybe_delivered FROM gaps WHERE lost_kid = ?1 ORDER BY first_seq";
        let rows = self.sql.query(query, vec![kid.into()])?;
        let range = |row: &Row| Ok(Declared { first: row.int(0)?, last: row.int(1)?, is_certain: row.int(2)? == 0 });
        rows.iter().map(range).collect()
    }

    fn rejected(&self) -> Result<BTreeMap<String, u64>> {
        let rows = self.sql.query("SELECT reason, count FROM rejected", vec![])?;
        rows.iter().map(|row| Ok((row.text(0)?, row.count(1)?))).collect()
    }

    fn alarm_texts(&self) -> Result<Vec<String>> {
        let query = "SELECT at_us, topic, text FROM alarms ORDER BY id DESC LIMIT 100";
        let rows = self.sql.query(query, vec![])?;
        let text = |row: &Row| Ok(format!("{} {}: {}", rfc3339(UtcMicros(row.int(0)?)), row.text(1)?, row.text(2)?));
        rows.iter().rev().map(text).collect()
    }

    fn count(&self, query: &str) -> Result<u64> {
        self.sql.first(query, vec![])?.map_or(Ok(0), |row| row.count(0))
    }
}

/// Numbers that a gap record says will not come.
pub(crate) struct Declared {
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// False: they may have been delivered.
    pub(crate) is_certain: bool,
}

impl Declared {
    fn contains(&self, seq: i64) -> bool {
        (self.first..=self.last).contains(&seq)
    }
}

/// How many numbers of `first..end` the ranges cover, each counted once. `declared` ascends by first.
fn covered(declared: &[Declared], first: i64, end: i64) -> u64 {
    let (mut at, mut sum) = (first, 0);
    for range in declared {
        let (from, to) = (range.first.max(at), range.last.saturating_add(1).min(end));
        if from < to {
            sum += (to - from).unsigned_abs();
            at = to;
        }
    }
    sum
}

impl DatasetReport {
    /// The first step sees everything that was read.
    fn judge_counts(&mut self) {
        self.read = self.steps.iter().find(|step| step.step == 1).map_or(0, |step| step.seen);
        self.suppressed = self.steps.iter().map(|step| step.seen.saturating_sub(step.kept)).sum();
        self.kept = self.read.saturating_sub(self.suppressed);
        let none_grows = self.steps.iter().all(|step| step.kept <= step.seen);
        self.counts_agree = none_grows && self.suppressed <= self.read && self.kept == self.readings;
    }
}

fn cause_name(cause: i32) -> String {
    let name = wire::GapCause::try_from(cause).unwrap_or_default().as_str_name();
    name.trim_start_matches("GAP_CAUSE_").to_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_gaps_cover_a_number_once() {
        let range = |first, last| Declared { first, last, is_certain: true };
        let declared = [range(0, 4), range(2, 6), range(5, 5), range(9, 12)];
        assert_eq!(covered(&declared, 0, 20), 7 + 4);
        assert_eq!(covered(&declared, 3, 10), 4 + 1);
        assert_eq!(covered(&declared, 7, 9), 0);
    }
}
