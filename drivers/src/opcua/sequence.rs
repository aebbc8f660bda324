use std::collections::BTreeMap;
use std::time::Duration;

/// Notification messages of one subscription, by their sequence numbers (OPC 10000-4, 5.14.1.4): each is used once, and
/// a number that does not come is asked for again, a few times, and then lost.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    /// The one that comes next if none is lost.
    next: u32,
    missing: BTreeMap<u32, Missing>,
    lost: u64,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    ask_at: Duration,
    tries: u8,
}

/// More holes than that are not asked for again.
const MISSING_MAX: usize = 64;
const TRIES_MAX: u8 = 3;
/// Answers to several requests may overtake each other on their way through the gateway.
const PATIENCE: Duration = Duration::from_millis(100);
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

impl Sequence {
    /// Of a new subscription: the first number is 1.
    pub(crate) fn new() -> Sequence {
        Sequence { next: 1, missing: BTreeMap::new(), lost: 0 }
    }

    /// A message with notifications. `false`: it was used before.
    pub(crate) fn arrived(&mut self, number: u32, now: Duration) -> bool {
        if self.missing.remove(&number).is_some() {
            return true;
        }
        if number == 0 || is_before(number, self.next) {
            return false;
        }
        self.expect(number, now);
        self.next = after(number);
        true
    }

    /// A message without notifications carries the number that comes next.
    pub(crate) fn keep_alive(&mut self, number: u32, now: Duration) {
        if number != 0 && !is_before(number, self.next) {
            self.expect(number, now);
            self.next = number;
        }
    }

    /// Everything from `next` to before `number` is missing.
    fn expect(&mut self, number: u32, now: Duration) {
        let hole = number.wrapping_sub(self.next);
        let asked = (hole as usize).min(MISSING_MAX - self.missing.len().min(MISSING_MAX));
        self.lost = self.lost.saturating_add(u64::from(hole) - asked as u64);
        // The newest are the ones that the server may still have.
        let mut at = number;
        for _ in 0..asked {
            at = before(at);
            self.missing.insert(at, Missing { ask_at: now.saturating_add(PATIENCE), tries: 0 });
        }
    }

    /// The number to ask for again now.
    pub(crate) fn ask(&mut self, now: Duration) -> Option<u32> {
        let (number, missing) = self.missing.iter_mut().find(|(_, missing)| missing.ask_at <= now)?;
        missing.tries += 1;
        // After the last try only its answer counts, which may take long.
        missing.ask_at = if missing.tries < TRIES_MAX { now.saturating_add(BETWEEN_TRIES) } else { Duration::MAX };
        Some(*number)
    }

    /// When there is something to ask for.
    pub(crate) fn ask_at(&self) -> Option<Duration> {
        self.missing.values().map(|missing| missing.ask_at).min()
    }

    /// The server does not have it, or did not answer.
    pub(crate) fn refused(&mut self, number: u32, is_gone: bool) {
        if self.missing.get(&number).is_some_and(|missing| is_gone || missing.tries >= TRIES_MAX) {
            self.missing.remove(&number);
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Messages that will not come, since the last call.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

/// In the circle of numbers, of which 0 is none.
fn is_before(number: u32, next: u32) -> bool {
    number.wrapping_sub(next) > u32::MAX / 2
}

fn after(number: u32) -> u32 {
    number.checked_add(1).unwrap_or(1)
}

fn before(number: u32) -> u32 {
    if number <= 1 { u32::MAX } else { number - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_never_answers_is_asked_three_times_and_no_more() {
        let mut sequence = Sequence::new();
        sequence.arrived(2, Duration::ZERO);
        let asked = (1..1_000).filter(|second| sequence.ask(Duration::from_secs(*second)).is_some()).count();
        assert_eq!(asked, usize::from(TRIES_MAX));
        sequence.refused(1, false);
        assert_eq!(sequence.take_lost(), 1);
    }

    const NOW: Duration = Duration::from_secs(100);
    const LATER: Duration = Duration::from_secs(101);

    fn at(next: u32) -> Sequence {
        Sequence { next, ..Sequence::new() }
    }

    #[test]
    fn in_order_nothing_is_missing_and_nothing_is_used_twice() {
        let mut sequence = Sequence::new();
        for number in 1..=3 {
            assert!(sequence.arrived(number, NOW));
            assert!(!sequence.arrived(number, NOW));
        }
        sequence.keep_alive(4, NOW);
        assert!(sequence.arrived(4, NOW));
        assert_eq!((sequence.ask(LATER), sequence.take_lost()), (None, 0));
    }

    #[test]
    fn what_was_overtaken_is_used_when_it_comes_and_what_does_not_come_is_asked_for() {
        let mut sequence = Sequence::new();
        assert!(sequence.arrived(3, NOW));
        assert_eq!(sequence.ask(NOW), None, "it may only have been overtaken");
        assert!(sequence.arrived(1, NOW));
        assert_eq!(sequence.ask(LATER), Some(2));
        assert!(sequence.arrived(2, LATER));
        assert!(sequence.missing.is_empty());
        assert_eq!(sequence.take_lost(), 0);
    }

    #[test]
    fn a_keep_alive_tells_of_a_hole_at_the_end() {
        let mut sequence = Sequence::new();
        sequence.keep_alive(2, NOW);
        assert_eq!(sequence.ask(LATER), Some(1));
        sequence.refused(1, true);
        assert_eq!((sequence.ask(LATER), sequence.take_lost(), sequence.take_lost()), (None, 1, 0));
    }

    #[test]
    fn it_asks_a_few_times_and_then_gives_up() {
        let mut sequence = Sequence::new();
        sequence.keep_alive(2, NOW);
        let mut now = NOW;
        let mut asked = 0;
        while !sequence.missing.is_empty() {
            now += Duration::from_secs(2);
            asked += usize::from(sequence.ask(now) == Some(1));
            sequence.refused(1, false);
        }
        assert_eq!((asked, sequence.take_lost()), (3, 1));
    }

    #[test]
    fn a_hole_of_any_size_costs_no_memory() {
        let mut sequence = Sequence::new();
        assert!(sequence.arrived(1 << 30, NOW));
        assert_eq!(sequence.missing.len(), MISSING_MAX);
        assert_eq!(sequence.take_lost(), (1 << 30) - 1 - 64);
        assert_eq!(sequence.ask(LATER), Some((1 << 30) - 64));
    }

    #[test]
    fn after_the_last_number_comes_one() {
        let mut sequence = at(u32::MAX);
        assert!(sequence.arrived(u32::MAX, NOW));
        assert!(sequence.arrived(1, NOW));
        assert!(sequence.missing.is_empty());
        assert!(!sequence.arrived(0, NOW), "it is no number");
    }
}
