#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic, and its clock is tokio's")]
//! A poller with a scripted device, in tokio's paused time.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use lingate_drivers::{Acquisition, BoxFuture, Point};
use lingate_model::{BuiltinType, ClockState, Origin, Reading, StatusCode};
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
    /// Then it answers with what its protocol forbids.
    BreakProtocolAfter(Duration),
    /// Serves every slot of so much time, and then begins a poll that never ends.
    ServeThenHang(Duration),
    PanicAtWork,
    HangForEver,
    /// Takes its downtime, tells so many slots of each point from the history, the rest as missed, and lives on.
    Backfill(u64),
    /// Takes its downtime and hangs over it.
    TakeAndHang,
}

/// A device that follows a script and then lives for ever.
struct Scripted {
    points: Vec<Point>,
    script: Mutex<VecDeque<Attempt>>,
    backfills: bool,
}

impl Scripted {
    fn new(script: impl IntoIterator<Item = Attempt>) -> Scripted {
        let point = |(id, millis): (usize, &u64)| Point {
            id: PointId(u32::try_from(id).unwrap()),
            builtin_type: BuiltinType::Double,
            rank: 0,
            places: None,
            interval: Duration::from_millis(*millis),
            acquisition: Acquisition::Polled,
            source: String::new(),
        };
        let points = INTERVALS.iter().enumerate().map(point).collect();
        Scripted { points, script: Mutex::new(script.into_iter().collect()), backfills: false }
    }
}

impl Device for Scripted {
    fn points(&self) -> &[Point] {
        &self.points
    }
    fn backfills(&self) -> bool {
        self.backfills
    }
    fn address(&self) -> String {
        "test".to_owned()
    }
    fn connect<'a>(&'a self, _: &'a Site) -> BoxFuture<'a, Result<Box<dyn Session>, LinkError>> {
        let attempt = self.script.lock().unwrap().pop_front();
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
    fn run<'a>(&'a mut self, sink: &'a Sink) -> BoxFuture<'a, LinkError> {
        Box::pin(async {
            match self.0 {
                Some(Attempt::ServeThenHang(time)) => {
                    let Err(closed) = serve(sink, time).await else { std::future::pending().await };
                    return closed.into();
                }
                Some(Attempt::LiveFor(time)) => tokio::time::sleep(time).await,
                Some(Attempt::BreakProtocolAfter(time)) => {
                    tokio::time::sleep(time).await;
                    return LinkError::Protocol { what: "an answer that cannot be decoded".to_owned() };
                }
                Some(Attempt::PanicAtWork) => panic!("a defect at work"),
                Some(Attempt::Backfill(slots)) => {
                    backfill(sink, slots).await.unwrap();
                    let Err(closed) = sink.pause(Duration::MAX).await else { unreachable!("nobody lives so long") };
                    return closed.into();
                }
                Some(Attempt::TakeAndHang) => {
                    assert!(sink.take_downtime().is_some());
                    std::future::pending::<()>().await;
                }
                _ => std::future::pending().await,
            }
            LinkError::Closed
        })
    }
}

/// One reading for each slot, in the order of time.
async fn serve(sink: &Sink, time: Duration) -> Result<(), SinkClosed> {
    let start = sink.now().monotonic;
    let mut due = INTERVALS.map(|_| Duration::ZERO);
    while let Some((point, at)) = due.iter().copied().enumerate().min_by_key(|(_, at)| *at).filter(|(_, at)| *at < time)
    {
        sink.pause((start + at).saturating_sub(sink.now().monotonic)).await?;
        let id = PointId(u32::try_from(point).unwrap());
        let reading = Reading::bad(id, StatusCode::BAD, sink.now().utc);
        sink.send(DeviceEvent::Readings(vec![reading])).await?;
        due[point] += Duration::from_millis(INTERVALS[point]);
    }
    Ok(())
}

async fn backfill(sink: &Sink, slots: u64) -> Result<(), SinkClosed> {
    let Some(mut downtime) = sink.take_downtime() else { return Ok(()) };
    for (point, owed) in &mut downtime.slots {
        let filled = slots.min(*owed);
        *owed -= filled;
        let reading = Reading { origin: Origin::Backfilled, ..Reading::bad(*point, StatusCode::BAD, sink.now().utc) };
        sink.send(DeviceEvent::Readings(vec![reading; usize::try_from(filled).unwrap()])).await?;
    }
    sink.send(DeviceEvent::Missed(downtime)).await
}

struct Outcome {
    /// Missed while the device was down.
    slots: BTreeMap<u32, u64>,
    reports: Vec<Missed>,
    /// What sessions left.
    left: Vec<Missed>,
    readings: BTreeMap<u32, u64>,
    /// When the device was seen going down, and up.
    states: Vec<(Duration, DeviceState)>,
}

const INTERVALS: [u64; 3] = [7, 500, 3000];

type Ways = (mpsc::Sender<Message>, mpsc::Sender<DeviceEvent>, Arc<dyn Clock>);

fn poller(name: &str, device: Arc<dyn Device>, numbers: Numbers, (heart, events, clock): Ways) -> Poller {
    Poller {
        name: name.parse().unwrap(),
        device,
        numbers,
        site: Arc::new(Site::bare(std::env::temp_dir())),
        heart,
        events,
        clock,
        downtime: Arc::default(),
        ledger: Arc::default(),
        handed_over: Arc::default(),
        pulse: Pulse::default(),
        panics: Panics::default(),
    }
}

/// Lets a poller follow the script for `time`, then stops it.
async fn follow(script: &[Attempt], time: Duration) -> Outcome {
    follow_device(Scripted::new(script.iter().copied()), time).await
}

async fn follow_device(device: Scripted, time: Duration) -> Outcome {
    let clock: Arc<dyn Clock> = Arc::new(Paused(Instant::now()));
    let (heart, mut messages) = mpsc::channel(10_000);
    let (events, mut sent) = mpsc::channel(10_000);
    let poller = poller("press-1", Arc::new(device), Numbers::default(), (heart, events, clock.clone()));
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
    let (mut reports, mut left) = (Vec::new(), Vec::new());
    let (mut slots, mut readings) = (BTreeMap::new(), BTreeMap::new());
    while let Ok(event) = sent.try_recv() {
        match event {
            DeviceEvent::Missed(missed) if missed.cause == MissedCause::DeviceDown => reports.push(missed),
            DeviceEvent::Missed(missed) => left.push(missed),
            DeviceEvent::Report(..) => {}
            DeviceEvent::Readings(read) => read.iter().for_each(|r| *readings.entry(r.point.0).or_default() += 1),
        }
    }
    for (point, count) in reports.iter().flat_map(|missed| &missed.slots) {
        *slots.entry(point.0).or_default() += count;
    }
    Outcome { slots, reports, left, readings, states }
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
async fn slots_after_an_answer_that_cannot_be_decoded_say_so_until_the_device_is_gone() {
    let seconds = Duration::from_secs;
    let script = [
        Attempt::LiveFor(seconds(40)),
        Attempt::BreakProtocolAfter(seconds(40)),
        Attempt::LiveFor(seconds(40)),
        Attempt::BreakProtocolAfter(seconds(40)),
        Attempt::FailAfter(seconds(9)),
    ];
    let outcome = follow(&script, seconds(240)).await;
    let garbled: Vec<_> = outcome.left.iter().filter(|missed| missed.cause == MissedCause::DecodeFailure).collect();
    assert_eq!(garbled.len(), 1, "{:?}", outcome.left);
    assert!((80_000_000..83_000_000).contains(&garbled[0].from.0) && garbled[0].slots[0].1 > 10, "{garbled:?}");
    assert!(outcome.reports.iter().any(|missed| missed.to.0 > 160_000_000), "a device that is gone is down");
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
    let mut downtime = Downtime::start(&Scripted::new([]), at(0, 1_000_000), MissedCause::DeviceDown);
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

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_again_and_again_costs_the_other_device_no_slot_and_is_counted() {
    let (heart, _messages) = mpsc::channel(10_000);
    let (events, mut sent) = mpsc::channel(20_000);
    let ways: Ways = (heart, events, Arc::new(Paused(Instant::now())));
    let (panics, (_stopper, told), minute) = (Panics::default(), stop(), Duration::from_secs(60));
    let scripts =
        [("fragile", 0, vec![Attempt::PanicAtWork; 1_000]), ("good", 100, vec![Attempt::ServeThenHang(minute)])];
    for (name, first, script) in scripts {
        let device = Arc::new(Scripted::new(script));
        let numbers = Numbers::of(&*device, PointId(first));
        let poller = Poller { panics: panics.clone(), ..poller(name, device, numbers, ways.clone()) };
        tokio::spawn(poller.run(told.clone()));
    }
    tokio::time::sleep(minute).await;
    let readings = std::iter::from_fn(|| sent.try_recv().ok()).filter_map(|event| match event {
        DeviceEvent::Readings(readings) => Some(readings.iter().filter(|it| it.point.0 >= 100).count() as u64),
        _ => None,
    });
    let read: u64 = readings.sum();
    assert_eq!(read, INTERVALS.iter().map(|interval| 60_000_u64.div_ceil(*interval)).sum::<u64>());
    let counted = panics.of(&"fragile".parse().unwrap());
    assert!((15..200).contains(&counted) && panics.of(&"good".parse().unwrap()) == 0, "{counted} panics");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_down_shows_its_last_reason_until_it_is_connected() {
    let outcome = follow(&[Attempt::FailAfter(Duration::from_secs(3)); 3], Duration::from_secs(60)).await;
    let states: Vec<&DeviceState> = outcome.states.iter().map(|(_, state)| state).collect();
    let [DeviceState::Connecting, reasons @ .., DeviceState::Connected] = &states[..] else { panic!("{states:?}") };
    assert_eq!(reasons.len(), 3);
    assert!(reasons.iter().all(|state| matches!(state, DeviceState::BackingOff { .. })), "{states:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_cut_at_the_stop_leaves_no_slot_untold() {
    let (hung, stopped) = (Duration::from_millis(10_001), Duration::from_millis(11_000));
    let outcome = follow(&[Attempt::ServeThenHang(hung)], stopped).await;
    let [left] = &outcome.left[..] else { panic!("{:?}", outcome.left) };
    let end = stopped + LAST_POLL;
    for (id, interval) in (0_u32..).zip(INTERVALS) {
        let missed: u64 = left.slots.iter().filter(|(point, _)| point.0 == id).map(|(_, slots)| slots).sum();
        assert!(missed > 0);
        assert_eq!(outcome.readings[&id] + missed, end.as_millis() as u64 / interval + 1, "point {id}");
    }
    assert_eq!((left.from, left.to), (UtcMicros(10_003_000), UtcMicros(13_000_000)), "from the first slot not served");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_served_all_its_slots_leaves_none_at_the_stop() {
    let outcome = follow(&[Attempt::ServeThenHang(Duration::MAX)], Duration::from_millis(10_001)).await;
    assert_eq!(outcome.left, []);
    assert_eq!(outcome.readings, BTreeMap::from([(0, 1429), (1, 21), (2, 4)]));
}

#[tokio::test(start_paused = true)]
async fn what_a_panic_in_a_driver_was_reading_is_missed() {
    let outcome = follow(&[Attempt::PanicAtWork, Attempt::HangForEver], Duration::from_secs(20)).await;
    let [left] = &outcome.left[..] else { panic!("{:?}", outcome.left) };
    assert_eq!(left.slots, [(PointId(0), 1), (PointId(1), 1), (PointId(2), 1)]);
}

/// Follows the script with a device that fills its downtimes from its history.
async fn follow_backfilling(script: &[Attempt], time: Duration) -> Outcome {
    follow_device(Scripted { backfills: true, ..Scripted::new(script.iter().copied()) }, time).await
}

fn slots_of(missed: &[Missed]) -> BTreeMap<u32, u64> {
    missed.iter().flat_map(|missed| &missed.slots).map(|(point, slots)| (point.0, *slots)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_downtime_is_handed_to_the_session_that_can_fill_it_and_told_once() {
    let down = Duration::from_secs(60);
    let script = [Attempt::FailAfter(down), Attempt::Backfill(10)];
    let outcome = follow_backfilling(&script, Duration::from_secs(120)).await;
    let expected = expected(&outcome, Duration::from_secs(120));
    assert_eq!(outcome.reports.len(), 1, "nothing is reported while the history may fill it: {:?}", outcome.reports);
    for (point, slots) in expected {
        let (told, missed) = (outcome.readings[&point], slots_of(&outcome.reports)[&point]);
        assert_eq!((told, told + missed), (slots.min(10), slots), "point {point}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_downtime_that_no_session_takes_is_reported_as_missed() {
    let script = [Attempt::FailAfter(Duration::from_secs(60)), Attempt::LiveFor(Duration::from_secs(30))];
    for (script, stopped) in [(&script[..], 100), (&script[..1], 30), (&script[..], 80)] {
        let outcome = follow_backfilling(script, Duration::from_secs(stopped)).await;
        let end = Duration::from_secs(stopped);
        assert_eq!(outcome.slots, expected(&outcome, end), "stopped after {stopped} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_downtime_that_a_session_is_cut_over_is_reported_at_the_stop() {
    let script = [Attempt::FailAfter(Duration::from_secs(60)), Attempt::TakeAndHang];
    let outcome = follow_backfilling(&script, Duration::from_secs(90)).await;
    assert_eq!(outcome.slots, expected(&outcome, Duration::from_secs(90)));
}

#[tokio::test(start_paused = true)]
async fn a_downtime_longer_than_a_day_is_reported_and_no_history_is_asked_for_it() {
    let day = Duration::from_secs(24 * 3600);
    let script = [Attempt::HangForEver; 3000];
    let outcome = follow_backfilling(&script, day + Duration::from_secs(100)).await;
    assert_eq!(outcome.slots, expected(&outcome, day + Duration::from_secs(100)));
    assert!(outcome.reports[0].to.0 > day.as_micros() as i64, "not before the day is over");
    assert!(outcome.reports.len() > 5, "and from then on like any other device's");
}

#[test]
fn a_subscribed_point_misses_only_what_its_device_could_not_say_any_more() {
    let at = |seconds: u64| Now {
        monotonic: Duration::from_secs(seconds),
        utc: UtcMicros(seconds as i64 * 1_000_000),
        clock: ClockState::Synced,
    };
    let mut points = Scripted::new([]).points;
    points.iter_mut().for_each(|point| point.acquisition = Acquisition::Subscribed);
    let name = "press-1".parse().unwrap();
    let mut ledger = Ledger::start(at(0), &points, None);
    ledger.enter(at(100), &DeviceEvent::Readings(vec![Reading::bad(PointId(0), StatusCode::BAD, at(100).utc)]));
    let left = ledger.rest(&name, &points, at(103)).unwrap();
    assert_eq!(left.slots, [(PointId(0), 428), (PointId(1), 6), (PointId(2), 1)]);
    assert_eq!((left.from, left.to), (at(100).utc, at(103).utc));
    assert_eq!(ledger.rest(&name, &points, at(100)), None);
    ledger.ended();
    assert_eq!(ledger.rest(&name, &points, at(9_999)), None, "a device that is quiet has nothing to say");
}
