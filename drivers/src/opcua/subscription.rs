use std::time::Duration;

use opcua::types::{
    AttributeId, CreateSubscriptionResponse, DataChangeFilter, DataChangeTrigger, ExtensionObject,
    MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId, NumericRange, ReadValueId, VariableId,
};

use super::ask::Wanted;
use super::point::{Deadband, Item};
use super::sequence::Sequence;
use super::watchdog::{BEAT, Watchdog};

/// One subscription on the server.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) id: u32,
    pub(crate) watchdog: Watchdog,
    pub(crate) sequence: Sequence,
    /// Items that it still takes.
    pub(crate) room: usize,
    /// Whether it monitors the server's time.
    pub(crate) is_watched: bool,
    pub(crate) publishing: Duration,
    /// After which the server sends something at the latest.
    pub(crate) keep_alive: Duration,
}

/// Client handles of what is monitored beside the points; the handle of a point is its number and one.
pub(crate) const SERVER_TIME: u32 = u32::MAX;
pub(crate) const START_TIME: u32 = u32::MAX - 1;
pub(crate) const NAMESPACES: u32 = u32::MAX - 2;

const KEEP_ALIVE: Duration = Duration::from_secs(2);
const LIFETIME: Duration = Duration::from_secs(30);
const PUBLISHING_MIN: f64 = 10.0;
const PUBLISHING_MAX: f64 = 60_000.0;
const KEEP_ALIVES_MAX: u32 = 1_000;

pub(crate) fn wanted(publishing: Duration, notifications_max: u32) -> Wanted {
    let times = |span: Duration| u32::try_from(span.as_nanos().div_ceil(publishing.as_nanos().max(1))).unwrap_or(u32::MAX);
    let keep_alive_count = times(KEEP_ALIVE).clamp(1, KEEP_ALIVES_MAX);
    // A lifetime is at least three keep-alives (OPC 10000-4, 5.14.2).
    let lifetime_count = times(LIFETIME).max(keep_alive_count.saturating_mul(3));
    Wanted { publishing, lifetime_count, keep_alive_count, notifications_max }
}

impl Subscription {
    /// As the server revised it, within what is possible: some answer with 0, with infinity or with what is no number.
    pub(crate) fn new(wanted: Wanted, created: &CreateSubscriptionResponse, room: usize, now: Duration) -> Subscription {
        let publishing = revised(created.revised_publishing_interval, wanted.publishing);
        let keep_alive = publishing.saturating_mul(created.revised_max_keep_alive_count.clamp(1, KEEP_ALIVES_MAX));
        let (watchdog, sequence) = (Watchdog::new(keep_alive, now), Sequence::new());
        Subscription { id: created.subscription_id, watchdog, sequence, room, is_watched: false, publishing, keep_alive }
    }

    /// How long a publish request may wait for its answer.
    pub(crate) fn patience(&self) -> Duration {
        self.keep_alive.saturating_mul(3).clamp(Duration::from_secs(10), Duration::from_secs(180))
    }
}

fn revised(millis: f64, asked: Duration) -> Duration {
    if !millis.is_finite() || millis <= 0.0 {
        return asked;
    }
    Duration::from_secs_f64(millis.clamp(PUBLISHING_MIN, PUBLISHING_MAX) / 1000.0)
}

/// `is_filtered`: with the deadband of the point, if it has one.
pub(crate) fn request(point: usize, item: &Item, node: NodeId, is_filtered: bool) -> MonitoredItemCreateRequest {
    let filter = item.deadband.filter(|_| is_filtered).map_or_else(ExtensionObject::null, filter);
    let handle = u32::try_from(point).unwrap_or(u32::MAX).saturating_add(1);
    monitored(handle, value_of(node, item), item.interval, item.queue, filter)
}

/// The server's own time, so that data is known to flow also where no point changes; of the first subscription also
/// what tells that the server started anew below a living session.
pub(crate) fn signs_of_life(is_first: bool) -> Vec<MonitoredItemCreateRequest> {
    let sign = |variable: VariableId, handle: u32, every: Duration| {
        monitored(handle, value_at(variable.into()), every, 1, ExtensionObject::null())
    };
    let mut signs = vec![sign(VariableId::Server_ServerStatus_CurrentTime, SERVER_TIME, BEAT)];
    if is_first {
        signs.push(sign(VariableId::Server_ServerStatus_StartTime, START_TIME, BEAT));
        signs.push(sign(VariableId::Server_NamespaceArray, NAMESPACES, BEAT));
    }
    signs
}

fn monitored(
    client_handle: u32,
    item_to_monitor: ReadValueId,
    sampling: Duration,
    queue_size: u32,
    filter: ExtensionObject,
) -> MonitoredItemCreateRequest {
    let sampling_interval = sampling.as_secs_f64() * 1000.0;
    MonitoredItemCreateRequest {
        item_to_monitor,
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters { client_handle, sampling_interval, filter, queue_size, discard_oldest: true },
    }
}

pub(crate) fn value_of(node: NodeId, item: &Item) -> ReadValueId {
    let index_range = item.range.as_deref().and_then(|range| range.parse::<NumericRange>().ok()).unwrap_or_default();
    ReadValueId { index_range, ..value_at(node) }
}

pub(crate) fn value_at(node_id: NodeId) -> ReadValueId {
    attribute(node_id, AttributeId::Value)
}

pub(crate) fn attribute(node_id: NodeId, attribute: AttributeId) -> ReadValueId {
    ReadValueId { node_id, attribute_id: attribute as u32, ..Default::default() }
}

fn filter(deadband: Deadband) -> ExtensionObject {
    let (deadband_type, deadband_value) = match deadband {
        Deadband::Absolute(value) => (1, value),
        Deadband::Percent(value) => (2, value),
    };
    let trigger = DataChangeTrigger::StatusValue;
    ExtensionObject::from_message(DataChangeFilter { trigger, deadband_type, deadband_value })
}

/// Answers that mean "not with this filter" (OPC 10000-4, 7.39.2).
pub(crate) fn is_filter_refused(status: u32) -> bool {
    matches!(status & 0xFFFF_0000, 0x8043_0000 | 0x8044_0000 | 0x8045_0000 | 0x808E_0000)
}

/// BadTooManyMonitoredItems.
pub(crate) fn is_full(status: u32) -> bool {
    status & 0xFFFF_0000 == 0x80DB_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publishing_interval_that_nobody_can_keep_is_the_one_that_was_asked_for() {
        let asked = Duration::from_millis(500);
        for (claimed, millis) in [
            (250.0, 250),
            (0.0, 500),
            (-1.0, 500),
            (f64::NAN, 500),
            (f64::INFINITY, 500),
            (1e308, 60_000),
            (1e-300, 10),
        ] {
            assert_eq!(revised(claimed, asked), Duration::from_millis(millis), "{claimed}");
        }
    }

    #[test]
    fn a_lifetime_is_long_enough_for_three_keep_alives_and_for_a_hiccup() {
        for (publishing, keep_alive, lifetime) in [(100, 20, 300), (1_000, 2, 30), (60_000, 1, 3)] {
            let wanted = wanted(Duration::from_millis(publishing), 0);
            assert_eq!((wanted.keep_alive_count, wanted.lifetime_count), (keep_alive, lifetime), "{publishing}");
        }
    }

    #[test]
    fn a_keep_alive_count_is_bounded() {
        for claimed in [0, u32::MAX] {
            let created = CreateSubscriptionResponse { revised_max_keep_alive_count: claimed, ..Default::default() };
            let subscription = Subscription::new(wanted(Duration::from_secs(1), 0), &created, 1, Duration::ZERO);
            assert!(subscription.patience() <= Duration::from_secs(180));
            assert!(subscription.keep_alive >= Duration::from_secs(1));
        }
    }
}
