//! Modbus TCP, reading only: holding and input registers, coils and discrete inputs.
//!
//! `plan` decides what is asked, `talk` asks, `decode` reads the answer, `session` keeps the time. A poll's readings
//! share one gateway time, taken when its last answer is complete. Modbus has no time stamps of its own.
//!
//! ```text
//! connect ──▶ polling ──exception──▶ bad readings, the connection stays
//!                │
//!                └──timeout, wrong or short answer, closed──▶ bad readings for the rest of the poll, LinkError
//! ```

mod decode;
mod guard;
#[allow(dead_code, reason = "the session takes it up")]
mod holes;
#[allow(dead_code, reason = "the session takes it up")]
mod identify;
pub mod import;
mod plan;
pub mod probe;
pub mod profile;
mod register;
mod session;
mod settings;
mod talk;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and brings its own clock")]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use lingate_model::{DeviceName, PointId};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use self::plan::Group;
use self::session::Polling;
use self::settings::{Item, Settings};
use self::talk::Talk;
use crate::settings::SettingsError;
use crate::{Acquisition, BoxFuture, Device, DeviceSettings, Driver, LinkError, Point, Session, Site};

pub(crate) const TCP: Driver = Driver { kind: "modbus-tcp", sample: include_str!("modbus/sample.toml"), parse };

struct Modbus {
    plan: Arc<Plan>,
}

/// Everything that is known before the first connection.
struct Plan {
    name: DeviceName,
    settings: Settings,
    points: Vec<Point>,
    /// As long as `points`.
    items: Vec<Item>,
    groups: Vec<Group>,
}

fn parse(device: DeviceSettings<'_>) -> Result<Box<dyn Device>, SettingsError> {
    Ok(Box::new(Modbus { plan: Arc::new(Plan::parse(device)?) }))
}

impl Plan {
    fn parse(device: DeviceSettings<'_>) -> Result<Plan, SettingsError> {
        let DeviceSettings { name, every, first_point, mut table, mut points } = device;
        let settings = Settings::take(&mut table);
        let items: Vec<_> = points.iter_mut().filter_map(|point| Item::take(point, &settings, every)).collect();
        let problems_below = points.into_iter().flat_map(|point| point.table.finish());
        let problems: Vec<_> = table.finish().into_iter().chain(problems_below).collect();
        if !problems.is_empty() {
            return Err(SettingsError(problems));
        }
        let wanted: Vec<_> = items.iter().map(|item| item.wanted).collect();
        let groups = plan::plan(&wanted, settings.limits);
        let ids = (first_point.0..).map(PointId);
        let points = ids.zip(&items).map(|(id, item)| point(id, item, settings.unit)).collect();
        Ok(Plan { name, settings, points, items, groups })
    }
}

fn point(id: PointId, item: &Item, unit: u8) -> Point {
    Point {
        id,
        builtin_type: item.encoding.builtin_type(),
        rank: item.encoding.rank(),
        places: item.encoding.places(),
        interval: item.wanted.interval,
        acquisition: Acquisition::Polled,
        source: format!("{} {} unit {unit}", TCP.kind, item.source()),
    }
}

impl Device for Modbus {
    fn points(&self) -> &[Point] {
        &self.plan.points
    }

    fn address(&self) -> String {
        let Settings { host, port, .. } = &self.plan.settings;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    fn connect<'a>(&'a self, _site: &'a Site) -> BoxFuture<'a, Result<Box<dyn Session>, LinkError>> {
        Box::pin(async {
            let settings = &self.plan.settings;
            let stream = self.open(settings).await?;
            if settings.pause_after_connect > Duration::ZERO {
                sleep(settings.pause_after_connect).await;
            }
            let talk = Talk::over(stream, settings.unit, settings.timeout);
            Ok(Box::new(Polling::new(Arc::clone(&self.plan), talk)) as Box<dyn Session>)
        })
    }
}

impl Modbus {
    async fn open(&self, settings: &Settings) -> Result<TcpStream, LinkError> {
        let after = settings.connect_timeout;
        let connect = TcpStream::connect((settings.host.as_str(), settings.port));
        let connected = timeout(after, connect).await.map_err(|_| LinkError::Timeout { doing: "connecting", after })?;
        let stream = connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        stream.map_err(|source| LinkError::Connect { address: self.address(), source })
    }
}
