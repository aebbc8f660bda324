use std::time::Duration;

use lingate_model::{DeviceReport, Now, SetAside, StatusCode};

use super::desk::Desk;
use super::shown;
use super::work::name;
use crate::{DeviceEvent, LinkError, SinkClosed};

const EVERY: Duration = Duration::from_secs(5);
/// After something was set aside or came back.
const SOON: Duration = Duration::from_secs(1);

impl Desk<'_> {
    pub(crate) fn report_soon(&mut self, now: Duration) {
        self.report_at = self.report_at.min(now.saturating_add(SOON));
    }

    pub(crate) async fn report(&mut self, now: Now) -> Result<(), LinkError> {
        self.report_at = now.monotonic.saturating_add(EVERY);
        self.plan.memory.count("opaque", self.types.take_opaque());
        self.plan.memory.kept().limits = Some(self.server.limits);
        self.describe_more();
        Ok(self.send_report().await?)
    }

    pub(crate) async fn send_report(&mut self) -> Result<(), SinkClosed> {
        let set_aside = self.quarantine.iter().take(DeviceReport::SET_ASIDE_MAX);
        let report = DeviceReport {
            heartbeat: None,
            identity: Some(self.server.identity.clone()),
            security: Some(self.link.about.security.clone()),
            endpoint: Some(self.link.about.endpoint.clone()),
            clock_skew_us: self.server.skew_us,
            lateness: self.lateness,
            set_aside: set_aside
                .map(|(point, entry)| SetAside {
                    what: shown(&self.plan.items[point].target.to_string()),
                    why: self.why(point, entry.status),
                    since: entry.since,
                    again: Some(entry.retry_utc),
                })
                .collect(),
            set_aside_count: self.quarantine.len(),
            counters: self.plan.memory.kept().counters.clone(),
        };
        self.sink.send(DeviceEvent::Report(self.plan.name.clone(), Box::new(report))).await
    }

    fn why(&self, point: usize, status: StatusCode) -> String {
        let target = &self.plan.items[point].target;
        let unknown = match target.node_id(&self.server.namespaces) {
            Some(Err(unknown)) => Some(unknown),
            Some(Ok(_)) => None,
            None => target.browse_names(&self.server.namespaces).err(),
        };
        match unknown {
            Some(unknown) => shown(&format!("the server has no namespace {}", unknown.0)),
            None => name(status),
        }
    }
}
