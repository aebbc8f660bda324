//! Modbus/TCP Security: what a device allows depends on the role in the client's certificate, and both sides must belong to
//! the plant's authority.

use std::time::Duration;

use lingate_drivers::{LinkError, Site};
use lingate_model::StatusCode;
use lingate_plant::rig::{Certificates, Wire, utf8_string};

use crate::bench::{Bench, PATIENT};

#[tokio::test]
async fn a_role_that_may_not_read_gets_exception_01_and_no_value() {
    for role in [Some(utf8_string("operator")), Some(utf8_string("reade")), None] {
        let bench = Bench::start(Wire::Tls, 1, 40).await;
        bench.rig.for_role("reader");
        bench.rig.certificates().unwrap().issue_client(role.clone()).unwrap();
        let mut poller = bench.poll(1, "20ms", PATIENT);
        poller.polls(&bench, 3).await;
        assert_eq!(poller.seen.good, 0, "{role:?}");
        assert!(poller.seen.bad.keys().all(|status| *status == StatusCode::BAD_NOT_SUPPORTED), "{:?}", poller.seen.bad);
        // A renewed certificate needs no restart: the next connection has it.
        bench.rig.certificates().unwrap().issue_client(Some(utf8_string("reader"))).unwrap();
        bench.rig.restart().await.unwrap();
        poller.until_good(&bench, Duration::from_secs(30)).await;
        bench.assert_only_reads();
    }
}

#[tokio::test]
async fn the_check_tells_of_a_certificate_without_the_role_that_the_configuration_names() {
    let bench = Bench::start(Wire::Tls, 1, 40).await;
    let certificates = bench.rig.certificates().unwrap();
    let told = |role: Option<Vec<u8>>, settings: &str| {
        certificates.issue_client(role).unwrap();
        let text = bench.rig.toml(1, &lingate_plant::Labels { every: "1s", ..lingate_plant::Labels::new("ds-1") }, "");
        let text = text.replacen("role = \"reader\"\n", settings, 1);
        let problems = crate::device::parse(&text).problems(bench.site());
        problems.into_iter().map(|problem| (problem.setting, problem.what)).collect::<Vec<_>>()
    };
    let reader = || Some(utf8_string("reader"));
    let none = "has no role (extension 1.3.6.1.4.1.50316.802.1), so that the device may refuse every request";
    assert_eq!(told(reader(), "role = \"reader\"\n"), []);
    assert_eq!(told(reader(), ""), []);
    assert_eq!(told(None, "role = \"none\"\n"), []);
    assert_eq!(told(None, ""), [("certificate", none.to_owned())]);
    assert_eq!(told(None, "role = \"reader\"\n"), [("certificate", none.to_owned())]);
    let other = "names another role than \"reader\"".to_owned();
    assert_eq!(told(Some(utf8_string("operator")), "role = \"reader\"\n"), [("certificate", other)]);
    // Not a UTF8String, as the specification wants it; longer than it is; empty.
    for wrong in [b"\x13\x06reader".to_vec(), b"\x0C\x7Freader".to_vec(), Vec::new()] {
        assert_eq!(told(Some(wrong), "role = \"reader\"\n"), [("certificate", none.to_owned())]);
    }
}

#[tokio::test]
async fn a_device_of_another_authority_or_of_another_name_is_refused() {
    let bench = Bench::start(Wire::Tls, 1, 40).await;
    let text = bench.rig.toml(1, &lingate_plant::Labels { every: "1s", ..lingate_plant::Labels::new("ds-1") }, PATIENT);
    let elsewhere = tempfile::tempdir().unwrap();
    Certificates::make(elsewhere.path()).unwrap();
    let ca = elsewhere.path().join("ca.pem");
    let stranger = text.lines().map(|line| match line.starts_with("ca = ") {
        true => format!("ca = {ca:?}\n"),
        false => format!("{line}\n"),
    });
    let misnamed = text.replacen("role =", "server_name = \"plc-8.plant.example\"\nrole =", 1);
    for text in [stranger.collect(), misnamed] {
        let loss = crate::device::parse(&text).connect(bench.site()).await.err().unwrap();
        assert!(matches!(&loss, LinkError::Refused { what, .. } if what.contains("certificate")), "{loss}");
    }
    assert!(bench.rig.asked().functions.is_empty(), "nothing was asked");
}

/// Somebody without a certificate of the plant is not even heard.
#[tokio::test]
async fn a_client_of_another_authority_is_refused_by_the_device() {
    let bench = Bench::start(Wire::Tls, 1, 40).await;
    let text = bench.rig.toml(1, &lingate_plant::Labels { every: "1s", ..lingate_plant::Labels::new("ds-1") }, PATIENT);
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = Certificates::make(elsewhere.path()).unwrap();
    let certificate = elsewhere.path().join("client.pem");
    let text: String = text
        .lines()
        .map(|line| match line.starts_with("certificate = ") {
            true => format!("certificate = {certificate:?}\n"),
            false => format!("{line}\n"),
        })
        .collect();
    let mut site = Site::bare(std::env::temp_dir());
    let key = stranger.client_key.as_bytes().to_vec();
    site.secret = std::sync::Arc::new(move |_| Ok(key.clone().into()));
    let device = crate::device::parse(&text);
    // With TLS 1.3 the refusal may come with the first answer that is read.
    if let Ok(mut session) = device.connect(&site).await {
        let (sender, mut events) = tokio::sync::mpsc::channel(100);
        let sink = lingate_drivers::Sink::new(sender, crate::bench::clock());
        let running = session.run(&sink);
        tokio::time::timeout(Duration::from_secs(30), running).await.expect("the session ends");
        while let Ok(event) = events.try_recv() {
            if let lingate_drivers::DeviceEvent::Readings(readings) = event {
                assert!(readings.iter().all(|reading| reading.value.is_none()));
            }
        }
    }
    assert!(bench.rig.asked().functions.is_empty(), "no request was heard");
}
