use std::time::Duration;

/// Capped exponential backoff with equal jitter. The caller brings the randomness, so that a test can replay it.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// `first`: ceiling of the first pause; `cap`: no pause is longer.
    pub fn new(first: Duration, cap: Duration) -> Backoff {
        Backoff { first, cap, failures: 0 }
    }

    /// The pause before the next attempt: between half and all of the ceiling, which doubles with each failure.
    /// `random` is uniform over all of `u32`.
    pub fn next_pause(&mut self, random: u32) -> Duration {
        let ceiling = self.first.saturating_mul(1 << self.failures.min(20)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        ceiling / 2 + (ceiling / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_start_again_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let pauses: Vec<u128> = (0..6).map(|_| backoff.next_pause(u32::MAX).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        backoff.succeeded();
        assert_eq!(backoff.next_pause(0), Duration::from_millis(50));
    }

    #[test]
    fn randomness_moves_a_pause_between_half_and_all_of_its_ceiling() {
        for random in [0, 1, u32::MAX / 2, u32::MAX] {
            let pause = Backoff::new(Duration::from_secs(8), Duration::from_secs(60)).next_pause(random);
            assert!((Duration::from_secs(4)..=Duration::from_secs(8)).contains(&pause), "{random}: {pause:?}");
        }
    }

    #[test]
    fn ten_years_of_failures_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        backoff.failures = u32::MAX - 1;
        for _ in 0..4 {
            assert!(backoff.next_pause(u32::MAX) <= Duration::from_secs(60));
        }
    }
}
