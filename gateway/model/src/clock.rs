use std::fmt;
use std::time::Duration;

/// Microseconds since 1970-01-01T00:00:00Z, may be negative; no leap seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcMicros(pub i64);

impl UtcMicros {
    /// Whole seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}

/// A time as an OPC UA device writes it: ticks of 100 ns since 1601-01-01T00:00:00Z (OPC 10000-6, 5.2.2.5), as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceTime(pub i64);

impl DeviceTime {
    const UNIX_EPOCH: i64 = 116_444_736_000_000_000;

    /// Rounded down to the microsecond.
    pub fn utc(self) -> UtcMicros {
        UtcMicros(self.0.div_euclid(10) - Self::UNIX_EPOCH / 10)
    }
}

impl From<UtcMicros> for DeviceTime {
    /// Beyond the years that ticks can count: the last one.
    fn from(utc: UtcMicros) -> DeviceTime {
        DeviceTime(utc.0.saturating_mul(10).saturating_add(Self::UNIX_EPOCH))
    }
}

/// How far the wall clock can be believed. Recorded with every batch; never used to decide order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClockState {
    /// The kernel reports a synchronised clock.
    Synced,
    /// It was synchronised since boot and is not any more.
    Holdover,
    /// Nobody has set it since boot.
    #[default]
    Unsynced,
}

impl fmt::Display for ClockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClockState::Synced => "synced",
            ClockState::Holdover => "holdover",
            ClockState::Unsynced => "unsynced",
        })
    }
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since the process started; never goes back. All deadlines are on this clock.
    pub monotonic: Duration,
    /// Wall time; may jump in both directions. Only ever written down, never used for deadlines.
    pub utc: UtcMicros,
    pub clock: ClockState,
}

/// The one way to ask the time. The daemon has the only real implementation; tests bring their own.
pub trait Clock: Send + Sync {
    fn now(&self) -> Now;
    /// Tells a moment that has certainly passed, as somebody signed it.
    fn has_passed(&self, _moment: UtcMicros) {}
    /// What the wall clock shows, believed or not.
    fn shows(&self) -> UtcMicros {
        self.now().utc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_before_1970_are_rounded_down_too() {
        for (micros, seconds) in [(0, 0), (999_999, 0), (1_000_000, 1), (-1, -1), (-1_000_000, -1), (-1_000_001, -2)] {
            assert_eq!(UtcMicros(micros).seconds(), seconds, "{micros}");
        }
        assert_eq!(UtcMicros(i64::MIN).seconds(), -9_223_372_036_855);
    }

    #[test]
    fn a_device_time_is_the_same_moment_without_its_last_digit() {
        assert_eq!(DeviceTime(116_444_736_000_000_009).utc(), UtcMicros(0));
        assert_eq!(DeviceTime(116_444_735_999_999_999).utc(), UtcMicros(-1));
        for micros in [-1, 0, 1, 1_700_000_000_123_456] {
            assert_eq!(DeviceTime::from(UtcMicros(micros)).utc(), UtcMicros(micros));
        }
        assert!(DeviceTime(i64::MIN).utc() < DeviceTime(i64::MAX).utc());
    }

    #[test]
    fn a_clock_is_not_believed_before_somebody_said_so() {
        assert_eq!(ClockState::default().to_string(), "unsynced");
    }
}
