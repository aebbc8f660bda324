use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lingate_model::{DeviceName, PointId};
use lingate_refine::{DatasetIndex, ExportPlan, PointPlan, Step};

/// Datasets that are gone keep their number until there are so many, in case they come back.
const DATASETS_KEPT: usize = 4_096;

/// Where the points and datasets of a running plan are: what goes on under another plan keeps its numbers.
#[derive(Clone, Debug)]
pub struct Placed {
    pub export: ExportPlan,
    /// Numbers of datasets that are gone.
    pub retired: BTreeSet<usize>,
    /// First point of each device and how many it has, in the order of the first points.
    pub devices: Vec<(DeviceName, PointId, usize)>,
}

impl Placed {
    /// A plan whose numbers are those of its file.
    pub fn as_written(export: ExportPlan, devices: Vec<(DeviceName, PointId, usize)>) -> Placed {
        Placed { export, retired: BTreeSet::new(), devices }
    }

    /// The numbers of `written` under this plan. A device keeps the places of the one of its name if it has as many points;
    /// any other takes the first room that is large enough, so that the numbers stay bounded by the largest plans.
    #[must_use]
    pub fn place(&self, written: &Placed) -> Placed {
        let (datasets, retired) = self.place_datasets(&written.export);
        let devices = self.place_devices(&written.devices);
        let mut moved: BTreeMap<PointId, PointId> = BTreeMap::new();
        for ((_, from, count), (_, to, _)) in written.devices.iter().zip(&devices) {
            moved.extend((0..*count as u32).map(|number| (PointId(from.0 + number), PointId(to.0 + number))));
        }
        let end = devices.iter().map(|(_, first, count)| first.index() + count).max().unwrap_or(0);
        let mut points: Vec<Arc<PointPlan>> =
            (0..end as u32).map(|number| Arc::new(PointPlan::vacant(PointId(number)))).collect();
        for point in &written.export.points {
            let to = moved[&point.id];
            points[to.index()] = self.unless_known(renumbered(point, &moved, &datasets));
        }
        let mut plans = self.export.datasets.clone();
        for (plan, place) in written.export.datasets.iter().zip(&datasets) {
            match plans.get_mut(place.index()) {
                Some(known) => known.clone_from(plan),
                None => plans.push(plan.clone()),
            }
        }
        let mut devices = devices;
        devices.sort_by_key(|(_, first, _)| *first);
        Placed { export: ExportPlan { datasets: plans, points }, retired, devices }
    }

    /// By number in the file, and the numbers that are left.
    fn place_datasets(&self, written: &ExportPlan) -> (Vec<DatasetIndex>, BTreeSet<usize>) {
        let known: BTreeMap<&str, usize> =
            self.export.datasets.iter().enumerate().map(|(place, plan)| (plan.id.as_str(), place)).collect();
        let mut end = self.export.datasets.len();
        let named: BTreeSet<&str> = written.datasets.iter().map(|plan| plan.id.as_str()).collect();
        let mut free: Vec<usize> = self
            .retired
            .iter()
            .copied()
            .filter(|place| !named.contains(self.export.datasets[*place].id.as_str()))
            .collect();
        let mut place = |id: &str| {
            let again = || if end >= DATASETS_KEPT { free.pop() } else { None };
            known.get(id).copied().or_else(again).unwrap_or_else(|| {
                end += 1;
                end - 1
            })
        };
        let places: Vec<usize> = written.datasets.iter().map(|plan| place(plan.id.as_str())).collect();
        let retired = (0..end).filter(|place| !places.contains(place)).collect();
        (places.into_iter().map(|place| DatasetIndex(place as u16)).collect(), retired)
    }

    /// Parallel to `written`.
    fn place_devices(&self, written: &[(DeviceName, PointId, usize)]) -> Vec<(DeviceName, PointId, usize)> {
        let here: BTreeMap<&DeviceName, (PointId, usize)> =
            self.devices.iter().map(|(name, first, count)| (name, (*first, *count))).collect();
        let stays = |name: &DeviceName, count: usize| here.get(name).filter(|(_, known)| *known == count).copied();
        let mut taken: BTreeMap<usize, usize> = written
            .iter()
            .filter_map(|(name, _, count)| stays(name, *count))
            .map(|(first, count)| (first.index(), count))
            .collect();
        let mut place = |(name, _, count): &(DeviceName, PointId, usize)| {
            if let Some((first, count)) = stays(name, *count) {
                return (name.clone(), first, count);
            }
            let first = first_room(&taken, *count);
            taken.insert(first, *count);
            (name.clone(), PointId(first as u32), *count)
        };
        written.iter().map(&mut place).collect()
    }

    /// The same plan in the same place is the same allocation.
    fn unless_known(&self, point: PointPlan) -> Arc<PointPlan> {
        let known = self.export.points.get(point.id.index()).filter(|known| ***known == point);
        known.cloned().unwrap_or_else(|| Arc::new(point))
    }
}

/// `taken`: places and lengths, apart from one another.
fn first_room(taken: &BTreeMap<usize, usize>, count: usize) -> usize {
    let mut end = 0;
    for (first, length) in taken {
        if first - end >= count {
            return end;
        }
        end = first + length;
    }
    end
}

fn renumbered(point: &PointPlan, moved: &BTreeMap<PointId, PointId>, datasets: &[DatasetIndex]) -> PointPlan {
    let mut point = PointPlan { id: moved[&point.id], ..point.clone() };
    if let Some(export) = &mut point.export {
        export.dataset = datasets[export.dataset.index()];
        for step in &mut export.steps {
            let Step::OnlyWhen(conditions) = step else { continue };
            conditions.iter_mut().for_each(|condition| condition.point = moved[&condition.point]);
        }
    }
    point
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::{Class, Priority};
    use lingate_refine::{DatasetPlan, Export, Flush};

    use super::*;

    /// Devices with their points, each point in the dataset that is named.
    fn written(datasets: &[&str], devices: &[(&str, &[&str])]) -> Placed {
        let dataset = |id: &&str| DatasetPlan {
            id: id.parse().unwrap(),
            purpose: "urn:x".parse().unwrap(),
            ceiling: Class::General,
            flush: Flush { readings: 1, age: std::time::Duration::from_secs(1) },
            priority: Priority::Normal,
            padding: 0,
        };
        let (mut points, mut placed) = (Vec::new(), Vec::new());
        for (device, of) in devices {
            placed.push((device.parse().unwrap(), PointId(points.len() as u32), of.len()));
            for (number, dataset) in of.iter().enumerate() {
                let index = datasets.iter().position(|known| known == dataset).unwrap() as u16;
                let vacant = PointPlan::vacant(PointId(points.len() as u32));
                let export = Some(Export::new(DatasetIndex(index), 0, Some(Class::General), Vec::new()));
                points.push(Arc::new(PointPlan { name: format!("{device}/{number}"), export, ..vacant }));
            }
        }
        Placed::as_written(ExportPlan { datasets: datasets.iter().map(dataset).collect(), points }, placed)
    }

    fn firsts(placed: &Placed) -> Vec<(String, u32)> {
        placed.devices.iter().map(|(name, first, _)| (name.to_string(), first.0)).collect()
    }

    #[test]
    fn what_goes_on_keeps_its_numbers_wherever_it_stands_in_the_file() {
        let running = written(&["a", "b"], &[("one", &["a", "a"]), ("two", &["b"]), ("three", &["b", "a"])]);
        let next =
            running.place(&written(&["c", "b"], &[("four", &["c"]), ("three", &["b", "c"]), ("one", &["b", "b"])]));
        let named = |name: &str, first| (name.to_owned(), first);
        assert_eq!(firsts(&next), [named("one", 0), named("four", 2), named("three", 3)]);
        assert_eq!(next.retired, BTreeSet::from([0]));
        let ids: Vec<&str> = next.export.datasets.iter().map(|plan| plan.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c"]);
        let of = |place: usize| next.export.points[place].export.as_ref().unwrap().dataset.0;
        assert_eq!([of(2), of(3), of(4), of(0)], [2, 1, 2, 1]);
        let back = next.place(&written(&["a"], &[("one", &["a", "a"])]));
        assert_eq!((firsts(&back), back.retired), (vec![named("one", 0)], BTreeSet::from([1, 2])));
    }

    #[test]
    fn a_device_that_grows_moves_and_the_room_that_it_leaves_is_used_again() {
        let running = written(&["a"], &[("one", &["a"]), ("two", &["a"])]);
        let grown = running.place(&written(&["a"], &[("one", &["a", "a"]), ("two", &["a"])]));
        assert_eq!(firsts(&grown), [("two".to_owned(), 1), ("one".to_owned(), 2)]);
        assert!(grown.export.points[0].is_vacant());
        let mut placed = grown;
        for _ in 0..1_000 {
            placed = placed.place(&written(&["a"], &[("one", &["a"]), ("two", &["a"])]));
            placed = placed.place(&written(&["a"], &[("one", &["a", "a"]), ("two", &["a"])]));
        }
        assert!(placed.export.points.len() <= 4, "{}", placed.export.points.len());
    }

    #[test]
    fn the_same_plan_again_is_the_same_allocations() {
        let running = written(&["a"], &[("one", &["a", "a"])]);
        let again = running.place(&written(&["a"], &[("one", &["a", "a"])]));
        assert!(running.export.points.iter().zip(&again.export.points).all(|(old, new)| Arc::ptr_eq(old, new)));
        assert!(again.retired.is_empty());
    }
}
