//! How every story ends, and what must hold then.

use std::cmp::Reverse;
use std::time::Duration;

use crate::{Mood, Rights, Sandbox, World};

/// The last number that an epoch can have: to it reaches the gap over a KEY.
const WHOLE: u64 = (1 << 20) - 1;

impl World {
    /// Faults stop, everything is delivered, the gateway is drained, restarted and delivers the rest. Then nothing
    /// accepted may be missing.
    pub fn end_well(&mut self, sandbox: &Sandbox, version: u64) {
        self.stops_polling();
        self.disk.heal();
        self.disk.set_capacity(None);
        self.broker.mood = Mood::AtOnce;
        self.broker.cure();
        self.link_down();
        self.link_up();
        self.grant(sandbox, &Rights::full(version));
        self.run_for(Duration::from_secs(130));
        self.restart();
        self.link_up();
        self.run_for(Duration::from_secs(130));
        let waiting = self.status().buffer.records_waiting;
        assert_eq!(waiting, 0, "{}: the buffer is not empty at the end", self.here());
        assert_eq!(self.laws.in_flight(), 0, "{}: something is in flight at the end", self.here());
        self.check_the_end();
    }

    fn check_the_end(&self) {
        let missing = self.laws.missing(|kid, seq| self.receiver.declares(kid, seq));
        assert!(missing.is_empty(), "{}: accepted, not received, not declared: {missing:?}", self.here());
        let report = self.receiver.report();
        assert!(report.rejected.is_empty(), "{}: rejected: {:?}", self.here(), report.rejected);
        assert!(report.held == 0, "{}: records arrived that cannot be opened", self.here());
        let sum = |of: fn(&lingate_sandbox::DatasetReport) -> u64| report.datasets.iter().map(of).sum::<u64>();
        assert_eq!(sum(|it| it.records) + report.held, self.laws.received_records() as u64, "{}", self.here());
        assert_eq!(sum(|it| it.holes), 0, "{}: sequence numbers are missing: {report:?}", self.here());
        assert_eq!(sum(|it| it.declared_yet_received), 0, "{}: declared as lost, and received", self.here());
        assert_eq!(sum(|it| it.wrong_roots), 0, "{}: a wrong root", self.here());
        self.check_the_gaps();
        assert!(report.datasets.iter().all(|it| it.counts_agree), "{}: counts: {report:?}", self.here());
    }

    /// A record is lost for one reason. A later process tells a range once more as it was or within a longer one, which
    /// then says all: no two ranges overlap in part. Behind a lost KEY the whole epoch is lost, and what of it was on disk
    /// is told record by record.
    fn check_the_gaps(&self) {
        let of_records =
            self.receiver.gaps.iter().map(|opened| &opened.gap).filter(|gap| gap.kid.iter().any(|byte| *byte != 0));
        let mut ranges: Vec<(&[u8], u64, Reverse<u64>, u64)> = of_records
            .filter(|gap| gap.last_seq < WHOLE)
            .map(|gap| (&*gap.kid, gap.first_seq, Reverse(gap.last_seq), gap.readings))
            .collect();
        ranges.sort_unstable();
        let mut outer: Option<(&[u8], u64, Reverse<u64>, u64)> = None;
        for range in ranges {
            let (kid, first, last, readings) = range;
            match outer {
                Some((of, _, end, all)) if of == kid && first <= end.0 => {
                    let is_within = last.0 <= end.0 && readings <= all;
                    assert!(is_within, "{}: {first}..={} and a range to {} of {kid:02x?}", self.here(), last.0, end.0);
                }
                _ => outer = Some(range),
            }
        }
    }
}
