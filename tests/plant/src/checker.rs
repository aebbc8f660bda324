//! Every opened value against what the device served: f(device, tag, n), with the n that came in the same row, or that
//! stands in the value's own time.

use std::collections::BTreeMap;

use lingate_model::{UtcMicros, Value};

use crate::model::Tag;
use crate::motion::Motion;
use crate::opcua::{MachineSpec, Variable};
use crate::spec::DeviceSpec;

/// Rows whose serve counter has not come yet (a batch may end in the middle of a row), and rows that are remembered.
const WAITING_MAX: usize = 100_000;

/// Whether a value is what the device served for the tag in poll `n`, after the minimization that was configured.
pub type Accepts = fn(&DeviceSpec, &Tag, u32, &Value) -> bool;

/// The same for a machine that speaks OPC UA; n follows from the value's source time.
pub type AcceptsMachine = fn(&MachineSpec, &Variable, u32, &Value) -> bool;

/// The judge of what a receiver opened. Knows the devices and nothing of the gateway.
pub struct Checker {
    devices: BTreeMap<String, DeviceSpec>,
    accepts: Accepts,
    machines: BTreeMap<String, MachineSpec>,
    accepts_machine: AcceptsMachine,
    /// By point of a machine: the first n that came.
    firsts: BTreeMap<String, u32>,
    /// By machine: the newest n of its counter.
    newest: BTreeMap<String, u32>,
    /// Serve counters by row and table.
    counters: BTreeMap<(String, UtcMicros), BTreeMap<String, u32>>,
    waiting: Vec<(String, Tag, UtcMicros, Value)>,
    /// Values that were compared.
    pub checked: u64,
    /// Readings without a value.
    pub bad: u64,
    /// Values that no device served for that tag in that poll, and points that no device has.
    pub wrong: u64,
}

impl Checker {
    pub fn new(devices: impl IntoIterator<Item = DeviceSpec>, accepts: Accepts) -> Checker {
        let devices = devices.into_iter().map(|device| (device.name.clone(), device)).collect();
        Checker {
            devices,
            accepts,
            machines: BTreeMap::new(),
            accepts_machine: |spec, variable, n, value| spec.expected(&variable.name, n).as_ref() == Some(value),
            firsts: BTreeMap::new(),
            newest: BTreeMap::new(),
            counters: BTreeMap::new(),
            waiting: Vec::new(),
            checked: 0,
            bad: 0,
            wrong: 0,
        }
    }

    /// Machines beside the devices; the time of their readings must be the source time.
    pub fn with_machines(
        self,
        machines: impl IntoIterator<Item = MachineSpec>,
        accepts_machine: AcceptsMachine,
    ) -> Checker {
        let machines = machines.into_iter().map(|machine| (machine.name.clone(), machine)).collect();
        Checker { machines, accepts_machine, ..self }
    }

    /// What a subscriber of all variables of a machine must have been told, from the first values that came to the newest
    /// n of the counter: each variable once, and every change.
    pub fn changes_told(&self, machine: &str) -> u64 {
        let Some((spec, newest)) = self.machines.get(machine).zip(self.newest.get(machine)) else { return 0 };
        let told = |variable: &Variable| {
            let first = self.firsts.get(&format!("{machine}/{}", variable.name)).copied();
            first.map_or(0, |first| 1 + spec.changes(variable, first, *newest))
        };
        spec.variables().iter().map(told).sum()
    }

    /// Readings as (point `device/tag`, time of the row, value), in any order.
    pub fn take<'a>(&mut self, readings: impl IntoIterator<Item = (&'a str, UtcMicros, Option<&'a Value>)>) {
        for (point, time, value) in readings {
            self.note(point, time, value);
        }
        for (device, tag, time, value) in std::mem::take(&mut self.waiting) {
            self.judge(device, tag, time, value);
        }
        while self.counters.len() > WAITING_MAX {
            self.counters.pop_first();
        }
    }

    /// Values whose row never got a serve counter cannot be told from invented ones.
    pub fn finish(&mut self) {
        self.wrong += self.waiting.len() as u64;
        self.waiting.clear();
    }

    fn note(&mut self, point: &str, time: UtcMicros, value: Option<&Value>) {
        if let Some((machine, name)) = point.split_once('/')
            && self.machines.contains_key(machine)
        {
            return self.note_machine(machine, name, time, value);
        }
        let found = point.split_once('/').and_then(|(device, name)| {
            let tag = self.devices.get(device)?.tag(name)?.clone();
            Some((device.to_owned(), tag))
        });
        match (found, value) {
            (None, _) => self.wrong += 1,
            (Some(_), None) => self.bad += 1,
            (Some((device, tag)), Some(Value::UInt32(n))) if tag.motion == Motion::Counter => {
                self.checked += 1;
                self.counters.entry((device, time)).or_default().insert(tag.name, *n);
            }
            (Some((device, tag)), Some(value)) => self.waiting.push((device, tag, time, value.clone())),
        }
    }

    fn note_machine(&mut self, machine: &str, name: &str, time: UtcMicros, value: Option<&Value>) {
        let spec = &self.machines[machine];
        let found = spec.variable(name).zip(spec.n_of(time.into()));
        match (found, value) {
            (_, None) => self.bad += 1,
            (None, Some(_)) => self.wrong += 1,
            (Some((variable, n)), Some(value)) => {
                self.checked += 1;
                self.wrong += u64::from(!(self.accepts_machine)(spec, variable, n, value));
                let first = self.firsts.entry(format!("{machine}/{name}")).or_insert(n);
                *first = n.min(*first);
                if variable.motion == Motion::Counter {
                    let newest = self.newest.entry(machine.to_owned()).or_insert(n);
                    *newest = n.max(*newest);
                }
            }
        }
    }

    fn judge(&mut self, device: String, tag: Tag, time: UtcMicros, value: Value) {
        let spec = &self.devices[&device];
        let counter = spec.counter_of(&tag).map(|counter| counter.name.clone()).unwrap_or_default();
        match self.counters.get(&(device.clone(), time)).and_then(|row| row.get(&counter)) {
            Some(n) => {
                self.checked += 1;
                self.wrong += u64::from(!(self.accepts)(spec, &tag, *n, &value));
            }
            None if self.waiting.len() < WAITING_MAX => self.waiting.push((device, tag, time, value)),
            None => self.wrong += 1,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;
    use crate::opcua::MachineKind;
    use crate::{Kind, Mode};

    fn judged(value_of: u32, counter: u32) -> (u64, u64) {
        let spec = DeviceSpec::new("e", Kind::Extruder, Mode::Instrument);
        let counters: Vec<_> = spec.tags().iter().filter(|tag| tag.motion == Motion::Counter).cloned().collect();
        let mut checker = Checker::new([spec.clone()], |spec, tag, n, value| spec.accepts(&tag.name, n, value));
        for tag in spec.tags().iter().filter(|tag| !tag.area.is_bits() && tag.motion != Motion::Counter) {
            let value = spec.expected(&tag.name, value_of).unwrap();
            checker.take([(format!("e/{}", tag.name).as_str(), UtcMicros(1), Some(&value))]);
        }
        for tag in counters {
            checker.take([(format!("e/{}", tag.name).as_str(), UtcMicros(1), Some(&Value::UInt32(counter)))]);
        }
        checker.finish();
        (checker.checked, checker.wrong)
    }

    #[test]
    fn values_of_their_own_poll_pass_and_those_of_another_do_not() {
        let (checked, wrong) = judged(7, 7);
        assert!(checked > 10);
        assert_eq!(wrong, 0);
        assert!(judged(7, 400).1 > 5, "stale values passed");
    }

    #[test]
    fn a_machines_values_tell_by_themselves_whether_they_are_right() {
        let spec = MachineSpec::new("reactor-1", MachineKind::Bioreactor);
        let mut checker = Checker::new([], |_, _, _, _| false)
            .with_machines([spec.clone()], |spec, variable, n, value| {
                spec.expected(&variable.name, n).as_ref() == Some(value)
            });
        let first = 28_000_000;
        for n in first..first + 50 {
            for variable in spec.variables() {
                let value = spec.expected(&variable.name, n).unwrap();
                let point = format!("reactor-1/{}", variable.name);
                checker.take([(point.as_str(), spec.time_of(n).utc(), Some(&value))]);
            }
        }
        assert_eq!((checker.checked, checker.wrong), (50 * spec.variables().len() as u64, 0));
        let told = checker.changes_told("reactor-1");
        assert!((100..50 * spec.variables().len() as u64).contains(&told), "{told}");
        let stale = spec.expected("weight", first).unwrap();
        checker.take([("reactor-1/weight", spec.time_of(first + 400).utc(), Some(&stale))]);
        checker.take([("reactor-1/weight", UtcMicros(spec.time_of(first).utc().0 + 1), Some(&stale))]);
        assert_eq!(checker.wrong, 2);
    }

    #[test]
    fn a_point_that_nobody_has_is_wrong() {
        let spec = DeviceSpec::new("e", Kind::Extruder, Mode::Instrument);
        let mut checker = Checker::new([spec], |_, _, _, _| true);
        checker.take([("x/y", UtcMicros(0), None)]);
        assert_eq!(checker.wrong, 1);
    }
}
