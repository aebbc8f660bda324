//! Ten million readings under faults, on every transport at once. In release, within a minute or two:
//! `cargo test --release -p lingate-plant --test lines ten_million -- --ignored --nocapture`

use std::time::{Duration, Instant};

use lingate_plant::rig::{Fault, Framing, Wire};
use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::suite::faults_of;

/// Of good readings, over all transports.
const READINGS: u64 = 10_000_000;
const UNITS: u8 = 4;
/// Four blocks of 125 registers.
const TAGS: u16 = 249;
/// In hundredths.
const SHARES: [(Wire, u64); 7] = [
    (Wire::Tcp(Framing::Mbap), 37),
    (Wire::Udp, 15),
    (Wire::Tls, 15),
    (Wire::Tcp(Framing::Rtu), 15),
    (Wire::Serial(Framing::Rtu), 5),
    (Wire::Tcp(Framing::Ascii), 10),
    (Wire::Serial(Framing::Ascii), 3),
];

#[derive(Default)]
struct Totals {
    good: u64,
    bad: u64,
    missed: u64,
    faults: usize,
    requests: u64,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: .ci/run"]
async fn ten_million_readings_under_faults_and_none_is_wrong() {
    let mut wires = JoinSet::new();
    for (wire, share) in SHARES {
        wires.spawn(run(wire, READINGS / 100 * share));
    }
    let mut all = Totals::default();
    while let Some(totals) = wires.join_next().await {
        let Totals { good, bad, missed, faults, requests } = totals.unwrap();
        all.good += good;
        all.bad += bad;
        all.missed += missed;
        all.faults += faults;
        all.requests += requests;
    }
    let Totals { good, bad, missed, faults, requests } = all;
    println!(
        "{good} good readings, 0 wrong, {bad} bad, {missed} missed, {faults} faults, {requests} requests, all reads"
    );
    assert!(good >= READINGS && bad > 1000);
}

/// Each reading is judged when it comes; the first wrong one ends the test.
async fn run(wire: Wire, readings: u64) -> Totals {
    let began = Instant::now();
    let bench = Bench::start(wire, UNITS, TAGS).await;
    let faults = faults_of(wire);
    let settings = "timeout = \"100ms\"\nidentify = false\n";
    let mut units: Vec<_> = (1..=UNITS).map(|unit| bench.poll(unit, "5ms", settings)).collect();
    let mut totals = Totals::default();
    while totals.good < readings {
        if bench.rig.left() == 0 {
            // A fault in each 97th answer, over and over.
            let next = (0..10).flat_map(|k| {
                let fault = faults[(totals.faults + k) % faults.len()].clone();
                std::iter::repeat_n(Fault::None, 96).chain([fault])
            });
            bench.rig.play(next);
            totals.faults += 10;
        }
        for poller in &mut units {
            let _ = tokio::time::timeout(Duration::from_millis(5), poller.next(&bench)).await;
        }
        totals.good = units.iter().map(|poller| poller.seen.good).sum();
    }
    totals.bad = units.iter().flat_map(|poller| poller.seen.bad.values()).sum();
    totals.missed = units.iter().map(|poller| poller.seen.missed).sum();
    totals.requests = bench.rig.asked().functions.values().sum();
    bench.assert_only_reads();
    println!("{wire:?}: {} good, {} faults, {:?}", totals.good, totals.faults, began.elapsed());
    totals
}
