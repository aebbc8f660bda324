//! Opens what gateways publish and keeps nothing: for whoever counts or computes on the fly, at the rate of a wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use lingate_model::UtcMicros;
use lingate_seal::{DataMessage, KeyMessage, Kid, wire};

use crate::epoch::OpenEpoch;
use crate::opened::{OpenedBatch, OpenedReading};
use crate::topic::{Channel, Topic};
use crate::{Arrival, Rejected, Trust};

/// Checks signature, claims, ciphertext and content like [`crate::Intake`]. It has no store, so it tells no duplicates and
/// no holes, and a message must come behind its KEY and its catalogue: on one connection to one broker it does.
pub struct Opener {
    trust: Trust,
    epochs: BTreeMap<Kid, OpenEpoch>,
}

impl Opener {
    pub fn new(trust: Trust) -> Opener {
        Opener { trust, epochs: BTreeMap::new() }
    }

    /// `None`: genuine, but no readings.
    pub fn open(&mut self, arrival: &Arrival) -> Result<Option<OpenedBatch>, Rejected> {
        let topic = Topic::parse(&arrival.topic).ok_or(Rejected::Topic)?;
        match topic.channel {
            Channel::Key => self.open_key(&topic, &arrival.payload).map(|()| None),
            _ => self.open_data(&topic, &arrival.payload),
        }
    }

    fn open_key(&mut self, topic: &Topic, payload: &[u8]) -> Result<(), Rejected> {
        let key = KeyMessage::parse(payload)?;
        if !key.is_signed_by_key(&self.trust.signer(key.signer, topic)?.key) {
            return Err(Rejected::Signature);
        }
        self.trust.check_claims(topic, &key.claims)?;
        // A retained KEY comes again with every subscription; the catalogue behind it does not.
        if !self.epochs.contains_key(&key.kid()) {
            let epoch = OpenEpoch::open(&key, &self.trust.keys)?;
            self.epochs.insert(epoch.kid, epoch);
        }
        Ok(())
    }

    fn open_data(&mut self, topic: &Topic, payload: &[u8]) -> Result<Option<OpenedBatch>, Rejected> {
        let data = DataMessage::parse(payload)?;
        if !data.is_signed_by_key(&self.trust.signer(data.signer, topic)?.key) {
            return Err(Rejected::Signature);
        }
        let epoch = self.epochs.get_mut(&data.kid).ok_or(Rejected::OutOfPlace)?;
        if epoch.signer != data.signer || !self.trust.is_on_its_topic(topic, &epoch.claims) {
            return Err(Rejected::ForeignSigner);
        }
        let body = epoch.open_record(&data)?;
        match lingate_seal::parse_body(&body)? {
            wire::sealed::Message::Catalogue(catalogue) => epoch.set_catalogue(&body, catalogue).map(|()| None),
            wire::sealed::Message::Batch(batch) => opened(topic, &data, epoch, &batch).map(Some),
            _ => Ok(None),
        }
    }
}

fn opened(
    topic: &Topic,
    data: &DataMessage<'_>,
    epoch: &OpenEpoch,
    batch: &wire::Batch,
) -> Result<OpenedBatch, Rejected> {
    let catalogue = epoch.catalogue.as_ref().ok_or(Rejected::OutOfPlace)?;
    let readings = lingate_seal::decode_batch(batch, catalogue)?;
    let readings = readings.into_iter().map(|reading| OpenedReading {
        point: epoch.names[reading.alias as usize].clone(),
        time: UtcMicros(reading.time_us),
        source_time: reading.source_time,
        server_time: reading.server_time,
        origin: reading.origin,
        value: reading.value,
        status: reading.status,
    });
    let (gateway, dataset): (Arc<str>, Arc<str>) =
        (topic.gateway.as_str().into(), epoch.claims.subject.as_str().into());
    Ok(OpenedBatch { gateway, dataset, kid: data.kid, seq: data.seq, readings: readings.collect() })
}
