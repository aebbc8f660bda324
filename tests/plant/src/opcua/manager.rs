//! How the machine answers: values from memory, history by calculation, and manners on request.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lingate_model::DeviceTime;
use opcua::server::address_space::{AddressSpace, add_namespaces};
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{InMemoryNodeManager, InMemoryNodeManagerImpl};
use opcua::server::node_manager::{HistoryNode, MonitoredItemRef, ParsedReadValueId, RequestContext, ServerContext};
use opcua::server::{ContinuationPoint, CreateMonitoredItem};
use opcua::sync::{Mutex, RwLock};
use opcua::types::{
    DataValue, DateTime, HistoryData, NodeId, ReadRawModifiedDetails, StatusCode, TimestampsToReturn, Variant,
};

use super::spec::MachineSpec;
use super::{space, wire};

pub(super) type MachineManager = InMemoryNodeManager<Nodes>;

/// What the machine was told to do wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Manners {
    /// By variable: it is written with this status and without a value.
    pub(super) bad: BTreeMap<usize, StatusCode>,
    /// Variables whose node is gone.
    pub(super) vanished: BTreeSet<usize>,
    /// Variables whose node was made anew: the items of the old one stay silent, until there is a new item.
    pub(super) stranded: BTreeSet<usize>,
    pub(super) refuses_deadband: bool,
    /// Answers to reads of values come later by this.
    pub(super) slow: Duration,
}

/// State that outlives a restart.
pub(super) struct Shared {
    pub(super) spec: MachineSpec,
    pub(super) manners: Mutex<Manners>,
    pub(super) counts: Mutex<Counts>,
    /// First and last n of every time that the machine ran: history has no other ticks.
    pub(super) runs: Mutex<Vec<(u32, u32)>>,
    /// Values are not written before this: a new item must not miss one between its first value and its birth.
    pub(super) quiet_until: Mutex<Option<Instant>>,
}

/// What a machine did, over all its lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) ticks: u64,
    pub(super) items_created: u64,
    pub(super) items_deleted: u64,
    pub(super) history_values: u64,
}

pub(super) struct Nodes {
    shared: Arc<Shared>,
    namespace: u16,
    pub(super) ids: Vec<NodeId>,
    index: HashMap<NodeId, usize>,
}

struct Continue {
    from: u32,
}

/// Values in one HistoryRead answer, whatever the client allows.
const HISTORY_PAGE: usize = 500;

impl Nodes {
    pub(super) fn new(
        context: &ServerContext,
        space: &mut AddressSpace,
        shared: Arc<Shared>,
        n: u32,
        has_history: bool,
    ) -> Nodes {
        let namespace = add_namespaces(context, space, &[shared.spec.kind().namespace()])[0];
        let ids = space::build(&shared.spec, namespace, n, has_history, space);
        let index = ids.iter().cloned().zip(0..).collect();
        Nodes { shared, namespace, ids, index }
    }

    /// What is written at n, in the order of the variables.
    pub(super) fn values(&self, n: u32) -> Vec<(usize, DataValue)> {
        let manners = self.shared.manners.lock();
        let variables = self.shared.spec.variables().iter().enumerate();
        let written = variables.filter(|(index, _)| !manners.stranded.contains(index));
        written.map(|(index, _)| (index, self.value(index, n, &manners))).collect()
    }

    /// What a new node has, that the items of the old one do not see.
    fn unseen(&self, node: &NodeId) -> Option<DataValue> {
        let manners = self.shared.manners.lock();
        let index = self.index.get(node).copied().filter(|index| manners.stranded.contains(index))?;
        Some(self.value(index, self.shared.spec.newest(DeviceTime(DateTime::now().ticks())), &manners))
    }

    fn value(&self, index: usize, n: u32, manners: &Manners) -> DataValue {
        let time = DateTime::from(self.shared.spec.time_of(n).0);
        if manners.vanished.contains(&index) {
            return nothing(StatusCode::BadNodeIdUnknown, time);
        }
        if let Some(status) = manners.bad.get(&index) {
            return nothing(*status, time);
        }
        let variable = &self.shared.spec.variables()[index];
        DataValue {
            value: Some(wire::variant(&self.shared.spec.value(variable, n), self.namespace)),
            status: Some(StatusCode::Good),
            source_timestamp: Some(time),
            server_timestamp: Some(DateTime::now()),
            ..DataValue::null()
        }
    }

    fn vanished(&self, node: &NodeId) -> bool {
        self.index.get(node).is_some_and(|index| self.shared.manners.lock().vanished.contains(index))
    }

    /// Raw values from `details.start_time` on, forward only, as far as the machine ran; pages as continuation points.
    fn history(&self, details: &ReadRawModifiedDetails, node: &mut HistoryNode) {
        let Some(index) = self.index.get(node.node_id()).copied().filter(|_| !self.vanished(node.node_id())) else {
            return node.set_status(StatusCode::BadNodeIdUnknown);
        };
        let spec = &self.shared.spec;
        let n_at = |time: DateTime| spec.newest(DeviceTime(time.ticks()));
        let first = n_at(details.start_time);
        let starts_on_it = spec.time_of(first).0 >= details.start_time.ticks();
        let from = node.continuation_point().and_then(|point| point.get::<Continue>()).map(|point| point.from);
        let from = from.unwrap_or(if starts_on_it { first } else { first + 1 });
        let to = if details.end_time.is_null() { u32::MAX } else { n_at(details.end_time) };
        let page = match details.num_values_per_node as usize {
            0 => HISTORY_PAGE,
            wanted => wanted.min(HISTORY_PAGE),
        };
        let runs = self.shared.runs.lock().clone();
        let written = runs.iter().flat_map(|(first, last)| (*first).max(from)..=(*last).min(to));
        let ns: Vec<u32> = written.take(page + 1).collect();
        let manners = self.shared.manners.lock();
        let values: Vec<_> = ns.iter().take(page).map(|n| self.value(index, *n, &manners)).collect();
        self.shared.counts.lock().history_values += values.len() as u64;
        node.set_next_continuation_point(
            ns.get(page).map(|next| ContinuationPoint::new(Box::new(Continue { from: *next }))),
        );
        node.set_result(HistoryData { data_values: Some(values) });
        node.set_status(StatusCode::Good);
    }
}

/// With an empty value: the library forgets the status of a value that is not there.
fn nothing(status: StatusCode, time: DateTime) -> DataValue {
    DataValue {
        value: Some(Variant::Empty),
        status: Some(status),
        source_timestamp: Some(time),
        server_timestamp: Some(time),
        ..DataValue::null()
    }
}

/// The library does not name the type of a filter for others, but shows it.
fn has_deadband(item: &CreateMonitoredItem) -> bool {
    let filter = format!("{:?}", item.filter());
    filter.starts_with("DataChangeFilter") && !filter.contains("deadband: None")
}

#[async_trait]
impl InMemoryNodeManagerImpl for Nodes {
    async fn init(&self, _: &mut AddressSpace, _: ServerContext) {}

    fn name(&self) -> &str {
        &self.shared.spec.name
    }

    fn namespaces(&self) -> Vec<NamespaceMetadata> {
        vec![NamespaceMetadata {
            namespace_uri: self.shared.spec.kind().namespace().to_owned(),
            namespace_index: self.namespace,
            ..NamespaceMetadata::default()
        }]
    }

    async fn read_values(
        &self,
        context: &RequestContext,
        address_space: &RwLock<AddressSpace>,
        nodes: &[&ParsedReadValueId],
        max_age: f64,
        timestamps_to_return: TimestampsToReturn,
    ) -> Vec<DataValue> {
        let slow = self.shared.manners.lock().slow;
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        let space = address_space.read();
        let read = |node: &&ParsedReadValueId| {
            if self.vanished(&node.node_id) {
                return nothing(StatusCode::BadNodeIdUnknown, DateTime::now());
            }
            self.unseen(&node.node_id).unwrap_or_else(|| space.read(context, node, max_age, timestamps_to_return))
        };
        nodes.iter().map(read).collect()
    }

    async fn create_value_monitored_items(
        &self,
        context: &RequestContext,
        address_space: &RwLock<AddressSpace>,
        items: &mut [&mut &mut CreateMonitoredItem],
    ) {
        *self.shared.quiet_until.lock() = Some(Instant::now() + Duration::from_millis(20));
        let refuses_deadband = self.shared.manners.lock().refuses_deadband;
        let space = address_space.read();
        for item in items.iter_mut() {
            let wanted = item.item_to_monitor();
            let has_deadband = has_deadband(item);
            if self.vanished(&wanted.node_id) {
                item.set_status(StatusCode::BadNodeIdUnknown);
            } else if has_deadband && refuses_deadband {
                item.set_status(StatusCode::BadMonitoredItemFilterUnsupported);
            } else {
                let seen = || space.read(context, wanted, 0.0, TimestampsToReturn::Both);
                let value = self.unseen(&wanted.node_id).unwrap_or_else(seen);
                if let Some(index) = self.index.get(&wanted.node_id) {
                    self.shared.manners.lock().stranded.remove(index);
                }
                item.set_initial_value(value);
                // The library moves the times of values that come faster than they are sampled.
                item.revise_sampling_interval(self.shared.spec.tick().as_secs_f64() * 500.0);
                item.set_status(StatusCode::Good);
                self.shared.counts.lock().items_created += 1;
            }
        }
    }

    async fn delete_monitored_items(&self, _: &RequestContext, items: &[&MonitoredItemRef]) {
        self.shared.counts.lock().items_deleted += items.len() as u64;
    }

    async fn history_read_raw_modified(
        &self,
        _: &RequestContext,
        details: &ReadRawModifiedDetails,
        nodes: &mut [&mut &mut HistoryNode],
        _: TimestampsToReturn,
    ) -> Result<(), StatusCode> {
        for node in nodes.iter_mut() {
            self.history(details, node);
        }
        Ok(())
    }
}
