use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Event, Kind};

/// Lines of one kind about one subject that may follow each other at once.
const BURST: u32 = 20;
/// Then one in this time.
const PAUSE: Duration = Duration::from_secs(10);
/// Subjects that are remembered; with more, all of a kind share one account.
const SUBJECTS_MAX: usize = 1024;

/// Keeps a noisy source from filling the log: beyond a burst, events of the same kind about the same subject are counted,
/// and the next line that is written says how many were not.
#[derive(Default)]
pub struct Coalescer {
    accounts: BTreeMap<(Kind, String), Account>,
}

struct Account {
    left: u32,
    since: Duration,
    withheld: u64,
}

impl Coalescer {
    /// The event to write, if it is written.
    pub fn admit(&mut self, monotonic: Duration, event: Event) -> Option<Event> {
        if event.kind().is_always_written() {
            return Some(event);
        }
        let key = (event.kind(), event.subject().to_owned());
        self.make_room(monotonic, &key);
        let subject =
            if self.accounts.len() < SUBJECTS_MAX || self.accounts.contains_key(&key) { key.1 } else { String::new() };
        let fresh = Account { left: BURST, since: monotonic, withheld: 0 };
        let account = self.accounts.entry((key.0, subject)).or_insert(fresh);
        account.refill(monotonic);
        if account.left == 0 {
            account.withheld = account.withheld.saturating_add(1);
            return None;
        }
        account.left -= 1;
        match std::mem::take(&mut account.withheld) {
            0 => Some(event),
            withheld => Some(event.count("coalesced", withheld)),
        }
    }

    /// What is still untold, for the end: one line per kind and subject.
    pub fn rest(&mut self) -> Vec<Event> {
        let accounts = std::mem::take(&mut self.accounts);
        let untold = accounts.into_iter().filter(|(_, account)| account.withheld > 0);
        untold.map(|((kind, subject), account)| told(kind, &subject, account.withheld)).collect()
    }

    /// Subjects of which nothing was heard for so long that they have a full burst again; what they withheld is told.
    pub fn settled(&mut self, monotonic: Duration) -> Vec<Event> {
        let is_settled = |account: &Account| monotonic.saturating_sub(account.since) >= PAUSE * BURST;
        let settled = self.accounts.extract_if(.., |_, account| is_settled(account));
        let untold = settled.filter(|(_, account)| account.withheld > 0);
        untold.map(|((kind, subject), account)| told(kind, &subject, account.withheld)).collect()
    }

    fn make_room(&mut self, monotonic: Duration, key: &(Kind, String)) {
        if self.accounts.len() >= SUBJECTS_MAX && !self.accounts.contains_key(key) {
            let is_idle = |account: &Account| account.withheld == 0 && monotonic.saturating_sub(account.since) >= PAUSE;
            self.accounts.retain(|_, account| !is_idle(account));
        }
    }
}

impl Account {
    fn refill(&mut self, monotonic: Duration) {
        let pauses = monotonic.saturating_sub(self.since).as_secs() / PAUSE.as_secs();
        if pauses > 0 {
            self.left = self.left.saturating_add(u32::try_from(pauses).unwrap_or(u32::MAX)).min(BURST);
            self.since = monotonic;
        }
    }
}

fn told(kind: Kind, subject: &str, withheld: u64) -> Event {
    Event::new(kind).text("of", subject).count("coalesced", withheld)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flap(device: &str) -> Event {
        Event::new(Kind::SourceDown).text("device", device)
    }

    fn count(line: &str) -> u64 {
        line.split("\"coalesced\":").nth(1).map_or(0, |rest| rest.trim_end_matches(['}', '\n']).parse().unwrap_or(0))
    }

    #[test]
    fn a_noisy_source_is_counted_and_a_quiet_one_is_told() {
        let mut coalescer = Coalescer::default();
        let (mut written, mut coalesced) = (0, 0);
        for second in 0..1000 {
            if let Some(event) = coalescer.admit(Duration::from_secs(second), flap("noisy")) {
                let mut line = String::new();
                event.write_fields(&mut line);
                (written, coalesced) = (written + 1, coalesced + count(&line));
            }
        }
        assert!((100..=130).contains(&written), "{written}");
        assert!(coalescer.admit(Duration::from_secs(999), flap("quiet")).is_some());
        for event in coalescer.rest() {
            let mut line = String::new();
            event.write_fields(&mut line);
            coalesced += count(&line);
        }
        assert_eq!(written + coalesced, 1000, "each is written or counted");
    }

    #[test]
    fn accounts_are_bounded_and_orders_are_always_written() {
        let mut coalescer = Coalescer::default();
        for n in 0..5000 {
            coalescer.admit(Duration::ZERO, flap(&n.to_string()));
        }
        assert!(coalescer.accounts.len() <= SUBJECTS_MAX + 1);
        for _ in 0..100 {
            assert!(coalescer.admit(Duration::ZERO, Event::new(Kind::BundleAccepted)).is_some());
        }
    }
}
