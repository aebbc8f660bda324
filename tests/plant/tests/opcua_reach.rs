//! Which machine is used, and that no session stays behind on it, however a connection ends.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and brings its own clock")]

#[path = "common/device.rs"]
mod device;

use std::time::{Duration, Instant};

use device::parse;
use lingate_drivers::{Device, Site};
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
    parse(&text)
}
