//! One message after the other, in the order that wire.md section 4 gives: signature, known kid, same signer, new
//! sequence number, decrypt, parse. What was decided is in the store before anybody is told.

mod content;

use std::collections::{BTreeMap, BTreeSet};

use lingate_model::UtcMicros;
use lingate_seal::{BatchRefused, DataMessage, KeyMessage, Kid, MessageRefused, PlaintextRefused, RecordKind, wire};

use crate::epoch::OpenEpoch;
use crate::keys::sha256;
use crate::merkle;
use crate::opened::Event;
use crate::store::{Alarm, NewRecord, StoreError, bounded};
use crate::topic::{Channel, Topic};
use crate::{Rejected, Store, Trust};
use content::Content;

/// Sequence numbers stay below this (wire.md section 2).
const SEQ_END: u64 = 1 << 20;
/// Messages and bytes of one gateway that may wait for a KEY or a catalogue.
const HELD_MESSAGES_MAX: i64 = 4096;
const HELD_BYTES_MAX: i64 = 64 << 20;
/// Open epochs in memory; others are opened again when they are needed.
const EPOCHS_CACHED: usize = 256;
/// Times that a bunch is begun again because another receiver was in its way.
const CONFLICTS_MAX: u32 = 10;

/// A message as the broker gave it.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub topic: String,
    pub payload: Vec<u8>,
}

/// The receiver's decisions. Not a network in sight.
pub struct Intake {
    trust: Trust,
    store: Store,
    epochs: BTreeMap<Kid, OpenEpoch>,
    order: Order,
}

/// Whether records arrive here in the order in which they were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Kept,
    /// Several receivers share the stream.
    Shared,
}

/// What happened to one message.
enum Taken {
    Nothing,
    Event(Event),
    /// Its KEY or catalogue came: what waited for this epoch can go on.
    Unblocked(Kid),
}

enum Refusal {
    Message(Rejected),
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Store(error)
    }
}

macro_rules! refusals {
    ($($error:ty),*) => {$(
        impl From<$error> for Refusal {
            fn from(error: $error) -> Refusal {
                Refusal::Message(error.into())
            }
        }
    )*};
}

refusals!(Rejected, MessageRefused, PlaintextRefused, BatchRefused);

impl Intake {
    pub fn new(trust: Trust, store: Store) -> Intake {
        Intake { trust, store, epochs: BTreeMap::new(), order: Order::Kept }
    }

    /// One of a group of receivers with one store.
    pub fn shared(trust: Trust, store: Store) -> Intake {
        Intake { order: Order::Shared, ..Intake::new(trust, store) }
    }

    /// Gateways that were enrolled and policies that were changed since.
    pub fn set_trust(&mut self, trust: Trust) {
        self.trust = trust;
        self.epochs.clear();
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Takes a bunch of messages in one transaction. After `Ok` all of it is durable and may be acknowledged; after
    /// `Err` nothing of it happened.
    pub fn take(&mut self, arrivals: &[Arrival], utc: UtcMicros) -> Result<Vec<Event>, StoreError> {
        let kids = arrivals.iter().filter_map(|arrival| claimed(&arrival.payload)).map(|(kid, _)| kid).collect();
        for _ in 0..CONFLICTS_MAX {
            match self.take_once(arrivals, &kids, utc) {
                Err(error) if error.is_conflict() => {}
                done => return done,
            }
        }
        self.take_once(arrivals, &kids, utc)
    }

    fn take_once(
        &mut self,
        arrivals: &[Arrival],
        kids: &BTreeSet<Kid>,
        utc: UtcMicros,
    ) -> Result<Vec<Event>, StoreError> {
        let Intake { trust, store, epochs, order } = self;
        let done = store.bunch(kids, |store| {
            let mut desk = Desk { trust, store, epochs, order: *order, utc, events: Vec::new() };
            for arrival in arrivals {
                desk.take(&arrival.topic, &arrival.payload)?;
            }
            Ok(desk.events)
        });
        if done.is_err() {
            // The cache may know more than the store now does.
            self.epochs.clear();
        }
        done
    }
}

/// The work inside of one transaction.
struct Desk<'a> {
    trust: &'a Trust,
    store: &'a Store,
    epochs: &'a mut BTreeMap<Kid, OpenEpoch>,
    order: Order,
    utc: UtcMicros,
    events: Vec<Event>,
}

impl Desk<'_> {
    fn take(&mut self, topic: &str, payload: &[u8]) -> Result<(), StoreError> {
        let Some(kid) = self.take_one(topic, payload)? else { return Ok(()) };
        self.release(kid)
    }

    /// Gives the epoch that became readable by it.
    fn take_one(&mut self, topic: &str, payload: &[u8]) -> Result<Option<Kid>, StoreError> {
        let taken = match Topic::parse(topic) {
            None => Err(Refusal::Message(Rejected::Topic)),
            Some(parsed) if parsed.channel == Channel::Key => self.take_key(&parsed, payload),
            Some(parsed) => self.take_data(&parsed, topic, payload),
        };
        match taken {
            Ok(Taken::Nothing) => {}
            Ok(Taken::Event(event)) => self.events.push(event),
            Ok(Taken::Unblocked(kid)) => return Ok(Some(kid)),
            Err(Refusal::Message(rejected)) => self.reject(topic, claimed(payload), rejected)?,
            Err(Refusal::Store(error)) => return Err(error),
        }
        Ok(None)
    }

    /// What waited for the epoch, until the catalogue is there; what still has to wait is held again.
    fn release(&mut self, kid: Kid) -> Result<(), StoreError> {
        let mut unblocked = true;
        while std::mem::take(&mut unblocked) {
            for (topic, payload) in self.store.take_held(kid)? {
                unblocked |= self.take_one(&topic, &payload)?.is_some();
            }
        }
        Ok(())
    }

    fn take_key(&mut self, topic: &Topic, payload: &[u8]) -> Result<Taken, Refusal> {
        let key = KeyMessage::parse(payload)?;
        if !key.is_signed_by_key(&self.trust.signer(key.signer, topic)?.key) {
            return Err(Rejected::Signature.into());
        }
        let kid = key.kid();
        if let Some(known) = self.store.key_message(kid)? {
            // A retained KEY comes again with every new subscription.
            return if known == payload { Ok(Taken::Nothing) } else { Err(Rejected::SecondKey.into()) };
        }
        let checked = self.trust.check_claims(topic, &key.claims);
        let epoch = match checked.and_then(|()| OpenEpoch::open(&key, &self.trust.keys)) {
            Ok(epoch) => epoch,
            Err(refused) => {
                self.store.refuse_epoch(kid, topic, &refused)?;
                let waited = self.store.take_held(kid)?.len();
                self.store.reject(&Rejected::RefusedEpoch, waited, self.utc)?;
                return Err(refused.into());
            }
        };
        if self.store.goes_back(topic, &key.claims)? {
            // What it brings is genuine and is taken.
            self.alarm(&topic.name(), Some((kid, 0)), Rejected::WentBack)?;
        }
        self.store.add_epoch(topic, &key, payload)?;
        self.cache(epoch);
        Ok(Taken::Unblocked(kid))
    }

    fn take_data(&mut self, topic: &Topic, name: &str, payload: &[u8]) -> Result<Taken, Refusal> {
        let data = DataMessage::parse(payload)?;
        if !data.is_signed_by_key(&self.trust.signer(data.signer, topic)?.key) {
            return Err(Rejected::Signature.into());
        }
        if !self.load(data.kid)? {
            return self.hold(&data, topic, name, payload);
        }
        let epoch = &self.epochs[&data.kid];
        if epoch.signer != data.signer {
            return Err(Rejected::ForeignSigner.into());
        }
        if !self.trust.is_on_its_topic(topic, &epoch.claims) {
            return Err(Rejected::Dataset.into());
        }
        if data.seq >= SEQ_END {
            return Err(Rejected::OutOfPlace.into());
        }
        let (digest, seq) = (sha256(payload), bounded(data.seq));
        match self.store.digest(data.kid, seq)? {
            Some(known) if known == digest => self.duplicate(&data),
            Some(_) => Err(Rejected::Clone.into()),
            None if epoch.catalogue.is_none() && data.seq > 1 => self.hold(&data, topic, name, payload),
            None => self.take_new(topic, &data, &digest, payload),
        }
    }

    fn duplicate(&self, data: &DataMessage<'_>) -> Result<Taken, Refusal> {
        self.store.add_duplicate(data.kid)?;
        let dataset = self.epochs[&data.kid].claims.subject.as_str().into();
        Ok(Taken::Event(Event::Duplicate { dataset, kid: data.kid, seq: data.seq }))
    }

    fn take_new(
        &mut self,
        topic: &Topic,
        data: &DataMessage<'_>,
        digest: &[u8; 32],
        payload: &[u8],
    ) -> Result<Taken, Refusal> {
        let epoch = self.epochs.get_mut(&data.kid).expect("loaded before");
        let body = epoch.open_record(data)?;
        let message = lingate_seal::parse_body(&body)?;
        let (kid, seq) = (data.kid, bounded(data.seq));
        let state = self.store.epoch_state(kid)?;
        if state.close.as_ref().is_some_and(|close| seq > close.seq) {
            return Err(Rejected::Close.into());
        }
        let kind = kind_at(data.seq, &message).ok_or(Rejected::OutOfPlace)?;
        let arrival = self.utc;
        // Checks of content come first, because a rejected record must leave no trace but its count.
        let content = Content { topic, kid, seq: data.seq, body: &body };
        let taken = content.write(self.store, epoch, message, || {
            let is_new = self.store.add_record(&NewRecord { kid, seq, kind, digest, message: payload, arrival })?;
            if is_new { Ok(()) } else { Err(StoreError::Raced) }
        })?;
        let is_late = state.max_seq.is_some_and(|max| seq < max) || state.is_overtaken;
        if is_late && self.order == Order::Kept {
            self.store.add_order_violation(kid)?;
        }
        if !self.close_agrees(kid)? {
            self.reject(&topic.name(), Some((kid, data.seq)), Rejected::Close)?;
        }
        Ok(taken)
    }

    /// When the last missing record of a closed epoch has come, its count and its root can be checked.
    fn close_agrees(&self, kid: Kid) -> Result<bool, StoreError> {
        let state = self.store.epoch_state(kid)?;
        let Some(close) = state.close.filter(|close| state.records == close.seq + 1) else { return Ok(true) };
        let root = merkle::root(&self.store.digests(kid, close.seq)?);
        let is_right = close.root == root && close.readings == state.readings;
        self.store.set_root_state(kid, is_right)?;
        Ok(is_right)
    }

    fn hold(&self, data: &DataMessage<'_>, topic: &Topic, name: &str, payload: &[u8]) -> Result<Taken, Refusal> {
        if self.store.refused_epoch(data.kid)? {
            return Err(Rejected::RefusedEpoch.into());
        }
        let (messages, bytes) = self.store.held_of(topic.gateway.as_str())?;
        if messages >= HELD_MESSAGES_MAX || bytes + bounded(payload.len() as u64) > HELD_BYTES_MAX {
            return Err(Rejected::HoldFull.into());
        }
        self.store.hold(data.kid, topic.gateway.as_str(), name, payload)?;
        Ok(Taken::Nothing)
    }

    /// Whether the epoch is open: in memory, or opened again from its KEY in the store. Another receiver may have
    /// stored KEY or catalogue.
    fn load(&mut self, kid: Kid) -> Result<bool, Refusal> {
        if !self.epochs.contains_key(&kid) {
            let Some(bytes) = self.store.key_message(kid)? else { return Ok(false) };
            let epoch = OpenEpoch::open(&KeyMessage::parse(&bytes)?, &self.trust.keys)?;
            self.cache(epoch);
        }
        let epoch = self.epochs.get_mut(&kid).expect("cached above");
        if epoch.catalogue.is_none()
            && let Some(body) = self.store.catalogue(kid)?
            && let wire::sealed::Message::Catalogue(catalogue) = lingate_seal::parse_body(&body)?
        {
            epoch.set_catalogue(&body, catalogue)?;
        }
        Ok(true)
    }

    fn cache(&mut self, epoch: OpenEpoch) {
        if self.epochs.len() >= EPOCHS_CACHED {
            self.epochs.clear();
        }
        self.epochs.insert(epoch.kid, epoch);
    }

    fn reject(&mut self, topic: &str, record: Option<(Kid, u64)>, rejected: Rejected) -> Result<(), StoreError> {
        self.store.reject(&rejected, 1, self.utc)?;
        if rejected.is_alarm() { self.alarm(topic, record, rejected) } else { Ok(()) }
    }

    fn alarm(&mut self, topic: &str, record: Option<(Kid, u64)>, rejected: Rejected) -> Result<(), StoreError> {
        let (kid, seq) = record.unzip();
        let alarm = Alarm { topic: topic.to_owned(), kid, seq, rejected };
        self.store.alarm(&alarm, self.utc)?;
        self.events.push(Event::Alarm(alarm));
        Ok(())
    }
}

/// What a rejected message says that it is, for the alarm.
pub(crate) fn claimed(payload: &[u8]) -> Option<(Kid, u64)> {
    match DataMessage::parse(payload) {
        Ok(data) => Some((data.kid, data.seq)),
        Err(_) => Some((KeyMessage::parse(payload).ok()?.kid(), 0)),
    }
}

/// The kind of a message, if its sequence number is one where it may stand: catalogue first, lineage second.
fn kind_at(seq: u64, message: &wire::sealed::Message) -> Option<RecordKind> {
    use wire::sealed::Message;
    match (seq, message) {
        (0, Message::Catalogue(_)) => Some(RecordKind::Catalogue),
        (1, Message::Lineage(_)) => Some(RecordKind::Lineage),
        (2.., Message::Batch(_)) => Some(RecordKind::Batch),
        (2.., Message::Gap(_)) => Some(RecordKind::Gap),
        (2.., Message::Close(_)) => Some(RecordKind::EpochClose),
        _ => None,
    }
}
