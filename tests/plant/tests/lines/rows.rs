//! Rows M01 to M20 of the plan for hostile devices, one test each: what the unit does, on which transports, and what must
//! hold besides "no wrong value", which the bench checks with every reading.

use std::time::{Duration, Instant};

use lingate_model::StatusCode;
use lingate_plant::rig::{Fault, Framing, Wire};

use crate::bench::{Bench, HASTY, PATIENT};

const MS: Duration = Duration::from_millis(1);
/// The longest pause of a device that is alone on its line, and what a busy machine adds.
const BACK: Duration = Duration::from_secs(20);

const TCP: Wire = Wire::Tcp(Framing::Mbap);
const RTU: Wire = Wire::Serial(Framing::Rtu);
const RTU_TCP: Wire = Wire::Tcp(Framing::Rtu);
const ASCII: Wire = Wire::Serial(Framing::Ascii);
const WITH_TRANSACTIONS: &[Wire] = &[TCP, Wire::Udp, Wire::Tls];
const WITHOUT: &[Wire] = &[RTU, ASCII, RTU_TCP];

/// Each fault for the next answer, then two honest ones (one may only bring the line back in step); after all of them the unit comes back.
async fn check(wires: &[Wire], faults: &[Fault], settings: &str) {
    for wire in wires {
        let bench = Bench::start(*wire, 1, 80).await;
        bench.rig.play(faults.iter().flat_map(|fault| [fault.clone(), Fault::None, Fault::None]));
        let mut poller = bench.poll(1, "10ms", &format!("{settings}identify = false\n"));
        poller.until_played(&bench).await;
        poller.until_good(&bench, 2 * BACK).await;
        bench.assert_only_reads();
    }
}

#[tokio::test]
async fn m01_a_wrong_transaction_id_gives_no_value() {
    let adds = [u16::MAX, 1, 2, 4660, 0x8000];
    check(WITH_TRANSACTIONS, &adds.map(Fault::Transaction), HASTY).await;
}

#[tokio::test]
async fn m02_a_late_answer_is_never_taken_for_the_next() {
    for wire in [TCP, Wire::Udp, RTU, ASCII, RTU_TCP] {
        let bench = Bench::start(wire, 1, 130).await;
        bench.rig.play((0..40).map(|k| if k % 4 == 1 { Fault::Late(120 * MS) } else { Fault::None }));
        let mut poller = bench.poll(1, "10ms", &format!("{HASTY}identify = false\n"));
        poller.until_played(&bench).await;
        poller.until_good(&bench, BACK).await;
        assert!(poller.seen.bad.contains_key(&StatusCode::BAD_TIMEOUT), "{wire:?}: {:?}", poller.seen.bad);
    }
}

#[tokio::test]
async fn m03_an_answer_of_another_unit_function_or_protocol_gives_no_value() {
    let faults = [Fault::Unit(9), Fault::Unit(0), Fault::Function(4), Fault::Function(1), Fault::Function(0x17)];
    check(&Wire::ALL, &faults, HASTY).await;
    check(&[TCP, Wire::Tls], &[Fault::Protocol(1), Fault::Protocol(0x8000)], HASTY).await;
}

#[tokio::test]
async fn m04_any_other_count_is_refused() {
    let counts = [-1, 1, -2, 2, -125, -124].map(Fault::Count);
    let bytes = [0, 1, 3, 249, 251, 255].map(Fault::ByteCount);
    check(&Wire::ALL, &counts, HASTY).await;
    check(&Wire::ALL, &bytes, HASTY).await;
}

#[tokio::test]
async fn m05_any_other_length_in_the_header_is_refused() {
    let lengths = [0, 1, 2, 4, 252, 254, 255, 256, 260, 65_535].map(Fault::Length);
    check(&[TCP, Wire::Udp, Wire::Tls], &lengths, HASTY).await;
}

#[tokio::test]
async fn m06_a_deadline_counts_for_the_whole_answer_and_not_for_each_byte() {
    for wire in [TCP, Wire::Tls, RTU, ASCII, RTU_TCP] {
        for fault in [Fault::Torn(3), Fault::Torn(7), Fault::Torn(40), Fault::Drip(40 * MS)] {
            let bench = Bench::start(wire, 1, 60).await;
            bench.rig.always(fault.clone());
            let mut poller = bench.poll(1, "10ms", &format!("{HASTY}identify = false\n"));
            let began = Instant::now();
            let readings = poller.next(&bench).await;
            assert!(readings.iter().all(|reading| reading.value.is_none()));
            // 60 values are 125 bytes: byte by byte they would take 5 s.
            assert!(began.elapsed() < BACK / 5, "{wire:?} {fault:?}: {:?}", began.elapsed());
        }
    }
}

#[tokio::test]
async fn m07_what_comes_with_an_answer_is_never_used_for_the_next() {
    let garbage = [vec![0xA5; 5], vec![0xA5; 300], vec![0, 1, 0, 0, 0, 5, 1, 3, 2, 0, 7], vec![1, 3, 2, 0, 7, 0, 0]];
    let faults: Vec<_> =
        garbage.into_iter().flat_map(|bytes| [Fault::After(bytes.clone()), Fault::Before(bytes)]).collect();
    check(&Wire::ALL, &faults, HASTY).await;
    check(&Wire::ALL, &[Fault::Twice, Fault::Merged(2), Fault::Merged(1), Fault::Twice], HASTY).await;
    check(&[TCP, RTU, ASCII, RTU_TCP], &[Fault::Drip(Duration::ZERO)], PATIENT).await;
}

#[tokio::test]
async fn m08_every_exception_is_a_status_and_keeps_the_session() {
    let codes = (0..=11).chain([255]).map(Fault::Exception);
    let faults: Vec<_> = codes.filter(|fault| !matches!(fault, Fault::Exception(2 | 3))).collect();
    check(&Wire::ALL, &faults, PATIENT).await;
    check(&Wire::ALL, &[Fault::ExceptionTo(4, 2), Fault::ExceptionTo(1, 11)], HASTY).await;
    let bench = Bench::start(TCP, 1, 60).await;
    bench.rig.always(Fault::Exception(6));
    let poller = bench.poll(1, "10ms", PATIENT);
    tokio::time::sleep(Duration::from_secs(3)).await;
    drop(poller);
    let asked = bench.rig.asked();
    assert!(asked.requests[&1] < 20 && asked.connections == 1, "a busy unit is asked less and less: {asked:?}");
}

#[tokio::test]
async fn m09_no_pattern_in_the_registers_makes_a_poll_vanish() {
    use lingate_drivers::{DeviceEvent, Sink, Site};
    use lingate_plant::{DeviceSpec, Kind, Labels, Mode, rig::Rig};
    for pattern in [0x7FC0, 0x7F80, 0xFF80, 0x8000, 0x0001, 0xFFFF] {
        let rig = Rig::start(TCP, [DeviceSpec::new("extruder-7", Kind::Extruder, Mode::Instrument)]).await.unwrap();
        rig.always(Fault::Pattern(pattern));
        let device = crate::device::parse(&rig.toml(1, &Labels { every: "10ms", ..Labels::new("ds-1") }, PATIENT));
        let (sender, mut events) = tokio::sync::mpsc::channel(100);
        let sink = Sink::new(sender, crate::bench::clock());
        let mut session = device.connect(&Site::bare(std::env::temp_dir())).await.unwrap();
        let running = tokio::spawn(async move { session.run(&sink).await });
        let mut polls = 0;
        while polls < 3 {
            if let DeviceEvent::Readings(readings) = events.recv().await.unwrap() {
                assert_eq!(readings.len(), device.points().len(), "pattern {pattern:#06x}");
                polls += 1;
            }
        }
        running.abort();
    }
}

#[tokio::test]
async fn m10_a_unit_that_takes_connections_and_drops_them_is_not_asked_in_a_storm() {
    for fault in [Fault::Reset, Fault::Closed, Fault::Silence] {
        let bench = Bench::start(TCP, 1, 60).await;
        bench.rig.always(fault.clone());
        let poller = bench.poll(1, "10ms", &format!("{HASTY}identify = false\n"));
        tokio::time::sleep(Duration::from_secs(4)).await;
        drop(poller);
        let connections = bench.rig.asked().connections;
        assert!((2..=4).contains(&connections), "{fault:?}: {connections} connections in 4 s, and ever fewer");
        let open = open_sockets(bench.rig.address());
        assert!(open <= 1, "{fault:?}: {open} sockets are still open");
    }
}

/// Client ends that this process did not close, by the table of the kernel: what waits for its end only is none.
fn open_sockets(address: &str) -> usize {
    const TIME_WAIT: &str = "06";
    let port = format!(":{:04X}", address.rsplit(':').next().unwrap().parse::<u16>().unwrap());
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|fields| fields.len() > 3 && fields[2].ends_with(&port) && fields[3] != TIME_WAIT).count()
}

#[tokio::test]
async fn m11_a_device_for_one_client_is_never_connected_twice() {
    let bench = Bench::start(TCP, 3, 40).await;
    bench.rig.for_one();
    for settings in ["", "close_after_poll = true\n"] {
        let mut units: Vec<_> = (1..=3).map(|unit| bench.poll(unit, "30ms", &format!("{PATIENT}{settings}"))).collect();
        for poller in &mut units {
            poller.until_good(&bench, BACK).await;
            poller.polls(&bench, 5).await;
        }
        // As a restarted gateway does it: the old connection ends, a new one begins.
        drop(units);
    }
    let mut again = bench.poll(2, "30ms", PATIENT);
    again.until_good(&bench, BACK).await;
}

/// Its queue of connections is full and nobody takes one: the kernel drops every further one without a word.
struct BlackHole {
    address: String,
    _listener: std::net::TcpListener,
    _waiting: Vec<std::net::TcpStream>,
}

impl BlackHole {
    fn dig() -> BlackHole {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let listener = std::net::TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let connect = |_| std::net::TcpStream::connect_timeout(&address, 200 * MS).ok();
        let waiting: Vec<_> = (0..16).map_while(connect).collect();
        assert!(waiting.len() < 16, "this kernel's queue of none has no end");
        BlackHole { address: address.to_string(), _listener: listener, _waiting: waiting }
    }
}

#[tokio::test]
async fn m12_a_black_hole_among_ten_devices_moves_the_polls_of_none() {
    const EVERY: Duration = Duration::from_millis(100);
    let mut honest = Vec::new();
    for _ in 0..9 {
        honest.push(Bench::start(TCP, 1, 40).await);
    }
    let hole = BlackHole::dig();
    let dead = honest[0].poll_at(&hole.address, "100ms", "connect_timeout = \"500ms\"\n");
    let mut pollers: Vec<_> = honest.iter().map(|bench| bench.poll(1, "100ms", PATIENT)).collect();
    let mut late = Vec::new();
    for round in 0..40 {
        for (poller, bench) in pollers.iter_mut().zip(&honest) {
            let readings = poller.next(bench).await;
            assert!(readings.iter().all(|reading| reading.value.is_some()), "{:?}", poller.seen.bad);
            if round > 0 {
                late.push(poller.since_before.saturating_sub(EVERY).max(EVERY.saturating_sub(poller.since_before)));
            }
        }
    }
    late.sort_unstable();
    let (p50, p99) = (late[late.len() / 2], late[late.len() * 99 / 100]);
    println!("one black hole among ten: {} polls of the others, jitter p50 {p50:?}, p99 {p99:?}", late.len());
    // A slot that was missed because of the black hole would last as long as its connect_timeout. A busy machine may cost
    // a slot, and does not say so of nine devices at once.
    let missed: Vec<u64> = pollers.iter().map(|poller| poller.seen.missed).collect();
    assert!(missed.contains(&0), "{missed:?}");
    assert_eq!(dead.seen.good, 0);
}

#[tokio::test]
async fn m13_a_flood_ends_the_connection_and_not_the_gateway() {
    for wire in [TCP, Wire::Tls, RTU_TCP] {
        let bench = Bench::start(wire, 1, 60).await;
        bench.rig.play([Fault::None, Fault::Flood(20_000_000)]);
        let mut poller = bench.poll(1, "10ms", &format!("{HASTY}identify = false\n"));
        poller.until_played(&bench).await;
        poller.until_good(&bench, BACK).await;
    }
}

#[tokio::test]
async fn m14_noise_and_flipped_bits_on_a_serial_line_cost_an_answer_and_never_a_value() {
    let flips = (0..80).step_by(7).map(Fault::Flip);
    let noise = [vec![0], vec![0xFF, 0], vec![1, 3, 200], vec![0x55; 40]];
    let noise = noise.into_iter().flat_map(|bytes| [Fault::Before(bytes.clone()), Fault::After(bytes)]);
    let faults: Vec<_> = flips.chain(noise).chain([Fault::Merged(2), Fault::Merged(3)]).collect();
    check(WITHOUT, &faults, HASTY).await;
}

#[tokio::test]
async fn m15_a_port_that_disappears_is_opened_again_under_its_name() {
    for wire in [RTU, ASCII] {
        let bench = Bench::start(wire, 2, 40).await;
        let mut units: Vec<_> = (1..=2).map(|unit| bench.poll(unit, "20ms", HASTY)).collect();
        for poller in &mut units {
            poller.until_good(&bench, BACK).await;
        }
        bench.rig.stop().await;
        tokio::time::sleep(300 * MS).await;
        bench.rig.restart().await.unwrap();
        for poller in &mut units {
            poller.until_good(&bench, 2 * BACK).await;
        }
        bench.assert_only_reads();
    }
}

#[tokio::test]
async fn m16_an_echo_is_no_answer_and_another_master_no_obstacle() {
    for wire in WITHOUT {
        let bench = Bench::start(*wire, 2, 40).await;
        let mut poller = bench.poll(1, "10ms", &format!("{PATIENT}identify = false\n"));
        bench.rig.always(Fault::Echo);
        poller.until_good(&bench, BACK).await;
        poller.polls(&bench, 5).await;
        assert!(poller.seen.bad.is_empty(), "a line with local echo is read: {:?}", poller.seen.bad);
        bench.rig.always(Fault::OtherMaster(2));
        poller.polls(&bench, 5).await;
        poller.until_good(&bench, BACK).await;
    }
    check(WITHOUT, &[Fault::EchoOnly, Fault::OtherMaster(1), Fault::EchoOnly], HASTY).await;
}

#[tokio::test]
async fn m17_nothing_but_reads_and_the_identification_is_ever_sent() {
    let mut functions = std::collections::BTreeMap::new();
    for wire in Wire::ALL {
        let bench = Bench::start(wire, 2, 40).await;
        let faults = [Fault::Torn(4), Fault::Exception(2), Fault::Function(6), Fault::Function(16), Fault::Twice];
        bench.rig.play(faults.into_iter().flat_map(|fault| [fault, Fault::None, Fault::None, Fault::None]));
        let mut units: Vec<_> = (1..=2).map(|unit| bench.poll(unit, "20ms", HASTY)).collect();
        for poller in &mut units {
            poller.polls(&bench, 10).await;
        }
        bench.assert_only_reads();
        for (function, count) in bench.rig.asked().functions {
            *functions.entry(function).or_insert(0) += count;
        }
    }
    let all: u64 = functions.values().sum();
    let others: u64 = functions.iter().filter(|(function, _)| !matches!(function, 1..=4 | 43)).map(|(_, n)| n).sum();
    println!("other function codes: {others} of {all} frames, {functions:?}");
    assert!(all > 100 && others == 0 && functions.contains_key(&43));
}

#[tokio::test]
async fn m18_a_line_is_never_asked_more_often_than_its_rate_allows() {
    const RATE: usize = 40;
    for wire in [TCP, RTU] {
        let bench = Bench::start(wire, 3, 40).await;
        let settings = format!("{HASTY}max_requests_per_second = {RATE}\nretries = 2\n");
        let mut units: Vec<_> = (1..=3).map(|unit| bench.poll(unit, "10ms", &settings)).collect();
        for poller in &mut units {
            poller.polls(&bench, 10).await;
        }
        bench.rig.play([Fault::Silence, Fault::Torn(5), Fault::None, Fault::Late(150 * MS)]);
        bench.rig.restart().await.unwrap();
        for poller in &mut units {
            poller.polls(&bench, 10).await;
        }
        let times = bench.rig.asked().times;
        // A request may wait on its way while the one behind it does not: by one the count may be off.
        let most = (0..times.len())
            .map(|from| times.range(from..).take_while(|time| **time < times[from] + 1000 * MS).count());
        let most = most.max().unwrap();
        assert!(times.len() > 60 && most <= RATE + 1, "{wire:?}: {most} of {} in one second", times.len());
    }
}

#[tokio::test]
async fn m19_values_beside_a_hole_are_read_within_two_polls_and_the_hole_is_told() {
    for wire in [TCP, RTU] {
        let bench = Bench::start(wire, 1, 100).await;
        bench.rig.of_unit(1, Fault::Hole(90));
        let mut poller = bench.poll(1, "20ms", PATIENT);
        let mut polls = 0;
        // 101 values, one of them in the hole.
        while poller.next(&bench).await.iter().filter(|reading| reading.value.is_some()).count() < 100 {
            polls += 1;
            assert!(polls < 4, "{wire:?}");
        }
        while poller.seen.report.as_ref().is_none_or(|report| report.set_aside.is_empty()) {
            poller.next(&bench).await;
        }
        let aside = poller.seen.report.clone().unwrap().set_aside;
        assert_eq!((aside[0].what.as_str(), aside[0].why.as_str()), ("holding:90 to 91", "illegal data address"));
        assert!(poller.seen.missed > 0, "its slots are told");
        bench.assert_only_reads();
    }
}

#[tokio::test]
async fn m20_a_device_that_repeats_itself_is_told_as_stale_after_so_many_equal_counters() {
    const EQUAL: usize = 5;
    for wire in [TCP, RTU] {
        let bench = Bench::start(wire, 1, 40).await;
        let mut poller = bench.poll_with_heartbeat(1, "20ms", PATIENT, EQUAL);
        let stale = |readings: &[lingate_model::Reading]| {
            let uncertain =
                |reading: &&lingate_model::Reading| reading.status == StatusCode::UNCERTAIN_LAST_USABLE_VALUE;
            assert!(readings.iter().all(|reading| reading.value.is_some()), "its values are kept");
            readings.iter().filter(uncertain).count()
        };
        for _ in 0..10 {
            assert_eq!(stale(&poller.next(&bench).await), 0, "it counts");
        }
        bench.rig.always(Fault::Frozen);
        // The first answers may have been asked for before; of equal ones the fifth is told.
        let frozen = Instant::now();
        let mut polls = 0;
        while stale(&poller.next(&bench).await) == 0 {
            polls += 1;
            assert!(polls < EQUAL + 2, "{wire:?}: {polls} polls");
        }
        println!("{wire:?}: stale after {} polls, {:?}", polls + 1, frozen.elapsed());
        assert!(polls + 1 >= EQUAL - 1, "{wire:?}: after {polls} polls");
        assert_eq!(stale(&poller.next(&bench).await), 41, "and so is every point of the device");
        while poller.seen.report.as_ref().is_none_or(|report| report.heartbeat.as_ref().unwrap().still_since.is_none())
        {
            poller.next(&bench).await;
        }
        assert!(poller.seen.report.as_ref().unwrap().counters["stale_readings"] > 0);
        bench.rig.always(Fault::None);
        while stale(&poller.next(&bench).await) > 0 {}
        bench.assert_only_reads();
    }
}
