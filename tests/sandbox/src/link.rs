//! The receiver's connection: MQTT 5, persistent session, acknowledged only when the store has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use rumqttc::mqttbytes::v5::SubscribeFilter;
use rumqttc::{
    AckMode, AsyncClient, BrokerSessionResumePolicy, ConnAck, ConnectionError, Event, EventLoop, ManualAck,
    MqttOptions, NetworkOptions, Outgoing, Packet, QoS, TlsConfiguration, Transport,
};
use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};

use crate::intake::Arrival;

/// The broker's window towards us: so many messages can be unacknowledged.
const WINDOW: u16 = 256;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// `poll` gives at least one event per keep-alive interval; a half-open connection gives none.
const SILENCE_MAX: Duration = Duration::from_secs(2 * 15 + 5);
const FINISH_MAX: Duration = Duration::from_secs(5);
const GOODBYE_MAX: Duration = Duration::from_secs(2);
const SESSION_SECONDS: u32 = 90 * 86_400;
const PACKET_BYTES_MAX: u32 = 8 << 20;

/// Where the broker is; the host is also the name in its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    pub host: String,
    pub port: u16,
}

impl std::str::FromStr for BrokerAddress {
    type Err = String;

    /// `mqtts://HOST[:PORT]`, an IPv6 address in brackets.
    fn from_str(url: &str) -> Result<BrokerAddress, String> {
        let wrong = || format!("{url:?} is not a broker: mqtts://HOST:PORT is expected");
        let rest = url.strip_prefix("mqtts://").ok_or_else(wrong)?.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (rest, 8883),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(wrong());
        }
        Ok(BrokerAddress { host: host.to_owned(), port })
    }
}

pub(crate) struct LinkSettings {
    pub(crate) client_id: String,
    pub(crate) broker: BrokerAddress,
    pub(crate) tls: Arc<ClientConfig>,
    /// What it subscribes to.
    pub(crate) filters: Vec<String>,
}

/// What the connection hands to the store's thread.
pub(crate) enum Item {
    /// The subscriptions stand; publish by this client.
    Connected(AsyncClient),
    Delivery(Delivery),
}

/// A message with the means to acknowledge it on the connection that brought it.
pub(crate) struct Delivery {
    pub(crate) arrival: Arrival,
    ack: Option<ManualAck>,
    client: AsyncClient,
}

impl Delivery {
    /// The connection that brought it.
    pub(crate) fn client(&self) -> &AsyncClient {
        &self.client
    }

    /// The message is durable. If the connection is gone, the broker sends it again and it is a duplicate.
    pub(crate) fn acknowledge(self) {
        if let Some(ack) = self.ack {
            let _ = self.client.try_manual_ack(ack);
        }
    }
}

/// Whether the broker's session is known to contain the subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subscribed {
    Yes,
    /// A session that may exist is of no use: the library cannot subscribe within it.
    Unknown,
}

/// Why a connection ended.
pub(crate) enum Ended {
    Stopped,
    Lost(String),
}

/// Ends a session that an older store may have left, by one short connection. The session that follows must not begin
/// with Clean Start itself: mosquitto 2.0.11 does not save such a session, and forgets it when it restarts.
async fn forget_session(settings: &LinkSettings) -> Result<(), String> {
    let mut options = options(settings);
    options.set_clean_start(true);
    options.set_session_expiry_interval(Some(0));
    let (client, mut events) = AsyncClient::builder(options).capacity(1).build();
    connected(&mut events).await.map_err(|error| error.to_string())?;
    goodbye(&client, &mut events).await;
    Ok(())
}

/// One connection from CONNECT to its end. `on_up` is called once, when the subscriptions stand, with whether the
/// broker had kept the session.
pub(crate) async fn run(
    settings: &LinkSettings,
    subscribed: Subscribed,
    deliveries: &mpsc::Sender<Item>,
    stop: &mut watch::Receiver<bool>,
    on_up: impl FnOnce(bool),
) -> Ended {
    let capacity = 2 * usize::from(WINDOW);
    let (client, mut events) = AsyncClient::builder(options(settings)).capacity(capacity).build();
    let filters = &settings.filters;
    let inbox = Inbox { client: &client, deliveries, filters, unacknowledged: AtomicI64::new(0) };
    let life = async {
        if subscribed == Subscribed::Unknown {
            forget_session(settings).await?;
        }
        let connack = connected(&mut events).await.map_err(|error| error.to_string())?;
        match (connack.session_present, subscribed) {
            (true, Subscribed::Unknown) => return Err("the broker kept a session that should be gone".to_owned()),
            (true, Subscribed::Yes) => {}
            (false, _) => inbox.subscribe(&mut events).await?,
        }
        on_up(connack.session_present);
        if deliveries.send(Item::Connected(client.clone())).await.is_err() {
            return Err("the intake has ended".to_owned());
        }
        Err(inbox.pump(&mut events).await)
    };
    let ended = tokio::select! {
        lost = life => lost,
        _ = stop.wait_for(|stop| *stop) => Ok(()),
    };
    match ended {
        Err(reason) => Ended::Lost(reason),
        Ok(()) => {
            inbox.finish(&mut events).await;
            goodbye(&client, &mut events).await;
            Ended::Stopped
        }
    }
}

fn options(settings: &LinkSettings) -> MqttOptions {
    let BrokerAddress { host, port } = &settings.broker;
    let mut options = MqttOptions::new(&settings.client_id, (host.as_str(), *port));
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(settings.tls.clone())));
    options.set_clean_start(false);
    options.set_session_expiry_interval(Some(SESSION_SECONDS));
    // A rebuilt client has no session state of its own; what matters of it is in the store.
    options.set_broker_session_resume_policy(BrokerSessionResumePolicy::AllowBrokerOnly);
    options.set_ack_mode(AckMode::Manual);
    options.set_keep_alive(KEEP_ALIVE.as_secs() as u16);
    options.set_connect_timeout(CONNECT_TIMEOUT);
    options.set_receive_maximum(Some(WINDOW));
    options.set_max_packet_size(Some(PACKET_BYTES_MAX));
    options.set_max_request_batch(usize::from(WINDOW));
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    options
}

async fn next(events: &mut EventLoop) -> Result<Event, ConnectionError> {
    tokio::time::timeout(SILENCE_MAX, events.poll()).await.unwrap_or_else(|late| Err(ConnectionError::Timeout(late)))
}

async fn connected(events: &mut EventLoop) -> Result<ConnAck, ConnectionError> {
    loop {
        if let Event::Incoming(Packet::ConnAck(connack)) = next(events).await? {
            return Ok(connack);
        }
    }
}

/// What a connection does with what it brings.
struct Inbox<'a> {
    client: &'a AsyncClient,
    deliveries: &'a mpsc::Sender<Item>,
    filters: &'a [String],
    /// Messages that were handed on and whose PUBACK has not been written.
    unacknowledged: AtomicI64,
}

impl Inbox<'_> {
    /// Retained KEYs may arrive before the answer does, so the connection is served meanwhile.
    async fn subscribe(&self, events: &mut EventLoop) -> Result<(), String> {
        let filters = self.filters.iter().map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce));
        let notice = self.client.subscribe_many_tracked(filters).await.map_err(|error| error.to_string())?;
        let answer = tokio::select! {
            reason = self.pump(events) => return Err(reason),
            answer = notice.wait_completion_async() => answer,
        };
        answer.map(|_| ()).map_err(|error| format!("the broker refused the subscription: {error}"))
    }

    /// Hands on what arrives until the connection is lost; says why.
    async fn pump(&self, events: &mut EventLoop) -> String {
        loop {
            let publish = match next(events).await {
                Ok(Event::Incoming(Packet::Publish(publish))) => publish,
                Ok(other) => {
                    self.note(&other);
                    continue;
                }
                Err(error) => return error.to_string(),
            };
            let topic = String::from_utf8_lossy(&publish.topic).into_owned();
            let delivery = Delivery {
                ack: self.client.prepare_ack(&publish),
                arrival: Arrival { topic, payload: publish.payload.to_vec() },
                client: self.client.clone(),
            };
            self.unacknowledged.fetch_add(i64::from(delivery.ack.is_some()), Relaxed);
            // A full queue stops the connection's clock as well: seconds at most, far below the keep-alive.
            if self.deliveries.send(Item::Delivery(delivery)).await.is_err() {
                return "the intake has ended".to_owned();
            }
        }
    }

    fn note(&self, event: &Event) {
        if matches!(event, Event::Outgoing(Outgoing::PubAck(_))) {
            self.unacknowledged.fetch_sub(1, Relaxed);
        }
    }

    /// Until what was handed on is stored and acknowledged, so that little comes twice. What still arrives is left to
    /// the next connection: the session stays at the broker.
    async fn finish(&self, events: &mut EventLoop) {
        let acknowledged = async {
            while self.unacknowledged.load(Relaxed) > 0 {
                match events.poll().await {
                    Ok(event) => self.note(&event),
                    Err(_) => return,
                }
            }
        };
        tokio::select! {
            () = acknowledged => {}
            () = self.deliveries.closed() => {}
            () = tokio::time::sleep(FINISH_MAX) => {}
        }
    }
}

async fn goodbye(client: &AsyncClient, events: &mut EventLoop) {
    let _ = client.try_disconnect();
    let leave = async { while events.poll().await.is_ok() {} };
    let _ = tokio::time::timeout(GOODBYE_MAX, leave).await;
}
