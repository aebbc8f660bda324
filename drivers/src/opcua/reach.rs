use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opcua::client::Session as Client;
use opcua::types::{DataValue, ReadValueId, TimestampsToReturn, VariableId, Variant};

use super::connection::Connection;
use super::failover::Failover;
use super::openings::Openings;
use super::settings::Settings;
use crate::{LinkError, Site};

/// Remembers, over all connections of a device, which of its servers serve.
#[derive(Clone)]
pub(crate) struct Reach(Arc<Mutex<State>>);

struct State {
    failover: Failover,
    openings: Openings,
}

/// What `connect` may take as a whole (the poller gives up after 30 s).
const CONNECT_MAX: Duration = Duration::from_secs(28);
/// Between two looks at the ServiceLevel of the server in use.
const ASK_EVERY: Duration = Duration::from_secs(5);

impl Reach {
    pub(crate) fn new(endpoints: usize) -> Reach {
        let state = State { failover: Failover::new(endpoints), openings: Openings::default() };
        Reach(Arc::new(Mutex::new(state)))
    }

    /// To the first server that answers, the best one first.
    pub(crate) async fn connect(&self, settings: &Settings, site: &Site) -> Result<Connection, LinkError> {
        let attempts = CONNECT_MAX.as_millis() / settings.connect_timeout.as_millis().max(1);
        let order = self.state().failover.order(site.clock.now().monotonic);
        let mut failure = LinkError::Closed;
        for index in order.into_iter().take(usize::try_from(attempts).unwrap_or(1).max(1)) {
            match self.connect_to(index, settings, site).await {
                Ok(connection) => {
                    self.state().failover.connected(index, site.clock.now().monotonic);
                    return Ok(connection);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Never resolves for a single server; else when it is better to go to another one.
    pub(crate) async fn better(&self, session: &Client, settings: &Settings, site: &Site) -> LinkError {
        if settings.endpoints.len() < 2 {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            let Some(here) = self.state().failover.current() else { continue };
            if let Ok(level) = service_level(session).await {
                self.state().failover.said(here, level);
            }
            if self.state().failover.looks_around(site.clock.now().monotonic) {
                self.look_around(here, settings, site).await;
            }
            let better = self.state().failover.better(site.clock.now().monotonic);
            if let Some(better) = better {
                self.state().failover.leave_for(better);
                let what = format!("{} serves better now", settings.endpoints[better].short());
                return LinkError::Refused { what, hint: "the gateway goes there by itself".to_owned() };
            }
        }
    }

    async fn look_around(&self, here: usize, settings: &Settings, site: &Site) {
        for index in (0..settings.endpoints.len()).filter(|index| *index != here) {
            // Its failure is noted where it happens.
            let Ok(mut connection) = self.connect_to(index, settings, site).await else { continue };
            let session = connection.session();
            let level = connection.during(service_level(&session)).await;
            connection.close().await;
            match level {
                Ok(Ok(level)) => self.state().failover.said(index, level.or(Some(u8::MAX))),
                _ => self.state().failover.failed(index, site.clock.now().monotonic),
            }
        }
        self.state().failover.looked(site.clock.now().monotonic);
    }

    async fn connect_to(&self, index: usize, settings: &Settings, site: &Site) -> Result<Connection, LinkError> {
        self.state().openings.allowed(site.clock.now().monotonic)?;
        let opened = Connection::open(settings, site, &settings.endpoints[index]).await;
        opened.map_err(|failed| {
            let now = site.clock.now().monotonic;
            let mut state = self.state();
            state.failover.failed(index, now);
            if failed.spoiled_opening {
                state.openings.failed(now);
            }
            failed.error
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None`: the server does not say.
async fn service_level(session: &Client) -> Result<Option<u8>, opcua::types::Error> {
    let node: opcua::types::NodeId = VariableId::Server_ServiceLevel.into();
    let values = session.read(&[ReadValueId::from(node)], TimestampsToReturn::Neither, 0.0).await?;
    Ok(match values.into_iter().next() {
        Some(DataValue { value: Some(Variant::Byte(level)), .. }) => Some(level),
        _ => None,
    })
}
