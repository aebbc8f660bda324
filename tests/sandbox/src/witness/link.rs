use std::time::Duration;

use lingate_model::Backoff;
use rumqttc::{AsyncClient, PublishOptions, QoS};
use tokio::sync::{mpsc, watch};

use super::{Judged, Reply, SUBMISSION_MAX, Witness};
use crate::link::{self, Ended, Item, LinkSettings, Subscribed};
use crate::{clock, keys};

const QUEUE: usize = 64;

/// A connection of its own: what a gateway says of its log is retained, so nothing needs to wait at the broker, and a
/// log that is in order costs its records nothing.
pub(crate) struct WitnessLink {
    pub(crate) settings: LinkSettings,
    pub(crate) witness: Witness,
}

impl WitnessLink {
    /// Until told to stop.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let (deliveries, queue) = mpsc::channel(QUEUE);
        let WitnessLink { settings, witness } = self;
        let desk = tokio::spawn(Desk { witness }.run(queue));
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        loop {
            let ended = link::run(&settings, Subscribed::Unknown, &deliveries, &mut stop, |_| {}).await;
            if matches!(ended, Ended::Stopped) || *stop.borrow() {
                break;
            }
            let pause = backoff.next_pause(u32::from_le_bytes(keys::random()));
            if tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await.is_ok() {
                break;
            }
        }
        drop(deliveries);
        let _ = desk.await;
    }
}

struct Desk {
    witness: Witness,
}

impl Desk {
    async fn run(self, mut queue: mpsc::Receiver<Item>) {
        while let Some(item) = queue.recv().await {
            match item {
                Item::Connected(_) => {}
                Item::Delivery(delivery) => {
                    let arrival = &delivery.arrival;
                    if arrival.payload.len() <= SUBMISSION_MAX {
                        // By its own connection: what is retained comes before the subscription stands.
                        self.take(&arrival.topic, &arrival.payload, delivery.client());
                    }
                    delivery.acknowledge();
                }
            }
        }
    }

    /// Files are small; what the connection does not take comes again with the gateway's next checkpoint.
    fn take(&self, topic: &str, payload: &[u8], client: &AsyncClient) {
        match self.witness.take(topic, payload, clock::unix_seconds().unsigned_abs()) {
            Ok((judged, reply)) => {
                match judged {
                    Judged::Forked(why) => eprintln!("ALARM {topic}: the gateway's audit log was forked: {why}"),
                    Judged::Refused(why) => eprintln!("{topic}: a checkpoint is refused: {why}"),
                    Judged::Cosigned { .. } | Judged::Behind => {}
                }
                if let Some(Reply { topic, note }) = reply {
                    let _ = client.try_publish_tracked(topic, note.into_bytes(), PublishOptions::new(QoS::AtLeastOnce));
                }
            }
            Err(error) => eprintln!("{topic}: a checkpoint could not be cosigned: {error:#}"),
        }
    }
}
