//! The whole way: enrolled, granted, refined, sealed, received, opened, reported.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use common::*;
use lingate_sandbox::Event;
use lingate_seal::{GapCause, GapRecord};

#[test]
fn what_was_read_is_what_is_opened() {
    let mut world = World::new();
    let mut stream = world.gateway("gw-0001").open(None);
    let readings = rows(0, 200);
    stream.batch(&readings[..300]);
    stream.batch(&readings[300..]);
    let (sent, _) = stream.close();
    let mut desk = world.desk();
    let events = desk.take(&sent);
    assert_eq!(opened(&events), expected(&readings));
    let report = desk.report();
    let dataset = &report.datasets[0];
    assert_eq!((dataset.dataset.as_str(), dataset.gateways.as_slice()), (DATASET, &["gw-0001".to_owned()][..]));
    assert_eq!((dataset.records, dataset.readings, dataset.closed_epochs), (5, 600, 1));
    assert_eq!(dataset.bad_readings, 29, "every seventh melt temperature");
    assert_eq!((dataset.holes, dataset.duplicates, dataset.order_violations, dataset.wrong_roots), (0, 0, 0, 0));
    assert!(dataset.counts_agree && report.alarm_count == 0 && report.rejected.is_empty(), "{report}");
    assert_eq!(dataset.first_time.as_deref(), Some(jiff(time(0)).as_str()));
    assert_eq!(dataset.last_time.as_deref(), Some(jiff(time(199)).as_str()));
}

fn jiff(utc: lingate_model::UtcMicros) -> String {
    jiff::Timestamp::from_microsecond(utc.0).unwrap().to_string()
}

#[test]
fn suppressed_readings_are_counted_by_step() {
    let mut world = World::new();
    let mut stream = world.gateway("gw-0001").open(None);
    let still: Vec<_> = (0..10)
        .flat_map(|n| row(n).into_iter().map(move |r| (n, r)))
        .map(|(n, mut reading)| {
            if reading.point.0 == 1 {
                reading.value = Some(lingate_model::Value::UInt16(1000 + u16::try_from(n % 2).unwrap()));
            }
            reading
        })
        .collect();
    stream.batch(&still);
    let mut desk = world.desk();
    desk.take(&stream.sent);
    let dataset = &desk.report().datasets[0];
    assert_eq!((dataset.read, dataset.kept, dataset.suppressed), (30, 21, 9), "one screw speed is kept");
    assert!(dataset.counts_agree);
}

#[test]
fn declared_gaps_are_reported_by_cause_and_are_no_holes() {
    let mut world = World::new();
    let mut stream = world.gateway("gw-0001").open(None);
    (0..6).for_each(|n| stream.batch(&rows(n, 1)));
    let gap = |first_seq, last_seq, maybe_delivered| GapRecord::Records {
        kid: stream.epoch.kid(),
        first_seq,
        last_seq,
        readings: 6,
        cause: GapCause::Overflow,
        maybe_delivered,
    };
    let (sure, maybe) = (gap(3, 4, false), gap(5, 6, true));
    stream.gap(&sure);
    stream.gap(&maybe);
    let (from, to) = (time(0), time(9));
    stream.gap(&GapRecord::Slots {
        device: "extruder-7".to_owned(),
        from,
        to,
        readings: 27,
        cause: GapCause::DeviceDown,
    });
    let (mut sent, _) = stream.close();
    sent.drain(4..7); // seq 3, 4 and 5; seq 6 came, although it was thought lost
    let mut desk = world.desk();
    let events = desk.take(&sent);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Gap(_))).count(), 3);
    let dataset = &desk.report().datasets[0];
    assert_eq!((dataset.holes, dataset.declared_records, dataset.declared_yet_received), (0, 3, 0));
    assert_eq!(dataset.gap_readings["overflow"], 12);
    assert_eq!(dataset.gap_readings["device-down"], 27);
}

#[test]
fn what_is_declared_lost_for_certain_and_yet_came_is_reported() {
    let mut world = World::new();
    let mut stream = world.gateway("gw-0001").open(None);
    stream.batch(&rows(0, 1));
    let kid = stream.epoch.kid();
    let cause = GapCause::Quarantine;
    stream.gap(&GapRecord::Records { kid, first_seq: 2, last_seq: 2, readings: 3, cause, maybe_delivered: false });
    let mut desk = world.desk();
    desk.take(&stream.sent);
    assert_eq!(desk.report().datasets[0].declared_yet_received, 1);
}

#[test]
fn holes_are_found_inside_at_the_end_and_between_epochs() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let mut first = gateway.open(None);
    (0..5).for_each(|n| first.batch(&rows(n, 1)));
    let (first, previous) = first.close(); // KEY, seq 0 to 7
    let (second, second_end) = gateway.open(Some(previous)).close();
    let third = gateway.open(Some(second_end)).sent;
    let mut desk = world.desk();
    desk.take(&[&first[..3], &first[4..6]].concat());
    assert_eq!(desk.report().datasets[0].holes, 1, "seq 2; nothing is known of what follows seq 4");
    desk.take(&second[..1]);
    assert_eq!(desk.report().datasets[0].holes, 1 + 3, "the next KEY tells that seq 5 to 7 exist");
    desk.take(&second[1..2]);
    desk.take(&third[..1]);
    assert_eq!(desk.report().datasets[0].holes, 1 + 3 + 2, "lineage and close of the second epoch");
    desk.take(&[first, second, third].concat());
    let report = desk.report();
    assert_eq!((report.datasets[0].holes, report.datasets[0].wrong_roots, report.alarm_count), (0, 0, 0));
}

#[test]
fn an_epoch_that_never_came_is_noticed() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let (first, previous) = gateway.open(None).close();
    let (_, lost) = gateway.open(Some(previous)).close();
    let (third, _) = gateway.open(Some(lost)).close();
    let mut desk = world.desk();
    desk.take(&first);
    assert_eq!(desk.report().datasets[0].missing_epochs, 0);
    desk.take(&third);
    assert_eq!(desk.report().datasets[0].missing_epochs, 1);
}

#[test]
fn a_receiver_that_restarts_continues_where_it_was() {
    let mut world = World::new();
    let mut stream = world.gateway("gw-0001").open(None);
    (0..8).for_each(|n| stream.batch(&rows(n, 1)));
    let (sent, _) = stream.close();
    let mut events = Vec::new();
    for bunch in sent.chunks(3) {
        // A new process each time: only the file stays. The last message of each comes again.
        let mut desk = world.desk();
        events.extend(desk.take(bunch));
        events.extend(desk.take(&bunch[2..]));
    }
    assert_eq!(opened(&events), expected(&rows(0, 8)));
    let report = world.desk().report();
    let dataset = &report.datasets[0];
    assert_eq!((dataset.records, dataset.duplicates, dataset.holes), (11, 4, 0), "{report}");
    assert_eq!((dataset.wrong_roots, report.alarm_count, report.held), (0, 0, 0));
}

#[test]
fn datasets_and_gateways_are_kept_apart() {
    let mut world = World::new();
    let (one, two) = (world.gateway("gw-0001"), world.gateway("gw-0002"));
    let mut desk = world.desk();
    let mixed: Vec<_> = one.epoch(2).into_iter().zip(two.epoch(2)).flat_map(|(a, b)| [a, b]).collect();
    desk.take(&mixed);
    let report = desk.report();
    assert_eq!(report.datasets[0].gateways, ["gw-0001", "gw-0002"]);
    assert_eq!((report.datasets[0].epochs, report.datasets[0].order_violations, report.alarm_count), (2, 0, 0));
}

#[test]
fn the_store_answers_plain_sql() {
    let mut world = World::new();
    let sent = world.gateway("gw-0001").epoch(4);
    world.desk().take(&sent);
    let file = world.folder.path().join("store.sqlite");
    let sql = rusqlite::Connection::open(file).unwrap();
    let query = "SELECT count(*), max(value), min(unit) FROM telemetry WHERE name = 'extruder-7/melt_temperature'";
    let row: (i64, f64, String) = sql.query_row(query, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).unwrap();
    assert_eq!(row, (4, 180.2, "Cel".to_owned()));
}
