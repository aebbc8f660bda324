//! Values that tell device, tag and n, compared one by one with the serve counters.

use std::collections::{BTreeMap, HashMap};

use lingate_model::Value;
use lingate_plant::Motion;

use crate::judge::is_of_served;
use crate::opened::{Gap, Lost, OpenedValue};
use crate::{Counts, Evidence, ServedDevice};

/// Values carry the lowest 20 bits of n.
const N_BITS: u32 = 0xF_FFFF;
/// Examples that are kept of each finding.
const KEPT: usize = 20;
/// Rows of one poll are stamped one behind the other; gaps and readings may come by two tasks.
const SLACK_US: i64 = 50_000;

/// What the comparison found; lists hold examples.
#[derive(Debug, Default)]
pub(crate) struct Points {
    pub(crate) is_judged: bool,
    pub(crate) invented: Vec<String>,
    pub(crate) foreign: Vec<String>,
    pub(crate) twice: Vec<String>,
    pub(crate) disordered: Vec<String>,
    pub(crate) undeclared: Vec<String>,
    /// Served and never received.
    pub(crate) missing: u64,
    /// The most polls in a row that one point lost, times the poll interval.
    pub(crate) longest_loss_ms: u64,
    pub(crate) compared: u64,
}

/// A received value: its n and where it stands.
struct Seen<'a> {
    n: u32,
    value: &'a OpenedValue,
}

struct Point {
    /// The upper 12 bits of every value; `None` for a serve counter.
    base: Option<u32>,
}

impl Points {
    pub(crate) fn of(evidence: &Evidence) -> Points {
        let mut points = Points::default();
        for device in evidence.served.iter().filter(|device| device.self_describing) {
            points.is_judged = true;
            points.judge_device(evidence, device);
        }
        points
    }

    fn judge_device(&mut self, evidence: &Evidence, device: &ServedDevice) {
        let Ok(spec) = device.spec() else {
            return note(&mut self.invented, || format!("device {} is of no kind that is known", device.name));
        };
        let known: HashMap<String, Point> = spec
            .tags()
            .iter()
            .map(|tag| {
                let base = match spec.expected(&tag.name, 0) {
                    Some(Value::UInt32(base)) if tag.motion != Motion::Counter => Some(base),
                    _ => None,
                };
                (format!("{}/{}", device.name, tag.name), Point { base })
            })
            .collect();
        let mut seen: BTreeMap<&str, Vec<Seen<'_>>> = BTreeMap::new();
        let mut rows: BTreeMap<i64, u32> = BTreeMap::new();
        let prefix = format!("{}/", device.name);
        for value in evidence.opened.values.iter().filter(|value| value.point.starts_with(&prefix)) {
            let Some(point) = known.get(&value.point) else {
                note(&mut self.invented, || format!("{} is no point of any device", value.point));
                continue;
            };
            let before = seen.get(value.point.as_str()).and_then(|seen| seen.last()).map_or(0, |seen| seen.n);
            match self.n_of(point, value, before) {
                Some(n) if n == 0 || n > device.polls => {
                    note(&mut self.invented, || format!("{}: n {n} of {} polls", value.point, device.polls));
                }
                Some(n) => {
                    self.compared += 1;
                    // The values of one row are of one poll.
                    let of_row = *rows.entry(value.time_us).or_insert(n);
                    if of_row != n {
                        note(&mut self.foreign, || format!("{}: poll {n} in a row of poll {of_row}", value.point));
                    }
                    seen.entry(&value.point).or_default().push(Seen { n, value });
                }
                None => {}
            }
        }
        let mut distinct = 0;
        for point in known.keys() {
            let of_point = seen.remove(point.as_str()).unwrap_or_default();
            distinct += self.judge_point(evidence, (device, known.len()), point, of_point);
        }
        self.missing += device.slots.saturating_sub(distinct);
        if distinct > device.slots {
            note(&mut self.invented, || format!("{}: {distinct} values of {} served", device.name, device.slots));
        }
    }

    fn n_of(&mut self, point: &Point, value: &OpenedValue, before: u32) -> Option<u32> {
        let word = value.value?;
        let Some(base) = point.base else { return Some(word) };
        if word & !N_BITS != base {
            note(&mut self.foreign, || format!("{}: {word:#010x} is no value of this tag", value.point));
            return None;
        }
        // n goes on beyond its 20 bits: the nearest one to what came before.
        let low = word & N_BITS;
        let turns = (before & !N_BITS)..=(before | N_BITS).saturating_add(1);
        [*turns.start(), *turns.end()].map(|turn| turn | low).into_iter().min_by_key(|n| n.abs_diff(before))
    }

    /// How many different values of the point came.
    fn judge_point(
        &mut self,
        evidence: &Evidence,
        (device, tags): (&ServedDevice, usize),
        point: &str,
        mut seen: Vec<Seen<'_>>,
    ) -> u64 {
        if let Some(pair) = seen.windows(2).find(|pair| pair[1].n < pair[0].n) {
            note(&mut self.disordered, || format!("{point}: poll {} stands behind poll {}", pair[1].n, pair[0].n));
        }
        seen.sort_by_key(|seen| seen.n);
        for pair in seen.windows(2).filter(|pair| pair[0].n == pair[1].n) {
            let place = |seen: &Seen<'_>| format!("{}:{}", seen.value.kid, seen.value.seq);
            note(&mut self.twice, || {
                format!("{point}: poll {} stands in {} and in {}", pair[0].n, place(&pair[0]), place(&pair[1]))
            });
        }
        seen.dedup_by_key(|seen| seen.n);
        let edges = std::iter::once(None).chain(seen.iter().map(Some)).zip(seen.iter().map(Some).chain([None]));
        for (before, after) in edges {
            let first = before.map_or(1, |seen| seen.n + 1);
            let end = after.map_or(device.polls.saturating_add(1), |seen| seen.n);
            if first >= end {
                continue;
            }
            self.longest_loss_ms = self.longest_loss_ms.max(u64::from(end - first) * device.every_ms);
            let hole = (before.map(|seen| seen.value), after.map(|seen| seen.value));
            let polls = u64::from(end - first);
            if evidence.counts == Counts::AtLeast && !is_declared(evidence, device, tags, polls, hole) {
                note(&mut self.undeclared, || format!("{point}: polls {first} to {} are nowhere", end - 1));
            }
        }
        seen.len() as u64
    }
}

/// Whether gaps over slots of the device in the hole's time, or over records in the hole's place, have room for so many
/// polls: a gap that only touches a hole excuses no more of it than it declares.
fn is_declared(
    evidence: &Evidence,
    device: &ServedDevice,
    tags: usize,
    polls: u64,
    (before, after): (Option<&OpenedValue>, Option<&OpenedValue>),
) -> bool {
    let dataset_of = |kid: &str| evidence.opened.epochs.get(kid).map(|epoch| epoch.dataset.as_str());
    let own = before.or(after).and_then(|value| dataset_of(&value.kid));
    let from = before.map_or(i64::MIN, |value| value.time_us.saturating_sub(SLACK_US));
    let to = after.map_or(i64::MAX, |value| value.time_us.saturating_add(SLACK_US));
    let from_place = before.map_or((i64::MIN, 0), |value| (value.ordinal, value.seq));
    let to_place = after.map_or((i64::MAX, 0), |value| (value.ordinal, value.seq));
    // Of as many readings as a poll gives, a point has one; at either end of a gap a poll may be there in part.
    let of_readings = |gap: &Gap| gap.readings / (tags as u64).max(1) + 2;
    let room = evidence.opened.gaps.iter().map(|gap| match &gap.lost {
        Lost::Slots { device: of, from_us, to_us } => {
            let is_own = own.is_none() || dataset_of(&gap.kid) == own;
            let is_of_device = of == "*" || *of == device.name;
            if !(is_own && is_of_device && *from_us <= to && *to_us >= from) {
                return 0;
            }
            let overlap = (*to_us).min(to).saturating_sub((*from_us).max(from)).max(0).unsigned_abs();
            (overlap / (device.every_ms.max(1) * 1_000) + 2).min(of_readings(gap))
        }
        Lost::Records { kid, first, last } => match evidence.opened.epochs.get(kid) {
            Some(epoch) if (epoch.ordinal, *last) < from_place || (epoch.ordinal, *first) > to_place => 0,
            // Without an epoch its KEY was lost with it.
            None if !is_of_served(gap) => 0,
            _ => of_readings(gap),
        },
    });
    room.fold(0, u64::saturating_add) >= polls
}

fn note(list: &mut Vec<String>, text: impl FnOnce() -> String) {
    if list.len() < KEPT {
        list.push(text());
    }
}
