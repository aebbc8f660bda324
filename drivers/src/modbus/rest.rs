use std::time::Duration;

/// A device that says that it is busy, or a gateway that cannot reach it, is left alone for growing pauses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rest {
    pause: Duration,
    until: Duration,
}

const LONGEST: Duration = Duration::from_secs(30);

impl Rest {
    pub(crate) fn is_resting(&self, now: Duration) -> bool {
        now < self.until
    }

    pub(crate) fn answered(&mut self) {
        *self = Rest::default();
    }

    /// Acknowledge and busy (5, 6), gateway path unavailable and target silent (10, 11) ask for patience; others are
    /// about the request. The first pause ends with the next slot. `due`: the slot that was refused.
    pub(crate) fn refused(&mut self, exception: u8, interval: Duration, due: Duration) {
        if !matches!(exception, 5 | 6 | 10 | 11) || self.is_resting(due) {
            return;
        }
        self.pause = self.pause.saturating_mul(2).max(interval).min(LONGEST.max(interval));
        self.until = due.saturating_add(self.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_half_a_minute_and_end_with_the_first_answer() {
        let second = Duration::from_secs(1);
        let mut rest = Rest::default();
        let mut now = Duration::ZERO;
        let mut pauses = Vec::new();
        for _ in 0..7 {
            rest.refused(6, second, now);
            rest.refused(6, second, now);
            pauses.push((rest.until - now).as_secs());
            now = rest.until;
            assert!(!rest.is_resting(now));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        rest.answered();
        rest.refused(2, second, now);
        assert!(!rest.is_resting(now), "an address that does not exist is no reason to wait");
        rest.refused(11, second, now);
        assert!(rest.is_resting(now));
    }
}
