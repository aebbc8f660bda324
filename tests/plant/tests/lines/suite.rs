//! What must hold on every transport alike.

use std::time::Duration;

use lingate_plant::rig::{Fault, Framing, Wire};

use crate::bench::{Bench, HASTY, PATIENT};

macro_rules! on_every_wire {
    ($($name:ident: $wire:expr;)*) => {
        $(mod $name {
            use super::*;

            #[tokio::test]
            async fn three_units_share_the_line_and_every_value_is_what_was_served() {
                honest($wire).await;
            }

            #[tokio::test]
            async fn whatever_a_unit_does_no_value_is_wrong_and_it_comes_back() {
                hostile($wire).await;
            }
        })*
    };
}

on_every_wire! {
    tcp: Wire::Tcp(Framing::Mbap);
    udp: Wire::Udp;
    tls: Wire::Tls;
    rtu: Wire::Serial(Framing::Rtu);
    ascii: Wire::Serial(Framing::Ascii);
    rtu_over_tcp: Wire::Tcp(Framing::Rtu);
    ascii_over_tcp: Wire::Tcp(Framing::Ascii);
}

async fn honest(wire: Wire) {
    let bench = Bench::start(wire, 3, 80).await;
    let mut units: Vec<_> = (1..=3).map(|unit| bench.poll(unit, "30ms", PATIENT)).collect();
    for poller in &mut units {
        poller.polls(&bench, 15).await;
        assert!(poller.seen.bad.is_empty(), "{:?}: {:?}", wire, poller.seen.bad);
        assert_eq!(poller.seen.good, 15 * 81);
        // Identified between two polls, told with a report of a later second.
        while poller.seen.report.as_ref().is_none_or(|report| report.identity.is_none()) {
            poller.next(&bench).await;
        }
        let report = poller.seen.report.clone().unwrap();
        assert_eq!(report.identity.unwrap().vendor, "lingate");
        assert!(report.counters["requests"] > 0 && report.counters["timeouts"] == 0, "{:?}", report.counters);
    }
    if let Wire::Tcp(_) | Wire::Tls = wire {
        assert_eq!(bench.rig.asked().connections, 1, "three units share one connection");
    }
    bench.assert_only_reads();
}

/// Every fault there is, mixed by a plain generator, against two units on one line.
async fn hostile(wire: Wire) {
    let bench = Bench::start(wire, 2, 80).await;
    let faults = faults_of(wire);
    let order = (0..faults.len()).map(|k| faults[k * 7 % faults.len()].clone());
    bench.rig.play(order.flat_map(|fault| std::iter::once(fault).chain(std::iter::repeat_n(Fault::None, 6))));
    let mut units: Vec<_> =
        (1..=2).map(|unit| bench.poll(unit, "10ms", &format!("{HASTY}identify = false\n"))).collect();
    let mut polls = 0;
    while bench.rig.left() > 0 {
        for poller in &mut units {
            let poll = tokio::time::timeout(Duration::from_millis(50), poller.next(&bench)).await;
            polls += usize::from(poll.is_ok());
        }
    }
    for poller in &mut units {
        poller.until_good(&bench, Duration::from_secs(30)).await;
    }
    assert!(polls > 10, "{polls}");
    bench.assert_only_reads();
}

/// A bit that flips within a frame without checksum cannot be seen; what carries those frames has its own.
pub(crate) fn faults_of(wire: Wire) -> Vec<Fault> {
    let mut faults = every_fault();
    faults.retain(|fault| wire.framing() != Framing::Mbap || !matches!(fault, Fault::Flip(bit) if *bit > 64));
    faults
}

fn every_fault() -> Vec<Fault> {
    let ms = Duration::from_millis;
    vec![
        Fault::None,
        Fault::Late(ms(120)),
        Fault::None,
        Fault::Silence,
        Fault::Drip(ms(1)),
        Fault::Torn(4),
        Fault::TornAndClosed(7),
        Fault::None,
        Fault::Closed,
        Fault::Reset,
        Fault::Transaction(1),
        Fault::Transaction(u16::MAX),
        Fault::Protocol(7),
        Fault::Length(2),
        Fault::Length(255),
        Fault::Unit(2),
        Fault::Unit(1),
        Fault::Function(4),
        Fault::Count(-1),
        Fault::Count(1),
        Fault::ByteCount(3),
        Fault::Before(vec![0]),
        Fault::Before(vec![1, 3, 2, 0, 0]),
        Fault::After(vec![0xA5; 9]),
        Fault::Twice,
        Fault::Merged(2),
        Fault::Flip(3),
        Fault::Flip(77),
        Fault::Exception(4),
        Fault::Exception(6),
        Fault::ExceptionTo(4, 2),
        Fault::Echo,
        Fault::EchoOnly,
        Fault::OtherMaster(1),
        Fault::OtherMaster(2),
        Fault::Flood(20_000),
        Fault::Late(ms(160)),
    ]
}
