//! D: what the gateway reported durable, read from its log (`RUST_LOG=lingate::accepted=debug`).

use std::collections::BTreeSet;

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
    /// Their content keys' ids.
    pub last_kids: BTreeSet<String>,
}

/// With what a process begins.
const FIRST_WORDS: &str = "the buffer is open";

impl Durable {
    /// A line that a kill cut short is no report.
    pub fn of_log(log: &str) -> Durable {
        let mut durable = Durable::default();
        durable.read_on(log);
        durable
    }

    /// Reads what was added to a log; gives how many bytes of it were whole lines.
    pub fn read_on(&mut self, more: &str) -> usize {
        let mut read = 0;
        for line in more.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            read += line.len();
            self.read_line(line);
        }
        self.last_epochs = self.last_kids.len() as u64;
        read
    }

    fn read_line(&mut self, line: &str) {
        if line.contains(FIRST_WORDS) {
            self.processes += 1;
            (self.last_records, self.last_readings) = (0, 0);
            self.last_kids.clear();
        }
        if !line.contains("lingate::accepted") {
            return;
        }
        if let (Some(kid), Some(seq)) = (field(line, "kid="), number(line, "seq=")) {
            self.last_kids.insert(kid.to_owned());
            self.last_records += 1;
            self.repeated += u64::from(!self.records.insert((kid.to_owned(), seq)));
        }
        if let Some(readings) = number(line, "readings=") {
            self.readings += readings;
            self.last_readings += readings;
        }
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
        let (head, tail) = log.split_at(30);
        let mut piecewise = Durable::default();
        let read = piecewise.read_on(head);
        assert_eq!(read, 0, "no line is whole");
        piecewise.read_on(&format!("{head}{tail}"));
        assert_eq!((piecewise.records.len(), piecewise.last_records, piecewise.last_epochs), (1, 1, 1));
    }
}
