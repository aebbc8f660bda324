use std::collections::VecDeque;
use std::time::Duration;

use lingate_model::{Class, Now, Reading};

use crate::batch::Batcher;
use crate::count::Tally;
use crate::minimize::Minimizer;
use crate::outlet::Outlet;
use crate::tag::{Rule, tag};
use crate::{Batch, DatasetIndex, DatasetPlan, ExportPlan, PointPlan, StepId, Totals};

/// Tag, minimize, batch: the three steps for all datasets.
///
/// Memory is bounded by the plan: per point the last kept reading, per dataset at most `flush.readings` readings.
#[derive(Debug)]
pub struct Refinery {
    /// By `PointId`; `None`: no dataset of the plan names the point.
    points: Vec<Option<Point>>,
    /// By [`DatasetIndex`].
    datasets: Vec<Dataset>,
    /// Filled by the reading before, not given away yet.
    ready: VecDeque<Batch>,
    unassigned: u64,
}

#[derive(Debug)]
struct Point {
    rule: Rule,
    /// Its steps, ascending.
    path: Vec<StepId>,
    minimizer: Minimizer,
}

#[derive(Debug)]
struct Dataset {
    /// What the plant allows: no bundle raises it.
    ceiling_max: Class,
    ceiling: Option<Class>,
    tally: Tally,
    batcher: Batcher,
}

/// Of a dataset that the plan does not have.
static NOTHING: Totals = Totals { read: 0, kept: 0, suppressed: Vec::new() };

impl Refinery {
    /// Every dataset begins with the plan's ceiling.
    pub fn new(plan: ExportPlan) -> Refinery {
        let ExportPlan { datasets, points } = plan;
        let points: Vec<Option<Point>> = points.iter().map(|point| Point::new(point, datasets.len())).collect();
        let datasets = (0..).zip(&datasets).map(|(at, plan)| Dataset::new(DatasetIndex(at), plan, &points)).collect();
        Refinery { points, datasets, ready: VecDeque::new(), unassigned: 0 }
    }

    /// Takes one reading; gives a batch when it completes one. When it completes two, `due` gives the other.
    pub fn refine(&mut self, now: Now, reading: Reading) -> Option<Batch> {
        let Some(Some(point)) = self.points.get_mut(reading.point.index()) else {
            self.unassigned += 1;
            return None;
        };
        let dataset = &mut self.datasets[point.rule.dataset.index()];
        match tag(reading, &point.rule, dataset.ceiling) {
            Ok(tagged) => {
                let (minimizer, mut outlet) = point.through(now, dataset, &mut self.ready);
                minimizer.minimize(tagged, &mut outlet);
            }
            Err(step) => dataset.tally.settle(&point.path, 1, Some(step)),
        }
        self.ready.pop_front()
    }

    /// A batch whose age is over, the oldest first; call until `None`.
    pub fn due(&mut self, now: Now) -> Option<Batch> {
        if let Some(batch) = self.ready.pop_front() {
            return Some(batch);
        }
        let oldest = self.datasets.iter_mut().filter(|dataset| dataset.batcher.deadline().is_some());
        let oldest = oldest.min_by_key(|dataset| dataset.batcher.deadline())?;
        (oldest.batcher.deadline()? <= now.monotonic).then(|| oldest.batch(now))
    }

    /// The monotonic time at which `due` has something to give.
    pub fn wake_at(&self) -> Option<Duration> {
        let ready = self.ready.front().map(|_| Duration::ZERO);
        ready.or_else(|| self.datasets.iter().filter_map(|dataset| dataset.batcher.deadline()).min())
    }

    /// What is pending of this dataset, even if it is only counts; `None` if there is nothing at all.
    ///
    /// Ends what the deadbands remember of its points: each point's next reading is kept, so that an epoch can be
    /// understood by a recipient that cannot open the one before.
    pub fn close(&mut self, now: Now, dataset: DatasetIndex) -> Option<Batch> {
        self.forget(dataset);
        self.take_pending(now, dataset)
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
    /// Counts from the next reading on. What is pending passed under the ceiling before: `close` the dataset first.
    pub fn set_ceiling(&mut self, dataset: DatasetIndex, ceiling: Option<Class>) {
        self.forget(dataset);
        if let Some(dataset) = self.datasets.get_mut(dataset.index()) {
            dataset.ceiling = ceiling.map(|ceiling| ceiling.min(dataset.ceiling_max));
        }
    }

    pub fn totals(&self, dataset: DatasetIndex) -> &Totals {
        self.datasets.get(dataset.index()).map_or(&NOTHING, |dataset| dataset.tally.totals())
    }

    /// Readings of points that no dataset names (M1).
    pub fn unassigned(&self) -> u64 {
        self.unassigned
    }

    fn forget(&mut self, dataset: DatasetIndex) {
        let points = self.points.iter_mut().flatten().filter(|point| point.rule.dataset == dataset);
        points.for_each(|point| point.minimizer.forget());
    }
}

impl Point {
    /// `None`: no dataset of the plan names it.
    fn new(plan: &PointPlan, datasets: usize) -> Option<Point> {
        let rule = Rule::of(plan).filter(|rule| rule.dataset.index() < datasets)?;
        let steps = plan.export.as_ref().map_or(&[][..], |export| &export.steps);
        let mut path = vec![StepId::AllowList, StepId::ClassCeiling];
        path.extend(steps.iter().map(crate::Step::id));
        path.sort();
        Some(Point { rule, path, minimizer: Minimizer::new(steps) })
    }

    /// Its steps, and where they lead to.
    fn through<'a>(
        &'a mut self,
        now: Now,
        dataset: &'a mut Dataset,
        ready: &'a mut VecDeque<Batch>,
    ) -> (&'a mut Minimizer, Outlet<'a>) {
        let Dataset { tally, batcher, .. } = dataset;
        let outlet = Outlet { now, rule: &self.rule, path: &self.path, tally, batcher, ready };
        (&mut self.minimizer, outlet)
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
            tally: Tally::new(&used),
            batcher: Batcher::new(index, plan.flush),
        }
    }

    fn batch(&mut self, now: Now) -> Batch {
        self.batcher.close(now, self.tally.take())
    }
}
