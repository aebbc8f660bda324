//! Every opened value against what the simulator served: f(device, tag, n), with the n that came in the same row.

use std::collections::BTreeMap;

use lingate_model::{UtcMicros, Value};
use lingate_plant::{DeviceSpec, Motion, Tag, Wire};
use lingate_sandbox::OpenedReading;

/// Rows whose serve counter has not come yet; a batch may end in the middle of a row.
const WAITING_MAX: usize = 10_000;

pub(crate) struct Checker {
    devices: BTreeMap<String, DeviceSpec>,
    /// Serve counters by row and table.
    counters: BTreeMap<(String, UtcMicros), BTreeMap<String, u32>>,
    waiting: Vec<(String, Tag, UtcMicros, Value)>,
    pub(crate) checked: u64,
    pub(crate) bad: u64,
    pub(crate) wrong: u64,
}

impl Checker {
    pub(crate) fn new(devices: impl IntoIterator<Item = DeviceSpec>) -> Checker {
        let devices = devices.into_iter().map(|device| (device.name.clone(), device)).collect();
        Checker { devices, counters: BTreeMap::new(), waiting: Vec::new(), checked: 0, bad: 0, wrong: 0 }
    }

    pub(crate) fn take(&mut self, readings: &[OpenedReading]) {
        for reading in readings {
            self.note(reading);
        }
        for (device, tag, time, value) in std::mem::take(&mut self.waiting) {
            self.judge(device, tag, time, value);
        }
        while self.counters.len() > WAITING_MAX {
            self.counters.pop_first();
        }
    }

    fn note(&mut self, reading: &OpenedReading) {
        let Some((device, name)) = reading.point.split_once('/') else { return self.wrong += 1 };
        let Some(tag) = self.devices.get(device).and_then(|spec| spec.tag(name)).cloned() else {
            return self.wrong += 1;
        };
        match &reading.value {
            None => self.bad += 1,
            Some(Value::UInt32(n)) if tag.motion == Motion::Counter => {
                self.checked += 1;
                let row = self.counters.entry((device.to_owned(), reading.time)).or_default();
                row.insert(tag.name, *n);
            }
            Some(value) => self.waiting.push((device.to_owned(), tag, reading.time, value.clone())),
        }
    }

    fn judge(&mut self, device: String, tag: Tag, time: UtcMicros, value: Value) {
        let spec = &self.devices[&device];
        let counter = spec.counter_of(&tag).map(|counter| counter.name.clone()).unwrap_or_default();
        match self.counters.get(&(device.clone(), time)).and_then(|row| row.get(&counter)) {
            Some(n) => {
                self.checked += 1;
                self.wrong += u64::from(!is_as_served(spec, &tag, *n, &value));
            }
            None if self.waiting.len() < WAITING_MAX => self.waiting.push((device, tag, time, value)),
            None => self.wrong += 1,
        }
    }

    /// Values whose row never got a serve counter cannot be told from invented ones.
    pub(crate) fn finish(&mut self) {
        self.wrong += self.waiting.len() as u64;
        self.waiting.clear();
    }
}

/// Floats are rounded by [`crate::stage::rounding`]; the text form of a float is a second way to the same number.
fn is_as_served(spec: &DeviceSpec, tag: &Tag, n: u32, value: &Value) -> bool {
    match (rounding(tag), spec.expected(&tag.name, n), value) {
        (Some(places), Some(Value::Float(served)), Value::Float(arrived)) => {
            format!("{served:.places$}").parse::<f32>().is_ok_and(|rounded| rounded == *arrived)
        }
        _ => spec.accepts(&tag.name, n, value),
    }
}

/// Decimal places to which the demo's configuration rounds a tag.
pub(crate) fn rounding(tag: &Tag) -> Option<usize> {
    match tag.wire {
        Wire::F32 { places } => Some(usize::from(places).saturating_sub(1)),
        _ => None,
    }
}
