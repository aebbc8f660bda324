//! Whose the records in a hole were: numbers of an epoch are dense, so the records on both sides of the hole tell.

use std::collections::BTreeMap;
use std::ops::Range;

use lingate_model::DatasetAlias;
use lingate_seal::{Kid, RecordKind};

use crate::Disk;
use crate::frame::{Identity, PURGED};
use crate::log::Log;
use crate::report::{Loss, LossCause};
use crate::segment::{Found, OnError, Walk};

/// Numbers of one epoch that were in a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    alias: DatasetAlias,
    kid: Kid,
    has_key: bool,
    numbers: Range<u64>,
    /// Otherwise they may be in the hole: nothing else tells where they end or begin.
    is_certain: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Hole {
    positions: Range<u64>,
    /// So many of its records nobody claims for certain.
    rest: u64,
    /// Some of what was claimed may be in another hole.
    is_shared: bool,
    runs: Vec<Run>,
}

/// A stream at one place of the log.
struct Head {
    kid: Kid,
    /// The number that has to come next.
    next: u64,
    /// So many holes were met before it.
    since: usize,
}

/// Numbers that may be in one of some holes.
struct Perhaps {
    holes: Range<usize>,
    alias: DatasetAlias,
    kid: Kid,
    at: At,
}

enum At {
    From(u64),
    Until(u64),
}

impl At {
    /// How many records an epoch has before this number, with its KEY.
    fn beginning(&self) -> Option<u64> {
        match self {
            At::Until(seq) => Some(seq.saturating_add(1)),
            At::From(_) => None,
        }
    }
}

impl Perhaps {
    /// `room` records, or all up to its number.
    fn run(&self, room: u64, is_whole: bool) -> Run {
        let numbers = match self.at {
            At::From(next) => next..next.saturating_add(room),
            At::Until(seq) if is_whole => 0..seq,
            At::Until(seq) => seq.saturating_sub(room)..seq,
        };
        Run { alias: self.alias.clone(), kid: self.kid, has_key: is_whole, numbers, is_certain: is_whole }
    }
}

/// The holes around a place of the log, in order.
#[derive(Default)]
pub(crate) struct Names {
    holes: Vec<Hole>,
    heads: BTreeMap<DatasetAlias, Head>,
    perhaps: Vec<Perhaps>,
}

impl Names {
    fn hole(&mut self, positions: Range<u64>) {
        let rest = positions.end - positions.start;
        self.holes.push(Hole { positions, rest, is_shared: false, runs: Vec::new() });
    }

    fn record(&mut self, identity: &Identity) {
        let is_key = identity.kind & !PURGED == RecordKind::Key as u8;
        let (seq, next) = if is_key { (0, 0) } else { (identity.seq, identity.seq.saturating_add(1)) };
        let (alias, kid, met) = (&identity.alias, identity.kid, self.holes.len());
        match self.heads.insert(alias.clone(), Head { kid, next, since: met }) {
            Some(head) if head.since == met => {}
            Some(head) if head.kid == kid => self.claim(head.since, alias, kid, false, head.next..seq),
            Some(head) => {
                self.perhaps(head.since, alias, head.kid, At::From(head.next));
                self.claim(head.since, alias, kid, !is_key, 0..seq);
            }
            None if is_key => {}
            None => self.perhaps(0, alias, kid, At::Until(seq)),
        }
    }

    fn perhaps(&mut self, since: usize, alias: &DatasetAlias, kid: Kid, at: At) {
        let holes = since..self.holes.len();
        if !holes.is_empty() {
            self.perhaps.push(Perhaps { holes, alias: alias.clone(), kid, at });
        }
    }

    /// Each hole takes what it has room for. What is more than that was refused by the buffer, and is declared anyway.
    fn claim(&mut self, since: usize, alias: &DatasetAlias, kid: Kid, mut has_key: bool, mut numbers: Range<u64>) {
        let holes = self.holes.len();
        for (at, hole) in self.holes.iter_mut().enumerate().skip(since) {
            let is_last = at + 1 == holes;
            hole.is_shared |= since + 1 < holes;
            let takes_key = has_key && (hole.rest > 0 || is_last);
            let room = if is_last { u64::MAX } else { hole.rest - u64::from(takes_key) };
            let end = numbers.start.saturating_add(room).min(numbers.end.max(numbers.start));
            let taken = numbers.start..end;
            if takes_key || !taken.is_empty() {
                hole.rest = hole.rest.saturating_sub(end - taken.start + u64::from(takes_key));
                hole.runs.push(Run { alias: alias.clone(), kid, has_key: takes_key, numbers: taken, is_certain: true });
            }
            (has_key, numbers.start) = (has_key && !takes_key, end);
        }
    }

    /// Somebody's next record is not found yet.
    fn waits(&self) -> bool {
        self.heads.values().any(|head| head.since < self.holes.len())
    }

    fn finish(mut self) -> Names {
        for (alias, head) in std::mem::take(&mut self.heads) {
            self.perhaps(head.since, &alias, head.kid, At::From(head.next));
        }
        let room = |hole: &Hole| if hole.is_shared { hole.positions.end - hole.positions.start } else { hole.rest };
        let rooms: Vec<u64> = self.holes.iter().map(room).collect();
        for (at, hole) in self.holes.iter_mut().enumerate().filter(|(at, _)| rooms[*at] > 0) {
            let candidates: Vec<&Perhaps> = self.perhaps.iter().filter(|it| it.holes.contains(&at)).collect();
            let beginnings: Option<Vec<u64>> = candidates.iter().map(|it| it.at.beginning()).collect();
            let whole = beginnings.map(|counts| counts.into_iter().fold(0, u64::saturating_add));
            if whole.is_some_and(|whole| whole > 0 && whole == hole.rest) {
                // Exactly what these epochs have before their first records behind the hole.
                hole.runs.extend(candidates.iter().map(|it| it.run(0, true)));
                hole.rest = 0;
                continue;
            }
            let runs = candidates.iter().map(|it| it.run(rooms[it.holes.clone()].iter().sum(), false));
            hole.runs.extend(runs.filter(|run| !run.numbers.is_empty()));
        }
        self
    }

    fn at(&self, position: u64) -> Option<&Hole> {
        self.holes.iter().find(|hole| hole.positions.contains(&position))
    }
}

impl Log {
    /// What is lost with a hole in which no record tells who it was.
    pub(crate) fn nameless(&mut self, disk: &mut dyn Disk, hole: &Range<u64>, readings: u64) -> Vec<Loss> {
        if self.names.at(hole.start).is_none() {
            self.names = self.name(disk, hole);
        }
        let maybe_delivered = hole.start < self.handed;
        let (runs, rest) =
            self.names.at(hole.start).map_or((&[][..], hole.end - hole.start), |it| (&it.runs[..], it.rest));
        let mut losses: Vec<Loss> = runs.iter().map(|run| run.loss(self, maybe_delivered)).collect();
        if rest > 0 || losses.is_empty() {
            losses.insert(0, Loss::unknown(self.class, rest, 0, maybe_delivered));
        }
        losses[0].readings = readings;
        losses
    }

    /// Reads the segments of a hole, the one before it, and of the one behind it as much as is needed.
    fn name(&self, disk: &mut dyn Disk, hole: &Range<u64>) -> Names {
        let mut names = Names::default();
        let this = self.segments.range(..=hole.start).next_back().map(|(first, _)| *first);
        if this.is_none() {
            names.hole(hole.clone());
        }
        let from = this.map_or(0, |this| self.segments.range(..this).next_back().map_or(this, |(first, _)| *first));
        for &first in self.segments.range(from..).map(|(first, _)| first) {
            if first >= hole.end && !names.waits() {
                break;
            }
            self.name_in(disk, &mut names, first, hole.end);
            if first >= hole.end {
                break;
            }
        }
        names.finish()
    }

    fn name_in(&self, disk: &mut dyn Disk, names: &mut Names, first: u64, hole_end: u64) {
        let end = self.end_of(first);
        let Ok(mut walk) = Walk::open(disk, self.class, first) else { return names.hole(first..end) };
        while first < hole_end || names.waits() {
            match walk.step(disk, first, Some(end), OnError::GoOn) {
                Ok(Found::Frame { header, .. } | Found::Damage { header: Some(header), .. }) => {
                    names.record(&header.identity);
                }
                Ok(Found::Damage { from, to, .. }) => names.hole(from..to),
                Ok(Found::End) | Err(_) => break,
            }
        }
        disk.close(walk.file);
    }
}

impl Run {
    fn loss(&self, log: &Log, maybe_delivered: bool) -> Loss {
        let keys = u64::from(self.has_key);
        let count = self.numbers.end - self.numbers.start + keys;
        Loss {
            alias: Some(self.alias.clone()),
            kid: self.kid,
            first_seq: self.numbers.start,
            last_seq: self.numbers.end.saturating_sub(1).max(self.numbers.start),
            keys,
            // Number 0 is the catalogue.
            loses_epoch: self.has_key || (self.is_certain && self.numbers.start == 0),
            cause: LossCause::Corruption,
            ..Loss::unknown(log.class, if self.is_certain { count } else { 0 }, 0, maybe_delivered || !self.is_certain)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panic")]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn identity(stream: u8, epoch: u8, kind: RecordKind, seq: u64) -> Identity {
        let alias = format!("q{stream}").parse().unwrap();
        Identity { kind: kind as u8, alias, kid: Kid([stream, epoch, 0, 0, 0, 0, 0, 0]), seq, readings: 1, note: 0 }
    }

    /// Streams that take turns; `true` begins an epoch.
    fn written(turns: &[(u8, bool)]) -> Vec<Identity> {
        let mut next = BTreeMap::<u8, (u8, u64)>::new();
        let mut log = Vec::new();
        for (stream, begins) in turns {
            let (epoch, seq) = next.get(stream).copied().unwrap_or((0, 0));
            let (epoch, seq) = if *begins || epoch == 0 { (epoch + 1, 0) } else { (epoch, seq) };
            log.extend((seq == 0).then(|| identity(*stream, epoch, RecordKind::Key, 0)));
            log.push(identity(*stream, epoch, RecordKind::Batch, seq));
            next.insert(*stream, (epoch, seq + 1));
        }
        log
    }

    fn named(log: &[Identity], holes: &[Range<usize>]) -> (Names, BTreeSet<usize>) {
        let gone: BTreeSet<usize> = holes.iter().cloned().flatten().filter(|at| *at < log.len()).collect();
        let mut names = Names::default();
        let mut at = 0;
        while at < log.len() {
            let end = (at..log.len()).find(|next| !gone.contains(next)).unwrap_or(log.len());
            if end > at {
                names.hole(at as u64..end as u64);
                at = end;
            } else {
                names.record(&log[at]);
                at += 1;
            }
        }
        (names.finish(), gone)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn every_number_in_a_hole_is_told_and_none_outside_for_certain(
            turns in prop::collection::vec((0_u8..3, prop::bool::weighted(0.08)), 1..60),
            holes in prop::collection::vec((0_usize..70, 1_usize..6), 1..5),
            freed in 0_usize..20,
        ) {
            let log = written(&turns);
            let log = &log[freed.min(log.len())..];
            let holes: Vec<_> = holes.into_iter().map(|(start, count)| start..start + count).collect();
            let (names, gone) = named(log, &holes);
            let runs: Vec<&Run> = names.holes.iter().flat_map(|hole| &hole.runs).collect();
            let tells = |run: &Run, it: &Identity| run.kid == it.kid && run.numbers.contains(&it.seq);
            for (at, it) in log.iter().enumerate().filter(|(_, it)| it.kind == RecordKind::Batch as u8) {
                let is_known = log.iter().enumerate().any(|(at, other)| other.kid == it.kid && !gone.contains(&at));
                let is_told = runs.iter().any(|run| tells(run, it));
                prop_assert!(!gone.contains(&at) || !is_known || is_told, "{it:?} is in a hole: {runs:?}");
                let is_certain = runs.iter().any(|run| run.is_certain && tells(run, it));
                prop_assert!(gone.contains(&at) || !is_certain, "{it:?} came: {runs:?}");
            }
            let rest: u64 = names.holes.iter().map(|hole| hole.rest).sum();
            let certain = runs.iter().filter(|run| run.is_certain);
            let certain: u64 = certain.map(|run| run.numbers.end - run.numbers.start + u64::from(run.has_key)).sum();
            prop_assert_eq!(rest + certain, gone.len() as u64);
        }
    }

    #[test]
    fn a_hole_between_two_numbers_has_what_is_missing() {
        let log = written(&[(0, false), (0, false), (1, false), (0, false), (1, false), (0, false)]);
        let (names, _) = named(&log, std::slice::from_ref(&(5..7)));
        let told: Vec<_> = names.holes[0].runs.iter().map(|run| (run.alias.as_str(), run.numbers.clone())).collect();
        assert_eq!((told, names.holes[0].rest), (vec![("q0", 2..3), ("q1", 1..2)], 1));
    }

    #[test]
    fn an_epoch_whose_key_is_in_a_hole_lost_it() {
        let log = written(&[(0, false), (0, false), (0, true), (0, false), (0, false)]);
        let (names, _) = named(&log, std::slice::from_ref(&(3..5)));
        let run = &names.holes[0].runs[0];
        assert_eq!((run.kid.0[1], run.has_key, run.numbers.clone(), names.holes[0].rest), (2, true, 0..1, 0));
    }
}
