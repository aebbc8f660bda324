//! Which of several servers is used: those of a redundant set say by ServiceLevel how well they can serve
//! (OPC 10000-4, 6.6.2.4.2). Decided here; asked and connected elsewhere.
//!
//! A server that flaps must not drag the gateway along, and one that is bad without changing must not keep it: so a
//! better one has to be better by a margin, the present one is kept for a while, and all are looked at again by time and
//! not only when something changes.

use std::time::Duration;

/// From here on a server is healthy; below it is degraded.
const HEALTHY: u8 = 200;
/// Among servers of one range only so much better is better.
const MARGIN: u8 = 20;
/// A server that serves is kept for so long.
const KEPT: Duration = Duration::from_secs(60);
/// As long as the present one is not healthy, or not the preferred one.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// An endpoint that failed is the last one to be tried again for so long.
const SHUNNED: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) struct Failover {
    servers: Vec<Server>,
    current: Option<(usize, Duration)>,
    /// Where the gateway is on its way to.
    next: Option<usize>,
    looked: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Server {
    /// As it last said.
    level: Option<u8>,
    failed: Option<Duration>,
}

/// What the numbers of ServiceLevel mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Maintenance,
    NoData,
    Degraded,
    Healthy,
}

impl Failover {
    /// Endpoints in the order of the file, the preferred one first.
    pub(crate) fn new(endpoints: usize) -> Failover {
        let servers = vec![Server::default(); endpoints];
        Failover { servers, current: None, next: None, looked: Duration::ZERO }
    }

    /// All endpoints, the one to try first in front.
    pub(crate) fn order(&self, now: Duration) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.servers.len()).collect();
        let rank = |index: &usize| {
            let server = self.servers[*index];
            let is_shunned = server.failed.is_some_and(|failed| now.saturating_sub(failed) < SHUNNED);
            let badness = server.level.map_or(0, |level| 3 - health(level) as u8);
            (is_shunned, self.next != Some(*index), badness, *index)
        };
        order.sort_by_key(rank);
        order
    }

    pub(crate) fn connected(&mut self, index: usize, now: Duration) {
        self.servers[index].failed = None;
        self.current = Some((index, now));
        self.next = None;
        self.looked = now;
    }

    /// The next connection is to be with this one.
    pub(crate) fn leave_for(&mut self, index: usize) {
        self.next = Some(index);
    }

    pub(crate) fn failed(&mut self, index: usize, now: Duration) {
        self.servers[index] = Server { level: None, failed: Some(now) };
    }

    /// What a server said of itself; `None`: it does not say, and counts as healthy.
    pub(crate) fn said(&mut self, index: usize, level: Option<u8>) {
        self.servers[index].level = level;
    }

    /// The one in use.
    pub(crate) fn current(&self) -> Option<usize> {
        self.current.map(|(index, _)| index)
    }

    /// Whether the other servers are worth a question.
    pub(crate) fn looks_around(&self, now: Duration) -> bool {
        let Some((current, since)) = self.current else { return false };
        let is_content = current == 0 && self.level(current) >= HEALTHY;
        let is_urgent = health(self.level(current)) <= Health::NoData;
        let is_time = now.saturating_sub(self.looked) >= LOOK_AGAIN;
        self.servers.len() > 1 && !is_content && (is_time || is_urgent && self.looked <= since)
    }

    pub(crate) fn looked(&mut self, now: Duration) {
        self.looked = now;
    }

    /// Where to go, if that is better than to stay.
    pub(crate) fn better(&self, now: Duration) -> Option<usize> {
        let (current, since) = self.current?;
        let here = self.level(current);
        let is_kept = now.saturating_sub(since) < KEPT && health(here) > Health::NoData;
        if is_kept {
            return None;
        }
        let is_better = |index: &usize| {
            let there = self.level(*index);
            let is_known = self.servers[*index].failed.is_none() && self.servers[*index].level.is_some();
            let is_preferred = *index < current && health(there) >= health(here) && there >= here.saturating_sub(MARGIN);
            let beats = health(there) > health(here) || there >= here.saturating_add(MARGIN) && here < HEALTHY;
            *index != current && is_known && (beats || is_preferred && health(there) == Health::Healthy)
        };
        let candidates = (0..self.servers.len()).filter(is_better);
        candidates.max_by_key(|index| (health(self.level(*index)), self.level(*index), usize::MAX - index))
    }

    fn level(&self, index: usize) -> u8 {
        self.servers[index].level.unwrap_or(u8::MAX)
    }
}

fn health(level: u8) -> Health {
    match level {
        0 => Health::Maintenance,
        1 => Health::NoData,
        2..HEALTHY => Health::Degraded,
        HEALTHY.. => Health::Healthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn on(index: usize) -> Failover {
        let mut failover = Failover::new(3);
        failover.connected(index, s(100));
        failover.said(index, Some(255));
        failover
    }

    #[test]
    fn the_preferred_endpoint_is_tried_first_and_a_failed_one_last() {
        let mut failover = Failover::new(3);
        assert_eq!(failover.order(s(0)), [0, 1, 2]);
        failover.failed(0, s(10));
        assert_eq!(failover.order(s(11)), [1, 2, 0]);
        assert_eq!(failover.order(s(71)), [0, 1, 2], "not for ever");
        failover.said(1, Some(0));
        failover.failed(0, s(80));
        assert_eq!(failover.order(s(81)), [2, 1, 0]);
    }

    #[test]
    fn a_healthy_preferred_server_is_left_alone() {
        let failover = on(0);
        assert!(!failover.looks_around(s(10_000)));
        assert_eq!(failover.better(s(10_000)), None);
    }

    #[test]
    fn a_degraded_server_is_left_for_a_healthy_one_but_not_at_once() {
        let mut failover = on(0);
        failover.said(0, Some(100));
        failover.said(1, Some(255));
        assert_eq!(failover.better(s(130)), None, "it is kept for a minute");
        assert!(failover.looks_around(s(130)));
        assert_eq!(failover.better(s(161)), Some(1));
    }

    #[test]
    fn a_server_without_data_is_left_at_once() {
        let mut failover = on(0);
        for level in [0, 1] {
            failover.said(0, Some(level));
            failover.said(2, Some(150));
            assert!(failover.looks_around(s(101)));
            assert_eq!(failover.better(s(101)), Some(2));
        }
    }

    #[test]
    fn a_little_better_is_not_better() {
        let mut failover = on(0);
        failover.said(0, Some(100));
        failover.said(1, Some(119));
        assert_eq!(failover.better(s(1000)), None);
        failover.said(1, Some(120));
        assert_eq!(failover.better(s(1000)), Some(1));
        failover.said(0, Some(210));
        failover.said(1, Some(255));
        assert_eq!(failover.better(s(1000)), None, "both are healthy");
    }

    #[test]
    fn who_leaves_arrives() {
        let mut failover = on(0);
        failover.said(0, Some(100));
        failover.said(2, Some(120));
        failover.leave_for(2);
        assert_eq!(failover.order(s(200)), [2, 1, 0]);
        failover.failed(2, s(200));
        assert_eq!(failover.order(s(201)), [1, 0, 2]);
    }

    #[test]
    fn a_bad_level_that_never_changes_is_looked_at_again_by_time() {
        let mut failover = on(0);
        failover.said(0, Some(100));
        for round in 1..100 {
            let now = s(100 + 30 * round);
            assert!(failover.looks_around(now), "{round}");
            failover.looked(now);
            assert!(!failover.looks_around(now + s(29)));
        }
    }

    #[test]
    fn it_goes_back_to_the_preferred_server_once_that_is_healthy() {
        let mut failover = on(1);
        assert!(failover.looks_around(s(130)));
        failover.said(0, Some(255));
        assert_eq!(failover.better(s(159)), None);
        assert_eq!(failover.better(s(160)), Some(0));
        failover.said(0, Some(150));
        assert_eq!(failover.better(s(160)), None);
    }

    #[test]
    fn levels_that_flap_every_second_move_nothing_more_than_once_a_minute() {
        let mut failover = on(0);
        let mut moves = 0;
        for now in 100..700 {
            failover.said(0, Some(if now % 2 == 0 { 255 } else { 50 }));
            failover.said(1, Some(if now % 2 == 0 { 50 } else { 255 }));
            if let Some(better) = failover.better(s(now)) {
                failover.connected(better, s(now));
                moves += 1;
            }
        }
        assert!(moves <= 10, "{moves}");
    }

    #[test]
    fn a_server_that_is_not_known_to_serve_is_nothing_to_go_to() {
        let mut failover = on(0);
        failover.said(0, Some(1));
        assert_eq!(failover.better(s(1000)), None);
        failover.said(1, Some(255));
        failover.failed(1, s(900));
        assert_eq!(failover.better(s(1000)), None);
    }
}
