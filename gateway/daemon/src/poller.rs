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
/// The pollers' part of the shutdown is bounded by this and the last report.
const LAST_POLL: Duration = Duration::from_secs(2);
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
        let mut polling = std::pin::pin!(self.poll(stop.clone()));
        tokio::select! {
            biased;
            () = stop.told() => {
                // A poll in progress is finished, so that no answer that is on its way is thrown away.
                let _ = tokio::time::timeout(LAST_POLL, &mut polling).await;
            }
            _ = &mut polling => {}
        }
        // Waiting for a full queue must not hold up the shutdown: the heart empties it only as long as it lives.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.report()).await;
    }

    async fn poll(&self, mut stop: Stop) -> Result<(), SinkClosed> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        self.down();
        loop {
            self.tell(DeviceState::Connecting).await?;
            let error = match self.while_reporting(&mut stop, self.connect()).await? {
                Ok(session) => {
                    self.report().await?;
                    self.up();
                    self.tell(DeviceState::Connected).await?;
                    let started = self.clock.now().monotonic;
                    let error = self.session(session, &stop).await;
                    self.down();
                    if stop.is_told() {
                        return Err(SinkClosed);
                    }
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
            self.while_reporting(&mut stop, tokio::time::sleep(pause)).await?;
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

    async fn session(&self, mut session: Box<dyn Session>, stop: &Stop) -> String {
        let sink = Sink::new(self.events.clone(), self.clock.clone()).stopped_by(stop.watched());
        match guarded(async move { session.run(&sink).await }).await {
            Ok(error) => in_words(&error),
            Err(panicked) => defect(&panicked),
        }
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
        // The wall clock may have been set back meanwhile.
        let (from, to) = (from.min(now.utc), from.max(now.utc));
        Some(Missed { device: device.clone(), from, to, slots, cause: MissedCause::DeviceDown })
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic, and its clock is tokio's")]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::VecDeque;

    use lingate_drivers::{BoxFuture, Point};
    use lingate_model::{BuiltinType, ClockState};
    use tokio::time::Instant;

    use super::*;
    use crate::supervise::stop;

    /// Tokio's paused time as both clocks.
    struct Paused(Instant);

    impl Clock for Paused {
        fn now(&self) -> Now {
            let monotonic = self.0.elapsed();
            let utc = UtcMicros(i64::try_from(monotonic.as_micros()).unwrap());
            Now { monotonic, utc, clock: ClockState::Synced }
        }
    }

    /// What one attempt to connect does.
    #[derive(Clone, Copy)]
    enum Attempt {
        FailAfter(Duration),
        PanicAfter(Duration),
        LiveFor(Duration),
        PanicAtWork,
        HangForEver,
    }

    /// A device that follows a script and then lives for ever.
    struct Scripted(Vec<Point>, Mutex<VecDeque<Attempt>>);

    impl Scripted {
        fn new(script: impl IntoIterator<Item = Attempt>) -> Scripted {
            let point = |(id, millis): (usize, &u64)| Point {
                id: PointId(u32::try_from(id).unwrap()),
                builtin_type: BuiltinType::Double,
                places: None,
                interval: Duration::from_millis(*millis),
                source: String::new(),
            };
            let points = INTERVALS.iter().enumerate().map(point).collect();
            Scripted(points, Mutex::new(script.into_iter().collect()))
        }
    }

    impl Device for Scripted {
        fn points(&self) -> &[Point] {
            &self.0
        }
        fn address(&self) -> String {
            "test".to_owned()
        }
        fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Session>, LinkError>> {
            let attempt = self.1.lock().unwrap().pop_front();
            Box::pin(async move {
                match attempt {
                    Some(Attempt::FailAfter(time)) => {
                        tokio::time::sleep(time).await;
                        Err(LinkError::Timeout { doing: "connecting", after: time })
                    }
                    Some(Attempt::PanicAfter(time)) => {
                        tokio::time::sleep(time).await;
                        panic!("a defect in connect");
                    }
                    Some(Attempt::HangForEver) => std::future::pending().await,
                    attempt => Ok(Box::new(Living(attempt)) as Box<dyn Session>),
                }
            })
        }
    }

    struct Living(Option<Attempt>);

    impl Session for Living {
        fn run<'a>(&'a mut self, _sink: &'a Sink) -> BoxFuture<'a, LinkError> {
            Box::pin(async {
                match self.0 {
                    Some(Attempt::LiveFor(time)) => tokio::time::sleep(time).await,
                    Some(Attempt::PanicAtWork) => panic!("a defect at work"),
                    _ => std::future::pending().await,
                }
                LinkError::Closed
            })
        }
    }

    struct Outcome {
        slots: BTreeMap<u32, u64>,
        reports: Vec<Missed>,
        /// When the device was seen going down, and up.
        states: Vec<(Duration, DeviceState)>,
    }

    const INTERVALS: [u64; 3] = [7, 500, 3000];

    /// Lets a poller follow the script for `time`, then stops it.
    async fn follow(script: &[Attempt], time: Duration) -> Outcome {
        let clock: Arc<dyn Clock> = Arc::new(Paused(Instant::now()));
        let (heart, mut messages) = mpsc::channel(10_000);
        let (events, mut sent) = mpsc::channel(10_000);
        let poller = Poller {
            name: "press-1".parse().unwrap(),
            device: Arc::new(Scripted::new(script.iter().copied())),
            heart,
            events,
            clock: clock.clone(),
            downtime: Arc::default(),
        };
        let (stopper, told) = stop();
        let task = tokio::spawn(poller.run(told));
        let mut states = Vec::new();
        let end = tokio::time::sleep(time);
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                Some(Message::Input(Input::Device(_, state))) = messages.recv() => {
                    states.push((clock.now().monotonic, state));
                }
                () = &mut end => break,
            }
        }
        stopper.stop();
        task.await.unwrap();
        let mut reports = Vec::new();
        while let Ok(DeviceEvent::Missed(missed)) = sent.try_recv() {
            reports.push(missed);
        }
        let mut slots = BTreeMap::new();
        for (point, count) in reports.iter().flat_map(|missed| &missed.slots) {
            *slots.entry(point.0).or_default() += count;
        }
        Outcome { slots, reports, states }
    }

    /// `floor(down time / interval)` summed over the down times, from the states alone.
    fn expected(outcome: &Outcome, end: Duration) -> BTreeMap<u32, u64> {
        let mut downs = vec![];
        let mut since = Some(Duration::ZERO);
        for (at, state) in &outcome.states {
            match state {
                DeviceState::Connected => downs.extend(since.take().map(|since| *at - since)),
                DeviceState::BackingOff { .. } => since = since.or(Some(*at)),
                DeviceState::Connecting => {}
            }
        }
        downs.extend(since.map(|since| end - since));
        let slots = |millis: &u64| downs.iter().map(|down| down.as_nanos() as u64 / (millis * 1_000_000)).sum::<u64>();
        let counted = INTERVALS.iter().enumerate().map(|(id, millis)| (id as u32, slots(millis)));
        counted.filter(|(_, slots)| *slots > 0).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn every_slot_of_a_down_device_is_reported_once() {
        let seconds = Duration::from_secs;
        let script = [
            Attempt::FailAfter(seconds(25)),
            Attempt::LiveFor(seconds(40)),
            Attempt::FailAfter(Duration::from_millis(1)),
            Attempt::FailAfter(seconds(3)),
            Attempt::LiveFor(Duration::from_millis(10)),
            Attempt::PanicAfter(seconds(1)),
            Attempt::PanicAtWork,
        ];
        let outcome = follow(&script, seconds(3600)).await;
        assert_eq!(outcome.slots, expected(&outcome, seconds(3600)));
        assert_eq!(outcome.states.last().unwrap().1, DeviceState::Connected, "it recovers from everything");
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_never_answers_is_reported_about_every_ten_seconds_and_at_the_stop() {
        let outcome = follow(&[Attempt::HangForEver; 100], Duration::from_secs(605)).await;
        assert_eq!(outcome.slots, BTreeMap::from([(0, 605_000 / 7), (1, 1210), (2, 201)]));
        assert!((60..=63).contains(&outcome.reports.len()), "{} reports", outcome.reports.len());
    }

    #[tokio::test(start_paused = true)]
    async fn reports_follow_each_other_without_gap_or_overlap() {
        let outcome = follow(&[Attempt::FailAfter(Duration::from_secs(29)); 4], Duration::from_secs(200)).await;
        assert!(outcome.reports.len() >= 10);
        assert!(outcome.reports.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert_eq!(outcome.reports[0].from, UtcMicros(0));
    }

    #[test]
    fn a_wall_clock_that_is_set_back_gives_no_time_that_ends_before_it_begins() {
        let at = |seconds: u64, utc: i64| Now {
            monotonic: Duration::from_secs(seconds),
            utc: UtcMicros(utc),
            clock: ClockState::Synced,
        };
        let mut downtime = Downtime::start(&Scripted::new([]), at(0, 1_000_000));
        let name = "press-1".parse().unwrap();
        let times = [at(10, 11_000_000), at(20, 500_000), at(30, 10_500_000)].map(|now| {
            let missed = downtime.report(&name, now).unwrap();
            (missed.from.0, missed.to.0)
        });
        assert_eq!(times, [(1_000_000, 11_000_000), (500_000, 11_000_000), (500_000, 10_500_000)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_in_a_driver_is_a_reason_to_back_off() {
        let outcome = follow(&[Attempt::PanicAtWork], Duration::from_secs(60)).await;
        let reason = |state: &(Duration, DeviceState)| match &state.1 {
            DeviceState::BackingOff { reason } => Some(reason.clone()),
            _ => None,
        };
        let reasons: Vec<String> = outcome.states.iter().filter_map(reason).collect();
        assert_eq!(reasons, ["the driver panicked, which is a defect of lingate: a defect at work"]);
    }
}
