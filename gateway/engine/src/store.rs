//! The buffer with its commit rhythm: what was appended becomes durable together, and nothing is reported before.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lingate_buffer::{AppendError, Buffer, Disk, DiskError, Loss, RecordId, Usage};
use lingate_model::{Now, Priority, UtcMicros};
use lingate_seal::{RecordKind, Sealed};

use crate::stream::Count;
use crate::{Accepted, Level, Notice};

/// A commit does not wait for its time when it would write more than this.
const COMMIT_BYTES: usize = 256 * 1024;
const COMMIT_RECORDS: usize = 256;
/// Pause after a failed commit; the records stay in memory meanwhile.
const RETRY: Duration = Duration::from_secs(1);
/// Newest reading times are remembered for this many records; for older ones the status has none.
const TIMES_MAX: usize = 4_096;

pub(crate) struct Store<D: Disk> {
    buffer: Buffer<D>,
    commit_every: Duration,
    commit_at: Option<Duration>,
    uncommitted: VecDeque<Uncommitted>,
    uncommitted_bytes: usize,
    newest: BTreeMap<RecordId, UtcMicros>,
    fault: Option<String>,
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
        }
    }

    pub(crate) fn append(
        &mut self,
        monotonic: Duration,
        dataset: usize,
        priority: Priority,
        sealed: &Sealed,
    ) -> Result<(), AppendError> {
        let record = self.buffer.append(priority, sealed)?;
        let (kind, readings) = (sealed.kind(), sealed.readings());
        self.uncommitted.push_back(Uncommitted { record, dataset, kind, readings });
        self.uncommitted_bytes += sealed.bytes().len();
        self.commit_at.get_or_insert(monotonic + self.commit_every);
        Ok(())
    }

    /// Remembers the newest reading of the batch that was appended last.
    pub(crate) fn note_newest(&mut self, newest: Option<UtcMicros>) {
        if let (Some(last), Some(newest)) = (self.uncommitted.back(), newest) {
            self.newest.insert(last.record, newest);
            while self.newest.len() > TIMES_MAX {
                self.newest.pop_last();
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
        self.commit_at
    }

    /// The error is a notice only when it is news.
    pub(crate) fn commit(&mut self, now: Now) -> Result<Durable, Option<Notice>> {
        match self.buffer.commit(now.utc) {
            Ok(committed) => {
                self.commit_at = None;
                self.fault = None;
                self.uncommitted_bytes = 0;
                Ok(self.durable(&committed))
            }
            Err(error) => {
                self.commit_at = Some(now.monotonic + RETRY);
                Err(self.fail("the disk did not take the buffer's records", &error))
            }
        }
    }

    fn durable(&mut self, committed: &lingate_buffer::Committed) -> Durable {
        let mut by_dataset: BTreeMap<usize, Count> = BTreeMap::new();
        let mut records = Vec::with_capacity(committed.records.len());
        for (record, kid, seq) in &committed.records {
            let Some(at) = self.uncommitted.iter().position(|waiting| waiting.record == *record) else { continue };
            let Some(waiting) = self.uncommitted.remove(at) else { continue };
            let count = by_dataset.entry(waiting.dataset).or_default();
            count.records += 1;
            count.readings += u64::from(waiting.readings);
            if waiting.kind != RecordKind::Key {
                records.push((*kid, *seq));
            }
        }
        Durable { accepted: Accepted { records, readings: committed.readings }, by_dataset }
    }

    fn fail(&mut self, what: &str, error: &DiskError) -> Option<Notice> {
        let text = format!("{what}: {error}; they stay in memory and are tried again, check the disk");
        let is_news = self.fault.as_ref() != Some(&text);
        self.fault = Some(text.clone());
        is_news.then_some(Notice { level: Level::Error, text })
    }

    pub(crate) fn next(&mut self, priority: Priority) -> Result<Option<(RecordId, Sealed)>, Option<Notice>> {
        self.buffer.next(priority).map_err(|error| self.fail("the disk did not give back records", &error))
    }

    pub(crate) fn rewind(&mut self) {
        self.buffer.rewind();
    }

    pub(crate) fn acknowledge(&mut self, record: RecordId) -> Option<Notice> {
        let result = self.buffer.acknowledge(record);
        result.err().and_then(|error| self.fail("the disk did not free acknowledged records", &error))
    }

    pub(crate) fn losses(&mut self) -> Vec<Loss> {
        self.buffer.losses()
    }

    pub(crate) fn usage(&self) -> Usage {
        self.buffer.usage()
    }

    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.clone()
    }

    pub(crate) fn close(self, utc: UtcMicros) -> Result<(), DiskError> {
        self.buffer.close(utc)
    }
}
