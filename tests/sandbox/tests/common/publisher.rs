//! A publisher with the gateway's own certificate.

use std::sync::{Arc, Mutex};

use lingate_sandbox::{Arrival, GatewayIdentity};
use rumqttc::{AsyncClient, EventLoop, MqttOptions, PubAckReason, PublishOptions, PublishResult, QoS, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub fn tls(identity: Option<&GatewayIdentity>, ca_pem: &str) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_slice(identity.tls_key_pem.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

/// One connection of a gateway; its event loop runs in a task until it fails or the client is dropped.
pub struct Publisher {
    pub client: AsyncClient,
    /// What the broker sent.
    pub received: Arc<Mutex<Vec<Arrival>>>,
    events: tokio::task::JoinHandle<String>,
}

impl Publisher {
    pub fn connect(port: u16, tls: Arc<rustls::ClientConfig>) -> Publisher {
        let mut options = MqttOptions::new("gateway", ("localhost", port));
        options.set_transport(Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(tls)));
        let (client, events) = AsyncClient::builder(options).capacity(1024).build();
        let received = Arc::new(Mutex::new(Vec::new()));
        Publisher { client, received: received.clone(), events: tokio::spawn(run(events, received)) }
    }

    /// The reason of the PUBACK; `None` if the connection ended first.
    pub async fn publish(&mut self, arrival: &Arrival) -> Option<PubAckReason> {
        let is_key = arrival.topic.contains("/k/");
        let options = PublishOptions::new(QoS::AtLeastOnce);
        let options = if is_key { options.retained() } else { options };
        let notice = self.client.try_publish_tracked(&arrival.topic, arrival.payload.clone(), options).ok()?;
        tokio::select! {
            answer = notice.wait_async() => match answer.ok()? {
                PublishResult::Qos1(ack) => Some(ack.reason),
                _ => None,
            },
            _ = &mut self.events => None,
        }
    }
}

async fn run(mut events: EventLoop, received: Arc<Mutex<Vec<Arrival>>>) -> String {
    loop {
        match events.poll().await {
            Err(error) => return error.to_string(),
            Ok(rumqttc::Event::Incoming(rumqttc::Packet::Publish(publish))) => {
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                received.lock().unwrap().push(Arrival { topic, payload: publish.payload.to_vec() });
            }
            Ok(_) => {}
        }
    }
}

pub fn is_taken(reason: Option<PubAckReason>) -> bool {
    matches!(reason, Some(PubAckReason::Success | PubAckReason::NoMatchingSubscribers))
}
