//! The connection to the sandbox's broker: MQTT 5 over TLS 1.3, QoS 1. Below here is the only place that knows the MQTT library.
//!
//! Promises: the library's queue is never storage, so every connection begins with a clean session and an empty client;
//! each record that was handed out is answered exactly once on its connection (acknowledged or refused), or the
//! connection is reported as lost and the engine publishes it again on the next one. The broker's limits are told to the
//! engine, which hands out nothing beyond them.

mod connection;
mod explain;
mod inbound;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lingate_config::Broker;
use lingate_engine::{Input, LinkLoss};
use lingate_model::{Backoff, Clock, GatewayId, TenantId};
use rustls::ClientConfig;
use tokio::sync::mpsc;

use crate::audit::Audit;
use crate::entropy::random_u32;
use crate::heart::Message;
use crate::inbox::Offered;
use crate::pulse::Pulse;
use crate::receipt_queue::ReceiptQueue;
use crate::supervise::Stop;
use crate::tls::{Stamp, TlsFiles};

use connection::Connection;
use explain::{Cuts, Kind, Loss, stopping};
use inbound::Inbound;

/// Log filter of the library, which tells every reconnect as an error.
pub(crate) const QUIET: &str = "rumqttc=warn";
/// How often replaced certificates are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Outages end without notice: a broker that is back is found within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A broker that refuses will refuse again until somebody acts.
const FIRST_REFUSED_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// A clock that moves by more than this was set, perhaps to a time in which certificates are valid.
const SET_BY_MICROS: u128 = 60_000_000;

/// What was not answered is sent again with the new identity.
fn replaced() -> Loss {
    Loss { text: "the certificate files were replaced; connecting with the new ones".to_owned(), kind: Kind::Weather }
}

#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) gateway: GatewayId,
    pub(crate) tenant: TenantId,
    pub(crate) brokers: Vec<Broker>,
    /// A PUBACK is a delivery even if nobody subscribes.
    pub(crate) takes_unread: bool,
    pub(crate) tls: TlsFiles,
    pub(crate) heart: mpsc::Sender<Message>,
    pub(crate) receipts: ReceiptQueue,
    pub(crate) clock: Arc<dyn Clock>,
    /// End of the certificate in use, in microseconds UTC; for the health endpoint.
    pub(crate) certificate_expires: Arc<AtomicI64>,
    /// Where a bundle from the retained topic goes.
    pub(crate) offered: Offered,
    pub(crate) audit: Audit,
    pub(crate) pulse: Pulse,
}

impl Link {
    /// Connects, serves and connects again, until told to stop.
    pub(crate) async fn run(self, stop: Stop) {
        self.pulse.publisher("the link").alongside(self.work(stop)).await;
    }

    async fn work(&self, mut stop: Stop) {
        let mut weather = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut refusal = Backoff::new(FIRST_REFUSED_PAUSE, LONGEST_REFUSED_PAUSE);
        let mut cuts = Cuts::default();
        loop {
            let began = self.clock.now().monotonic;
            let (loss, useful) = self.connect_and_serve(&mut stop).await;
            let loss = cuts.judge(loss, self.clock.now().monotonic.saturating_sub(began));
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
        let stamp = self.tls.stamp();
        for broker in &self.brokers {
            let connecting = Connection::open(&self.gateway, broker, tls.clone(), self.inbound(), &self.pulse);
            let opened = tokio::select! {
                biased;
                () = stop.told() => return (stopping(), false),
                opened = connecting => opened,
            };
            match opened {
                Ok(connection) => {
                    return tokio::select! {
                        ended = connection.serve(&self.heart, self.takes_unread, stop) => ended,
                        () = self.replaced(stamp) => (replaced(), true),
                    };
                }
                Err(loss) => losses.push(loss),
            }
        }
        // One broker that is merely away may come back at any time.
        let weather = losses.iter().any(|loss| loss.kind == Kind::Weather);
        let text = losses.into_iter().map(|loss| loss.text).collect::<Vec<_>>().join("; ");
        (Loss { text, kind: if weather { Kind::Weather } else { Kind::Refusal } }, false)
    }

    /// Somebody brought new certificates that can be used: they are, and not only when the connection ends by itself.
    async fn replaced(&self, stamp: Stamp) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if self.tls.stamp() != stamp && self.tls().await.is_ok() {
                return;
            }
        }
    }

    fn inbound(&self) -> Inbound {
        let topics = format!("lingate/1/{}/{}", self.tenant, self.gateway);
        let (receipts, offered, audit) = (self.receipts.clone(), self.offered.clone(), self.audit.clone());
        Inbound { topics, receipts, offered, audit }
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

    /// Where the wall clock stands, seen from the steady one: it moves when somebody sets it.
    fn clock_is_off_by(&self) -> i128 {
        let now = self.clock.now();
        i128::from(now.utc.0) - now.monotonic.as_micros() as i128
    }

    /// Ends early when somebody brought new certificates or set the clock. `false`: told to stop.
    async fn pause(&self, stop: &mut Stop, pause: Duration) -> bool {
        let (stamp, off_by) = (self.tls.stamp(), self.clock_is_off_by());
        let mut left = pause;
        while !left.is_zero() {
            let step = left.min(Duration::from_secs(2));
            if !stop.pause(step).await {
                return false;
            }
            if self.tls.stamp() != stamp || self.clock_is_off_by().abs_diff(off_by) > SET_BY_MICROS {
                return true;
            }
            left -= step;
        }
        true
    }
}
