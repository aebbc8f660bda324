use std::time::Duration;

use lingate_model::{MissedCause, Now, Reading, StatusCode};
use opcua::types::NodeId;

use super::account::Debt;
use super::ask::Ask;
use super::desk::{Desk, Done, Home};
use super::names::Namespaces;
use super::point::Item;
use super::prepare;
use super::publishing::is_gone;
use super::quarantine::is_refusal;
use super::subscription::value_of;
use crate::{DeviceEvent, LinkError, SinkClosed};

const BAD_MONITORED_ITEM_ID_INVALID: u32 = 0x8042_0000;

impl Desk<'_> {
    /// The server refuses it: it is told as bad, and disturbs the others no more.
    pub(crate) async fn refuse(&mut self, point: usize, status: StatusCode, now: Now) -> Result<(), SinkClosed> {
        self.set_aside(point, status, now);
        let bad = Reading::bad(self.id(point), status, now.utc);
        self.sink.send(DeviceEvent::Readings(vec![bad])).await
    }

    pub(crate) fn set_aside(&mut self, point: usize, status: StatusCode, now: Now) {
        if !self.quarantine.holds(point) {
            tracing::info!(device = %self.plan.name, node = %self.plan.items[point].target, status = super::work::name(status), "a point is set aside");
        }
        self.quarantine.put(point, status, now);
        self.report_soon(now.monotonic);
    }

    /// A bad reading for every point that has no node.
    pub(crate) async fn greet(&mut self, now: Now) {
        let aside = self.quarantine.iter();
        let bad: Vec<_> = aside.map(|(point, entry)| Reading::bad(self.id(point), entry.status, now.utc)).collect();
        if !bad.is_empty() {
            // The gateway's end is noticed a moment later.
            let _ = self.sink.send(DeviceEvent::Readings(bad)).await;
        }
    }

    /// Slots of points that are set aside, since they were last told of.
    pub(crate) async fn tell_aside(&mut self, now: Now) -> Result<(), SinkClosed> {
        let mut debt = std::mem::take(&mut self.aside);
        let aside: Vec<usize> = self.quarantine.iter().map(|(point, _)| point).collect();
        for point in aside {
            if self.is_subscribed(point) {
                self.owe(&mut debt, point, now.monotonic);
            }
        }
        self.miss(debt, MissedCause::Quarantine, now).await
    }

    pub(crate) fn owe(&mut self, debt: &mut Debt, point: usize, until: Duration) {
        let interval = self.plan.items[point].interval;
        self.accounts.owe(debt, point, self.plan.points[point].id, interval, until);
    }

    /// One at a time, alone.
    pub(crate) fn try_due(&mut self, now: Duration) {
        let Some(point) = self.quarantine.due(now).filter(|_| !self.is_trying) else { return };
        self.is_trying = true;
        let (ask, namespaces) = (self.ask.clone(), self.server.namespaces.clone());
        let item = self.plan.items[point].clone();
        self.pending.push(Box::pin(async move {
            let result = try_node(&ask, &namespaces, &item).await;
            Done::Tried { point, result }
        }));
    }

    pub(crate) async fn tried(&mut self, point: usize, result: Result<NodeId, StatusCode>) -> Result<(), LinkError> {
        let now = self.sink.now();
        self.is_trying = false;
        match result {
            // Its item was quicker.
            _ if !self.quarantine.holds(point) => {}
            Ok(node) => {
                self.nodes[point] = Ok(node);
                if self.is_subscribed(point) {
                    self.replace_item(point);
                } else {
                    self.quarantine.release(point);
                }
            }
            Err(status) => self.refuse(point, status, now).await?,
        }
        Ok(())
    }

    /// An item may be dead for ever after its node was gone, although the node is there again.
    fn replace_item(&mut self, point: usize) {
        self.quarantine.wait_for_item(point);
        let Some(Home { at, item }) = self.homes[point] else {
            self.waiting.push_back(point);
            return;
        };
        let (ask, subscription) = (self.ask.clone(), self.subscriptions[at].id);
        self.pending.push(Box::pin(async move {
            let result = ask.delete(subscription, item).await;
            Done::Deleted { point, result }
        }));
    }

    /// Only when the old item is gone for certain: two of them would tell every change twice.
    pub(crate) async fn deleted(&mut self, point: usize, result: Result<(), StatusCode>) -> Result<(), LinkError> {
        match result {
            Ok(()) | Err(StatusCode(BAD_MONITORED_ITEM_ID_INVALID)) => {
                if let Some(Home { at, .. }) = self.homes[point].take() {
                    self.subscriptions[at].room = self.subscriptions[at].room.saturating_add(1);
                }
                self.waiting.push_back(point);
                Ok(())
            }
            Err(status) if is_gone(status) => Err(self.explain(status, "making a monitored item anew")),
            Err(status) => {
                let now = self.sink.now();
                Ok(self.refuse(point, status, now).await?)
            }
        }
    }

    /// What the points' items say of their nodes: one that is gone is set aside, one that is there again is released.
    pub(crate) async fn judge_items(&mut self, said: Vec<(usize, StatusCode)>, now: Now) -> Result<(), SinkClosed> {
        let mut aside = Debt::default();
        for (point, status) in said {
            match (is_refusal(status), self.quarantine.holds(point)) {
                (true, false) => {
                    // What was due before its item is known is not told yet.
                    if self.homes[point].is_some() {
                        self.accounts.settle(point, now.monotonic);
                    }
                    self.set_aside(point, status, now);
                }
                (false, true) => {
                    self.owe(&mut aside, point, now.monotonic);
                    self.accounts.settle(point, now.monotonic);
                    self.quarantine.release(point);
                    self.report_soon(now.monotonic);
                }
                _ => {}
            }
        }
        self.miss(aside, MissedCause::Quarantine, now).await
    }
}

/// The node, if the server reads it; its value may be as bad as it likes.
async fn try_node(ask: &Ask, namespaces: &Namespaces, item: &Item) -> Result<NodeId, StatusCode> {
    let node = match prepare::node(&item.target, namespaces) {
        Err(StatusCode::BAD_NO_DATA) => {
            let mut found = ask.translate(vec![prepare::path(&item.target, namespaces)]).await?;
            prepare::target(found.pop().unwrap_or_default())?
        }
        node => node?,
    };
    let read = ask.read(vec![value_of(node.clone(), item)]).await?;
    let status = read.values.first().and_then(|value| value.status).map_or(0, |status| status.bits());
    if is_refusal(StatusCode(status)) { Err(StatusCode(status)) } else { Ok(node) }
}
