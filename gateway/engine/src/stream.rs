//! One dataset's stream: its epoch, what it still has to declare, and its counters.

use std::sync::Arc;
use std::time::Duration;

use lingate_buffer::{AppendError, Loss, LossCause};
use lingate_model::{DatasetAlias, GatewayId, Missed, MissedCause, Now, UtcMicros};
use lingate_refine::{Batch, DatasetIndex, DatasetPlan, ExportPlan, PointPlan, Refinery};
use lingate_seal::{
    Entropy, Epoch, EpochTerms, GapCause, GapRecord, Grant, PreviousEpoch, RecordKind, SealError, Sealed, SigningKey,
};

use crate::gaps::PendingGaps;
use crate::status::DatasetStatus;

/// Pause before gaps are declared again after the buffer refused a record.
const RETRY: Duration = Duration::from_secs(1);

/// What every stream seals with.
pub(crate) struct Sealing {
    pub(crate) gateway: GatewayId,
    pub(crate) software: String,
    pub(crate) signer: SigningKey,
    pub(crate) entropy: Box<dyn Entropy>,
}

/// Readings that will not arrive: counted by cause at once, declared by a gap record when there is an epoch for it.
pub(crate) struct Lost {
    pub(crate) cause: &'static str,
    pub(crate) readings: u64,
    pub(crate) notice: Option<String>,
}

pub(crate) struct Stream {
    pub(crate) dataset: DatasetIndex,
    name: String,
    /// By alias.
    points: Vec<Arc<PointPlan>>,
    grant: Result<Grant, String>,
    alias: Option<DatasetAlias>,
    epoch: Option<Epoch>,
    previous: Option<PreviousEpoch>,
    gaps: PendingGaps,
    /// Sealed and handed to the buffer, which may still refuse them: (sequence number, gap).
    declared: Vec<(u64, GapRecord)>,
    gaps_declared: u64,
    /// After a refusal nothing is declared before this monotonic time.
    retry_at: Duration,
    accepted: Count,
    acknowledged: Count,
    newest_acknowledged: Option<UtcMicros>,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) records: u64,
    pub(crate) readings: u64,
}

impl Stream {
    pub(crate) fn new(plan: &DatasetPlan, export: &ExportPlan) -> Stream {
        let index = export.datasets.iter().position(|dataset| dataset.id == plan.id).expect("the plan holds it");
        let dataset = DatasetIndex(u16::try_from(index).expect("config bounds the datasets"));
        let is_member = |point: &&Arc<PointPlan>| point.export.as_ref().is_some_and(|e| e.dataset == dataset);
        let mut points: Vec<Arc<PointPlan>> = export.points.iter().filter(is_member).cloned().collect();
        points.sort_by_key(|point| point.export.as_ref().map(|export| export.alias));
        Stream {
            dataset,
            name: plan.id.to_string(),
            points,
            grant: Err(String::new()),
            alias: None,
            epoch: None,
            previous: None,
            gaps: PendingGaps::default(),
            declared: Vec::new(),
            gaps_declared: 0,
            retry_at: Duration::ZERO,
            accepted: Count::default(),
            acknowledged: Count::default(),
            newest_acknowledged: None,
        }
    }

    pub(crate) fn requires_new_terms(&self, grant: &Result<Grant, String>) -> bool {
        self.grant != *grant
    }

    /// True if it allows less than the one before.
    pub(crate) fn set_grant(&mut self, grant: Result<Grant, String>) -> bool {
        let ceiling = |grant: &Result<Grant, String>| grant.as_ref().ok().map(|grant| grant.ceiling);
        let is_narrower = ceiling(&grant) < ceiling(&self.grant);
        if let Ok(grant) = &grant {
            self.alias = Some(grant.alias.clone());
        }
        self.grant = grant;
        is_narrower
    }

    pub(crate) fn denied(&self) -> Option<&String> {
        self.grant.as_ref().err()
    }

    pub(crate) fn alias(&self) -> Option<&DatasetAlias> {
        self.alias.as_ref()
    }

    pub(crate) fn grant_ended(&self, now: Now) -> bool {
        self.grant.as_ref().is_ok_and(|grant| now.utc >= grant.not_after)
    }

    pub(crate) fn is_spent(&self, now: Now) -> bool {
        self.epoch.as_ref().is_some_and(|epoch| epoch.is_spent(now))
    }

    pub(crate) fn ends_at(&self) -> Option<Duration> {
        self.epoch.as_ref().map(Epoch::ends_at)
    }

    /// KEY, catalogue and lineage of a new epoch, then the gaps that wait to be declared; empty if one is open.
    pub(crate) fn open_if_needed(
        &mut self,
        now: Now,
        plan: &DatasetPlan,
        sealing: &mut Sealing,
    ) -> Result<Vec<Sealed>, Lost> {
        let Ok(grant) = &self.grant else { return Ok(Vec::new()) };
        let mut records = Vec::new();
        if self.epoch.is_none() {
            let terms = EpochTerms {
                gateway: sealing.gateway.clone(),
                software: sealing.software.clone(),
                dataset: plan.clone(),
                points: self.points.clone(),
                grant: grant.clone(),
            };
            let opened = Epoch::open(terms, self.previous, now, &sealing.signer, &mut *sealing.entropy);
            let (epoch, opening) = opened.map_err(|error| self.cannot_seal(&error, 0))?;
            self.epoch = Some(epoch);
            records = opening;
        }
        let declared = self.declare(&sealing.signer)?;
        records.extend(declared);
        Ok(records)
    }

    /// The batch, sealed. Without a grant or after a failure of the sealing its readings are lost, and counted.
    pub(crate) fn seal(&mut self, batch: &Batch, signer: &SigningKey) -> Result<Vec<Sealed>, Lost> {
        let Some(epoch) = &mut self.epoch else { return self.seal_without_epoch(batch) };
        match epoch.seal_batch(batch, signer) {
            Ok(sealed) => Ok(vec![sealed]),
            Err(error) => {
                let readings = batch.readings().len() as u64;
                self.gaps.add(gap_over(batch, GapCause::DecodeFailure));
                Err(self.cannot_seal(&error, readings))
            }
        }
    }

    fn seal_without_epoch(&mut self, batch: &Batch) -> Result<Vec<Sealed>, Lost> {
        if batch.readings().is_empty() {
            return Ok(Vec::new());
        }
        Err(self.withheld(batch))
    }

    /// The readings may not leave under the rights that hold now.
    pub(crate) fn withheld(&mut self, batch: &Batch) -> Lost {
        let readings = batch.readings().len() as u64;
        if readings > 0 {
            self.gaps.add(gap_over(batch, GapCause::PolicyExpired));
        }
        Lost { cause: "policy", readings, notice: None }
    }

    /// The last record of the epoch, if one is open.
    pub(crate) fn close(&mut self, signer: &SigningKey) -> Result<Vec<Sealed>, Lost> {
        let declared = self.declare(signer)?;
        let Some(epoch) = self.epoch.take() else { return Ok(Vec::new()) };
        let (sealed, previous) = epoch.close(signer);
        self.previous = Some(previous);
        Ok(declared.into_iter().chain([sealed]).collect())
    }

    /// Something waits to be declared, and it may be tried.
    pub(crate) fn has_gaps_due(&self, monotonic: Duration) -> bool {
        !self.gaps.is_empty() && self.grant.is_ok() && self.retry_at <= monotonic
    }

    fn declare(&mut self, signer: &SigningKey) -> Result<Vec<Sealed>, Lost> {
        let Some(epoch) = &mut self.epoch else { return Ok(Vec::new()) };
        self.declared.clear();
        let mut records = Vec::new();
        while let Some(gap) = self.gaps.next() {
            match epoch.seal_gap(&gap, signer) {
                Ok(sealed) => {
                    self.declared.push((sealed.seq(), gap));
                    records.push(sealed);
                }
                Err(error) => {
                    self.gaps.add(gap);
                    return Err(self.cannot_seal(&error, 0));
                }
            }
        }
        self.gaps_declared += records.len() as u64;
        Ok(records)
    }

    fn cannot_seal(&self, error: &SealError, readings: u64) -> Lost {
        let notice = Some(format!("dataset {}: sealing failed: {error}", self.name));
        Lost { cause: "seal", readings, notice }
    }

    pub(crate) fn missed(&mut self, missed: &Missed, readings: u64) -> Lost {
        let (cause, name) = match missed.cause {
            MissedCause::DeviceDown => (GapCause::DeviceDown, "device_down"),
            MissedCause::Overload => (GapCause::Overload, "overload"),
        };
        let device = missed.device.to_string();
        self.gaps.add(GapRecord::Slots { device, from: missed.from, to: missed.to, readings, cause });
        Lost { cause: name, readings, notice: None }
    }

    /// Nothing was accepted between the last commit and this start, so every slot of that time is declared.
    pub(crate) fn stopped_uncleanly(&mut self, from: UtcMicros, to: UtcMicros) -> Lost {
        let span = u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0);
        let slots =
            |point: &Arc<PointPlan>| span / u64::try_from(point.interval.as_micros()).unwrap_or(u64::MAX).max(1);
        let readings = self.points.iter().map(slots).fold(0, u64::saturating_add);
        let cause = GapCause::UncleanStop;
        self.gaps.add(GapRecord::Slots { device: "*".to_owned(), from, to, readings, cause });
        let notice = Some(format!(
            "dataset {}: the last run did not end cleanly; up to {readings} readings were not yet accepted and are \
             declared as a gap",
            self.name
        ));
        Lost { cause: "unclean_stop", readings, notice }
    }

    pub(crate) fn lost_on_disk(&mut self, loss: &Loss) -> Lost {
        let (cause, name) = match loss.cause {
            LossCause::Overflow => (GapCause::Overflow, "overflow"),
            LossCause::Corruption => (GapCause::Corruption, "corruption"),
        };
        self.gaps.add(GapRecord::Records {
            kid: loss.kid,
            first_seq: loss.first_seq,
            last_seq: loss.last_seq,
            readings: loss.readings,
            cause,
            maybe_delivered: loss.maybe_delivered,
        });
        let notice = Some(format!("dataset {}: {} records lost on disk: {name}", self.name, loss.records));
        Lost { cause: name, readings: loss.readings, notice }
    }

    /// The record has a sequence number that will not come. What a refused gap record declared waits again.
    pub(crate) fn refused_by_buffer(&mut self, monotonic: Duration, sealed: &Sealed, error: &AppendError) -> Lost {
        self.retry_at = monotonic + RETRY;
        let readings = u64::from(sealed.readings());
        if sealed.kind() == RecordKind::Key {
            // Without its KEY nobody can open the epoch: the next record opens another.
            self.epoch = None;
        } else {
            let (kid, seq) = (sealed.kid(), sealed.seq());
            let (cause, maybe_delivered) = (GapCause::Overflow, false);
            self.gaps.add(GapRecord::Records { kid, first_seq: seq, last_seq: seq, readings, cause, maybe_delivered });
        }
        if let Some(at) = self.declared.iter().position(|(seq, _)| *seq == sealed.seq()) {
            self.gaps.add(self.declared.swap_remove(at).1);
            self.gaps_declared -= 1;
        }
        let notice = Some(format!("dataset {}: a record was not kept: {error}", self.name));
        Lost { cause: "buffer_refused", readings, notice }
    }

    pub(crate) fn accepted(&mut self, count: Count) {
        self.accepted.records += count.records;
        self.accepted.readings += count.readings;
    }

    pub(crate) fn acknowledged(&mut self, sealed: &Sealed, newest: Option<UtcMicros>) {
        self.acknowledged.records += 1;
        self.acknowledged.readings += u64::from(sealed.readings());
        self.newest_acknowledged = self.newest_acknowledged.max(newest);
    }

    pub(crate) fn status(&self, plan: &DatasetPlan, refinery: &Refinery) -> DatasetStatus {
        let totals = refinery.totals(self.dataset);
        DatasetStatus {
            id: self.name.clone(),
            purpose: plan.purpose.to_string(),
            denied: self.denied().cloned(),
            recipients: self.grant.as_ref().map_or(0, |grant| grant.recipients.len()),
            read: totals.read,
            kept: totals.kept,
            suppressed: totals.suppressed.iter().map(|(step, count)| (*step as u8, *count)).collect(),
            accepted_readings: self.accepted.readings,
            accepted_records: self.accepted.records,
            acknowledged_readings: self.acknowledged.readings,
            acknowledged_records: self.acknowledged.records,
            newest_acknowledged: self.newest_acknowledged,
            gaps: self.gaps_declared,
        }
    }
}

fn gap_over(batch: &Batch, cause: GapCause) -> GapRecord {
    let times = batch.readings().iter().map(lingate_refine::Minimized::time);
    let (from, to) = (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default());
    let readings = batch.readings().len() as u64;
    GapRecord::Slots { device: "*".to_owned(), from, to, readings, cause }
}

impl Lost {
    /// The plan has no stream left that could carry the gap record; the counter and this sentence are all there is.
    pub(crate) fn undeclared(loss: &Loss) -> Lost {
        let notice = Some(format!("{} records of a dataset that is not configured any more are lost", loss.records));
        Lost { cause: "undeclared", readings: loss.readings, notice }
    }
}
