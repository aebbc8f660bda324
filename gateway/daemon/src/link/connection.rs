use std::sync::Arc;
use std::time::Duration;

use lingate_config::Broker;
use lingate_engine::{Input, LinkLimits, PublishId, ReasonCode};
use lingate_model::GatewayId;
use lingate_seal::BUNDLE_MAX;
use rumqttc::{
    AsyncClient, ConnAck, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Packet, PubAckReason,
    PublishNoticeError, PublishOptions, PublishResult, QoS, TlsConfiguration, Transport,
};
use rustls::ClientConfig;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::explain::{Kind, Loss, explain, named, stopping, unreached};
use super::inbound::Inbound;
use crate::heart::{Message, Publish};
use crate::pulse::Pulse;
use crate::supervise::Stop;

const WINDOW: u16 = 64;
const KEEP_ALIVE_SECONDS: u16 = 15;
/// TCP, TLS and CONNACK together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The library's own keep-alive does not cover a write that is stuck in a full socket.
pub(super) const SILENCE: Duration = Duration::from_secs(2 * KEEP_ALIVE_SECONDS as u64 + 10);
/// Records in flight and no acknowledgement for this long: the connection is of no use.
const NO_PROGRESS: Duration = Duration::from_secs(60);
/// Nothing that a broker may send to lingate is larger: a bundle with its topic.
const INCOMING_LIMIT: u32 = BUNDLE_MAX as u32 + 4 * 1024;
/// MQTT 5 section 2.1.4: the largest packet there is.
const LARGEST_PACKET: u32 = 268_435_460;
const QUEUE: usize = 4 * WINDOW as usize;
const GOODBYE: Duration = Duration::from_secs(3);

/// One connection, from CONNACK to its loss.
pub(super) struct Connection {
    client: AsyncClient,
    limits: LinkLimits,
    inbound: Inbound,
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
    /// The error names the broker.
    pub(super) async fn open(
        gateway: &GatewayId,
        broker: &Broker,
        tls: Arc<ClientConfig>,
        inbound: Inbound,
        pulse: &Pulse,
    ) -> Result<Connection, Loss> {
        let builder = AsyncClient::builder(options(gateway, broker, tls)).capacity(QUEUE);
        let (client, events) = builder.try_build().map_err(|error| {
            let text = format!("the MQTT client refuses its options: {error}");
            named(broker, Loss { text, kind: Kind::Refusal })
        })?;
        let (connected, limits) = oneshot::channel();
        let mut driver = Driver(tokio::spawn(pulse.publisher("the MQTT client").alongside(drive(
            events,
            connected,
            inbound.clone(),
        ))));
        match limits.await {
            Ok(limits) => {
                let limits = limits.map_err(|loss| named(broker, loss))?;
                inbound.subscribe(&client);
                tracing::info!(
                    broker = broker.host,
                    port = broker.port,
                    in_flight = limits.in_flight,
                    packet_bytes = limits.packet_bytes,
                    "connected to the sandbox's broker"
                );
                Ok(Connection { client, limits, inbound, driver })
            }
            Err(_) => Err(match (&mut driver.0).await {
                Ok(error) => unreached(&error, broker),
                Err(error) => {
                    let text = format!("the MQTT client failed: {error}");
                    named(broker, Loss { text, kind: Kind::Weather })
                }
            }),
        }
    }

    /// Publishes what the engine hands out and reports each answer. `true`: something was acknowledged.
    pub(super) async fn serve(
        mut self,
        heart: &mpsc::Sender<Message>,
        takes_unread: bool,
        stop: &mut Stop,
    ) -> (Loss, bool) {
        let (sender, mut queue) = mpsc::channel(QUEUE);
        if heart.send(Message::LinkUp(self.limits, sender)).await.is_err() {
            return (stopping(), false);
        }
        let mut waiting: JoinSet<Answer> = JoinSet::new();
        let mut useful = false;
        let mut submission = self.inbound.audit.submission();
        submission.mark_changed();
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
                    match judge(answered, takes_unread) {
                        Ok(input) => input,
                        Err(error) => break self.unanswered(&error).await,
                    }
                }
                Ok(()) = submission.changed() => {
                    let newest = submission.borrow_and_update().clone();
                    newest.iter().for_each(|newest| self.inbound.submit(&self.client, newest));
                    continue;
                }
                publish = queue.recv() => {
                    let Some(publish) = publish else { break stopping_unless(stop) };
                    if waiting.is_empty() {
                        no_progress.set(tokio::time::sleep(NO_PROGRESS));
                    }
                    match self.publish(publish, &mut waiting) {
                        Ok(()) => continue,
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
        self.end(&loss, waiting, heart, takes_unread).await;
        (loss, useful)
    }

    /// An error: the connection is of no more use.
    fn publish(&self, publish: Publish, waiting: &mut JoinSet<Answer>) -> Result<(), Loss> {
        let Publish { id, topic, sealed } = publish;
        let options = PublishOptions::new(QoS::AtLeastOnce);
        let options = if topic.retained { options.retained() } else { options };
        let payload = bytes::Bytes::from_owner(sealed.shared_bytes());
        match self.client.try_publish_tracked(topic.name, payload, options) {
            Ok(notice) => {
                waiting.spawn(async move { (id, notice.wait_async().await) });
                Ok(())
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
    async fn end(
        mut self,
        loss: &Loss,
        mut waiting: JoinSet<Answer>,
        heart: &mpsc::Sender<Message>,
        takes_unread: bool,
    ) {
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
                if let Ok(input) = judge(answered, takes_unread) {
                    let _ = heart.send(Message::Input(input)).await;
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
    }
}

async fn drive(
    mut events: EventLoop,
    connected: oneshot::Sender<Result<LinkLimits, Loss>>,
    inbound: Inbound,
) -> ConnectionError {
    let mut connected = Some(connected);
    loop {
        match tokio::time::timeout(SILENCE, events.poll()).await {
            Ok(Ok(Event::Incoming(Packet::ConnAck(connack)))) => {
                if let Some(connected) = connected.take() {
                    let _ = connected.send(limits(&connack));
                }
            }
            Ok(Ok(Event::Incoming(packet))) => inbound.take(&packet),
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

fn judge((id, answer): Answer, takes_unread: bool) -> Result<Input, PublishNoticeError> {
    match answer {
        Ok(PublishResult::Qos1(ack)) if ack.reason == PubAckReason::NoMatchingSubscribers && !takes_unread => {
            Ok(Input::Refused(id, ReasonCode::NO_SUBSCRIBER))
        }
        Ok(PublishResult::Qos1(ack)) if (ack.reason as u8) < 0x80 => Ok(Input::Acked(id)),
        Ok(PublishResult::Qos1(ack)) => Ok(Input::Refused(id, ReasonCode(ack.reason as u8))),
        Ok(_) => Ok(Input::Refused(id, ReasonCode(0x9B))),
        Err(PublishNoticeError::V5PubAck(reason)) => Ok(Input::Refused(id, ReasonCode(reason as u8))),
        Err(PublishNoticeError::RetainNotSupported) => Ok(Input::Refused(id, ReasonCode(0x9A))),
        Err(error) => Err(error),
    }
}

/// The heart let go of this connection.
fn stopping_unless(stop: &Stop) -> Loss {
    match stop.is_told() {
        true => stopping(),
        false => Loss { text: "the engine gave up this connection".to_owned(), kind: Kind::Weather },
    }
}
