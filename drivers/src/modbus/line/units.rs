use std::collections::BTreeMap;
use std::time::Duration;

use super::super::frame::{Fault, Passed, Shape};
use super::super::gate::Gate;

/// What is known of the units of a line, by number.
#[derive(Default)]
pub(crate) struct Units {
    units: BTreeMap<u8, Unit>,
    /// When a unit that was set aside may be asked again, whichever it is.
    probes: Gate,
    reopened: u64,
}

#[derive(Default)]
struct Unit {
    /// Answers that may still come. Only on lines without transaction ids.
    owed: Vec<Shape>,
    /// Sessions or probes in a row that ended without an answer.
    failures: u32,
    until: Gate,
    pause: Duration,
    counters: Counters,
}

/// Since the line was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) requests: u64,
    pub(crate) timeouts: u64,
    pub(crate) crc_errors: u64,
    pub(crate) late_answers: u64,
    pub(crate) foreign_answers: u64,
    /// Of the line.
    pub(crate) reconnects: u64,
}

const OWED_MAX: usize = 8;
/// Where nobody else is on the line, only the device itself is to be spared: at most six new connections in a minute.
const ALONE: Pauses = Pauses { first: Duration::from_secs(1), growth: 4, longest: Duration::from_secs(20) };
/// A dead unit takes one timeout of this many from the others.
const SHARE: u32 = 25;
const LONGEST: Duration = Duration::from_secs(60);

struct Pauses {
    first: Duration,
    growth: u32,
    longest: Duration,
}

impl Pauses {
    fn shared(timeout: Duration) -> Pauses {
        Pauses { first: timeout * SHARE, growth: 2, longest: LONGEST.max(timeout * 2 * SHARE) }
    }

    fn after(&self, failures: u32) -> Duration {
        self.first.saturating_mul(self.growth.saturating_pow(failures)).min(self.longest)
    }
}

impl Units {
    pub(super) fn join(&mut self, unit: u8) {
        self.units.entry(unit).or_default();
    }

    /// When a unit may be asked, after which pause, and how often it failed.
    pub(super) fn admission(&self, unit: u8) -> (Gate, Duration, u32) {
        let probes = if self.is_shared() { self.probes } else { Gate::default() };
        self.units.get(&unit).filter(|unit| unit.failures > 0).map_or_else(Default::default, |unit| {
            (unit.until.and(probes), unit.pause, unit.failures)
        })
    }

    pub(super) fn has_failed(&self, unit: u8) -> bool {
        self.units.get(&unit).is_some_and(|unit| unit.failures > 0)
    }

    pub(super) fn answered(&mut self, unit: u8) {
        let unit = self.unit(unit);
        unit.failures = 0;
        unit.owed.clear();
    }

    pub(super) fn set_aside(&mut self, number: u8, timeout: Duration) {
        let is_shared = self.is_shared();
        let pauses = if is_shared { Pauses::shared(timeout) } else { ALONE };
        let unit = self.unit(number);
        let pause = pauses.after(unit.failures);
        unit.failures = unit.failures.saturating_add(1);
        // Units that died together are not asked again together.
        unit.pause = pause.saturating_sub(pause / 256 * u32::from(number.wrapping_mul(37) % 64));
        unit.until = Gate::closed_for(unit.pause);
        // Who is that late is not waited for.
        if unit.pause >= timeout * 2 {
            unit.owed.clear();
        }
        if is_shared {
            self.probes = Gate::closed_for(timeout * SHARE);
        }
    }

    pub(super) fn owed(&self, unit: u8) -> Vec<Shape> {
        self.units.get(&unit).map(|unit| unit.owed.clone()).unwrap_or_default()
    }

    pub(super) fn owes(&mut self, unit: u8, shape: Shape) {
        let owed = &mut self.unit(unit).owed;
        if !owed.contains(&shape) && owed.len() < OWED_MAX {
            owed.push(shape);
        }
    }

    pub(super) fn settled(&mut self, unit: u8) {
        self.unit(unit).owed.clear();
    }

    pub(super) fn asked(&mut self, unit: u8) {
        self.unit(unit).counters.requests += 1;
    }

    pub(super) fn timed_out(&mut self, unit: u8) {
        self.unit(unit).counters.timeouts += 1;
    }

    pub(super) fn passed(&mut self, unit: u8, passed: Passed) {
        let counters = &mut self.unit(unit).counters;
        counters.late_answers += passed.late;
        counters.foreign_answers += passed.foreign;
    }

    pub(super) fn broke(&mut self, unit: u8, fault: Fault) {
        let counters = &mut self.unit(unit).counters;
        match fault {
            Fault::Checksum => counters.crc_errors += 1,
            Fault::Transaction => counters.late_answers += 1,
            _ => counters.foreign_answers += 1,
        }
    }

    pub(super) fn reopened(&mut self) {
        self.reopened += 1;
    }

    pub(super) fn counters(&self, unit: u8) -> Counters {
        let counters = self.units.get(&unit).map(|unit| unit.counters).unwrap_or_default();
        Counters { reconnects: self.reopened, ..counters }
    }

    fn is_shared(&self) -> bool {
        self.units.len() > 1
    }

    fn unit(&mut self, unit: u8) -> &mut Unit {
        self.units.entry(unit).or_default()
    }
}
