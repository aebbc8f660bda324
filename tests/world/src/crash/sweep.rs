//! The sweep: crash, open, compare with what the owner knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lingate_buffer::{Buffer, Loss, RecordId};
use lingate_model::{Priority, UtcMicros};
use lingate_seal::{DataMessage, RecordKind};

use super::image::{Image, Tear};
use super::life::{Event, Life, live, settings};
use super::record;
use crate::Chance;

/// More pending changes than this are not tried in every combination.
const ALL_SUBSETS: usize = 5;
const RANDOM_SUBSETS: u64 = 24;
/// After one in so many crashes the next process also writes.
const WRITES_ON: u64 = 8;

/// What one sweep saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sweep {
    pub calls: usize,
    pub states: u64,
    /// Records that had to come back, over all states.
    pub owed: u64,
    pub losses_told: u64,
}

/// All crashes of the life of this seed; every `of`th call, from `part`, so that threads can share the work.
///
/// Errors: the first violation, in words that let it be found again.
pub fn sweep(seed: u64, calls: usize, part: usize, of: usize) -> Result<Sweep, String> {
    let life = live(seed, calls);
    if life.overflows < 20 {
        return Err(format!("seed {seed}: {} losses: this life shows nothing", life.overflows));
    }
    let mut swept = Sweep { calls: life.calls.len(), ..Sweep::default() };
    let (mut image, mut owner) = (Image::default(), Owner::default());
    let mut events = life.events.iter().peekable();
    let mut chance = Chance::new(seed);
    for (number, call) in life.calls.iter().enumerate() {
        while let Some((_, event)) = events.next_if(|(before, _)| *before <= number) {
            owner.hear(event);
        }
        image.apply(call);
        // What was begun during this call is known to the owner before the call returns.
        let intents = intents(&life, number + 1);
        if number % of != part {
            continue;
        }
        for (kept, tear) in subsets(&image, &mut chance) {
            let wrong = |why: String| format!("seed {seed}, after call {}, kept {kept:b}, {tear:?}: {why}", number + 1);
            let disk = image.crashed(kept, tear).to_disk();
            owner.judge(disk, &intents, chance.once_in(WRITES_ON), &mut swept).map_err(wrong)?;
        }
    }
    Ok(swept)
}

/// Records that were appended and gaps that were told with the calls up to here.
fn intents(life: &Life, calls: usize) -> Vec<Event> {
    let from = life.events.partition_point(|(before, _)| *before < calls);
    life.events[from..].iter().take_while(|(before, _)| *before == calls).map(|(_, event)| event.clone()).collect()
}

/// None, all, every prefix, each one alone lost and alone kept, and some at random; or all there are. Then torn ones.
fn subsets(image: &Image, chance: &mut Chance) -> Vec<(u64, Option<Tear>)> {
    let count = image.pending.len().min(63);
    let all = (1_u64 << count) - 1;
    let mut masks: BTreeSet<u64> = if count <= ALL_SUBSETS {
        (0..=all).collect()
    } else {
        let prefixes = (0..=count).map(|length| (1 << length) - 1);
        let single = (0..count).flat_map(|at| [1 << at, all & !(1 << at)]);
        prefixes.chain(single).collect()
    };
    if count > ALL_SUBSETS {
        masks.extend((0..RANDOM_SUBSETS).map(|_| chance.draw() & all));
    }
    let tears: Vec<(u64, Option<Tear>)> = (0..8.min(4 * count as u64))
        .map(|_| {
            let tear = Tear { sectors: 1 + chance.below(7) as usize, keeps_end: chance.once_in(2) };
            (chance.draw() & all, Some(tear))
        })
        .collect();
    masks.into_iter().map(|mask| (mask, None)).chain(tears).collect()
}

/// The naive second implementation: what was said, in sets.
#[derive(Default)]
struct Owner {
    /// A place that was not reported may be used again, by another process.
    appended: BTreeMap<RecordId, Vec<Arc<[u8]>>>,
    /// Reported, not acknowledged, not declared.
    owed: BTreeSet<RecordId>,
    acknowledged: BTreeSet<RecordId>,
    told: BTreeMap<u64, Loss>,
}

impl Owner {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Appended(id, bytes) => self.appended.entry(*id).or_default().push(bytes.clone()),
            Event::Reported(id) => {
                self.owed.insert(*id);
            }
            Event::Acknowledged(id) => {
                self.owed.remove(id);
                self.acknowledged.insert(*id);
            }
            Event::Told(number, loss) => drop(self.told.insert(*number, loss.clone())),
            Event::Declared => {
                for loss in std::mem::take(&mut self.told).into_values() {
                    self.owed = self.owed.iter().copied().filter(|id| !self.covers(&loss, *id)).collect();
                }
            }
            Event::Began => self.told.clear(),
        }
    }

    /// A batch's number is unique over all classes, and so is a gap's.
    fn covers(&self, loss: &Loss, id: RecordId) -> bool {
        let Some(message) = self.appended.get(&id).and_then(|all| DataMessage::parse(all.last()?).ok()) else {
            return false;
        };
        loss.kid == message.kid && (loss.first_seq..=loss.last_seq).contains(&message.seq)
    }

    fn judge(
        &self,
        disk: lingate_buffer::fake::FakeDisk,
        intents: &[Event],
        writes_on: bool,
        swept: &mut Sweep,
    ) -> Result<(), String> {
        swept.states += 1;
        swept.owed += self.owed.len() as u64;
        let (mut buffer, _) = Buffer::open(disk, settings()).map_err(|error| format!("it does not open: {error}"))?;
        let mut came = BTreeSet::new();
        let mut gaps = BTreeSet::new();
        for class in Priority::ALL {
            let mut last = None;
            while let Some((id, sealed)) = buffer.next(class).map_err(|error| format!("it does not read: {error}"))? {
                ensure(last.replace(id).is_none_or(|last| last < id), || format!("{id} comes out of order"))?;
                self.is_known(id, sealed.bytes(), intents)?;
                if sealed.kind() == RecordKind::Gap {
                    gaps.insert(sealed.seq());
                }
                came.insert(id);
            }
        }
        let losses: Vec<Loss> =
            std::iter::from_fn(|| Some(buffer.losses()).filter(|it| !it.is_empty())).flatten().collect();
        swept.losses_told += losses.len() as u64;
        self.settle(&came, &gaps, &losses)?;
        if writes_on { Owner::write_on(&mut buffer, &came) } else { Ok(()) }
    }

    fn is_known(&self, id: RecordId, bytes: &[u8], intents: &[Event]) -> Result<(), String> {
        let intended =
            |event: &Event| matches!(event, Event::Appended(of, content) if *of == id && **content == *bytes);
        let known = self.appended.get(&id);
        let is_reported = self.owed.contains(&id) || self.acknowledged.contains(&id);
        let holds = match known {
            Some(all) if is_reported => all.last().is_some_and(|last| **last == *bytes),
            Some(all) => all.iter().any(|content| **content == *bytes) || intents.iter().any(intended),
            None => intents.iter().any(intended),
        };
        ensure(holds, || format!("{id} was invented or is another record"))
    }

    /// Everything owed has come, or is lost in words; and nothing came that is lost for certain.
    fn settle(&self, came: &BTreeSet<RecordId>, gaps: &BTreeSet<u64>, losses: &[Loss]) -> Result<(), String> {
        let declared: Vec<&Loss> =
            self.told.iter().filter(|(number, _)| gaps.contains(number)).map(|it| it.1).collect();
        // A gap record that was durable and freed took its loss with it.
        let perhaps: Vec<&Loss> = self.told.values().collect();
        let mut nameless: u64 = losses.iter().filter(|loss| loss.alias.is_none()).map(|loss| loss.records).sum();
        for id in self.owed.iter().filter(|id| !came.contains(id)) {
            let is_told = losses.iter().any(|loss| self.covers(loss, *id));
            let is_declared = declared.iter().chain(&perhaps).any(|loss| self.covers(loss, *id));
            if !is_told && !is_declared {
                ensure(nameless > 0, || format!("{id} was reported, and is lost"))?;
                nameless -= 1;
            }
        }
        for id in came {
            let certain = losses.iter().find(|loss| !loss.maybe_delivered && self.covers(loss, *id));
            ensure(certain.is_none(), || format!("{id} came, and is told as lost for certain"))?;
        }
        Ok(())
    }

    fn write_on(buffer: &mut Buffer<lingate_buffer::fake::FakeDisk>, came: &BTreeSet<RecordId>) -> Result<(), String> {
        let record = record::batch(Priority::High, 1 << 19, 60);
        let id = buffer.append(Priority::High, &record).map_err(|error| format!("it takes nothing: {error}"))?;
        ensure(!came.contains(&id), || format!("{id} is used twice"))?;
        let committed = buffer.commit(UtcMicros(1 << 40)).map_err(|error| format!("it cannot commit: {error}"))?;
        ensure(committed.records.iter().any(|(of, _, _)| *of == id), || format!("{id} is not reported"))?;
        let next = buffer.next(Priority::High).map_err(|error| error.to_string())?;
        ensure(next.is_some_and(|(of, sealed)| of == id && sealed == record), || format!("{id} does not come"))
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
