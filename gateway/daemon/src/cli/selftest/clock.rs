use std::time::Duration;

use lingate_model::{Clock, ClockState, UtcMicros};

use super::Finding;
use crate::cli::exit::Code;
use crate::clock::EARLIEST;
use crate::tls::show_time;

const AREA: &str = "clock";
const LOOKS: usize = 10_000;
const COARSE: Duration = Duration::from_millis(10);

pub(super) fn look(clock: &dyn Clock) -> Vec<Finding> {
    vec![wall(clock.shows(), clock.now().clock), steady(clock)]
}

fn wall(utc: UtcMicros, state: ClockState) -> Finding {
    let shown = show_time(utc);
    if utc < EARLIEST {
        let hint = "the battery of the clock is empty, or nobody set it: certificates and bundles look not yet valid. Set \
                    it, or wait for the time server";
        return Finding::bad(AREA, Code::Io, format!("it is {shown}"), hint);
    }
    match state {
        ClockState::Synced => Finding::good(AREA, format!("it is {shown}, synchronised")),
        other => Finding::warning(
            AREA,
            format!("it is {shown}, {other}"),
            "only systemd-timesyncd tells that it synchronises; with another time service this warning stays, and data is \
             marked as not synchronised",
        ),
    }
}

fn steady(clock: &dyn Clock) -> Finding {
    let (mut last, mut finest) = (clock.now().monotonic, Duration::MAX);
    for _ in 0..LOOKS {
        let next = clock.now().monotonic;
        match next.checked_sub(last) {
            None => {
                let hint = "timers would fire at random: is a hypervisor's clock source broken?";
                return Finding::bad(AREA, Code::Internal, "the steady clock ran backwards", hint);
            }
            Some(Duration::ZERO) => {}
            Some(step) => finest = finest.min(step),
        }
        last = next;
    }
    match finest > COARSE {
        true => Finding::warning(AREA, "the steady clock is coarser than 10 ms", "fast polling will jitter by that"),
        false => Finding::good(AREA, format!("the steady clock moves in steps of {finest:?} or less")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn a_clock_before_this_program_was_made_is_bad_and_an_unsynchronised_one_is_a_warning() {
        assert_eq!(wall(UtcMicros(0), ClockState::Synced).grade, Grade::Bad(Code::Io));
        assert_eq!(wall(UtcMicros(EARLIEST.0 - 1), ClockState::Synced).grade, Grade::Bad(Code::Io));
        assert_eq!(wall(EARLIEST, ClockState::Synced).grade, Grade::Good);
        assert_eq!(wall(EARLIEST, ClockState::Unsynced).grade, Grade::Warning);
    }
}
