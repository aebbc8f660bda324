//! The real binary against OPC UA servers that none of us wrote. Run by `.ci/run`, which installs them:
//! `LINGATE_PEERS=... cargo test -p lingate-e2e --test opcua_peers -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::path::PathBuf;
use std::time::Duration;

use lingate_e2e::{Mosquitto, OpcUaPeer, PeerSettings, Rig, Settings, wait_for};

/// Points of `tests/e2e/peers/README.md`, their type in the configuration, and what must arrive.
const POINTS: [(&str, &str, &str); 25] = [
    ("boolean", "boolean", "1"),
    ("sbyte", "sbyte", "-128"),
    ("byte", "byte", "255"),
    ("int16", "int16", "-32768"),
    ("uint16", "uint16", "65535"),
    ("int32", "int32", "-2147483648"),
    ("uint32", "uint32", "4294967295"),
    ("int64", "int64", "-9223372036854775808"),
    ("uint64", "uint64", "18446744073709551615"),
    ("float", "float", "3.25"),
    ("double", "double", "2.718281828459045"),
    ("string", "string", "Düse 7 \u{2192} \"ok\""),
    ("datetime", "datetime", "134192214151230000"),
    ("guid", "guid", "blob 72962b91fa754ae68d28b404dc7daf63"),
    ("bytestring", "bytestring", "blob 0001feff"),
    ("xmlelement", "xmlelement", "<a b=\"1\">x</a>"),
    ("nodeid", "nodeid", "nsu=urn:lingate:peer;s=Zone/1"),
    ("expandednodeid", "expandednodeid", "nsu=urn:elsewhere;i=77"),
    ("statuscode", "statuscode", "2150891520"),
    ("qualifiedname", "qualifiedname", "nsu=urn:lingate:peer;Zone"),
    ("localizedtext", "localizedtext", "{\"locale\":\"de-DE\",\"text\":\"Düse\"}"),
    ("array_double", "double[]", "[0.1,-2.5,1e300]"),
    ("array_string", "string[]", "[\"a\",\"\",\"ß\"]"),
    ("matrix_int32", "int32[,]", "[[1,2,3],[4,5,6]]"),
    ("cube_uint16", "uint16[,,]", "[[[1,2],[3,4]],[[5,6],[7,8]]]"),
];

#[derive(Clone, Copy)]
enum Server {
    Asyncua,
    NodeOpcua,
    Open62541,
}

impl Server {
    fn start(self, rig: &Rig, settings: &PeerSettings) -> OpcUaPeer {
        let peers = PathBuf::from(
            std::env::var_os("LINGATE_PEERS").expect("LINGATE_PEERS names the folder with the peers; see .ci/run"),
        );
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers");
        let python = peers.join("venv/bin/python");
        let (program, script) = match self {
            Server::Asyncua => (python, here.join("asyncua_server.py")),
            Server::Open62541 => (python, here.join("open62541_server.py")),
            // Beside its node_modules.
            Server::NodeOpcua => (PathBuf::from("node"), peers.join("node/server.js")),
        };
        OpcUaPeer::start(rig.path(), &program, &script, settings).unwrap()
    }
}

/// What the Python binding of open62541 cannot serve: a StatusCode, arrays of more than one dimension, and users by
/// certificate. Its times are doubles, its LocalizedText has its parts exchanged, and an empty string in a list is null.
const NOT_BY_O6: [&str; 6] = ["statuscode", "matrix_int32", "cube_uint16", "datetime", "localizedtext", "array_string"];

impl Server {
    fn serves(self, name: &str) -> bool {
        match self {
            Server::Asyncua => true,
            // It sends the identifier without the namespace URI.
            Server::NodeOpcua => name != "expandednodeid",
            Server::Open62541 => !NOT_BY_O6.contains(&name),
        }
    }

    fn has_certificate_users(self) -> bool {
        !matches!(self, Server::Open62541)
    }
}

fn device(peer: &OpcUaPeer, settings: &str, every: &str, points: &str) -> String {
    format!(
        "[[device]]\nname = \"peer\"\ndriver = \"opcua\"\nevery = {every:?}\nequipment = \"acme/lingang/peer\"\n\
         address = \"{}\"\n{settings}\n{points}",
        peer.url()
    )
}

fn point(name: &str, kind: &str) -> String {
    format!(
        "\n[[device.point]]\nname = {name:?}\nnode = \"nsu=urn:lingate:peer;s={name}\"\ntype = {kind:?}\n\
         dataset = \"ds-extr-07\"\nclass = \"general\"\n"
    )
}

/// Every type by every way in.
async fn values_arrive_exactly(server: Server) {
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let mosquitto = Mosquitto::start(&rig.authority).await.unwrap();
    let peer = server.start(&rig, &PeerSettings { items: 2, interval_ms: 500 });
    let served = POINTS.into_iter().filter(|(name, ..)| server.serves(name)).collect::<Vec<_>>();
    let points: String = served.iter().map(|(name, kind, _)| point(name, kind)).collect();
    let mut ways = vec![peer.anonymous(), peer.by_password().unwrap()];
    if server.has_certificate_users() {
        ways.push(peer.by_certificate().unwrap());
    }
    for policy in ["Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"] {
        ways.push(peer.pinned(policy).unwrap());
    }
    let configuration = |way: &str| device(&peer, way, "100ms", &points);
    let first = configuration(&ways[0]);
    rig.enroll(&Settings { broker_port: mosquitto.port, devices: first, flush: "{ age = \"200ms\" }", commit: "50ms" })
        .unwrap();
    let receiver = rig.receiver(mosquitto.port).unwrap();
    let mut readings = 0;
    for way in &ways {
        rig.change_devices(&configuration(way)).unwrap();
        let ended = rig.start(&["--once", "5"]).unwrap().wait().unwrap();
        assert!(ended.success(), "{way}\n{}", rig.log().unwrap());
        let (ledger, accepted) = (rig.ledger().unwrap(), rig.accepted().unwrap());
        let arrived = || accepted.is_subset(&ledger.identities().unwrap());
        wait_for("every accepted record", Duration::from_secs(20), arrived).await.unwrap();
        let now = ledger.readings().unwrap();
        assert!(now >= readings + served.len() as u64, "nothing was read with\n{way}\n{}", rig.log().unwrap());
        readings = now;
        for (name, kind, expected) in &served {
            let values: Vec<String> = ledger.values(&format!("peer/{name}")).unwrap().into_iter().collect();
            assert_eq!(values, [*expected], "{name}, a {kind}, with\n{way}");
        }
    }
    receiver.stop().await.unwrap();
}

/// For a minute.
async fn no_change_is_lost(server: Server, settings: PeerSettings) {
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let mosquitto = Mosquitto::start(&rig.authority).await.unwrap();
    let peer = server.start(&rig, &settings);
    let points: String = (0..settings.items).map(|number| point(&format!("load_{number:05}"), "uint64")).collect();
    let devices = device(&peer, &peer.by_password().unwrap(), "50ms", &points);
    rig.enroll(&Settings { broker_port: mosquitto.port, devices, flush: "{ age = \"500ms\" }", commit: "200ms" })
        .unwrap();
    let receiver = rig.receiver(mosquitto.port).unwrap();
    wait_for("the server's first round", Duration::from_secs(30), || peer.rounds().is_ok()).await.unwrap();
    let before = peer.rounds().unwrap();
    assert!(rig.start(&["--once", "63"]).unwrap().wait().unwrap().success(), "{}", rig.log().unwrap());
    let written = peer.rounds().unwrap() - before;
    let (ledger, accepted) = (rig.ledger().unwrap(), rig.accepted().unwrap());
    let arrived = || accepted.is_subset(&ledger.identities().unwrap());
    wait_for("every accepted record", Duration::from_secs(180), arrived).await.unwrap();
    let spans = ledger.spans("peer/load_%").unwrap();
    assert_eq!(spans.len(), settings.items as usize);
    let lost: i64 = spans.iter().map(|(_, different, least, most)| most - least + 1 - different).sum();
    let fewest = spans.iter().map(|(_, different, ..)| *different).min().unwrap();
    println!(
        "{} items every {} ms: {written} rounds written meanwhile, at least {fewest} of each arrived, {lost} changes lost",
        settings.items, settings.interval_ms
    );
    assert_eq!(lost, 0, "of {} changes", spans.iter().map(|(_, different, ..)| different).sum::<i64>());
    // What was written while the gateway started and stopped is nobody's.
    let pace = 1_000 / u64::from(settings.interval_ms).max(1);
    assert!(fewest as u64 + 8 * pace >= written, "only {fewest} of {written} rounds arrived");
    assert!(fewest > 50, "the server hardly wrote anything");
    receiver.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs asyncua and mosquitto: .ci/run"]
async fn every_type_arrives_exactly_as_asyncua_serves_it() {
    values_arrive_exactly(Server::Asyncua).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node-opcua and mosquitto: .ci/run"]
async fn every_type_arrives_exactly_as_node_opcua_serves_it() {
    values_arrive_exactly(Server::NodeOpcua).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs o6 and mosquitto: .ci/run"]
async fn every_type_arrives_exactly_as_open62541_serves_it() {
    values_arrive_exactly(Server::Open62541).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node-opcua and mosquitto: .ci/run"]
async fn a_thousand_items_of_node_opcua_lose_no_change_in_a_minute() {
    no_change_is_lost(Server::NodeOpcua, PeerSettings { items: 1_000, interval_ms: 100 }).await;
}

/// At a pace that asyncua holds: it writes 7 to 8 thousand values a second at best, and serves none meanwhile.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs asyncua and mosquitto: .ci/run"]
async fn a_thousand_items_of_asyncua_lose_no_change_in_a_minute() {
    no_change_is_lost(Server::Asyncua, PeerSettings { items: 1_000, interval_ms: 500 }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs o6 and mosquitto: .ci/run"]
async fn a_thousand_items_of_open62541_lose_no_change_in_a_minute() {
    no_change_is_lost(Server::Open62541, PeerSettings { items: 1_000, interval_ms: 100 }).await;
}
