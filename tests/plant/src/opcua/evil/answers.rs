use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::core::{RequestMessage, ResponseMessage};
use opcua::types::*;

use super::{Evil, Shared};

/// What an honest server of a few variables answers.
pub(super) struct Session {
    shared: Arc<Shared>,
    /// (client handle, node) of every monitored item.
    items: Vec<(u32, NodeId)>,
    publishing: Option<Publishing>,
}

struct Publishing {
    every: Duration,
    next: Instant,
    sequence: u32,
}

const SUBSCRIPTION: u32 = 5;
/// The index of its own namespace.
const OWN: u16 = 2;

impl Session {
    pub(super) fn new(shared: Arc<Shared>) -> Session {
        Session { shared, items: Vec::new(), publishing: None }
    }

    /// `None`: a service that no client of ours may ask.
    pub(super) fn answer(&mut self, request: &RequestMessage) -> Option<ResponseMessage> {
        let response_header = ResponseHeader::new_good(request.request_header());
        Some(match request {
            RequestMessage::GetEndpoints(asked) => {
                GetEndpointsResponse { response_header, endpoints: Some(self.endpoints(&asked.endpoint_url)) }.into()
            }
            RequestMessage::CreateSession(asked) => CreateSessionResponse {
                response_header,
                session_id: NodeId::new(OWN, 1_u32),
                authentication_token: NodeId::new(0, 9_u32),
                revised_session_timeout: asked.requested_session_timeout,
                server_nonce: ByteString::from(vec![7; 32]),
                server_certificate: ByteString::null(),
                server_endpoints: Some(self.endpoints(&asked.endpoint_url)),
                server_software_certificates: None,
                server_signature: SignatureData::default(),
                max_request_message_size: 0,
            }
            .into(),
            RequestMessage::ActivateSession(_) => ActivateSessionResponse {
                response_header,
                server_nonce: ByteString::from(vec![8; 32]),
                results: None,
                diagnostic_infos: None,
            }
            .into(),
            RequestMessage::CloseSession(_) => CloseSessionResponse { response_header }.into(),
            RequestMessage::Read(asked) => {
                let results = asked.nodes_to_read.iter().flatten().map(|node| self.read(node)).collect();
                ReadResponse { response_header, results: Some(results), diagnostic_infos: None }.into()
            }
            RequestMessage::Browse(asked) => {
                let results = asked.nodes_to_browse.iter().flatten().map(|_| BrowseResult::default()).collect();
                BrowseResponse { response_header, results: Some(results), diagnostic_infos: None }.into()
            }
            RequestMessage::BrowseNext(_) => BrowseNextResponse {
                response_header,
                results: Some(vec![BrowseResult::default()]),
                diagnostic_infos: None,
            }
            .into(),
            RequestMessage::RegisterNodes(asked) => {
                RegisterNodesResponse { response_header, registered_node_ids: asked.nodes_to_register.clone() }.into()
            }
            RequestMessage::UnregisterNodes(_) => UnregisterNodesResponse { response_header }.into(),
            _ => return self.subscribe(request, response_header),
        })
    }

    fn subscribe(&mut self, request: &RequestMessage, response_header: ResponseHeader) -> Option<ResponseMessage> {
        Some(match request {
            RequestMessage::CreateSubscription(asked) => {
                let every = Duration::from_secs_f64(asked.requested_publishing_interval.clamp(20.0, 1_000.0) / 1_000.0);
                self.publishing = Some(Publishing { every, next: Instant::now(), sequence: 1 });
                CreateSubscriptionResponse {
                    response_header,
                    subscription_id: SUBSCRIPTION,
                    revised_publishing_interval: every.as_secs_f64() * 1_000.0,
                    revised_lifetime_count: asked.requested_lifetime_count,
                    revised_max_keep_alive_count: asked.requested_max_keep_alive_count,
                }
                .into()
            }
            RequestMessage::CreateMonitoredItems(asked) => {
                let results = asked.items_to_create.iter().flatten().map(|item| self.create(item)).collect();
                CreateMonitoredItemsResponse { response_header, results: Some(results), diagnostic_infos: None }.into()
            }
            RequestMessage::ModifyMonitoredItems(asked) => {
                let modified = |item: &MonitoredItemModifyRequest| MonitoredItemModifyResult {
                    status_code: StatusCode::Good,
                    revised_sampling_interval: item.requested_parameters.sampling_interval,
                    revised_queue_size: item.requested_parameters.queue_size,
                    filter_result: ExtensionObject::null(),
                };
                let results = asked.items_to_modify.iter().flatten().map(modified).collect();
                ModifyMonitoredItemsResponse { response_header, results: Some(results), diagnostic_infos: None }.into()
            }
            RequestMessage::SetMonitoringMode(asked) => {
                let results = asked.monitored_item_ids.iter().flatten().map(|_| StatusCode::Good).collect();
                SetMonitoringModeResponse { response_header, results: Some(results), diagnostic_infos: None }.into()
            }
            RequestMessage::DeleteMonitoredItems(asked) => {
                let results = asked.monitored_item_ids.iter().flatten().map(|_| StatusCode::Good).collect();
                DeleteMonitoredItemsResponse { response_header, results: Some(results), diagnostic_infos: None }.into()
            }
            RequestMessage::SetPublishingMode(asked) => {
                let results = asked.subscription_ids.iter().flatten().map(|_| StatusCode::Good).collect();
                SetPublishingModeResponse { response_header, results: Some(results), diagnostic_infos: None }.into()
            }
            RequestMessage::DeleteSubscriptions(asked) => {
                self.publishing = None;
                let results = asked.subscription_ids.iter().flatten().map(|_| StatusCode::Good).collect();
                DeleteSubscriptionsResponse { response_header, results: Some(results), diagnostic_infos: None }.into()
            }
            RequestMessage::Republish(asked) => {
                let status = StatusCode::BadMessageNotAvailable;
                ServiceFault { response_header: ResponseHeader::new_service_result(&asked.request_header, status) }
                    .into()
            }
            _ => return None,
        })
    }

    fn endpoints(&self, url: &UAString) -> Vec<EndpointDescription> {
        let offered = self.shared.state().endpoints.clone();
        offered.unwrap_or_else(|| {
            vec![EndpointDescription {
                endpoint_url: url.clone(),
                server: ApplicationDescription {
                    application_uri: Evil::NAMESPACE.into(),
                    application_type: ApplicationType::Server,
                    ..ApplicationDescription::default()
                },
                server_certificate: ByteString::null(),
                security_mode: MessageSecurityMode::None,
                security_policy_uri: Evil::POLICY_NONE.into(),
                user_identity_tokens: Some(vec![UserTokenPolicy::anonymous()]),
                transport_profile_uri: "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary".into(),
                security_level: 0,
            }]
        })
    }

    fn create(&mut self, item: &MonitoredItemCreateRequest) -> MonitoredItemCreateResult {
        let known = self.read(&item.item_to_monitor).status().is_good();
        if known {
            self.items.push((item.requested_parameters.client_handle, item.item_to_monitor.node_id.clone()));
        }
        MonitoredItemCreateResult {
            status_code: if known { StatusCode::Good } else { StatusCode::BadNodeIdUnknown },
            monitored_item_id: self.items.len() as u32,
            revised_sampling_interval: item.requested_parameters.sampling_interval,
            revised_queue_size: item.requested_parameters.queue_size.max(1),
            filter_result: ExtensionObject::null(),
        }
    }

    /// Every item's value once per interval.
    pub(super) fn notification(&mut self, request: &RequestMessage) -> Option<ResponseMessage> {
        let publishing = self.publishing.as_mut().filter(|it| Instant::now() >= it.next)?;
        publishing.next = Instant::now() + publishing.every;
        let sequence = publishing.sequence;
        publishing.sequence = sequence.wrapping_add(1).max(1);
        let value = |(handle, node): &(u32, NodeId)| MonitoredItemNotification {
            client_handle: *handle,
            value: self.value(node).unwrap_or_else(DataValue::null),
        };
        let values: Vec<_> = self.items.iter().map(value).collect();
        let message = match values.is_empty() {
            true => NotificationMessage::keep_alive(sequence, DateTime::now()),
            false => NotificationMessage::data_change(sequence, DateTime::now(), values, Vec::new()),
        };
        Some(
            PublishResponse {
                response_header: ResponseHeader::new_good(request.request_header()),
                subscription_id: SUBSCRIPTION,
                available_sequence_numbers: Some(vec![sequence]),
                more_notifications: false,
                notification_message: message,
                results: None,
                diagnostic_infos: None,
            }
            .into(),
        )
    }

    fn read(&self, wanted: &ReadValueId) -> DataValue {
        let is_own = wanted.node_id.namespace == OWN;
        let found = match wanted.attribute_id {
            13 => self.value(&wanted.node_id),
            // Node class, browse name, data type, value rank, access level of its variables.
            2 if is_own => Some(Variant::from(2_i32).into()),
            3 if is_own => Some(Variant::from(QualifiedName::new(OWN, "v")).into()),
            14 if is_own => Some(Variant::from(NodeId::new(0, 7_u32)).into()),
            15 if is_own => Some(Variant::from(-1_i32).into()),
            17 | 18 if is_own => Some(Variant::from(1_u8).into()),
            _ => None,
        };
        found.unwrap_or_else(|| DataValue { status: Some(StatusCode::BadNodeIdUnknown), ..DataValue::null() })
    }

    fn value(&self, node: &NodeId) -> Option<DataValue> {
        let now = DateTime::now();
        let value: Variant = match (node.namespace, node.as_u32()) {
            (0, Some(2255)) => {
                let uris = ["http://opcfoundation.org/UA/", "urn:lingate:evil:server", Evil::NAMESPACE];
                Variant::from(uris.map(UAString::from).to_vec())
            }
            (0, Some(2257)) => self.shared.state().start_time.into(),
            (0, Some(2258)) => now.into(),
            (0, Some(2259)) => Variant::from(0_i32),
            (0, Some(2261..=2265)) => UAString::from("evil").into(),
            (0, Some(2267)) => Variant::from(255_u8),
            (0, Some(11702..=11717 | 12165..=12170)) => Variant::from(0_u32),
            (OWN, _) => self.variable(node, now)?.into(),
            _ => return None,
        };
        Some(DataValue::new_at(value, now))
    }

    fn variable(&self, node: &NodeId, now: DateTime) -> Option<u32> {
        let Identifier::String(name) = &node.identifier else { return None };
        let number: u32 = name.as_ref().strip_prefix('v')?.parse().ok()?;
        let n = (now.ticks() / 10_000 % 1_000_000) as u32;
        (number < self.shared.variables).then_some(number * 1_000_000 + n)
    }
}
