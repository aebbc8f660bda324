use std::time::Duration;

use lingate_model::{Class, Now, Reading};

use crate::batch::Batcher;
use crate::count::Tally;
use crate::minimize::Minimizer;
use crate::tag::{Rule, tag};
use crate::{Batch, DatasetIndex, DatasetPlan, ExportPlan, StepId, Totals};

/// Tag, minimize, batch: the three steps for all datasets.
///
/// Memory is bounded by the plan: per point the last kept reading, per dataset at most `flush.readings` readings.
#[derive(Debug)]
pub struct Refinery {
    /// By `PointId`; `None`: no dataset of the plan names the point.
    points: Vec<Option<Point>>,
    /// By [`DatasetIndex`].
    datasets: Vec<Dataset>,
    unassigned: u64,
}

#[derive(Debug)]
struct Point {
    rule: Rule,
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
        let points: Vec<Option<Point>> = points
            .iter()
            .map(|point| {
                let rule = Rule::of(point).filter(|rule| rule.dataset.index() < datasets.len())?;
                let steps = point.export.as_ref().map_or(&[][..], |export| &export.steps);
                Some(Point { rule, minimizer: Minimizer::new(steps) })
            })
            .collect();
        let datasets = (0..).zip(&datasets).map(|(at, plan)| Dataset::new(DatasetIndex(at), plan, &points)).collect();
        Refinery { points, datasets, unassigned: 0 }
    }

    /// Takes one reading; gives a batch when it completes one.
    pub fn refine(&mut self, now: Now, reading: Reading) -> Option<Batch> {
        let Some(Some(point)) = self.points.get_mut(reading.point.index()) else {
            self.unassigned += 1;
            return None;
        };
        let dataset = &mut self.datasets[point.rule.dataset.index()];
        dataset.tally.read();
        let tagged = tag(reading, &point.rule, dataset.ceiling, &mut dataset.tally)?;
        let minimized = point.minimizer.minimize(tagged, &mut dataset.tally)?;
        dataset.tally.kept();
        dataset.batcher.push(now, minimized);
        dataset.batcher.is_full().then(|| dataset.batch(now))
    }

    /// A batch whose age is over, the oldest first; call until `None`.
    pub fn due(&mut self, now: Now) -> Option<Batch> {
        let oldest = self.datasets.iter_mut().filter(|dataset| dataset.batcher.deadline().is_some());
        let oldest = oldest.min_by_key(|dataset| dataset.batcher.deadline())?;
        (oldest.batcher.deadline()? <= now.monotonic).then(|| oldest.batch(now))
    }

    /// The monotonic time at which `due` has something to give.
    pub fn wake_at(&self) -> Option<Duration> {
        self.datasets.iter().filter_map(|dataset| dataset.batcher.deadline()).min()
    }

    /// What is pending of this dataset, even if it is only counts; `None` if there is nothing at all.
    ///
    /// Ends what the deadbands remember of its points: each point's next reading is kept, so that an epoch can be
    /// understood by a recipient that cannot open the one before.
    pub fn close(&mut self, now: Now, dataset: DatasetIndex) -> Option<Batch> {
        self.forget(dataset);
        let dataset = self.datasets.get_mut(dataset.index())?;
        let pending = !dataset.batcher.is_empty() || dataset.tally.is_pending();
        pending.then(|| dataset.batch(now))
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

impl Dataset {
    fn new(index: DatasetIndex, plan: &DatasetPlan, points: &[Option<Point>]) -> Dataset {
        let minimizers = || points.iter().flatten().filter(|p| p.rule.dataset == index).map(|p| &p.minimizer);
        let is_used = |step: &StepId| match step {
            StepId::AllowList | StepId::ClassCeiling => true,
            StepId::Deadband | StepId::Rounding => minimizers().any(|minimizer| minimizer.has(*step)),
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
