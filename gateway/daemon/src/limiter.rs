use std::time::Duration;

/// A bucket of log lines: full at first, and refilled by one line at a time.
pub(crate) struct Limiter {
    size: u32,
    refill: Duration,
    left: u32,
    filled_at: Duration,
    withheld: u64,
}

impl Limiter {
    pub(crate) fn new(size: u32, refill: Duration) -> Limiter {
        Limiter { size, refill, left: size, filled_at: Duration::ZERO, withheld: 0 }
    }

    /// `Some(withheld)`: write this line, and say how many were not written before it.
    pub(crate) fn allows(&mut self, now: Duration) -> Option<u64> {
        let elapsed = now.saturating_sub(self.filled_at);
        let lines = u32::try_from(elapsed.as_nanos() / self.refill.as_nanos().max(1)).unwrap_or(u32::MAX);
        if lines > 0 {
            self.left = self.left.saturating_add(lines).min(self.size);
            self.filled_at = now;
        }
        if self.left == 0 {
            self.withheld = self.withheld.saturating_add(1);
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_lines_is_cut_to_the_bucket_and_counted() {
        let mut limiter = Limiter::new(3, Duration::from_secs(1));
        let written = (0..100).filter(|_| limiter.allows(Duration::ZERO).is_some()).count();
        assert_eq!(written, 3);
        assert_eq!(limiter.allows(Duration::from_secs(1)), Some(97));
        assert_eq!(limiter.allows(Duration::from_secs(1)), None);
    }
}
