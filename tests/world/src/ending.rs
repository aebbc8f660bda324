//! How every story ends, and what must hold then.

use std::time::Duration;

use crate::{Mood, Rights, Sandbox, World};

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
        assert!(report.datasets.iter().all(|it| it.counts_agree), "{}: counts: {report:?}", self.here());
    }
}
