//! Another plan while the engine runs. Datasets and points keep their numbers, so that what is under way stays what it is:
//!
//! | a dataset that | |
//! |---|---|
//! | is the same, with the same points | nothing: its batch, its epoch, what its steps remember go on |
//! | changed, or has another point | what is pending is sealed, the epoch ends; the next one has the new policy |
//! | is gone | what is pending is sealed, the epoch ends; what is on disk is delivered; its number stays vacant |
//! | is new, or comes back | begins with its first reading |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lingate_buffer::Disk;
use lingate_model::{DatasetId, DeviceName, Now, PointId};
use lingate_refine::{DatasetIndex, ExportPlan, PointPlan, PseudonymKey};

use crate::devices::Devices;
use crate::engine::Engine;
use crate::stream::Stream;
use crate::{Level, Quota, Replay};

/// What of a configuration can change without a restart.
#[derive(Clone, Debug)]
pub struct NewPlan {
    /// With the numbers that [`crate::Placed::place`] gives.
    pub export: ExportPlan,
    /// Numbers that no dataset has any more.
    pub retired: BTreeSet<usize>,
    /// With the number of each device's first point, ascending.
    pub devices: Vec<(DeviceName, PointId)>,
    pub quotas: BTreeMap<DatasetId, Quota>,
    pub live_first: BTreeSet<DatasetId>,
    pub replay: Replay,
    pub commit_every: Duration,
    pub pseudonyms: Vec<(DatasetIndex, PseudonymKey)>,
}

impl<D: Disk> Engine<D> {
    pub(crate) fn reload(&mut self, now: Now, new: NewPlan) {
        let mut changed = changed(&self.export, &new);
        let is_gone = |index: usize| self.streams.get(index).is_some_and(Stream::is_retired);
        changed.retain(|index| !(new.retired.contains(index) && is_gone(*index)));
        let ending: Vec<usize> = changed.iter().copied().filter(|index| *index < self.streams.len()).collect();
        for &index in &ending {
            self.finish_stream(now, index);
        }
        // So that it is counted for the datasets as they were.
        self.commit(now);
        self.take_rules(&new);
        self.replan(new, &changed);
        self.regrant(now);
        self.adopt_orphans();
        for &index in &ending {
            let what = if self.streams[index].is_retired() { "ended" } else { "changed" };
            self.say(
                Level::Info,
                format!("dataset {}: its policy {what}, and its epoch with it", self.streams[index].name()),
            );
        }
    }

    /// What still waits to be declared is, as far as the buffer takes it.
    fn finish_stream(&mut self, now: Now, index: usize) {
        if self.streams[index].has_gaps_due(now.monotonic, self.store.may_declare()) {
            self.open_epoch_if_needed(now, index);
        }
        self.end_stream(now, index);
    }

    /// A quota that is new holds from the moment at which the ledger that reserves its first part is durable; until then
    /// nothing is held back for it.
    fn take_rules(&mut self, new: &NewPlan) {
        self.rules.live_first.clone_from(&new.live_first);
        self.rules.replay = new.replay;
        self.deliver.set_replay(new.replay);
        self.store.commit_every(new.commit_every);
        self.rules.quotas.retain(|dataset, _| new.quotas.contains_key(dataset));
        self.awaited_quotas.clear();
        for (dataset, quota) in &new.quotas {
            match self.rules.quotas.get_mut(dataset) {
                Some(known) => *known = *quota,
                None => drop(self.awaited_quotas.insert(dataset.clone(), *quota)),
            }
        }
        self.rules.ledger.reserve(self.now.utc, &new.quotas);
    }

    fn replan(&mut self, new: NewPlan, changed: &BTreeSet<usize>) {
        let NewPlan { export, retired, devices, pseudonyms, .. } = new;
        let before = std::mem::replace(&mut self.export, export);
        let is_same = |point: PointId| {
            let plan = |export: &ExportPlan| export.points.get(point.index()).cloned();
            plan(&before).zip(plan(&self.export)).is_some_and(|(old, new)| means_the_same(&old, &new))
        };
        self.refinery.replan(&self.export, &|dataset| !changed.contains(&dataset.index()), &is_same);
        let mut known = Devices::new(devices, self.export.points.len());
        std::mem::swap(&mut self.devices, &mut known);
        self.devices.carry(known, &is_same);
        let mut left = Vec::new();
        for index in changed.iter().copied() {
            let plan = &self.export.datasets[index];
            let fresh = || Stream::new(plan, &self.export, &self.devices);
            match self.streams.get_mut(index) {
                Some(stream) if retired.contains(&index) => left.push((index, plan.priority, stream.retire())),
                Some(stream) if stream.name() == plan.id.as_str() => stream.replan(fresh()),
                Some(stream) => {
                    *stream = fresh();
                    self.refinery.begin_anew(&self.export, DatasetIndex(index as u16));
                }
                None => self.streams.push(fresh()),
            }
        }
        for (from, priority, gaps) in left {
            // Nobody else: it keeps them, in case it comes back, and the next process is told of them again.
            let index = self.stream_of_class(priority).unwrap_or(from);
            self.streams[index].declare_for_another(gaps);
        }
        pseudonyms.into_iter().for_each(|(dataset, key)| self.refinery.set_pseudonym_key(dataset, key));
    }

    /// The ledger with what they reserve is durable.
    pub(crate) fn begin_awaited_quotas(&mut self) {
        let awaited = std::mem::take(&mut self.awaited_quotas);
        let (begun, awaited) = awaited
            .into_iter()
            .partition(|(dataset, _)| self.reserved.keys().any(|(_, reserved)| reserved == dataset.as_str()));
        self.awaited_quotas = awaited;
        let begun: BTreeMap<DatasetId, Quota> = begun;
        self.rules.quotas.extend(begun);
    }
}

/// The numbers of all datasets that are not exactly what they were, new ones included, ascending.
fn changed(before: &ExportPlan, new: &NewPlan) -> BTreeSet<usize> {
    let after = &new.export;
    let mut changed: BTreeSet<usize> = (0..before.datasets.len().max(after.datasets.len()))
        .filter(|index| before.datasets.get(*index) != after.datasets.get(*index) || new.retired.contains(index))
        .collect();
    for place in 0..before.points.len().max(after.points.len()) {
        let (old, new) = (before.points.get(place), after.points.get(place));
        let is_same = match (old, new) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new) || old == new,
            _ => false,
        };
        if !is_same {
            let datasets = [old, new].into_iter().flatten().filter_map(|point| point.export.as_ref());
            changed.extend(datasets.map(|export| export.dataset.index()));
        }
    }
    changed
}

/// What was read of it before says something of it still.
fn means_the_same(old: &PointPlan, new: &PointPlan) -> bool {
    let meaning = |plan: &PointPlan| (plan.name.clone(), plan.builtin_type, plan.rank, plan.source.clone());
    !new.is_vacant() && meaning(old) == meaning(new)
}
