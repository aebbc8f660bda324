//! I2, I3, I4, I7: what became of values.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::records::declared_and_received;
use crate::opened::{Gap, Lost, Opened};
use crate::points::Points;
use crate::{Counts, Evidence, Outcome};

/// Causes of gaps over slots in which no device served anything.
const NEVER_SERVED: [&str; 5] = ["DeviceDown", "DecodeFailure", "Overload", "DeviceOverflow", "NotificationLost"];

/// In place of a content key's id: nobody knows whose the records were.
const NAMELESS: &str = "0000000000000000";

pub(crate) fn is_of_served(gap: &Gap) -> bool {
    !NEVER_SERVED.contains(&gap.cause.as_str())
}

/// To it reaches the gap over a KEY: what of the epoch was on disk is told beside it.
const SEQ_LAST: u64 = (1 << 20) - 1;

/// Readings that gaps declare. A range of records that is declared once more with the same cause, as it was or within a
/// longer one, is one loss (wire.md section 5). Of one that may have been delivered, what arrived is no loss.
pub(super) fn declared(opened: &Opened, counts: impl Fn(&Gap) -> bool) -> u64 {
    let (mut ranges, mut sum) = (Vec::new(), 0);
    let lost = |gap: &Gap| gap.readings.saturating_sub(arrived_of(opened, gap));
    for gap in opened.gaps.iter().filter(|gap| counts(gap)) {
        match &gap.lost {
            Lost::Records { kid, first, last } if *kid != NAMELESS => {
                ranges.push((kid, gap.cause.as_str(), *last == SEQ_LAST, *first, Reverse(*last), lost(gap)));
            }
            Lost::Records { .. } | Lost::Slots { .. } => sum += lost(gap),
        }
    }
    ranges.sort_unstable();
    // Each comes behind those that it may lie in.
    ranges.dedup_by(|(kid, cause, whole, first, last, _), (of, its_cause, its_whole, start, end, _)| {
        (kid, cause, whole) == (of, its_cause, its_whole) && *first >= *start && last.0 <= end.0
    });
    sum + ranges.iter().map(|(.., readings)| readings).sum::<u64>()
}

/// Readings that arrived although they may have been lost.
fn arrived_of(opened: &Opened, gap: &Gap) -> u64 {
    let Lost::Records { kid, first, last } = gap.lost.clone() else { return 0 };
    let range = (kid.clone(), first)..=(kid, last);
    let arrived = opened.records.range(range).filter(|_| gap.maybe_delivered);
    arrived.map(|(_, record)| record.readings).sum()
}

/// By cause, as a person would add them up.
pub(super) fn declared_by_cause(opened: &Opened) -> BTreeMap<&str, u64> {
    let causes: BTreeSet<&str> = opened.gaps.iter().map(|gap| gap.cause.as_str()).collect();
    causes.into_iter().map(|cause| (cause, declared(opened, |gap| gap.cause == cause))).collect()
}

pub(super) fn nothing_is_invented(points: &Points) -> Outcome {
    if !points.is_judged {
        return Outcome::not_judged("no device of this run says in its values when they were served");
    }
    Outcome::of(points.invented.clone())
}

pub(super) fn every_value_is_as_served(evidence: &Evidence, points: &Points) -> Outcome {
    let mut seen = points.foreign.clone();
    match evidence.values {
        None if !points.is_judged => return Outcome::not_judged("no value was compared with what was served"),
        Some(values) if values.wrong > 0 => seen.push(format!("{} of {} values", values.wrong, values.checked)),
        _ => {}
    }
    Outcome::of(seen)
}

pub(super) fn every_served_value_is_there_once(evidence: &Evidence, points: &Points) -> Outcome {
    if !points.is_judged {
        return Outcome::not_judged("no device of this run says in its values when they were served");
    }
    let mut seen = points.twice.clone();
    seen.extend(points.undeclared.iter().cloned());
    if let Some(limit) = evidence.unaccepted_ms_max
        && points.longest_loss_ms > limit
    {
        seen.push(format!("{} ms of one point were lost before acceptance, {limit} at most", points.longest_loss_ms));
    }
    Outcome::of(seen)
}

/// Served values that are neither read nor declared, or the other way round.
pub(super) fn undeclared(evidence: &Evidence) -> u64 {
    let opened = &evidence.opened;
    let (acquired, good) = (acquired(evidence), good(opened));
    match evidence.counts {
        Counts::Exact => acquired.abs_diff(good + declared(opened, is_of_served)),
        Counts::AtLeast => acquired.saturating_sub(good + declared(opened, |_| true)),
    }
}

fn acquired(evidence: &Evidence) -> u64 {
    evidence.served.iter().map(|device| device.slots).sum::<u64>() + evidence.told
}

/// What was read of what was served: a bad reading stands for a slot in which nothing was.
fn good(opened: &Opened) -> u64 {
    let first = opened.steps.iter().filter(|step| step.step == 1);
    first.map(|step| step.seen).sum::<u64>().saturating_sub(opened.bad_readings)
}

pub(super) fn counts_add_up(evidence: &Evidence, points: &Points) -> Outcome {
    let opened = &evidence.opened;
    if acquired(evidence) == 0 {
        return Outcome::not_judged("it is not known what was served");
    }
    let mut seen = declared_and_received(opened);
    let read = good(opened) + opened.bad_readings;
    let suppressed: u64 = opened.steps.iter().map(|step| step.seen.saturating_sub(step.kept)).sum();
    if read.saturating_sub(suppressed) != opened.readings {
        seen.push(format!("read {read} - suppressed {suppressed} is not the {} opened readings", opened.readings));
    }
    let (of_served, of_all) = (declared(opened, is_of_served), declared(opened, |_| true));
    let undeclared = undeclared(evidence);
    if undeclared > 0 {
        let (acquired, good) = (acquired(evidence), good(opened));
        seen.push(format!(
            "{undeclared} apart: served {acquired}, read {good}, declared {of_served}, with what was not served {of_all}"
        ));
    }
    for (cause, missed) in &evidence.missed {
        let declared = declared(opened, |gap| gap.cause == *cause);
        if declared != *missed {
            seen.push(format!("{cause}: {missed} slots were missed, {declared} are declared"));
        }
    }
    if points.is_judged && evidence.counts == Counts::Exact && suppressed == 0 && points.missing != of_served {
        seen.push(format!("{} values that were served did not arrive, {of_served} are declared", points.missing));
    }
    Outcome::of(seen)
}
