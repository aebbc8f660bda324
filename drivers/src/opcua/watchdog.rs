use std::fmt;
use std::time::Duration;

/// Whether data flows in one subscription: "connected" alone says little. Every answer to a publish counts as a sign of
/// life of the subscription; the server's own time, which it monitors beside the points, as a sign that its items are
/// served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watchdog {
    silence_max: Duration,
    heard_at: Duration,
    data_at: Duration,
    /// How often the server's time came: a server that does not send it is not judged by it.
    beats: u32,
}

/// Why a session is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Not even a keep-alive.
    Subscription(Duration),
    /// Keep-alives, but the server's clock stands still.
    Items(Duration),
}

/// The server's time is asked for once a second.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
const BEATS_MISSED_MAX: u32 = 10;
/// Answers may be late because the gateway itself is.
const MARGIN: Duration = Duration::from_secs(2);
const SILENCE_MIN: Duration = Duration::from_secs(5);
const SILENCE_MAX: Duration = Duration::from_secs(60);

impl Watchdog {
    /// `keep_alive`: after which the server sends something at the latest.
    pub(crate) fn new(keep_alive: Duration, now: Duration) -> Watchdog {
        let silence_max = keep_alive.saturating_mul(3) / 2;
        let silence_max = silence_max.saturating_add(MARGIN).clamp(SILENCE_MIN, SILENCE_MAX);
        Watchdog { silence_max, heard_at: now, data_at: now, beats: 0 }
    }

    /// An answer to a publish, also one without notifications.
    pub(crate) fn heard(&mut self, now: Duration) {
        self.heard_at = now;
    }

    /// Values of any point.
    pub(crate) fn flowed(&mut self, now: Duration) {
        self.data_at = now;
    }

    /// The server's time.
    pub(crate) fn beat(&mut self, now: Duration) {
        self.data_at = now;
        self.beats = self.beats.saturating_add(1);
    }

    /// Up to when the subscription is known to have sent everything.
    pub(crate) fn proven_until(&self) -> Duration {
        self.heard_at
    }

    pub(crate) fn silence(&self, now: Duration) -> Option<Silence> {
        let unheard = now.saturating_sub(self.heard_at);
        if unheard > self.silence_max {
            return Some(Silence::Subscription(unheard));
        }
        let stale = now.saturating_sub(self.data_at);
        let patience = self.silence_max.max(BEAT * BEATS_MISSED_MAX);
        (self.beats >= 2 && stale > patience).then_some(Silence::Items(stale))
    }

    /// When to look again.
    pub(crate) fn look_at(&self) -> Duration {
        let heard = self.heard_at.saturating_add(self.silence_max);
        let patience = self.silence_max.max(BEAT * BEATS_MISSED_MAX);
        let data = if self.beats >= 2 { self.data_at.saturating_add(patience) } else { Duration::MAX };
        heard.min(data).saturating_add(Duration::from_millis(1))
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Silence::Subscription(time) => write!(f, "a subscription was silent for {} s", time.as_secs()),
            Silence::Items(time) => {
                write!(f, "a subscription sent keep-alives and no value for {} s, not even the server's time", time.as_secs())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_keep_alive_is_enough_where_the_server_does_not_tell_its_time() {
        let mut watchdog = Watchdog::new(s(2), s(0));
        for second in (0..600).step_by(2) {
            watchdog.heard(s(second));
            assert_eq!(watchdog.silence(s(second + 2)), None);
        }
        assert_eq!(watchdog.silence(s(604)), Some(Silence::Subscription(s(6))));
    }

    #[test]
    fn items_that_are_gone_are_noticed_although_keep_alives_come() {
        let mut watchdog = Watchdog::new(s(2), s(0));
        for second in 0..30 {
            watchdog.heard(s(second));
            watchdog.beat(s(second));
        }
        for second in 30..40 {
            watchdog.heard(s(second));
            assert_eq!(watchdog.silence(s(second)), None, "{second}");
        }
        watchdog.heard(s(40));
        assert_eq!(watchdog.silence(s(40)), Some(Silence::Items(s(11))));
    }

    #[test]
    fn values_of_points_prove_the_flow_as_well_as_the_time_does() {
        let mut watchdog = Watchdog::new(s(2), s(0));
        watchdog.beat(s(1));
        watchdog.beat(s(2));
        for second in 2..100 {
            watchdog.heard(s(second));
            watchdog.flowed(s(second));
            assert_eq!(watchdog.silence(s(second)), None);
        }
    }

    #[test]
    fn what_a_server_claims_of_its_keep_alive_is_bounded() {
        for keep_alive in [Duration::ZERO, Duration::MAX] {
            let watchdog = Watchdog::new(keep_alive, s(0));
            assert!(watchdog.silence(s(4)).is_none());
            assert!(watchdog.silence(s(61)).is_some());
            assert!(watchdog.look_at() <= s(61));
        }
    }
}
