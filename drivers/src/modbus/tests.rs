//! The session in virtual time, against a device of a few lines on the other end of a pipe.

use std::collections::BTreeMap;

use lingate_model::{Clock, ClockState, Missed, MissedCause, Now, Reading, StatusCode, UtcMicros, Value};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::frame::Framing;
use super::transport::{Stream, Transport};
use super::*;
use crate::schedule::Schedule;
use crate::settings::{DeTable, Table};
use crate::{DeviceEvent, PointSettings, Sink};

use std::time::Duration;
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);

/// Fast, slow and a point of another area, so that the fast group needs two requests.
const POINTS: &str = "
[[point]]
register = 'holding:0'
type = 'u16'
[[point]]
register = 'input:5'
type = 'u16'
[[point]]
register = 'holding:1'
type = 'u16'
slow = true
";

fn ms_of(time: UtcMicros) -> u64 {
    u64::try_from(time.0).unwrap() / 1000
}

/// When the first slots of the fast and of the slow group are due.
fn first_slots() -> [u64; 2] {
    let mut schedule = Schedule::staggered(Duration::ZERO, "plc-7", [100 * MS, 250 * MS]);
    let mut first = [None; 2];
    while let (Some((group, due)), true) = (schedule.next(), first.contains(&None)) {
        first[group].get_or_insert(due.as_millis() as u64);
        schedule.claim(group, due);
    }
    first.map(Option::unwrap)
}

#[tokio::test(start_paused = true)]
async fn slots_stand_on_their_grid_and_one_poll_has_one_time() {
    let mut bench = Bench::start(Script::answering_after(10 * MS), 1000);
    let events = bench.events_until(1000 * MS).await;
    let times = |point: u32| readings(&events).filter(move |r| r.point == PointId(point)).map(|r| ms_of(r.gateway_time));
    let [fast, slow] = first_slots();
    assert!(fast < 100 && slow < 250 && slow % 100 != fast, "{fast} and {slow} coincide");
    let late: Vec<_> = times(0).enumerate().map(|(k, time)| time - fast - k as u64 * 100).collect();
    assert!(late.len() >= 9 && late.iter().all(|late| (20..=32).contains(late)), "two requests of 10 ms each: {late:?}");
    assert!(times(0).eq(times(1)), "both requests of a poll have its end as their time");
    let late: Vec<_> = times(2).enumerate().map(|(k, time)| time - slow - k as u64 * 250).collect();
    assert!(late.len() >= 3 && late.iter().all(|late| (10..=32).contains(late)), "{late:?}");
    assert!(readings(&events).all(|reading| reading.value == Some(Value::UInt16(7))));
}

#[tokio::test(start_paused = true)]
async fn a_device_slower_than_its_interval_leaves_counted_slots() {
    let mut bench = Bench::start(Script::answering_after(130 * MS), 1000);
    let events = bench.events_until(2000 * MS).await;
    let missed: Vec<_> = missed(&events).collect();
    assert!(missed.iter().all(|missed| missed.cause == MissedCause::Overload && missed.from <= missed.to));
    let fast: u64 = missed.iter().flat_map(|missed| &missed.slots).filter(|(id, _)| id.0 == 0).map(|(_, n)| n).sum();
    let read = readings(&events).filter(|reading| reading.point.0 == 0).count() as u64;
    assert!(read >= 4 && (15..=20).contains(&(fast + read)), "{read} read, {fast} missed");
}

#[tokio::test(start_paused = true)]
async fn lateness_is_told_at_most_once_a_second() {
    let mut bench = Bench::start(Script::answering_after(30 * MS), 1000);
    let events = bench.events_until(3500 * MS).await;
    let reports = events.iter().filter_map(|event| match event {
        DeviceEvent::Report(name, report) if name.to_string() == "plc-7" => Some(report),
        _ => None,
    });
    let reports: Vec<_> = reports.collect();
    assert!((3..=4).contains(&reports.len()), "{}", reports.len());
    let lateness = reports[2].lateness.unwrap();
    assert!(lateness.newest >= 30 * MS && lateness.worst >= 60 * MS && lateness.worst < 100 * MS, "{lateness:?}");
    assert!(reports[2].counters["requests"] > 40 && reports[2].counters["timeouts"] == 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_delays_the_polls_and_the_slots_are_declared() {
    let mut bench = Bench::start(Script::answering_after(MS), 1);
    sleep(5000 * MS).await;
    let events = bench.events_until(6000 * MS).await;
    let lost: u64 = missed(&events).flat_map(|missed| &missed.slots).filter(|(id, _)| id.0 == 0).map(|(_, n)| n).sum();
    let read = readings(&events).filter(|reading| reading.point.0 == 0).count() as u64;
    assert!(lost > 40, "{lost}");
    assert_eq!(lost + read, 60);
}

#[tokio::test(start_paused = true)]
async fn after_a_timeout_the_connection_is_closed_and_nothing_more_is_asked() {
    let script = Script { reply: |asked| if asked < 2 { Reply::After(MS) } else { Reply::Never } };
    let mut bench = Bench::start(script, 1000);
    let events = bench.events_until(Duration::MAX).await;
    let bad: Vec<_> = readings(&events).filter(|r| r.status.is_bad()).map(|r| r.status).collect();
    assert_eq!(bad[0], StatusCode::BAD_TIMEOUT);
    assert!(bad[1..].iter().all(|status| *status == StatusCode::BAD_COMMUNICATION_ERROR), "{bad:?}");
    let loss = bench.session.await.unwrap();
    assert!(matches!(loss, LinkError::Connect { .. }), "this pipe opens once: {loss}");
    assert_eq!(bench.device.await.unwrap(), 3, "requests that the device saw until its end of the pipe closed");
}

/// Row M06 of the plan for hostile devices: the deadline is of the whole answer, to 50 ms.
#[tokio::test(start_paused = true)]
async fn an_answer_that_drips_holds_nobody_up_beyond_its_deadline() {
    // 11 bytes: each comes in time, the last one after 3.3 s. The timeout is 1 s.
    let script = Script { reply: |asked| if asked == 0 { Reply::After(MS) } else { Reply::Drip(300 * MS) } };
    let mut bench = Bench::start(script, 1000);
    let events = bench.events_until(Duration::MAX).await;
    let bad = readings(&events).find(|reading| reading.status == StatusCode::BAD_TIMEOUT).unwrap();
    let before = readings(&events).map(|reading| ms_of(reading.gateway_time)).filter(|time| *time < ms_of(bad.gateway_time));
    let asked = before.max().unwrap_or(first_slots()[0]);
    let stuck = ms_of(bad.gateway_time) - asked;
    assert!((1000..=1150).contains(&stuck), "{stuck} ms since the slot before, of which 100 ms are the interval");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_stops_ends_the_session() {
    let bench = Bench::start(Script::answering_after(MS), 1000);
    drop(bench.events);
    assert!(matches!(bench.session.await.unwrap(), LinkError::SinkClosed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Promise D1, for every point and until the very end of the session.
    #[test]
    fn every_slot_is_a_reading_or_missed(delays in prop::collection::vec(0..1300_u64, 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut bench = Bench::start_with(move |asked| delays.get(asked).map_or(Reply::Never, |d| Reply::After(MS * *d as u32)), 1000);
            let events = bench.events_until(Duration::MAX).await;
            let end = bench.began.elapsed();
            let mut slots = BTreeMap::new();
            readings(&events).for_each(|reading| *slots.entry(reading.point.0).or_insert(0) += 1);
            missed(&events).flat_map(|missed| &missed.slots).for_each(|(id, n)| *slots.entry(id.0).or_insert(0) += n);
            let [fast, slow] = first_slots();
            let due = |first: u64, interval: u64| (end.as_millis() as u64).checked_sub(first).map_or(0, |time| time / interval + 1);
            let due = [(0, due(fast, 100)), (1, due(fast, 100)), (2, due(slow, 250))];
            assert_eq!(slots, due.into_iter().filter(|(_, slots)| *slots > 0).collect());
            assert!(readings(&events).all(|reading| reading.value.is_some() != reading.status.is_bad()));
        });
    }
}

enum Reply {
    After(Duration),
    /// Byte by byte, with this time before each.
    Drip(Duration),
    Never,
}

/// What the device does with its nth request.
struct Script<F> {
    reply: F,
}

impl Script<fn(usize) -> Reply> {
    fn answering_after(delay: Duration) -> Script<impl Fn(usize) -> Reply + Send + 'static> {
        Script { reply: move |_| Reply::After(delay) }
    }
}

struct Bench {
    session: tokio::task::JoinHandle<LinkError>,
    /// Ends with the number of requests when its end of the pipe closes.
    device: tokio::task::JoinHandle<usize>,
    events: mpsc::Receiver<DeviceEvent>,
    began: Instant,
}

impl Bench {
    fn start(script: Script<impl Fn(usize) -> Reply + Send + 'static>, queue: usize) -> Bench {
        Bench::start_with(script.reply, queue)
    }

    fn start_with(reply: impl Fn(usize) -> Reply + Send + 'static, queue: usize) -> Bench {
        let (near, far) = duplex(1024);
        let mut plan = plan();
        let near = Mutex::new(Some(near));
        // Only once: the device is gone when its end is closed.
        let pipe = move || near.lock().unwrap().take().map(|near| Box::new(near) as Box<dyn Stream>);
        plan.settings.line.transport = Transport::Pipe { pipe: Arc::new(pipe), framing: Framing::Mbap };
        let (sender, events) = mpsc::channel(queue);
        let began = Instant::now();
        let sink = Sink::new(sender, Arc::new(TestClock(began)));
        let session = tokio::spawn(async move {
            let modbus = Modbus { plan: Arc::new(plan), line: OnceLock::new() };
            let mut session = modbus.connect(&Site::bare("/nowhere".into())).await.unwrap();
            session.run(&sink).await
        });
        Bench { session, device: tokio::spawn(device(far, reply)), events, began }
    }

    /// All that comes before this time, or until the session ends.
    async fn events_until(&mut self, end: Duration) -> Vec<DeviceEvent> {
        let mut events = Vec::new();
        let rest = end.saturating_sub(self.began.elapsed()).min(Duration::from_secs(86_400));
        let until = sleep(rest);
        tokio::pin!(until);
        loop {
            tokio::select! {
                biased;
                () = &mut until => return events,
                event = self.events.recv() => match event {
                    Some(event) => events.push(event),
                    None => return events,
                },
            }
        }
    }
}

fn readings(events: &[DeviceEvent]) -> impl DoubleEndedIterator<Item = &Reading> {
    events.iter().flat_map(|event| match event {
        DeviceEvent::Readings(readings) => readings.as_slice(),
        DeviceEvent::Missed(_) | DeviceEvent::Report(..) => &[],
    })
}

fn missed(events: &[DeviceEvent]) -> impl Iterator<Item = &Missed> {
    events.iter().filter_map(|event| match event {
        DeviceEvent::Missed(missed) => Some(missed),
        DeviceEvent::Readings(_) | DeviceEvent::Report(..) => None,
    })
}

/// Every register is 7.
async fn device(mut wire: DuplexStream, reply: impl Fn(usize) -> Reply) -> usize {
    let mut request = [0; 12];
    for asked in 0.. {
        if wire.read_exact(&mut request).await.is_err() {
            return asked;
        }
        let mut answer = [0, 0, 0, 0, 0, 5, 1, 0, 2, 0, 7];
        answer[..2].copy_from_slice(&request[..2]);
        answer[7] = request[7];
        let (piece, delay) = match reply(asked) {
            Reply::After(delay) => (answer.len(), delay),
            Reply::Drip(delay) => (1, delay),
            Reply::Never => continue,
        };
        for piece in answer.chunks(piece) {
            sleep(delay).await;
            if wire.write_all(piece).await.is_err() {
                return asked + 1;
            }
        }
    }
    unreachable!("requests can be counted")
}

fn plan() -> Plan {
    let text = format!("address = 'plc-7'\nidentify = false\n{POINTS}");
    let file = DeTable::parse(&text).unwrap();
    let mut table = Table::new(file.get_ref(), file.span(), "");
    let points = table.take("point").tables(3..=3).into_iter().map(|mut table| {
        let every = table.take("slow").boolean().map(|_| 250 * MS);
        PointSettings { every, table }
    });
    let (points, name) = (points.collect(), "plc-7".parse().unwrap());
    let settings = DeviceSettings { name, every: 100 * MS, first_point: PointId(0), table, points };
    Plan::parse(settings, Protocol::Tcp).unwrap()
}

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Now {
        let monotonic = self.0.elapsed();
        Now { monotonic, utc: UtcMicros(monotonic.as_micros() as i64), clock: ClockState::Synced }
    }
}
