use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lingate_model::{DeviceTime, Missed, MissedCause, Now, Origin, Reading, StatusCode, UtcMicros};
use opcua::types::{ByteString, DateTime, HistoryReadResult, HistoryReadValueId, NodeId, ObjectId, ReadRawModifiedDetails};

use super::account::Debt;
use super::convert::body_of;
use super::cursor::CursorFile;
use super::decode::Decoder;
use super::desk::{Desk, Done};
use super::limits::{Rate, Service, is_too_large};
use super::wire::{Flaw, Wire};
use crate::{DeviceEvent, LinkError, SinkClosed};

/// What a device's sessions know of the times that were delivered; by the number of the point.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    /// The newest source time that came live, ticks.
    live: BTreeMap<usize, i64>,
    /// From where the history is still to be read.
    holes: BTreeMap<usize, i64>,
    /// Slots of past downtimes that wait for it.
    owed: BTreeMap<usize, u64>,
    owed_from: Option<UtcMicros>,
    is_loaded: bool,
}

/// Reading the history of one session.
pub(crate) struct Filling {
    jobs: VecDeque<Job>,
    is_asking: bool,
    begin_at: Duration,
    has_begun: bool,
    rate: Rate,
    /// Source time of the first live value of this session.
    first_live: BTreeMap<usize, i64>,
    save_at: Duration,
    /// Written with the next save: what was delivered a while ago is on the gateway's disk by then.
    snapshot: BTreeMap<String, i64>,
}

/// One point's history, from its cursor on.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    point: usize,
    from: i64,
    more: ByteString,
    filled: u64,
}

const NODES: usize = 10;
const VALUES: u32 = 1_000;
const EVENT: usize = 1_000;
const SAVE_EVERY: Duration = Duration::from_secs(10);
/// Until live values have come, so that the seam is known.
const SEAM: Duration = Duration::from_secs(1);

impl Delivered {
    fn load(&mut self, file: &CursorFile, sources: impl Iterator<Item = String>) {
        if !std::mem::replace(&mut self.is_loaded, true) {
            let known = file.load();
            self.live = sources.enumerate().filter_map(|(point, source)| Some((point, *known.get(&source)?))).collect();
        }
    }

    /// Slots that nothing was told of, because the history may have them.
    fn owe(&mut self, missed: &Missed, first_point: u32) {
        self.owed_from = Some(self.owed_from.map_or(missed.from, |from| from.min(missed.from)));
        for (id, slots) in &missed.slots {
            let owed = self.owed.entry((id.0 - first_point) as usize).or_default();
            *owed = owed.saturating_add(*slots);
        }
    }

    /// Where the history of a point begins that was not delivered.
    fn gap_of(&self, point: usize) -> Option<i64> {
        let since_downtime = self.owed_from.filter(|_| self.owed.contains_key(&point)).map(|from| DeviceTime::from(from).0);
        let known = self.holes.get(&point).or_else(|| self.live.get(&point)).copied();
        known.or(since_downtime)
    }

    /// The slots of a point that its history did not fill, and since when slots are owed.
    fn end(&mut self, job: &Job) -> (u64, Option<UtcMicros>) {
        self.holes.remove(&job.point);
        (self.owed.remove(&job.point).unwrap_or(0).saturating_sub(job.filled), self.owed_from)
    }

    fn take_owed(&mut self) -> (BTreeMap<usize, u64>, Option<UtcMicros>) {
        (std::mem::take(&mut self.owed), self.owed_from.take())
    }

    fn saved(&self, point: usize) -> Option<i64> {
        self.holes.get(&point).or_else(|| self.live.get(&point)).copied()
    }
}

impl Desk<'_> {
    pub(crate) fn begin_filling(&mut self, now: Now) {
        let Some(backfill) = self.plan.pace.backfill else { return };
        let first = self.plan.points.first().map_or(0, |point| point.id.0);
        let mut kept = self.plan.memory.kept();
        let delivered = &mut kept.delivered;
        delivered.load(&self.link.cursors, self.plan.points.iter().map(|point| point.source.clone()));
        if let Some(missed) = self.sink.take_downtime() {
            delivered.owe(&missed, first);
        }
        let window = i64::try_from(backfill.window.as_micros()).unwrap_or(i64::MAX);
        let oldest = DeviceTime::from(UtcMicros(now.utc.0.saturating_sub(window))).0;
        let mut jobs = VecDeque::new();
        for point in 0..self.plan.items.len() {
            if let Some(from) = delivered.gap_of(point) {
                delivered.holes.insert(point, from.max(oldest));
                jobs.push_back(Job { point, from: from.max(oldest), more: ByteString::null(), filled: 0 });
            }
        }
        drop(kept);
        let begin_at = now.monotonic.saturating_add(SEAM).saturating_add(self.plan.pace.publishing * 2);
        self.filling = Some(Filling {
            jobs,
            is_asking: false,
            begin_at,
            has_begun: false,
            rate: Rate::new(backfill.rate),
            first_live: BTreeMap::new(),
            save_at: now.monotonic.saturating_add(SAVE_EVERY),
            snapshot: BTreeMap::new(),
        });
    }

    /// Every live reading passes here.
    pub(crate) fn note_live(&mut self, readings: &[Reading]) {
        let Some(filling) = &mut self.filling else { return };
        let first = self.plan.points.first().map_or(0, |point| point.id.0);
        let mut kept = self.plan.memory.kept();
        for reading in readings {
            let Some(time) = reading.source_time else { continue };
            let point = (reading.point.0 - first) as usize;
            filling.first_live.entry(point).or_insert(time.0);
            let live = kept.delivered.live.entry(point).or_insert(time.0);
            *live = time.0.max(*live);
        }
    }

    pub(crate) fn filling_at(&self) -> Option<Duration> {
        let filling = self.filling.as_ref()?;
        let begin = (!filling.has_begun).then_some(filling.begin_at);
        Some(begin.map_or(filling.save_at, |begin| begin.min(filling.save_at)))
    }

    pub(crate) fn fill_due(&mut self, now: Now) {
        let is_set_up = self.waiting.is_empty() && !self.is_creating;
        let Some(filling) = &mut self.filling else { return };
        if !filling.has_begun && filling.begin_at <= now.monotonic {
            filling.has_begun = is_set_up;
            filling.begin_at = now.monotonic.saturating_add(SEAM);
        }
        if filling.save_at <= now.monotonic {
            filling.save_at = now.monotonic.saturating_add(SAVE_EVERY);
            self.save_cursors();
        }
        self.fill_more(now);
    }

    /// The next request, if none is under way.
    pub(crate) fn fill_more(&mut self, now: Now) {
        let size = self.size(Service::History).min(NODES);
        let Some(filling) = &mut self.filling else { return };
        if !filling.has_begun || filling.is_asking || filling.jobs.is_empty() {
            return;
        }
        // One request has one begin: the points that were delivered up to the same time, or those that go on.
        let batch: Vec<Job> = filling.jobs.drain(..size.min(filling.jobs.len())).collect();
        let from = batch.iter().map(|job| job.from).min().unwrap_or_default();
        let nodes: Vec<Option<HistoryReadValueId>> = batch.iter().map(|job| history_of(&self.nodes[job.point], job)).collect();
        let pause = filling.rate.wait_for(0, now.monotonic);
        filling.is_asking = true;
        let device_now = now.utc.0.saturating_add(self.server.skew_us.unwrap_or(0)).saturating_add(1_000_000);
        let until = DateTime::from(DeviceTime::from(UtcMicros(device_now)).0);
        let details = ReadRawModifiedDetails {
            is_read_modified: false,
            start_time: DateTime::from(from),
            end_time: until,
            num_values_per_node: VALUES,
            return_bounds: false,
        };
        let (ask, asked) = (self.ask.clone(), nodes.iter().flatten().cloned().collect::<Vec<_>>());
        self.pending.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            let result = if asked.is_empty() { Ok(Vec::new()) } else { ask.history(details, asked).await };
            let is_there = nodes.iter().map(Option::is_some).collect();
            Done::History { batch, is_there, result }
        }));
    }

    pub(crate) async fn filled(
        &mut self,
        batch: Vec<Job>,
        is_there: Vec<bool>,
        result: Result<Vec<HistoryReadResult>, StatusCode>,
    ) -> Result<(), LinkError> {
        let now = self.sink.now();
        if let Some(filling) = &mut self.filling {
            filling.is_asking = false;
        }
        let mut results = match result {
            Ok(results) => results.into_iter(),
            Err(status) if is_too_large(status) && self.server.limits.halve(Service::History, batch.len()) => {
                if let Some(filling) = &mut self.filling {
                    batch.into_iter().rev().for_each(|job| filling.jobs.push_front(job));
                }
                return Ok(());
            }
            Err(status) => {
                let status = opcua::types::StatusCode::from(status.0);
                let refused = |_: &Job| HistoryReadResult { status_code: status, ..Default::default() };
                batch.iter().map(refused).collect::<Vec<_>>().into_iter()
            }
        };
        for (job, is_there) in batch.into_iter().zip(is_there) {
            let result = if is_there { results.next() } else { None };
            self.fill(job, result, now).await?;
        }
        Ok(())
    }

    async fn fill(&mut self, mut job: Job, result: Option<HistoryReadResult>, now: Now) -> Result<(), LinkError> {
        let Some(result) = result.filter(|result| !result.status_code.is_bad()) else {
            self.plan.memory.count("history_refused", 1);
            return self.end_job(&job, now).await;
        };
        let seam = self.filling.as_ref().and_then(|filling| filling.first_live.get(&job.point)).copied().unwrap_or(i64::MAX);
        let (readings, newest) = self.history_readings(&job, &result, seam, now);
        job.filled = job.filled.saturating_add(readings.len() as u64);
        job.from = newest.unwrap_or(job.from);
        self.plan.memory.count("backfilled", readings.len() as u64);
        if let Some(filling) = &mut self.filling {
            filling.rate.wait_for(readings.len(), now.monotonic);
        }
        for event in readings.chunks(EVENT) {
            self.sink.send(DeviceEvent::Readings(event.to_vec())).await?;
        }
        self.plan.memory.kept().delivered.holes.insert(job.point, job.from);
        let is_through = result.continuation_point.is_null_or_empty() || newest.is_none_or(|newest| newest >= seam);
        if is_through {
            return self.end_job(&job, now).await;
        }
        job.more = result.continuation_point;
        if let Some(filling) = &mut self.filling {
            filling.jobs.push_front(job);
        }
        Ok(())
    }

    /// The values between cursor and seam, and the newest time of all.
    fn history_readings(&self, job: &Job, result: &HistoryReadResult, seam: i64, now: Now) -> (Vec<Reading>, Option<i64>) {
        let Some((encoding, body)) = body_of(&result.history_data) else { return (Vec::new(), None) };
        if !matches!(encoding.as_object_id(), Ok(ObjectId::HistoryData_Encoding_DefaultBinary)) {
            return (Vec::new(), None);
        }
        let mut samples = Vec::new();
        if read_history(body, &self.decoder(), &mut samples).is_err() {
            self.plan.memory.count("decode_failures", 1);
        }
        let newest = samples.iter().filter_map(|sample| sample.source_time).map(|time| time.0).max();
        let is_missing = |time: DeviceTime| job.from < time.0 && time.0 < seam;
        let missing = samples.into_iter().filter(|sample| sample.source_time.is_some_and(is_missing));
        let readings = missing.map(|sample| Reading { origin: Origin::Backfilled, ..self.reading(job.point, sample, now) });
        (readings.collect(), newest)
    }

    /// Every value of the history fills one slot; the slots that are left stay missed.
    async fn end_job(&mut self, job: &Job, now: Now) -> Result<(), LinkError> {
        let (owed, from) = self.plan.memory.kept().delivered.end(job);
        if owed == 0 {
            return Ok(());
        }
        let from = from.unwrap_or(now.utc);
        let slots = vec![(self.id(job.point), owed)];
        let (device, from) = (self.plan.name.clone(), from.min(now.utc));
        let missed = Missed { device, from, to: now.utc, slots, cause: MissedCause::DeviceDown };
        Ok(self.sink.send(DeviceEvent::Missed(missed)).await?)
    }

    fn save_cursors(&mut self) {
        let Some(filling) = &mut self.filling else { return };
        let kept = self.plan.memory.kept();
        let cursor = |(point, source): (usize, String)| Some((source, kept.delivered.saved(point)?));
        let newest = self.plan.points.iter().map(|point| point.source.clone()).enumerate().filter_map(cursor).collect();
        let snapshot = std::mem::replace(&mut filling.snapshot, newest);
        let file = self.link.cursors.clone();
        self.pending.push(Box::pin(async move {
            let saving = tokio::task::spawn_blocking(move || if snapshot.is_empty() { Ok(()) } else { file.save(&snapshot) });
            Done::Saved(saving.await.unwrap_or_else(|_| Err(std::io::Error::other("the task that saves ended"))))
        }));
    }

    /// The gateway drains everything to its disk after this.
    fn save_last(&self) {
        let kept = self.plan.memory.kept();
        let cursor = |(point, source): (usize, String)| Some((source, kept.delivered.saved(point)?));
        let sources = self.plan.points.iter().map(|point| point.source.clone());
        let newest: BTreeMap<String, i64> = sources.enumerate().filter_map(cursor).collect();
        if let Err(error) = self.link.cursors.save(&newest) {
            tracing::warn!(device = %self.plan.name, %error, "the cursors cannot be saved");
        }
    }

    /// The end of a session: what its history did not fill by now is told as missed. The next session may fill it all
    /// the same, from where this one came to.
    pub(crate) async fn leave(&mut self, down: Debt, cause: MissedCause, now: Now) -> Result<(), SinkClosed> {
        self.miss(down, cause, now).await?;
        if self.filling.is_none() {
            return Ok(());
        }
        if self.sink.is_stopping() {
            self.save_last();
        }
        let (owed, from) = self.plan.memory.kept().delivered.take_owed();
        let slots: Vec<_> = owed.into_iter().map(|(point, slots)| (self.id(point), slots)).collect();
        if slots.is_empty() {
            return Ok(());
        }
        let (device, from) = (self.plan.name.clone(), from.unwrap_or(now.utc).min(now.utc));
        self.sink.send(DeviceEvent::Missed(Missed { device, from, to: now.utc, slots, cause })).await
    }
}

fn history_of(node: &Result<NodeId, StatusCode>, job: &Job) -> Option<HistoryReadValueId> {
    let node_id = node.clone().ok()?;
    Some(HistoryReadValueId { node_id, continuation_point: job.more.clone(), ..Default::default() })
}

/// OPC 10000-11, 6.6.2.
fn read_history(body: &[u8], decoder: &Decoder<'_>, samples: &mut Vec<super::decode::Sample>) -> Result<(), Flaw> {
    let mut wire = Wire::new(body);
    let count = wire.count(1)?.unwrap_or(0);
    for _ in 0..count {
        samples.push(decoder.data_value(&mut wire)?);
    }
    Ok(())
}
