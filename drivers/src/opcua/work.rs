use std::time::Duration;

use lingate_model::DeviceReport;

use super::{Link, Plan};
use crate::{DeviceEvent, LinkError, Sink};

/// What is done in a session. Ends when the gateway stops, or soon after the link is lost, and has then told of every
/// slot that was due.
pub(crate) async fn work(link: &Link, plan: &Plan, sink: &Sink) -> LinkError {
    let report = DeviceReport {
        security: Some(link.about.security.clone()),
        endpoint: Some(link.about.endpoint.clone()),
        ..DeviceReport::default()
    };
    if sink.send(DeviceEvent::Report(plan.name.clone(), Box::new(report))).await.is_err() {
        return LinkError::SinkClosed;
    }
    tracing::debug!(session = link.session.session_id(), items = plan.items.len(), "a session begins");
    tokio::select! {
        stopped = sink.pause(Duration::from_secs(3600)) => stopped.map_or_else(LinkError::from, |()| LinkError::Closed),
        () = link.lost() => LinkError::Closed,
    }
}
