//! D: what the gateway reported durable, read from its log (`RUST_LOG=lingate::accepted=debug`).

use std::collections::{BTreeMap, BTreeSet};

/// A record: the epoch's content key id in hex, and the sequence number.
pub type Identity = (String, u64);

/// Over all processes of a run, and apart for the newest one.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    pub records: BTreeSet<Identity>,
    pub readings: u64,
    /// Identities that were reported twice: a position is never used again.
    pub repeated: u64,
    /// Of the newest process.
    pub last_records: u64,
    pub last_readings: u64,
    pub last_epochs: u64,
    /// Starts of a process.
    pub processes: u64,
}

/// With what a process begins.
const FIRST_WORDS: &str = "the buffer is open";

impl Durable {
    /// A line that a kill cut short is no report.
    pub fn of_log(log: &str) -> Durable {
        let mut durable = Durable::default();
        let mut epochs: BTreeMap<String, ()> = BTreeMap::new();
        for line in log.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            if line.contains(FIRST_WORDS) {
                durable.processes += 1;
                (durable.last_records, durable.last_readings) = (0, 0);
                epochs.clear();
            }
            if !line.contains("lingate::accepted") {
                continue;
            }
            if let (Some(kid), Some(seq)) = (field(line, "kid="), number(line, "seq=")) {
                epochs.insert(kid.to_owned(), ());
                durable.last_records += 1;
                durable.repeated += u64::from(!durable.records.insert((kid.to_owned(), seq)));
            }
            if let Some(readings) = number(line, "readings=") {
                durable.readings += readings;
                durable.last_readings += readings;
            }
        }
        durable.last_epochs = epochs.len() as u64;
        durable
    }
}

fn number(line: &str, name: &str) -> Option<u64> {
    field(line, name)?.parse().ok()
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_a_kill_cut_short_does_not_count() {
        let log = "t DEBUG lingate::accepted: kid=aa seq=0\nt DEBUG lingate::accepted: readings=7\n\
                   t DEBUG lingate::accepted: kid=aa seq=12";
        let durable = Durable::of_log(log);
        assert_eq!((durable.records.len(), durable.readings, durable.repeated), (1, 7, 0));
    }
}
