//! Which machine is used, and that no session stays behind on it, however a connection ends.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and brings its own clock")]

use std::time::{Duration, Instant};

use lingate_drivers::settings::{DeTable, Table};
use lingate_drivers::{Device, DeviceSettings, PointSettings, Site};
use lingate_model::PointId;
use lingate_plant::opcua::{Connection, INSECURE, Machine, MachineKind, MachineOptions, MachineSpec, machine_toml};
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_dropped_is_closed_on_the_machine() {
    let machine =
        Machine::start(MachineSpec::new("machine-1", MachineKind::Extruder), MachineOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let site = Site::bare(folder.path().to_owned());
    let device = device(&[&machine]);
    for _ in 0..3 {
        let session = device.connect(&site).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(machine.sessions().0, 1);
        drop(session);
        let dropped = Instant::now();
        // Far earlier than the session's own timeout of 30 s.
        while machine.sessions().0 > 0 {
            assert!(dropped.elapsed() < Duration::from_secs(5), "the session is still there");
            sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(machine.sessions().1, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_server_of_a_set_is_used_while_the_first_is_gone() {
    let start =
        || Machine::start(MachineSpec::new("machine-1", MachineKind::Extruder), MachineOptions::default()).unwrap();
    let (first, second) = (start(), start());
    let folder = tempfile::tempdir().unwrap();
    let site = Site::bare(folder.path().to_owned());
    let device = device(&[&first, &second]);
    let session = device.connect(&site).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((first.sessions().0, second.sessions().0), (1, 0));
    drop(session);
    first.kill();
    let session = device.connect(&site).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(second.sessions().0, 1);
    drop(session);
    second.kill();
    assert!(device.connect(&site).await.is_err());
}

/// One device with all of these as its endpoints.
fn device(machines: &[&Machine]) -> Box<dyn Device> {
    let url = machines[0].url();
    let connection = Connection { settings: INSECURE, ..Connection::new(&url, "ds") };
    let urls: Vec<_> = machines.iter().map(|machine| machine.url()).collect();
    let text = machine_toml(machines[0].spec(), &connection);
    let text = text.replace(&format!("address = {url:?}"), &format!("endpoints = {urls:?}"));
    let file = DeTable::parse(&text).unwrap();
    let mut table = Table::new(file.get_ref(), file.span(), "").take("device").tables(1..=1).remove(0);
    table.take("driver").string();
    table.take("equipment").string();
    let (name, every) = (table.take("name").parsed().unwrap(), Duration::from_millis(500));
    table.take("every").string();
    let points = table.take("point").tables(1..=999).into_iter().map(|mut table| {
        for key in ["name", "unit", "dataset", "class", "every"] {
            table.take(key).string();
        }
        table.take("range").decimal_range();
        table.take("minimize").tables(0..=9);
        PointSettings { every: None, table }
    });
    let points = points.collect();
    let settings = DeviceSettings { name, every, first_point: PointId(0), table, points };
    match (lingate_drivers::driver("opcua").unwrap().parse)(settings) {
        Ok(device) => device,
        Err(error) => panic!("{error:?}"),
    }
}
