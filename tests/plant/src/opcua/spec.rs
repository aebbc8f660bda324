use std::time::Duration;

use lingate_model::{BuiltinType, DeviceTime, UtcMicros, Value};

use super::machine::{MachineKind, Quantity, Variable};
use super::{motion, samples};
use crate::motion::seed;

/// 2026-01-01T00:00:00Z in ticks of 100 ns since 1601: where n is 0.
pub const EPOCH_TICKS: i64 = 134_116_992_000_000_000;

/// A simulated machine, before and after it is started: all its values follow from this and n.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineSpec {
    pub name: String,
    kind: MachineKind,
    tick: Duration,
    variables: Vec<Variable>,
}

impl MachineSpec {
    /// Ticks every 100 ms.
    pub fn new(name: impl Into<String>, kind: MachineKind) -> MachineSpec {
        MachineSpec { name: name.into(), kind, tick: Duration::from_millis(100), variables: kind.variables() }
    }

    /// Between two values of a variable; at least 10 ms, so that n stays a `u32` for a year.
    pub fn with_tick(self, tick: Duration) -> MachineSpec {
        MachineSpec { tick: tick.max(Duration::from_millis(10)), ..self }
    }

    pub fn kind(&self) -> MachineKind {
        self.kind
    }

    pub fn tick(&self) -> Duration {
        self.tick
    }

    /// The tick counter comes first.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().find(|variable| variable.name == name)
    }

    /// `nsu=...;s=...`
    pub fn node(&self, variable: &Variable) -> String {
        format!("nsu={};s={}", self.kind.namespace(), self.identifier(variable))
    }

    pub(super) fn identifier(&self, variable: &Variable) -> String {
        format!("{}/{}", self.name, variable.path)
    }

    /// The source timestamp of n.
    pub fn time_of(&self, n: u32) -> DeviceTime {
        DeviceTime(EPOCH_TICKS + i64::from(n) * self.tick_100ns())
    }

    /// The n whose time it is; `None` between two ticks.
    pub fn n_of(&self, time: DeviceTime) -> Option<u32> {
        let since = time.0 - EPOCH_TICKS;
        (since % self.tick_100ns() == 0).then_some(since / self.tick_100ns()).and_then(|n| u32::try_from(n).ok())
    }

    /// The newest n at this time.
    pub(super) fn newest(&self, time: DeviceTime) -> u32 {
        u32::try_from((time.0 - EPOCH_TICKS) / self.tick_100ns()).unwrap_or(0)
    }

    fn tick_100ns(&self) -> i64 {
        self.tick.as_nanos() as i64 / 100
    }

    pub fn builtin_type(&self, variable: &Variable) -> (BuiltinType, u8) {
        match variable.quantity {
            Quantity::Double(_) => (BuiltinType::Double, 0),
            Quantity::Float(_) => (BuiltinType::Float, 0),
            Quantity::Int16 => (BuiltinType::Int16, 0),
            Quantity::Int32 => (BuiltinType::Int32, 0),
            Quantity::UInt32 => (BuiltinType::UInt32, 0),
            Quantity::Boolean => (BuiltinType::Boolean, 0),
            Quantity::Word(_) | Quantity::Label(_) => (BuiltinType::String, 0),
            Quantity::Described => (BuiltinType::UInt64, 0),
            Quantity::Sample(index) => samples::shape(index),
        }
    }

    /// What the machine serves for a variable at n.
    pub fn expected(&self, name: &str, n: u32) -> Option<Value> {
        self.variable(name).map(|variable| self.value(variable, n))
    }

    pub(super) fn value(&self, variable: &Variable, n: u32) -> Value {
        let seed = seed(&self.name, &variable.name);
        let number = motion::at(variable.motion, seed, n);
        let rounded = |places: u8| {
            let factor = 10_f64.powi(i32::from(places));
            (number * factor).round() / factor
        };
        match variable.quantity {
            Quantity::Double(places) => Value::Double(rounded(places)),
            Quantity::Float(places) => Value::Float(rounded(places) as f32),
            Quantity::Int16 => Value::Int16(number as i16),
            Quantity::Int32 => Value::Int32(number as i32),
            Quantity::UInt32 => Value::UInt32(number as u32),
            Quantity::Boolean => Value::Boolean(number >= 0.5),
            Quantity::Word(words) => Value::String(words[number as usize % words.len()].into()),
            Quantity::Label(prefix) => Value::String(format!("{prefix}{:04}", number as u32 % 10_000).into()),
            Quantity::Described => Value::UInt64((seed & 0x7FFF_FFFF_0000_0000) | u64::from(n)),
            Quantity::Sample(index) => samples::sample(index, motion::hash(seed, n)),
        }
    }

    /// Whether `value` is what this machine had for the variable at this source timestamp.
    pub fn accepts(&self, name: &str, time: UtcMicros, value: &Value) -> bool {
        self.n_of(time.into()).and_then(|n| self.expected(name, n)).is_some_and(|expected| expected == *value)
    }

    /// How often the variable changed after `from`, up to and with `to`.
    pub fn changes(&self, variable: &Variable, from: u32, to: u32) -> u64 {
        (from..to).filter(|n| self.value(variable, *n) != self.value(variable, n + 1)).count() as u64
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn every_spec() -> Vec<MachineSpec> {
        let more = [MachineKind::Numbered(30), MachineKind::Types];
        MachineKind::MACHINES.into_iter().chain(more).map(|kind| MachineSpec::new("m-1", kind)).collect()
    }

    #[test]
    fn a_time_tells_its_n_and_nothing_between_two_ticks_does() {
        let spec = MachineSpec::new("m-1", MachineKind::EtchTool);
        for n in [0, 1, 777_777, u32::MAX] {
            assert_eq!(spec.n_of(spec.time_of(n)), Some(n));
            assert_eq!(spec.n_of(DeviceTime(spec.time_of(n).0 + 1)), None);
        }
        assert_eq!(spec.time_of(0).utc(), UtcMicros(1_767_225_600_000_000));
        assert_eq!(spec.n_of(DeviceTime(0)), None);
    }

    #[test]
    fn no_two_variables_share_a_name_or_a_node() {
        for spec in every_spec() {
            let names: BTreeSet<_> = spec.variables().iter().map(|variable| &variable.name).collect();
            let nodes: BTreeSet<_> = spec.variables().iter().map(|variable| spec.node(variable)).collect();
            assert_eq!((names.len(), nodes.len()), (spec.variables().len(), spec.variables().len()));
        }
    }

    #[test]
    fn every_value_has_the_type_that_its_variable_declares() {
        for spec in every_spec() {
            for variable in spec.variables() {
                for n in [0, 1, 2, 28_123_456] {
                    let value = spec.value(variable, n);
                    assert_eq!((value.builtin_type(), value.rank()), spec.builtin_type(variable), "{}", variable.name);
                }
            }
        }
    }

    #[test]
    fn every_built_in_type_is_among_the_samples() {
        let spec = MachineSpec::new("m-1", MachineKind::Types);
        let types: BTreeSet<_> = spec.variables().iter().map(|variable| spec.builtin_type(variable).0 as u8).collect();
        assert_eq!(types, BuiltinType::ALL.iter().map(|it| *it as u8).collect());
        let ranks: BTreeSet<_> = spec.variables().iter().map(|variable| spec.builtin_type(variable).1).collect();
        assert_eq!(ranks, BTreeSet::from([0, 1, 2, 3]));
    }

    #[test]
    fn a_stale_or_foreign_value_is_not_accepted() {
        let spec = MachineSpec::new("load-1", MachineKind::Numbered(3));
        let n = 28_123_456;
        let value = spec.expected("tag_00001", n).unwrap();
        assert!(spec.accepts("tag_00001", spec.time_of(n).utc(), &value));
        assert!(!spec.accepts("tag_00001", spec.time_of(n + 1).utc(), &value));
        assert!(!spec.accepts("tag_00002", spec.time_of(n).utc(), &value));
        assert!(!spec.accepts("nonsense", spec.time_of(n).utc(), &value));
    }

    #[test]
    fn load_changes_with_every_tick() {
        let spec = MachineSpec::new("load-1", MachineKind::Numbered(3));
        assert!(spec.variables().iter().all(|variable| spec.changes(variable, 500, 700) == 200));
    }
}
