//! What a device's register map lacks, learned from what the device refuses (exceptions 02 and 03). Pure: the time comes
//! in, nothing is asked here.
//!
//! ```text
//! block refused ──several values──▶ cut in two, apart from its neighbours
//!      │                               ├── a part is refused ──▶ the cut goes, the part is learned from
//!      │                               └── both are answered ──▶ a border: both are never asked together
//!      └──────────one value──────▶ hole: aside, asked alone after a minute, 2, 4, ... and at most an hour
//!                                      └── answered ──▶ forgotten
//! ```
//!
//! Once a hole is known, nothing else of the search for it is left: the values on both of its sides are read with as few
//! requests as the hole allows. When all values are aside, the map was not at fault (a device that starts), and after a
//! minute everything is forgotten.
//!
//! For a session, which keeps one of these per device across its connections:
//!
//! ```text
//! before a poll   if holes.is_stale(now) { groups = holes.plan(&wanted, limits, now) }  // same groups, same order
//! a request       answered ──▶ holes.answered(&request)
//!                 exception 02 or 03 ──▶ holes.refused(&request, code, now) gives the parts to ask at once or later
//! a value aside   `Group::aside`: its slots are missed by `MissedCause::Quarantine`
//! a report        holes.report(now)
//! ```

use std::time::Duration;

use lingate_model::{Now, SetAside, UtcMicros};

use super::plan::{Block, Group, Limits, Obstacles, Request, Wanted, plan_around};
use super::register::Register;

#[derive(Clone, Debug, Default)]
pub(crate) struct Holes {
    /// In order; none contains another.
    holes: Vec<Hole>,
    cuts: Vec<Cut>,
    has_changed: bool,
    planned_at: Duration,
    /// When all is forgotten, if every value is aside.
    all_again: Option<Duration>,
    /// Facts for which there was no room.
    unlearned: u64,
}

#[derive(Clone, Debug)]
struct Hole {
    block: Block,
    why: &'static str,
    since: UtcMicros,
    wait: Duration,
    again: Duration,
}

/// A refused block, in two parts.
#[derive(Clone, Copy, Debug)]
struct Cut {
    low: Part,
    high: Part,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    block: Block,
    is_answered: bool,
}

/// What to do with a refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// These hold the same values; whatever the device answers to them is to be told to [`Holes`] too.
    Parted(Request, Request),
    /// Its value (or the values that begin there) cannot be read.
    Hole,
}

const WAIT_MIN: Duration = Duration::from_secs(60);
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// Holes that are asked again in one plan.
const AGAIN_MAX: usize = 8;

impl Holes {
    /// Facts that are kept; what is refused beyond them is asked and refused in every poll.
    pub(crate) const MAX: usize = 1024;

    /// Whether a plan made before would ask for more, or for less, than it may.
    pub(crate) fn is_stale(&self, now: Duration) -> bool {
        let is_due = |again: Duration| self.planned_at < again && again <= now;
        self.has_changed || self.all_again.is_some_and(is_due) || self.holes.iter().any(|hole| is_due(hole.again))
    }

    /// The groups of [`plan`](super::plan::plan), around everything that is known. A hole that is due is asked alone.
    pub(crate) fn plan(&mut self, wanted: &[Wanted], limits: Limits, now: Duration) -> Vec<Group> {
        if self.all_again.is_some_and(|again| again <= now) {
            *self = Holes { unlearned: self.unlearned, ..Holes::default() };
        }
        (self.has_changed, self.planned_at) = (false, now);
        let mut groups = plan_around(wanted, limits, &self.obstacles());
        let is_all_aside = !self.holes.is_empty() && groups.iter().all(|group| group.requests.is_empty());
        self.all_again = is_all_aside.then(|| self.all_again.unwrap_or(now.saturating_add(WAIT_MIN)));
        if !is_all_aside {
            let due: Vec<_> = self.holes.iter().filter(|hole| hole.again <= now).take(AGAIN_MAX).collect();
            groups.iter_mut().for_each(|group| ask_again(group, wanted, &due));
        }
        groups
    }

    /// `exception` is 2 or 3: another one says nothing of the map.
    pub(crate) fn refused(&mut self, request: &Request, exception: u8, now: Now) -> Refused {
        let block = request.block();
        let Some((low, high)) = request.split() else {
            self.learn_hole(block, exception, now);
            return Refused::Hole;
        };
        // Planned before a finer fact was known, that is why.
        let is_explained = !self.obstacles().allow(request.last(), block);
        if !is_explained && self.has_room() {
            self.cuts.retain(|cut| !cut.block().contains(&block));
            let part = |request: &Request| Part { block: request.block(), is_answered: false };
            self.cuts.push(Cut { low: part(&low), high: part(&high) });
            self.has_changed = true;
        }
        Refused::Parted(low, high)
    }

    pub(crate) fn answered(&mut self, request: &Request) {
        let block = request.block();
        let count = self.holes.len();
        self.holes.retain(|hole| !block.contains(&hole.block));
        self.has_changed |= self.holes.len() < count;
        for cut in self.cuts.iter_mut().filter(|cut| !cut.is_border()) {
            cut.low.is_answered |= block.contains(&cut.low.block);
            cut.high.is_answered |= block.contains(&cut.high.block);
            self.has_changed |= cut.is_border();
        }
    }

    /// In order of the registers, holes side by side as one.
    pub(crate) fn report(&self, now: Now) -> Vec<SetAside> {
        let mut runs: Vec<Hole> = Vec::new();
        for hole in &self.holes {
            match runs.last_mut().filter(|run| run.touches(hole)) {
                Some(run) => run.absorb(hole),
                None => runs.push(hole.clone()),
            }
        }
        runs.iter().map(|run| run.set_aside(now)).collect()
    }

    /// What was refused and could not be remembered.
    pub(crate) fn unlearned(&self) -> u64 {
        self.unlearned
    }

    fn learn_hole(&mut self, block: Block, exception: u8, now: Now) {
        let known = self.holes.iter().position(|hole| hole.block == block || block.contains(&hole.block));
        if let Some(hole) = known.map(|index| &mut self.holes[index]) {
            hole.wait = hole.wait.saturating_mul(2).min(WAIT_MAX);
            hole.again = now.monotonic.saturating_add(hole.wait);
            self.has_changed = true;
            return;
        }
        if !self.has_room() {
            return;
        }
        self.cuts.retain(|cut| !cut.block().contains(&block));
        self.holes.retain(|hole| !hole.block.contains(&block));
        let why = if exception == 3 { "illegal data value" } else { "illegal data address" };
        let again = now.monotonic.saturating_add(WAIT_MIN);
        let index = self.holes.partition_point(|hole| hole.block < block);
        self.holes.insert(index, Hole { block, why, since: now.utc, wait: WAIT_MIN, again });
        self.has_changed = true;
    }

    fn has_room(&mut self) -> bool {
        let has_room = self.holes.len() + self.cuts.len() < Holes::MAX;
        self.unlearned = self.unlearned.saturating_add(u64::from(!has_room));
        has_room
    }

    fn obstacles(&self) -> Obstacles {
        let borders = self.cuts.iter().flat_map(Cut::borders).collect();
        Obstacles { borders, holes: self.holes.iter().map(|hole| hole.block).collect() }
    }
}

/// One request for every value around a hole that is due.
fn ask_again(group: &mut Group, wanted: &[Wanted], due: &[&Hole]) {
    let is_due = |point: &usize| due.iter().any(|hole| wanted[*point].block().contains(&hole.block));
    let (again, aside): (Vec<usize>, Vec<usize>) = group.aside.iter().partition(|point| is_due(point));
    group.aside = aside;
    for point in again {
        match group.requests.iter_mut().find(|request| request.block() == wanted[point].block()) {
            Some(request) => request.share(point),
            None => group.requests.push(Request::of_one(point, &wanted[point])),
        }
    }
}

impl Hole {
    fn touches(&self, next: &Hole) -> bool {
        let is_beside = next.block.start.area == self.block.start.area
            && u32::from(next.block.start.address) <= self.block.end;
        is_beside && next.why == self.why
    }

    fn absorb(&mut self, next: &Hole) {
        self.block.end = self.block.end.max(next.block.end);
        self.since = self.since.min(next.since);
        self.again = self.again.min(next.again);
    }

    fn set_aside(&self, now: Now) -> SetAside {
        let (start, last) = (self.block.start, self.block.end - 1);
        let what = match last == u32::from(start.address) {
            true => start.to_string(),
            false => format!("{start} to {last}"),
        };
        let rest = self.again.saturating_sub(now.monotonic).as_micros();
        let again = now.utc.0.saturating_add(i64::try_from(rest).unwrap_or(i64::MAX));
        SetAside { what, why: self.why.to_owned(), since: self.since, again: Some(UtcMicros(again)) }
    }
}

impl Cut {
    fn block(&self) -> Block {
        Block { end: self.low.block.end.max(self.high.block.end), ..self.low.block }
    }

    fn is_border(&self) -> bool {
        self.low.is_answered && self.high.is_answered
    }

    /// While its parts are asked for the first time no neighbour is with them, so that a refusal has one reason less.
    fn borders(&self) -> Vec<Register> {
        let middle = self.high.block.start;
        let end = u16::try_from(self.block().end).ok().map(|address| Register { address, ..middle });
        match self.is_border() {
            true => vec![middle],
            false => [Some(self.low.block.start), Some(middle), end].into_iter().flatten().collect(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests;
