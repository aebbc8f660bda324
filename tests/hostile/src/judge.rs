//! What a session left behind, and whether the rule was kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use lingate_checker::{Outcome, Verdict};
use lingate_e2e::{Daemon, DeclaredGap, Hunt, Rig, contents_below};
use lingate_model::{UtcMicros, Value};
use lingate_plant::{Checker, DeviceSpec, PlantDevice};

use crate::modbus::{EVERY_MS, Unit};
use crate::{Played, Totals};

/// Point, time of its row, value; nothing for a bad reading.
type Opened = (String, UtcMicros, Option<Value>);

/// A slot may be late by so much before somebody has to tell of it.
const SLACK_US: i64 = 300_000;

/// What the health endpoint says on every page.
pub(crate) fn pages(daemon: &Daemon) -> Vec<u8> {
    ["/", "/live", "/ready", "/status", "/metrics"]
        .iter()
        .filter_map(|path| daemon.health.get(path).ok())
        .flat_map(String::into_bytes)
        .collect()
}

/// Panics in the log; canaries in the log, on the disk and on the pages.
pub(crate) fn log_and_disk(totals: &mut Totals, rig: &Rig, pages: &[u8], honest: &[PlantDevice]) -> Result<()> {
    let log = rig.log()?;
    totals.panics += log.lines().filter(|line| line.contains("panicked")).count() as u64;
    let mut places = vec![("the log".to_owned(), log.into_bytes()), ("a page".to_owned(), pages.to_vec())];
    places.extend(contents_below(&rig.path().join("state"))?);
    let hunts = honest.iter().map(|device| Hunt::for_values_of(device.spec(), device.served().polls()));
    let hunt = hunts.fold(Hunt::default(), Hunt::and);
    totals.canaries += hunt.canaries() as u64;
    for (place, content) in &places {
        if let Some(canary) = hunt.find(content) {
            totals.canaries_found += 1;
            totals.complaints.push(format!("{place} holds {canary:?}"));
        }
    }
    totals.bytes_searched += places.iter().map(|(_, content)| content.len() as u64).sum::<u64>();
    Ok(())
}

/// Of every hostile device: no wrong value, no slot that nobody told of. Complaints go to its row.
pub(crate) fn hostile_values(totals: &mut Totals, rig: &Rig, units: &[Arc<Unit>], played: &mut [Played]) -> Result<()> {
    let all = rig.ledger()?.integers()?;
    let mut of_device: BTreeMap<&str, Vec<&Opened>> = BTreeMap::new();
    for reading in &all {
        of_device.entry(reading.0.split('/').next().unwrap_or_default()).or_default().push(reading);
    }
    for row in played {
        let name = row.row.to_lowercase();
        let gaps = rig.ledger()?.gaps_of(&name)?;
        let readings = of_device.remove(name.as_str()).unwrap_or_default();
        let (wrong, undeclared) = match units.iter().find(|unit| unit.spec.name == name) {
            Some(unit) => (wrong_of(&unit.spec, &readings, totals), undeclared(&readings, &gaps)),
            None => (wrong_of_server(&readings, totals), Vec::new()),
        };
        totals.wrong += wrong;
        totals.undeclared += undeclared.len() as u64;
        if wrong > 0 {
            row.complaints.push(format!("{wrong} wrong values"));
        }
        row.complaints.extend(undeclared.into_iter().take(3));
        if readings.iter().all(|(_, _, value)| value.is_none()) {
            row.complaints.push("no good value of it arrived".to_owned());
        }
    }
    Ok(())
}

fn wrong_of(spec: &DeviceSpec, readings: &[&Opened], totals: &mut Totals) -> u64 {
    let mut checker =
        Checker::new([spec.clone()], |spec, tag, n, value| spec.expected(&tag.name, n).as_ref() == Some(value));
    checker.take(readings.iter().map(|(point, time, value)| (point.as_str(), *time, value.as_ref())));
    totals.values += checker.checked;
    checker.wrong
}

fn wrong_of_server(readings: &[&Opened], totals: &mut Totals) -> u64 {
    let values = readings.iter().filter_map(|(point, _, value)| Some((point, value.as_ref()?)));
    let judged = values.map(|(point, value)| matches!(value, Value::UInt32(it) if crate::opcua::accepts(point, *it)));
    let (right, wrong): (Vec<bool>, Vec<bool>) = judged.partition(|is_right| *is_right);
    totals.values += (right.len() + wrong.len()) as u64;
    wrong.len() as u64
}

/// Holes between two rows of a polled device that no gap of a device covers.
fn undeclared(readings: &[&Opened], gaps: &[DeclaredGap]) -> Vec<String> {
    let times: BTreeSet<i64> = readings.iter().map(|(_, time, _)| time.0).collect();
    let times: Vec<i64> = times.into_iter().collect();
    let allowed = EVERY_MS as i64 * 1_000 + SLACK_US;
    let holes = times.windows(2).filter(|pair| pair[1] - pair[0] > allowed);
    let is_told = |from: i64, to: i64| {
        let overlap = |gap: &DeclaredGap| (gap.to_us.min(to) - gap.from_us.max(from)).max(0);
        gaps.iter().map(overlap).max().unwrap_or(0) + allowed >= to - from
    };
    let untold = holes.filter(|pair| !is_told(pair[0], pair[1]));
    untold.map(|pair| format!("{} ms without a reading or a gap", (pair[1] - pair[0]) / 1_000)).collect()
}

/// The checker's judgement of the honest devices.
pub(crate) fn take(totals: &mut Totals, verdict: &Verdict) {
    for (number, outcome) in &verdict.outcomes {
        if let Outcome::Violated(seen) = outcome {
            let examples: Vec<&str> = seen.iter().take(3).map(String::as_str).collect();
            totals.complaints.push(format!("I{number}: {}", examples.join("; ")));
        }
    }
    totals.complaints.extend(verdict.vacuous.clone());
    totals.good_missing += verdict.figure("unaccepted_readings");
    totals.records += verdict.figure("accepted_records");
    totals.lost += verdict.figure("lost");
    totals.wrong += verdict.figure("wrong");
    totals.undeclared += verdict.figure("undeclared");
    totals.values += verdict.figure("values_checked");
}

/// The end of the gateway's log, for a run that fails.
pub(crate) fn tail(rig: &Rig) -> String {
    let log = rig.log().unwrap_or_default();
    let lines: Vec<&str> = log.lines().filter(|line| !line.contains("lingate::accepted")).collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_plant::{Kind, Mode};

    use super::*;

    fn rows(times_ms: &[i64]) -> Vec<Opened> {
        times_ms.iter().map(|ms| ("m01/tag_001".to_owned(), UtcMicros(ms * 1_000), None)).collect()
    }

    #[test]
    fn a_hole_without_a_gap_of_its_length_is_undeclared() {
        let readings = rows(&[0, 100, 200, 2_200, 2_300]);
        let readings: Vec<_> = readings.iter().collect();
        let gap =
            |from_ms: i64, to_ms: i64| DeclaredGap { from_us: from_ms * 1_000, to_us: to_ms * 1_000, readings: 19 };
        assert_eq!(undeclared(&readings, &[gap(300, 2_200)]), Vec::<String>::new());
        assert_eq!(undeclared(&readings, &[]).len(), 1);
        assert_eq!(undeclared(&readings, &[gap(300, 700), gap(9_000, 12_000)]).len(), 1);
    }

    #[test]
    fn a_value_of_another_tag_or_poll_is_wrong() {
        let spec = DeviceSpec::new("m01", Kind::Numbered(4), Mode::SelfDescribing);
        let served = |n: u32| -> Vec<Opened> {
            let tags = spec.tags().iter();
            tags.map(|tag| (format!("m01/{}", tag.name), UtcMicros(1), spec.expected(&tag.name, n))).collect()
        };
        let wrong = |readings: &[Opened]| wrong_of(&spec, &readings.iter().collect::<Vec<_>>(), &mut Totals::default());
        let honest = served(7);
        let mut shifted = honest.clone();
        shifted[1].2 = honest[2].2.clone();
        let mut late = honest.clone();
        late[2].2 = served(6)[2].2.clone();
        assert_eq!((wrong(&honest), wrong(&shifted), wrong(&late)), (0, 1, 1));
    }
}
