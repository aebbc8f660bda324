//! Sealed records without keys, and a naive second implementation that judges the buffer.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::{BTreeMap, BTreeSet};

use lingate_buffer::fake::{Crash, FakeDisk};
use lingate_buffer::{AppendError, Buffer, DiskError, Loss, Overflow, RecordId, Recovery, Settings};
use lingate_model::{Priority, UtcMicros};
use lingate_seal::{Kid, RecordKind, Sealed};

/// A DATA message of the right form (wire.md section 4) around `size` bytes that nobody can open.
pub(crate) fn data(kid: u8, seq: u64, readings: u32, size: usize) -> Sealed {
    sealed(RecordKind::Batch, kid, seq, readings, size)
}

pub(crate) fn gap(kid: u8, seq: u64) -> Sealed {
    sealed(RecordKind::Gap, kid, seq, 0, 40)
}

/// Without it nobody understands its epoch.
pub(crate) fn catalogue(kid: u8) -> Sealed {
    sealed(RecordKind::Catalogue, kid, 0, 0, 300)
}

fn sealed(kind: RecordKind, kid: u8, seq: u64, readings: u32, size: usize) -> Sealed {
    let protected = [&[0xa3, 0x01, 0x32, 0x03, 0x10, 0x04, 0x48][..], &[9; 8]].concat();
    let piv: Vec<u8> = seq.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    let piv = if piv.is_empty() { vec![0] } else { piv };
    let ciphertext: Vec<u8> = (0..size).map(|i| (i as u64 * 31 + seq * 7 + u64::from(kid)) as u8).collect();
    let encrypted = [
        &[0xd0, 0x83][..],
        &bytes(&[0xa1, 0x01, 0x03]),
        &[0xa2, 0x04],
        &bytes(&[kid; 8]),
        &[0x06],
        &bytes(&piv),
        &bytes(&ciphertext),
    ]
    .concat();
    let message = [&[0xd2, 0x84][..], &bytes(&protected), &[0xa0], &bytes(&encrypted), &bytes(&[3; 64])].concat();
    let alias = format!("q{kid}").parse().unwrap();
    Sealed::from_stored(kind, alias, Kid([kid; 8]), seq, readings, &message).unwrap()
}

/// A CBOR byte string.
fn bytes(content: &[u8]) -> Vec<u8> {
    let head = match content.len() {
        length @ 0..24 => vec![0x40 + length as u8],
        length @ 24..256 => vec![0x58, length as u8],
        length @ 256..65_536 => [&[0x59][..], &(length as u16).to_be_bytes()].concat(),
        length => [&[0x5a][..], &(length as u32).to_be_bytes()].concat(),
    };
    [&head, content].concat()
}

/// Segments of 4 KiB, so that edges are near.
pub(crate) fn tiny() -> Settings {
    Settings {
        max_bytes: 1 << 20,
        segment_bytes: 4096,
        overflow: Overflow::DropOldest,
        reserve_bytes: 8192,
        uncommitted_bytes: 64 * 1024,
    }
}

pub(crate) fn at(second: i64) -> UtcMicros {
    UtcMicros(second * 1_000_000)
}

pub(crate) fn open(disk: &FakeDisk, settings: &Settings) -> (Buffer<FakeDisk>, Recovery) {
    Buffer::open(disk.clone(), settings.clone()).expect("open never refuses")
}

/// Everything that waits, in the order of the classes.
pub(crate) fn drain(buffer: &mut Buffer<FakeDisk>) -> Vec<(RecordId, Sealed)> {
    Priority::ALL.into_iter().flat_map(|priority| drain_class(buffer, priority)).collect()
}

pub(crate) fn drain_class(buffer: &mut Buffer<FakeDisk>, priority: Priority) -> Vec<(RecordId, Sealed)> {
    std::iter::from_fn(|| buffer.next(priority).unwrap()).collect()
}

pub(crate) fn all_losses(buffer: &mut Buffer<FakeDisk>) -> Vec<Loss> {
    std::iter::from_fn(|| Some(buffer.losses()).filter(|losses| !losses.is_empty())).flatten().collect()
}

/// Appends `count` DATA of one kid from `first`, commits them, and gives their places.
pub(crate) fn fill(
    buffer: &mut Buffer<FakeDisk>,
    priority: Priority,
    kid: u8,
    seqs: std::ops::Range<u64>,
) -> Vec<RecordId> {
    let ids = seqs.map(|seq| buffer.append(priority, &data(kid, seq, 10, 200)).unwrap()).collect();
    buffer.commit(at(1)).unwrap();
    ids
}

/// One buffer through crashes, and what must be true of it.
pub(crate) struct Witness {
    pub(crate) disk: FakeDisk,
    pub(crate) settings: Settings,
    buffer: Option<Buffer<FakeDisk>>,
    /// What was ever appended at a place: after a crash, a place that was not reported is used again.
    appended: BTreeMap<RecordId, Vec<Sealed>>,
    reported: BTreeSet<RecordId>,
    acknowledged: BTreeSet<RecordId>,
    /// Was there when the process started, reported or not.
    recovered: BTreeMap<Priority, u64>,
    /// Handed out since `open` or `rewind`.
    handed: BTreeMap<Priority, u64>,
    /// Told as lost; declared when a gap record after it is durable.
    told: Vec<Loss>,
    declared: Vec<Loss>,
    seqs: u64,
    second: i64,
}

impl Witness {
    pub(crate) fn new(settings: Settings) -> Witness {
        let disk = FakeDisk::new();
        let (buffer, recovery) = open(&disk, &settings);
        assert_eq!(recovery, Recovery { clean: true, ..Recovery::default() });
        Witness {
            disk,
            settings,
            buffer: Some(buffer),
            appended: BTreeMap::new(),
            reported: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            recovered: BTreeMap::new(),
            handed: BTreeMap::new(),
            told: Vec::new(),
            declared: Vec::new(),
            seqs: 0,
            second: 0,
        }
    }

    pub(crate) fn buffer(&mut self) -> &mut Buffer<FakeDisk> {
        self.buffer.as_mut().unwrap()
    }

    pub(crate) fn declared(&self) -> &[Loss] {
        &self.declared
    }

    pub(crate) fn append(&mut self, priority: Priority, size: usize) {
        let record = data(1 + priority as u8, self.seqs, 10, size);
        self.take(priority, record);
    }

    fn take(&mut self, priority: Priority, record: Sealed) {
        self.seqs += 1;
        match self.buffer().append(priority, &record) {
            Ok(id) => {
                assert!(!self.reported.contains(&id), "{id:?} was used twice");
                self.appended.entry(id).or_default().push(record);
            }
            Err(AppendError::Disk(_)) => {}
            Err(AppendError::TooLarge { bytes, limit }) => assert!(bytes > limit),
            Err(AppendError::Uncommitted { bytes, .. }) => assert!(bytes > 0),
            Err(AppendError::Full) => assert!(record.kind() == RecordKind::Batch, "no room for a gap record"),
        }
    }

    /// As the engine does it: what was lost is declared first.
    pub(crate) fn commit(&mut self) -> Result<(), DiskError> {
        for loss in all_losses(self.buffer()) {
            let record = gap(200, self.seqs);
            self.take(loss.priority, record);
            self.told.push(loss);
        }
        self.second += 1;
        let utc = at(self.second);
        let committed = self.buffer().commit(utc)?;
        for (id, kid, seq) in committed.records {
            let record = self.appended[&id].last().unwrap();
            assert_eq!((record.kid(), record.seq()), (kid, seq));
            assert!(self.reported.insert(id), "{id:?} was reported twice");
        }
        if !self.buffer().has_uncommitted() {
            self.declared.append(&mut self.told);
        }
        Ok(())
    }

    fn losses_of(&self, id: &RecordId) -> impl Iterator<Item = &Loss> {
        let record = self.appended[id].last().unwrap();
        let (kid, seq) = (record.kid(), record.seq());
        self.declared.iter().filter(move |loss| loss.kid == kid && (loss.first_seq..=loss.last_seq).contains(&seq))
    }

    /// The next record, checked: durable, in order, not acknowledged in this life, and exactly what was appended.
    pub(crate) fn next(&mut self, priority: Priority) -> Option<RecordId> {
        // A disk that fails now and then is asked again.
        let next = (0..10).find_map(|_| self.buffer().next(priority).ok()).expect("the disk can be read");
        next.map(|(id, sealed)| self.check_next(priority, id, &sealed))
    }

    /// The same on a disk that may fail for ever.
    pub(crate) fn try_next(&mut self, priority: Priority) -> Option<RecordId> {
        let (id, sealed) = self.buffer().next(priority).ok()??;
        Some(self.check_next(priority, id, &sealed))
    }

    fn check_next(&mut self, priority: Priority, id: RecordId, sealed: &Sealed) -> RecordId {
        let recovered = self.recovered.get(&priority).copied().unwrap_or(0);
        assert!(self.reported.contains(&id) || id.position < recovered, "{id:?} is not durable");
        assert!(self.appended[&id].contains(sealed), "{id:?} was invented");
        if self.reported.contains(&id) {
            assert_eq!(self.appended[&id].last(), Some(sealed), "{id:?} has other content than was reported");
        }
        let handed = self.handed.entry(priority).or_default();
        assert!(id.position >= *handed, "{id:?} came out of order");
        *handed = id.position + 1;
        id
    }

    pub(crate) fn acknowledge(&mut self, id: RecordId) {
        self.acknowledged.insert(id);
        // The disk may refuse: the record is acknowledged all the same.
        let _ = self.buffer().acknowledge(id);
    }

    pub(crate) fn rewind(&mut self) {
        self.handed.clear();
        self.buffer().rewind();
    }

    pub(crate) fn crash(&mut self, crash: Crash) {
        let disk = self.disk.crash(crash);
        self.buffer = None;
        self.disk = disk;
        self.reopen();
    }

    /// The power goes again after `calls` of the start that follows.
    pub(crate) fn crash_twice(&mut self, crash: Crash, calls: u64, again: Crash) {
        let disk = self.disk.crash(crash);
        disk.cut_power_after(calls);
        // This start may fail: without power, the directory cannot be used.
        drop(Buffer::open(disk.clone(), self.settings.clone()));
        self.disk = disk;
        self.crash(again);
    }

    pub(crate) fn close(&mut self) {
        let utc = at(self.second);
        self.commit().unwrap();
        self.buffer.take().unwrap().close(utc).unwrap();
        self.reopen();
    }

    fn reopen(&mut self) {
        let (buffer, recovery) = open(&self.disk, &self.settings);
        self.buffer = Some(buffer);
        self.handed.clear();
        self.told.clear();
        let unnamed = |loss: &&Loss| loss.alias.is_none();
        let unnamed: u64 = self.declared.iter().filter(unnamed).map(|loss| loss.records).sum();
        let waits = |id: &&RecordId| !self.acknowledged.contains(id) && self.losses_of(id).next().is_none();
        let waits = self.reported.iter().filter(waits).count() as u64;
        assert!(recovery.records + unnamed >= waits, "{} of {waits} records came back", recovery.records);
        for (id, records) in &mut self.appended {
            // An unreported record of another life may stand at this place: it counts as reported if it comes back.
            let end = self.recovered.entry(id.priority).or_default();
            *end = (*end).max(id.position + 1);
            assert!(!records.is_empty());
        }
    }

    /// Everything that was reported and not acknowledged comes, once and in order; then the disk is given back.
    pub(crate) fn check_drained(&mut self) {
        self.disk.heal();
        while self.buffer().has_uncommitted() || !self.told.is_empty() {
            self.commit().unwrap();
        }
        self.commit().unwrap();
        self.rewind();
        let mut came = BTreeSet::new();
        for priority in Priority::ALL {
            while let Some(id) = self.next(priority) {
                assert!(came.insert(id), "{id:?} came twice");
            }
        }
        // Only a crash between a removal on a full disk and its gap record leaves losses without a name.
        let mut unnamed: u64 = self.declared.iter().filter(|loss| loss.alias.is_none()).map(|loss| loss.records).sum();
        for id in &self.reported {
            let is_delivered = came.contains(id) || self.acknowledged.contains(id);
            let mut losses = self.losses_of(id).peekable();
            if !is_delivered && losses.peek().is_none() {
                assert!(unnamed > 0, "{id:?} is lost");
                unnamed -= 1;
            }
            assert!(!is_delivered || losses.all(|loss| loss.maybe_delivered), "{id:?} came and was declared lost");
        }
        assert_eq!(self.buffer().losses(), []);
        for id in came {
            self.acknowledge(id);
        }
        self.commit().unwrap();
        let usage = self.buffer().usage();
        assert_eq!((usage.records_waiting, usage.readings_waiting, usage.oldest), (0, 0, None));
        assert!(usage.segments <= 3, "{} segments for an empty buffer", usage.segments);
        let fixed = 3 * 8192 + self.settings.reserve_bytes;
        assert!(self.disk.used() <= fixed + 3 * self.settings.segment_bytes, "{} bytes stay", self.disk.used());
    }
}
