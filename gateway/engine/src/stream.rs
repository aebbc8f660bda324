//! One dataset's stream: its epoch, what it still has to declare, and its counters.

mod declaring;
mod replan;
mod status;
mod withheld;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use lingate_buffer::{AppendError, Loss, LossCause};
use lingate_model::defect::{Defect, strikes};
use lingate_model::{DatasetAlias, Missed, Now, UtcMicros};
use lingate_refine::{Batch, DatasetIndex, DatasetPlan, ExportPlan, PointPlan};
use lingate_seal::{
    DescribedDevice, Epoch, EpochTerms, GapCause, GapRecord, Grant, Kid, PreviousEpoch, RecordKind, SealError, Sealed,
    SigningKey,
};

use crate::declared::Declared;
use crate::description::Description;
use crate::devices::Devices;
use crate::gaps::{self, PendingGaps};
use crate::lost::Lost;
use crate::receipts::Sent;
use crate::sealing::Sealing;
use crate::slots::HeldSlots;

pub(crate) use withheld::Denied;

/// Above every sequence number (wire.md section 2).
const SEQ_LAST: u64 = (1 << 20) - 1;
/// Not more often than this does a live-first stream begin an epoch because the link came up.
const LIVE_EVERY: Duration = Duration::from_secs(60);
pub(crate) struct Stream {
    pub(crate) dataset: DatasetIndex,
    name: String,
    /// By alias.
    points: Vec<Arc<PointPlan>>,
    description: Description,
    grant: Result<Grant, Denied>,
    alias: Option<DatasetAlias>,
    epoch: Option<Epoch>,
    /// The epoch whose KEY or catalogue the buffer refused last: none of its records is kept.
    keyless: Option<Kid>,
    /// The buffer has no room for another epoch: none is opened.
    is_shut_out: bool,
    /// Numbers of an epoch that the buffer refused last and that no kept record declares.
    hole: Option<(Kid, RangeInclusive<u64>)>,
    previous: Option<PreviousEpoch>,
    gaps: PendingGaps,
    /// What the buffer told as lost: it stands on disk until it is declared, and waits while the buffer is full.
    told: PendingGaps,
    /// These are looked at again then.
    told_at: Duration,
    slots: HeldSlots,
    declared: Declared,
    gaps_declared: u64,
    /// After a refusal nothing is declared before this monotonic time.
    retry_at: Duration,
    /// What was said of it, until a record is accepted again.
    refusal: Option<String>,
    /// The link came up with a backlog: an epoch began for it at this monotonic time.
    live_since: Option<Duration>,
    /// Why sealing failed last, until a record is accepted again.
    fault: Option<String>,
    accepted: Count,
    acknowledged: Count,
    newest_acknowledged: Option<UtcMicros>,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) records: u64,
    pub(crate) readings: u64,
}

/// What the buffer has room for.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Another epoch.
    pub(crate) opens: bool,
    /// So many gap records over what it lost.
    pub(crate) gaps: usize,
}

impl Stream {
    pub(crate) fn new(plan: &DatasetPlan, export: &ExportPlan, devices: &Devices) -> Stream {
        let index = export.datasets.iter().position(|dataset| dataset.id == plan.id).expect("the plan holds it");
        let dataset = DatasetIndex(u16::try_from(index).expect("config bounds the datasets"));
        let is_member = |point: &&Arc<PointPlan>| point.export.as_ref().is_some_and(|e| e.dataset == dataset);
        let mut points: Vec<Arc<PointPlan>> = export.points.iter().filter(is_member).cloned().collect();
        points.sort_by_key(|point| point.export.as_ref().map(|export| export.alias));
        let description = Description::new(devices.of_points(points.iter().map(|point| &**point)));
        Stream {
            dataset,
            name: plan.id.to_string(),
            points,
            description,
            grant: Err(Denied::default()),
            alias: None,
            epoch: None,
            keyless: None,
            is_shut_out: false,
            hole: None,
            previous: None,
            gaps: PendingGaps::default(),
            told: PendingGaps::default(),
            slots: HeldSlots::new(plan.flush.age),
            declared: Declared::default(),
            gaps_declared: 0,
            told_at: Duration::ZERO,
            retry_at: Duration::ZERO,
            refusal: None,
            live_since: None,
            fault: None,
            accepted: Count::default(),
            acknowledged: Count::default(),
            newest_acknowledged: None,
        }
    }

    pub(crate) fn requires_new_terms(&self, grant: &Result<Grant, Denied>) -> bool {
        self.grant != *grant
    }

    /// True if it allows less than the one before.
    pub(crate) fn set_grant(&mut self, grant: Result<Grant, Denied>) -> bool {
        let ceiling = |grant: &Result<Grant, Denied>| grant.as_ref().ok().map(|grant| grant.ceiling);
        let is_narrower = ceiling(&grant) < ceiling(&self.grant);
        if let Ok(grant) = &grant {
            self.alias = Some(grant.alias.clone());
        }
        self.grant = grant;
        is_narrower
    }

    pub(crate) fn denied(&self) -> Option<&String> {
        self.grant.as_ref().err().map(|denied| &denied.why)
    }

    pub(crate) fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref().ok()
    }

    pub(crate) fn alias(&self) -> Option<&DatasetAlias> {
        self.alias.as_ref()
    }

    pub(crate) fn grant_ended(&self, now: Now) -> bool {
        self.grant.as_ref().is_ok_and(|grant| now.utc >= grant.not_after)
    }

    pub(crate) fn has_epoch(&self) -> bool {
        self.epoch.is_some()
    }

    pub(crate) fn is_spent(&self, now: Now) -> bool {
        let is_old = self.description.due_at().is_some_and(|at| at <= now.monotonic);
        self.epoch.as_ref().is_some_and(|epoch| is_old || epoch.is_spent(now))
    }

    pub(crate) fn ends_at(&self) -> Option<Duration> {
        let ends_at = self.epoch.as_ref().map(Epoch::ends_at)?;
        Some(self.description.due_at().map_or(ends_at, |at| at.min(ends_at)))
    }

    /// Its catalogue tells it: at the latest a few minutes later, with an epoch of its own.
    pub(crate) fn describe(&mut self, monotonic: Duration, device: &DescribedDevice) {
        self.description.change(monotonic, device);
    }

    /// KEY, catalogue and lineage of a new epoch, then the gaps that wait to be declared; empty if one is open.
    pub(crate) fn open_if_needed(
        &mut self,
        now: Now,
        plan: &DatasetPlan,
        sealing: &mut Sealing,
        room: Room,
    ) -> Result<Vec<Sealed>, Lost> {
        let Ok(grant) = &self.grant else { return Ok(Vec::new()) };
        let mut records = Vec::new();
        self.is_shut_out = self.epoch.is_none() && !room.opens;
        if self.is_shut_out {
            self.pause(now.monotonic);
            return Ok(records);
        }
        if self.epoch.is_none() {
            let terms = EpochTerms {
                gateway: sealing.gateway.clone(),
                software: sealing.software.clone(),
                dataset: plan.clone(),
                points: self.points.clone(),
                devices: self.description.tell(now.monotonic),
                grant: grant.clone(),
            };
            let alias = grant.alias.clone();
            let previous = self.previous.or_else(|| sealing.heads.unclaimed(&alias));
            let opened = Epoch::open(terms, previous, now, &sealing.signer, &mut *sealing.entropy);
            let (epoch, opening) = opened.map_err(|error| self.cannot_seal(&error, 0))?;
            sealing.heads.claimed(&alias);
            self.epoch = Some(epoch);
            self.keyless = None;
            records = opening;
        }
        self.slots.release_due(now.monotonic, &mut self.gaps);
        let declared = self.declare(&sealing.signer, room.gaps)?;
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
                self.gaps.add(gaps::over(batch, GapCause::SealFailure));
                Err(self.cannot_seal(&error, readings))
            }
        }
    }

    fn seal_without_epoch(&mut self, batch: &Batch) -> Result<Vec<Sealed>, Lost> {
        if batch.readings().is_empty() {
            return Ok(Vec::new());
        }
        if self.grant.is_err() {
            return Err(self.withheld(batch));
        }
        let (cause, name) = match self.keyless.is_some() || self.is_shut_out {
            true => (GapCause::Overflow, "buffer_refused"),
            false => (GapCause::SealFailure, "seal"),
        };
        self.gaps.add_near(gaps::over(batch, cause));
        let notice = self.is_shut_out.then(|| self.not_kept(&AppendError::Full)).flatten();
        Err(Lost { cause: name, readings: batch.readings().len() as u64, notice })
    }

    /// The last record of the epoch, if one is open.
    pub(crate) fn close(&mut self, signer: &SigningKey, most: usize) -> Result<Vec<Sealed>, Lost> {
        self.slots.release(&mut self.gaps);
        // What cannot be declared here waits for the next epoch; this one ends in any case.
        let declared = self.declare(signer, most).unwrap_or_default();
        let Some(epoch) = self.epoch.take() else { return Ok(Vec::new()) };
        let (sealed, previous) = epoch.close(signer);
        self.previous = Some(previous);
        match sealed {
            Err(error) if declared.is_empty() => Err(self.cannot_seal(&error, 0)),
            sealed => Ok(declared.into_iter().chain(sealed.ok()).collect()),
        }
    }

    /// A link that comes and goes does not cost an epoch each time.
    pub(crate) fn may_begin_live(&mut self, monotonic: Duration) -> bool {
        let may = self.live_since.is_none_or(|since| monotonic >= since.saturating_add(LIVE_EVERY));
        if may {
            self.live_since = Some(monotonic);
        }
        may
    }

    fn cannot_seal(&mut self, error: &SealError, readings: u64) -> Lost {
        let text = format!("dataset {}: sealing failed: {error}", self.name);
        let is_news = self.fault.replace(text.clone()).as_ref() != Some(&text);
        Lost { cause: "seal", readings, notice: is_news.then_some(text) }
    }

    pub(crate) fn missed(&mut self, now: Now, missed: &Missed, readings: u64) -> Lost {
        let (cause, name) = gaps::cause_of(missed.cause);
        let device = missed.device.to_string();
        let gap = GapRecord::Slots { device, from: missed.from, to: missed.to, readings, cause };
        self.slots.add(now, missed.from, gap);
        Lost { cause: name, readings, notice: None }
    }

    /// Nothing was accepted between the last commit and this start, nor what waited in a batch at that commit: every
    /// slot since the batch could have begun is declared. A clock that went back leaves at least the batch's own age.
    pub(crate) fn stopped_uncleanly(&mut self, plan: &DatasetPlan, last_commit: UtcMicros, to: UtcMicros) -> Lost {
        let age = i64::try_from(plan.flush.age.as_micros()).unwrap_or(i64::MAX);
        let from = UtcMicros(last_commit.0.min(to.0).saturating_sub(age));
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
            LossCause::Purge => (GapCause::Purge, "purge"),
            LossCause::Quarantine => (GapCause::Quarantine, "quarantine"),
        };
        let loses_epoch = loss.loses_epoch;
        if loses_epoch && self.epoch.as_ref().is_some_and(|epoch| epoch.kid() == loss.kid) {
            // Its KEY may have arrived: none that comes names the same predecessor.
            (self.epoch, self.previous) = (None, None);
        }
        let last_seq = if loses_epoch { SEQ_LAST } else { loss.last_seq };
        self.told.add_as_told(GapRecord::Records {
            kid: loss.kid,
            first_seq: loss.first_seq,
            last_seq,
            readings: loss.readings,
            cause,
            maybe_delivered: loss.maybe_delivered,
        });
        self.gaps_declared += self.declared.remember(loss);
        // What is left of an epoch without KEY is told later, record by record.
        self.declare_again(loss.kid, loss.first_seq, loss.last_seq, true);
        let noun = if loss.records == 1 { "record" } else { "records" };
        let notice = format!("dataset {}: {} {noun} lost on disk: {name}", self.name, loss.records);
        // Numbers that may be among records which are counted without a name.
        let notice = Some(notice).filter(|_| loss.records > 0);
        Lost { cause: name, readings: loss.readings, notice }
    }

    /// Nobody could understand an epoch whose KEY or catalogue was refused. Behind a refused record only the gap record
    /// over it is kept: a process that ends before would leave a hole that nobody declares.
    pub(crate) fn may_be_kept(&self, sealed: &Sealed) -> bool {
        let declares = |seqs| self.declared.said_by(sealed).is_some_and(|gap| gaps::covers(gap, sealed.kid(), seqs));
        let fits = self.hole.as_ref().is_none_or(|(kid, seqs)| *kid != sealed.kid() || declares(seqs));
        self.keyless != Some(sealed.kid()) && fits
    }

    pub(crate) fn kept(&mut self, sealed: &Sealed) {
        self.hole.take_if(|(kid, _)| *kid == sealed.kid());
    }

    /// The record has a sequence number that will not come. What a refused gap record declared waits again. Without an
    /// error it was not even tried.
    pub(crate) fn refused_by_buffer(
        &mut self,
        monotonic: Duration,
        sealed: &Sealed,
        error: Option<&AppendError>,
    ) -> Lost {
        self.pause(monotonic);
        let readings = u64::from(sealed.readings());
        if matches!(sealed.kind(), RecordKind::Key | RecordKind::Catalogue) {
            // The next record opens another, and its KEY does not name the same predecessor.
            (self.epoch, self.previous) = (None, None);
            self.keyless = Some(sealed.kid());
        } else if self.keyless != Some(sealed.kid()) {
            self.widen_hole(sealed, readings);
        }
        if sealed.kind() == RecordKind::Gap {
            self.declare_again(sealed.kid(), sealed.seq(), sealed.seq(), false);
        }
        let notice = error.and_then(|error| self.not_kept(error));
        Lost { cause: "buffer_refused", readings, notice }
    }

    /// If it is news.
    fn not_kept(&mut self, error: &AppendError) -> Option<String> {
        let text = format!("dataset {}: a record was not kept: {error}", self.name);
        let is_news = self.refusal.replace(text.clone()).as_ref() != Some(&text);
        is_news.then_some(text)
    }

    fn widen_hole(&mut self, sealed: &Sealed, readings: u64) {
        let (kid, seq) = (sealed.kid(), sealed.seq());
        let (cause, maybe_delivered) = (GapCause::Overflow, false);
        self.gaps.add(GapRecord::Records { kid, first_seq: seq, last_seq: seq, readings, cause, maybe_delivered });
        let known = self.hole.as_ref().filter(|(of, _)| *of == kid);
        let first = known.map_or(seq, |(_, seqs)| *seqs.start());
        if sealed.kind() == RecordKind::EpochClose {
            // The next KEY does not tell of numbers that are not declared yet.
            self.previous = Some(PreviousEpoch { kid, last_seq: first.saturating_sub(1) });
        }
        self.hole = Some((kid, first..=seq));
    }

    pub(crate) fn accepted(&mut self, count: Count) {
        (self.refusal, self.fault) = (None, None);
        self.accepted.records += count.records;
        self.accepted.readings += count.readings;
    }

    pub(crate) fn was_acknowledged(&self) -> bool {
        self.acknowledged.records > 0
    }

    pub(crate) fn acknowledged(&mut self, sent: &Sent, newest: Option<UtcMicros>) {
        if strikes(Defect::GapForDelivered, 7) {
            let (kid, seq, cause) = (sent.kid, sent.seq, GapCause::Overflow);
            let readings = u64::from(sent.readings);
            let (first_seq, last_seq, maybe_delivered) = (seq, seq, false);
            self.gaps.add(GapRecord::Records { kid, first_seq, last_seq, readings, cause, maybe_delivered });
        }
        self.acknowledged.records += 1;
        self.acknowledged.readings += u64::from(sent.readings);
        self.newest_acknowledged = self.newest_acknowledged.max(newest);
        self.declared.acknowledged(sent);
    }
}
