//! A broker inside of this process, for tests and the demo: mutual TLS 1.3, the access list of `mosquitto.rs`, an
//! outage on demand. Crate `mqtt5` keeps sessions and topics; it listens on loopback behind a front that does TLS,
//! and takes nobody who did not come through the front. Sessions and queues are in memory: they survive an outage of
//! the front ([`Broker::stop`], [`Broker::start_again`]), not the end of the process.

mod frames;
mod front;
mod tap;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context, Result};
use mqtt5::broker::auth::{AuthProvider, AuthResult};
use mqtt5::broker::config::{BrokerConfig, StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerShutdownHandle, MqttBroker};
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;
use tokio::task::JoinHandle;

use front::{Front, FrontSettings, Peers};
pub use tap::{Refusal, Tap, TapCounts};

use crate::Authority;
use crate::mosquitto::RECEIVER;
use crate::tls::Material;

const PACKET_BYTES_MAX: usize = 4 << 20;
const RECEIVE_MAXIMUM: u16 = 64;
/// A receiver that is away for the whole demo; the crate drops the oldest beyond it without a word.
const QUEUE_MESSAGES: usize = 10_000_000;
const QUEUE_BYTES: usize = 2 << 30;

pub struct Broker {
    address: SocketAddr,
    settings: FrontSettings,
    /// `None` during an outage.
    front: Option<Front>,
    inner: BrokerShutdownHandle,
    running: JoinHandle<mqtt5::error::Result<()>>,
}

impl Broker {
    /// With the certificate of the authority's folder. Port 0: any free one.
    pub async fn start(authority: &Authority, address: SocketAddr) -> Result<Broker> {
        let tls = Material::read(authority.folder(), "broker")?.server()?;
        let peers = Peers::default();
        let mut broker = MqttBroker::with_config(configuration())
            .await
            .context("the inner broker")?
            .with_auth_provider(Arc::new(Rights { peers: peers.clone() }));
        let inner = broker.local_addr().context("the inner broker has no address")?;
        let (handle, mut ready) = (broker.shutdown_handle(), broker.ready_receiver());
        let running = tokio::spawn(async move { broker.run().await });
        ready.wait_for(|is_ready| *is_ready).await.context("the inner broker ended")?;
        let settings = FrontSettings { tls, inner, peers, tap: Arc::new(Tap::default()) };
        let front =
            Front::start(address, settings.clone()).await.with_context(|| format!("cannot listen on {address}"))?;
        Ok(Broker { address: front.address, settings, front: Some(front), inner: handle, running })
    }

    /// The same before, during and after an outage.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn tap(&self) -> &Tap {
        &self.settings.tap
    }

    /// An outage: all connections break, new ones are refused. Sessions and queued messages stay.
    pub async fn stop(&mut self) {
        if let Some(front) = self.front.take() {
            front.stop().await;
        }
    }

    /// On the same port as before.
    pub async fn start_again(&mut self) -> Result<()> {
        if self.front.is_none() {
            self.front = Some(Front::start(self.address, self.settings.clone()).await?);
        }
        Ok(())
    }

    pub async fn shutdown(mut self) {
        self.stop().await;
        self.inner.shutdown();
        let _ = (&mut self.running).await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.inner.shutdown();
    }
}

fn configuration() -> BrokerConfig {
    let storage = StorageConfig::new()
        .with_backend(StorageBackend::Memory)
        .with_max_queued_messages_per_client(QUEUE_MESSAGES)
        .with_max_queued_bytes_per_client(QUEUE_BYTES);
    BrokerConfig::default()
        // The default listens on every interface.
        .with_bind_addresses(vec![])
        .with_bind_address(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .with_storage(storage)
        .with_sys_topics_enabled(false)
        .with_max_packet_size(PACKET_BYTES_MAX)
        .with_server_receive_maximum(RECEIVE_MAXIMUM)
}

/// The access list of `mosquitto.rs`.
struct Rights {
    peers: Peers,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl AuthProvider for Rights {
    fn authenticate<'a>(
        &'a self,
        _connect: &'a ConnectPacket,
        peer: SocketAddr,
    ) -> Answer<'a, mqtt5::error::Result<AuthResult>> {
        let name = self.peers.lock().expect("no holder of the lock panics").get(&peer).cloned();
        Box::pin(async move {
            Ok(match name {
                Some(name) => AuthResult::success_with_user(name),
                None => AuthResult::fail(ReasonCode::NotAuthorized),
            })
        })
    }

    fn authorize_publish<'a>(&'a self, _client: &str, user: Option<&'a str>, topic: &'a str) -> Answer<'a, bool> {
        Box::pin(async move { user.is_some_and(|user| may_publish(user, topic)) })
    }

    fn authorize_subscribe<'a>(&'a self, _client: &str, user: Option<&'a str>, filter: &'a str) -> Answer<'a, bool> {
        Box::pin(async move { user.is_some_and(|user| may_subscribe(user, filter)) })
    }
}

fn may_publish(user: &str, topic: &str) -> bool {
    match levels(topic)[..] {
        [_, gateway, "k" | "d", ..] | [_, gateway, "a"] if gateway == user => true,
        [_, _, "r" | "b"] => user == RECEIVER,
        _ => false,
    }
}

/// A gateway must name itself in the filter: a wildcard there would reach its neighbours.
fn may_subscribe(user: &str, filter: &str) -> bool {
    let shared = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    match levels(shared.map_or(filter, |(_, filter)| filter))[..] {
        [] => false,
        [_, gateway, "r" | "b"] if gateway == user => true,
        _ => user == RECEIVER,
    }
}

/// What follows `lingate/1`: tenant, gateway, channel, alias.
fn levels(topic: &str) -> Vec<&str> {
    topic.strip_prefix("lingate/1/").map(|rest| rest.split('/').collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_reaches_only_what_is_below_its_own_name() {
        assert!(may_publish("gw-1", "lingate/1/acme/gw-1/k/q7"));
        assert!(may_publish("gw-1", "lingate/1/acme/gw-1/d/q7"));
        assert!(may_publish("gw-1", "lingate/1/acme/gw-1/a"));
        for topic in ["lingate/1/acme/gw-2/d/q7", "lingate/1/acme/gw-1/r", "lingate/1/acme/gw-1/b", "x/gw-1/d/q7", ""] {
            assert!(!may_publish("gw-1", topic), "{topic}");
        }
        assert!(may_subscribe("gw-1", "lingate/1/+/gw-1/b"));
        for filter in ["lingate/1/+/+/b", "lingate/1/#", "#", "lingate/1/acme/gw-2/r", "lingate/1/acme/gw-1/d/q7"] {
            assert!(!may_subscribe("gw-1", filter), "{filter}");
        }
    }

    #[test]
    fn the_receiver_reads_everything_and_writes_receipts_and_bundles() {
        assert!(may_subscribe(RECEIVER, "lingate/1/+/+/d/+"));
        assert!(may_subscribe(RECEIVER, "$share/group/lingate/1/+/+/d/+"));
        assert!(!may_subscribe("gw-1", "$share/group/lingate/1/+/+/d/+"));
        assert!(may_publish(RECEIVER, "lingate/1/acme/gw-1/b"));
        assert!(!may_publish(RECEIVER, "lingate/1/acme/gw-1/d/q7"));
    }
}
