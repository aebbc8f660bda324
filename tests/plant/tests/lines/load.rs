//! Ten million readings under faults. In release, about two minutes:
//! `cargo test --release -p lingate-plant --test lines -- --ignored --nocapture`

use std::time::{Duration, Instant};

use lingate_plant::rig::{Fault, Framing, Wire};

use crate::bench::Bench;
use crate::suite::faults_of;

/// Of good readings, over all transports.
const READINGS: u64 = 10_000_000;
const UNITS: u8 = 4;
/// Four blocks of 125 registers.
const TAGS: u16 = 249;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: .ci/run"]
async fn ten_million_readings_under_faults_and_none_is_wrong() {
    let began = Instant::now();
    let (mut good, mut bad, mut missed, mut requests) = (0, 0, 0, 0);
    let wires =
        [(Wire::Tcp(Framing::Mbap), 5), (Wire::Udp, 2), (Wire::Tcp(Framing::Rtu), 2), (Wire::Serial(Framing::Rtu), 1)];
    for (wire, share) in wires {
        let bench = Bench::start(wire, UNITS, TAGS).await;
        // A fault in each 97th answer, over and over.
        let faults = faults_of(wire);
        let settings = "timeout = \"60ms\"\nidentify = false\n";
        let mut units: Vec<_> = (1..=UNITS).map(|unit| bench.poll(unit, "10ms", settings)).collect();
        let mut served = 0;
        let mut played = 0_usize;
        while served < READINGS / 10 * share {
            if bench.rig.left() == 0 {
                let next = (0..10).flat_map(|k| {
                    std::iter::repeat_n(Fault::None, 96).chain([faults[(played + k) % faults.len()].clone()])
                });
                bench.rig.play(next);
                played += 10;
            }
            for poller in &mut units {
                let _ = tokio::time::timeout(Duration::from_millis(5), poller.next(&bench)).await;
            }
            served = units.iter().map(|poller| poller.seen.good).sum();
        }
        good += served;
        bad += units.iter().flat_map(|poller| poller.seen.bad.values()).sum::<u64>();
        missed += units.iter().map(|poller| poller.seen.missed).sum::<u64>();
        requests += bench.rig.asked().functions.values().sum::<u64>();
        bench.assert_only_reads();
        println!("{wire:?}: {served} good, {played} faults, {:?}", began.elapsed());
    }
    println!("{good} good readings, 0 wrong, {bad} bad, {missed} missed, {requests} requests, all of them reads");
    assert!(good >= READINGS && bad > 1000);
}
