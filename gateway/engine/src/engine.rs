use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lingate_buffer::{Buffer, Disk, DiskError, Loss, Recovery};
use lingate_model::defect::{Defect, make_stale, strikes};
use lingate_model::{
    DatasetId, DeviceName, DeviceReport, DeviceState, GatewayId, Missed, Now, PointId, Reading, TenantId,
};
use lingate_refine::{Batch, DatasetIndex, ExportPlan, Minimized, PseudonymKey, Refinery};
use lingate_seal::{Entropy, SigningKey, VerifiedBundle};

use crate::audit::Auditor;
use crate::deliver::Deliver;
use crate::devices::{Devices, unprotected};
use crate::endings::Endings;
use crate::heads::Heads;
use crate::lost::Lost;
use crate::rights::{Purging, REGRANT_EVERY};
use crate::sealing::Sealing;
use crate::status::{BundleStatus, LossCounter, RightsStatus, Status};
use crate::store::Store;
use crate::stream::{Room, Stream};
use crate::{Input, Level, Notice, Output, Quota, Reserved, Rules};

/// Everything that an engine starts with.
pub struct Setup<D: Disk> {
    pub gateway: GatewayId,
    pub tenant: TenantId,
    /// `name version sha256:...` of the running software.
    pub software: String,
    pub export: ExportPlan,
    /// With the number of each device's first point, ascending.
    pub devices: Vec<(DeviceName, PointId)>,
    pub signer: SigningKey,
    pub rules: Rules,
    pub bundle: Option<VerifiedBundle>,
    pub buffer: Buffer<D>,
    pub recovery: Recovery,
    pub commit_every: Duration,
    /// Most records in flight; 64 in production.
    pub window: usize,
    pub entropy: Box<dyn Entropy>,
}

/// Rounds of declarations at a time: more than there can be gaps.
const ROUNDS: usize = 256;

/// The state machine. Not one of its methods blocks on anything but the disk.
pub struct Engine<D: Disk> {
    pub(crate) export: ExportPlan,
    pub(crate) refinery: Refinery,
    /// By dataset.
    pub(crate) streams: Vec<Stream>,
    pub(crate) sealing: Sealing,
    pub(crate) rules: Rules,
    /// Of the quotas, as far as it is durable.
    pub(crate) reserved: Reserved,
    /// Quotas of a reload whose first part is not reserved yet.
    pub(crate) awaited_quotas: BTreeMap<DatasetId, Quota>,
    pub(crate) bundle: Option<VerifiedBundle>,
    pub(crate) endings: Endings,
    pub(crate) purging: Purging,
    pub(crate) store: Store<D>,
    pub(crate) deliver: Deliver,
    pub(crate) devices: Devices,
    lost: LossCounter,
    /// Losses that no stream of their class can declare.
    pub(crate) orphans: Vec<Loss>,
    pub(crate) audit: Auditor,
    pub(crate) outputs: VecDeque<Output>,
    draining: bool,
    /// Rights are looked at again at this monotonic time.
    pub(crate) regrant_at: Duration,
    /// What the clock showed when they were looked at in their turn, so that one that is set is noticed.
    pub(crate) regranted: Now,
    pub(crate) now: Now,
}

impl<D: Disk> Engine<D> {
    pub fn new(now: Now, setup: Setup<D>) -> Engine<D> {
        let devices = Devices::new(setup.devices, setup.export.points.len());
        let datasets = setup.export.datasets.iter();
        let streams = datasets.map(|dataset| Stream::new(dataset, &setup.export, &devices)).collect();
        let mut deliver = Deliver::new(&setup.tenant, &setup.gateway, setup.window, setup.rules.replay);
        deliver.is_suspended = setup.rules.plant.veto.unclear;
        let mut engine = Engine {
            refinery: Refinery::new(setup.export.clone()),
            streams,
            sealing: Sealing {
                gateway: setup.gateway.clone(),
                software: setup.software,
                signer: setup.signer,
                entropy: setup.entropy,
                heads: Heads::new(&setup.recovery.heads),
            },
            reserved: setup.rules.ledger.reserved().clone(),
            awaited_quotas: BTreeMap::new(),
            rules: setup.rules,
            bundle: setup.bundle,
            endings: Endings::default(),
            purging: Purging::default(),
            store: Store::new(setup.buffer, setup.commit_every),
            deliver,
            devices,
            export: setup.export,
            lost: LossCounter::default(),
            orphans: Vec::new(),
            audit: Auditor::default(),
            outputs: VecDeque::new(),
            draining: false,
            regrant_at: now.monotonic + REGRANT_EVERY,
            regranted: now,
            now,
        };
        engine.declare_unclean_stop(now, &setup.recovery);
        engine.tell_bundle();
        engine.regrant(now);
        engine.settle(now);
        engine
    }

    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        self.store.at(now.utc);
        match input {
            Input::Readings(readings) => self.read(now, readings),
            Input::Missed(missed) => self.miss(&missed),
            Input::Device(name, state) => self.device_changed(now, &name, state),
            Input::Report(name, report) => self.report(now, &name, *report),
            Input::LinkUp(limits) => self.link_up(now, limits),
            Input::LinkDown(loss) => self.link_down(loss),
            Input::Acked(id) => self.acknowledge(id),
            Input::Refused(id, reason) => self.refused(now, id, reason),
            Input::Receipt(bytes) => self.receipt(now, &bytes),
            Input::Bundle(bundle) => self.take_bundle(now, *bundle),
            Input::Veto(veto) => self.veto(now, *veto),
            Input::Purge(dataset) => self.purge(now, dataset),
            Input::Reserved(reserved) => self.take_reserved(now, reserved),
            Input::Retry(records) => self.retry(&records),
            Input::Reload(plan) => self.reload(now, *plan),
            Input::Wake => {}
            Input::Drain => self.drain(now),
        }
        self.settle(now);
    }

    /// Call until `None` after every `handle`.
    pub fn poll(&mut self) -> Option<Output> {
        if self.outputs.len() > 1 && strikes(Defect::SwapTwoRecords, 20) {
            self.outputs.swap(0, 1);
        }
        self.outputs.pop_front()
    }

    /// The monotonic time at which `Input::Wake` is due.
    pub fn wake_at(&self) -> Option<Duration> {
        let epochs = self.streams.iter().filter_map(Stream::ends_at).min();
        let gaps = self.streams.iter().filter_map(Stream::gaps_due_at).min();
        let (purge, rights, audit) = (self.purging.wake_at(), Some(self.regrant_at), self.audit.wake_at());
        let steps =
            [self.refinery.wake_at(), self.store.wake_at(), self.deliver.wake_at(), epochs, gaps, purge, rights, audit];
        steps.into_iter().flatten().min()
    }

    /// After [`Output::Drained`]: marks the clean end on disk.
    pub fn finish(mut self, now: Now) -> Result<(), DiskError> {
        self.hold_losses();
        self.store.close(now.utc)
    }

    pub fn status(&self) -> Status {
        let datasets = self.streams.iter().zip(&self.export.datasets).filter(|(stream, _)| !stream.is_retired());
        Status {
            devices: self.devices.status(&self.export.points),
            datasets: datasets.map(|(stream, plan)| stream.status(plan, &self.refinery)).collect(),
            buffer: self.store.usage(),
            link: self.link_status(),
            clock: self.now.clock,
            bundle: self.bundle.as_ref().map(|bundle| BundleStatus {
                version: bundle.version(),
                root_version: bundle.roots().version(),
                sandbox: bundle.sandbox().to_owned(),
                expires: bundle.expires(),
            }),
            unassigned: self.refinery.unassigned(),
            contexts_too_long: self.refinery.contexts_too_long(),
            lost: self.lost.by_cause(),
            disk_fault: self.store.fault(),
            rights: RightsStatus {
                veto: self.rules.plant.veto.clone(),
                asks_for_receipts: self.asks_for_receipts(),
                endings: self.endings(),
                ledger: self.rules.ledger.clone(),
            },
        }
    }

    fn read(&mut self, now: Now, readings: Vec<Reading>) {
        self.close_spent_epochs(now);
        for mut reading in readings {
            make_stale(&mut reading);
            self.devices.read(&reading);
            self.withhold(&reading);
            if let Some(batch) = self.refinery.refine(now, reading) {
                self.seal(now, &batch);
            }
        }
    }

    /// What is due by time or by space, in the order of the line.
    fn settle(&mut self, now: Now) {
        self.regrant_if_due(now);
        while let Some(batch) = self.refinery.due(now) {
            self.seal(now, &batch);
        }
        self.close_spent_epochs(now);
        self.commit_if_due(now);
        self.declare(now);
        self.publish(now);
        self.declare(now);
        let told = self.audit.due(now.monotonic);
        self.outputs.extend(told.into_iter().map(|event| Output::Audit(Box::new(event))));
    }

    /// Losses become gaps, and gaps become records where that is possible.
    fn declare(&mut self, now: Now) {
        self.take_losses();
        for index in 0..self.streams.len() {
            for _ in 0..ROUNDS {
                let most = self.store.may_declare();
                if !self.streams[index].has_gaps_due(now.monotonic, most) {
                    break;
                }
                self.open_epoch_if_needed(now, index);
            }
        }
    }

    pub(crate) fn seal(&mut self, now: Now, batch: &Batch) {
        let index = batch.dataset().index();
        self.open_epoch_if_needed(now, index);
        self.seal_into_epoch(now, index, batch);
        self.heed_quota(now, index);
        // At once, so that the next batch begins with a reading of every point, as the next epoch must.
        if self.streams[index].is_spent(now) {
            self.close_epoch(now, index);
        }
    }

    fn seal_into_epoch(&mut self, now: Now, index: usize, batch: &Batch) {
        let sealed = self.streams[index].seal(batch, &self.sealing.signer);
        self.keep(now, index, sealed);
        self.store.note_newest(index, batch.readings().last().map(Minimized::time));
    }

    fn close_spent_epochs(&mut self, now: Now) {
        for index in 0..self.streams.len() {
            if self.streams[index].is_spent(now) {
                self.close_epoch(now, index);
            }
        }
    }

    pub(crate) fn open_epoch_if_needed(&mut self, now: Now, index: usize) {
        if self.streams[index].grant_ended(now) {
            self.regrant(now);
        }
        if self.streams[index].is_spent(now) {
            self.close_epoch(now, index);
        }
        let plan = &self.export.datasets[index];
        let room = Room { opens: self.store.has_room(plan.priority), gaps: self.store.may_declare() };
        let opening = self.streams[index].open_if_needed(now, plan, &mut self.sealing, room);
        if opening.is_err() {
            self.streams[index].pause(now.monotonic);
        }
        self.keep(now, index, opening);
    }

    /// Pending readings first, so that an epoch that ends by age holds all that was read in it, but for open windows.
    pub(crate) fn close_epoch(&mut self, now: Now, index: usize) {
        let pending = self.refinery.close(now, self.streams[index].dataset);
        self.close_with(now, index, pending);
    }

    /// As `close_epoch`, open windows included.
    pub(crate) fn end_stream(&mut self, now: Now, index: usize) {
        let pending = self.refinery.end(now, self.streams[index].dataset);
        self.close_with(now, index, pending);
    }

    fn close_with(&mut self, now: Now, index: usize, pending: Option<Batch>) {
        if let Some(batch) = pending {
            if !self.streams[index].has_epoch() {
                self.open_epoch_if_needed(now, index);
            }
            self.seal_into_epoch(now, index, &batch);
        }
        let closing = self.streams[index].close(&self.sealing.signer, self.store.may_declare());
        self.keep(now, index, closing);
    }

    /// Appends what a stream sealed. What cannot be appended is counted, and declared as soon as there is room.
    pub(crate) fn keep(&mut self, now: Now, index: usize, result: Result<Vec<lingate_seal::Sealed>, Lost>) {
        let records = match result {
            Ok(records) => records,
            Err(lost) => return self.lose(lost),
        };
        let priority = self.export.datasets[index].priority;
        for sealed in &records {
            let stream = &mut self.streams[index];
            let kept = match stream.may_be_kept(sealed) {
                true => self.store.append(now.monotonic, index, priority, sealed, &stream.note(sealed)).map_err(Some),
                false => Err(None),
            };
            match kept {
                Ok(()) => {
                    stream.kept(sealed);
                    let id = self.export.datasets[index].id.as_str();
                    self.audit.kept(id, sealed, stream.declared_in(sealed));
                    if let Some(grant) = stream.grant() {
                        let (dataset, bytes) = (self.export.datasets[index].id.as_str(), sealed.bytes().len() as u64);
                        self.rules.ledger.add(now.utc, dataset, grant, bytes);
                    }
                }
                Err(error) => {
                    let lost = stream.refused_by_buffer(now.monotonic, sealed, error.as_ref());
                    self.lose(lost);
                }
            }
        }
        if self.store.is_commit_large() {
            self.commit(now);
        }
    }

    pub(crate) fn lose(&mut self, lost: Lost) {
        self.lost.add(lost.cause, lost.readings);
        self.audit.lost(self.now.monotonic, &lost);
        self.outputs.extend(lost.notice.map(|text| Output::Notice(Notice { level: Level::Error, text })));
    }

    fn commit_if_due(&mut self, now: Now) {
        if self.store.is_commit_due(now.monotonic) {
            self.commit(now);
        }
    }

    pub(crate) fn commit(&mut self, now: Now) {
        self.hold_losses();
        match self.store.commit(now) {
            Ok(durable) => {
                self.audit.durable(now.monotonic, &durable.records, self.store.has_uncommitted());
                for (index, readings) in durable.by_dataset {
                    self.streams[index].accepted(readings);
                }
                if !durable.accepted.records.is_empty() {
                    self.outputs.push_back(Output::Accepted(durable.accepted));
                }
            }
            Err(notice) => self.outputs.extend(notice.map(Output::Notice)),
        }
        if self.draining && !self.store.has_uncommitted() {
            self.draining = false;
            self.tell_audit();
            self.outputs.push_back(Output::Drained);
        }
    }

    fn drain(&mut self, now: Now) {
        for index in 0..self.streams.len() {
            self.end_stream(now, index);
        }
        self.draining = true;
        self.commit(now);
        self.tell_audit();
    }

    fn tell_audit(&mut self) {
        self.outputs.extend(self.audit.all().into_iter().map(|event| Output::Audit(Box::new(event))));
    }

    /// The catalogues tell who a device is and how it is protected.
    fn report(&mut self, now: Now, name: &DeviceName, report: DeviceReport) {
        let Some(changed) = self.devices.reported(name, report) else { return };
        if changed.is_described_anew {
            let device = self.devices.described(changed.number);
            self.streams.iter_mut().for_each(|stream| stream.describe(now.monotonic, device));
        }
        if changed.lost_protection {
            self.outputs.push_back(Output::Notice(Notice { level: Level::Warning, text: unprotected(name) }));
        }
    }

    /// Of a device that is away nothing is known, until it is read again.
    fn device_changed(&mut self, now: Now, name: &DeviceName, state: DeviceState) {
        if state != DeviceState::Connected {
            self.devices.points_of(name).for_each(|point| self.refinery.away(point, now.utc));
        }
        self.devices.changed(name, state);
    }

    /// For M11 of a dataset; before the first reading.
    pub fn set_pseudonym_key(&mut self, dataset: DatasetIndex, key: PseudonymKey) {
        self.refinery.set_pseudonym_key(dataset, key);
    }

    fn miss(&mut self, missed: &Missed) {
        let mut slots: BTreeMap<usize, u64> = BTreeMap::new();
        for (point, count) in &missed.slots {
            self.devices.missed(*point, *count);
            self.refinery.unknown(*point, missed.unknown_from());
            let export = self.export.points.get(point.index()).and_then(|point| point.export.as_ref());
            if let Some(export) = export {
                *slots.entry(export.dataset.index()).or_default() += count;
            }
        }
        for (index, readings) in slots {
            let lost = self.streams[index].missed(self.now, missed, readings);
            self.lose(lost);
        }
    }

    fn declare_unclean_stop(&mut self, now: Now, recovery: &Recovery) {
        let Some(from) = recovery.last_commit.filter(|_| !recovery.clean) else { return };
        for index in 0..self.streams.len() {
            let lost = self.streams[index].stopped_uncleanly(&self.export.datasets[index], from, now.utc);
            self.lose(lost);
        }
    }
}
