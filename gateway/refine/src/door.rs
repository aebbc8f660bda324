use std::time::Duration;

use lingate_model::{Now, Severity, Value};

use crate::minimized::Item;
use crate::time::{Deadline, micros};

/// M7, swinging door: of good numbers only those are kept between which a straight line stays within `deviation` of every
/// suppressed one. An item waits until the next one tells whether it is needed.
///
/// - The corridor from the last kept value is narrowed by every value in between, and a value that would leave it ends
///   the line at the value before. So the line between two kept values is never further than `deviation` from what was
///   measured (in double arithmetic), which the classic door only promises at twice the deviation.
/// - Two kept values are at most `max_interval` apart, as far as the point was read: the last value within it is kept.
/// - What is not good, not finite or not later than the one before is kept, and so is its neighbour before it.
/// - History and live readings each have their own line.
#[derive(Debug)]
pub(crate) struct Door {
    deviation: f64,
    /// Microseconds.
    max_interval: Option<i64>,
    lines: [Line; 2],
}

/// From the last kept value to the one that waits.
#[derive(Debug, Default)]
struct Line {
    start: Option<Start>,
    waiting: Option<Waiting>,
    /// Of the values that wait or were suppressed since: slopes per microsecond that stay within the deviation.
    lowest: f64,
    highest: f64,
}

#[derive(Clone, Copy, Debug)]
struct Start {
    at: i64,
    value: f64,
}

#[derive(Debug)]
struct Waiting {
    item: Item,
    value: f64,
    deadline: Option<Duration>,
}

/// What the door says of the items that it has seen, in this order.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) suppressed: Option<Item>,
    pub(crate) kept: [Option<Item>; 2],
}

impl Door {
    pub(crate) fn new(deviation: f64, max_interval: Option<Duration>) -> Door {
        Door { deviation, max_interval: max_interval.map(micros), lines: Default::default() }
    }

    pub(crate) fn push(&mut self, now: Now, wait: Deadline, item: Item) -> Verdict {
        let (deviation, max_interval) = (self.deviation, self.max_interval);
        let line = &mut self.lines[item.stamp.origin as usize];
        let value = item.value.as_ref().and_then(Value::approximate).filter(|value| value.is_finite());
        let value = value.filter(|_| item.status.severity() == Severity::Good);
        let (Some(value), true) = (value, line.is_before(item.at)) else { return line.break_off(item, value) };
        let Some(start) = line.start else { return line.break_off(item, Some(value)) };
        let mut verdict = Verdict::default();
        let mut start = start;
        let is_over = |start: Start| max_interval.is_some_and(|most| item.at.saturating_sub(start.at) > most);
        if let Some(waiting) = line.waiting.take() {
            if is_over(start) || !line.leads_to(start, item.at, value) {
                start = line.begin(waiting.item.at, waiting.value);
                verdict.kept[0] = Some(waiting.item);
            } else {
                verdict.suppressed = Some(waiting.item);
            }
        }
        if max_interval.is_some_and(|most| item.at.saturating_sub(start.at) >= most) {
            line.begin(item.at, value);
            verdict.kept[1] = Some(item);
            return verdict;
        }
        line.narrow(start, item.at, value, deviation);
        let due = max_interval.map(|most| start.at.saturating_add(most));
        let deadline = due.map(|due| wait.at(now, item.at, due));
        line.waiting = Some(Waiting { item, value, deadline });
        verdict
    }

    /// The monotonic time at which `due` has something to give.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.lines.iter().filter_map(|line| line.waiting.as_ref()?.deadline).min()
    }

    /// An item that waited as long as it may: it is kept.
    pub(crate) fn due(&mut self, now: Now) -> Option<Item> {
        let is_due =
            |line: &Line| line.waiting.as_ref().is_some_and(|w| w.deadline.is_some_and(|at| at <= now.monotonic));
        let line = self.lines.iter_mut().find(|line| is_due(line))?;
        let Waiting { item, value, .. } = line.waiting.take()?;
        line.begin(item.at, value);
        Some(item)
    }

    /// What waits is kept, and the next items begin new lines.
    pub(crate) fn end(&mut self) -> [Option<Item>; 2] {
        self.lines.each_mut().map(|line| std::mem::take(line).waiting.map(|waiting| waiting.item))
    }
}

impl Line {
    /// Time goes on.
    fn is_before(&self, at: i64) -> bool {
        let last = self.waiting.as_ref().map(|waiting| waiting.item.at).or(self.start.map(|start| start.at));
        last.is_none_or(|last| last < at)
    }

    /// The waiting item and this one are kept; the line begins here, if there is a number to begin with.
    fn break_off(&mut self, item: Item, value: Option<f64>) -> Verdict {
        let waiting = std::mem::take(self).waiting.map(|waiting| waiting.item);
        if let Some(value) = value {
            self.begin(item.at, value);
        }
        Verdict { suppressed: None, kept: [waiting, Some(item)] }
    }

    fn begin(&mut self, at: i64, value: f64) -> Start {
        let start = Start { at, value };
        *self = Line { start: Some(start), waiting: None, lowest: f64::NEG_INFINITY, highest: f64::INFINITY };
        start
    }

    fn leads_to(&self, start: Start, at: i64, value: f64) -> bool {
        let slope = (value - start.value) / span(start, at);
        (self.lowest..=self.highest).contains(&slope)
    }

    fn narrow(&mut self, start: Start, at: i64, value: f64, deviation: f64) {
        let slope = |value: f64| (value - start.value) / span(start, at);
        self.lowest = self.lowest.max(slope(value - deviation));
        self.highest = self.highest.min(slope(value + deviation));
    }
}

/// Microseconds, more than 0.
fn span(start: Start, at: i64) -> f64 {
    at.saturating_sub(start.at).max(1) as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::{ClockState, Origin, StatusCode, UtcMicros};

    use super::*;
    use crate::Stamp;

    const SECOND: i64 = 1_000_000;

    fn now(seconds: i64) -> Now {
        let monotonic = Duration::from_secs(seconds.unsigned_abs());
        Now { monotonic, utc: UtcMicros(seconds * SECOND), clock: ClockState::Synced }
    }

    fn item(seconds: i64, value: f64, status: StatusCode) -> Item {
        let at = seconds * SECOND;
        let stamp = Stamp { gateway_time: UtcMicros(at), source_time: None, server_time: None, origin: Origin::Live };
        Item { stamp, value: (!status.is_bad()).then_some(Value::Double(value)), status, at, readings: 1 }
    }

    fn seconds(item: &Item) -> i64 {
        item.at / SECOND
    }

    /// Seconds of the kept ones: all that `values` let through, and what waits at the end.
    fn kept(door: &mut Door, values: &[(i64, f64, StatusCode)]) -> Vec<i64> {
        let mut kept = Vec::new();
        for (at, value, status) in values {
            let verdict = door.push(now(*at), Deadline::default(), item(*at, *value, *status));
            kept.extend(verdict.kept.iter().flatten().map(seconds));
        }
        kept.extend(door.end().iter().flatten().map(seconds));
        kept
    }

    fn good(values: &[(i64, f64)]) -> Vec<(i64, f64, StatusCode)> {
        values.iter().map(|(at, value)| (*at, *value, StatusCode::GOOD)).collect()
    }

    #[test]
    fn a_straight_ramp_leaves_its_ends() {
        let ramp = good(&(0..100).map(|at| (at, at as f64)).collect::<Vec<_>>());
        assert_eq!(kept(&mut Door::new(0.1, None), &ramp), [0, 99]);
    }

    #[test]
    fn a_corner_is_kept_where_the_line_would_miss_what_was_measured() {
        let corner = good(&[(0, 0.0), (1, 0.0), (2, 0.0), (3, 3.0), (4, 6.0), (5, 9.0)]);
        assert_eq!(kept(&mut Door::new(0.5, None), &corner), [0, 2, 5]);
    }

    #[test]
    fn what_is_not_good_breaks_the_line_and_is_told_with_its_neighbours() {
        let mut values = good(&[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 1.0)]);
        values[3].2 = StatusCode::BAD_SENSOR_FAILURE;
        assert_eq!(kept(&mut Door::new(0.5, None), &values), [0, 2, 3, 4, 5]);
        let uncertain: Vec<_> = [0, 1, 2].map(|at| (at, 1.0, StatusCode::UNCERTAIN)).into();
        assert_eq!(kept(&mut Door::new(0.5, None), &uncertain), [0, 1, 2]);
        let endless = good(&[(0, 1.0), (1, f64::NAN), (2, f64::INFINITY), (3, 1.0)]);
        assert_eq!(kept(&mut Door::new(0.5, None), &endless), [0, 1, 2, 3]);
    }

    #[test]
    fn a_steady_point_is_heard_within_the_longest_interval() {
        let steady = |times: &[i64]| good(&times.iter().map(|at| (*at, 1.0)).collect::<Vec<_>>());
        let mut door = Door::new(0.5, Some(Duration::from_secs(10)));
        assert_eq!(kept(&mut door, &steady(&(0..=30).collect::<Vec<_>>())), [0, 10, 20, 30]);
        assert_eq!(kept(&mut door, &steady(&[0, 3, 6, 9, 12, 15, 18, 21])), [0, 9, 18, 21]);
    }

    #[test]
    fn a_reading_after_the_time_finds_what_the_clock_would_have_done() {
        let max = Some(Duration::from_secs(10));
        let (mut asked, mut silent) = (Door::new(5.0, max), Door::new(5.0, max));
        for door in [&mut asked, &mut silent] {
            door.push(now(0), Deadline::default(), item(0, 0.0, StatusCode::GOOD));
            door.push(now(4), Deadline::default(), item(4, 1.0, StatusCode::GOOD));
        }
        let deadline = asked.deadline().unwrap();
        assert!(deadline >= Duration::from_secs(10));
        assert!(asked.due(Now { monotonic: deadline - Duration::from_millis(1), ..now(0) }).is_none());
        assert_eq!(seconds(&asked.due(Now { monotonic: deadline, ..now(0) }).unwrap()), 4);
        let late = |door: &mut Door| door.push(now(13), Deadline::default(), item(13, 1.0, StatusCode::GOOD));
        assert!(late(&mut asked).kept.iter().flatten().next().is_none());
        assert_eq!(late(&mut silent).kept.iter().flatten().map(seconds).collect::<Vec<_>>(), [4]);
        assert_eq!(asked.deadline(), silent.deadline());
    }

    #[test]
    fn a_clock_that_goes_back_loses_nothing() {
        assert_eq!(
            kept(&mut Door::new(9.0, None), &good(&[(5, 1.0), (6, 1.0), (3, 1.0), (4, 1.0), (4, 1.0)])),
            [5, 6, 3, 4, 4]
        );
    }
}
