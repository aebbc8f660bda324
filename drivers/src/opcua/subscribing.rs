use lingate_model::{MissedCause, StatusCode};
use opcua::types::{CreateSubscriptionResponse, MonitoredItemCreateResult};

use super::account::Debt;
use super::ask::Wanted;
use super::deadband::Filter;
use super::desk::{Desk, Done, Home};
use super::limits::{Service, is_too_large};
use super::point::{Deadband, Item};
use super::prepare;
use super::subscription::{self, Subscription};
use crate::LinkError;

/// BadTooManySubscriptions.
const TOO_MANY_SUBSCRIPTIONS: u32 = 0x8077_0000;
/// Changes in one message, so that it stays below any sensible limit of its bytes.
const NOTIFICATIONS: u32 = 1_000;
/// Where values are texts, arrays or structures.
const LARGE_NOTIFICATIONS: u32 = 100;

impl Desk<'_> {
    /// One request at a time: the next monitored items, or a subscription for them.
    pub(crate) fn create_more(&mut self) {
        if self.is_creating || self.waiting.is_empty() {
            return;
        }
        self.is_creating = true;
        match self.subscriptions.iter().position(|subscription| subscription.room > 0) {
            Some(at) => self.create(at),
            None => self.subscribe(),
        }
    }

    fn subscribe(&mut self) {
        let is_large = |item: &Item| !item.shape.builtin_type.is_numeric() || item.shape.rank > 0;
        let notifications = if self.plan.items.iter().any(is_large) { LARGE_NOTIFICATIONS } else { NOTIFICATIONS };
        let wanted = subscription::wanted(self.plan.pace.publishing, notifications);
        let ask = self.ask.clone();
        self.pending.push(Box::pin(async move {
            let result = ask.subscribe(wanted).await;
            Done::Subscribed { wanted, result }
        }));
    }

    pub(crate) fn subscribed(
        &mut self,
        wanted: Wanted,
        result: Result<CreateSubscriptionResponse, StatusCode>,
    ) -> Result<(), LinkError> {
        self.is_creating = false;
        match result {
            Ok(created) => {
                let (room, now) = (self.server.items_per_subscription, self.sink.now().monotonic);
                self.subscriptions.push(Subscription::new(wanted, &created, room, now));
                Ok(())
            }
            Err(StatusCode(TOO_MANY_SUBSCRIPTIONS)) if !self.subscriptions.is_empty() => {
                // The bound of items was ours: the server decides.
                self.subscriptions.iter_mut().for_each(|subscription| subscription.room = self.waiting.len());
                Ok(())
            }
            Err(StatusCode(TOO_MANY_SUBSCRIPTIONS)) => Err(LinkError::Refused {
                what: "the server has no subscription left".to_owned(),
                hint: "close other clients, or write mode = \"poll\"".to_owned(),
            }),
            Err(status) => Err(self.explain(status, "creating a subscription")),
        }
    }

    fn create(&mut self, at: usize) {
        let Subscription { id, room, is_watched, .. } = self.subscriptions[at];
        let count = self.size(Service::Create).min(room).min(self.waiting.len());
        let batch: Vec<usize> = self.waiting.drain(..count).collect();
        let mut items: Vec<_> = batch.iter().filter_map(|point| self.item(*point)).collect();
        let signs = if is_watched { Vec::new() } else { subscription::signs_of_life(at == 0) };
        let signs_count = signs.len();
        items.extend(signs);
        let pause = self.creations.wait_for(items.len(), self.sink.now().monotonic);
        let ask = self.ask.clone();
        self.pending.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            let result = ask.create(id, items).await;
            Done::Created { at, batch, signs: signs_count, result }
        }));
    }

    fn item(&self, point: usize) -> Option<opcua::types::MonitoredItemCreateRequest> {
        let node = self.nodes[point].clone().ok()?;
        let is_filtered = !self.unfiltered.contains(&point);
        Some(subscription::request(point, &self.plan.items[point], node, is_filtered))
    }

    pub(crate) async fn created(
        &mut self,
        at: usize,
        batch: Vec<usize>,
        signs: usize,
        result: Result<Vec<MonitoredItemCreateResult>, StatusCode>,
    ) -> Result<(), LinkError> {
        self.is_creating = false;
        let results = match result {
            Ok(results) if results.len() == batch.len() + signs => results,
            Ok(_) => return Err(LinkError::Protocol { what: "another number of items than asked for".to_owned() }),
            Err(status) => return self.creation_failed(at, batch, status).await,
        };
        self.subscriptions[at].is_watched |= signs > 0;
        let mut late = Debt::default();
        for (point, result) in batch.into_iter().zip(results) {
            self.item_created(at, point, &result, &mut late).await?;
        }
        let now = self.sink.now();
        Ok(self.miss(late, MissedCause::DeviceDown, now).await?)
    }

    /// A request that fails as a whole is repeated in halves, until the one that is at fault stands alone.
    async fn creation_failed(&mut self, at: usize, batch: Vec<usize>, status: StatusCode) -> Result<(), LinkError> {
        if subscription::is_full(status.0) && self.inhabitants(at).next().is_some() {
            self.subscriptions[at].room = 0;
            batch.into_iter().rev().for_each(|point| self.waiting.push_front(point));
            return Ok(());
        }
        let is_certain = is_too_large(status) || self.nothing_was_created(status);
        if is_certain && self.server.limits.halve(Service::Create, batch.len()) {
            self.plan.memory.count("requests_halved", 1);
            batch.into_iter().rev().for_each(|point| self.waiting.push_front(point));
            return Ok(());
        }
        match batch[..] {
            [point] if is_certain => {
                let now = self.sink.now();
                Ok(self.refuse(point, status, now).await?)
            }
            _ => {
                self.server.limits.halve(Service::Create, batch.len());
                self.plan.memory.kept().limits = Some(self.server.limits);
                Err(self.explain(status, "creating monitored items"))
            }
        }
    }

    /// After a timeout nobody knows, and an item that is there twice would tell everything twice.
    fn nothing_was_created(&self, status: StatusCode) -> bool {
        const UNSURE: [u32; 4] = [0x800A_0000, 0x8028_0000, 0x80AE_0000, 0x8009_0000];
        !self.link.is_lost() && !UNSURE.contains(&(status.0 & 0xFFFF_0000))
    }

    async fn item_created(
        &mut self,
        at: usize,
        point: usize,
        result: &MonitoredItemCreateResult,
        late: &mut Debt,
    ) -> Result<(), LinkError> {
        let (now, status) = (self.sink.now(), result.status_code.bits());
        let item = &self.plan.items[point];
        if !result.status_code.is_bad() {
            self.homes[point] = Some(Home { at, item: result.monitored_item_id });
            self.subscriptions[at].room = self.subscriptions[at].room.saturating_sub(1);
            if self.quarantine.holds(point) {
                self.quarantine.wait_for_value(point, now);
            } else {
                self.owe(late, point, now.monotonic);
                self.accounts.settle(point, now.monotonic);
            }
            self.plan.memory.count("queues_reduced", u64::from(result.revised_queue_size < item.queue));
        } else if subscription::is_filter_refused(status) && self.unfiltered.insert(point) {
            self.plan.memory.count("deadband_own", 1);
            self.filter_here(point);
            self.waiting.push_front(point);
        } else if subscription::is_full(status) && self.inhabitants(at).next().is_some() {
            self.subscriptions[at].room = 0;
            self.waiting.push_back(point);
        } else {
            self.refuse(point, StatusCode(status), now).await?;
        }
        Ok(())
    }

    /// The width of a deadband in percent is known when the server has told the range.
    fn filter_here(&mut self, point: usize) {
        match self.plan.items[point].deadband {
            Some(Deadband::Absolute(width)) => self.ranged(point, Some(width)),
            Some(Deadband::Percent(percent)) => {
                let Ok(node) = self.nodes[point].clone() else { return };
                let ask = self.ask.clone();
                self.pending.push(Box::pin(async move {
                    let width = prepare::range_width(&ask, node).await.map(|width| width * percent / 100.0);
                    Done::Ranged { point, width }
                }));
            }
            None => {}
        }
    }

    /// Without a width every change is told.
    pub(crate) fn ranged(&mut self, point: usize, width: Option<f64>) {
        if let Some(width) = width.filter(|width| width.is_finite() && *width >= 0.0) {
            self.filters.insert(point, Filter::new(width));
        }
    }
}
