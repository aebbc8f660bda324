//! Hands bundles to the gateways over the broker: retained, so that one that is away gets the newest when it returns.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rumqttc::{AsyncClient, EventLoop, MqttOptions, PubAckReason, PublishOptions, PublishResult, QoS};
use rumqttc::{TlsConfiguration, Transport};

use crate::keys::{hex, random};
use crate::link::BrokerAddress;
use crate::tls::Material;
use crate::{Authority, Issued};

const DEADLINE: Duration = Duration::from_secs(15);
const PACKET_BYTES_MAX: u32 = 2 << 20;

/// A message of the sandbox to a gateway.
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
}

/// Publishes every bundle on its gateway's topic, and waits until the broker has taken each.
pub async fn publish_bundles(authority: &Authority, broker: &BrokerAddress, issued: &[Issued]) -> Result<()> {
    let message = |issued: &Issued| Message { topic: issued.topic(), payload: issued.bundle.clone(), retained: true };
    publish_messages(authority, broker, issued.iter().map(message).collect()).await
}

/// By the sandbox's certificate, whatever they say: `r` and `b` of every gateway may be written with it.
pub async fn publish_messages(authority: &Authority, broker: &BrokerAddress, messages: Vec<Message>) -> Result<()> {
    let mut options = MqttOptions::new(format!("bundles-{}", hex(&random::<6>())), (broker.host.as_str(), broker.port));
    let tls = Material::read(authority.folder(), "receiver")?.client()?;
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
    options.set_max_packet_size(Some(PACKET_BYTES_MAX));
    let (client, mut events) = AsyncClient::builder(options).capacity(16).build();
    let all = async {
        for message in messages {
            let topic = message.topic.clone();
            publish_one(&client, &mut events, message).await.with_context(|| topic)?;
        }
        Ok(())
    };
    let done = tokio::time::timeout(DEADLINE, all).await.map_err(|_| anyhow!("no answer within 15 s"));
    done.and_then(|done| done).with_context(|| format!("broker {}:{}", broker.host, broker.port))?;
    let _ = client.try_disconnect();
    let leave = async { while events.poll().await.is_ok() {} };
    let _ = tokio::time::timeout(Duration::from_secs(2), leave).await;
    Ok(())
}

async fn publish_one(client: &AsyncClient, events: &mut EventLoop, message: Message) -> Result<()> {
    let options = PublishOptions::new(QoS::AtLeastOnce);
    let options = if message.retained { options.retained() } else { options };
    let notice = client.try_publish_tracked(message.topic, message.payload, options)?;
    let answer = tokio::select! {
        answer = notice.wait_async() => answer?,
        error = serve(events) => return Err(anyhow!("the connection failed: {error}")),
    };
    let PublishResult::Qos1(ack) = answer else { return Err(anyhow!("the broker did not acknowledge")) };
    let is_taken = matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
    ensure!(is_taken, "the broker refused it: {:?}", ack.reason);
    Ok(())
}

async fn serve(events: &mut EventLoop) -> String {
    loop {
        if let Err(error) = events.poll().await {
            return error.to_string();
        }
    }
}
