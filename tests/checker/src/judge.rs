//! The thirteen invariants, each by a function that gets all the evidence and says what it saw.

mod records;
mod surroundings;
mod values;

pub(crate) use values::is_of_served;

use crate::points::Points;
use crate::{Evidence, Outcome, Verdict};

pub fn judge(evidence: &Evidence) -> Verdict {
    let points = Points::of(evidence);
    let outcomes = [
        (1, records::nothing_accepted_is_lost(evidence)),
        (2, values::nothing_is_invented(&points)),
        (3, values::every_value_is_as_served(evidence, &points)),
        (4, values::every_served_value_is_there_once(evidence, &points)),
        (5, records::duplicates_are_equal(evidence)),
        (6, records::streams_are_ordered_and_dense(evidence, &points)),
        (7, values::counts_add_up(evidence, &points)),
        (8, records::nothing_leaves_the_disk_too_early(evidence)),
        (9, records::no_nonce_is_used_twice(evidence)),
        (10, surroundings::only_what_the_policy_names(evidence)),
        (11, surroundings::it_drains_and_lives(evidence)),
        (12, surroundings::the_wires_are_clean(evidence)),
        (13, surroundings::health_tells_the_truth(evidence)),
    ];
    let mut verdict = Verdict {
        run: evidence.run.clone(),
        outcomes: outcomes.into_iter().collect(),
        least: evidence.least,
        ..Verdict::default()
    };
    note_figures(evidence, &points, &mut verdict);
    verdict.vacuous = vacuous(evidence, &verdict);
    verdict
}

fn note_figures(evidence: &Evidence, points: &Points, verdict: &mut Verdict) {
    let opened = &evidence.opened;
    let lost = match verdict.outcomes.get(&1) {
        Some(Outcome::Violated(seen)) => seen.len(),
        _ => 0,
    };
    let duplicates: u64 = opened.epochs.values().map(|epoch| epoch.duplicates).sum();
    let arrived = evidence.durable.records.iter().filter(|id| opened.records.contains_key(*id)).count();
    let slots: u64 = evidence.served.iter().map(|device| device.slots).sum();
    for (name, figure) in [
        ("served", slots + evidence.told),
        ("accepted_records", evidence.durable.records.len() as u64),
        ("accepted_readings", evidence.durable.readings),
        ("arrived_records", arrived as u64),
        ("opened_readings", opened.readings),
        ("lost", lost as u64),
        ("duplicates", duplicates),
        ("gaps", opened.gaps.len() as u64),
        ("undeclared", values::undeclared(evidence)),
        ("declared_readings", values::declared(opened, |_| true)),
        ("values_checked", evidence.values.map_or(0, |values| values.checked) + points.compared),
        ("wrong", evidence.values.map_or(0, |values| values.wrong) + points.foreign.len() as u64),
        ("processes", evidence.durable.processes),
        ("faults", evidence.faults.len() as u64),
        ("disk_images", evidence.images.len() as u64),
    ] {
        verdict.note(name, figure);
    }
    verdict.note("declared_by_cause", serde_json::json!(values::declared_by_cause(opened)));
    if points.is_judged {
        verdict.note("unaccepted_readings", points.missing);
        verdict.note("unaccepted_ms_worst", points.longest_loss_ms);
    }
    if let Some(liveness) = evidence.liveness {
        verdict.note("drained_ms", liveness.drained_ms);
        verdict.note("fresh_ms", liveness.fresh_ms);
        verdict.note("backlog_records", liveness.backlog_records);
    }
}

/// What arrived counts, not what was only accepted.
fn vacuous(evidence: &Evidence, verdict: &Verdict) -> Option<String> {
    let (records, faults) = (verdict.figure("arrived_records"), evidence.faults.len() as u64);
    let least = evidence.least;
    if records < least.records {
        return Some(format!(
            "{records} accepted records arrived, {} are the least that shows anything",
            least.records
        ));
    }
    (faults < least.faults)
        .then(|| format!("{faults} faults were injected, {} are the least that shows anything", least.faults))
}
