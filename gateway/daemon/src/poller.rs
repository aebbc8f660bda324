//! One task per device: the only place that reconnects it.
//!
//! ```text
//!  connecting ──ok──▶ connected ──lost──▶ backing off ──pause──▶ (again)
//!      └───────────failed──────────────────────▲
//! ```
//!
//! From the loss of a session until the next connection the device is down, and every slot that was due is reported as
//! missed: about every 10 s, and the rest at the reconnect. The slots that a session takes with it, because it is cut at
//! the shutdown or panics, are reported as well.
//!
//! A device that backfills gets its downtime with the next session, to fill it from its history, and nothing is reported
//! meanwhile. What the session does not take, what is not told when the gateway stops, and a downtime longer than a day are
//! reported as missed like any other.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lingate_drivers::{Device, DeviceEvent, LinkError, Session, Sink, SinkClosed, Site};
use lingate_engine::Input;
use lingate_model::{Backoff, Clock, DeviceName, DeviceState, Missed, MissedCause, Now, PointId, UtcMicros};
use tokio::sync::mpsc;

use crate::entropy::random_u32;
use crate::heart::Message;
use crate::ledger::Ledger;
use crate::panics::Panics;
use crate::pollers::Numbers;
use crate::pulse::{Pulse, Seat};
use crate::supervise::{Panicked, Stop, guarded};

const REPORT_EVERY: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A device that was restarted is found again within this time, so that its data flows again within 5 s.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// A session that ended earlier does not count as a success: a device that accepts and drops is not asked in a storm.
const USEFUL_SESSION: Duration = Duration::from_secs(5);
/// The pollers' part of the shutdown is bounded by this and the last report.
const LAST_POLL: Duration = Duration::from_secs(2);
/// A longer downtime is reported as missed, and no history is asked for it.
const BACKFILL_MAX: Duration = Duration::from_secs(24 * 3600);
/// A last resort: a driver's own deadline for `connect` is shorter.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// What one poller works with; outlives a restart of its task.
#[derive(Clone)]
pub(crate) struct Poller {
    pub(crate) name: DeviceName,
    pub(crate) device: Arc<dyn Device>,
    /// Of its points, as the engine knows them.
    pub(crate) numbers: Numbers,
    pub(crate) site: Arc<Site>,
    pub(crate) heart: mpsc::Sender<Message>,
    pub(crate) events: mpsc::Sender<DeviceEvent>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) downtime: Arc<Mutex<Option<Downtime>>>,
    /// Of the session that runs.
    pub(crate) ledger: Arc<Mutex<Option<Ledger>>>,
    /// The downtime that the session may take, as long as it did not.
    pub(crate) handed_over: Arc<Mutex<Option<Missed>>>,
    pub(crate) pulse: Pulse,
    pub(crate) panics: Panics,
}

impl Poller {
    /// Until told to stop, or until the heart is gone.
    pub(crate) async fn run(self, mut stop: Stop) {
        let mut polling = Box::pin(self.seat("device").alongside(self.poll(stop.clone())));
        tokio::select! {
            biased;
            () = stop.told() => {
                // A poll in progress is finished, so that no answer that is on its way is thrown away.
                let _ = tokio::time::timeout(LAST_POLL, &mut polling).await;
            }
            _ = &mut polling => {}
        }
        // From here on no event of the session passes any more.
        drop(polling);
        let last = async {
            // The device's next session is another process's, which does not know what this one took.
            let taken = lock(&self.ledger).as_mut().and_then(Ledger::untold_downtime);
            let taken = taken.filter(|_| lock(&self.handed_over).is_none());
            self.send(taken).await?;
            self.send_all(self.rest()).await?;
            self.send(self.with_downtime(|downtime| downtime.report(&self.name, self.clock.now())).flatten()).await
        };
        // Waiting for a full queue must not hold up the shutdown: the heart empties it only as long as it lives.
        let _ = tokio::time::timeout(Duration::from_secs(2), last).await;
    }

    async fn poll(&self, mut stop: Stop) -> Result<(), SinkClosed> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let left = self.rest();
        self.down(MissedCause::DeviceDown);
        self.send_all(left).await?;
        // Only the first time: from then on the reason of the last failure is worth more.
        self.tell(DeviceState::Connecting).await?;
        loop {
            let error = match self.while_reporting(&mut stop, self.connect()).await? {
                Ok(session) => {
                    self.up().await?;
                    self.tell(DeviceState::Connected).await?;
                    let started = self.clock.now().monotonic;
                    let ended = self.session(session, &stop).await;
                    if stop.is_told() {
                        return Err(SinkClosed);
                    }
                    let left = self.left_by(&ended);
                    self.down(cause_of(&ended));
                    self.send_all(left).await?;
                    if self.clock.now().monotonic.saturating_sub(started) >= USEFUL_SESSION {
                        backoff.succeeded();
                    }
                    ended.map_or_else(|panicked| self.defect(&panicked), |error| in_words(&error))
                }
                Err(error) => {
                    self.with_downtime(|downtime| downtime.cause = MissedCause::DeviceDown);
                    error
                }
            };
            let pause = backoff.next_pause(random_u32());
            tracing::debug!(device = %self.name, reason = error, ?pause, "the device is down");
            self.tell(DeviceState::BackingOff { reason: error }).await?;
            self.while_reporting(&mut stop, tokio::time::sleep(pause)).await?;
        }
    }

    fn defect(&self, panicked: &Panicked) -> String {
        self.panics.count(&self.name);
        format!("the driver panicked, which is a defect of lingate: {}", panicked.0)
    }

    fn seat(&self, what: &str) -> Seat {
        self.pulse.reader(format!("{what} {}", self.name), self.heart.clone(), self.events.clone())
    }

    async fn connect(&self) -> Result<Box<dyn Session>, String> {
        let (device, site) = (self.device.clone(), self.site.clone());
        let seat = self.seat("connecting to device");
        let connecting = guarded(seat.alongside(async move { device.connect(&site).await }));
        match tokio::time::timeout(CONNECT_DEADLINE, connecting).await {
            Ok(Ok(Ok(session))) => Ok(session),
            Ok(Ok(Err(error))) => Err(in_words(&error)),
            Ok(Err(panicked)) => Err(self.defect(&panicked)),
            Err(_) => Err(format!("no connection within {CONNECT_DEADLINE:?}")),
        }
    }

    /// Until the link is lost: then the driver has told of every slot. Cut or after a panic, `rest` tells what is left.
    async fn session(&self, mut session: Box<dyn Session>, stop: &Stop) -> Result<LinkError, Panicked> {
        let (events, mut queue) = mpsc::channel(1);
        let sink = Sink::new(events, self.clock.clone()).stopped_by(stop.watched());
        let sink = sink.after_shared(self.handed_over.clone());
        let (ledger, handed_over, device) = (self.ledger.clone(), self.handed_over.clone(), self.device.clone());
        let seat = self.seat("session of device");
        let running = guarded(async move {
            let downtime = lock(&handed_over).clone();
            *lock(&ledger) = Some(Ledger::start(sink.now(), device.points(), downtime));
            let error = seat.alongside(session.run(&sink)).await;
            lock(&ledger).as_mut().into_iter().for_each(Ledger::ended);
            error
        });
        let passing_on = async move {
            while let Some(event) = queue.recv().await {
                let Ok(place) = self.events.reserve().await else { return };
                let now = self.clock.now();
                lock(&self.ledger).as_mut().into_iter().for_each(|ledger| ledger.enter(now, &event));
                place.send(self.numbers.running(event));
            }
        };
        tokio::join!(running, passing_on).0
    }

    /// Waits for something while the device is down; a stop ends it.
    async fn while_reporting<T>(&self, stop: &mut Stop, future: impl Future<Output = T>) -> Result<T, SinkClosed> {
        let mut future = std::pin::pin!(future);
        loop {
            let due = self.with_downtime(|downtime| downtime.reported_at + REPORT_EVERY);
            let rest = due.unwrap_or_default().saturating_sub(self.clock.now().monotonic);
            tokio::select! {
                biased;
                () = stop.told() => return Err(SinkClosed),
                done = &mut future => return Ok(done),
                () = tokio::time::sleep(rest) => self.report().await?,
            }
        }
    }

    /// Sends the slots that became due since the last report, if the device is down and nothing will fill them.
    async fn report(&self) -> Result<(), SinkClosed> {
        let (now, backfills) = (self.clock.now(), self.device.backfills());
        let report = |downtime: &mut Downtime| match backfills && downtime.may_be_filled(now) {
            true => downtime.wait(now),
            false => downtime.report(&self.name, now),
        };
        self.send(self.with_downtime(report).flatten()).await
    }

    /// The slots of the session, which is over, that nothing was told of.
    fn rest(&self) -> Vec<Missed> {
        let untaken = lock(&self.handed_over).take();
        let ledger = lock(&self.ledger).take();
        let rest = ledger.and_then(|ledger| ledger.rest(&self.name, self.device.points(), self.clock.now()));
        untaken.into_iter().chain(rest).collect()
    }

    /// A driver that ends by itself has told of every slot, and of the downtime if it took it.
    fn left_by(&self, ended: &Result<LinkError, Panicked>) -> Vec<Missed> {
        match ended {
            Err(_) => self.rest(),
            Ok(_) => {
                *lock(&self.ledger) = None;
                lock(&self.handed_over).take().into_iter().collect()
            }
        }
    }

    async fn send(&self, missed: Option<Missed>) -> Result<(), SinkClosed> {
        match missed {
            Some(missed) => {
                let event = self.numbers.running(DeviceEvent::Missed(missed));
                self.events.send(event).await.map_err(|_| SinkClosed)
            }
            None => Ok(()),
        }
    }

    async fn send_all(&self, missed: Vec<Missed>) -> Result<(), SinkClosed> {
        for missed in missed {
            self.send(Some(missed)).await?;
        }
        Ok(())
    }

    async fn tell(&self, state: DeviceState) -> Result<(), SinkClosed> {
        let input = Input::Device(self.name.clone(), state);
        self.heart.send(Message::Input(input)).await.map_err(|_| SinkClosed)
    }

    /// A restarted task goes on with the downtime that its predecessor left.
    fn down(&self, cause: MissedCause) {
        lock(&self.downtime).get_or_insert_with(|| Downtime::start(&*self.device, self.clock.now(), cause));
    }

    /// What was missed is told, or handed to the session that can fill it.
    async fn up(&self) -> Result<(), SinkClosed> {
        let now = self.clock.now();
        let missed = self.with_downtime(|downtime| (downtime.may_be_filled(now), downtime.report(&self.name, now)));
        let (may_be_filled, missed) = missed.unwrap_or_default();
        *lock(&self.downtime) = None;
        if self.device.backfills() && may_be_filled {
            *lock(&self.handed_over) = missed;
            return Ok(());
        }
        self.send(missed).await
    }

    fn with_downtime<T>(&self, act: impl FnOnce(&mut Downtime) -> T) -> Option<T> {
        lock(&self.downtime).as_mut().map(act)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("nothing panics while it holds this lock")
}

/// Since when a device is down, and which slots were already reported.
pub(crate) struct Downtime {
    since: Duration,
    reported_at: Duration,
    reported_utc: UtcMicros,
    points: Vec<(PointId, Duration, u64)>,
    cause: MissedCause,
}

impl Downtime {
    pub(crate) fn start(device: &dyn Device, now: Now, cause: MissedCause) -> Downtime {
        let points = device.points().iter().map(|point| (point.id, point.interval, 0)).collect();
        Downtime { since: now.monotonic, reported_at: now.monotonic, reported_utc: now.utc, points, cause }
    }

    /// Nothing of it is reported yet, and it is short enough.
    fn may_be_filled(&self, now: Now) -> bool {
        let is_untold = self.points.iter().all(|(_, _, reported)| *reported == 0);
        is_untold && now.monotonic.saturating_sub(self.since) <= BACKFILL_MAX
    }

    /// Looks again later.
    fn wait(&mut self, now: Now) -> Option<Missed> {
        self.reported_at = now.monotonic;
        None
    }

    /// Counted from the start each time, so that no part of an interval is lost between two reports.
    fn report(&mut self, device: &DeviceName, now: Now) -> Option<Missed> {
        let down = now.monotonic.saturating_sub(self.since);
        let mut slots = Vec::new();
        for (point, interval, reported) in &mut self.points {
            let due = u64::try_from(down.as_nanos() / interval.as_nanos().max(1)).unwrap_or(u64::MAX);
            if due > *reported {
                slots.push((*point, due - *reported));
                *reported = due;
            }
        }
        self.reported_at = now.monotonic;
        let from = self.reported_utc;
        if slots.is_empty() {
            return None;
        }
        self.reported_utc = now.utc;
        // The wall clock may have been set back meanwhile.
        let (from, to) = (from.min(now.utc), from.max(now.utc));
        Some(Missed { device: device.clone(), from, to, slots, cause: self.cause })
    }
}

/// A device that broke its protocol was there; until it cannot be reached, what it said is why nothing was read.
fn cause_of(ended: &Result<LinkError, Panicked>) -> MissedCause {
    match ended {
        Ok(LinkError::Protocol { .. }) => MissedCause::DecodeFailure,
        _ => MissedCause::DeviceDown,
    }
}

fn in_words(error: &LinkError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
