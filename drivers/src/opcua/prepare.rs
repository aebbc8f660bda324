use std::collections::BTreeMap;
use std::sync::Arc;

use lingate_model::{DeviceIdentity, Now, StatusCode, UtcMicros};
use opcua::types::{
    BrowsePath, BrowsePathResult, DataValue, DateTime, NodeId, ObjectId, QualifiedName, ReferenceTypeId, RelativePath,
    RelativePathElement, VariableId, Variant,
};

use super::ask::{Ask, CLOCKS_COMPARED, Values};
use super::limits::{Limits, Profile, Service, is_too_large};
use super::convert::body_of;
use super::names::Namespaces;
use super::point::Item;
use super::shown;
use super::subscription::value_at;
use super::target::Target;
use super::wire::Wire;
use crate::Sink;

/// What a session finds out about the server before it reads the first point.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) namespaces: Namespaces,
    pub(crate) identity: DeviceIdentity,
    /// Ticks, as the library decodes them.
    pub(crate) start_time: Option<i64>,
    pub(crate) skew_us: Option<i64>,
    pub(crate) limits: Limits,
    pub(crate) items_per_subscription: usize,
}

type V = VariableId;

const ABOUT: [V; 13] = [
    V::Server_NamespaceArray,
    V::Server_ServerStatus_CurrentTime,
    V::Server_ServerStatus_StartTime,
    V::Server_ServerStatus_BuildInfo_ManufacturerName,
    V::Server_ServerStatus_BuildInfo_ProductName,
    V::Server_ServerStatus_BuildInfo_SoftwareVersion,
    V::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    V::Server_ServerCapabilities_OperationLimits_MaxNodesPerRegisterNodes,
    V::Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    V::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    V::Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    V::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,
    V::Server_ServerCapabilities_MaxMonitoredItemsPerSubscription,
];

const LIMITS: [(V, Service); 6] = [
    (V::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead, Service::Read),
    (V::Server_ServerCapabilities_OperationLimits_MaxNodesPerRegisterNodes, Service::Register),
    (V::Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds, Service::Translate),
    (V::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall, Service::Create),
    (V::Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse, Service::Browse),
    (V::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData, Service::History),
];

impl Server {
    /// What the server does not say has its default; without its namespaces nothing can be addressed.
    pub(crate) async fn ask(ask: &Ask, profile: Profile, now: impl Fn() -> Now) -> Result<Server, StatusCode> {
        let mut limits = Limits::new(profile);
        let before = now();
        let nodes: Vec<_> = ABOUT.iter().map(|variable| NodeId::from(*variable)).collect();
        let read = values(ask, &mut limits, &nodes).await?;
        let after = now();
        let said: BTreeMap<u32, Variant> = ABOUT.iter().map(|variable| *variable as u32).zip(read).collect();
        for (variable, service) in LIMITS {
            limits.respect(service, number(&said, variable));
        }
        let per_subscription = number(&said, V::Server_ServerCapabilities_MaxMonitoredItemsPerSubscription);
        let bound = if per_subscription == 0 { u32::MAX } else { per_subscription };
        Ok(Server {
            namespaces: namespaces(&said).ok_or(StatusCode::BAD_NO_DATA)?,
            identity: identity(&said),
            start_time: time(&said, V::Server_ServerStatus_StartTime),
            skew_us: time(&said, V::Server_ServerStatus_CurrentTime).map(|ticks| skew_us(ticks, before, after)),
            limits,
            items_per_subscription: profile.items_per_subscription.min(bound) as usize,
        })
    }
}

impl Server {
    /// Before it was asked.
    pub(crate) fn unknown(profile: Profile) -> Server {
        Server {
            namespaces: Namespaces::default(),
            identity: DeviceIdentity::default(),
            start_time: None,
            skew_us: None,
            limits: Limits::new(profile),
            items_per_subscription: profile.items_per_subscription as usize,
        }
    }
}

/// `None`: the server did not tell its time.
pub(crate) async fn clock_skew_us(ask: &Ask, before: Now, sink: &Sink) -> Option<i64> {
    let node = NodeId::from(V::Server_ServerStatus_CurrentTime);
    let mut read = ask.read(vec![value_at(node)]).await.ok()?;
    match shifted(read.values.pop()?, read.offset) {
        Variant::DateTime(time) => Some(skew_us(time.ticks(), before, sink.now())),
        _ => None,
    }
}

/// The values of many nodes, null where there is none.
pub(crate) async fn values(ask: &Ask, limits: &mut Limits, nodes: &[NodeId]) -> Result<Vec<Variant>, StatusCode> {
    let mut values = Vec::with_capacity(nodes.len());
    while values.len() < nodes.len() {
        let rest = &nodes[values.len()..];
        let chunk = &rest[..rest.len().min(limits.size(Service::Read))];
        match ask.read(chunk.iter().cloned().map(value_at).collect()).await {
            Ok(read) => values.extend(read.values.into_iter().map(|value| shifted(value, read.offset))),
            Err(CLOCKS_COMPARED) => {}
            Err(status) if is_too_large(status) && limits.halve(Service::Read, chunk.len()) => {}
            Err(status) => return Err(status),
        }
    }
    Ok(values)
}

/// A bad value is none. Times as the server wrote them.
fn shifted(value: DataValue, offset: i64) -> Variant {
    let is_bad = value.status.is_some_and(|status| status.is_bad());
    match value.value {
        _ if is_bad => Variant::Empty,
        Some(Variant::DateTime(time)) => Variant::from(DateTime::from(time.ticks().saturating_add(offset))),
        value => value.unwrap_or_default(),
    }
}

/// Device clock less gateway clock, measured in the middle of a request.
pub(crate) fn skew_us(ticks: i64, before: Now, after: Now) -> i64 {
    let device = lingate_model::DeviceTime(ticks).utc();
    let middle = UtcMicros(before.utc.0 / 2 + after.utc.0 / 2);
    device.0.saturating_sub(middle.0)
}

fn number(said: &BTreeMap<u32, Variant>, variable: V) -> u32 {
    match said.get(&(variable as u32)) {
        Some(Variant::UInt32(number)) => *number,
        Some(Variant::UInt16(number)) => u32::from(*number),
        _ => 0,
    }
}

fn time(said: &BTreeMap<u32, Variant>, variable: V) -> Option<i64> {
    match said.get(&(variable as u32)) {
        Some(Variant::DateTime(time)) if !time.is_null() => Some(time.ticks()),
        _ => None,
    }
}

fn namespaces(said: &BTreeMap<u32, Variant>) -> Option<Namespaces> {
    let Some(Variant::Array(array)) = said.get(&(V::Server_NamespaceArray as u32)) else { return None };
    let uri = |value: &Variant| match value {
        Variant::String(uri) => Arc::from(uri.as_ref()),
        _ => Arc::from(""),
    };
    Some(Namespaces::new(array.values.iter().map(uri).collect()))
}

fn identity(said: &BTreeMap<u32, Variant>) -> DeviceIdentity {
    let text = |variable: V| match said.get(&(variable as u32)) {
        Some(Variant::String(text)) => shown(text.as_ref()),
        _ => String::new(),
    };
    DeviceIdentity {
        vendor: text(V::Server_ServerStatus_BuildInfo_ManufacturerName),
        product: text(V::Server_ServerStatus_BuildInfo_ProductName),
        revision: text(V::Server_ServerStatus_BuildInfo_SoftwareVersion),
    }
}

/// Where each point's node is on this server, or why it is not there.
pub(crate) async fn nodes(
    ask: &Ask,
    limits: &mut Limits,
    namespaces: &Namespaces,
    items: &[Item],
) -> Result<Vec<Result<NodeId, StatusCode>>, StatusCode> {
    let mut nodes: Vec<_> = items.iter().map(|item| node(&item.target, namespaces)).collect();
    let paths: Vec<usize> = (0..items.len()).filter(|point| nodes[*point] == Err(StatusCode::BAD_NO_DATA)).collect();
    let mut done = 0;
    while done < paths.len() {
        let chunk = &paths[done..paths.len().min(done + limits.size(Service::Translate))];
        let asked: Vec<_> = chunk.iter().map(|point| path(&items[*point].target, namespaces)).collect();
        match ask.translate(asked).await {
            Ok(found) => {
                chunk.iter().zip(found).for_each(|(point, found)| nodes[*point] = target(found));
                done += chunk.len();
            }
            Err(status) if is_too_large(status) && limits.halve(Service::Translate, chunk.len()) => {}
            Err(status) => return Err(status),
        }
    }
    Ok(nodes)
}

/// BadNoData: it is found by its path.
pub(crate) fn node(target: &Target, namespaces: &Namespaces) -> Result<NodeId, StatusCode> {
    match target.node_id(namespaces) {
        Some(node) => node.map_err(|_| StatusCode::BAD_NODE_ID_UNKNOWN),
        None if target.browse_names(namespaces).is_err() => Err(StatusCode::BAD_NODE_ID_UNKNOWN),
        None => Err(StatusCode::BAD_NO_DATA),
    }
}

/// From the Root folder, by any hierarchical reference.
pub(crate) fn path(target: &Target, namespaces: &Namespaces) -> BrowsePath {
    let element = |target_name| RelativePathElement {
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        is_inverse: false,
        include_subtypes: true,
        target_name,
    };
    let names = target.browse_names(namespaces).unwrap_or_default();
    let elements = Some(names.into_iter().map(element).collect());
    BrowsePath { starting_node: ObjectId::RootFolder.into(), relative_path: RelativePath { elements } }
}

/// Of several nodes of one path the first; one on another server is none.
pub(crate) fn target(found: BrowsePathResult) -> Result<NodeId, StatusCode> {
    if found.status_code.is_bad() {
        return Err(StatusCode(found.status_code.bits()));
    }
    let whole = |target: &opcua::types::BrowsePathTarget| {
        target.remaining_path_index == u32::MAX && target.target_id.server_index == 0
    };
    let target = found.targets.into_iter().flatten().find(whole);
    target.map(|target| target.target_id.node_id).ok_or(StatusCode::BAD_NODE_ID_UNKNOWN)
}

/// How wide the EURange of a variable is, if it has one (OPC 10000-8, 5.3.2.3).
pub(crate) async fn range_width(ask: &Ask, starting_node: NodeId) -> Option<f64> {
    let element = RelativePathElement {
        reference_type_id: ReferenceTypeId::HasProperty.into(),
        is_inverse: false,
        include_subtypes: true,
        target_name: QualifiedName::new(0, "EURange"),
    };
    let relative_path = RelativePath { elements: Some(vec![element]) };
    let found = ask.translate(vec![BrowsePath { starting_node, relative_path }]).await.ok()?.pop()?;
    let mut read = ask.read(vec![value_at(target(found).ok()?)]).await.ok()?;
    let Some(Variant::ExtensionObject(range)) = read.values.pop()?.value else { return None };
    let mut wire = Wire::new(body_of(&range)?.1);
    let (low, high) = (wire.f64().ok()?, wire.f64().ok()?);
    Some(high - low)
}

/// The answers of a poll: per request the points and what the server read, or why it did not.
pub(crate) type Polled = Vec<(Vec<usize>, Result<Values, StatusCode>)>;
