//! One task per device: the only place that reconnects it.
//!
//! ```text
//!  connecting ──ok──▶ connected ──lost──▶ backing off ──pause──▶ connecting
//!      └───────────failed──────────────────────▲
//! ```
//!
//! From the loss of a session until the next connection the device is down, and every slot that was due is reported as
//! missed: about every 10 s, and the rest at the reconnect.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lingate_drivers::{Device, DeviceEvent, LinkError, Session, Sink, SinkClosed};
use lingate_engine::Input;
use lingate_model::{Backoff, Clock, DeviceName, DeviceState, Missed, MissedCause, Now, PointId, UtcMicros};
use tokio::sync::mpsc;

use crate::entropy::random_u32;
use crate::heart::Message;
use crate::supervise::{Panicked, Stop, guarded};

const REPORT_EVERY: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A device that was restarted is found again within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A session that ended earlier does not count as a success: a device that accepts and drops is not asked in a storm.
const USEFUL_SESSION: Duration = Duration::from_secs(5);
/// A last resort: a driver's own deadline for `connect` is shorter.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// What one poller works with; outlives a restart of its task.
#[derive(Clone)]
pub(crate) struct Poller {
    pub(crate) name: DeviceName,
    pub(crate) device: Arc<dyn Device>,
    pub(crate) heart: mpsc::Sender<Message>,
    pub(crate) events: mpsc::Sender<DeviceEvent>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) downtime: Arc<Mutex<Option<Downtime>>>,
}

impl Poller {
    /// Until told to stop, or until the heart is gone.
    pub(crate) async fn run(self, mut stop: Stop) {
        tokio::select! {
            biased;
            () = stop.told() => {}
            _ = self.poll() => {}
        }
        // Waiting for a full queue must not hold up the shutdown: the heart empties it only as long as it lives.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.report()).await;
    }

    async fn poll(&self) -> Result<(), SinkClosed> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        self.down();
        loop {
            self.tell(DeviceState::Connecting).await?;
            let error = match self.while_reporting(self.connect()).await? {
                Ok(session) => {
                    self.report().await?;
                    self.up();
                    self.tell(DeviceState::Connected).await?;
                    let started = self.clock.now().monotonic;
                    let error = self.session(session).await;
                    self.down();
                    if self.clock.now().monotonic.saturating_sub(started) >= USEFUL_SESSION {
                        backoff.succeeded();
                    }
                    error
                }
                Err(error) => error,
            };
            let pause = backoff.next_pause(random_u32());
            tracing::debug!(device = %self.name, reason = error, ?pause, "the device is down");
            self.tell(DeviceState::BackingOff { reason: error }).await?;
            self.while_reporting(tokio::time::sleep(pause)).await?;
        }
    }

    async fn connect(&self) -> Result<Box<dyn Session>, String> {
        let device = self.device.clone();
        let connecting = guarded(async move { device.connect().await });
        match tokio::time::timeout(CONNECT_DEADLINE, connecting).await {
            Ok(Ok(Ok(session))) => Ok(session),
            Ok(Ok(Err(error))) => Err(in_words(&error)),
            Ok(Err(panicked)) => Err(defect(&panicked)),
            Err(_) => Err(format!("no connection within {CONNECT_DEADLINE:?}")),
        }
    }

    async fn session(&self, mut session: Box<dyn Session>) -> String {
        let sink = Sink::new(self.events.clone(), self.clock.clone());
        match guarded(async move { session.run(&sink).await }).await {
            Ok(error) => in_words(&error),
            Err(panicked) => defect(&panicked),
        }
    }

    /// Waits for something while the device is down.
    async fn while_reporting<T>(&self, future: impl Future<Output = T>) -> Result<T, SinkClosed> {
        let mut future = std::pin::pin!(future);
        loop {
            let due = self.with_downtime(|downtime| downtime.reported_at + REPORT_EVERY);
            let rest = due.unwrap_or_default().saturating_sub(self.clock.now().monotonic);
            tokio::select! {
                biased;
                done = &mut future => return Ok(done),
                () = tokio::time::sleep(rest) => self.report().await?,
            }
        }
    }

    /// Sends the slots that became due since the last report, if the device is down.
    async fn report(&self) -> Result<(), SinkClosed> {
        let now = self.clock.now();
        match self.with_downtime(|downtime| downtime.report(&self.name, now)).flatten() {
            Some(missed) => self.events.send(DeviceEvent::Missed(missed)).await.map_err(|_| SinkClosed),
            None => Ok(()),
        }
    }

    async fn tell(&self, state: DeviceState) -> Result<(), SinkClosed> {
        let input = Input::Device(self.name.clone(), state);
        self.heart.send(Message::Input(input)).await.map_err(|_| SinkClosed)
    }

    /// A restarted task goes on with the downtime that its predecessor left.
    fn down(&self) {
        let mut downtime = self.downtime.lock().expect("nothing panics while it holds this lock");
        downtime.get_or_insert_with(|| Downtime::start(&*self.device, self.clock.now()));
    }

    fn up(&self) {
        *self.downtime.lock().expect("nothing panics while it holds this lock") = None;
    }

    fn with_downtime<T>(&self, act: impl FnOnce(&mut Downtime) -> T) -> Option<T> {
        self.downtime.lock().expect("nothing panics while it holds this lock").as_mut().map(act)
    }
}

/// Since when a device is down, and which slots were already reported.
pub(crate) struct Downtime {
    since: Duration,
    reported_at: Duration,
    reported_utc: UtcMicros,
    points: Vec<(PointId, Duration, u64)>,
}

impl Downtime {
    fn start(device: &dyn Device, now: Now) -> Downtime {
        let points = device.points().iter().map(|point| (point.id, point.interval, 0)).collect();
        Downtime { since: now.monotonic, reported_at: now.monotonic, reported_utc: now.utc, points }
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
        Some(Missed { device: device.clone(), from, to: now.utc, slots, cause: MissedCause::DeviceDown })
    }
}

fn in_words(error: &LinkError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn defect(panicked: &Panicked) -> String {
    format!("the driver panicked, which is a defect of lingate: {}", panicked.0)
}
