//! What a record that opened must hold, and where it goes.

use std::sync::Arc;

use lingate_model::UtcMicros;
use lingate_seal::{GapCause, Kid, wire};

use super::{Refusal, SEQ_END, Taken};
use crate::epoch::OpenEpoch;
use crate::keys::sha256;
use crate::opened::{Event, OpenedBatch, OpenedGap, OpenedReading};
use crate::store::{Close, StoreError, bounded};
use crate::topic::Topic;
use crate::{Rejected, Store};

/// A decrypted record and where it belongs.
pub(super) struct Content<'a> {
    pub(super) topic: &'a Topic,
    pub(super) kid: Kid,
    pub(super) seq: u64,
    pub(super) body: &'a [u8],
}

impl Content<'_> {
    /// Checks the message, calls `accept`, then writes what it says.
    pub(super) fn write(
        &self,
        store: &Store,
        epoch: &mut OpenEpoch,
        message: wire::sealed::Message,
        accept: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<Taken, Refusal> {
        use wire::sealed::Message;
        let seq = bounded(self.seq);
        match message {
            Message::Catalogue(catalogue) => {
                epoch.set_catalogue(self.body, catalogue.clone())?;
                accept()?;
                store.add_catalogue(self.kid, self.body, &catalogue)?;
                Ok(Taken::Unblocked(self.kid))
            }
            Message::Lineage(lineage) => {
                if sha256(&lineage.document) != epoch.claims.lineage_sha256 {
                    return Err(Rejected::Lineage.into());
                }
                accept()?;
                store.add_lineage(self.kid, &lineage.document)?;
                Ok(Taken::Nothing)
            }
            Message::Batch(batch) => {
                let catalogue = epoch.catalogue.as_ref().ok_or(Rejected::OutOfPlace)?;
                let readings = lingate_seal::decode_batch(&batch, catalogue)?;
                let contexts = lingate_seal::decode_context(&batch, catalogue)?;
                accept()?;
                store.add_contexts(self.kid, seq, &contexts)?;
                store.add_readings(self.kid, seq, &readings)?;
                store.add_steps(self.kid, &batch.steps)?;
                Ok(Taken::Event(Event::Batch(self.opened(epoch, readings))))
            }
            Message::Gap(gap) => {
                check_gap(&gap)?;
                accept()?;
                store.add_gap(self.kid, seq, &gap)?;
                let (gateway, dataset) = self.origin(epoch);
                Ok(Taken::Event(Event::Gap(OpenedGap { gateway, dataset, kid: self.kid, seq: self.seq, gap })))
            }
            Message::Close(close) => {
                let close = self.checked_close(store, &close)?;
                accept()?;
                store.set_close(self.kid, &close)?;
                Ok(Taken::Nothing)
            }
        }
    }

    /// Nothing may stand behind the end of an epoch.
    fn checked_close(&self, store: &Store, close: &wire::EpochClose) -> Result<Close, Refusal> {
        let seq = bounded(self.seq);
        let is_last = store.epoch_state(self.kid)?.max_seq.is_none_or(|max| max < seq);
        let fits = is_last && close.last_seq == self.seq && close.data_root.len() == 32;
        if !fits {
            return Err(Rejected::Close.into());
        }
        Ok(Close { seq, readings: bounded(close.readings), root: close.data_root.clone() })
    }

    fn opened(&self, epoch: &OpenEpoch, readings: Vec<lingate_seal::DecodedReading>) -> OpenedBatch {
        let (gateway, dataset) = self.origin(epoch);
        let readings = readings
            .into_iter()
            .map(|reading| OpenedReading {
                point: epoch.names[reading.alias as usize].clone(),
                time: UtcMicros(reading.time_us),
                source_time: reading.source_time,
                server_time: reading.server_time,
                origin: reading.origin,
                value: reading.value,
                status: reading.status,
            })
            .collect();
        OpenedBatch { gateway, dataset, kid: self.kid, seq: self.seq, readings }
    }

    fn origin(&self, epoch: &OpenEpoch) -> (Arc<str>, Arc<str>) {
        (self.topic.gateway.as_str().into(), epoch.claims.subject.as_str().into())
    }
}

fn check_gap(gap: &wire::Gap) -> Result<(), Rejected> {
    let is_records = gap.kid.len() == 8 && gap.first_seq <= gap.last_seq && gap.last_seq < SEQ_END;
    let is_slots = gap.kid.is_empty() && !gap.device.is_empty() && gap.from_us <= gap.to_us;
    let has_cause = GapCause::from_id(gap.cause).is_some();
    if (is_records || is_slots) && has_cause { Ok(()) } else { Err(Rejected::Gap) }
}
