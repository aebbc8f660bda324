//! The connection to the sandbox's broker: MQTT 5 over TLS 1.3, QoS 1. The only file that knows the MQTT library.
//!
//! Promises: the library's queue is never storage, so every connection begins with a clean session and an empty client;
//! each record that was handed out is answered exactly once on its connection (acknowledged or refused), or the
//! connection is reported as lost and the engine publishes it again on the next one. A record that the broker's packet
//! limit forbids is refused here, because sending it would cost the connection each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lingate_config::Broker;
use lingate_engine::{Input, LinkLimits, LinkLoss, PublishId, ReasonCode};
use lingate_model::{Backoff, Clock, GatewayId};
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{
    AsyncClient, ConnAck, ConnectReturnCode, ConnectionError, DisconnectReasonCode, Event, EventLoop, MqttOptions,
    NetworkOptions, Packet, PublishNoticeError, PublishOptions, PublishResult, QoS, StateError, TlsConfiguration,
    TlsError, Transport,
};
use rustls::{AlertDescription, CertificateError, ClientConfig};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::entropy::random_u32;
use crate::heart::{Message, Publish};
use crate::supervise::Stop;
use crate::tls::TlsFiles;

const WINDOW: u16 = 64;
const KEEP_ALIVE_SECONDS: u16 = 15;
/// TCP, TLS and CONNACK together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The library's own keep-alive does not cover a write that is stuck in a full socket.
const SILENCE: Duration = Duration::from_secs(2 * KEEP_ALIVE_SECONDS as u64 + 10);
/// Records in flight and no acknowledgement for this long: the connection is of no use.
const NO_PROGRESS: Duration = Duration::from_secs(60);
/// Nothing that a broker may send to lingate is larger.
const INCOMING_LIMIT: u32 = 4 * 1024;
/// MQTT 5 section 2.1.4: the largest packet there is.
const LARGEST_PACKET: u32 = 268_435_460;
const QUEUE: usize = 4 * WINDOW as usize;
const GOODBYE: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Outages end without notice: a broker that is back is found within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A broker that refuses will refuse again until somebody acts.
const FIRST_REFUSED_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_REFUSED_PAUSE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) gateway: GatewayId,
    pub(crate) brokers: Vec<Broker>,
    pub(crate) tls: TlsFiles,
    pub(crate) heart: mpsc::Sender<Message>,
    pub(crate) clock: Arc<dyn Clock>,
    /// End of the certificate in use, in microseconds UTC; for the health endpoint.
    pub(crate) certificate_expires: Arc<AtomicI64>,
}

/// Why there is no connection.
#[derive(Debug)]
struct Loss {
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It will pass.
    Weather,
    /// Somebody must act: certificates, permissions, a second gateway of the same name.
    Refusal,
    /// The gateway is stopping.
    Stop,
}

impl Link {
    /// Connects, serves and connects again, until told to stop.
    pub(crate) async fn run(self, mut stop: Stop) {
        let mut weather = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut refusal = Backoff::new(FIRST_REFUSED_PAUSE, LONGEST_REFUSED_PAUSE);
        loop {
            let (loss, useful) = self.connect_and_serve(&mut stop).await;
            if useful {
                weather.succeeded();
                refusal.succeeded();
            }
            let lost = Input::LinkDown(LinkLoss(loss.text));
            if self.heart.send(Message::Input(lost)).await.is_err() || loss.kind == Kind::Stop {
                return;
            }
            let pause = match loss.kind {
                Kind::Refusal => refusal.next_pause(random_u32()),
                Kind::Weather | Kind::Stop => weather.next_pause(random_u32()),
            };
            if !self.pause(&mut stop, pause).await {
                return;
            }
        }
    }

    /// The first broker that lets us in, in the order of the configuration. `true`: something was acknowledged.
    async fn connect_and_serve(&self, stop: &mut Stop) -> (Loss, bool) {
        let tls = match self.tls().await {
            Ok(tls) => tls,
            Err(loss) => return (loss, false),
        };
        let mut losses: Vec<Loss> = Vec::new();
        for broker in &self.brokers {
            let connecting = Connection::open(&self.gateway, broker, tls.clone());
            let opened = tokio::select! {
                biased;
                () = stop.told() => return (stopping(), false),
                opened = connecting => opened,
            };
            match opened {
                Ok(connection) => return connection.serve(&self.heart, stop).await,
                Err(loss) => {
                    losses.push(Loss { text: format!("{}:{}: {}", broker.host, broker.port, loss.text), ..loss })
                }
            }
        }
        // One broker that is merely away may come back at any time.
        let weather = losses.iter().any(|loss| loss.kind == Kind::Weather);
        let text = losses.into_iter().map(|loss| loss.text).collect::<Vec<_>>().join("; ");
        (Loss { text, kind: if weather { Kind::Weather } else { Kind::Refusal } }, false)
    }

    async fn tls(&self) -> Result<Arc<ClientConfig>, Loss> {
        let (files, utc) = (self.tls.clone(), self.clock.now().utc);
        let loaded =
            tokio::task::spawn_blocking(move || files.load(utc)).await.expect("reading certificates does not panic");
        let material = loaded.map_err(|faults| {
            let text = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            Loss { text, kind: Kind::Refusal }
        })?;
        self.certificate_expires.store(material.expires.0, Ordering::Relaxed);
        material.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(material.config)
    }

    /// Ends early when somebody brought new certificates. `false`: told to stop.
    async fn pause(&self, stop: &mut Stop, pause: Duration) -> bool {
        let stamp = self.tls.stamp();
        let mut left = pause;
        while !left.is_zero() {
            let step = left.min(Duration::from_secs(2));
            if !stop.pause(step).await {
                return false;
            }
            if self.tls.stamp() != stamp {
                return true;
            }
            left -= step;
        }
        true
    }
}

/// One connection, from CONNACK to its loss.
struct Connection {
    client: AsyncClient,
    limits: LinkLimits,
    /// Polls the event loop and nothing else; ends with the connection.
    driver: Driver,
}

struct Driver(JoinHandle<ConnectionError>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Answer = (PublishId, Result<PublishResult, PublishNoticeError>);

impl Connection {
    async fn open(gateway: &GatewayId, broker: &Broker, tls: Arc<ClientConfig>) -> Result<Connection, Loss> {
        let builder = AsyncClient::builder(options(gateway, broker, tls)).capacity(QUEUE);
        let (client, events) = builder.try_build().map_err(|error| Loss {
            text: format!("the MQTT client refuses its options: {error}"),
            kind: Kind::Refusal,
        })?;
        let (connected, connack) = oneshot::channel();
        let mut driver = Driver(tokio::spawn(drive(events, connected)));
        match connack.await {
            Ok(connack) => {
                let limits = limits(&connack)?;
                tracing::info!(broker = broker.host, port = broker.port, ?limits, "connected to the sandbox's broker");
                Ok(Connection { client, limits, driver })
            }
            Err(_) => Err(match (&mut driver.0).await {
                Ok(error) => explain(&error, true),
                Err(error) => Loss { text: format!("the MQTT client failed: {error}"), kind: Kind::Weather },
            }),
        }
    }

    /// Publishes what the engine hands out and reports each answer. `true`: something was acknowledged.
    async fn serve(mut self, heart: &mpsc::Sender<Message>, stop: &mut Stop) -> (Loss, bool) {
        let (sender, mut queue) = mpsc::channel(QUEUE);
        if heart.send(Message::LinkUp(self.limits, sender)).await.is_err() {
            return (stopping(), false);
        }
        let mut waiting: JoinSet<Answer> = JoinSet::new();
        let mut useful = false;
        let mut no_progress = std::pin::pin!(tokio::time::sleep(NO_PROGRESS));
        let loss = loop {
            let answer = tokio::select! {
                biased;
                ended = &mut self.driver.0 => break match ended {
                    Ok(error) => explain(&error, false),
                    Err(error) => Loss { text: format!("the MQTT client failed: {error}"), kind: Kind::Weather },
                },
                () = stop.told() => break stopping(),
                Some(answered) = waiting.join_next() => {
                    let answered = answered.expect("waiting for a notice does not panic");
                    no_progress.set(tokio::time::sleep(NO_PROGRESS));
                    match judge(answered) {
                        Ok(input) => input,
                        Err(error) => break self.unanswered(&error).await,
                    }
                }
                publish = queue.recv() => {
                    let Some(publish) = publish else { break stopping_unless(stop) };
                    if waiting.is_empty() {
                        no_progress.set(tokio::time::sleep(NO_PROGRESS));
                    }
                    match self.publish(publish, &mut waiting) {
                        Ok(None) => continue,
                        Ok(Some(refused)) => refused,
                        Err(loss) => break loss,
                    }
                }
                () = &mut no_progress, if !waiting.is_empty() => break Loss {
                    text: format!("the broker acknowledged nothing for {NO_PROGRESS:?} with {} records in flight", waiting.len()),
                    kind: Kind::Weather,
                },
            };
            useful |= matches!(answer, Input::Acked(_));
            if heart.send(Message::Input(answer)).await.is_err() {
                break stopping();
            }
        };
        self.end(&loss, waiting, heart).await;
        (loss, useful)
    }

    /// `Some`: the record is refused without being sent. `Err`: the connection is of no more use.
    fn publish(&self, publish: Publish, waiting: &mut JoinSet<Answer>) -> Result<Option<Input>, Loss> {
        let Publish { id, topic, sealed } = publish;
        let packet = packet_bytes(topic.name.len(), sealed.bytes().len());
        if packet > u64::from(self.limits.packet_bytes) {
            return Ok(Some(Input::Refused(id, ReasonCode(0x95))));
        }
        let options = PublishOptions::new(QoS::AtLeastOnce);
        let options = if topic.retained { options.retained() } else { options };
        let payload = bytes::Bytes::from_owner(sealed.shared_bytes());
        match self.client.try_publish_tracked(topic.name, payload, options) {
            Ok(notice) => {
                waiting.spawn(async move { (id, notice.wait_async().await) });
                Ok(None)
            }
            Err(error) => {
                Err(Loss { text: format!("the MQTT client takes no more records: {error}"), kind: Kind::Weather })
            }
        }
    }

    /// A record that will never be answered: the driver ends as well and knows why, or the connection is of no use.
    async fn unanswered(&mut self, error: &PublishNoticeError) -> Loss {
        match tokio::time::timeout(Duration::from_secs(1), &mut self.driver.0).await {
            Ok(Ok(error)) => explain(&error, false),
            _ => Loss { text: format!("a record was left without an answer: {error}"), kind: Kind::Weather },
        }
    }

    /// What was answered before the end still counts; everything else is published again on the next connection.
    async fn end(mut self, loss: &Loss, mut waiting: JoinSet<Answer>, heart: &mpsc::Sender<Message>) {
        if loss.kind == Kind::Stop {
            let goodbye = async {
                let _ = self.client.disconnect_with_timeout(GOODBYE / 2).await;
                let _ = (&mut self.driver.0).await;
            };
            let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        }
        // Without client and driver no notice stays open.
        drop(self);
        let rest = async {
            while let Some(Ok(answered)) = waiting.join_next().await {
                if let Ok(input) = judge(answered) {
                    let _ = heart.send(Message::Input(input)).await;
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
    }
}

async fn drive(mut events: EventLoop, connected: oneshot::Sender<ConnAck>) -> ConnectionError {
    let mut connected = Some(connected);
    loop {
        match tokio::time::timeout(SILENCE, events.poll()).await {
            Ok(Ok(Event::Incoming(Packet::ConnAck(connack)))) => {
                let _ = connected.take().map(|connected| connected.send(connack));
            }
            Ok(Ok(_)) => {}
            // Polling again would reconnect with the library's own queue.
            Ok(Err(error)) => return error,
            Err(elapsed) => return ConnectionError::Timeout(elapsed),
        }
    }
}

fn options(gateway: &GatewayId, broker: &Broker, tls: Arc<ClientConfig>) -> MqttOptions {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    let mut options = MqttOptions::new(gateway.as_str(), (broker.host.as_str(), broker.port));
    options
        .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)))
        .set_clean_start(true)
        .set_session_expiry_interval(Some(0))
        .set_keep_alive(KEEP_ALIVE_SECONDS)
        .set_connect_timeout(CONNECT_TIMEOUT)
        .set_receive_maximum(Some(WINDOW))
        .set_outgoing_inflight_upper_limit(WINDOW)
        .set_max_packet_size(Some(INCOMING_LIMIT))
        .set_max_request_batch(usize::from(WINDOW))
        .set_network_options(network);
    options
}

/// What the broker grants, or why lingate cannot work with it.
fn limits(connack: &ConnAck) -> Result<LinkLimits, Loss> {
    let properties = connack.properties.as_ref();
    let refuse = |text: &str| Err(Loss { text: text.to_owned(), kind: Kind::Refusal });
    if properties.and_then(|p| p.max_qos) == Some(0) {
        return refuse("the broker allows QoS 0 only, so nothing would be acknowledged; allow QoS 1 for this gateway");
    }
    if properties.and_then(|p| p.retain_available) == Some(0) {
        return refuse("the broker keeps no retained messages, and KEY messages must be retained; allow them");
    }
    Ok(LinkLimits {
        in_flight: properties.and_then(|p| p.receive_max).unwrap_or(u16::MAX).clamp(1, WINDOW),
        packet_bytes: properties.and_then(|p| p.max_packet_size).unwrap_or(LARGEST_PACKET),
    })
}

/// Upper bound of a PUBLISH: fixed header 5, topic length 2, packet id 2, property length 1.
fn packet_bytes(topic: usize, payload: usize) -> u64 {
    (topic as u64).saturating_add(payload as u64).saturating_add(10)
}

fn judge((id, answer): Answer) -> Result<Input, PublishNoticeError> {
    match answer {
        Ok(PublishResult::Qos1(ack)) if (ack.reason as u8) < 0x80 => Ok(Input::Acked(id)),
        Ok(PublishResult::Qos1(ack)) => Ok(Input::Refused(id, ReasonCode(ack.reason as u8))),
        Ok(_) => Ok(Input::Refused(id, ReasonCode(0x9B))),
        Err(PublishNoticeError::V5PubAck(reason)) => Ok(Input::Refused(id, ReasonCode(reason as u8))),
        Err(PublishNoticeError::RetainNotSupported) => Ok(Input::Refused(id, ReasonCode(0x9A))),
        Err(error) => Err(error),
    }
}

fn stopping() -> Loss {
    Loss { text: "the gateway is stopping".to_owned(), kind: Kind::Stop }
}

/// The heart let go of this connection.
fn stopping_unless(stop: &Stop) -> Loss {
    match stop.is_told() {
        true => stopping(),
        false => Loss { text: "the engine gave up this connection".to_owned(), kind: Kind::Weather },
    }
}

/// In words that say what to do. In TLS 1.3 the broker judges the client's certificate after the client's handshake has
/// ended, so that verdict arrives as a broken connection (RFC 8446, section 4.4.2.4).
fn explain(error: &ConnectionError, connecting: bool) -> Loss {
    let weather = |text: String| Loss { text, kind: Kind::Weather };
    let refusal = |text: String| Loss { text, kind: Kind::Refusal };
    if let Some(error) = tls_error(error) {
        return explain_tls(error);
    }
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => {
            let text = format!("the broker refused the connection: {code:?}");
            use ConnectReturnCode::{
                ConnectionRateExceeded, QuotaExceeded, ServerBusy, ServerUnavailable, ServiceUnavailable,
            };
            match code {
                ServerBusy | ServerUnavailable | ServiceUnavailable | QuotaExceeded | ConnectionRateExceeded => {
                    weather(text)
                }
                _ => refusal(format!("{text}; ask the sandbox whether this gateway's certificate and id are allowed")),
            }
        }
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        }) => refusal(
            "another client connected with this gateway's id; if no second gateway runs by mistake, its key was \
                     copied: have the sandbox revoke it"
                .to_owned(),
        ),
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            weather(format!("the broker ended the connection: {reason_code:?}"))
        }
        ConnectionError::Timeout(_) if connecting => weather(format!("no connection within {CONNECT_TIMEOUT:?}")),
        ConnectionError::Timeout(_) => weather(format!("the broker was silent for {SILENCE:?}")),
        ConnectionError::MqttState(StateError::AwaitPingResp) => weather("the broker does not answer pings".to_owned()),
        error if connecting && matches!(error, ConnectionError::MqttState(_)) => weather(format!(
            "the broker closed the connection before it answered ({error}); if this stays, it may not accept this \
             gateway's certificate: compare its log"
        )),
        error => weather(error.to_string()),
    }
}

fn explain_tls(error: &rustls::Error) -> Loss {
    use AlertDescription as Alert;
    let refusal = |text: String| Loss { text, kind: Kind::Refusal };
    match error {
        rustls::Error::AlertReceived(
            alert @ (Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError),
        ) => refusal(format!(
            "the broker rejected this gateway's client certificate (TLS alert {alert:?}); check sandbox.certificate: \
             expired, revoked, or of another CA than the broker trusts?"
        )),
        rustls::Error::AlertReceived(Alert::ProtocolVersion) | rustls::Error::PeerIncompatible(_) => refusal(
            "the broker does not speak TLS 1.3, and lingate speaks nothing older; enable it at the broker".to_owned(),
        ),
        rustls::Error::InvalidCertificate(reason) => refusal(format!(
            "the broker's certificate is refused: {}",
            match reason {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } =>
                    "it is for another host name; check sandbox.broker, or whether this is the right broker".to_owned(),
                CertificateError::UnknownIssuer =>
                    "it was not issued by the CA of sandbox.ca; check sandbox.ca, or whether this is the right broker"
                        .to_owned(),
                CertificateError::Expired | CertificateError::ExpiredContext { .. } =>
                    "it has expired; tell the sandbox operator, and compare this computer's clock".to_owned(),
                reason => reason.to_string(),
            }
        )),
        error => Loss { text: format!("TLS: {error}"), kind: Kind::Weather },
    }
}

fn tls_error(error: &ConnectionError) -> Option<&rustls::Error> {
    match error {
        ConnectionError::Tls(TlsError::TLS(error)) => Some(error),
        ConnectionError::Tls(TlsError::Io(error))
        | ConnectionError::Io(error)
        | ConnectionError::MqttState(StateError::Io(error))
        | ConnectionError::MqttState(StateError::Deserialization(PacketError::Io(error))) => {
            error.get_ref()?.downcast_ref::<rustls::Error>()
        }
        _ => None,
    }
}
