//! What is true at the end. Each figure comes from the side that can know it.

use lingate_checker::Verdict;
use lingate_sandbox::{Report, TapCounts};
use serde::Serialize;
use serde_json::Value;

use crate::process::Usage;

#[derive(Serialize)]
pub(crate) struct Summary {
    protocols: [&'static str; 2],
    /// Values that the simulated devices served: answers of the polled ones, changes of the subscribed ones.
    acquired: u64,
    /// Readings that the gateway reported durable; the others were suppressed by minimization, and counted.
    accepted: u64,
    /// Readings that the sandbox opened, duplicates left out.
    delivered: u64,
    /// Accepted and not delivered.
    lost: u64,
    /// Delivered and not what was served.
    wrong: u64,
    /// Records that came more than once; the receiver left them out.
    duplicates: u64,
    /// Gap records.
    gaps: u64,
    /// Served values that were neither kept, nor counted as suppressed, nor declared as a gap - or the other way round.
    undeclared: u64,
    /// MQTT packets with topics and keys, by delivered reading.
    bytes_per_reading: f64,
    peak_rss_mib: f64,
    /// CPU seconds of the gateway per million acquired readings.
    cpu_s_per_million: f64,
    outage_s: f64,
    /// Invariant by invariant: what held, what was violated, what this run gives no evidence for.
    checker: Value,
    #[serde(skip)]
    verdict_holds: bool,
}

pub(crate) struct Seen<'a> {
    pub(crate) verdict: &'a Verdict,
    pub(crate) report: &'a Report,
    pub(crate) tap: TapCounts,
    pub(crate) usage: Usage,
    pub(crate) outage_s: f64,
}

impl Summary {
    pub(crate) fn of(seen: &Seen<'_>) -> Summary {
        let over =
            |count: fn(&lingate_sandbox::DatasetReport) -> u64| seen.report.datasets.iter().map(count).sum::<u64>();
        let verdict = seen.verdict;
        let acquired = verdict.figure("served");
        let delivered = over(|dataset| dataset.readings);
        let accepted = verdict.figure("accepted_readings");
        Summary {
            protocols: ["modbus", "opcua"],
            acquired,
            accepted,
            delivered,
            // A missing record costs at least one reading, whatever the sums say.
            lost: accepted.saturating_sub(delivered).max(verdict.figure("lost")),
            wrong: verdict.figure("wrong") + seen.report.alarm_count,
            duplicates: over(|dataset| dataset.duplicates),
            gaps: over(|dataset| dataset.gaps),
            undeclared: verdict.figure("undeclared"),
            bytes_per_reading: round(seen.tap.packet_bytes as f64 / delivered.max(1) as f64, 2),
            peak_rss_mib: round(seen.usage.peak_rss_mib, 1),
            cpu_s_per_million: round(seen.usage.cpu_seconds * 1e6 / acquired.max(1) as f64, 2),
            outage_s: round(seen.outage_s, 1),
            verdict_holds: verdict.holds(),
            checker: serde_json::from_str(&verdict.to_json()).unwrap_or(Value::Null),
        }
    }

    pub(crate) fn holds(&self) -> bool {
        let is_whole = self.lost == 0 && self.wrong == 0 && self.undeclared == 0;
        self.verdict_holds && is_whole && self.accepted > 0 && self.delivered > 0
    }

    pub(crate) fn print(&self) {
        let suppressed = self.acquired.saturating_sub(self.accepted);
        println!();
        println!("  acquired     {:>9}  values served by the machines", self.acquired);
        println!("  minimized    {suppressed:>9}  of them suppressed by deadbands, every one counted");
        println!("  accepted     {:>9}  readings sealed and durable on the gateway's disk", self.accepted);
        println!("  delivered    {:>9}  readings opened by the sandbox", self.delivered);
        println!("  lost         {:>9}  across a broker outage of {} s", self.lost, self.outage_s);
        println!("  wrong        {:>9}  every value compared with what the machine served", self.wrong);
        println!(
            "  undeclared   {:>9}  slots without value, count or gap record ({} gap records)",
            self.undeclared, self.gaps
        );
        println!("  duplicates   {:>9}  sent twice after the outage, recognised by the receiver", self.duplicates);
        println!(
            "  cost         {} bytes a reading on the wire, {} MiB of memory, {} CPU s per million readings",
            self.bytes_per_reading, self.peak_rss_mib, self.cpu_s_per_million
        );
        println!("  checker      {}", in_words(&self.checker));
        println!(
            "\n  {}",
            if self.holds() { "Every promise held." } else { "A PROMISE WAS BROKEN: see the lines that should be 0." }
        );
    }
}

/// Which invariants held, which did not, and which the run gives no evidence for.
fn in_words(checker: &Value) -> String {
    let names = |of: &Value| match of {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        Value::Object(names) => names.keys().map(String::as_str).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    };
    let mut words = format!("held {}", names(&checker["held"]));
    for (what, of) in [("VIOLATED", &checker["violated"]), ("not judged in this run", &checker["not_judged"])] {
        let names = names(of);
        if !names.is_empty() {
            words.push_str(&format!("; {what} {names}"));
        }
    }
    match checker["vacuous"].as_str() {
        Some(why) => format!("{words}; {why}"),
        None => words,
    }
}

fn round(value: f64, places: i32) -> f64 {
    let factor = 10_f64.powi(places);
    (value * factor).round() / factor
}
