use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use lingate_model::{Class, Now, PointId, Reading, UtcMicros};

use crate::batch::Batcher;
use crate::count::Tally;
use crate::gate::Known;
use crate::minimize::Minimizer;
use crate::outlet::Outlet;
use crate::tag::{Rule, tag};
use crate::{Batch, DatasetIndex, DatasetPlan, ExportPlan, PointPlan, PseudonymKey, Step, StepId, Totals};

/// Tag, minimize, batch: the three steps for all datasets.
///
/// What leaves depends on the readings, their order and their times alone, not on when or in what portions they arrive:
/// `now` only decides when a batch is closed, and when a window or a swinging door stops waiting for a reading that is more
/// than two seconds under way. Only where a clock goes back while something waits does it matter which of the two came first.
///
/// Memory is bounded by the plan: per point the last kept reading and the sums of a window, per dataset the readings of one
/// batch.
#[derive(Debug)]
pub struct Refinery {
    /// By `PointId`; `None`: no dataset of the plan names the point.
    points: Vec<Option<Point>>,
    /// By [`DatasetIndex`].
    datasets: Vec<Dataset>,
    /// Filled by the reading before, not given away yet.
    ready: VecDeque<Batch>,
    /// What the conditions of M3 know.
    known: Known,
    /// When a point's steps stop waiting: (monotonic, place of the point).
    deadlines: BTreeSet<(Duration, usize)>,
    unassigned: u64,
}

#[derive(Debug)]
struct Point {
    rule: Rule,
    /// Its steps, ascending.
    path: Vec<StepId>,
    minimizer: Minimizer,
    /// As it stands in the refinery's deadlines.
    deadline: Option<Duration>,
}

#[derive(Debug)]
struct Dataset {
    /// What the plant allows: no bundle raises it.
    ceiling_max: Class,
    ceiling: Option<Class>,
    /// For M11; without it such readings are suppressed.
    pseudonyms: Option<PseudonymKey>,
    tally: Tally,
    batcher: Batcher,
}

/// Of a dataset that the plan does not have.
static NOTHING: Totals = Totals { read: 0, kept: 0, suppressed: Vec::new() };

impl Refinery {
    /// Every dataset begins with the plan's ceiling.
    pub fn new(plan: ExportPlan) -> Refinery {
        let known = Known::new(&plan);
        let ExportPlan { datasets, points } = plan;
        let points: Vec<Option<Point>> = points.iter().map(|point| Point::new(point, datasets.len())).collect();
        let datasets = (0..).zip(&datasets).map(|(at, plan)| Dataset::new(DatasetIndex(at), plan, &points)).collect();
        let (ready, deadlines) = Default::default();
        Refinery { points, datasets, ready, known, deadlines, unassigned: 0 }
    }

    /// For M11. Before the first reading: without its key, a dataset's identifiers do not leave.
    pub fn set_pseudonym_key(&mut self, dataset: DatasetIndex, key: PseudonymKey) {
        if let Some(dataset) = self.datasets.get_mut(dataset.index()) {
            dataset.pseudonyms = Some(key);
        }
    }

    /// Takes one reading; gives a batch when it completes one. When it completes two, `due` gives the other.
    pub fn refine(&mut self, now: Now, reading: Reading) -> Option<Batch> {
        // What is over by time is over before the reading, whether anybody woke up in between or not.
        self.stop_waiting(now);
        self.known.observe(&reading);
        let place = reading.point.index();
        let Some(Some(point)) = self.points.get_mut(place) else {
            self.unassigned += 1;
            return None;
        };
        let dataset = &mut self.datasets[point.rule.dataset.index()];
        match tag(reading, &point.rule, dataset.ceiling) {
            Ok(tagged) => {
                let (minimizer, mut outlet) = point.through(now, dataset, &mut self.ready);
                minimizer.minimize(tagged, &self.known, &mut outlet);
            }
            Err(step) => dataset.tally.settle(&point.path, 1, Some(step)),
        }
        point.note_deadline(place, &mut self.deadlines);
        self.ready.pop_front()
    }

    /// The point is not read from this gateway time on: slots of it were missed. Until its next
    /// reading no condition on it holds, it is no context, and its last value counts for no window. A reading that was
    /// taken after `from` is that next one: a driver may tell of slots late, when the first value is there already.
    pub fn unknown(&mut self, point: PointId, from: UtcMicros) {
        self.forget(point, from, from);
    }

    /// The point's device is away now: whatever the clock showed when it was read, even if it was set back since.
    pub fn away(&mut self, point: PointId, now: UtcMicros) {
        self.forget(point, now, UtcMicros(i64::MAX));
    }

    /// What was read up to `newest` is not known any more.
    fn forget(&mut self, point: PointId, from: UtcMicros, newest: UtcMicros) {
        self.known.forget(point, newest);
        let Some(Some(point)) = self.points.get_mut(point.index()) else { return };
        point.minimizer.unknown(from);
        if let Some(kind) = point.rule.context {
            let dataset = &mut self.datasets[point.rule.dataset.index()];
            dataset.batcher.forget_context(kind, point.rule.alias, newest);
            // It comes back with the point, changed or not.
            point.minimizer.repeat();
        }
    }

    /// A batch whose age is over, the oldest first; call until `None`.
    pub fn due(&mut self, now: Now) -> Option<Batch> {
        self.stop_waiting(now);
        if let Some(batch) = self.ready.pop_front() {
            return Some(batch);
        }
        let oldest = self.datasets.iter_mut().filter(|dataset| dataset.batcher.deadline().is_some());
        let oldest = oldest.min_by_key(|dataset| dataset.batcher.deadline())?;
        (oldest.batcher.deadline()? <= now.monotonic).then(|| oldest.batch(now))
    }

    /// Windows and swinging doors whose time is over.
    fn stop_waiting(&mut self, now: Now) {
        while let Some((_, place)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now.monotonic) {
            let point = self.points[place].as_mut().expect("only points of a dataset wait");
            let dataset = &mut self.datasets[point.rule.dataset.index()];
            let (minimizer, mut outlet) = point.through(now, dataset, &mut self.ready);
            minimizer.due(&mut outlet);
            point.note_deadline(place, &mut self.deadlines);
        }
    }

    /// The monotonic time at which `due` has something to give.
    pub fn wake_at(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let waiting = self.deadlines.first().map(|(at, _)| *at);
        self.datasets.iter().filter_map(|dataset| dataset.batcher.deadline()).chain(waiting).min()
    }

    /// What is pending of this dataset, even if it is only counts; `None` if there is nothing at all.
    ///
    /// Ends what deadbands and swinging doors remember of its points: each point's next reading is kept, so that an epoch
    /// can be understood by a recipient that cannot open the one before. Windows stay open. The batch may have as many
    /// readings more than others as the dataset has points.
    pub fn close(&mut self, now: Now, dataset: DatasetIndex) -> Option<Batch> {
        self.settle(now, dataset, Minimizer::pause);
        self.take_pending(now, dataset)
    }

    /// As `close`, and open windows end here as partial ones: before the gateway stops, or before rights change.
    pub fn end(&mut self, now: Now, dataset: DatasetIndex) -> Option<Batch> {
        self.settle(now, dataset, Minimizer::end);
        self.take_pending(now, dataset)
    }

    fn settle(&mut self, now: Now, index: DatasetIndex, settle: fn(&mut Minimizer, &mut Outlet<'_>)) {
        let Some(dataset) = self.datasets.get_mut(index.index()) else { return };
        for (place, point) in self.points.iter_mut().enumerate() {
            let Some(point) = point.as_mut().filter(|point| point.rule.dataset == index) else { continue };
            let (minimizer, mut outlet) = point.through(now, dataset, &mut self.ready);
            settle(minimizer, &mut outlet);
            point.note_deadline(place, &mut self.deadlines);
        }
    }

    fn take_pending(&mut self, now: Now, index: DatasetIndex) -> Option<Batch> {
        let dataset = self.datasets.get_mut(index.index())?;
        let pending = (!dataset.batcher.is_empty() || dataset.tally.is_pending()).then(|| dataset.batch(now));
        let (earlier, others) = self.ready.drain(..).partition(|batch| batch.dataset() == index);
        self.ready = others;
        let earlier: VecDeque<Batch> = earlier;
        earlier.into_iter().chain(pending).reduce(Batch::join)
    }

    /// `None`: the bundle does not grant the dataset, every reading of it is suppressed by M1. A ceiling above the
    /// plan's counts as the plan's.
    ///
    /// Counts from the next reading on. What is pending passed under the ceiling before: `end` the dataset first. What a
    /// window or a swinging door still holds is suppressed.
    pub fn set_ceiling(&mut self, index: DatasetIndex, ceiling: Option<Class>) {
        let Some(dataset) = self.datasets.get_mut(index.index()) else { return };
        for (place, point) in self.points.iter_mut().enumerate() {
            let Some(point) = point.as_mut().filter(|point| point.rule.dataset == index) else { continue };
            let held = point.minimizer.discard();
            if held > 0 {
                dataset.tally.settle(&point.path, held, Some(StepId::AllowList));
            }
            point.note_deadline(place, &mut self.deadlines);
        }
        dataset.ceiling = ceiling.map(|ceiling| ceiling.min(dataset.ceiling_max));
        dataset.batcher.clear_contexts();
    }

    /// Goes on with another plan. `keeps`: datasets of which nothing changes, neither their own settings nor a point of theirs
    /// nor its number; what is pending of them stays pending, and their steps go on. Of the others everything was taken
    /// by `end`, and their points begin anew. `is_same`: points whose values still mean the same.
    pub fn replan(
        &mut self,
        plan: &ExportPlan,
        keeps: &dyn Fn(DatasetIndex) -> bool,
        is_same: &dyn Fn(PointId) -> bool,
    ) {
        let before = std::mem::replace(self, Refinery::new(plan.clone()));
        self.known.carry(&before.known, is_same);
        (self.ready, self.unassigned) = (before.ready, before.unassigned);
        for (place, point) in before.points.into_iter().enumerate() {
            let Some(point) = point.filter(|point| keeps(point.rule.dataset)) else { continue };
            self.deadlines.extend(point.deadline.map(|at| (at, place)));
            self.points[place] = Some(point);
        }
        for (index, dataset) in (0..).zip(before.datasets) {
            let Some(here) = self.datasets.get_mut(usize::from(index)) else { continue };
            if keeps(DatasetIndex(index)) {
                *here = dataset;
            } else {
                here.pseudonyms = dataset.pseudonyms;
                here.tally.carry(dataset.tally.totals());
            }
        }
    }

    /// The dataset is another one: its counts begin at 0, and it has no key yet.
    pub fn begin_anew(&mut self, plan: &ExportPlan, index: DatasetIndex) {
        let fresh = plan.datasets.get(index.index()).map(|plan| Dataset::new(index, plan, &self.points));
        if let (Some(dataset), Some(fresh)) = (self.datasets.get_mut(index.index()), fresh) {
            *dataset = fresh;
        }
    }

    pub fn totals(&self, dataset: DatasetIndex) -> &Totals {
        self.datasets.get(dataset.index()).map_or(&NOTHING, |dataset| dataset.tally.totals())
    }

    /// Values of context points that were longer than [`crate::CONTEXT_VALUE_MAX`]: their readings left, their context was
    /// not told.
    pub fn contexts_too_long(&self) -> u64 {
        self.datasets.iter().map(|dataset| dataset.batcher.contexts_too_long()).sum()
    }

    /// Readings of points that no dataset names (M1).
    pub fn unassigned(&self) -> u64 {
        self.unassigned
    }
}

impl Point {
    /// `None`: no dataset of the plan names it.
    fn new(plan: &PointPlan, datasets: usize) -> Option<Point> {
        let rule = Rule::of(plan).filter(|rule| rule.dataset.index() < datasets)?;
        let mut path = vec![StepId::AllowList, StepId::ClassCeiling];
        path.extend(plan.export.iter().flat_map(|export| &export.steps).map(Step::id));
        path.sort();
        Some(Point { rule, path, minimizer: Minimizer::new(plan), deadline: None })
    }

    /// Its steps, and where they lead to.
    fn through<'a>(
        &'a mut self,
        now: Now,
        dataset: &'a mut Dataset,
        ready: &'a mut VecDeque<Batch>,
    ) -> (&'a mut Minimizer, Outlet<'a>) {
        let Dataset { tally, batcher, pseudonyms, .. } = dataset;
        let pseudonyms = pseudonyms.as_ref();
        let outlet = Outlet { now, rule: &self.rule, path: &self.path, tally, batcher, pseudonyms, ready };
        (&mut self.minimizer, outlet)
    }

    fn note_deadline(&mut self, place: usize, deadlines: &mut BTreeSet<(Duration, usize)>) {
        let deadline = self.minimizer.deadline();
        if deadline == self.deadline {
            return;
        }
        self.deadline.map(|at| deadlines.remove(&(at, place)));
        deadline.map(|at| deadlines.insert((at, place)));
        self.deadline = deadline;
    }
}

impl Dataset {
    fn new(index: DatasetIndex, plan: &DatasetPlan, points: &[Option<Point>]) -> Dataset {
        let members = || points.iter().flatten().filter(|point| point.rule.dataset == index);
        let is_used = |step: &StepId| match step {
            StepId::AllowList | StepId::ClassCeiling => true,
            step => members().any(|point| point.path.contains(step)),
        };
        let used: Vec<StepId> = StepId::ALL.into_iter().filter(is_used).collect();
        Dataset {
            ceiling_max: plan.ceiling,
            ceiling: Some(plan.ceiling),
            pseudonyms: None,
            tally: Tally::new(&used),
            batcher: Batcher::new(index, plan.flush),
        }
    }

    fn batch(&mut self, now: Now) -> Batch {
        self.batcher.close(now, self.tally.take())
    }
}
