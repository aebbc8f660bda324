use std::sync::Arc;
use std::time::Duration;

use lingate_model::PointId;
use lingate_refine::{DatasetIndex, DatasetPlan, Export, ExportPlan, Flush, PointPlan};

/// A reading is seen as soon as it passed its steps.
const AT_ONCE: Flush = Flush { readings: 1, age: Duration::from_millis(10) };

/// The same points with the same steps, each in a dataset of its own, so that the refinery counts for each point. Gives
/// the points in the order of these datasets, too. A point for which `shown` is false has no dataset.
pub(crate) fn split(plan: &ExportPlan, shown: impl Fn(PointId) -> bool) -> (ExportPlan, Vec<PointId>) {
    let mut datasets: Vec<DatasetPlan> = Vec::new();
    let mut order = Vec::new();
    let mut alone = |point: &Arc<PointPlan>| {
        let export = point.export.as_ref().filter(|_| shown(point.id)).and_then(|export| {
            let index = DatasetIndex(u16::try_from(datasets.len()).ok()?);
            datasets.push(DatasetPlan { flush: AT_ONCE, ..plan.datasets.get(export.dataset.index())?.clone() });
            order.push(point.id);
            Some(Export { dataset: index, alias: 0, ..export.clone() })
        });
        Arc::new(PointPlan { export, ..(**point).clone() })
    };
    let points = plan.points.iter().map(&mut alone).collect();
    (ExportPlan { datasets, points }, order)
}
