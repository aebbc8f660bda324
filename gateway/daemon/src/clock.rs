//! The only place in the gateway that reads a clock.

#![allow(clippy::disallowed_methods, reason = "everything else gets the time from here")]

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use lingate_model::{Clock, ClockState, Now, UtcMicros};

/// systemd-timesyncd touches this file at every successful synchronisation (systemd-timesyncd.service(8)). `/run` is
/// empty after a boot, so the file also says that the clock was set since then.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";
/// timesyncd asks at least every 2,048 s; after five silent rounds nobody holds the clock any more.
const HOLDOVER_AFTER: Duration = Duration::from_secs(5 * 2048);
/// The kernel's own state needs a system call that safe Rust does not have, so a file is asked, and not at every reading.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// The system's clocks. A host that disciplines its clock by anything but systemd-timesyncd is reported as unsynced:
/// too careful, never too trusting.
pub(crate) struct SystemClock {
    start: Instant,
    state: Mutex<(Duration, ClockState)>,
}

impl SystemClock {
    pub(crate) fn start() -> SystemClock {
        let state = (Duration::ZERO, clock_state(Path::new(SYNCHRONIZED), SystemTime::now()));
        SystemClock { start: Instant::now(), state: Mutex::new(state) }
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
        Now { monotonic, utc: utc_micros(wall), clock: state.1 }
    }
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
    fn monotonic_time_never_goes_back() {
        let clock = SystemClock::start();
        let (first, second) = (clock.now(), clock.now());
        assert!(first.monotonic <= second.monotonic);
    }
}
