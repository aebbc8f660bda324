//! A gateway's connection: MQTT 5 over TLS 1.3 with its own certificate, clean sessions, QoS 1, as the daemon has it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use lingate_engine::{Input, LinkLimits, LinkLoss, PublishId, ReasonCode, Topic};
use lingate_sandbox::GatewayIdentity;
use lingate_seal::Sealed;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Packet, PubAckReason,
    PublishNoticeError, PublishOptions, PublishResult, QoS, TlsConfiguration, Transport,
};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

const WINDOW: u16 = 64;
const PAUSE: Duration = Duration::from_millis(500);

type Answer = (PublishId, Result<PublishResult, PublishNoticeError>);

pub(crate) struct Link {
    options: MqttOptions,
    state: State,
    waiting: JoinSet<Answer>,
}

enum State {
    Down,
    /// The task polls the event loop and nothing else.
    Up {
        client: AsyncClient,
        came: mpsc::Receiver<LinkLimits>,
        driver: JoinHandle<ConnectionError>,
    },
}

impl Drop for Link {
    fn drop(&mut self) {
        if let State::Up { driver, .. } = &self.state {
            driver.abort();
        }
    }
}

impl Link {
    pub(crate) fn open(identity: &GatewayIdentity, port: u16) -> Result<Link> {
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        let mut options = MqttOptions::new(identity.gateway.as_str(), ("localhost", port));
        options
            .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls(identity)?)))
            .set_clean_start(true)
            .set_session_expiry_interval(Some(0))
            .set_keep_alive(60)
            .set_connect_timeout(Duration::from_secs(60))
            .set_receive_maximum(Some(WINDOW))
            .set_outgoing_inflight_upper_limit(WINDOW)
            .set_max_request_batch(usize::from(WINDOW))
            .set_network_options(network);
        Ok(Link { options, state: State::Down, waiting: JoinSet::new() })
    }

    /// What the engine has to hear next.
    pub(crate) async fn next(&mut self) -> Input {
        loop {
            let State::Up { came, driver, .. } = &mut self.state else {
                self.connect();
                continue;
            };
            tokio::select! {
                biased;
                Some(limits) = came.recv() => return Input::LinkUp(limits),
                Some(Ok((id, answer))) = self.waiting.join_next() => match answer {
                    Ok(PublishResult::Qos1(ack)) if ack.reason == PubAckReason::NoMatchingSubscribers => {
                        return Input::Refused(id, ReasonCode::NO_SUBSCRIBER);
                    }
                    Ok(PublishResult::Qos1(ack)) if (ack.reason as u8) < 0x80 => return Input::Acked(id),
                    Ok(PublishResult::Qos1(ack)) => return Input::Refused(id, ReasonCode(ack.reason as u8)),
                    // The driver ends as well, and says why.
                    _ => {}
                },
                ended = driver => {
                    let text = ended.map_or_else(|error| error.to_string(), |error| error.to_string());
                    (self.state, self.waiting) = (State::Down, JoinSet::new());
                    tokio::time::sleep(PAUSE).await;
                    return Input::LinkDown(LinkLoss(text));
                }
            }
        }
    }

    fn connect(&mut self) {
        let (client, events) = AsyncClient::builder(self.options.clone()).capacity(4 * usize::from(WINDOW)).build();
        let (came, limits) = mpsc::channel(1);
        self.state = State::Up { client, came: limits, driver: tokio::spawn(drive(events, came)) };
    }

    /// On a connection that is gone it is not answered, and the engine hands it out again.
    pub(crate) fn publish(&mut self, id: PublishId, topic: Topic, sealed: &Sealed) {
        let State::Up { client, .. } = &self.state else { return };
        let options = PublishOptions::new(QoS::AtLeastOnce);
        let options = if topic.retained { options.retained() } else { options };
        if let Ok(notice) = client.try_publish_tracked(topic.name, sealed.bytes().to_vec(), options) {
            self.waiting.spawn(async move { (id, notice.wait_async().await) });
        }
    }
}

async fn drive(mut events: EventLoop, came: mpsc::Sender<LinkLimits>) -> ConnectionError {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                let properties = connack.properties.as_ref();
                let in_flight = properties.and_then(|it| it.receive_max).unwrap_or(WINDOW).clamp(1, WINDOW);
                let packet_bytes = properties.and_then(|it| it.max_packet_size).unwrap_or(1 << 20);
                let _ = came.send(LinkLimits { in_flight, packet_bytes }).await;
            }
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

fn tls(identity: &GatewayIdentity) -> Result<Arc<ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(identity.ca_pem.as_bytes())?)?;
    let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(identity.tls_key_pem.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_client_auth_cert(chain, key)?))
}
