use std::time::Duration;

use lingate_model::{BuiltinType, DeviceTime, Now, StatusCode, UtcMicros, Value};

use crate::minimized::Item;
use crate::number::{from_integer, integer, nearest};
use crate::sums::{Extreme, Lines, Raw, Sample, Steps};
use crate::time::{Deadline, micros};
use crate::{AggregateFunction, Stamp};

/// InfoType DataValue with the aggregate bits of OPC 10000-4, 7.39.1.
const DATA_VALUE: u32 = 0x0400;
const CALCULATED: u32 = 0x01;
const INTERPOLATED: u32 = 0x02;
const PARTIAL: u32 = 0x04;
const MULTI_VALUE: u32 = 0x10;

/// So many windows before the newest one a reading is late, and nothing is wrong with the clock.
const LATE_WINDOWS: i64 = 5;

/// M5: one item for all readings of a window. Windows begin at multiples of the interval since 1970 on the point's clock
/// and hold the readings from their begin up to, and without, their end.
///
/// - A window is closed by the first reading behind it, or by time if none comes. A window without any reading gives none:
///   nothing leaves that was not read.
/// - Partial (in the StatusCode): the point was first read within the window, its clock went back, or the gateway stopped.
/// - A reading before the newest window, or for one that is closed already, is suppressed: no window is told twice, in
///   whichever order readings come. Only where it lies more than [`LATE_WINDOWS`] before the newest one the clock went back
///   and the windows begin anew; that is believed once in a window's length, so that a source whose clock swings does not
///   get a window for each reading.
/// - History and live readings each have their own windows.
#[derive(Debug)]
pub(crate) struct Windows {
    function: AggregateFunction,
    source: BuiltinType,
    /// Microseconds.
    interval: i64,
    /// So far behind the end a reading still shows where a line led to.
    reach: i64,
    streams: [Stream; 2],
}

#[derive(Debug, Default)]
struct Stream {
    open: Option<Window>,
    /// Begin of the window that was closed last.
    closed: Option<i64>,
    /// The clock went back: before this monotonic time that is not believed once more.
    steady_until: Duration,
    /// The last reading before the open window: its value if it was good.
    holds: Option<Option<f64>>,
    /// The last good one.
    before: Option<Sample>,
}

#[derive(Debug)]
struct Window {
    start: i64,
    end: i64,
    deadline: Duration,
    /// Something was known before it began, or was read at its first moment.
    is_whole: bool,
    readings: u64,
    /// Of the last reading.
    last: (i64, Stamp),
    raw: Raw,
    steps: Steps,
    lines: Lines,
    /// A time in which the point was not read lies in it.
    has_hole: bool,
}

/// What becomes of a reading and of the window before it.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    pub(crate) closed: Option<Item>,
    pub(crate) late: Option<Item>,
}

impl Windows {
    pub(crate) fn new(
        function: AggregateFunction,
        interval: Duration,
        source: BuiltinType,
        sampled_every: Duration,
    ) -> Windows {
        let reach = micros(sampled_every).saturating_mul(2);
        Windows { function, source, interval: micros(interval).max(1), reach, streams: Default::default() }
    }

    pub(crate) fn push(&mut self, now: Now, wait: Deadline, item: Item) -> Pushed {
        let (interval, reach, at) = (self.interval, self.reach, item.at);
        let mut pushed = Pushed::default();
        let stream = &mut self.streams[item.stamp.origin as usize];
        if stream.is_late(now, at, interval) {
            pushed.late = Some(item);
            return pushed;
        }
        if let Some(window) = stream.open.take_if(|window| at < window.start || at >= window.end) {
            let goes_back = at < window.start;
            let next = Sample::of(&item, at).filter(|_| !goes_back && at.saturating_sub(window.end) <= reach);
            let end = if goes_back { window.last.0 } else { window.end };
            pushed.closed = Some(stream.close(window, end, next, self.function, self.source));
        }
        if stream.newest().is_some_and(|start| at < start) {
            *stream = Stream { steady_until: wait.at(now, 0, interval), ..Stream::default() };
        }
        let window = stream.open.take().unwrap_or_else(|| stream.window(now, wait, at, interval, reach));
        stream.open = Some(window.with(&item));
        pushed
    }

    /// From this moment on nobody knows the point's value, until it is read again - as it may have been meanwhile.
    pub(crate) fn unknown(&mut self, at: i64) {
        let [live, _] = &mut self.streams;
        match &mut live.open {
            Some(window) => window.unknown(at),
            None => live.holds = live.holds.and(Some(None)),
        }
        live.before = None;
    }

    /// The monotonic time at which `due` has something to give.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.streams.iter().filter_map(|stream| Some(stream.open.as_ref()?.deadline)).min()
    }

    pub(crate) fn due(&mut self, now: Now) -> Option<Item> {
        let is_due = |window: &mut Window| window.deadline <= now.monotonic;
        for stream in &mut self.streams {
            if let Some(window) = stream.open.take_if(is_due) {
                let end = window.end;
                return Some(stream.close(window, end, None, self.function, self.source));
            }
        }
        None
    }

    /// What is open ends at `at` on the point's clock, and nothing is known any more.
    pub(crate) fn end(&mut self, at: i64) -> [Option<Item>; 2] {
        let (function, source) = (self.function, self.source);
        self.streams.each_mut().map(|stream| {
            let mut stream = std::mem::take(stream);
            let window = stream.open.take()?;
            let end = at.clamp(window.last.0, window.end);
            Some(stream.close(window, end, None, function, source))
        })
    }
}

impl Stream {
    /// Begin of the newest window.
    fn newest(&self) -> Option<i64> {
        self.open.as_ref().map(|window| window.start).or(self.closed)
    }

    fn is_late(&self, now: Now, at: i64, interval: i64) -> bool {
        let Some(newest) = self.newest() else { return false };
        let is_closed = self.open.is_none() && at < newest.saturating_add(interval);
        let went_back = newest.saturating_sub(at) > interval.saturating_mul(LATE_WINDOWS);
        at < newest && !(went_back && now.monotonic >= self.steady_until) || at >= newest && is_closed
    }

    fn window(&mut self, now: Now, wait: Deadline, at: i64, interval: i64, reach: i64) -> Window {
        let start = at.saturating_sub(at.rem_euclid(interval));
        let end = start.saturating_add(interval);
        let is_near = |before: &Sample| start.saturating_sub(before.at) <= interval.saturating_add(reach);
        Window {
            start,
            end,
            deadline: wait.at(now, at, end),
            is_whole: self.holds.is_some() || at == start,
            readings: 0,
            last: (at, Stamp::gateway(UtcMicros(at))),
            raw: Raw::default(),
            steps: Steps::begin(self.holds, start),
            lines: Lines::begin(self.before.filter(is_near), start),
            has_hole: false,
        }
    }

    fn close(
        &mut self,
        mut window: Window,
        end: i64,
        next: Option<Sample>,
        function: AggregateFunction,
        source: BuiltinType,
    ) -> Item {
        self.closed = Some(window.start);
        self.holds = window.steps.last();
        self.before = window.lines.last;
        window.is_whole &= end == window.end;
        window.steps.until(end);
        let (value, status) = window.result(function, source, end, next);
        let (last, stamp) = window.last;
        let stamp = stamp.at_begin(window.start, last);
        Item { stamp, value, status, at: window.start, readings: window.readings }
    }
}

impl Window {
    fn with(mut self, item: &Item) -> Window {
        // A source that hands over its samples out of order does not turn time around.
        let at = item.at.max(self.last.0);
        let sample = Sample::of(item, at);
        self.readings += 1;
        self.last = (at, item.stamp);
        self.raw.add(item, sample);
        self.steps.add(at, sample.map(|sample| sample.value));
        sample.into_iter().for_each(|sample| self.lines.add(sample));
        self
    }

    fn unknown(&mut self, at: i64) {
        self.has_hole = true;
        match at.max(self.start) {
            at if at < self.last.0 => self.steps.doubt(self.last.0 - at),
            at => self.steps.add(at.min(self.end), None),
        }
    }

    fn result(
        &self,
        function: AggregateFunction,
        source: BuiltinType,
        end: i64,
        next: Option<Sample>,
    ) -> (Option<Value>, StatusCode) {
        use AggregateFunction::{
            Average, Count, Interpolative, Maximum, Minimum, PercentBad, PercentGood, Range,
            StandardDeviationPopulation, StandardDeviationSample, TimeAverage, TimeAverage2,
        };
        let raw = &self.raw;
        let has_good = raw.good > 0;
        let double = |value: f64| Some(Value::Double(value));
        let of_good = |value: f64| has_good.then_some(Value::Double(value));
        let (value, is_doubtful, bits) = match function {
            Average => (of_good(raw.sum / raw.good.max(1) as f64), raw.other > 0, CALCULATED),
            Count => (has_good.then(|| count(raw.good)), raw.other > 0, CALCULATED),
            StandardDeviationSample => (of_good(raw.deviation(1)), false, CALCULATED),
            StandardDeviationPopulation => (of_good(raw.deviation(0)), false, CALCULATED),
            Minimum => self.extreme(raw.minimum.as_ref(), raw.has_lower()),
            Maximum => self.extreme(raw.maximum.as_ref(), raw.has_higher()),
            Range => match self.range(source) {
                Ok(range) => (range, raw.bad > 0 || raw.has_lower() || raw.has_higher(), CALCULATED),
                Err(status) => return (None, status),
            },
            PercentGood => (double(self.percent_good()), false, CALCULATED),
            PercentBad => (double(100.0 - self.percent_good()), false, CALCULATED),
            TimeAverage2 => (self.held_average().map(Value::Double), self.steps.bad_us > 0, CALCULATED),
            TimeAverage => {
                let average = self.lines.average(end, next);
                let is_guessed = average.is_some_and(|(_, is_guessed)| is_guessed);
                let is_doubtful = raw.other > 0 || self.has_hole || is_guessed;
                (average.map(|(value, _)| Value::Double(value)), is_doubtful, CALCULATED)
            }
            Interpolative => {
                let bits = if self.lines.is_first_raw { 0 } else { INTERPOLATED };
                (self.lines.first.and_then(|value| nearest(source, value)), raw.other > 0 || self.has_hole, bits)
            }
        };
        let Some(value) = value else { return (None, StatusCode::BAD_NO_DATA) };
        let severity = if is_doubtful { StatusCode::UNCERTAIN_DATA_SUB_NORMAL } else { StatusCode::GOOD };
        let partial = if self.is_whole { 0 } else { PARTIAL };
        let bits = bits | partial;
        let info = if bits == 0 { 0 } else { DATA_VALUE | bits };
        (Some(value), StatusCode(severity.0 | info))
    }

    fn extreme(&self, extreme: Option<&Extreme>, is_exceeded: bool) -> (Option<Value>, bool, u32) {
        let Some(extreme) = extreme else { return (None, false, 0) };
        let raw = if extreme.at == self.start { 0 } else { CALCULATED };
        let multiple = if extreme.multiple { MULTI_VALUE } else { 0 };
        (Some(extreme.value.clone()), self.raw.bad > 0 || is_exceeded, raw | multiple)
    }

    /// In the readings' type; `Err` if the type cannot hold the difference.
    fn range(&self, source: BuiltinType) -> Result<Option<Value>, StatusCode> {
        let (Some(low), Some(high)) = (&self.raw.minimum, &self.raw.maximum) else { return Ok(None) };
        let range = match (integer(&low.value), integer(&high.value)) {
            (Some(low), Some(high)) => from_integer(source, high - low),
            _ => {
                let (low, high) = (low.value.approximate().unwrap_or(0.0), high.value.approximate().unwrap_or(0.0));
                nearest(source, high - low)
            }
        };
        range.map(Some).ok_or(StatusCode::BAD_AGGREGATE_INVALID_INPUTS)
    }

    fn percent_good(&self) -> f64 {
        let (good, whole) = (self.steps.good_us, self.steps.good_us.saturating_add(self.steps.bad_us));
        match whole {
            0 if self.steps.last().flatten().is_some() => 100.0,
            0 => 0.0,
            whole => good as f64 / whole as f64 * 100.0,
        }
    }

    fn held_average(&self) -> Option<f64> {
        match self.steps.good_us {
            0 => self.steps.last().flatten(),
            good => Some(self.steps.area / good as f64),
        }
    }
}

fn count(readings: u64) -> Value {
    Value::Int32(i32::try_from(readings).unwrap_or(i32::MAX))
}

impl Stamp {
    fn gateway(gateway_time: UtcMicros) -> Stamp {
        Stamp { gateway_time, source_time: None, server_time: None, origin: lingate_model::Origin::Live }
    }

    /// Of a window that begins at `start` on the point's clock, on which the reading with this stamp was at `at`.
    fn at_begin(self, start: i64, at: i64) -> Stamp {
        let source_time = self.source_time.map(|_| DeviceTime::from(UtcMicros(start)));
        let back = if source_time.is_some() { 0 } else { at.saturating_sub(start) };
        let gateway_time = UtcMicros(self.gateway_time.0.saturating_sub(back));
        Stamp { gateway_time, source_time, server_time: None, origin: self.origin }
    }
}
