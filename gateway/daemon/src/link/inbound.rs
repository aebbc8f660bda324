use lingate_engine::Input;
use lingate_seal::{BUNDLE_MAX, RECEIPT_MAX};
use rumqttc::{AsyncClient, Packet, QoS, SubAck, SubscribeReasonCode};
use tokio::sync::mpsc;

use crate::heart::Message;
use crate::inbox::Offered;

/// What the sandbox sends: receipts and bundles, each on one topic. The broker is not trusted: what comes is only carried
/// to whoever checks it, and dropped when it is too large or too much.
#[derive(Clone)]
pub(super) struct Inbound {
    /// `lingate/1/{tenant}/{gateway}`
    pub(super) topics: String,
    pub(super) heart: mpsc::Sender<Message>,
    pub(super) offered: Offered,
}

impl Inbound {
    /// On every connection: the session is always a clean one.
    pub(super) fn subscribe(&self, client: &AsyncClient) {
        for letter in ["r", "b"] {
            if let Err(error) = client.try_subscribe(format!("{}/{letter}", self.topics), QoS::AtLeastOnce) {
                tracing::warn!(%error, letter, "a topic of the sandbox cannot be subscribed to; it is tried at the next connection");
            }
        }
    }

    pub(super) fn take(&self, packet: &Packet) {
        match packet {
            Packet::Publish(publish) => self.publish(&publish.topic, &publish.payload),
            Packet::SubAck(answer) if !is_granted(answer) => tracing::warn!(
                "the broker refuses a subscription below {}: without it neither receipts nor bundles come this way; allow \
                 this gateway to read its topics r and b",
                self.topics
            ),
            _ => {}
        }
    }

    fn publish(&self, topic: &[u8], payload: &[u8]) {
        let letter = topic.strip_prefix(self.topics.as_bytes());
        match letter {
            Some(b"/r") if payload.len() <= RECEIPT_MAX => {
                // A queue that is full has more urgent things; the sandbox repeats what it was not sent again for.
                let _ = self.heart.try_send(Message::Input(Input::Receipt(payload.to_vec())));
            }
            Some(b"/b") if (1..=BUNDLE_MAX).contains(&payload.len()) => {
                *self.offered.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(payload.to_vec());
            }
            _ => {}
        }
    }
}

fn is_granted(answer: &SubAck) -> bool {
    answer.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_)))
}
