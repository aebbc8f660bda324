//! How the link is shared: live data beside a backlog, and how fast a backlog may go.

use std::time::Duration;

/// Beyond so many bytes nobody is owed more: a burst is not saved up for hours.
const CREDIT_MAX: i64 = 1 << 20;

/// How records that wait are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replay {
    /// Of the bytes sent while both wait, so many in a thousand are backlog; 0 to 1000.
    pub backlog_share: u16,
    /// Most bytes of backlog in a second; `None`: as fast as the link takes them.
    pub backlog_rate: Option<u64>,
}

impl Default for Replay {
    fn default() -> Replay {
        Replay { backlog_share: 500, backlog_rate: None }
    }
}

/// Backlog was stored before the link came up; everything else is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Live,
    Backlog,
}

/// Whose turn it is.
pub(crate) struct Share {
    replay: Replay,
    /// Bytes times thousandths that the backlog is owed; negative: that live data is owed.
    owed: i64,
    /// Bytes of backlog that may go, up to one second's worth; negative after a record larger than that.
    tokens: i64,
    filled_at: Duration,
}

impl Share {
    pub(crate) fn new(replay: Replay) -> Share {
        let tokens = replay.backlog_rate.map_or(0, signed);
        Share { replay, owed: 0, tokens, filled_at: Duration::ZERO }
    }

    pub(crate) fn set_replay(&mut self, replay: Replay) {
        if replay != self.replay {
            self.tokens = self.tokens.min(replay.backlog_rate.map_or(0, signed));
            self.replay = replay;
        }
    }

    /// Both flows, the one whose turn it is first.
    pub(crate) fn turns(&self) -> [Flow; 2] {
        if self.owed > 0 { [Flow::Backlog, Flow::Live] } else { [Flow::Live, Flow::Backlog] }
    }

    pub(crate) fn sent(&mut self, flow: Flow, bytes: usize) {
        let (bytes, share) = (signed(bytes as u64), i64::from(self.replay.backlog_share.min(1000)));
        let owed = match flow {
            Flow::Live => bytes.saturating_mul(share),
            Flow::Backlog => bytes.saturating_mul(share - 1000),
        };
        self.owed = self.owed.saturating_add(owed).clamp(-CREDIT_MAX * 1000, CREDIT_MAX * 1000);
        if flow == Flow::Backlog && self.replay.backlog_rate.is_some() {
            self.tokens = self.tokens.saturating_sub(bytes);
        }
    }

    pub(crate) fn refill(&mut self, monotonic: Duration) {
        let Some(rate) = self.replay.backlog_rate else { return };
        let rate = rate.max(1);
        let passed = monotonic.saturating_sub(self.filled_at).as_nanos();
        let more = u128::from(rate).saturating_mul(passed) / 1_000_000_000;
        let tokens = self.tokens.saturating_add(i64::try_from(more).unwrap_or(i64::MAX));
        // The time of a part of a byte counts at the next call: looked at often, a small rate is no smaller.
        let counted = u64::try_from((more * 1_000_000_000).div_ceil(u128::from(rate))).unwrap_or(u64::MAX);
        self.filled_at = if tokens < signed(rate) { self.filled_at + Duration::from_nanos(counted) } else { monotonic };
        self.tokens = tokens.min(signed(rate));
    }

    pub(crate) fn allows_backlog(&self) -> bool {
        self.replay.backlog_rate.is_none() || self.tokens > 0
    }

    /// When `allows_backlog` becomes true again.
    pub(crate) fn allows_backlog_at(&self) -> Option<Duration> {
        let rate = self.replay.backlog_rate.filter(|_| !self.allows_backlog())?;
        let missing = u128::from(self.tokens.unsigned_abs()) + 1;
        let micros = (missing * 1_000_000).div_ceil(u128::from(rate.max(1)));
        Some(self.filled_at + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_both_wait_the_bytes_are_shared_as_configured() {
        for backlog_share in [100, 500, 900, 1000] {
            let mut share = Share::new(Replay { backlog_share, backlog_rate: None });
            let mut sent = [0_u64; 2];
            for n in 0..20_000_u64 {
                let (flow, bytes) = (share.turns()[0], 100 + n % 900);
                share.sent(flow, bytes as usize);
                sent[usize::from(flow == Flow::Backlog)] += bytes;
            }
            let part = sent[1] * 1000 / (sent[0] + sent[1]);
            assert!(part.abs_diff(backlog_share.into()) <= 2, "{part} of {backlog_share}");
        }
    }

    #[test]
    fn a_night_of_backlog_alone_is_not_held_against_it_for_hours() {
        let mut share = Share::new(Replay::default());
        (0..1_000_000).for_each(|_| share.sent(Flow::Backlog, 1000));
        let mut live = 0;
        while share.turns()[0] == Flow::Live {
            share.sent(Flow::Live, 1000);
            live += 1000;
        }
        assert!(live <= 2 * CREDIT_MAX + 1000, "{live} bytes of live data first");
    }

    #[test]
    fn a_rate_is_reached_however_often_it_is_looked_at() {
        for (rate, every_us) in [(1_000, 7), (1_000, 1_999), (10_000, 50), (3, 40_000), (900_000, 1)] {
            let mut share = Share::new(Replay { backlog_share: 500, backlog_rate: Some(rate) });
            let (mut sent, end) = (0, 2_000_000);
            for at in (0..=end).step_by(every_us) {
                share.refill(Duration::from_micros(at));
                while share.allows_backlog() {
                    share.sent(Flow::Backlog, 1);
                    sent += 1;
                }
            }
            // One second's worth ahead.
            let due = rate * end / 1_000_000 + rate;
            assert!((due - 1 - rate / 100..=due).contains(&sent), "{rate} B/s every {every_us} us: {sent} of {due}");
        }
    }

    #[test]
    fn a_record_larger_than_a_second_of_the_rate_waits_for_its_own_time_only() {
        let mut share = Share::new(Replay { backlog_share: 500, backlog_rate: Some(1_000) });
        share.sent(Flow::Backlog, 61_000);
        let at = share.allows_backlog_at().expect("it is used up");
        assert_eq!(at, Duration::from_micros(60_001_000));
        share.refill(at);
        assert!(share.allows_backlog());
    }

    #[test]
    fn a_rate_holds_over_any_ten_seconds_and_wakes_in_time() {
        let mut share = Share::new(Replay { backlog_share: 500, backlog_rate: Some(10_000) });
        let (mut sent, mut now) = (0_u64, Duration::ZERO);
        while now < Duration::from_secs(10) {
            share.refill(now);
            while share.allows_backlog() {
                share.sent(Flow::Backlog, 1_500);
                sent += 1_500;
            }
            let at = share.allows_backlog_at().expect("it is used up");
            assert!(at > now);
            now = at;
            share.refill(now);
            assert!(share.allows_backlog(), "woken too early");
        }
        assert!((100_000..=112_000).contains(&sent), "{sent} bytes in ten seconds, one second's worth ahead");
    }
}
