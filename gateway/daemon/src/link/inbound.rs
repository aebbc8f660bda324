use lingate_audit::CHECKPOINT_MAX;
use lingate_seal::{BUNDLE_MAX, RECEIPT_MAX};
use rumqttc::{AsyncClient, Packet, PublishOptions, QoS, SubAck, SubscribeReasonCode};

use crate::audit::Audit;
use crate::inbox::Offered;
use crate::receipt_queue::ReceiptQueue;

/// What the sandbox sends: receipts and bundles, each on one topic. The broker is not trusted: what comes is only carried
/// to whoever checks it, and dropped when it is too large or too much.
#[derive(Clone)]
pub(super) struct Inbound {
    /// `lingate/1/{tenant}/{gateway}`
    pub(super) topics: String,
    pub(super) receipts: ReceiptQueue,
    pub(super) offered: Offered,
    pub(super) audit: Audit,
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

    /// The newest checkpoint of the audit log, retained: whoever looks later finds it. Its answer is a cosignature and not
    /// a PUBACK, so nobody waits for one; what is lost comes again with the next connection or checkpoint.
    pub(super) fn submit(&self, client: &AsyncClient, submission: &[u8]) {
        let options = PublishOptions::new(QoS::AtLeastOnce).retained();
        if let Err(error) = client.try_publish_tracked(format!("{}/a", self.topics), submission.to_vec(), options) {
            tracing::debug!(%error, "a checkpoint of the audit log was not published; the next one is");
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
            // A signed note is text that begins with its origin; a receipt is CBOR.
            Some(b"/r") if payload.starts_with(b"lingate/") && payload.len() <= CHECKPOINT_MAX => {
                self.audit.cosigned(payload);
            }
            Some(b"/r") if payload.len() <= RECEIPT_MAX => self.receipts.put(payload.to_vec()),
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use rumqttc::Publish;

    use super::*;

    fn inbound() -> Inbound {
        Inbound {
            topics: "lingate/1/acme/gw-1".to_owned(),
            receipts: ReceiptQueue::default(),
            offered: Offered::default(),
            audit: Audit::deaf(),
        }
    }

    fn publish(inbound: &Inbound, topic: &str, bytes: usize) {
        let publish = Publish::new(topic.to_owned(), QoS::AtLeastOnce, vec![7; bytes], None);
        inbound.take(&Packet::Publish(publish));
    }

    fn waiting(inbound: &Inbound) -> Vec<usize> {
        std::iter::from_fn(|| inbound.receipts.take()).map(|receipt| receipt.len()).collect()
    }

    #[test]
    fn a_receipt_goes_to_the_engine_and_a_bundle_to_the_keeper_of_the_inbox() {
        let inbound = inbound();
        publish(&inbound, "lingate/1/acme/gw-1/r", RECEIPT_MAX);
        assert_eq!(waiting(&inbound), [RECEIPT_MAX]);
        for bytes in [9, BUNDLE_MAX] {
            publish(&inbound, "lingate/1/acme/gw-1/b", bytes);
            assert_eq!(inbound.offered.lock().unwrap().as_ref().map(Vec::len), Some(bytes), "the newest counts");
        }
    }

    #[test]
    fn what_is_too_large_empty_or_of_another_topic_goes_nowhere() {
        let inbound = inbound();
        publish(&inbound, "lingate/1/acme/gw-1/r", RECEIPT_MAX + 1);
        publish(&inbound, "lingate/1/acme/gw-1/b", BUNDLE_MAX + 1);
        publish(&inbound, "lingate/1/acme/gw-1/b", 0);
        for topic in ["lingate/1/acme/gw-2/b", "lingate/1/acme/gw-2/r", "lingate/1/acme/gw-1/d/b", "b", ""] {
            publish(&inbound, topic, 10);
        }
        assert!(waiting(&inbound).is_empty() && inbound.offered.lock().unwrap().is_none());
    }
}
