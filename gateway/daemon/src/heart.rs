//! The thread that owns the engine: `fdatasync` blocks here, and nobody else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lingate_buffer::{Disk, DiskError};
use lingate_drivers::DeviceEvent;
use lingate_engine::{Accepted, Engine, Input, Level, LinkLimits, NewPlan, Output, PublishId, Setup, Status, Topic};
use lingate_model::{Clock, Now};
use lingate_seal::Sealed;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::audit::Ear;
use crate::changes::{Change, Changes};
use crate::journal;
use crate::limiter::Limiter;
use crate::log_lines::LogLines;
use crate::panics::Panics;
use crate::pseudonyms::PseudonymKeys;
use crate::pulse::Pulse;
use crate::receipt_queue::ReceiptQueue;
use crate::supervise::words;
use crate::veto::Destroyed;

/// Answers of devices that wait for the engine. Full: the drivers wait, and report the slots that they miss.
const DEVICE_QUEUE: usize = 1024;
const MESSAGE_QUEUE: usize = 1024;
const DESTROYED_QUEUE: usize = 64;
/// The heart beats at least this often while it is healthy.
const LONGEST_REST: Duration = Duration::from_millis(500);
const SNAPSHOT_EVERY: Duration = Duration::from_millis(200);
/// Answers that are taken in one turn before the clock is read again.
const TURN: usize = 64;

/// How long the end waits for the broker, once everything is on disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) most: Duration,
    /// A link that is down may come up meanwhile.
    pub(crate) without_link: bool,
}

pub(crate) enum Message {
    Input(Input),
    /// The pollers have stopped: put everything on disk, wait for the broker to have it, and end.
    Drain(Patience),
    /// Another configuration, in force when `done` hears of it. What the pollers that stopped for it sent is taken first.
    Reload {
        plan: Box<NewPlan>,
        done: oneshot::Sender<()>,
    },
    /// A heartbeat that a device's task passed on.
    Beat {
        seat: u64,
        beat: u64,
    },
    /// With the queue of this one connection: what was meant for an older one can never reach it.
    LinkUp(LinkLimits, mpsc::Sender<Publish>),
}

/// A record on its way to the broker.
pub(crate) struct Publish {
    pub(crate) id: PublishId,
    pub(crate) topic: Topic,
    pub(crate) sealed: Sealed,
}

/// How the heart ended.
pub(crate) enum End {
    /// Everything that was read is on disk. `Err`: but the disk refused the mark of a clean end.
    Drained(Result<(), DiskError>, Remains),
    /// A broken invariant. What is on disk is the truth; start again from there.
    Panicked(String),
}

/// Keeps the queues open, so that the link can say goodbye as if nothing had happened. Nobody reads them any more.
pub(crate) struct Remains {
    _messages: mpsc::Receiver<Message>,
    _link: Option<mpsc::Sender<Publish>>,
}

pub(crate) struct Heart {
    pub(crate) messages: mpsc::Sender<Message>,
    pub(crate) devices: mpsc::Sender<DeviceEvent>,
    pub(crate) receipts: ReceiptQueue,
    pub(crate) status: watch::Receiver<Arc<Status>>,
    pub(crate) beat: Beat,
    pub(crate) pulse: Pulse,
    pub(crate) panics: Panics,
    pub(crate) end: oneshot::Receiver<End>,
    /// For the keeper of the veto folder.
    pub(crate) destroyed: Option<mpsc::Receiver<Destroyed>>,
}

/// When the heart last beat, in milliseconds of monotonic time.
#[derive(Clone)]
pub(crate) struct Beat(Arc<AtomicU64>);

impl Beat {
    pub(crate) fn at(now: Now) -> Beat {
        let beat = Beat(Arc::default());
        beat.mark(now);
        beat
    }

    fn mark(&self, now: Now) {
        self.0.store(u64::try_from(now.monotonic.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn age(&self, now: Now) -> Duration {
        now.monotonic.saturating_sub(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

/// Starts the thread. It ends after `Input::Drain` was answered, or by a panic; `end` tells.
pub(crate) fn start<D: Disk + 'static>(
    setup: Setup<D>,
    pseudonyms: PseudonymKeys,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    ear: Ear,
) -> std::io::Result<Heart> {
    let (messages, message_queue) = mpsc::channel(MESSAGE_QUEUE);
    let (devices, device_queue) = mpsc::channel(DEVICE_QUEUE);
    let (end_sender, end) = oneshot::channel();
    let (destroyed_sender, destroyed) = mpsc::channel(DESTROYED_QUEUE);
    let (pulse, panics, commit_every) = (Pulse::default(), Panics::default(), setup.commit_every);
    let mut engine = Engine::new(clock.now(), setup);
    pseudonyms.into_iter().for_each(|(dataset, key)| engine.set_pseudonym_key(dataset, key));
    let (status_sender, status) = watch::channel(Arc::new(engine.status()));
    let (beat, receipts) = (Beat::at(clock.now()), ReceiptQueue::default());
    let beating = Beating {
        engine,
        clock,
        messages: message_queue,
        devices: device_queue,
        receipts: receipts.clone(),
        link: None,
        destroyed: destroyed_sender,
        status: status_sender,
        snapshot_at: Duration::ZERO,
        beat: beat.clone(),
        pulse: pulse.clone(),
        panics: panics.clone(),
        commit_every,
        notices: Limiter::new(20, Duration::from_secs(1)),
        lines: LogLines::default(),
        changes: Changes::default(),
        ear,
        deliver_until: Duration::ZERO,
        without_link: false,
    };
    std::thread::Builder::new().name("heart".to_owned()).spawn(move || {
        let end = match catch_unwind(AssertUnwindSafe(|| beating.run(&runtime))) {
            Ok(end) => end,
            Err(panic) => End::Panicked(words(&*panic)),
        };
        let _ = end_sender.send(end);
    })?;
    Ok(Heart { messages, devices, receipts, status, beat, pulse, panics, end, destroyed: Some(destroyed) })
}

struct Beating<D: Disk> {
    engine: Engine<D>,
    clock: Arc<dyn Clock>,
    messages: mpsc::Receiver<Message>,
    devices: mpsc::Receiver<DeviceEvent>,
    receipts: ReceiptQueue,
    link: Option<mpsc::Sender<Publish>>,
    destroyed: mpsc::Sender<Destroyed>,
    status: watch::Sender<Arc<Status>>,
    snapshot_at: Duration,
    beat: Beat,
    pulse: Pulse,
    panics: Panics,
    commit_every: Duration,
    notices: Limiter,
    lines: LogLines,
    changes: Changes,
    ear: Ear,
    /// After the drain: when to end with records undelivered.
    deliver_until: Duration,
    without_link: bool,
}

/// What the heart waited for.
enum Event {
    Message(Message),
    Device(DeviceEvent),
    Receipt(Vec<u8>),
    /// A deadline, or nothing at all.
    Rest,
}

impl<D: Disk> Beating<D> {
    fn run(mut self, runtime: &Handle) -> End {
        let mut drained = self.carry_out();
        while !drained || self.has_to_deliver() {
            let event = runtime.block_on(self.wait());
            drained |= self.turn(event);
            let now = self.clock.now();
            self.beat.mark(now);
            self.pulse.turn(now, self.commit_every);
            if drained || now.monotonic >= self.snapshot_at {
                self.snapshot_at = now.monotonic + SNAPSHOT_EVERY;
                let mut status = self.engine.status();
                self.lines.tell(&mut status);
                self.panics.tell(&mut status);
                self.status.send_replace(Arc::new(status));
            }
        }
        let finished = self.engine.finish(self.clock.now());
        End::Drained(finished, Remains { _messages: self.messages, _link: self.link })
    }

    fn has_to_deliver(&self) -> bool {
        let may_be_delivered = self.link.is_some() || self.without_link;
        may_be_delivered
            && self.clock.now().monotonic < self.deliver_until
            && self.engine.status().buffer.records_waiting > 0
    }

    async fn wait(&mut self) -> Event {
        let due = self.engine.wake_at().map(|at| at.saturating_sub(self.clock.now().monotonic));
        let rest = due.unwrap_or(LONGEST_REST).min(LONGEST_REST);
        tokio::select! {
            biased;
            Some(message) = self.messages.recv() => Event::Message(message),
            receipt = self.receipts.next() => Event::Receipt(receipt),
            Some(device) = self.devices.recv() => Event::Device(device),
            () = tokio::time::sleep(rest) => Event::Rest,
        }
    }

    /// `true`: drained, the heart may stop.
    fn turn(&mut self, event: Event) -> bool {
        let drained = match event {
            Event::Message(message) => self.message(message),
            Event::Device(device) => self.device(device),
            Event::Receipt(receipt) => self.handle(self.clock.now(), Input::Receipt(receipt)),
            Event::Rest => false,
        };
        // A turn of answers at once, and then the engine's own deadlines: neither starves the other.
        let mut drained = drained;
        for _ in 0..TURN {
            let Ok(device) = self.devices.try_recv() else { break };
            drained |= self.device(device);
        }
        let now = self.clock.now();
        if self.engine.wake_at().is_some_and(|at| at <= now.monotonic) {
            drained |= self.handle(now, Input::Wake);
        }
        drained
    }

    fn message(&mut self, message: Message) -> bool {
        match message {
            Message::LinkUp(limits, queue) => {
                self.link = Some(queue);
                self.handle(self.clock.now(), Input::LinkUp(limits))
            }
            Message::Beat { seat, beat } => {
                self.pulse.read(seat, beat);
                false
            }
            Message::Input(Input::LinkDown(loss)) => {
                self.link = None;
                self.handle(self.clock.now(), Input::LinkDown(loss))
            }
            Message::Drain(patience) => {
                self.deliver_until = self.clock.now().monotonic + patience.most;
                self.without_link = patience.without_link;
                self.take_told();
                self.handle(self.clock.now(), Input::Drain)
            }
            Message::Reload { plan, done } => {
                self.take_told();
                self.snapshot_at = Duration::ZERO;
                let drained = self.handle(self.clock.now(), Input::Reload(plan));
                let _ = done.send(());
                drained
            }
            Message::Input(input) => self.handle(self.clock.now(), input),
        }
    }

    /// What the pollers sent before they stopped is older than the message that tells of it.
    fn take_told(&mut self) {
        for _ in 0..self.devices.len() {
            let Ok(device) = self.devices.try_recv() else { return };
            self.device(device);
        }
    }

    fn device(&mut self, event: DeviceEvent) -> bool {
        let input = match event {
            DeviceEvent::Readings(readings) => Input::Readings(readings),
            DeviceEvent::Missed(missed) => Input::Missed(missed),
            DeviceEvent::Report(device, report) => Input::Report(device, report),
        };
        self.handle(self.clock.now(), input)
    }

    fn handle(&mut self, now: Now, input: Input) -> bool {
        if let Some(change) = self.changes.of(&input, now.monotonic) {
            self.tell_change(&change, now);
        }
        self.ear.hear(now, &input);
        self.engine.handle(now, input);
        self.carry_out()
    }

    fn carry_out(&mut self) -> bool {
        let mut drained = false;
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Publish { id, topic, sealed } => self.publish(Publish { id, topic, sealed }),
                Output::Accepted(accepted) => tell_accepted(&accepted),
                Output::Notice(notice) => self.tell(notice.level, &notice.text),
                Output::Purged { datasets, veto } => {
                    // Without a note it is destroyed once more at the next start, which does no harm.
                    let _ = self.destroyed.try_send(Destroyed { datasets, veto });
                }
                Output::Audit(event) => self.ear.audit().tell(self.clock.now().utc, *event),
                Output::Drained => drained = true,
            }
        }
        drained
    }

    /// Without a link, or with one that just broke, the record stays on disk and is published after the next `LinkUp`.
    fn publish(&mut self, publish: Publish) {
        let Some(link) = &self.link else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = link.try_send(publish) {
            self.tell(Level::Error, "the queue to the link is full, which is a defect of lingate; the link is rebuilt");
            self.link = None;
        }
    }

    fn tell(&mut self, level: Level, text: &str) {
        if self.may_tell() {
            journal::change(level, text, None, None);
        }
    }

    fn tell_change(&mut self, change: &Change, now: Now) {
        let Change { level, text, device, cause } = change;
        let allowed = device.as_ref().map_or(Some(0), |device| self.lines.allows(device, now.monotonic));
        let Some(withheld) = allowed.filter(|_| self.may_tell()) else { return };
        let text = match withheld {
            0 => text.clone(),
            withheld => format!("{text} ({withheld} lines about it were withheld)"),
        };
        journal::change(*level, &text, device.as_deref(), cause.as_deref());
    }

    fn may_tell(&mut self) -> bool {
        match self.notices.allows(self.clock.now().monotonic) {
            None => return false,
            Some(0) => {}
            Some(withheld) => tracing::warn!(withheld, "notices were withheld, because there were too many"),
        }
        true
    }
}

/// For the checker: the identities of what is durable, never what is in it.
fn tell_accepted(accepted: &Accepted) {
    for (kid, seq) in &accepted.records {
        tracing::debug!(target: "lingate::accepted", "kid={kid} seq={seq}");
    }
    tracing::debug!(target: "lingate::accepted", "readings={}", accepted.readings);
}
