//! Delivery: a window of records in flight, each known by the id of its publish attempt.
//!
//! ```text
//!            fill                    acknowledged
//!  stored ─────────▶ in flight ─────────────────────▶ freed
//!                      │   ▲
//!              refused ▼   │ pause over          (held.rs)
//!                     waiting          link down: both are forgotten, the buffer hands everything out again
//! ```
//!
//! A KEY and a catalogue each hold back their class until they are acknowledged: no receiver sees DATA before what opens
//! and explains it, and an epoch that loses one of them on disk has nothing that arrived and cannot be understood.
//!
//! A connection carries one record until the broker has taken one: while its receivers subscribe again, it throws away what
//! comes, and a whole window of which it took the second half would arrive out of order.
//!
//! What was stored before the link came up is backlog, everything else is live; share.rs says whose turn it is. A stream
//! that is live-first sends the epochs that began since then without waiting for its backlog.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use lingate_buffer::{Disk, RecordId};
use lingate_model::{DatasetAlias, GatewayId, Priority, TenantId};
use lingate_seal::{Kid, RecordKind, Sealed};

use crate::held::{HeldStreams, Verdict, Why, unread};
use crate::receipts::Receipts;
use crate::share::{Flow, Replay, Share};
use crate::status::LinkStatus;
use crate::store::Store;
use crate::{Level, LinkLimits, LinkLoss, Notice, Output, PublishId, ReasonCode, Topic};

/// MQTT fixed header, packet id, property length and topic length around topic and payload.
const PACKET_OVERHEAD: usize = 16;
const PACKET_TOO_LARGE: ReasonCode = ReasonCode(0x95);
/// So many records of streams that wait are gone over at a time, and the pause behind them.
const PASSED_MAX: usize = 512;
const PASS_PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Deliver {
    topics: String,
    window: usize,
    link: Option<LinkLimits>,
    /// The broker has taken a record on this connection.
    has_taken: bool,
    /// Nothing is sent while nobody knows what the plant's veto says.
    pub(crate) is_suspended: bool,
    in_flight: BTreeMap<PublishId, Record>,
    held: HeldStreams,
    /// Records of the quarantine that are to be tried once more.
    retries: VecDeque<RecordId>,
    /// All of those that were asked for, until they are freed or refused once more.
    asked: BTreeSet<RecordId>,
    /// Topics to which nobody subscribes.
    unread: BTreeMap<DatasetAlias, String>,
    share: Share,
    /// By priority class: what is at or behind this position is live.
    boundary: [u64; Priority::ALL.len()],
    /// The link came up with a backlog that is worth passing.
    pub(crate) passes_backlog: bool,
    pub(crate) live_first: BTreeSet<DatasetAlias>,
    /// Epochs whose KEY went out ahead of the backlog, on this connection.
    live_epochs: BTreeSet<Kid>,
    /// Records of streams that wait are gone over again at this monotonic time.
    passes_at: Option<Duration>,
    next_id: u64,
    pub(crate) receipts: Receipts,
    pub(crate) status: LinkStatus,
}

pub(crate) struct Record {
    pub(crate) record: RecordId,
    pub(crate) sealed: Sealed,
    pub(crate) attempt: Attempt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    First,
    /// It was refused before, and its stream waits for it.
    Head,
    /// From behind a refused record, to see whether it is the record or the stream.
    Probe,
    /// Out of the quarantine, because a person said so.
    Retry,
}

/// What a refusal leads to.
#[derive(Default)]
pub(crate) struct Refused {
    pub(crate) notice: Option<Notice>,
    pub(crate) put_back: Option<RecordId>,
    pub(crate) poison: Option<(Record, ReasonCode)>,
}

impl Deliver {
    pub(crate) fn new(tenant: &TenantId, gateway: &GatewayId, window: usize, replay: Replay) -> Deliver {
        Deliver {
            topics: format!("lingate/1/{tenant}/{gateway}"),
            window,
            link: None,
            has_taken: false,
            is_suspended: false,
            in_flight: BTreeMap::new(),
            held: HeldStreams::default(),
            retries: VecDeque::new(),
            asked: BTreeSet::new(),
            unread: BTreeMap::new(),
            share: Share::new(replay),
            boundary: [0; Priority::ALL.len()],
            passes_backlog: false,
            live_first: BTreeSet::new(),
            live_epochs: BTreeSet::new(),
            passes_at: None,
            next_id: 0,
            receipts: Receipts::default(),
            status: LinkStatus { reason: Some("not connected yet".to_owned()), ..LinkStatus::default() },
        }
    }

    pub(crate) fn set_replay(&mut self, replay: Replay) {
        self.share.set_replay(replay);
    }

    /// `ends`: where each class ends; what is before is backlog. True if the link was up already: the caller rewinds the
    /// store.
    pub(crate) fn link_up(&mut self, limits: LinkLimits, ends: [u64; Priority::ALL.len()]) -> bool {
        let was_up = self.link.replace(limits).is_some();
        self.forget();
        self.receipts.begin();
        self.boundary = ends;
        self.status.connects += 1;
        self.status.reason = None;
        was_up
    }

    /// The caller rewinds the store: what was not acknowledged is handed out again.
    pub(crate) fn link_down(&mut self, loss: LinkLoss) {
        self.link = None;
        self.forget();
        self.unread.clear();
        self.status.reason = Some(loss.0);
    }

    fn forget(&mut self) {
        self.has_taken = false;
        self.held.forget(&self.in_flight);
        self.in_flight.clear();
        self.live_epochs.clear();
        self.receipts.forget();
        self.ask_again();
    }

    /// What was asked for and is not under way; what the quarantine holds is in no rewind.
    pub(crate) fn ask_again(&mut self) {
        self.retries = self.asked.iter().copied().collect();
    }

    /// Their bytes are destroyed: nothing of them is sent again, and no answer frees them.
    pub(crate) fn drop_those_of(&mut self, is_meant: &dyn Fn(&DatasetAlias) -> bool) {
        self.in_flight.retain(|_, record| !is_meant(record.sealed.alias()));
        self.held.drop_those_of(is_meant);
        self.receipts.drop_those_of(is_meant);
        self.unread.retain(|alias, _| !is_meant(alias));
        self.ask_again();
    }

    /// For a seeded defect.
    pub(crate) fn under_way(&self) -> Vec<RecordId> {
        self.in_flight.values().map(|record| record.record).collect()
    }

    /// Those of the quarantine that a person wants to be tried once more.
    pub(crate) fn retry_quarantined(&mut self, records: impl IntoIterator<Item = RecordId>) {
        self.status.retries_asked += 1;
        self.retries.extend(records.into_iter().filter(|record| self.asked.insert(*record)));
    }

    /// Freed: nobody has to ask for it again.
    pub(crate) fn freed(&mut self, record: RecordId) {
        self.asked.remove(&record);
    }

    pub(crate) fn is_unread(&self, alias: &DatasetAlias) -> bool {
        self.unread.contains_key(alias)
    }

    /// Sends while the window has room: what was refused and may be tried again, then live data and backlog in their
    /// shares, each by priority.
    pub(crate) fn fill<D: Disk>(&mut self, monotonic: Duration, store: &mut Store<D>, outputs: &mut VecDeque<Output>) {
        store.resume(monotonic);
        let Some(limits) = self.link else { return };
        self.share.refill(monotonic);
        self.passes_at = None;
        if self.held.take_rewind() {
            store.rewind();
        }
        // One that is too large for this connection takes no room: another may go.
        while self.room(limits) > 0
            && let Some(record) = self.held.due(monotonic)
        {
            self.send(monotonic, limits, record, store, outputs);
        }
        self.send_retries(monotonic, limits, store, outputs);
        let mut passed = 0;
        while self.room(limits) > 0 && passed < PASSED_MAX {
            let next = self.share.turns().into_iter().find_map(|flow| self.next(flow, monotonic, store, outputs));
            let Some((flow, record)) = next else { return };
            if self.held.holds(record.sealed.alias()) {
                passed += 1;
                self.held.pass(record).iter().for_each(|record| store.put_back(*record));
                continue;
            }
            self.share.sent(flow, record.sealed.bytes().len());
            self.send(monotonic, limits, record, store, outputs);
        }
        self.passes_at = (passed >= PASSED_MAX).then(|| monotonic + PASS_PAUSE);
    }

    fn send_retries<D: Disk>(
        &mut self,
        monotonic: Duration,
        limits: LinkLimits,
        store: &mut Store<D>,
        outputs: &mut VecDeque<Output>,
    ) {
        while self.room(limits) > 0
            && let Some(record) = self.retries.pop_front()
        {
            if self.is_under_way(record) {
                continue;
            }
            match store.read_quarantined(monotonic, record) {
                Ok(Some(sealed)) => {
                    self.send(monotonic, limits, Record { record, sealed, attempt: Attempt::Retry }, store, outputs);
                }
                Ok(None) => self.freed(record),
                Err(notice) => {
                    self.retries.push_front(record);
                    return outputs.extend(notice.map(Output::Notice));
                }
            }
        }
    }

    /// The next record of a flow, the highest class first.
    fn next<D: Disk>(
        &mut self,
        flow: Flow,
        monotonic: Duration,
        store: &mut Store<D>,
        outputs: &mut VecDeque<Output>,
    ) -> Option<(Flow, Record)> {
        if flow == Flow::Backlog && !self.share.allows_backlog() {
            return None;
        }
        for (priority, boundary) in Priority::ALL.into_iter().zip(self.boundary) {
            while !self.is_held(priority) {
                let is_backlog = store.next_position(priority) < boundary;
                let next = match flow {
                    Flow::Live if is_backlog && self.live_first.is_empty() => break,
                    Flow::Live if is_backlog => {
                        let Deliver { live_first, live_epochs, .. } = self;
                        let is_meant = |alias: &DatasetAlias, kid: Kid, kind: RecordKind| {
                            live_first.contains(alias) && (kind == RecordKind::Key || live_epochs.contains(&kid))
                        };
                        store.next_ahead(monotonic, priority, boundary, &is_meant)
                    }
                    Flow::Backlog if !is_backlog => break,
                    Flow::Live | Flow::Backlog => store.next(monotonic, priority),
                };
                match next {
                    // Handed out again, and still on its way.
                    Ok(Some((record, _))) if self.is_under_way(record) => {}
                    Ok(Some((record, sealed))) => {
                        if flow == Flow::Live && is_backlog {
                            self.live_epochs.insert(sealed.kid());
                        }
                        return Some((flow, Record { record, sealed, attempt: Attempt::First }));
                    }
                    Ok(None) => break,
                    Err(notice) => {
                        outputs.extend(notice.map(Output::Notice));
                        break;
                    }
                }
            }
        }
        None
    }

    fn is_under_way(&self, record: RecordId) -> bool {
        let in_flight = || self.in_flight.values().any(|it| it.record == record);
        self.held.waits(record) || self.receipts.awaits(record) || in_flight()
    }

    fn room(&self, limits: LinkLimits) -> usize {
        let window = if self.has_taken { self.window.min(usize::from(limits.in_flight)) } else { 1 };
        if self.receipts.has_room() && !self.is_suspended { window.saturating_sub(self.in_flight.len()) } else { 0 }
    }

    fn is_held(&self, priority: Priority) -> bool {
        let opens = |it: &Record| matches!(it.sealed.kind(), RecordKind::Key | RecordKind::Catalogue);
        self.in_flight.values().any(|it| it.record.priority == priority && opens(it))
    }

    fn send<D: Disk>(
        &mut self,
        monotonic: Duration,
        limits: LinkLimits,
        record: Record,
        store: &mut Store<D>,
        outputs: &mut VecDeque<Output>,
    ) {
        let topic = self.topic(&record.sealed);
        let packet = record.sealed.bytes().len() + topic.name.len() + PACKET_OVERHEAD;
        if packet > limits.packet_bytes as usize {
            let refused = self.set_aside(monotonic, record, PACKET_TOO_LARGE);
            outputs.extend(refused.notice.map(Output::Notice));
            refused.put_back.iter().for_each(|record| store.put_back(*record));
            if let Some((record, reason)) = refused.poison {
                outputs.extend(self.quarantine(store, &record, reason).map(Output::Notice));
            }
            return;
        }
        let id = PublishId(self.next_id);
        self.next_id += 1;
        self.status.published_bytes += record.sealed.bytes().len() as u64;
        outputs.push_back(Output::Publish { id, topic, sealed: record.sealed.clone() });
        self.in_flight.insert(id, record);
    }

    fn topic(&self, sealed: &Sealed) -> Topic {
        let retained = sealed.kind() == RecordKind::Key;
        let letter = if retained { 'k' } else { 'd' };
        Topic { name: format!("{}/{letter}/{}", self.topics, sealed.alias()), retained }
    }

    /// `None` for an attempt of an earlier connection: its record is being sent again, and this answer is not its own.
    pub(crate) fn acknowledged(&mut self, id: PublishId) -> Option<Record> {
        self.has_taken = true;
        let record = self.in_flight.remove(&id)?;
        if self.unread.get(record.sealed.alias()).is_some_and(|topic| *topic == self.topic(&record.sealed).name) {
            self.unread.remove(record.sealed.alias());
        }
        self.held.taken(&record);
        Some(record)
    }

    pub(crate) fn refused(&mut self, monotonic: Duration, id: PublishId, reason: ReasonCode) -> Refused {
        let Some(record) = self.in_flight.remove(&id) else { return Refused::default() };
        self.set_aside(monotonic, record, reason)
    }

    fn set_aside(&mut self, monotonic: Duration, record: Record, reason: ReasonCode) -> Refused {
        let topic = self.topic(&record.sealed).name;
        if reason == ReasonCode::NO_SUBSCRIBER {
            return self.keep_unread(monotonic, record, topic);
        }
        self.status.refused += 1;
        if record.attempt == Attempt::Retry {
            self.freed(record.record);
            let text = format!("the broker refuses quarantined record {} on {topic} again: {reason}", record.record);
            return Refused { notice: Some(Notice { level: Level::Warning, text }), ..Refused::default() };
        }
        let text = format!(
            "the broker refuses records on {topic}: {reason}; they stay on disk and are tried again. Check the broker's \
             access rules, quota and packet size for this gateway"
        );
        let is_news = self.status.last_refusal.as_ref() != Some(&text);
        self.status.last_refusal = Some(text.clone());
        let mut refused =
            Refused { notice: is_news.then_some(Notice { level: Level::Error, text }), ..Refused::default() };
        match self.held.refused(monotonic, record, Why::Refused) {
            Verdict::Waits => {}
            Verdict::PutBack(record) => refused.put_back = Some(record),
            Verdict::Poison(record) => refused.poison = Some((record, reason)),
        }
        refused
    }

    /// The broker has thrown it away, or holds it for nobody: that is no delivery.
    fn keep_unread(&mut self, monotonic: Duration, record: Record, topic: String) -> Refused {
        let mut refused = Refused::default();
        let undelivered = unread(&topic);
        let is_news = self.unread.is_empty();
        self.unread.insert(record.sealed.alias().clone(), topic);
        if record.attempt == Attempt::Retry {
            self.freed(record.record);
            let text = format!("quarantined record {} stays there: {undelivered}; retry it later", record.record);
            return Refused { notice: Some(Notice { level: Level::Warning, text }), ..refused };
        }
        if let Verdict::PutBack(record) = self.held.refused(monotonic, record, Why::Unread) {
            refused.put_back = Some(record);
        }
        let text = format!("{undelivered}; it stays on disk and is sent again every few seconds");
        refused.notice = is_news.then_some(Notice { level: Level::Warning, text });
        refused
    }

    /// The record counts as lost from here on, and its stream goes on.
    pub(crate) fn quarantine<D: Disk>(
        &mut self,
        store: &mut Store<D>,
        record: &Record,
        reason: ReasonCode,
    ) -> Option<Notice> {
        let (id, topic) = (record.record, self.topic(&record.sealed).name);
        match store.quarantine(id, reason.0) {
            Ok(()) => {
                self.status.quarantined += 1;
                let text = format!(
                    "record {id} on {topic} is set aside and declared: the broker takes others and refused it many times \
                     ({reason}). See `lingate buffer quarantine list`"
                );
                store.rewind();
                Some(Notice { level: Level::Error, text })
            }
            Err(notice) => {
                store.rewind();
                notice
            }
        }
    }

    pub(crate) fn wake_at(&self) -> Option<Duration> {
        let limits = self.link?;
        // With a full window it is an answer that makes the next thing possible.
        let has_room = self.room(limits) > 0;
        let sends = [self.held.wake_at(), self.passes_at, self.share.allows_backlog_at()];
        sends.into_iter().flatten().filter(|_| has_room).chain(self.receipts.wake_at()).min()
    }

    pub(crate) fn status(&self) -> LinkStatus {
        let in_flight = self.in_flight.len();
        LinkStatus {
            up: self.link.is_some(),
            in_flight,
            unread: self.unread.values().next().cloned(),
            retrying: self.asked.len(),
            awaiting_receipt: self.receipts.awaiting(),
            ..self.status.clone()
        }
    }
}
