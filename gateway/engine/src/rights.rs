//! What holds at this moment: the bundle's grants, the plant's vetoes and quotas. The strictest of them decides.

use std::time::Duration;

use lingate_buffer::{Disk, Purged};
use lingate_model::{DatasetAlias, DatasetId, Now, Reading};
use lingate_seal::{Acknowledgement, GapCause, Grant, Receipt, VerifiedBundle, Veto};

use crate::engine::Engine;
use crate::receipts::Sent;
use crate::stream::Denied;
use crate::{Level, Notice, Output, Reserved};

/// Purposes begin, keys become valid, the wall clock is set: rights change without a new bundle.
pub(crate) const REGRANT_EVERY: Duration = Duration::from_secs(60);
/// Pause after a purge that the disk refused.
const PURGE_RETRY: Duration = Duration::from_secs(1);

/// What is to be destroyed, until the disk has done it.
#[derive(Default)]
pub(crate) struct Purging {
    datasets: Vec<DatasetId>,
    everything: bool,
    /// The veto that asked for it.
    veto: Option<Veto>,
    at: Option<Duration>,
}

impl Purging {
    pub(crate) fn wake_at(&self) -> Option<Duration> {
        self.at
    }
}

/// More than this is no correction of a clock that runs.
const SLEW_US: u64 = 1_000_000;

/// Did somebody set the clock? Then rights that had ended may hold again.
fn is_set(before: Now, now: Now) -> bool {
    let passed = now.monotonic.saturating_sub(before.monotonic).as_micros();
    let expected = before.utc.0.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX));
    now.utc.0.abs_diff(expected) > SLEW_US
}

impl<D: Disk> Engine<D> {
    pub(crate) fn take_bundle(&mut self, now: Now, bundle: VerifiedBundle) {
        self.bundle = Some(bundle);
        self.tell_bundle();
        self.regrant(now);
        // A veto may name somebody whom only this bundle knows.
        if !self.rules.plant.veto.is_empty() {
            self.purge_vetoed(now, &Veto::default());
        }
        if !self.asks_for_receipts() {
            let released = self.deliver.receipts.release();
            released.into_iter().for_each(|sent| self.free(&sent));
        }
    }

    pub(crate) fn tell_bundle(&mut self) {
        let Some(bundle) = &self.bundle else { return };
        let text = format!("bundle version {} of {} is in force", bundle.version(), bundle.sandbox());
        self.say(Level::Info, text);
    }

    pub(crate) fn regrant_if_due(&mut self, now: Now) {
        let has_ended = self.streams.iter().any(|stream| stream.grant_ended(now));
        let may_hold_again =
            || self.streams.iter().any(|stream| stream.denied().is_some()) && is_set(self.regranted, now);
        if now.monotonic >= self.regrant_at || has_ended || may_hold_again() {
            (self.regrant_at, self.regranted) = (now.monotonic + REGRANT_EVERY, now);
            self.regrant(now);
        }
        self.purge_if_due(now);
    }

    /// Effective rights are bundle AND plant.
    pub(crate) fn regrant(&mut self, now: Now) {
        self.rules.ledger.reserve(now.utc, &self.rules.quotas);
        for index in 0..self.streams.len() {
            let grant = self.grant(now, index);
            if self.streams[index].requires_new_terms(&grant) {
                self.change_terms(now, index, grant);
            }
        }
        if self.deliver.passes_backlog {
            self.deliver.live_first = self.live_first();
        }
        let endings = self.endings();
        let notices = self.endings.due(now.utc, &endings);
        self.outputs.extend(notices.into_iter().map(Output::Notice));
    }

    fn grant(&self, now: Now, index: usize) -> Result<Grant, Denied> {
        let plan = &self.export.datasets[index];
        if self.streams[index].is_retired() {
            return Err(Denied::retired());
        }
        let Some(bundle) = &self.bundle else {
            return Err(Denied::before_a_bundle());
        };
        let granted = bundle.grant_within(&plan.id, &plan.purpose, plan.ceiling, now.utc, &self.rules.plant);
        let granted = granted.map_err(|refusal| Denied::by(&refusal))?;
        let of_quota = |why: &str| Err(Denied { why: why.to_owned(), loses: Some(GapCause::Withheld) });
        match self.rules.quotas.get(&plan.id) {
            Some(quota) if self.rules.ledger.is_used_up(now.utc, plan.id.as_str(), quota) => {
                of_quota("the plant's quota for this day (UTC) is used up; it begins anew at midnight")
            }
            Some(_) if !self.rules.ledger.is_within(now.utc, plan.id.as_str(), &self.reserved) => {
                of_quota("the next part of the plant's quota waits until the ledger is on disk")
            }
            _ => Ok(granted),
        }
    }

    pub(crate) fn take_reserved(&mut self, now: Now, reserved: Reserved) {
        self.reserved = reserved;
        self.begin_awaited_quotas();
        self.regrant(now);
    }

    /// Ends of what the plan uses.
    pub(crate) fn endings(&self) -> Vec<lingate_seal::Ending> {
        let Some(bundle) = &self.bundle else { return Vec::new() };
        let datasets = self.streams.iter().zip(&self.export.datasets).filter(|(stream, _)| !stream.is_retired());
        bundle.endings(datasets.map(|(_, plan)| (&plan.id, &plan.purpose)))
    }

    /// The epoch ends at once. What is pending passed under the old ceiling: it goes under the new grant if that is
    /// as wide, and is declared lost otherwise.
    fn change_terms(&mut self, now: Now, index: usize, grant: Result<Grant, Denied>) {
        let dataset = self.streams[index].dataset;
        let pending = self.refinery.end(now, dataset);
        let most = self.store.may_declare();
        let closing = self.streams[index].close(&self.sealing.signer, most);
        self.keep(now, index, closing);
        if let Err(Denied { why, .. }) = &grant {
            let text = format!("dataset {}: nothing is sealed for it: {why}", self.export.datasets[index].id);
            self.say(Level::Warning, text);
        }
        if let Ok(grant) = &grant {
            self.rules.ledger.name(self.export.datasets[index].id.as_str(), &grant.alias);
        }
        self.refinery.set_ceiling(dataset, grant.as_ref().ok().map(|grant| grant.ceiling));
        let is_narrower = self.streams[index].set_grant(grant);
        match pending {
            Some(batch) if is_narrower => {
                let lost = self.streams[index].withheld(&batch);
                self.lose(lost);
            }
            Some(batch) => self.seal(now, &batch),
            None => {}
        }
    }

    /// What is read for a dataset whose rights have ended is lost; the refinery lets none of it through.
    pub(crate) fn withhold(&mut self, reading: &Reading) {
        let export = self.export.points.get(reading.point.index()).and_then(|point| point.export.as_ref());
        let lost = export.and_then(|export| self.streams[export.dataset.index()].withhold(reading.gateway_time));
        lost.into_iter().for_each(|lost| self.lose(lost));
    }

    /// A quota that a kept record used up ends the epoch.
    pub(crate) fn heed_quota(&mut self, now: Now, index: usize) {
        let plan = &self.export.datasets[index];
        let Some(quota) = self.rules.quotas.get(&plan.id) else { return };
        self.rules.ledger.reserve(now.utc, &self.rules.quotas);
        let (ledger, id) = (&self.rules.ledger, plan.id.as_str());
        let is_over = ledger.is_used_up(now.utc, id, quota) || !ledger.is_within(now.utc, id, &self.reserved);
        if self.streams[index].denied().is_none() && is_over {
            let grant = self.grant(now, index);
            self.change_terms(now, index, grant);
        }
    }

    /// All of the plant's vetoes as they are from here on. What a new one forbids is destroyed where it still waits.
    pub(crate) fn veto(&mut self, now: Now, veto: Veto) {
        self.deliver.is_suspended = veto.unclear;
        let before = std::mem::replace(&mut self.rules.plant.veto, veto);
        self.regrant(now);
        self.purge_vetoed(now, &before);
    }

    fn purge_vetoed(&mut self, now: Now, before: &Veto) {
        let veto = self.rules.plant.veto.clone();
        let mut doomed: Vec<DatasetId> = veto.datasets.difference(&before.datasets).cloned().collect();
        for recipient in veto.recipients.difference(&before.recipients) {
            doomed.extend(self.bundle.iter().flat_map(|bundle| bundle.datasets_of(recipient)).cloned());
        }
        self.purging.everything |= veto.everything && !before.everything;
        self.purging.datasets.extend(doomed);
        self.purging.veto = Some(veto);
        self.purging.at = Some(now.monotonic);
        self.purge_if_due(now);
    }

    /// Destroys what was read for this dataset up to here and has not been delivered.
    pub(crate) fn purge(&mut self, now: Now, dataset: DatasetId) {
        self.purging.datasets.push(dataset);
        self.purging.at = Some(now.monotonic);
        self.purge_if_due(now);
    }

    fn purge_if_due(&mut self, now: Now) {
        if self.purging.at.is_none_or(|at| now.monotonic < at) {
            return;
        }
        if !self.purging.everything && self.purging.datasets.is_empty() {
            return self.tell_purged(Purged::default());
        }
        let is_doomed: Vec<bool> = self
            .export
            .datasets
            .iter()
            .map(|plan| self.purging.everything || self.purging.datasets.contains(&plan.id))
            .collect();
        for index in (0..self.streams.len()).filter(|index| is_doomed[*index]) {
            // The epoch's key is wiped here; its last records are destroyed with the others.
            self.close_epoch(now, index);
        }
        self.commit(now);
        match self.destroy() {
            Some(purged) => self.tell_purged(purged),
            None => self.purging.at = Some(now.monotonic + PURGE_RETRY),
        }
    }

    /// `None`: the disk refuses; it is tried again.
    fn destroy(&mut self) -> Option<Purged> {
        if self.store.has_uncommitted() {
            return None;
        }
        let Engine { purging, rules, store, deliver, outputs, .. } = self;
        let is_meant = |alias: &DatasetAlias| {
            let named = |dataset: &DatasetId| rules.ledger.has_named(dataset.as_str(), alias);
            purging.everything || purging.datasets.iter().any(named)
        };
        match store.purge(&is_meant) {
            Ok(purged) => {
                deliver.drop_those_of(&is_meant);
                Some(purged)
            }
            Err(notice) => {
                outputs.extend(notice.map(Output::Notice));
                None
            }
        }
    }

    fn tell_purged(&mut self, purged: Purged) {
        let purging = std::mem::take(&mut self.purging);
        if purging.everything || !purging.datasets.is_empty() {
            let names: Vec<&str> = purging.datasets.iter().map(DatasetId::as_str).collect();
            let names = if purging.everything { "every dataset".to_owned() } else { names.join(", ") };
            let text = format!(
                "purged {names}: the sealed bytes of {} records were overwritten; {} of them had not been delivered and are \
                 declared lost",
                purged.records, purged.lost
            );
            self.say(Level::Warning, text);
        }
        self.outputs.push_back(Output::Purged { datasets: purging.datasets, veto: purging.veto });
    }

    pub(crate) fn asks_for_receipts(&self) -> bool {
        let asks = |bundle: &VerifiedBundle| bundle.acknowledgement() == Acknowledgement::Receipt;
        self.rules.acknowledgement == Acknowledgement::Receipt || self.bundle.as_ref().is_some_and(asks)
    }

    /// What is not signed by a key of the bundle, for this gateway, changes nothing but a counter.
    pub(crate) fn receipt(&mut self, now: Now, bytes: &[u8]) {
        let Some(bundle) = &self.bundle else { return };
        match Receipt::verify(bytes, bundle, &self.sealing.gateway, now.utc) {
            Ok(receipt) => {
                self.deliver.status.receipts += 1;
                if let Some(text) = self.sealing.heads.went_back(&receipt) {
                    self.say(Level::Error, text);
                }
                if self.asks_for_receipts() {
                    let freed = self.deliver.receipts.take(now.monotonic, &receipt);
                    freed.into_iter().for_each(|sent| self.free(&sent));
                }
            }
            Err(refused) => {
                self.deliver.status.receipts_refused += 1;
                let text = format!("{refused}; it frees nothing");
                self.deliver.status.last_receipt_refusal = Some(text.clone());
                if self.deliver.receipts.is_refusal_news(now.monotonic) {
                    self.say(Level::Warning, text);
                }
            }
        }
    }

    /// Acknowledged in the mode that holds.
    pub(crate) fn free(&mut self, sent: &Sent) {
        if let Some(index) = self.stream_of(&sent.alias) {
            let newest = self.store.newest_reading(sent.record);
            self.streams[index].acknowledged(sent, newest);
            self.audit.acknowledged(self.now.monotonic, self.export.datasets[index].id.as_str(), sent);
        }
        self.deliver.freed(sent.record);
        let notice = self.store.acknowledge(sent.record);
        self.outputs.extend(notice.map(Output::Notice));
    }

    pub(crate) fn say(&mut self, level: Level, text: String) {
        self.outputs.push_back(Output::Notice(Notice { level, text }));
    }
}
