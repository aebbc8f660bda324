//! What must hold after every step, whatever the world does. Each method is told of one arrow of the line and gives the
//! law that was broken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lingate_engine::{Accepted, LinkLimits, PublishId};
use lingate_seal::{DataMessage, KeyMessage, Kid, RecordKind, Sealed};

/// A record's name: KEYs apart from DATA, which share sequence number 0.
type Name = (Kid, Option<u64>);
type Broken = Result<(), String>;

#[derive(Default)]
pub struct Laws {
    window: usize,
    limits: Option<LinkLimits>,
    in_flight: BTreeMap<PublishId, Name>,
    used_ids: BTreeSet<PublishId>,
    /// DATA that was told as accepted, by any process.
    accepted: BTreeSet<(Kid, u64)>,
    pub accepted_readings: u64,
    /// The next sequence number of an epoch, as far as it was accepted.
    next_seq: BTreeMap<Kid, u64>,
    /// DATA and KEYs that were on disk when this process began.
    recovered: BTreeSet<Name>,
    /// The disk failed or was full in this process: a KEY may be durable without the DATA behind it.
    pub keys_may_stand_alone: bool,
    acknowledged_keys: BTreeSet<Kid>,
    refused: BTreeSet<Name>,
    bytes: BTreeMap<Name, Arc<[u8]>>,
    /// By topic: epochs in the order of their KEYs' first arrival.
    epochs: BTreeMap<String, Vec<Kid>>,
    received: BTreeSet<Name>,
    newest: BTreeMap<String, (usize, u64)>,
    /// Streams whose epochs may overtake one another: their order holds in each epoch.
    pub live_first: BTreeSet<String>,
    pub published: u64,
    pub acknowledged: u64,
}

impl Laws {
    pub(crate) fn new(window: usize) -> Laws {
        Laws { window, ..Laws::default() }
    }

    pub(crate) fn process_began(&mut self, waiting: impl Iterator<Item = Sealed>) {
        self.link_down();
        self.used_ids.clear();
        self.keys_may_stand_alone = false;
        self.recovered = waiting.map(|sealed| name(&sealed)).collect();
    }

    pub(crate) fn link_up(&mut self, limits: LinkLimits) {
        self.limits = Some(limits);
    }

    pub(crate) fn link_down(&mut self) {
        self.limits = None;
        self.in_flight.clear();
    }

    pub(crate) fn accepted(&mut self, accepted: &Accepted) -> Broken {
        self.accepted_readings += accepted.readings;
        for (kid, seq) in &accepted.records {
            ensure(self.accepted.insert((*kid, *seq)), || format!("{kid}/{seq} was accepted twice"))?;
            let next = self.next_seq.entry(*kid).or_default();
            ensure(*seq >= *next, || format!("{kid}/{seq} was accepted after {next}"))?;
            *next = seq + 1;
        }
        Ok(())
    }

    pub(crate) fn published(&mut self, id: PublishId, sealed: &Sealed) -> Broken {
        let name = name(sealed);
        self.published += 1;
        ensure(self.used_ids.insert(id), || format!("{id:?} was used twice"))?;
        let limits = self.limits.ok_or("something is published without a link")?;
        ensure(!self.in_flight.values().any(|other| *other == name), || format!("{name:?} is in flight twice"))?;
        self.in_flight.insert(id, name);
        let room = self.window.min(usize::from(limits.in_flight));
        ensure(self.in_flight.len() <= room, || format!("{} in flight, the window is {room}", self.in_flight.len()))?;
        ensure(sealed.bytes().len() < limits.packet_bytes as usize, || "larger than the packet limit".to_owned())?;
        let known = self.bytes.entry(name).or_insert_with(|| sealed.shared_bytes());
        ensure(**known == *sealed.bytes(), || format!("{name:?} has other bytes than before"))?;
        self.is_durable(name)?;
        let opens = name.1.is_none() || self.acknowledged_keys.contains(&name.0);
        ensure(opens, || format!("{name:?} was published before its KEY was acknowledged"))
    }

    /// A KEY is not named when it is accepted: it is durable if the first DATA behind it is.
    fn is_durable(&self, (kid, seq): Name) -> Broken {
        let is_accepted =
            self.accepted.contains(&(kid, seq.unwrap_or(0))) || (seq.is_none() && self.keys_may_stand_alone);
        let holds = is_accepted || self.recovered.contains(&(kid, seq));
        ensure(holds, || format!("{kid}/{seq:?} was published before it was accepted"))
    }

    pub(crate) fn acknowledged(&mut self, id: PublishId) {
        let Some((kid, seq)) = self.in_flight.remove(&id) else { return };
        self.acknowledged += 1;
        if seq.is_none() {
            self.acknowledged_keys.insert(kid);
        }
    }

    /// The broker did not take it; the engine will hear of it, unless the link is lost before.
    pub(crate) fn refused(&mut self, id: PublishId) {
        self.refused.extend(self.in_flight.get(&id));
    }

    pub(crate) fn refusal_arrived(&mut self, id: PublishId) {
        self.in_flight.remove(&id);
    }

    /// First arrivals of a stream increase in (epoch, seq). A record that was refused, or too large for a connection,
    /// comes when the broker lets it; what was already on its way is not called back.
    pub(crate) fn arrived(&mut self, topic: &str, payload: &[u8], packet_limit: u32) -> Broken {
        let alias = topic.rsplit('/').next().unwrap_or_default().to_owned();
        if let Ok(key) = KeyMessage::parse(payload) {
            if self.received.insert((key.kid(), None)) {
                self.epochs.entry(alias).or_default().push(key.kid());
            }
            return Ok(());
        }
        let data = DataMessage::parse(payload).map_err(|error| format!("neither KEY nor DATA: {error}"))?;
        let name = (data.kid, Some(data.seq));
        if !self.received.insert(name) {
            return Ok(());
        }
        let epoch = self.epochs.get(&alias).and_then(|epochs| epochs.iter().position(|kid| *kid == data.kid));
        let epoch = epoch.ok_or_else(|| format!("{name:?} arrived without its KEY"))?;
        let alias = if self.live_first.contains(&alias) { format!("{alias} {}", data.kid) } else { alias };
        let newest = self.newest.get(&alias).copied();
        let may_be_late = self.refused.contains(&name) || payload.len() + 100 > packet_limit as usize;
        ensure(newest.is_none_or(|newest| newest < (epoch, data.seq)) || may_be_late, || {
            format!("{name:?} arrived out of order")
        })?;
        self.newest.insert(alias, newest.max(Some((epoch, data.seq))).expect("one is given"));
        Ok(())
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Accepted records that neither arrived nor are covered by `is_declared`.
    pub fn missing(&self, is_declared: impl Fn(Kid, u64) -> bool) -> Vec<(Kid, u64)> {
        let is_missing =
            |(kid, seq): &&(Kid, u64)| !self.received.contains(&(*kid, Some(*seq))) && !is_declared(*kid, *seq);
        self.accepted.iter().filter(is_missing).copied().collect()
    }

    /// Epochs of which something was accepted.
    pub fn accepted_epochs(&self) -> BTreeSet<Kid> {
        self.accepted.iter().map(|(kid, _)| *kid).collect()
    }

    /// The first sequence number of an epoch that did not arrive.
    pub fn received_below(&self, kid: Kid) -> u64 {
        (0..).find(|seq| !self.received.contains(&(kid, Some(*seq)))).expect("an epoch ends")
    }

    pub fn accepted_records(&self) -> usize {
        self.accepted.len()
    }

    /// DATA that arrived, each once.
    pub fn received_records(&self) -> usize {
        self.received.iter().filter(|(_, seq)| seq.is_some()).count()
    }

    /// Epochs of a dataset's topic whose KEY arrived, in order.
    pub fn epochs(&self, alias: &str) -> &[Kid] {
        self.epochs.get(alias).map_or(&[], Vec::as_slice)
    }
}

fn name(sealed: &Sealed) -> Name {
    (sealed.kid(), (sealed.kind() != RecordKind::Key).then_some(sealed.seq()))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Broken {
    if holds { Ok(()) } else { Err(otherwise()) }
}
