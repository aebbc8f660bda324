//! Simulated devices with self-describing values: the value of slot `n` of point `p` is f(p, n), so that a receiver can
//! tell by the value alone where and when it was served.

use std::collections::BTreeMap;
use std::time::Duration;

use lingate_model::{Missed, MissedCause, PointId, Reading, StatusCode, UtcMicros, Value};
use lingate_sandbox::OpenedReading;

use crate::plan::{self, DEVICES, dataset_of, point};

/// What a device does with its next slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    Values,
    /// It answers with an error: bad readings.
    Errors,
    /// It cannot be reached: its slots are told as missed when it comes back.
    Nothing,
    /// It takes questions and answers none; the polls that came due meanwhile were late.
    Stalled,
    /// What it answers cannot be decoded.
    Garbled,
}

impl Serving {
    /// Why its slots give nothing.
    fn misses_by(self) -> Option<MissedCause> {
        match self {
            Serving::Values | Serving::Errors => None,
            Serving::Nothing => Some(MissedCause::DeviceDown),
            Serving::Stalled => Some(MissedCause::Overload),
            Serving::Garbled => Some(MissedCause::DecodeFailure),
        }
    }
}

pub struct Plant {
    /// By point, as the catalogue names it.
    names: Vec<String>,
    devices: Vec<State>,
    /// By point: slots so far.
    slots: Vec<u64>,
    /// By (point, time): slots and what they gave; more than one only after the wall clock jumped back.
    served: BTreeMap<(u32, i64), Vec<(u64, StatusCode)>>,
    /// Readings and missed slots told to the engine, by dataset.
    pub read: [u64; 2],
    pub missed: [u64; 2],
    /// Missed slots of all datasets, by what the gap records must say.
    pub missed_by: BTreeMap<&'static str, u64>,
    /// So many times slower than the plan says.
    pace: u32,
}

struct State {
    serving: Serving,
    /// Virtual time of the next poll; `None` while nobody polls.
    next: Option<Duration>,
    down_since: Option<(UtcMicros, MissedCause)>,
    missed: u64,
}

/// What a poll gave.
pub(crate) enum Answer {
    Readings(Vec<Reading>),
    Missed(Missed),
    Nothing,
}

impl Plant {
    pub(crate) fn new(pace: u32) -> Plant {
        let state = || State { serving: Serving::Values, next: None, down_since: None, missed: 0 };
        Plant {
            names: plan::export_plan().points.iter().map(|point| point.name.clone()).collect(),
            devices: DEVICES.iter().map(|_| state()).collect(),
            slots: vec![0; point::COUNT as usize],
            served: BTreeMap::new(),
            read: [0; 2],
            missed: [0; 2],
            missed_by: BTreeMap::new(),
            pace,
        }
    }

    pub fn serve(&mut self, device: usize, serving: Serving) {
        self.devices[device].serving = serving;
    }

    pub(crate) fn start_polling(&mut self, at: Duration) {
        self.devices.iter_mut().for_each(|device| device.next = Some(at));
    }

    pub(crate) fn stop_polling(&mut self) {
        self.devices.iter_mut().for_each(|device| device.next = None);
    }

    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.devices.iter().filter_map(|device| device.next).min()
    }

    /// The device whose poll is due.
    pub(crate) fn due(&self, at: Duration) -> Option<usize> {
        self.devices.iter().position(|device| device.next.is_some_and(|next| next <= at))
    }

    /// One poll of one device. What was missed is told with the first poll that works again.
    pub(crate) fn poll(&mut self, index: usize, utc: UtcMicros) -> Answer {
        let state = &mut self.devices[index];
        if let Some(next) = &mut state.next {
            *next += DEVICES[index].interval * self.pace;
        }
        let cause = state.serving.misses_by();
        if let Some((from, before)) = state.down_since.take_if(|(_, before)| Some(*before) != cause) {
            if let Some(next) = &mut state.next {
                *next -= DEVICES[index].interval * self.pace;
            }
            let count = std::mem::take(&mut state.missed);
            return Answer::Missed(self.missed(index, from, utc, count, before));
        }
        if let Some(cause) = cause {
            state.down_since.get_or_insert((utc, cause));
            state.missed += 1;
            return Answer::Nothing;
        }
        let serving = state.serving;
        Answer::Readings(DEVICES[index].points.clone().map(|point| self.reading(point, serving, utc)).collect())
    }

    fn missed(&mut self, index: usize, from: UtcMicros, to: UtcMicros, count: u64, cause: MissedCause) -> Missed {
        let device = &DEVICES[index];
        let name = match cause {
            MissedCause::Overload => "overload",
            MissedCause::DecodeFailure => "decode_failure",
            _ => "device_down",
        };
        for dataset in device.points.clone().filter_map(dataset_of) {
            self.missed[dataset] += count;
            *self.missed_by.entry(name).or_default() += count;
        }
        Missed {
            device: device.name.parse().expect("a device name"),
            from: from.min(to),
            to,
            slots: device.points.clone().map(|point| (PointId(point), count)).collect(),
            cause,
        }
    }

    fn reading(&mut self, point: u32, serving: Serving, utc: UtcMicros) -> Reading {
        let slot = self.slots[point as usize];
        self.slots[point as usize] += 1;
        if let Some(dataset) = dataset_of(point) {
            self.read[dataset] += 1;
        }
        let reading = match serving {
            Serving::Errors => Reading::bad(PointId(point), StatusCode::BAD_DEVICE_FAILURE, utc),
            _ => Reading::good(PointId(point), value(point, slot), utc),
        };
        self.served.entry((point, utc.0)).or_default().push((slot, reading.status));
        reading
    }

    /// Whether a device served exactly this, and the point may leave.
    pub(crate) fn judge(&self, reading: &OpenedReading) -> Result<(), String> {
        let named = (0..).zip(&self.names).find(|(_, name)| **name == *reading.point);
        let (point, _) = named.ok_or_else(|| format!("{} is no point of the plan", reading.point))?;
        if matches!(point, point::SECRET | point::GATE) {
            return Err(format!("{} must not leave", reading.point));
        }
        let slots = self.served.get(&(point, reading.time.0));
        let slots = slots.ok_or_else(|| format!("{} was not served at {}", reading.point, reading.time.0))?;
        let fits = |(slot, status): &(u64, StatusCode)| {
            let expected = (!status.is_bad()).then(|| minimized(point, value(point, *slot)));
            reading.status == *status && reading.value == expected
        };
        if slots.iter().any(fits) { Ok(()) } else { Err(format!("{} has a value that was not served", reading.point)) }
    }
}

/// f(point, n).
pub(crate) fn value(point: u32, n: u64) -> Value {
    let code = n * 16 + u64::from(point);
    match point {
        point::COUNTER => Value::UInt32(code as u32),
        point::WEIGHT => Value::Double(code as f64 * 0.125),
        point::LABEL => Value::String(format!("slot {n} of point {point}").into()),
        point::TEMPERATURE => Value::Double(code as f64 * 0.01),
        point::LEVEL => Value::Int16((code % 32_768) as i16),
        point::SECRET => Value::Int32(code as i32),
        _ => Value::Boolean(n.is_multiple_of(2)),
    }
}

/// A second, naive implementation of the plan's rounding: the decimal text of the exact value.
fn minimized(point: u32, value: Value) -> Value {
    match value {
        Value::Double(exact) if point == point::TEMPERATURE => {
            Value::Double(format!("{exact:.1}").parse().expect("a number"))
        }
        other => other,
    }
}
