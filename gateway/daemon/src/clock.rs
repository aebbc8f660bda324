//! The only place in the gateway that reads a clock.

#![allow(clippy::disallowed_methods, reason = "everything else gets the time from here")]

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use lingate_model::{Clock, ClockState, Now, UtcMicros};

/// systemd-timesyncd touches this file at every successful synchronisation (systemd-timesyncd.service(8)). `/run` is
/// empty after a boot, so the file also says that the clock was set since then.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";
/// timesyncd asks at least every 2,048 s; after five silent rounds nobody holds the clock any more.
const HOLDOVER_AFTER: Duration = Duration::from_secs(5 * 2048);
/// The kernel's own state needs a system call that safe Rust does not have, so a file is asked, and not at every reading.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// 2026-01-01: no copy of this program is older.
pub(crate) const EARLIEST: UtcMicros = UtcMicros(1_767_225_600_000_000);
/// Whoever signed a moment may have a clock that is ahead of the right time; nobody's is that far.
const LEEWAY_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// What a question for the time calls where the kernel does not answer it within the process.
#[cfg(not(target_arch = "arm"))]
pub(crate) const CALLS: &[libc::c_long] = &[libc::SYS_clock_gettime];
/// The second is clock_gettime64 (asm-generic/unistd.h), which the library does not name.
#[cfg(target_arch = "arm")]
pub(crate) const CALLS: &[libc::c_long] = &[libc::SYS_clock_gettime, 403];

/// The system's clocks. A host that disciplines its clock by anything but systemd-timesyncd is reported as unsynced:
/// too careful, never too trusting.
pub(crate) struct SystemClock {
    start: Instant,
    state: Mutex<(Duration, ClockState)>,
    /// Microseconds UTC that have certainly passed: a wall clock that shows less was never set, and is not believed.
    passed: AtomicI64,
}

impl SystemClock {
    pub(crate) fn start() -> SystemClock {
        let state = (Duration::ZERO, clock_state(Path::new(SYNCHRONIZED), SystemTime::now()));
        SystemClock { start: Instant::now(), state: Mutex::new(state), passed: AtomicI64::new(EARLIEST.0) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let monotonic = self.start.elapsed();
        let wall = SystemTime::now();
        let mut state = self.state.lock().expect("nothing panics while it holds this lock");
        if monotonic.saturating_sub(state.0) >= ASK_EVERY {
            *state = (monotonic, clock_state(Path::new(SYNCHRONIZED), wall));
        }
        let passed = UtcMicros(self.passed.load(Ordering::Relaxed));
        believed(utc_micros(wall), passed, Now { monotonic, utc: passed, clock: state.1 })
    }

    fn has_passed(&self, moment: UtcMicros) {
        self.passed.fetch_max(moment.0, Ordering::Relaxed);
    }

    fn shows(&self) -> UtcMicros {
        utc_micros(SystemTime::now())
    }
}

/// The wall's time; if that has passed long ago, the earliest that it can be by the steady clock, and that nobody has set it.
fn believed(wall: UtcMicros, passed: UtcMicros, now: Now) -> Now {
    if wall.0 >= passed.0.saturating_sub(LEEWAY_MICROS) {
        return Now { utc: wall, ..now };
    }
    let since = i64::try_from(now.monotonic.as_micros()).unwrap_or(i64::MAX);
    Now { utc: UtcMicros(passed.0.saturating_add(since)), clock: ClockState::Unsynced, ..now }
}

fn utc_micros(wall: SystemTime) -> UtcMicros {
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    UtcMicros(match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    })
}

fn clock_state(file: &Path, wall: SystemTime) -> ClockState {
    let Ok(last) = std::fs::metadata(file).and_then(|file| file.modified()) else { return ClockState::Unsynced };
    match wall.duration_since(last) {
        Ok(age) if age > HOLDOVER_AFTER => ClockState::Holdover,
        _ => ClockState::Synced,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_once_and_then_left_alone_is_in_holdover() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let set = file.as_file().metadata().unwrap().modified().unwrap();
        assert_eq!(clock_state(file.path(), set), ClockState::Synced);
        assert_eq!(clock_state(file.path(), set + Duration::from_secs(20_000)), ClockState::Holdover);
        assert_eq!(clock_state(Path::new("/nonexistent/synchronized"), set), ClockState::Unsynced);
    }

    #[test]
    fn a_clock_that_shows_what_has_long_passed_is_not_believed_and_its_time_goes_on() {
        let passed = UtcMicros(1_780_000_000_000_000);
        let at = |wall: i64, seconds: u64| {
            let now = Now { monotonic: Duration::from_secs(seconds), utc: passed, clock: ClockState::Synced };
            believed(UtcMicros(wall), passed, now)
        };
        for wall in [i64::MIN, -1, 0, 2_147_483_647, passed.0 - LEEWAY_MICROS - 1] {
            assert_eq!((at(wall, 0).utc, at(wall, 0).clock), (passed, ClockState::Unsynced), "{wall}");
            assert_eq!(at(wall, 3_600).utc.0, passed.0 + 3_600_000_000, "an hour later it is an hour later");
        }
        // The sandbox's clock may be ahead of ours by a little; and from the moment it is set, the wall counts.
        for wall in [passed.0 - LEEWAY_MICROS, passed.0, 4_102_444_800_000_000] {
            assert_eq!((at(wall, 9).utc.0, at(wall, 9).clock), (wall, ClockState::Synced));
        }
        assert_eq!(at(0, u64::MAX).utc, UtcMicros(i64::MAX), "no number is beyond the last one");
    }

    #[test]
    fn what_has_passed_only_moves_ahead() {
        let clock = SystemClock::start();
        let ahead = UtcMicros(clock.shows().0 + 10 * LEEWAY_MICROS);
        clock.has_passed(ahead);
        clock.has_passed(EARLIEST);
        assert!(clock.now().utc >= ahead && clock.shows() < ahead);
    }

    #[test]
    fn monotonic_time_never_goes_back() {
        let clock = SystemClock::start();
        let (first, second) = (clock.now(), clock.now());
        assert!(first.monotonic <= second.monotonic);
    }
}
