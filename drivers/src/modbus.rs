//! Modbus, reading only: holding and input registers, coils and discrete inputs; over TCP, UDP, TLS and serial lines.
//!
//! `plan` decides what is asked, `line` whose turn it is, `talk` asks, `frame` knows the bytes, `decode` reads the answer,
//! `session` keeps the time. A poll's readings share one gateway time, taken when its last answer is complete. Modbus has
//! no time stamps of its own.
//!
//! ```text
//! connect ──▶ polling ──exception──▶ bad readings, the connection stays
//!               ▲  │
//!               │  └──no answer, or one that cannot be believed──▶ bad readings for the rest of the poll
//!               └────once: a fresh connection, on a serial line silence──┤
//!                                                 twice in a row: LinkError
//! ```

mod decode;
mod frame;
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod holes;
mod identify;
pub mod import;
mod line;
mod plan;
pub mod probe;
pub mod profile;
mod pulse;
mod register;
mod rest;
mod session;
mod settings;
mod talk;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and brings its own clock")]
mod tests;
mod told;
mod transport;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use lingate_model::{DeviceName, PointId};

use self::frame::Ask;
use self::holes::Holes;
use self::line::{Client, Line};
use self::plan::{Group, Wanted};
use self::pulse::Pulse;
use self::session::Polling;
use self::settings::{Item, Protocol, Settings};
use self::told::Identity;
use crate::settings::SettingsError;
use crate::{
    Acquisition, BoxFuture, Device, DeviceSettings, Driver, LinkError, Opens, Point, Session, SharedLine, Site,
    SiteProblem,
};

macro_rules! kinds {
    ($($name:ident: $protocol:ident, $sample:literal;)*) => {
        $(pub(crate) const $name: Driver = Driver {
            kind: Protocol::$protocol.kind(),
            sample: include_str!($sample),
            parse: |device| parse(device, Protocol::$protocol),
        };)*
    };
}

kinds! {
    TCP: Tcp, "modbus/samples/tcp.toml";
    UDP: Udp, "modbus/samples/udp.toml";
    TLS: Tls, "modbus/samples/tls.toml";
    RTU: Rtu, "modbus/samples/rtu.toml";
    ASCII: Ascii, "modbus/samples/ascii.toml";
    RTU_OVER_TCP: RtuOverTcp, "modbus/samples/rtu-over-tcp.toml";
    ASCII_OVER_TCP: AsciiOverTcp, "modbus/samples/ascii-over-tcp.toml";
}

struct Modbus {
    plan: Arc<Plan>,
    /// Held as long as the device, so that the pace outlives a session.
    line: OnceLock<Arc<Line>>,
}

/// Everything that is known before the first connection, and what was learned of the device since.
struct Plan {
    name: DeviceName,
    settings: Settings,
    points: Vec<Point>,
    /// As long as `points`.
    items: Vec<Item>,
    /// As long as `points`.
    wanted: Vec<Wanted>,
    groups: Vec<Group>,
    holes: Mutex<Holes>,
    identity: Mutex<Identity>,
    pulse: Mutex<Pulse>,
}

fn parse(device: DeviceSettings<'_>, protocol: Protocol) -> Result<Box<dyn Device>, SettingsError> {
    Ok(Box::new(Modbus::of(Plan::parse(device, protocol)?)))
}

impl Plan {
    fn parse(device: DeviceSettings<'_>, protocol: Protocol) -> Result<Plan, SettingsError> {
        let DeviceSettings { name, every, first_point, mut table, mut points } = device;
        let settings = Settings::take(&mut table, protocol);
        let items: Vec<_> = points.iter_mut().filter_map(|point| Item::take(point, &settings, every)).collect();
        let problems_below = points.into_iter().flat_map(|point| point.table.finish());
        let problems: Vec<_> = table.finish().into_iter().chain(problems_below).collect();
        if !problems.is_empty() {
            return Err(SettingsError(problems));
        }
        let wanted: Vec<_> = items.iter().map(|item| item.wanted).collect();
        let groups = plan::plan(&wanted, settings.limits);
        let ids = (first_point.0..).map(PointId);
        let points = ids.zip(&items).map(|(id, item)| point(id, item, &settings)).collect();
        let beats = items.iter().enumerate();
        let pulse = Pulse::of(beats.filter_map(|(point, item)| Some((point, item.source(), item.heartbeat?))));
        let (holes, identity, pulse) = (Mutex::default(), Mutex::default(), Mutex::new(pulse));
        Ok(Plan { name, settings, points, items, wanted, groups, holes, identity, pulse })
    }

    fn holes(&self) -> MutexGuard<'_, Holes> {
        self.holes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn identity(&self) -> MutexGuard<'_, Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a device that was silent is asked first.
    fn probe(&self) -> Option<Ask> {
        self.groups.iter().flat_map(|group| &group.requests).next().map(Ask::of)
    }
}

impl Modbus {
    fn of(plan: Plan) -> Modbus {
        Modbus { plan: Arc::new(plan), line: OnceLock::new() }
    }

    /// On the line that it shares with others. A port that is not there yet may turn out to be one of theirs.
    fn client(&self, site: &Site) -> Result<Client, LinkError> {
        let Settings { line, unit, manners, .. } = &self.plan.settings;
        line.transport.is_there()?;
        let make = || Line::new(line.clone());
        let line = self.line.get_or_init(|| site.lines.join(&line.transport.line_name(), make));
        Ok(line.client(*unit, *manners, site))
    }
}

fn point(id: PointId, item: &Item, settings: &Settings) -> Point {
    Point {
        id,
        builtin_type: item.encoding.builtin_type(),
        rank: item.encoding.rank(),
        places: item.encoding.places(),
        interval: item.wanted.interval,
        acquisition: Acquisition::Polled,
        source: format!("{} {} unit {}", settings.protocol.kind(), item.source(), settings.unit),
    }
}

impl Device for Modbus {
    fn points(&self) -> &[Point] {
        &self.plan.points
    }

    fn address(&self) -> String {
        self.plan.settings.line.transport.address()
    }

    fn line(&self) -> Option<SharedLine> {
        Some(self.plan.settings.shared_line())
    }

    fn problems(&self, site: &Site) -> Vec<SiteProblem> {
        self.plan.settings.line.transport.problems(site)
    }

    fn opens(&self) -> Vec<Opens> {
        self.plan.settings.line.transport.opens()
    }

    fn connect<'a>(&'a self, site: &'a Site) -> BoxFuture<'a, Result<Box<dyn Session>, LinkError>> {
        Box::pin(async {
            let client = self.client(site)?;
            client.connect(self.plan.probe()).await?;
            Ok(Box::new(Polling::new(Arc::clone(&self.plan), client)) as Box<dyn Session>)
        })
    }
}
