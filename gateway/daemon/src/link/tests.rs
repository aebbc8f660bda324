#![allow(clippy::unwrap_used, reason = "a test fails by panic")]
//! The link against a scripted broker: real TCP, real TLS with client certificates, MQTT packets by hand.

mod revoked;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use lingate_config::{Credential, KeyPlace};
use lingate_engine::{LinkLimits, PublishId, ReasonCode, Topic};
use lingate_model::{Class, ClockState, Now, Priority, UtcMicros};
use lingate_refine::{DatasetPlan, Flush};
use lingate_seal::{Epoch, EpochTerms, Grant, Recipient, Sealed, SigningKey};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SerialNumber};
use ring::signature::Ed25519KeyPair;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::clock::SystemClock;
use crate::entropy::SystemEntropy;
use crate::heart::Publish;
use crate::supervise::{Stopper, stop};

type Stream = TlsStream<tokio::net::TcpStream>;

/// What the broker does with the n-th PUBLISH that it ever saw.
#[derive(Clone, Copy)]
enum Answer {
    PubAck(u8),
    Silence,
    Cut,
}

/// Of the certificate for a name.
fn serial(name: &str) -> SerialNumber {
    SerialNumber::from_slice(&[&[1], name.as_bytes()].concat())
}

struct World {
    home: tempfile::TempDir,
    ca: Issuer<'static, KeyPair>,
    ca_pem: String,
}

impl World {
    fn new() -> World {
        World::named("the authority")
    }

    fn named(name: &str) -> World {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec![]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = parameters.self_signed(&key).unwrap().pem();
        World { home: tempfile::tempdir().unwrap(), ca: Issuer::new(parameters, key), ca_pem }
    }

    /// Certificate and key, PEM.
    fn leaf(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.serial_number = Some(serial(name));
        (parameters.signed_by(&key, &self.ca).unwrap().pem(), key.serialize_pem())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// The gateway's files, with a certificate of `signer`.
    fn tls_files(&self, signer: &World) -> TlsFiles {
        let (certificate, key) = signer.leaf("gw-1");
        let sandbox = lingate_config::SandboxPlan {
            brokers: vec![],
            ca: self.file("ca.pem", &self.ca_pem),
            crl: None,
            certificate: self.file("gateway.pem", &certificate),
            key: KeyPlace::File(Credential::File(self.file("gateway.key", &key))),
            signing_key: None,
            root_sha256: String::new(),
            ack: lingate_config::Ack::Broker,
            suites: vec![1],
        };
        TlsFiles::new(&sandbox, &"gw-1".parse().unwrap())
    }

    fn server(&self, name: &str) -> Arc<ServerConfig> {
        let (certificate, key) = self.leaf(name);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap());
        Arc::new(config.unwrap())
    }
}

/// Serves until the test ends. `connack`: properties, without their length.
async fn broker(tls: Arc<ServerConfig>, connack: Vec<u8>, script: Vec<Answer>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (tls, connack, script, seen) = (tls.clone(), connack.clone(), script.clone(), seen.clone());
            tokio::spawn(async move {
                let Ok(stream) = TlsAcceptor::from(tls).accept(tcp).await else { return };
                let _ = converse(stream, &connack, &script, &seen).await;
            });
        }
    });
    port
}

async fn converse(mut stream: Stream, connack: &[u8], script: &[Answer], seen: &AtomicUsize) -> std::io::Result<()> {
    loop {
        let (kind, body) = packet(&mut stream).await?;
        match kind >> 4 {
            1 => {
                let length = u8::try_from(connack.len()).unwrap();
                let mut answer = vec![0x20, length + 3, 0, 0, length];
                answer.extend_from_slice(connack);
                stream.write_all(&answer).await?;
            }
            3 => {
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let packet_id = [body[2 + topic], body[3 + topic]];
                let turn = seen.fetch_add(1, Ordering::SeqCst);
                match script.get(turn).unwrap_or(&Answer::PubAck(0)) {
                    Answer::PubAck(reason) => {
                        stream.write_all(&[0x40, 3, packet_id[0], packet_id[1], *reason]).await?;
                    }
                    Answer::Silence => {}
                    Answer::Cut => return Ok(()),
                }
            }
            12 => stream.write_all(&[0xD0, 0]).await?,
            14 => return Ok(()),
            _ => {}
        }
    }
}

async fn packet(stream: &mut Stream) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = stream.read_u8().await?;
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok((kind, body))
}

/// A running link with the test in the place of the heart.
struct Bench {
    messages: mpsc::Receiver<Message>,
    stopper: Stopper,
    task: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn start(tls: TlsFiles, ports: &[u16]) -> Bench {
        Bench::start_taking(false, tls, ports)
    }

    fn start_taking(takes_unread: bool, tls: TlsFiles, ports: &[u16]) -> Bench {
        let (heart, messages) = mpsc::channel(1000);
        let link = Link {
            gateway: "gw-1".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            offered: Arc::default(),
            audit: Audit::deaf(),
            pulse: Default::default(),
            brokers: ports.iter().map(|port| Broker { host: "localhost".to_owned(), port: *port }).collect(),
            takes_unread,
            tls,
            heart,
            receipts: ReceiptQueue::default(),
            clock: Arc::new(SystemClock::start()),
            certificate_expires: Arc::default(),
        };
        let (stopper, told) = stop();
        Bench { messages, stopper, task: tokio::spawn(link.run(told)) }
    }

    async fn next(&mut self) -> Message {
        tokio::time::timeout(Duration::from_secs(30), self.messages.recv()).await.unwrap().unwrap()
    }

    async fn up(&mut self) -> (LinkLimits, mpsc::Sender<Publish>) {
        loop {
            if let Message::LinkUp(limits, queue) = self.next().await {
                return (limits, queue);
            }
        }
    }

    async fn down(&mut self) -> String {
        match self.next().await {
            Message::Input(Input::LinkDown(LinkLoss(reason))) => reason,
            _ => panic!("something else than the loss of the link"),
        }
    }
}

fn sealed() -> Sealed {
    static SEALED: Mutex<Option<Sealed>> = Mutex::new(None);
    SEALED.lock().unwrap().get_or_insert_with(make_sealed).clone()
}

fn make_sealed() -> Sealed {
    let (id, purpose): (lingate_model::DatasetId, lingate_model::PurposeId) =
        ("ds-1".parse().unwrap(), "urn:p".parse().unwrap());
    let recipient = [9; 32];
    let grant = Grant {
        sandbox: "sandbox".to_owned(),
        alias: "q7".parse().unwrap(),
        purpose: purpose.clone(),
        purpose_statement_sha256: [0; 32],
        ceiling: Class::General,
        policies: vec![],
        approval: None,
        bundle_version: 1,
        bundle_sha256: [0; 32],
        suite: 1,
        recipients: vec![Recipient::x25519(recipient)],
        epoch_seconds: 3600,
        epoch_messages: 1000,
        not_after: UtcMicros(i64::MAX),
    };
    let flush = Flush { readings: 1000, age: Duration::from_secs(1) };
    let dataset = DatasetPlan { id, purpose, ceiling: Class::General, flush, priority: Priority::Normal, padding: 0 };
    let terms = EpochTerms {
        gateway: "gw-1".parse().unwrap(),
        software: "test".to_owned(),
        dataset,
        points: vec![],
        devices: vec![],
        grant,
    };
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let signer = SigningKey::from_pkcs8(pkcs8.as_ref()).unwrap();
    let now = Now { monotonic: Duration::ZERO, utc: UtcMicros(1_000_000), clock: ClockState::Synced };
    let (_, mut messages) = Epoch::open(terms, None, now, &signer, &mut SystemEntropy::new()).unwrap();
    messages.remove(0)
}

async fn publish(queue: &mpsc::Sender<Publish>, ids: std::ops::Range<u64>) {
    for id in ids {
        let topic = Topic { name: "lingate/1/acme/gw-1/k/q7".to_owned(), retained: id == 0 };
        queue.send(Publish { id: PublishId(id), topic, sealed: sealed() }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_acknowledged_or_refused_as_the_broker_said() {
    for (takes_unread, unread) in [(false, Some(0x10)), (true, None)] {
        let answers = answers(takes_unread).await;
        assert_eq!(answers, [(0, None), (1, unread), (2, Some(0x87)), (3, Some(0x97))], "{takes_unread}");
    }
}

/// By the id of the record: `None` for an acknowledgement.
async fn answers(takes_unread: bool) -> Vec<(u64, Option<u8>)> {
    let world = World::new();
    let script = vec![Answer::PubAck(0), Answer::PubAck(0x10), Answer::PubAck(0x87), Answer::PubAck(0x97)];
    let port = broker(world.server("localhost"), vec![0x21, 0, 5], script).await;
    let mut bench = Bench::start_taking(takes_unread, world.tls_files(&world), &[port]);
    let (limits, queue) = bench.up().await;
    assert_eq!(limits.in_flight, 5);
    publish(&queue, 0..4).await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(match bench.next().await {
            Message::Input(Input::Acked(PublishId(id))) => (id, None),
            Message::Input(Input::Refused(PublishId(id), ReasonCode(reason))) => (id, Some(reason)),
            _ => panic!("something else than an answer"),
        });
    }
    answers.sort_unstable();
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_reported_and_nothing_of_it_is_sent_on_the_next() {
    let world = World::new();
    let script = vec![Answer::PubAck(0), Answer::Silence, Answer::Silence, Answer::Cut];
    let port = broker(world.server("localhost"), vec![], script).await;
    let mut bench = Bench::start(world.tls_files(&world), &[port]);
    let (_, queue) = bench.up().await;
    publish(&queue, 0..4).await;
    assert!(matches!(bench.next().await, Message::Input(Input::Acked(PublishId(0)))));
    bench.down().await;
    let (_, again) = bench.up().await;
    assert!(queue.is_closed(), "records for the old connection have no way to the new one");
    publish(&again, 10..11).await;
    assert!(matches!(bench.next().await, Message::Input(Input::Acked(PublishId(10)))));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_limits_reach_the_engine() {
    let world = World::new();
    let port = broker(world.server("localhost"), vec![0x21, 0, 5, 0x27, 0, 0, 4, 0], vec![]).await;
    let (limits, _) = Bench::start(world.tls_files(&world), &[port]).up().await;
    assert_eq!((limits.in_flight, limits.packet_bytes), (5, 1024));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_cannot_do_what_is_needed_is_refused() {
    for (properties, word) in [(vec![0x24, 0], "QoS 1"), (vec![0x25, 0], "retained")] {
        let world = World::new();
        let port = broker(world.server("localhost"), properties, vec![]).await;
        let mut bench = Bench::start(world.tls_files(&world), &[port]);
        let reason = bench.down().await;
        assert!(reason.contains(word), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_broker_is_used_when_the_first_is_away() {
    let world = World::new();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let port = broker(world.server("localhost"), vec![], vec![]).await;
    Bench::start(world.tls_files(&world), &[gone, port]).up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_answer_is_named_with_what_to_look_at() {
    let world = World::new();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let reason = Bench::start(world.tls_files(&world), &[gone]).down().await;
    let words =
        format!("the broker localhost:{gone} does not answer: connection refused; is it running, and does a firewall");
    assert!(reason.starts_with(&words), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_problem_is_told_as_one() {
    let (world, stranger) = (World::new(), World::new());
    let cases = [
        (world.server("other.example"), &world, "another host name"),
        (stranger.server("localhost"), &world, "not issued by the CA of sandbox.ca"),
        (world.server("localhost"), &stranger, "rejected this gateway's client certificate"),
    ];
    for (tls, signer, words) in cases {
        let port = broker(tls, vec![], vec![]).await;
        let reason = Bench::start(world.tls_files(signer), &[port]).down().await;
        assert!(reason.contains(words), "{words:?} is not in {reason:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificate_files_end_the_pause_of_a_refused_gateway() {
    let (world, stranger) = (World::new(), World::new());
    let port = broker(world.server("localhost"), vec![], vec![]).await;
    let mut bench = Bench::start(world.tls_files(&stranger), &[port]);
    bench.down().await;
    world.tls_files(&world);
    bench.up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_the_link_says_goodbye_and_ends() {
    let world = World::new();
    let port = broker(world.server("localhost"), vec![], vec![]).await;
    let mut bench = Bench::start(world.tls_files(&world), &[port]);
    let _up = bench.up().await;
    bench.stopper.stop();
    assert_eq!(bench.down().await, "the gateway is stopping");
    tokio::time::timeout(Duration::from_secs(10), bench.task).await.unwrap().unwrap();
}

#[test]
fn a_certificate_of_another_gateway_is_named() {
    let world = World::new();
    let mut files = world.tls_files(&world);
    let (certificate, key) = world.leaf("gw-2");
    world.file("gateway.pem", &certificate);
    world.file("gateway.key", &key);
    let faults = |files: &TlsFiles| files.load(SystemClock::start().now().utc).map(|_| ()).unwrap_err();
    let text = faults(&files)[0].to_string();
    assert!(text.contains("is for \"gw-2\", but gateway.id is \"gw-1\""), "{text}");
    files = world.tls_files(&world);
    world.file("gateway.key", &world.leaf("gw-1").1);
    assert!(faults(&files)[0].what.contains("does not belong to the certificate"));
    std::fs::remove_file(Path::new(&world.home.path().join("ca.pem"))).unwrap();
    world.file("gateway.pem", "no certificate");
    assert_eq!(faults(&files).len(), 2, "all faults at once");
}
