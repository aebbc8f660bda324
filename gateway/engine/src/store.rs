//! The buffer with its commit rhythm: what was appended becomes durable together, and nothing is reported before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use lingate_buffer::{AppendError, Buffer, Disk, DiskError, Loss, Purged, RecordId, Usage};
use lingate_model::defect::{Defect, strikes};
use lingate_model::{DatasetAlias, Now, Priority, UtcMicros};
use lingate_seal::{Kid, RecordKind, Sealed};

use crate::stream::Count;
use crate::{Accepted, Level, Notice};

/// A commit does not wait for its time when it would write more than this.
const COMMIT_BYTES: usize = 256 * 1024;
const COMMIT_RECORDS: usize = 256;
/// Pause after a failed commit; the records stay in memory meanwhile.
const RETRY: Duration = Duration::from_secs(1);
/// While the buffer drops records to make room, what it lost is declared in at most one of so many bytes.
const DECLARING: u64 = 8;
/// More than a gap record takes.
const GAP_BYTES: u64 = 512;
const CREDIT_MAX: u64 = 128 * GAP_BYTES;
/// An epoch is opened when there is room for so much: what it begins with, and some data.
const EPOCH_BYTES: u64 = 8 << 10;
/// Newest reading times are remembered for this many records; for older ones the status has none.
const TIMES_MAX: usize = 4_096;

pub(crate) struct Store<D: Disk> {
    buffer: Buffer<D>,
    commit_every: Duration,
    commit_at: Option<Duration>,
    uncommitted: VecDeque<Uncommitted>,
    uncommitted_bytes: usize,
    newest: BTreeMap<RecordId, UtcMicros>,
    /// The disk did not take or free records.
    fault: Option<String>,
    /// It did not give back records.
    read_fault: Option<String>,
    /// After that nothing is read before this monotonic time.
    read_at: Option<Duration>,
    utc: UtcMicros,
    /// Bytes of gap records that a full buffer takes.
    credit: u64,
}

struct Uncommitted {
    record: RecordId,
    dataset: usize,
    kind: RecordKind,
    readings: u32,
}

/// What one commit made durable.
pub(crate) struct Durable {
    pub(crate) accepted: Accepted,
    /// The number is `None` for a KEY.
    pub(crate) records: BTreeSet<(Kid, Option<u64>)>,
    pub(crate) by_dataset: BTreeMap<usize, Count>,
}

impl<D: Disk> Store<D> {
    pub(crate) fn new(buffer: Buffer<D>, commit_every: Duration) -> Store<D> {
        Store {
            buffer,
            commit_every,
            commit_at: None,
            uncommitted: VecDeque::new(),
            uncommitted_bytes: 0,
            newest: BTreeMap::new(),
            fault: None,
            read_fault: None,
            read_at: None,
            utc: UtcMicros::default(),
            credit: 0,
        }
    }

    /// From the next commit on.
    pub(crate) fn commit_every(&mut self, every: Duration) {
        self.commit_every = every;
    }

    pub(crate) fn append(
        &mut self,
        monotonic: Duration,
        dataset: usize,
        priority: Priority,
        sealed: &Sealed,
        note: &[u8],
    ) -> Result<(), AppendError> {
        if strikes(Defect::DropOneInTenThousand, 10_000) {
            return Ok(());
        }
        let record = self.buffer.append_noted(priority, sealed, note)?;
        let (kind, readings) = (sealed.kind(), sealed.readings());
        self.uncommitted.push_back(Uncommitted { record, dataset, kind, readings });
        self.uncommitted_bytes += sealed.bytes().len();
        self.credit = match kind {
            RecordKind::Gap => self.credit.saturating_sub(GAP_BYTES),
            _ => (self.credit + sealed.bytes().len() as u64 / DECLARING).min(CREDIT_MAX),
        };
        self.commit_at.get_or_insert(monotonic + self.commit_every);
        Ok(())
    }

    /// Remembers the newest reading of the dataset's batch, if it was the one appended last.
    pub(crate) fn note_newest(&mut self, dataset: usize, newest: Option<UtcMicros>) {
        let batch = self.uncommitted.back().filter(|last| last.dataset == dataset && last.kind == RecordKind::Batch);
        if let (Some(batch), Some(newest)) = (batch, newest) {
            self.newest.insert(batch.record, newest);
            while self.newest.len() > TIMES_MAX {
                self.newest.pop_first();
            }
        }
    }

    pub(crate) fn newest_reading(&mut self, record: RecordId) -> Option<UtcMicros> {
        self.newest.remove(&record)
    }

    pub(crate) fn has_uncommitted(&self) -> bool {
        self.buffer.has_uncommitted()
    }

    pub(crate) fn is_commit_large(&self) -> bool {
        self.fault.is_none() && (self.uncommitted_bytes >= COMMIT_BYTES || self.uncommitted.len() >= COMMIT_RECORDS)
    }

    pub(crate) fn is_commit_due(&self, monotonic: Duration) -> bool {
        self.commit_at.is_some_and(|at| at <= monotonic)
    }

    pub(crate) fn wake_at(&self) -> Option<Duration> {
        self.commit_at.into_iter().chain(self.read_at).min()
    }

    /// The error is a notice only when it is news.
    pub(crate) fn commit(&mut self, now: Now) -> Result<Durable, Option<Notice>> {
        match self.buffer.commit(now.utc) {
            Ok(committed) => {
                // The disk may have failed behind the first class: the rest is tried again.
                self.commit_at = self.buffer.has_uncommitted().then(|| now.monotonic + RETRY);
                self.fault = None;
                self.uncommitted_bytes = 0;
                Ok(self.durable(&committed))
            }
            Err(error) => {
                self.commit_at = Some(now.monotonic + RETRY);
                Err(news(&mut self.fault, "the disk did not take the buffer's records", &error))
            }
        }
    }

    fn durable(&mut self, committed: &lingate_buffer::Committed) -> Durable {
        let mut by_dataset: BTreeMap<usize, Count> = BTreeMap::new();
        let mut records = Vec::with_capacity(committed.records.len());
        let mut all = BTreeSet::new();
        for (record, kid, seq) in &committed.records {
            let Some(at) = self.uncommitted.iter().position(|waiting| waiting.record == *record) else { continue };
            let Some(waiting) = self.uncommitted.remove(at) else { continue };
            let count = by_dataset.entry(waiting.dataset).or_default();
            count.records += 1;
            count.readings += u64::from(waiting.readings);
            let number = Some(*seq).filter(|_| waiting.kind != RecordKind::Key);
            records.extend(number.map(|seq| (*kid, seq)));
            all.insert((*kid, number));
        }
        Durable { accepted: Accepted { records, readings: committed.readings }, records: all, by_dataset }
    }

    pub(crate) fn at(&mut self, utc: UtcMicros) {
        self.utc = utc;
    }

    /// The pause after a failed read ends with its time, whether anything is read then or not.
    pub(crate) fn resume(&mut self, monotonic: Duration) {
        self.read_at = self.read_at.filter(|at| monotonic < *at);
    }

    pub(crate) fn next(
        &mut self,
        monotonic: Duration,
        priority: Priority,
    ) -> Result<Option<(RecordId, Sealed)>, Option<Notice>> {
        if self.read_at.is_some() {
            return Ok(None);
        }
        let next = self.buffer.next(priority);
        self.read(monotonic, next)
    }

    fn read(
        &mut self,
        monotonic: Duration,
        next: Result<Option<(RecordId, Sealed)>, DiskError>,
    ) -> Result<Option<(RecordId, Sealed)>, Option<Notice>> {
        match next {
            Ok(record) => {
                self.read_fault = None;
                Ok(record)
            }
            Err(error) => {
                self.read_at = Some(monotonic + RETRY);
                Err(news(&mut self.read_fault, "the disk did not give back the buffer's records", &error))
            }
        }
    }

    pub(crate) fn next_position(&self, priority: Priority) -> u64 {
        self.buffer.next_position(priority)
    }

    /// Where each class ends: everything that is committed later is behind.
    pub(crate) fn ends(&self) -> [u64; Priority::ALL.len()] {
        Priority::ALL.map(|priority| self.buffer.end(priority))
    }

    pub(crate) fn next_ahead(
        &mut self,
        monotonic: Duration,
        priority: Priority,
        from: u64,
        is_meant: &dyn Fn(&DatasetAlias, Kid, RecordKind) -> bool,
    ) -> Result<Option<(RecordId, Sealed)>, Option<Notice>> {
        if self.read_at.is_some() {
            return Ok(None);
        }
        let next = self.buffer.next_ahead(priority, from, is_meant);
        self.read(monotonic, next)
    }

    pub(crate) fn put_back(&mut self, record: RecordId) {
        self.buffer.put_back(record);
    }

    /// Sets a record aside. An error is a notice only when it is news.
    pub(crate) fn quarantine(&mut self, record: RecordId, reason: u8) -> Result<(), Option<Notice>> {
        let utc = self.utc;
        let result = self.buffer.quarantine(record, reason, utc);
        result.map_err(|error| news(&mut self.fault, "the disk did not set a refused record aside", &error))
    }

    pub(crate) fn quarantined(&self) -> Vec<RecordId> {
        self.buffer.quarantined().map(|held| held.record).collect()
    }

    /// `None`: it is not there any more. An error is a notice only when it is news; nothing is read for a while then.
    pub(crate) fn read_quarantined(
        &mut self,
        monotonic: Duration,
        record: RecordId,
    ) -> Result<Option<Sealed>, Option<Notice>> {
        if self.read_at.is_some() {
            return Err(None);
        }
        let found = self.buffer.read_quarantined(record).map(|found| found.map(|sealed| (record, sealed)));
        Ok(self.read(monotonic, found)?.map(|(_, sealed)| sealed))
    }

    /// Destroys the sealed bytes of these datasets. An error is a notice only when it is news.
    pub(crate) fn purge(&mut self, is_meant: &dyn Fn(&DatasetAlias) -> bool) -> Result<Purged, Option<Notice>> {
        let purged = self.buffer.purge(is_meant);
        purged.map_err(|error| news(&mut self.fault, "the disk did not destroy the records of a purge", &error))
    }

    pub(crate) fn rewind(&mut self) {
        self.buffer.rewind();
    }

    pub(crate) fn acknowledge(&mut self, record: RecordId) -> Option<Notice> {
        let result = self.buffer.acknowledge(record);
        result.err().and_then(|error| news(&mut self.fault, "the disk did not free acknowledged records", &error))
    }

    /// Call until empty.
    pub(crate) fn losses(&mut self) -> Vec<Loss> {
        self.buffer.losses()
    }

    /// Losses of this class wait to be declared, or none does.
    pub(crate) fn hold_losses(&mut self, priority: Priority, holds: bool) {
        self.buffer.hold_losses(priority, holds);
    }

    /// So many losses of the disk may be declared now. In a full buffer each gap record pushes out others, of which some
    /// are gap records: of small epochs more would be lost by declaring than is declared.
    pub(crate) fn may_declare(&self) -> usize {
        let room = self.buffer.room().map(|room| room.max(self.credit) / GAP_BYTES);
        room.map_or(usize::MAX, |gaps| usize::try_from(gaps).unwrap_or(usize::MAX))
    }

    /// A few records of this class would be kept.
    pub(crate) fn has_room(&self, priority: Priority) -> bool {
        self.buffer.takes_epoch(priority, EPOCH_BYTES)
    }

    pub(crate) fn usage(&self) -> Usage {
        self.buffer.usage()
    }

    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.clone().or_else(|| self.read_fault.clone())
    }

    pub(crate) fn close(self, utc: UtcMicros) -> Result<(), DiskError> {
        self.buffer.close(utc)
    }
}

/// Remembers the fault; a notice only if it is another one than before.
fn news(fault: &mut Option<String>, what: &str, error: &DiskError) -> Option<Notice> {
    let text = format!("{what}: {error}; nothing is lost, it is tried again: check the disk");
    let is_news = fault.replace(text.clone()).as_ref() != Some(&text);
    is_news.then_some(Notice { level: Level::Error, text })
}
