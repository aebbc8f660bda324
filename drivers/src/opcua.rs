//! OPC UA, reading only: subscriptions, reads and history.
//!
//! The protocol is spoken by `async-opcua`, behind a fence: `dial` opens connections with deadlines, `guard` bounds every
//! frame before it is stored, `trust` decides on certificates, `connection` has the only event loop and ends with
//! whatever ends it. The library's own reconnecting is never used.
//!
//! ```text
//! connect ── endpoints ── certificate judged ── channel ── session ──▶ work ──lost──▶ rest of the slots told, LinkError
//!    └──────── any failure, 10 s ───────▶ LinkError                      └──stop──▶ session closed
//! ```
//!
//! Promises: exactly the configured policy and mode, or none at all; no password over an unprotected channel; no
//! certificate is believed because it was seen before; a session is closed on the server whenever the server still
//! listens.

mod account;
mod address;
mod aside;
mod ask;
mod backfill;
pub mod browse;
mod connection;
mod convert;
mod cursor;
mod date;
mod deadband;
mod decode;
mod describe;
mod desk;
mod dial;
mod discovery;
mod failover;
mod fault;
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod identity;
mod library;
mod limits;
mod memory;
mod names;
mod notification;
mod openings;
mod own;
mod pace;
mod point;
mod polling;
mod prepare;
mod publishing;
mod quarantine;
mod reading;
mod report;
pub mod preset;
pub mod probe;
mod reach;
mod security;
mod sequence;
mod settings;
mod shape;
mod standard;
mod structure;
mod stumble;
mod subscribing;
mod subscription;
mod target;
mod text;
pub mod tool;
mod transport;
pub mod trust;
mod watchdog;
mod wire;
pub mod units;
mod work;

use std::sync::Arc;
use std::time::Duration;

use lingate_model::{DeviceName, PointId};
use opcua::client::Session as Client;
use tokio::sync::watch;
use tokio::time::timeout;

use self::connection::{About, Connection};
use self::cursor::CursorFile;
use self::memory::Memory;
use self::pace::{Mode, Pace};
use self::point::Item;
use self::reach::Reach;
use self::settings::Settings;
use self::stumble::caught;
use crate::settings::SettingsError;
use crate::{Acquisition, BoxFuture, Device, DeviceSettings, Driver, LinkError, Opens, Point, Session, Sink, Site, SiteProblem};

pub use own::{application_uri, own_certificate};
pub use text::shown;

pub(crate) const DRIVER: Driver = Driver { kind: "opcua", sample: include_str!("opcua/sample.toml"), parse };

/// Log filter of the library, which repeats what servers say without escaping it, and tells every loss as an error.
pub const QUIET: &str = "opcua_client=off,opcua_core=off,opcua_crypto=off,opcua_types=off";

/// For the rest of the slots, after the link is lost: nothing is asked any more.
const LAST_WORDS: Duration = Duration::from_secs(2);

struct OpcUa {
    plan: Arc<Plan>,
    reach: Reach,
}

/// Everything that is known before the first connection.
pub(crate) struct Plan {
    pub(crate) name: DeviceName,
    pub(crate) settings: Settings,
    pub(crate) pace: Pace,
    pub(crate) points: Vec<Point>,
    /// As long as `points`.
    pub(crate) items: Vec<Item>,
    pub(crate) memory: Memory,
}

/// What a session works with.
pub(crate) struct Link {
    pub(crate) session: Arc<Client>,
    pub(crate) about: About,
    pub(crate) cursors: CursorFile,
    pub(crate) lost: watch::Receiver<bool>,
}

impl Link {
    /// Resolves when the connection is gone; every request that waits fails then.
    pub(crate) async fn lost(&self) {
        // The sender gone means the same.
        let _ = self.lost.clone().wait_for(|lost| *lost).await;
    }

    pub(crate) fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }
}

fn parse(device: DeviceSettings<'_>) -> Result<Box<dyn Device>, SettingsError> {
    let plan = Plan::parse(device)?;
    let reach = Reach::new(plan.settings.endpoints.len());
    Ok(Box::new(OpcUa { plan: Arc::new(plan), reach }))
}

impl Plan {
    fn parse(device: DeviceSettings<'_>) -> Result<Plan, SettingsError> {
        let DeviceSettings { name, every, first_point, mut table, mut points } = device;
        let settings = Settings::take(&mut table);
        let pace = Pace::take(&mut table, every);
        let items: Vec<_> = points.iter_mut().filter_map(|point| Item::take(point, &pace, every)).collect();
        let problems_below = points.into_iter().flat_map(|point| point.table.finish());
        let problems: Vec<_> = table.finish().into_iter().chain(problems_below).collect();
        if !problems.is_empty() {
            return Err(SettingsError(problems));
        }
        let ids = (first_point.0..).map(PointId);
        let points = ids.zip(&items).map(|(id, item)| point(id, item, &settings)).collect();
        Ok(Plan { name, settings, pace, points, items, memory: Memory::default() })
    }
}

fn point(id: PointId, item: &Item, settings: &Settings) -> Point {
    let protection = if settings.security.is_none() { " security none" } else { "" };
    Point {
        id,
        builtin_type: item.shape.builtin_type,
        rank: item.shape.rank,
        places: None,
        interval: item.interval,
        acquisition: match item.mode {
            Mode::Poll => Acquisition::Polled,
            Mode::Subscribe => Acquisition::Subscribed,
        },
        source: format!("{} {}{protection}", DRIVER.kind, item.source()),
    }
}

impl Device for OpcUa {
    fn points(&self) -> &[Point] {
        &self.plan.points
    }

    fn address(&self) -> String {
        let addresses: Vec<_> = self.plan.settings.endpoints.iter().map(address::Address::short).collect();
        addresses.join(", ")
    }

    fn problems(&self, site: &Site) -> Vec<SiteProblem> {
        let Settings { security, identity, .. } = &self.plan.settings;
        let looked_at = [
            ("legacy_exception", security.allowed_at(site.clock.now().utc)),
            (identity.setting(), identity.secrets(site).map(drop)),
        ];
        let problem = |(setting, looked): (&'static str, Result<(), LinkError>)| match looked {
            Err(LinkError::Refused { what, hint }) => Some(SiteProblem { setting, what, hint }),
            _ => None,
        };
        looked_at.into_iter().filter_map(problem).collect()
    }

    fn opens(&self) -> Vec<Opens> {
        self.plan.settings.identity.credentials().into_iter().cloned().map(Opens::Secret).collect()
    }

    /// A server that is subscribed decides itself when it looks for changes, whatever the sampling interval says; between
    /// two publishes it keeps no more of them than it was asked to.
    fn at_most(&self, place: usize) -> (u32, Duration) {
        let Item { mode, interval, queue, .. } = &self.plan.items[place];
        match mode {
            Mode::Poll => (1, *interval),
            Mode::Subscribe => (*queue, self.plan.pace.publishing),
        }
    }

    fn backfills(&self) -> bool {
        self.plan.pace.backfill.is_some()
    }

    fn connect<'a>(&'a self, site: &'a Site) -> BoxFuture<'a, Result<Box<dyn Session>, LinkError>> {
        Box::pin(async {
            let connection = caught(self.reach.connect(&self.plan.settings, site)).await??;
            let cursors = CursorFile::of(&site.folder, self.plan.name.as_str());
            let (plan, reach, site) = (Arc::clone(&self.plan), self.reach.clone(), site.clone());
            Ok(Box::new(Running { plan, reach, site, connection: Some(connection), cursors }) as Box<dyn Session>)
        })
    }
}

struct Running {
    plan: Arc<Plan>,
    reach: Reach,
    site: Site,
    connection: Option<Connection>,
    cursors: CursorFile,
}

impl Session for Running {
    fn run<'a>(&'a mut self, sink: &'a Sink) -> BoxFuture<'a, LinkError> {
        Box::pin(async move { caught(self.lives(sink)).await.unwrap_or_else(|stumbled| stumbled) })
    }
}

impl Running {
    async fn lives(&mut self, sink: &Sink) -> LinkError {
            let Some(mut connection) = self.connection.take() else { return LinkError::Closed };
            let (tell, lost) = watch::channel(false);
            let (session, about) = (connection.session(), connection.about().clone());
            let link = Link { session, about, cursors: self.cursors.clone(), lost };
            let mut working = std::pin::pin!(work::work(&link, &self.plan, sink));
            let better = self.reach.better(&link.session, &self.plan.settings, &self.site);
            let ended = tokio::select! {
                loss = connection.drive() => Ended::Lost(loss),
                reason = &mut working => Ended::Done(reason),
                reason = better => Ended::Left(reason),
            };
            let reason = match ended {
                Ended::Done(reason) => {
                    connection.close().await;
                    return reason;
                }
                Ended::Left(reason) => {
                    connection.close().await;
                    reason
                }
                Ended::Lost(loss) => {
                    connection.cut();
                    loss
                }
            };
            tell.send_replace(true);
            let _ = timeout(LAST_WORDS, working).await;
            reason
    }
}

/// Why a session is over.
enum Ended {
    /// Its work ended by itself: the gateway stops, or the work found that no data flows.
    Done(LinkError),
    Lost(LinkError),
    /// For a better server.
    Left(LinkError),
}
