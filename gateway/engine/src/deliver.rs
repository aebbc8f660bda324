//! Delivery: a window of records in flight, each known by the id of its publish attempt.
//!
//! ```text
//!            fill                    acknowledged
//!  stored ─────────▶ in flight ─────────────────────▶ freed
//!                      │   ▲
//!              refused ▼   │ pause over
//!                     waiting          link down: both are forgotten, the buffer hands everything out again
//! ```
//!
//! A KEY and a catalogue each hold back their class until they are acknowledged: no receiver sees DATA before what opens
//! and explains it, and an epoch that loses one of them on disk has nothing that arrived and cannot be understood.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lingate_buffer::{Disk, RecordId};
use lingate_model::{Backoff, DatasetAlias, GatewayId, Priority, TenantId};
use lingate_seal::{RecordKind, Sealed};

use crate::receipts::Receipts;
use crate::status::LinkStatus;
use crate::store::Store;
use crate::{Level, LinkLimits, LinkLoss, Notice, Output, PublishId, ReasonCode, Topic};

/// First and longest pause before a refused record is tried again.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_CAP: Duration = Duration::from_secs(60);
/// MQTT fixed header, packet id, property length and topic length around topic and payload.
const PACKET_OVERHEAD: usize = 16;
const PACKET_TOO_LARGE: ReasonCode = ReasonCode(0x95);
/// First and longest pause before a record that nobody subscribed to is sent again.
const UNREAD_FIRST: Duration = Duration::from_secs(1);
const UNREAD_CAP: Duration = Duration::from_secs(5);

pub(crate) struct Deliver {
    topics: String,
    window: usize,
    link: Option<LinkLimits>,
    in_flight: BTreeMap<PublishId, Record>,
    waiting: Vec<(Duration, Record)>,
    next_id: u64,
    pub(crate) receipts: Receipts,
    pub(crate) status: LinkStatus,
}

pub(crate) struct Record {
    pub(crate) record: RecordId,
    pub(crate) sealed: Sealed,
    refusals: Backoff,
    unread: Backoff,
}

impl Deliver {
    pub(crate) fn new(tenant: &TenantId, gateway: &GatewayId, window: usize) -> Deliver {
        Deliver {
            topics: format!("lingate/1/{tenant}/{gateway}"),
            window,
            link: None,
            in_flight: BTreeMap::new(),
            waiting: Vec::new(),
            next_id: 0,
            receipts: Receipts::default(),
            status: LinkStatus { reason: Some("not connected yet".to_owned()), ..LinkStatus::default() },
        }
    }

    /// True if the link was up already: the caller rewinds the store.
    pub(crate) fn link_up(&mut self, limits: LinkLimits) -> bool {
        let was_up = self.link.replace(limits).is_some();
        self.forget();
        self.status.connects += 1;
        self.status.reason = None;
        was_up
    }

    /// The caller rewinds the store: what was not acknowledged is handed out again.
    pub(crate) fn link_down(&mut self, loss: LinkLoss) {
        self.link = None;
        self.forget();
        self.status.unread = None;
        self.status.reason = Some(loss.0);
    }

    fn forget(&mut self) {
        self.in_flight.clear();
        self.waiting.clear();
        self.receipts.forget();
    }

    /// Their bytes are destroyed: nothing of them is sent again, and no answer frees them.
    pub(crate) fn drop_those_of(&mut self, is_meant: &dyn Fn(&DatasetAlias) -> bool) {
        self.in_flight.retain(|_, record| !is_meant(record.sealed.alias()));
        self.waiting.retain(|(_, record)| !is_meant(record.sealed.alias()));
        self.receipts.drop_those_of(is_meant);
    }

    /// Sends while the window has room: what was refused and may be tried again, then the classes by priority.
    pub(crate) fn fill<D: Disk>(&mut self, monotonic: Duration, store: &mut Store<D>, outputs: &mut VecDeque<Output>) {
        store.resume(monotonic);
        let Some(limits) = self.link else { return };
        self.retry(monotonic, limits, outputs);
        for priority in Priority::ALL {
            while self.has_room(limits) && !self.is_held(priority) {
                match store.next(monotonic, priority) {
                    // Handed out again for want of a receipt, and still on its way.
                    Ok(Some((record, _))) if self.is_under_way(record) => {}
                    Ok(Some((record, sealed))) => {
                        let refusals = Backoff::new(RETRY_FIRST, RETRY_CAP);
                        let unread = Backoff::new(UNREAD_FIRST, UNREAD_CAP);
                        self.send(monotonic, limits, Record { record, sealed, refusals, unread }, outputs);
                    }
                    Ok(None) => break,
                    Err(notice) => {
                        outputs.extend(notice.map(Output::Notice));
                        break;
                    }
                }
            }
        }
    }

    fn is_under_way(&self, record: RecordId) -> bool {
        let waiting = self.waiting.iter().map(|(_, record)| record);
        self.in_flight.values().chain(waiting).any(|it| it.record == record)
    }

    fn has_room(&self, limits: LinkLimits) -> bool {
        let window = self.window.min(usize::from(limits.in_flight));
        self.in_flight.len() + self.waiting.len() < window && self.receipts.has_room()
    }

    fn is_held(&self, priority: Priority) -> bool {
        let unfinished = self.in_flight.values().chain(self.waiting.iter().map(|(_, record)| record));
        let opens = |it: &Record| matches!(it.sealed.kind(), RecordKind::Key | RecordKind::Catalogue);
        unfinished.into_iter().any(|it| it.record.priority == priority && opens(it))
    }

    fn retry(&mut self, monotonic: Duration, limits: LinkLimits, outputs: &mut VecDeque<Output>) {
        let (due, later) = std::mem::take(&mut self.waiting).into_iter().partition(|(at, _)| *at <= monotonic);
        self.waiting = later;
        for (_, record) in due {
            self.send(monotonic, limits, record, outputs);
        }
    }

    fn send(&mut self, monotonic: Duration, limits: LinkLimits, record: Record, outputs: &mut VecDeque<Output>) {
        let topic = self.topic(&record.sealed);
        let packet = record.sealed.bytes().len() + topic.name.len() + PACKET_OVERHEAD;
        if packet > limits.packet_bytes as usize {
            outputs.extend(self.set_aside(monotonic, record, PACKET_TOO_LARGE).map(Output::Notice));
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
        let record = self.in_flight.remove(&id)?;
        if self.status.unread.as_ref().is_some_and(|topic| *topic == self.topic(&record.sealed).name) {
            self.status.unread = None;
        }
        Some(record)
    }

    pub(crate) fn refused(&mut self, monotonic: Duration, id: PublishId, reason: ReasonCode) -> Option<Notice> {
        let record = self.in_flight.remove(&id)?;
        match reason {
            ReasonCode::NO_SUBSCRIBER => self.keep_unread(monotonic, record),
            reason => self.set_aside(monotonic, record, reason),
        }
    }

    /// The broker has thrown it away, or holds it for nobody: that is no delivery.
    fn keep_unread(&mut self, monotonic: Duration, mut record: Record) -> Option<Notice> {
        let topic = self.topic(&record.sealed).name;
        let pause = record.unread.next_pause(u32::MAX);
        self.waiting.push((monotonic + pause, record));
        let is_news = self.status.unread.is_none();
        let text = format!("{}; it stays on disk and is sent again every few seconds", unread(&topic));
        self.status.unread.get_or_insert(topic);
        is_news.then_some(Notice { level: Level::Warning, text })
    }

    fn set_aside(&mut self, monotonic: Duration, mut record: Record, reason: ReasonCode) -> Option<Notice> {
        let text = format!(
            "the broker refuses records on {}: {reason}; they stay on disk and are tried again. Check the broker's \
             access rules, quota and packet size for this gateway",
            self.topic(&record.sealed).name
        );
        let is_news = self.status.last_refusal.as_ref() != Some(&text);
        self.status.refused += 1;
        self.status.last_refusal = Some(text.clone());
        let pause = record.refusals.next_pause(u32::MAX);
        self.waiting.push((monotonic + pause, record));
        is_news.then_some(Notice { level: Level::Error, text })
    }

    pub(crate) fn wake_at(&self) -> Option<Duration> {
        let due = self.waiting.iter().map(|(at, _)| *at).chain(self.receipts.wake_at());
        self.link.and(due.min())
    }

    pub(crate) fn status(&self) -> LinkStatus {
        let in_flight = self.in_flight.len();
        LinkStatus {
            up: self.link.is_some(),
            in_flight,
            awaiting_receipt: self.receipts.awaiting(),
            ..self.status.clone()
        }
    }
}

/// In words, for everybody who asks why nothing arrives.
pub fn unread(topic: &str) -> String {
    format!(
        "the broker has no subscriber for {topic}: no receiver of the sandbox is connected to it, or it reads other topics"
    )
}
