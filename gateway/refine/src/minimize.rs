use std::time::Duration;

use lingate_model::{Origin, Severity, StatusCode, UtcMicros};

use crate::change::Change;
use crate::deadband::Deadband;
use crate::door::Door;
use crate::gate::{Gate, Known};
use crate::minimized::Item;
use crate::outlet::Outlet;
use crate::tag::Tagged;
use crate::time::{Deadline, PointClock};
use crate::window::Windows;
use crate::{PointPlan, Quality, Step, StepId};

/// The configured steps of one point, with what they remember of it.
#[derive(Debug, Default)]
pub(crate) struct Minimizer {
    clock: PointClock,
    wait: Deadline,
    gate: Option<Gate>,
    quality: Option<Quality>,
    windows: Option<Box<Windows>>,
    deadband: Option<Deadband>,
    /// Behind windows, whose ends of history and of this moment may come in any order: the history's own.
    history_deadband: Option<Deadband>,
    door: Option<Box<Door>>,
    /// M8 to M12 change a value and remember nothing; in their order.
    changes: Vec<Change>,
}

impl Minimizer {
    pub(crate) fn new(point: &PointPlan) -> Minimizer {
        let mut minimizer = Minimizer { wait: Deadline::of(point.interval), ..Minimizer::default() };
        let mut steps: Vec<&Step> = point.export.iter().flat_map(|export| &export.steps).collect();
        steps.sort_by_key(|step| step.id());
        steps.into_iter().for_each(|step| minimizer.add(step, point));
        minimizer
    }

    fn add(&mut self, step: &Step, point: &PointPlan) {
        match step {
            Step::OnlyWhen(conditions) => self.gate = Some(Gate::new(conditions.clone())),
            Step::Quality { keeps } => self.quality = Some(*keeps),
            Step::Aggregate { function, interval } => {
                let windows = Windows::new(*function, *interval, point.builtin_type, point.interval);
                self.windows = Some(Box::new(windows));
            }
            Step::Deadband(band) => {
                self.deadband = Some(Deadband::new(*band));
                self.history_deadband = self.windows.as_ref().map(|_| Deadband::new(*band));
            }
            Step::SwingingDoor { deviation, max_interval } => {
                self.door = Some(Box::new(Door::new(deviation.to_f64(), *max_interval)));
            }
            step => self.changes.extend(Change::of(step)),
        }
    }

    /// M3 to M12, in this order. Every item goes to `outlet` once, kept or suppressed, as soon as its fate is known.
    pub(crate) fn minimize(&mut self, tagged: Tagged, known: &Known, outlet: &mut Outlet<'_>) {
        let Tagged { stamp, value, status } = tagged;
        let item = Item { stamp, value, status, at: self.clock.time(&stamp), readings: 1 };
        if self.gate.as_ref().is_some_and(|gate| !gate.is_open(known, &stamp)) {
            return outlet.suppress(&item, StepId::ContextGate);
        }
        if self.quality.is_some_and(|quality| !quality.lets_pass(status)) {
            return outlet.suppress(&item, StepId::QualityFilter);
        }
        let Some(windows) = &mut self.windows else { return self.compare(item, outlet) };
        let pushed = windows.push(outlet.now, self.wait, item);
        pushed.late.iter().for_each(|late| outlet.suppress(late, StepId::Aggregate));
        if let Some(closed) = pushed.closed {
            self.compare(closed, outlet);
        }
    }

    /// M6 and M7 compare what was measured, so that rounding cannot turn noise at the edge of a step into movement.
    fn compare(&mut self, item: Item, outlet: &mut Outlet<'_>) {
        let deadband = match item.stamp.origin {
            Origin::Backfilled if self.history_deadband.is_some() => &mut self.history_deadband,
            _ => &mut self.deadband,
        };
        if deadband.as_mut().is_some_and(|deadband| !deadband.keeps(&item)) {
            return outlet.suppress(&item, StepId::Deadband);
        }
        let Some(door) = &mut self.door else { return self.change(item, outlet) };
        let verdict = door.push(outlet.now, self.wait, item);
        verdict.suppressed.iter().for_each(|item| outlet.suppress(item, StepId::SwingingDoor));
        verdict.kept.into_iter().flatten().for_each(|item| self.change(item, outlet));
    }

    fn change(&self, mut item: Item, outlet: &mut Outlet<'_>) {
        for change in &self.changes {
            if !change.apply(&mut item, outlet.pseudonyms) {
                return outlet.suppress(&item, change.step());
            }
        }
        outlet.keep(item);
    }

    /// The monotonic time at which `due` has something to do.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let windows = self.windows.as_ref().and_then(|windows| windows.deadline());
        let door = self.door.as_ref().and_then(|door| door.deadline());
        windows.into_iter().chain(door).min()
    }

    /// What waited as long as it may goes on.
    pub(crate) fn due(&mut self, outlet: &mut Outlet<'_>) {
        while let Some(item) = self.windows.as_mut().and_then(|windows| windows.due(outlet.now)) {
            self.compare(item, outlet);
        }
        while let Some(item) = self.door.as_mut().and_then(|door| door.due(outlet.now)) {
            self.change(item, outlet);
        }
    }

    /// An epoch ends: nothing of it waits for the next one but the readings of open windows, and each point's next reading
    /// is kept, so that an epoch can be understood by a recipient that cannot open the one before.
    pub(crate) fn pause(&mut self, outlet: &mut Outlet<'_>) {
        let waiting = self.door.as_mut().map(|door| door.end()).into_iter().flatten().flatten();
        let waiting: Vec<Item> = waiting.collect();
        waiting.into_iter().for_each(|item| self.change(item, outlet));
        self.forget();
    }

    fn forget(&mut self) {
        self.deadband.iter_mut().chain(&mut self.history_deadband).for_each(Deadband::forget);
    }

    /// As `pause`, and open windows end here too, as partial ones.
    pub(crate) fn end(&mut self, outlet: &mut Outlet<'_>) {
        let at = self.clock.shows(outlet.now);
        let windows = self.windows.as_mut().map(|windows| windows.end(at)).into_iter().flatten().flatten();
        let windows: Vec<Item> = windows.collect();
        windows.into_iter().for_each(|item| self.compare(item, outlet));
        self.pause(outlet);
    }

    /// Forgets everything of the point; gives the number of readings that were held.
    pub(crate) fn discard(&mut self) -> u64 {
        self.forget();
        let windows = self.windows.as_mut().map(|windows| windows.end(i64::MIN)).into_iter().flatten();
        let doors = self.door.as_mut().map(|door| door.end()).into_iter().flatten();
        windows.chain(doors).flatten().map(|item| item.readings).sum()
    }

    /// The next live reading is kept, whatever a deadband says of it.
    pub(crate) fn repeat(&mut self) {
        self.deadband.iter_mut().for_each(Deadband::forget);
    }

    /// The point is not read from this gateway time on.
    pub(crate) fn unknown(&mut self, from: UtcMicros) {
        let at = self.clock.at(from);
        self.windows.iter_mut().for_each(|windows| windows.unknown(at));
    }
}

impl Quality {
    fn lets_pass(self, status: StatusCode) -> bool {
        match self {
            Quality::NotBad => !status.is_bad(),
            Quality::Good => status.severity() == Severity::Good,
        }
    }
}
