use lingate_model::{MissedCause, Now, Reading, StatusCode, Value};
use opcua::types::{NotificationMessage, PublishResponse, SubscriptionAcknowledgement};
use std::time::Duration;

use super::account::Debt;
use super::desk::{Desk, Done};
use super::notification::Notified;
use super::reading::is_overflow;
use super::subscription::{NAMESPACES, SERVER_TIME, START_TIME, Subscription};
use super::decode::Sample;
use crate::{DeviceEvent, LinkError};

const BAD_TOO_MANY_PUBLISH_REQUESTS: u32 = 0x8078_0000;
const BAD_MESSAGE_NOT_AVAILABLE: u32 = 0x807B_0000;
/// Of one request; the rest goes with the next one.
const USED_MAX: usize = 1_000;
/// After an answer that brought nothing, so that a server that answers with nothing for ever costs little.
const PAUSE: Duration = Duration::from_millis(20);
const FAILURES_MAX: u32 = 5;

impl Desk<'_> {
    /// Keeps so many requests at the server that each subscription can answer at any time.
    pub(crate) fn publish_more(&mut self) {
        let wanted = (self.subscriptions.len() + 1).clamp(2, self.publishing_max.max(2)).min(self.publishing_max);
        let Some(patience) = self.subscriptions.iter().map(Subscription::patience).max() else { return };
        while self.publishing < wanted {
            let used = self.used.split_off(self.used.len().saturating_sub(USED_MAX));
            let (ask, pause) = (self.ask.clone(), std::mem::take(&mut self.publish_pause));
            self.publishing += 1;
            self.pending.push(Box::pin(async move {
                if pause > Duration::ZERO {
                    tokio::time::sleep(pause).await;
                }
                Done::Published(Box::new(ask.publish(used, patience).await))
            }));
        }
    }

    pub(crate) async fn published(&mut self, result: Result<PublishResponse, StatusCode>) -> Result<(), LinkError> {
        let now = self.sink.now();
        self.publishing -= 1;
        let response = match result {
            Ok(response) => response,
            Err(status) => return self.publish_failed(status),
        };
        self.publish_failures = 0;
        self.plan.memory.count("publishes", 1);
        let is_known = |subscription: &Subscription| subscription.id == response.subscription_id;
        let Some(at) = self.subscriptions.iter().position(is_known) else {
            self.publish_pause = PAUSE;
            return Ok(());
        };
        self.arrived(at, response.notification_message, now).await
    }

    fn publish_failed(&mut self, status: StatusCode) -> Result<(), LinkError> {
        match status.0 & 0xFFFF_0000 {
            BAD_TOO_MANY_PUBLISH_REQUESTS => {
                self.publishing_max = self.publishing.max(1);
                return Ok(());
            }
            // Nothing was sent in time: the watchdog decides what that means.
            _ if status == StatusCode::BAD_TIMEOUT => return Ok(()),
            _ => {}
        }
        self.publish_failures += 1;
        self.publish_pause = PAUSE * self.publish_failures;
        if self.publish_failures >= FAILURES_MAX || is_gone(status) {
            self.plan.memory.count("dead_subscriptions", 1);
            return Err(self.explain(status, "waiting for notifications"));
        }
        Ok(())
    }

    async fn arrived(&mut self, at: usize, message: NotificationMessage, now: Now) -> Result<(), LinkError> {
        let subscription = &mut self.subscriptions[at];
        let heard_until = subscription.watchdog.proven_until();
        subscription.watchdog.heard(now.monotonic);
        let number = message.sequence_number;
        if message.notification_data.as_ref().is_none_or(Vec::is_empty) {
            subscription.sequence.keep_alive(number, now.monotonic);
            self.publish_pause = PAUSE;
            return self.tell_lost(at, heard_until, now).await;
        }
        self.used.push(SubscriptionAcknowledgement { subscription_id: subscription.id, sequence_number: number });
        if subscription.sequence.arrived(number, now.monotonic) {
            self.use_message(at, &message, heard_until, now).await?;
        } else {
            self.publish_pause = PAUSE;
        }
        self.tell_lost(at, heard_until, now).await
    }

    pub(crate) fn republish_due(&mut self, now: Duration) {
        for at in 0..self.subscriptions.len() {
            let subscription = &mut self.subscriptions[at];
            let Some(number) = subscription.sequence.ask(now) else { continue };
            let (ask, id) = (self.ask.clone(), subscription.id);
            self.pending.push(Box::pin(async move {
                let result = ask.republish(id, number).await;
                Done::Republished { at, number, result }
            }));
        }
    }

    pub(crate) async fn republished(
        &mut self,
        at: usize,
        number: u32,
        result: Result<NotificationMessage, StatusCode>,
    ) -> Result<(), LinkError> {
        let now = self.sink.now();
        let subscription = &mut self.subscriptions[at];
        let heard_until = subscription.watchdog.proven_until();
        match result {
            Ok(message) if message.sequence_number == number => {
                self.used.push(SubscriptionAcknowledgement { subscription_id: subscription.id, sequence_number: number });
                if subscription.sequence.arrived(number, now.monotonic) {
                    self.plan.memory.count("republished", 1);
                    self.use_message(at, &message, heard_until, now).await?;
                }
            }
            Ok(_) => subscription.sequence.refused(number, true),
            Err(status) => subscription.sequence.refused(number, status.0 & 0xFFFF_0000 == BAD_MESSAGE_NOT_AVAILABLE),
        }
        self.tell_lost(at, heard_until, now).await
    }

    /// Messages that will not come: any of the subscription's points may have changed in them.
    async fn tell_lost(&mut self, at: usize, since: Duration, now: Now) -> Result<(), LinkError> {
        let lost = self.subscriptions[at].sequence.take_lost();
        self.lose(at, lost, since, now).await
    }

    async fn lose(&mut self, at: usize, messages: u64, since: Duration, now: Now) -> Result<(), LinkError> {
        if messages == 0 {
            return Ok(());
        }
        self.plan.memory.count("notification_lost", messages);
        let publishing = self.subscriptions[at].publishing.as_nanos();
        let mut debt = Debt::default();
        for point in self.inhabitants(at).filter(|point| !self.quarantine.holds(*point)) {
            let interval = self.plan.items[point].interval.as_nanos().max(1);
            let slots = u64::try_from(publishing.div_ceil(interval)).unwrap_or(u64::MAX).saturating_mul(messages);
            debt.add(self.id(point), slots, since);
        }
        Ok(self.miss(debt, MissedCause::NotificationLost, now).await?)
    }

    async fn use_message(
        &mut self,
        at: usize,
        message: &NotificationMessage,
        since: Duration,
        now: Now,
    ) -> Result<(), LinkError> {
        let Notified { changes, ended, torn } = Notified::of(message, &self.decoder());
        if let Some(status) = ended {
            self.plan.memory.count("dead_subscriptions", 1);
            return Err(self.explain(StatusCode(status), "the server ended a subscription"));
        }
        let mut readings = Vec::with_capacity(changes.len());
        let mut overflowed = Debt::default();
        let mut said = Vec::new();
        for (handle, sample) in changes {
            match handle {
                SERVER_TIME => self.subscriptions[at].watchdog.beat(now.monotonic),
                START_TIME | NAMESPACES => self.check_server(handle, &sample)?,
                _ => {
                    said.extend(self.point_of(handle).map(|point| (point, sample.status)));
                    readings.extend(self.change(handle, sample, &mut overflowed, since, now));
                }
            }
        }
        if !readings.is_empty() {
            self.subscriptions[at].watchdog.flowed(now.monotonic);
            self.note_live(&readings);
            self.sink.send(DeviceEvent::Readings(readings)).await?;
        }
        self.judge_items(said, now).await?;
        self.miss(overflowed, MissedCause::DeviceOverflow, now).await?;
        self.lose(at, u64::from(torn), since, now).await
    }

    /// Its first value may overtake the answer that tells of its item.
    fn point_of(&self, handle: u32) -> Option<usize> {
        (handle as usize).checked_sub(1).filter(|point| *point < self.homes.len())
    }

    /// `None`: it is of no point, or its change is too small to be told.
    fn change(
        &mut self,
        handle: u32,
        sample: Sample,
        overflowed: &mut Debt,
        since: Duration,
        now: Now,
    ) -> Option<Reading> {
        let point = self.point_of(handle)?;
        if is_overflow(sample.status) {
            self.plan.memory.count("overflows", 1);
            overflowed.add(self.id(point), 1, since);
        }
        let reading = self.reading(point, sample, now);
        let filter = self.filters.get_mut(&point);
        let is_told = filter.is_none_or(|filter| filter.passes(reading.value.as_ref(), reading.status));
        is_told.then_some(reading)
    }

    /// A server that started anew below a living session has forgotten what it was asked for, or numbers its namespaces
    /// anew.
    fn check_server(&self, handle: u32, sample: &Sample) -> Result<(), LinkError> {
        let is_same = match &sample.value {
            Ok(Some(Value::DateTime(start))) if handle == START_TIME => {
                self.server.start_time.is_none_or(|known| known == *start)
            }
            Ok(Some(Value::Array(uris))) if handle == NAMESPACES => self.server.namespaces.is(uris.items()),
            _ => true,
        };
        if is_same {
            return Ok(());
        }
        self.plan.memory.count("server_restarts", 1);
        Err(LinkError::Protocol { what: "the server started anew below the session".to_owned() })
    }
}

/// BadSessionIdInvalid, BadSubscriptionIdInvalid, BadSessionClosed, BadNoSubscription, BadConnectionClosed.
pub(crate) fn is_gone(status: StatusCode) -> bool {
    const GONE: [u32; 5] = [0x8025_0000, 0x8028_0000, 0x8026_0000, 0x8079_0000, 0x80AE_0000];
    GONE.contains(&(status.0 & 0xFFFF_0000))
}
