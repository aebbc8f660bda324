//! What the engine does with the link: what it sends when the link is up, and what the answers lead to.

use std::collections::BTreeSet;

use lingate_buffer::{Disk, RecordId};
use lingate_model::defect::{Defect, is_seeded};
use lingate_model::{DatasetAlias, Now};

use crate::engine::Engine;
use crate::receipts::Sent;
use crate::status::LinkStatus;
use crate::stream::Stream;
use crate::{LinkLimits, LinkLoss, Output, ReasonCode};

/// With fewer records waiting, live data is not worth an epoch of its own.
const BACKLOG_RECORDS: u64 = 64;

impl<D: Disk> Engine<D> {
    pub(crate) fn publish(&mut self, now: Now) {
        if self.deliver.receipts.is_resend_due(now.monotonic) {
            self.store.rewind();
            self.deliver.ask_again();
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        self.deliver.fill(now.monotonic, &mut self.store, &mut outputs);
        self.outputs = outputs;
    }

    pub(crate) fn acknowledge(&mut self, id: crate::PublishId) {
        let Some(done) = self.deliver.acknowledged(id) else { return };
        let sent = Sent::new(done.record, &done.sealed);
        let freed = match self.asks_for_receipts() {
            true => self.deliver.receipts.wait_for(self.now.monotonic, sent),
            false => Some(sent),
        };
        freed.iter().for_each(|sent| self.free(sent));
    }

    pub(crate) fn link_up(&mut self, now: Now, limits: LinkLimits) {
        self.deliver.passes_backlog = self.store.usage().records_waiting >= BACKLOG_RECORDS;
        if self.deliver.passes_backlog {
            self.begin_live_epochs(now);
        }
        // A link that was lost without a word, because its task was: nothing of that connection is answered.
        if self.deliver.link_up(limits, self.store.ends()) {
            self.store.rewind();
        }
    }

    pub(crate) fn link_down(&mut self, loss: LinkLoss) {
        if is_seeded(Defect::DropOnSessionLoss) {
            let lost = self.deliver.under_way();
            lost.into_iter().for_each(|record| drop(self.store.acknowledge(record)));
        }
        self.deliver.link_down(loss);
        self.store.rewind();
    }

    /// What is read from here on has a KEY of its own, which does not wait behind the backlog.
    fn begin_live_epochs(&mut self, now: Now) {
        for index in 0..self.streams.len() {
            let is_meant = self.rules.live_first.contains(&self.export.datasets[index].id);
            if is_meant && self.streams[index].may_begin_live(now.monotonic) {
                self.close_epoch(now, index);
            }
        }
        self.deliver.live_first = self.live_first();
        self.commit(now);
    }

    /// What passes a backlog, by the names that the grants of this moment give.
    pub(crate) fn live_first(&self) -> BTreeSet<DatasetAlias> {
        let streams = self.streams.iter().zip(&self.export.datasets);
        let meant = streams.filter(|(_, plan)| self.rules.live_first.contains(&plan.id));
        meant.filter_map(|(stream, _)| stream.alias().cloned()).collect()
    }

    pub(crate) fn link_status(&self) -> LinkStatus {
        let is_read = |stream: &Stream| {
            stream.was_acknowledged() && stream.alias().is_some_and(|alias| !self.deliver.is_unread(alias))
        };
        LinkStatus { others_read: self.streams.iter().any(is_read), ..self.deliver.status() }
    }

    pub(crate) fn refused(&mut self, now: Now, id: crate::PublishId, reason: ReasonCode) {
        if is_seeded(Defect::TrimOnRefusal) {
            self.acknowledge(id);
        }
        let refused = self.deliver.refused(now.monotonic, id, reason);
        self.outputs.extend(refused.notice.map(Output::Notice));
        refused.put_back.iter().for_each(|record| self.store.put_back(*record));
        if let Some((record, reason)) = refused.poison {
            let notice = self.deliver.quarantine(&mut self.store, &record, reason);
            self.outputs.extend(notice.map(Output::Notice));
        }
    }

    pub(crate) fn retry(&mut self, records: &[RecordId]) {
        let mut held = self.store.quarantined();
        held.retain(|record| records.is_empty() || records.contains(record));
        self.deliver.retry_quarantined(held);
    }
}
