//! Asks a device once, for a person who wants to know what a register means, and looks around politely: which units
//! answer, which registers are there. It reads on the line and with the session that the gateway uses, so that nothing
//! but reads can happen and what works here works there.

mod look;
mod meaning;
mod words;

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use lingate_model::{Clock, DeviceIdentity, PointId};
use tokio::sync::mpsc;

pub use self::look::{Blocks, Found, Runs, blocks, unit};
pub use self::meaning::{Meaning, meanings};
pub use self::words::{advice, exception, exception_name};
use super::import::quote;
use super::settings::Protocol;
use super::{Modbus, Plan, talk};
use crate::settings::{DeTable, Problem, SettingsError, Table};
use crate::{Device, DeviceEvent, DeviceSettings, LinkError, PointSettings, Sink, Site};

/// How a device is reached: the driver, and the keys of its table as the configuration would have them.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// `modbus-tcp`
    pub driver: String,
    /// (key, value in TOML); `unit` is not one of them.
    pub keys: Vec<(String, String)>,
    pub unit: u8,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Registers(Vec<u16>),
    Bits(Vec<bool>),
    /// The device answered that it cannot, with this exception code.
    Refused(u8),
}

#[derive(Debug)]
pub enum ProbeError {
    NoDriver(String),
    Settings(Vec<Problem>),
    /// Nothing came back that can be believed.
    Link(LinkError),
}

impl std::error::Error for ProbeError {}

impl std::fmt::Display for ProbeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ProbeError::NoDriver(kind) => write!(f, "this build has no driver {kind}"),
            ProbeError::Settings(problems) => {
                let told = problems.iter().map(|problem| {
                    let hint = problem.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
                    format!("{} {}{hint}", problem.path.rsplit('.').next().unwrap_or_default(), problem.what)
                });
                f.write_str(&told.collect::<Vec<_>>().join("; "))
            }
            ProbeError::Link(loss) => {
                write!(f, "{loss}")?;
                let mut cause = std::error::Error::source(loss);
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
        }
    }
}

/// `register` as in the configuration, PLC notation too; `count` registers or bits. One request, asked once.
pub async fn read(target: &Target, register: &str, count: u16, site: &Site) -> Result<Answer, ProbeError> {
    let mut point = format!("[[point]]\nregister = {}\ncount = {count}\n", quote(register));
    if register.bytes().all(|byte| byte.is_ascii_digit()) {
        point.push_str("addressing = \"one-based\"\n");
    }
    // Coils and discrete inputs have no type, registers must have one: one of both is a device.
    let registers = format!("{point}type = \"u16\"\n");
    let device = device(target, &registers, "1s").or_else(|problems| device(target, &point, "1s").map_err(|_| problems))?;
    let request = device.plan.groups.iter().flat_map(|group| &group.requests).next();
    let Some(request) = request else { return Err(ProbeError::Link(LinkError::Closed)) };
    let client = device.client(site).map_err(ProbeError::Link)?;
    client.connect(None).await.map_err(ProbeError::Link)?;
    match client.read(Duration::ZERO, request).await {
        Ok(talk::Answer::Registers(words)) => Ok(Answer::Registers(words)),
        Ok(talk::Answer::Bits(bits)) => Ok(Answer::Bits(bits)),
        Ok(talk::Answer::Identity(_)) => Err(ProbeError::Link(LinkError::Closed)),
        Err(talk::Refusal::Exception(exception)) => Ok(Answer::Refused(exception.into())),
        Err(talk::Refusal::Link(loss)) => Err(ProbeError::Link(loss)),
    }
}

/// Who the device says it is; `None`: it does not say, or not within the patience.
pub async fn identify(
    target: &Target,
    register: &str,
    patience: Duration,
    site: &Site,
    clock: Arc<dyn Clock>,
) -> Result<Option<DeviceIdentity>, ProbeError> {
    let point = format!("[[point]]\nregister = {}\ntype = \"u16\"\n", quote(register));
    let device = device(target, &point, "500ms")?;
    let mut identity = None;
    let watching = watch(&device, site, clock, |event| {
        if let DeviceEvent::Report(_, report) = event {
            identity = report.identity;
        }
        if identity.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let ended = tokio::time::timeout(patience, watching).await;
    match (identity, ended) {
        (None, Ok(Some(loss))) => Err(ProbeError::Link(loss)),
        (identity, _) => Ok(identity),
    }
}

/// Of a table as the configuration would have it.
fn device(target: &Target, points: &str, every: &str) -> Result<Modbus, ProbeError> {
    let protocol = Protocol::of(&target.driver).ok_or_else(|| ProbeError::NoDriver(target.driver.clone()))?;
    let mut text = format!("unit = {}\n", target.unit);
    for (key, value) in &target.keys {
        let _ = writeln!(text, "{key} = {value}");
    }
    text.push_str(points);
    let refused = |what: String| ProbeError::Settings(vec![Problem { span: 0..0, path: String::new(), what, hint: None }]);
    let file = DeTable::parse(&text).map_err(|error| refused(error.message().to_owned()))?;
    let mut table = Table::new(file.get_ref(), file.span(), "");
    let points = table.take("point").tables(1..=usize::from(u16::MAX));
    let points = points.into_iter().map(|table| PointSettings { every: None, table }).collect();
    let every = crate::settings::parse_duration(every).unwrap_or(Duration::from_secs(1));
    let name = "probe".parse().expect("it is a name");
    let settings = DeviceSettings { name, every, first_point: PointId(0), table, points };
    let plan = Plan::parse(settings, protocol).map_err(|SettingsError(problems)| ProbeError::Settings(problems))?;
    Ok(Modbus::of(plan))
}

/// Runs a session until `see` has seen enough or the link is lost.
async fn watch(
    device: &Modbus,
    site: &Site,
    clock: Arc<dyn Clock>,
    mut see: impl FnMut(DeviceEvent) -> ControlFlow<()>,
) -> Option<LinkError> {
    let mut session = match device.connect(site).await {
        Ok(session) => session,
        Err(loss) => return Some(loss),
    };
    let (sender, mut events) = mpsc::channel(64);
    let sink = Sink::new(sender, clock);
    let mut running = session.run(&sink);
    loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => {
                if see(event).is_break() {
                    return None;
                }
            }
            loss = &mut running => {
                while let Ok(event) = events.try_recv() {
                    if see(event).is_break() {
                        return None;
                    }
                }
                return Some(loss);
            }
        }
    }
}
