//! I10 to I13: policy, liveness, wires, health.

use std::collections::BTreeSet;

use crate::{Evidence, Outcome};

/// Reads, and the device identification (43/14).
const READING_FUNCTIONS: [u8; 5] = [1, 2, 3, 4, 43];

pub(super) fn only_what_the_policy_names(evidence: &Evidence) -> Outcome {
    if evidence.policy.is_empty() {
        return Outcome::not_judged("the run does not say which points may leave");
    }
    let others = evidence.opened.points.difference(&evidence.policy);
    Outcome::of(others.map(|point| format!("{point} left and is not in the policy")).collect())
}

pub(super) fn it_drains_and_lives(evidence: &Evidence) -> Outcome {
    let Some(it) = evidence.liveness else {
        return Outcome::not_judged("the time after the last fault was not measured");
    };
    let mut seen = Vec::new();
    if it.drained_ms > it.drain_limit_ms {
        seen.push(format!("drained after {} ms, {} at most", it.drained_ms, it.drain_limit_ms));
    }
    if it.fresh_ms > it.fresh_limit_ms {
        seen.push(format!("a fresh reading came after {} ms, {} at most", it.fresh_ms, it.fresh_limit_ms));
    }
    Outcome::of(seen)
}

pub(super) fn the_wires_are_clean(evidence: &Evidence) -> Outcome {
    if evidence.taps.is_none() && evidence.served.is_empty() {
        return Outcome::not_judged("nothing was tapped");
    }
    let functions: BTreeSet<u8> = evidence.served.iter().flat_map(|device| device.functions.keys().copied()).collect();
    let others = functions.iter().filter(|code| !READING_FUNCTIONS.contains(code));
    let mut seen: Vec<String> = others.map(|code| format!("function code {code} reached a device")).collect();
    if let Some(taps) = &evidence.taps {
        seen.extend(taps.canaries_found.iter().map(|place| format!("{place} holds a canary in the clear")));
    }
    Outcome::of(seen)
}

pub(super) fn health_tells_the_truth(evidence: &Evidence) -> Outcome {
    let Some(health) = evidence.health else { return Outcome::not_judged("the health endpoint was not asked at rest") };
    let mut seen = Vec::new();
    let mut compare = |what: &str, told: u64, counted: u64| {
        if told != counted {
            seen.push(format!("{what}: health says {told}, the checker counts {counted}"));
        }
    };
    compare("accepted readings", health.accepted_readings, health.logged_readings);
    // Every epoch begins with a KEY, which the log does not name.
    compare("accepted records", health.accepted_records, health.logged_records + health.logged_epochs);
    let missing = evidence.durable.records.iter().filter(|id| !evidence.opened.records.contains_key(*id)).count();
    if missing == 0 {
        compare("records that wait", health.records_waiting, 0);
    }
    Outcome::of(seen)
}
