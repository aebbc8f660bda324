//! Asks a device once, for a person who wants to know what a register means, and looks around politely: which units
//! answer, which registers are there. It reads with the session that the gateway uses, so that nothing but reads can
//! happen and what works here works there.

mod look;
mod meaning;

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use lingate_model::{Array, Clock, DeviceIdentity, PointId, StatusCode, Value};
use tokio::sync::mpsc;

pub use self::look::{Found, Runs, blocks, unit};
pub use self::meaning::{Meaning, meanings};
use super::import::quote;
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
#[derive(Debug)]
pub enum Answer {
    Registers(Vec<u16>),
    Bits(Vec<bool>),
    /// The device answered that it cannot, or did not answer.
    Bad(StatusCode),
}

#[derive(Debug)]
pub enum ProbeError {
    NoDriver(String),
    Settings(Vec<Problem>),
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

/// In words, with what to do.
pub fn explain(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_NOT_SUPPORTED => {
            "exception 01, illegal function: the device has no such area; try input instead of holding, or the other way"
        }
        StatusCode::BAD_CONFIGURATION_ERROR => {
            "exception 02 or 03, illegal data address or value: no such register, or not so many at once; try the address \
             less one (manuals often count from one), a --count of 1, or --scan"
        }
        StatusCode::BAD_DEVICE_FAILURE => "exception 04 or 08, the device failed inside; look at its display",
        StatusCode::BAD_RESOURCE_UNAVAILABLE => "exception 05 or 06, the device is busy; ask again later",
        StatusCode::BAD_NO_COMMUNICATION => {
            "exception 10 or 11: the gateway in between does not reach the unit; is the unit number right, is it powered?"
        }
        StatusCode::BAD_TIMEOUT => {
            "no answer: is the unit number right? Some devices answer only unit 255 or 0, slow ones need a longer --timeout"
        }
        StatusCode::BAD_COMMUNICATION_ERROR => {
            "the connection was closed: many devices allow one client at a time, or close it for an unknown unit"
        }
        StatusCode::BAD_DECODING_ERROR => "an answer that breaks the protocol: is it another transport (--transport)?",
        _ => "the device refuses with an exception that the standard does not know",
    }
}

/// `register` as in the configuration, PLC notation too; `count` registers or bits.
pub async fn read(
    target: &Target,
    register: &str,
    count: u16,
    site: &Site,
    clock: Arc<dyn Clock>,
) -> Result<Answer, ProbeError> {
    let mut point = format!("[[point]]\nregister = {}\ncount = {count}\n", quote(register));
    if register.bytes().all(|byte| byte.is_ascii_digit()) {
        point.push_str("addressing = \"one-based\"\n");
    }
    // Coils and discrete inputs have no type, registers must have one: one of both is a device.
    let registers = format!("{point}type = \"u16\"\n");
    let device = device(target, &registers, "1s").or_else(|problems| device(target, &point, "1s").map_err(|_| problems))?;
    let mut answer = None;
    let loss = watch(device.as_ref(), site, clock, |event| {
        if let DeviceEvent::Readings(readings) = event {
            answer = readings.into_iter().next().map(|reading| raw(reading.value, reading.status));
        }
        if answer.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .await;
    match (answer, loss) {
        (Some(answer), _) => Ok(answer),
        (None, loss) => Err(ProbeError::Link(loss.unwrap_or(LinkError::Closed))),
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
    let watching = watch(device.as_ref(), site, clock, |event| {
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

fn raw(value: Option<Value>, status: StatusCode) -> Answer {
    let word = |value: &Value| match value {
        Value::UInt16(word) => Some(*word),
        _ => None,
    };
    let bit = |value: &Value| match value {
        Value::Boolean(bit) => Some(*bit),
        _ => None,
    };
    let items = |array: &Array| Some((array.items().iter().map(word).collect(), array.items().iter().map(bit).collect()));
    match value.and_then(|value| if let Value::Array(array) = value { items(&array) } else { None }) {
        Some((Some(words), _)) => Answer::Registers(words),
        Some((None, Some(bits))) => Answer::Bits(bits),
        _ => Answer::Bad(status),
    }
}

/// Of a table as the configuration would have it.
fn device(target: &Target, points: &str, every: &str) -> Result<Box<dyn Device>, ProbeError> {
    let driver = crate::driver(&target.driver).ok_or_else(|| ProbeError::NoDriver(target.driver.clone()))?;
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
    (driver.parse)(settings).map_err(|SettingsError(problems)| ProbeError::Settings(problems))
}

/// Runs a session until `see` has seen enough or the link is lost.
async fn watch(
    device: &dyn Device,
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
