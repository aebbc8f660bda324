//! One life of a buffer on the tape, and what its owner knows at each call.

use std::collections::BTreeMap;
use std::sync::Arc;

use lingate_buffer::{Buffer, Loss, Overflow, RecordId, Settings};
use lingate_model::{Priority, UtcMicros};
use lingate_seal::Sealed;

use super::image::{Call, Tape};
use super::record;
use crate::Chance;

/// Room for a handful of segments, so that a life overflows again and again.
pub(super) fn settings() -> Settings {
    Settings {
        max_bytes: 3 * 8192 + 4096 + 7 * 4096,
        segment_bytes: 4096,
        overflow: Overflow::DropOldest,
        reserve_bytes: 4096,
        uncommitted_bytes: 64 * 1024,
    }
}

/// What happened between two calls.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Appended(RecordId, Arc<[u8]>),
    Reported(RecordId),
    /// Asked for; the disk may not have heard of it yet.
    Acknowledged(RecordId),
    /// The gap record of this number is on its way to the disk.
    Told(u64, Loss),
    /// All gap records that were on their way are durable.
    Declared,
    /// The process ended cleanly and another one began: what was told and not declared is told again.
    Began,
}

pub(super) struct Life {
    pub(super) calls: Vec<Call>,
    /// With the number of calls before each.
    pub(super) events: Vec<(usize, Event)>,
    pub(super) overflows: usize,
}

struct Living {
    tape: Tape,
    chance: Chance,
    buffer: Option<Buffer<Tape>>,
    events: Vec<(usize, Event)>,
    waiting: BTreeMap<RecordId, Sealed>,
    seq: u64,
    gaps: u64,
    overflows: usize,
    utc: i64,
}

/// At least so many calls long.
pub(super) fn live(seed: u64, calls: usize) -> Life {
    let tape = Tape::default();
    let buffer = Buffer::open(tape.clone(), settings()).expect("the tape takes everything").0;
    let mut living = Living {
        tape,
        chance: Chance::new(seed),
        buffer: Some(buffer),
        events: Vec::new(),
        waiting: BTreeMap::new(),
        seq: 0,
        gaps: 0,
        overflows: 0,
        utc: 0,
    };
    while living.tape.calls() < calls {
        living.act();
    }
    Life { calls: living.tape.take_calls(), events: living.events, overflows: living.overflows }
}

impl Living {
    fn act(&mut self) {
        match self.chance.below(24) {
            0..10 => self.append(),
            10..18 => self.commit(),
            18..21 => self.deliver(),
            21 => self.buffer().rewind(),
            22 if self.chance.once_in(4) => self.set_aside(),
            23 if self.chance.once_in(6) => self.restart(),
            _ => {}
        }
    }

    fn buffer(&mut self) -> &mut Buffer<Tape> {
        self.buffer.as_mut().expect("it is open")
    }

    fn tell(&mut self, event: Event) {
        self.events.push((self.tape.calls(), event));
    }

    fn append(&mut self) {
        let class = self.chance.pick(&Priority::ALL);
        let sizes = [20, 300, 900, 1_600, 3_200];
        let size = self.chance.pick(&sizes);
        let record = record::batch(class, self.seq, size);
        self.seq += 1;
        self.put(class, &record);
    }

    fn put(&mut self, class: Priority, record: &Sealed) {
        // What makes room changes the disk before the record has a place.
        if let Ok(id) = self.buffer().append(class, record) {
            self.tell(Event::Appended(id, record.shared_bytes()));
        }
    }

    /// As the engine does it: what was lost is declared first.
    fn commit(&mut self) {
        loop {
            let losses = self.buffer().losses();
            if losses.is_empty() {
                break;
            }
            for loss in losses {
                self.overflows += 1;
                self.put(loss.priority, &record::gap(self.gaps));
                self.tell(Event::Told(self.gaps, loss));
                self.gaps += 1;
            }
        }
        self.utc += 1_000_000;
        let utc = UtcMicros(self.utc);
        let committed = self.buffer().commit(utc).expect("the tape takes everything");
        committed.records.iter().for_each(|(id, _, _)| self.tell(Event::Reported(*id)));
        if !self.buffer().has_uncommitted() {
            self.tell(Event::Declared);
        }
    }

    fn deliver(&mut self) {
        let class = self.chance.pick(&Priority::ALL);
        let count = 1 + self.chance.below(9);
        for _ in 0..count {
            let Ok(Some((id, sealed))) = self.buffer().next(class) else { break };
            self.waiting.insert(id, sealed);
        }
        let ids: Vec<RecordId> = self.waiting.keys().copied().collect();
        for id in ids {
            if !self.chance.once_in(5) {
                self.waiting.remove(&id);
                self.tell(Event::Acknowledged(id));
                self.buffer().acknowledge(id).expect("the tape takes everything");
            }
        }
    }

    fn set_aside(&mut self) {
        let class = self.chance.pick(&Priority::ALL);
        if let Ok(Some((id, _))) = self.buffer().next(class) {
            let utc = UtcMicros(self.utc);
            self.buffer().quarantine(id, 0x99, utc).expect("the tape takes everything");
        }
    }

    fn restart(&mut self) {
        self.commit();
        let utc = UtcMicros(self.utc);
        self.buffer.take().expect("it is open").close(utc).expect("the tape takes everything");
        self.waiting.clear();
        self.tell(Event::Began);
        self.buffer = Some(Buffer::open(self.tape.clone(), settings()).expect("the tape takes everything").0);
    }
}
