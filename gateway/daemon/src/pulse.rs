//! A heartbeat that crosses the whole line, so that the service manager hears of it only when every stage is alive.
//!
//! ```text
//!  watchdog ──asks──▶ each device's task and session ──▶ queue of readings ──▶ heart: refine, seal, one commit later
//!      ▲                                                                                               │
//!      └──────────────fed◀── the link's task and the MQTT client's ◀───────────────────────────────────┘
//! ```
//!
//! A device that is away, a disk that refuses and a broker that is silent stop no beat: they are weather. What stops it is a
//! task that no longer yields, a queue that nobody empties, and a disk that answers neither yes nor no.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lingate_drivers::DeviceEvent;
use lingate_model::Now;
use tokio::sync::{mpsc, watch};

use crate::heart::Message;

/// The beats of one daemon.
#[derive(Clone, Default)]
pub(crate) struct Pulse(Arc<Inner>);

#[derive(Default)]
struct Inner {
    read: Arc<Stage>,
    /// Number of the beat that the heart holds until one more commit, and when it came, in milliseconds of monotonic time.
    held: Mutex<Option<(u64, Duration)>>,
    stored: AtomicU64,
    link: Arc<Stage>,
}

/// Tasks that a beat passes side by side.
struct Stage {
    asked: watch::Sender<u64>,
    seats: Mutex<Seats>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, Place>,
}

struct Place {
    task: String,
    /// The last beat that the task sent on ...
    sent: u64,
    /// ... and the last that arrived behind it.
    passed: u64,
}

/// One task's place in a stage. A task that ended, or is started again after a panic, has none and holds nothing up.
pub(crate) struct Seat {
    stage: Arc<Stage>,
    id: u64,
    asked: watch::Receiver<u64>,
    way: Way,
}

enum Way {
    /// Through the queue of readings, which must have room, to the heart.
    Heart(mpsc::Sender<Message>, mpsc::Sender<DeviceEvent>),
    End,
}

impl Pulse {
    /// For a task that reads a device.
    pub(crate) fn reader(&self, name: String, heart: mpsc::Sender<Message>, events: mpsc::Sender<DeviceEvent>) -> Seat {
        Stage::seat(&self.0.read, name, Way::Heart(heart, events))
    }

    /// For a task of the link.
    pub(crate) fn publisher(&self, name: &str) -> Seat {
        Stage::seat(&self.0.link, name.to_owned(), Way::End)
    }

    /// Sends the next beat on its way; gives its number.
    pub(crate) fn begin(&self) -> u64 {
        let next = *self.0.read.asked.borrow() + 1;
        self.0.read.ask(next)
    }

    /// The heart took a beat out of its queue.
    pub(crate) fn read(&self, seat: u64, beat: u64) {
        self.0.read.passed(seat, beat);
    }

    /// The heart, after each of its turns. A beat goes on when everything that was read before it has met a commit.
    pub(crate) fn turn(&self, now: Now, commit_every: Duration) {
        let beat = *self.0.read.asked.borrow();
        if self.0.stored.load(Ordering::Relaxed) >= beat || !self.0.read.have_all_passed(beat) {
            return;
        }
        let mut held = lock(&self.0.held);
        let since = held.filter(|(number, _)| *number == beat).map_or(now.monotonic, |(_, since)| since);
        *held = Some((beat, since));
        if now.monotonic.saturating_sub(since) >= commit_every {
            self.0.stored.store(beat, Ordering::Relaxed);
            self.0.link.ask(beat);
        }
    }

    /// Returns once this beat has crossed everything.
    pub(crate) async fn crossed(&self, beat: u64) {
        let (mut asked, mut changed) = (self.0.link.asked.subscribe(), self.0.link.changed.subscribe());
        let _ = asked.wait_for(|asked| *asked >= beat).await;
        while !self.0.link.have_all_passed(beat) || self.0.link.is_empty() {
            let _ = changed.changed().await;
        }
    }

    /// Who holds this beat back, for the log.
    pub(crate) fn held_by(&self, beat: u64) -> String {
        let readers = self.0.read.behind(beat);
        if !readers.is_empty() {
            return readers.join(", ");
        }
        match self.0.stored.load(Ordering::Relaxed) >= beat {
            false => "the engine, or the disk below it".to_owned(),
            true if self.0.link.is_empty() => "the link, whose task is not running".to_owned(),
            true => self.0.link.behind(beat).join(", "),
        }
    }
}

impl Default for Stage {
    fn default() -> Stage {
        Stage { asked: watch::channel(0).0, seats: Mutex::default(), changed: watch::channel(()).0 }
    }
}

impl Stage {
    fn seat(stage: &Arc<Stage>, name: String, way: Way) -> Seat {
        let asked = stage.asked.subscribe();
        let mut seats = lock(&stage.seats);
        let id = seats.next;
        seats.next += 1;
        let newest = *asked.borrow();
        seats.taken.insert(id, Place { task: name, sent: newest, passed: newest });
        drop(seats);
        stage.changed.send_replace(());
        Seat { stage: stage.clone(), id, asked, way }
    }

    fn ask(&self, beat: u64) -> u64 {
        self.asked.send_replace(beat);
        beat
    }

    fn sent(&self, seat: u64, beat: u64) {
        if let Some(place) = lock(&self.seats).taken.get_mut(&seat) {
            place.sent = beat;
        }
    }

    fn passed(&self, seat: u64, beat: u64) {
        if let Some(place) = lock(&self.seats).taken.get_mut(&seat) {
            (place.sent, place.passed) = (beat, beat);
        }
        self.changed.send_replace(());
    }

    fn have_all_passed(&self, beat: u64) -> bool {
        lock(&self.seats).taken.values().all(|place| place.passed >= beat)
    }

    fn is_empty(&self) -> bool {
        lock(&self.seats).taken.is_empty()
    }

    fn behind(&self, beat: u64) -> Vec<String> {
        let seats = lock(&self.seats);
        seats.taken.values().filter(|place| place.sent < beat).map(|place| place.task.clone()).collect()
    }
}

impl Seat {
    /// The beats pass through the very task that does the work: one that does not yield passes none.
    pub(crate) async fn alongside<T>(self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = work => done,
            never = self.pass_on() => match never {},
        }
    }

    async fn pass_on(mut self) -> std::convert::Infallible {
        loop {
            if self.asked.changed().await.is_err() {
                return std::future::pending().await;
            }
            let beat = *self.asked.borrow_and_update();
            match &self.way {
                Way::End => self.stage.passed(self.id, beat),
                Way::Heart(heart, events) => {
                    // The place is given back at once.
                    let _ = events.reserve().await;
                    let _ = heart.send(Message::Beat { seat: self.id, beat }).await;
                    self.stage.sent(self.id, beat);
                }
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.stage.seats).taken.remove(&self.id);
        self.stage.changed.send_replace(());
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("nothing panics while it holds this lock")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::{ClockState, UtcMicros};
    use tokio::task::JoinHandle;

    use super::*;

    const COMMIT: Duration = Duration::from_millis(200);

    fn at(millis: u64) -> Now {
        Now { monotonic: Duration::from_millis(millis), utc: UtcMicros(0), clock: ClockState::Synced }
    }

    /// A reader, a heart's queue and a link.
    struct Line {
        pulse: Pulse,
        messages: mpsc::Receiver<Message>,
        /// Keeps the queue of readings open.
        _events: mpsc::Receiver<DeviceEvent>,
        reader: JoinHandle<()>,
        link: JoinHandle<()>,
    }

    impl Line {
        fn new(reading: impl Future<Output = ()> + Send + 'static) -> Line {
            let pulse = Pulse::default();
            let (heart, messages) = mpsc::channel(4);
            let (events, _events) = mpsc::channel(1);
            let reader = tokio::spawn(pulse.reader("device press-1".to_owned(), heart, events).alongside(reading));
            let link = tokio::spawn(pulse.publisher("the link").alongside(std::future::pending()));
            Line { pulse, messages, _events, reader, link }
        }

        /// As much as the heart does with one beat.
        async fn heart(&mut self) {
            let Some(Message::Beat { seat, beat }) = self.messages.recv().await else { panic!("a beat") };
            self.pulse.read(seat, beat);
        }

        async fn crosses(&self, beat: u64) -> bool {
            tokio::time::timeout(Duration::from_secs(1), self.pulse.crossed(beat)).await.is_ok()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_beat_crosses_when_every_stage_passes_it_on() {
        let mut line = Line::new(std::future::pending());
        let beat = line.pulse.begin();
        line.heart().await;
        line.pulse.turn(at(0), COMMIT);
        line.pulse.turn(at(200), COMMIT);
        assert!(line.crosses(beat).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_a_beat_has_met_a_commit_before_it_goes_on() {
        let mut line = Line::new(std::future::pending());
        let beat = line.pulse.begin();
        line.pulse.turn(at(0), COMMIT);
        assert_eq!(line.pulse.held_by(beat), "device press-1");
        line.heart().await;
        line.pulse.turn(at(900), COMMIT);
        line.pulse.turn(at(1099), COMMIT);
        assert!(!line.crosses(beat).await);
        assert_eq!(line.pulse.held_by(beat), "the engine, or the disk below it");
        line.pulse.turn(at(1100), COMMIT);
        assert!(line.crosses(beat).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_whose_task_is_gone_holds_the_beat_and_a_device_whose_task_is_gone_does_not() {
        let mut line = Line::new(std::future::pending());
        line.link.abort();
        let _ = (&mut line.link).await;
        let beat = line.pulse.begin();
        line.heart().await;
        line.reader.abort();
        let _ = (&mut line.reader).await;
        line.pulse.turn(at(0), COMMIT);
        line.pulse.turn(at(300), COMMIT);
        assert!(!line.crosses(beat).await);
        assert_eq!(line.pulse.held_by(beat), "the link, whose task is not running");
        let _link = tokio::spawn(line.pulse.publisher("the link").alongside(std::future::pending::<()>()));
        assert!(line.crosses(beat).await, "a link that was started again is alive");
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_takes_nothing_is_named_and_not_the_devices_before_it() {
        let line = Line::new(std::future::pending());
        let beat = line.pulse.begin();
        assert!(!line.crosses(beat).await);
        assert_eq!(line.pulse.held_by(beat), "the engine, or the disk below it");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_driver_that_does_not_yield_holds_the_beat_back_under_its_name() {
        let (let_go, wait) = std::sync::mpsc::channel::<()>();
        let (stuck, is_stuck) = tokio::sync::oneshot::channel();
        let mut line = Line::new(async move {
            stuck.send(()).unwrap();
            let _ = wait.recv();
        });
        is_stuck.await.unwrap();
        let beat = line.pulse.begin();
        line.pulse.turn(at(0), COMMIT);
        line.pulse.turn(at(300), COMMIT);
        assert!(line.messages.try_recv().is_err());
        assert_eq!(line.pulse.held_by(beat), "device press-1");
        drop(let_go);
        line.reader.await.unwrap();
        line.pulse.turn(at(600), COMMIT);
        line.pulse.turn(at(900), COMMIT);
        line.pulse.crossed(beat).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_of_readings_that_nobody_empties_holds_the_beat_back() {
        let pulse = Pulse::default();
        let (heart, mut messages) = mpsc::channel(4);
        let (events, mut readings) = mpsc::channel(1);
        events.try_send(DeviceEvent::Readings(Vec::new())).unwrap();
        let seat = pulse.reader("device press-1".to_owned(), heart, events);
        let _reader = tokio::spawn(seat.alongside(std::future::pending::<()>()));
        pulse.begin();
        assert!(tokio::time::timeout(Duration::from_secs(1), messages.recv()).await.is_err());
        readings.recv().await.unwrap();
        assert!(matches!(messages.recv().await, Some(Message::Beat { beat: 1, .. })));
    }
}
