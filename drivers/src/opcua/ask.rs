use std::sync::Arc;
use std::time::Duration;

use lingate_model::StatusCode;
use opcua::client::services::{
    Browse, CreateMonitoredItems, CreateSubscription, DeleteMonitoredItems, HistoryRead, Publish, Read, RegisterNodes, Republish,
    TranslateBrowsePaths,
};
use opcua::client::{HistoryReadAction, Session, UARequest};
use opcua::types::{
    BrowseDescription, BrowsePath, BrowsePathResult, BrowseResult, CreateSubscriptionResponse, DataValue, Error,
    HistoryReadResult, HistoryReadValueId, MonitoredItemCreateRequest, MonitoredItemCreateResult, NodeId,
    NotificationMessage, PublishResponse, ReadRawModifiedDetails, ReadValueId, SubscriptionAcknowledgement,
    TimestampsToReturn,
};
use tokio::sync::watch;

/// Every service that a session ever asks for: each of them reads, and nothing else is sent.
///
/// An answer with fewer or more results than were asked for is refused as a whole: nobody can tell which is whose.
#[derive(Clone)]
pub(crate) struct Ask {
    session: Arc<Session>,
    lost: watch::Receiver<bool>,
}

/// What a server has read.
pub(crate) struct Values {
    pub(crate) values: Vec<DataValue>,
    /// What the library took off the times while it decoded: 100 ns.
    pub(crate) offset: i64,
}

/// Nobody can tell which of two offsets the library took off the times: ask again. No server sends this code.
pub(crate) const CLOCKS_COMPARED: StatusCode = StatusCode(0x8000_FFFF);
const BAD_UNKNOWN_RESPONSE: StatusCode = StatusCode(0x8009_0000);

type Answer<T> = Result<T, StatusCode>;

impl Ask {
    pub(crate) fn new(session: Arc<Session>, lost: watch::Receiver<bool>) -> Ask {
        Ask { session, lost }
    }

    /// `max_age` is 0: from the device and not from the server's memory, where the server can tell them apart.
    pub(crate) async fn read(&self, nodes: Vec<ReadValueId>) -> Answer<Values> {
        let asked = nodes.len();
        // The channel may be renewed meanwhile, and the clocks be compared anew.
        let before = self.offset();
        let request = Read::new(&self.session).timestamps_to_return(TimestampsToReturn::Both).nodes_to_read(nodes);
        let response = request.send(self.session.channel()).await.map_err(|error| self.status(&error))?;
        let after = self.offset();
        let values = counted(response.results, asked)?;
        if before == after { Ok(Values { values, offset: after }) } else { Err(CLOCKS_COMPARED) }
    }

    /// The library forgets a request whose answer cannot be read, and says that the connection was closed.
    fn status(&self, error: &Error) -> StatusCode {
        let is_forgotten = error.status() == opcua::types::StatusCode::BadConnectionClosed && !*self.lost.borrow();
        if is_forgotten { StatusCode::BAD_DECODING_ERROR } else { StatusCode(error.status().bits()) }
    }

    fn offset(&self) -> i64 {
        let offset = self.session.encoding_context().read().options().client_offset;
        offset.num_nanoseconds().map_or(0, |nanos| nanos / 100)
    }

    pub(crate) async fn translate(&self, paths: Vec<BrowsePath>) -> Answer<Vec<BrowsePathResult>> {
        let asked = paths.len();
        let request = TranslateBrowsePaths::new(&self.session).browse_paths(paths);
        let response = request.send(self.session.channel()).await.map_err(|error| self.status(&error))?;
        counted(response.results, asked)
    }

    pub(crate) async fn browse(&self, nodes: Vec<BrowseDescription>) -> Answer<Vec<BrowseResult>> {
        let asked = nodes.len();
        let request = Browse::new(&self.session).max_references_per_node(100).nodes_to_browse(nodes);
        let response = request.send(self.session.channel()).await.map_err(|error| self.status(&error))?;
        counted(response.results, asked)
    }

    /// Ids that the server reads faster, for this session.
    pub(crate) async fn register(&self, nodes: Vec<NodeId>) -> Answer<Vec<NodeId>> {
        let asked = nodes.len();
        let request = RegisterNodes::new(&self.session).nodes_to_register(nodes);
        let response = request.send(self.session.channel()).await.map_err(|error| self.status(&error))?;
        counted(response.registered_node_ids, asked)
    }

    pub(crate) async fn subscribe(&self, wanted: Wanted) -> Answer<CreateSubscriptionResponse> {
        let request = CreateSubscription::new(&self.session)
            .publishing_interval(wanted.publishing)
            .max_lifetime_count(wanted.lifetime_count)
            .max_keep_alive_count(wanted.keep_alive_count)
            .max_notifications_per_publish(wanted.notifications_max)
            .publishing_enabled(true);
        request.send(self.session.channel()).await.map_err(|error| self.status(&error))
    }

    pub(crate) async fn create(
        &self,
        subscription: u32,
        items: Vec<MonitoredItemCreateRequest>,
    ) -> Answer<Vec<MonitoredItemCreateResult>> {
        let request = CreateMonitoredItems::new(subscription, &self.session)
            .timestamps_to_return(TimestampsToReturn::Both)
            .items_to_create(items);
        let response = request.send(self.session.channel()).await.map_err(|error| self.status(&error))?;
        Ok(response.results.into_iter().map(|created| created.result).collect())
    }

    pub(crate) async fn delete(&self, subscription: u32, item: u32) -> Answer<()> {
        let request = DeleteMonitoredItems::new(subscription, &self.session).items_to_delete(vec![item]);
        let response = request.send(self.session.channel()).await.map_err(|error| self.status(&error))?;
        let status = StatusCode(counted(response.results, 1)?[0].bits());
        if status.is_bad() { Err(status) } else { Ok(()) }
    }

    pub(crate) async fn publish(
        &self,
        used: Vec<SubscriptionAcknowledgement>,
        patience: Duration,
    ) -> Answer<PublishResponse> {
        let request = Publish::new(&self.session).timeout(patience).acks(used);
        request.send(self.session.channel()).await.map_err(|error| self.status(&error))
    }

    pub(crate) async fn republish(&self, subscription: u32, number: u32) -> Answer<NotificationMessage> {
        let request = Republish::new(subscription, number, &self.session);
        let response = request.send(self.session.channel()).await.map_err(|error| self.status(&error))?;
        Ok(response.notification_message)
    }

    pub(crate) async fn history(
        &self,
        details: ReadRawModifiedDetails,
        nodes: Vec<HistoryReadValueId>,
    ) -> Answer<Vec<HistoryReadResult>> {
        let asked = nodes.len();
        let request = HistoryRead::new(HistoryReadAction::ReadRawModifiedDetails(details), &self.session)
            .timestamps_to_return(TimestampsToReturn::Both)
            .nodes_to_read(nodes);
        let response = request.send(self.session.channel()).await.map_err(|error| self.status(&error))?;
        counted(response.results, asked)
    }
}

/// A subscription as it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) publishing: Duration,
    pub(crate) lifetime_count: u32,
    pub(crate) keep_alive_count: u32,
    pub(crate) notifications_max: u32,
}

fn counted<T>(results: Option<Vec<T>>, asked: usize) -> Answer<Vec<T>> {
    results.filter(|results| results.len() == asked).ok_or(BAD_UNKNOWN_RESPONSE)
}

