//! I1, I5, I6, I8, I9: what became of records.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::opened::{Lost, Opened};
use crate::points::Points;
use crate::{Evidence, Identity, Outcome};

/// Reasons of the receiver for one identity with two contents.
const TWO_CONTENTS: [&str; 2] = ["clone", "second key"];

/// Ranges of sequence numbers that gaps declare, by epoch; `certain` leaves out what may have been delivered.
fn declared_numbers(opened: &Opened, certain: bool) -> BTreeMap<&str, Vec<(u64, u64)>> {
    let mut ranges: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for gap in opened.gaps.iter().filter(|gap| !(certain && gap.maybe_delivered)) {
        if let Lost::Records { kid, first, last } = &gap.lost {
            ranges.entry(kid).or_default().push((*first, *last));
        }
    }
    ranges
}

fn covers(ranges: &BTreeMap<&str, Vec<(u64, u64)>>, (kid, seq): &Identity) -> bool {
    ranges.get(kid.as_str()).is_some_and(|ranges| ranges.iter().any(|(first, last)| (*first..=*last).contains(seq)))
}

pub(super) fn nothing_accepted_is_lost(evidence: &Evidence) -> Outcome {
    let (opened, declared) = (&evidence.opened, declared_numbers(&evidence.opened, false));
    let lost = evidence
        .durable
        .records
        .iter()
        .filter(|identity| !opened.records.contains_key(*identity) && !covers(&declared, identity))
        .map(|(kid, seq)| format!("{kid}:{seq} was reported durable, did not arrive and is not declared"));
    Outcome::of(lost.collect())
}

pub(super) fn duplicates_are_equal(evidence: &Evidence) -> Outcome {
    let alarms = evidence.opened.alarms.iter().filter(|(reason, _)| TWO_CONTENTS.contains(&reason.as_str()));
    Outcome::of(alarms.map(|(_, text)| text.clone()).collect())
}

pub(super) fn streams_are_ordered_and_dense(evidence: &Evidence, points: &Points) -> Outcome {
    let opened = &evidence.opened;
    let mut seen = holes(opened);
    for (kid, epoch) in &opened.epochs {
        if epoch.order_violations > 0 {
            seen.push(format!("epoch {kid}: {} records came after a later one", epoch.order_violations));
        }
        if epoch.wrong_root {
            seen.push(format!("epoch {kid}: its records are not those that its end names"));
        }
    }
    let alarms = opened.alarms.iter().filter(|(reason, _)| !TWO_CONTENTS.contains(&reason.as_str()));
    seen.extend(alarms.map(|(_, text)| text.clone()));
    seen.extend(points.disordered.iter().cloned());
    Outcome::of(seen)
}

/// From 0 to the last number that is known of an epoch, each has arrived or is declared; an epoch that another one names
/// as its predecessor has arrived or is declared.
fn holes(opened: &Opened) -> Vec<String> {
    let declared = declared_numbers(opened, false);
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut numbers: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for (kid, seq) in opened.records.keys() {
        last.entry(kid).and_modify(|last| *last = (*last).max(*seq)).or_insert(*seq);
        numbers.entry(kid).or_default().insert(*seq);
    }
    let known_by_close = opened.epochs.iter().filter_map(|(kid, epoch)| Some((kid.as_str(), epoch.close_seq?)));
    let known_by_next = opened.epochs.values().filter_map(|epoch| epoch.previous.as_ref());
    for (kid, seq) in known_by_close.chain(known_by_next.map(|(kid, seq)| (kid.as_str(), *seq))) {
        last.entry(kid).and_modify(|last| *last = (*last).max(seq)).or_insert(seq);
    }
    let mut seen = Vec::new();
    for (kid, last) in last {
        let numbers = numbers.get(kid);
        let is_there = |seq: u64| numbers.is_some_and(|numbers| numbers.contains(&seq));
        for seq in (0..=last).filter(|seq| !is_there(*seq) && !covers(&declared, &(kid.to_owned(), *seq))) {
            seen.push(format!("epoch {kid}: number {seq} of 0 to {last} did not arrive and is not declared"));
        }
    }
    seen
}

/// Declared as lost for certain, and yet received: the other half of I7.
pub(super) fn declared_and_received(opened: &Opened) -> Vec<String> {
    let declared = declared_numbers(opened, true);
    let both = opened.records.keys().filter(|identity| covers(&declared, identity));
    both.map(|(kid, seq)| format!("{kid}:{seq} is declared as lost for certain, and arrived")).collect()
}

pub(super) fn nothing_leaves_the_disk_too_early(evidence: &Evidence) -> Outcome {
    if evidence.images.is_empty() {
        return Outcome::not_judged("no image of the disk was taken");
    }
    let mut seen = Vec::new();
    for (number, image) in evidence.images.iter().enumerate() {
        let gone = image.accepted.iter().filter(|id| !image.waiting.contains(*id) && !image.arrived.contains(*id));
        seen.extend(gone.map(|(kid, seq)| {
            format!("image {number}: {kid}:{seq} is not on the disk, has not arrived and is not declared")
        }));
    }
    Outcome::of(seen)
}

/// No content key meets a nonce twice: not within an epoch, where that takes a number with two contents, and not between
/// two epochs, where it takes one key under two names.
pub(super) fn no_nonce_is_used_twice(evidence: &Evidence) -> Outcome {
    let opened = &evidence.opened;
    let mut seen = Vec::new();
    if evidence.durable.repeated > 0 {
        seen.push(format!("{} identities were reported durable twice", evidence.durable.repeated));
    }
    let alarms = opened.alarms.iter().filter(|(reason, _)| TWO_CONTENTS.contains(&reason.as_str()));
    seen.extend(alarms.map(|(_, text)| text.clone()));
    let mut pairs: HashMap<(&str, u128), &Identity> = HashMap::new();
    let mut without = BTreeSet::new();
    for identity in opened.records.keys() {
        let Some(key) = evidence.keys.get(&identity.0) else {
            without.insert(&identity.0);
            continue;
        };
        let Ok(base) = u128::from_str_radix(&key.base_iv, 16) else {
            seen.push(format!("epoch {}: {:?} is no base IV", identity.0, key.base_iv));
            continue;
        };
        if let Some((kid, seq)) = pairs.insert((&key.key_sha256, base ^ u128::from(identity.1)), identity) {
            let (other, number) = identity;
            seen.push(format!("{kid}:{seq} and {other}:{number} were sealed with one key and one nonce"));
        }
    }
    match without.first() {
        Some(_) if evidence.keys.is_empty() && seen.is_empty() => {
            Outcome::not_judged("no KEY message was opened for its key and base IV")
        }
        Some(kid) if !evidence.keys.is_empty() => {
            seen.push(format!("epoch {kid}: it is not known with which key its records were sealed"));
            Outcome::of(seen)
        }
        _ => Outcome::of(seen),
    }
}
