//! Over real sockets: embedded broker, receiver, a publisher with the gateway's own certificate.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::publisher::{Publisher, is_taken, tls};
use common::*;
use lingate_sandbox::{
    Broker, BrokerAddress, Event, Receiver, ReceiverConfig, ReceiverHandle, ReceiverOptions, Report, publish_bundles,
};
use lingate_seal::{Bundle, Receipt, RootSet};
use rumqttc::{PubAckReason, PublishOptions, QoS};

const DEADLINE: Duration = Duration::from_secs(30);

type Seen = Arc<Mutex<Vec<Event>>>;

fn receiver(world: &World, broker: &Broker) -> (ReceiverHandle, Seen) {
    let seen = Seen::default();
    let sink = seen.clone();
    let sink = Box::new(move |events| sink.lock().unwrap().extend(events));
    let receiver = Receiver::start(config(world, broker, Some(sink)));
    (receiver.unwrap(), seen)
}

fn config(world: &World, broker: &Broker, sink: Option<lingate_sandbox::Sink>) -> ReceiverConfig {
    ReceiverConfig {
        authority: world.authority.folder().to_owned(),
        role: ROLE.to_owned(),
        broker: BrokerAddress { host: "localhost".to_owned(), port: broker.address().port() },
        store: world.store_file(),
        sink,
    }
}

/// Waits on the receiver's own answers; fails with its report when it takes too long.
async fn until(receiver: &ReceiverHandle, what: &str, holds: impl Fn(&ReceiverHandle) -> bool) {
    let wait = async {
        while !holds(receiver) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, wait).await.is_ok();
    assert!(in_time, "not in time: {what}: {:?}\n{}", receiver.link(), receiver.report().unwrap());
}

fn records(receiver: &ReceiverHandle) -> u64 {
    receiver.live().unwrap().get(DATASET).map_or(0, |dataset| dataset.records)
}

async fn broker(world: &World) -> Broker {
    Broker::start(&world.authority, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

fn whole(report: &Report) -> bool {
    report.datasets.iter().all(|d| d.holes == 0 && d.order_violations == 0 && d.wrong_roots == 0 && d.counts_agree)
        && report.alarm_count == 0
        && report.rejected.is_empty()
}

#[tokio::test]
async fn what_a_gateway_publishes_arrives_opened() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let broker = broker(&world).await;
    let (receiver, seen) = receiver(&world, &broker);
    until(&receiver, "connected", |receiver| receiver.link().connected).await;
    let sent = gateway.epoch(40);
    broker.tap().keep_payloads();
    let mut publisher =
        Publisher::connect(broker.address().port(), tls(Some(&gateway.identity), world.authority.ca_pem()));
    for arrival in &sent {
        assert!(is_taken(publisher.publish(arrival).await));
    }
    until(&receiver, "all records", |receiver| records(receiver) == 43).await;
    let report = receiver.report().unwrap();
    assert!(whole(&report), "{report}");
    let live = &receiver.live().unwrap()[DATASET];
    assert_eq!((live.readings, live.holes, live.duplicates, live.newest), (120, 0, 0, Some(time(39))));
    receiver.stop().await.unwrap();
    assert_eq!(opened(&seen.lock().unwrap()), expected(&rows(0, 40)));
    let counts = broker.tap().counts();
    assert_eq!(counts.publishes, sent.len() as u64);
    assert_eq!(counts.payload_bytes, sent.iter().map(|arrival| arrival.payload.len() as u64).sum::<u64>());
    let payloads = broker.tap().payloads().concat();
    assert!(!payloads.windows(6).any(|bytes| bytes == b"order-"), "plaintext passed the broker");
    broker.shutdown().await;
}

#[tokio::test]
async fn an_outage_and_a_new_receiver_lose_nothing() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let mut broker = broker(&world).await;
    let sent = gateway.epoch(60);
    let client_tls = tls(Some(&gateway.identity), world.authority.ca_pem());
    let (first, _) = receiver(&world, &broker);
    until(&first, "connected", |receiver| receiver.link().connected).await;
    let mut publisher = Publisher::connect(broker.address().port(), client_tls.clone());
    for arrival in &sent[..20] {
        assert!(is_taken(publisher.publish(arrival).await));
    }
    broker.stop().await;
    assert_eq!(publisher.publish(&sent[20]).await, None);
    until(&first, "outage noticed", |receiver| !receiver.link().connected).await;
    broker.start_again().await.unwrap();
    let mut publisher = Publisher::connect(broker.address().port(), client_tls);
    for arrival in &sent[20..40] {
        assert!(is_taken(publisher.publish(arrival).await));
    }
    until(&first, "second part", |receiver| records(receiver) == 39).await;
    assert_eq!(first.link().connects, 2);
    first.stop().await.unwrap();
    // The session waits at the broker while no receiver runs.
    for arrival in &sent[40..] {
        assert!(is_taken(publisher.publish(arrival).await));
    }
    let (second, seen) = receiver(&world, &broker);
    until(&second, "the rest", |receiver| records(receiver) == 63).await;
    let report = second.report().unwrap();
    assert!(whole(&report), "{report}");
    assert_eq!(second.link().sessions_lost, 0);
    second.stop().await.unwrap();
    assert_eq!(opened(&seen.lock().unwrap()), expected(&rows(37, 23)));
    broker.shutdown().await;
}

#[tokio::test]
async fn a_receiver_that_is_stopped_in_the_middle_opens_everything_once() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let broker = broker(&world).await;
    let (first, seen_first) = receiver(&world, &broker);
    until(&first, "connected", |receiver| receiver.link().connected).await;
    let publisher = Publisher::connect(broker.address().port(), tls(Some(&gateway.identity), world.authority.ca_pem()));
    for arrival in gateway.epoch(297) {
        let options = PublishOptions::new(QoS::AtLeastOnce);
        publisher.client.publish_tracked(arrival.topic, arrival.payload, options).await.unwrap();
    }
    until(&first, "a part", |receiver| records(receiver) > 0).await;
    first.stop().await.unwrap();
    let (second, seen_second) = receiver(&world, &broker);
    until(&second, "everything", |receiver| records(receiver) == 300).await;
    let report = second.report().unwrap();
    assert!(whole(&report), "{report}");
    second.stop().await.unwrap();
    let (first, second) = (opened(&seen_first.lock().unwrap()), opened(&seen_second.lock().unwrap()));
    assert_eq!([first, second].concat(), expected(&rows(0, 297)));
    broker.shutdown().await;
}

#[tokio::test]
async fn a_store_that_fails_acknowledges_nothing() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let broker = broker(&world).await;
    let (first, _) = receiver(&world, &broker);
    until(&first, "connected", |receiver| receiver.link().connected).await;
    let file = world.folder.path().join("store.sqlite");
    let saboteur = rusqlite::Connection::open(&file).unwrap();
    saboteur
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON records WHEN new.seq = 5 BEGIN SELECT RAISE(ABORT, 'disk full'); END",
        )
        .unwrap();
    let mut publisher =
        Publisher::connect(broker.address().port(), tls(Some(&gateway.identity), world.authority.ca_pem()));
    for arrival in &gateway.epoch(10) {
        assert!(is_taken(publisher.publish(arrival).await));
    }
    until(&first, "failed", ReceiverHandle::has_failed).await;
    let error = format!("{:#}", first.stop().await.unwrap_err());
    assert!(error.contains("nothing of it was acknowledged") && error.contains("disk full"), "{error}");
    saboteur.execute_batch("DROP TRIGGER full").unwrap();
    let (second, _) = receiver(&world, &broker);
    until(&second, "everything", |receiver| records(receiver) == 13).await;
    assert!(whole(&second.report().unwrap()));
    second.stop().await.unwrap();
    broker.shutdown().await;
}

#[tokio::test]
async fn a_gateway_that_is_enrolled_later_is_known_at_once() {
    let mut world = World::new();
    let broker = broker(&world).await;
    let (receiver, _) = receiver(&world, &broker);
    until(&receiver, "connected", |receiver| receiver.link().connected).await;
    for name in ["gw-0001", "gw-0002"] {
        let gateway = world.gateway(name);
        let mut publisher =
            Publisher::connect(broker.address().port(), tls(Some(&gateway.identity), world.authority.ca_pem()));
        for arrival in &gateway.epoch(2) {
            assert!(is_taken(publisher.publish(arrival).await));
        }
    }
    until(&receiver, "both", |receiver| records(receiver) == 10).await;
    let report = receiver.report().unwrap();
    assert!(whole(&report), "{report}");
    receiver.stop().await.unwrap();
    broker.shutdown().await;
}

#[tokio::test]
async fn refusals_and_late_acknowledgements_are_as_ordered() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let broker = broker(&world).await;
    let sent = gateway.epoch(3);
    let mut publisher =
        Publisher::connect(broker.address().port(), tls(Some(&gateway.identity), world.authority.ca_pem()));
    broker.tap().refuse(Box::new(|topic, _| topic.contains("/d/").then_some(0x97)));
    assert!(is_taken(publisher.publish(&sent[0]).await));
    assert_eq!(publisher.publish(&sent[1]).await, Some(PubAckReason::QuotaExceeded));
    broker.tap().refuse_nothing();
    broker.tap().delay_acks(Duration::from_secs(3600));
    let late = tokio::time::timeout(Duration::from_millis(50), publisher.publish(&sent[1])).await;
    assert!(late.is_err(), "an hour has not passed");
    broker.tap().delay_acks(Duration::ZERO);
    assert_eq!(broker.tap().counts().refused, 1);
    broker.shutdown().await;
}

#[tokio::test]
async fn who_has_no_certificate_or_another_name_is_refused() {
    let mut world = World::new();
    let (one, two) = (world.gateway("gw-0001"), world.gateway("gw-0002"));
    let broker = broker(&world).await;
    let stranger = World::new().gateway("gw-0001");
    let ca = world.authority.ca_pem();
    for tls in [tls(None, ca), tls(Some(&stranger.identity), ca)] {
        assert_eq!(Publisher::connect(broker.address().port(), tls).publish(&one.epoch(0)[0]).await, None);
    }
    let mut publisher = Publisher::connect(broker.address().port(), tls(Some(&one.identity), ca));
    assert_eq!(publisher.publish(&two.epoch(0)[0]).await, Some(PubAckReason::NotAuthorized));
    assert!(is_taken(publisher.publish(&one.epoch(0)[0]).await));
    broker.shutdown().await;
}

#[tokio::test]
async fn bundles_wait_at_the_broker_for_a_gateway_that_is_away() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let broker = broker(&world).await;
    let address = BrokerAddress { host: "localhost".to_owned(), port: broker.address().port() };
    let issued = world.authority.rotate_role(ROLE, 7).unwrap();
    publish_bundles(&world.authority, &address, &issued).await.unwrap();
    let late = Publisher::connect(address.port, tls(Some(&gateway.identity), world.authority.ca_pem()));
    late.client.subscribe("lingate/1/acme/gw-0001/b", QoS::AtLeastOnce).await.unwrap();
    let arrives = async {
        while late.received.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, arrives).await.unwrap();
    assert_eq!(late.received.lock().unwrap()[0].payload, issued[0].bundle);
    let unreachable = BrokerAddress { host: "localhost".to_owned(), port: 1 };
    assert!(publish_bundles(&world.authority, &unreachable, &issued).await.is_err());
    broker.shutdown().await;
}

#[tokio::test]
async fn receipts_tell_the_gateway_what_is_stored_and_what_is_not() {
    let mut world = World::new();
    let policy = world.authority.folder().join("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap().replace("ack = \"broker\"", "ack = \"receipt\"");
    std::fs::write(&policy, text).unwrap();
    let gateway = world.gateway("gw-0001");
    let broker = broker(&world).await;
    let port = broker.address().port();
    let mut publisher = Publisher::connect(port, tls(Some(&gateway.identity), world.authority.ca_pem()));
    publisher.client.subscribe("lingate/1/acme/gw-0001/r", QoS::AtLeastOnce).await.unwrap();
    let config = config(&world, &broker, None);
    let options = ReceiverOptions { receipts: true, ..ReceiverOptions::default() };
    let receiver = Receiver::start_with(config, options).unwrap();
    until(&receiver, "connected", |receiver| receiver.link().connected).await;
    let mut sent = gateway.epoch(5);
    let late = sent.remove(4);
    for arrival in &sent {
        assert!(is_taken(publisher.publish(arrival).await));
    }
    let roots = RootSet::from_file(&gateway.identity.root_json, &gateway.identity.root_sha256).unwrap();
    let id = &gateway.identity.gateway;
    let bundle = Bundle::verify(&gateway.identity.bundle, &roots, None, id, now().utc).unwrap();
    let newest = |publisher: &Publisher| {
        let received = publisher.received.lock().unwrap();
        let mut receipts = received.iter().map(|r| Receipt::verify(&r.payload, &bundle, id, now().utc).unwrap());
        receipts.next_back().map(|receipt| (receipt.epochs[0].next, receipt.epochs[0].beyond.clone()))
    };
    // KEY, catalogue, lineage, two batches, (one is missing), two batches, close: numbers 0 to 7 without 3.
    until(&receiver, "a receipt with a hole", |_| newest(&publisher) == Some((3, vec![(4, 7)]))).await;
    assert!(is_taken(publisher.publish(&late).await));
    until(&receiver, "a whole receipt", |_| newest(&publisher) == Some((8, vec![]))).await;
    let before = publisher.received.lock().unwrap().len();
    assert!(is_taken(publisher.publish(&sent[3]).await));
    let told_again = |_: &ReceiverHandle| publisher.received.lock().unwrap().len() > before;
    until(&receiver, "a receipt for a duplicate", told_again).await;
    receiver.stop().await.unwrap();
    broker.shutdown().await;
}

#[tokio::test]
async fn receipts_go_on_in_a_session_that_the_broker_has_kept() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let mut broker = broker(&world).await;
    let port = broker.address().port();
    let client_tls = tls(Some(&gateway.identity), world.authority.ca_pem());
    let options = ReceiverOptions { receipts: true, ..ReceiverOptions::default() };
    let mut receiver = Receiver::start_with(config(&world, &broker, None), options.clone()).unwrap();
    until(&receiver, "connected", |receiver| receiver.link().connected).await;
    let sent = gateway.epoch(9);
    // A connection of its own each time; then the receiver itself begins anew.
    for (life, part) in sent.chunks(4).enumerate() {
        let mut publisher = Publisher::connect(port, client_tls.clone());
        publisher.client.subscribe("lingate/1/acme/gw-0001/r", QoS::AtLeastOnce).await.unwrap();
        for arrival in part {
            assert!(is_taken(publisher.publish(arrival).await));
        }
        let is_told = |_: &ReceiverHandle| !publisher.received.lock().unwrap().is_empty();
        until(&receiver, &format!("a receipt in life {life}"), is_told).await;
        assert_eq!(receiver.link().sessions_lost, 0);
        if life == 0 {
            broker.stop().await;
            until(&receiver, "outage noticed", |receiver| !receiver.link().connected).await;
            broker.start_again().await.unwrap();
        } else {
            receiver.stop().await.unwrap();
            receiver = Receiver::start_with(config(&world, &broker, None), options.clone()).unwrap();
        }
        until(&receiver, "connected again", |receiver| receiver.link().connected).await;
    }
    receiver.stop().await.unwrap();
    broker.shutdown().await;
}
