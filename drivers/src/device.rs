use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use lingate_model::{BuiltinType, DeviceName, PointId};

use crate::settings::{Credential, SettingsError, Table};
use crate::{Sink, SinkClosed, Site};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A kind of device, registered in `drivers!`.
pub struct Driver {
    /// `driver = "..."` in a device table.
    pub kind: &'static str,
    /// A commented device table that parses; `lingate sample` prints it.
    pub sample: &'static str,
    /// Takes the driver's own keys out of the device table and out of its point tables; the keys that every device
    /// has were taken before. All problems at once.
    pub parse: fn(DeviceSettings<'_>) -> Result<Box<dyn Device>, SettingsError>,
}

/// What a driver parses: its own keys of one `[[device]]`, with the parts that every device has already checked.
pub struct DeviceSettings<'a> {
    pub name: DeviceName,
    /// `every` of the device: the default interval of its points.
    pub every: Duration,
    /// Number of the first point; the device's points are dense from here, in file order.
    pub first_point: PointId,
    pub table: Table<'a>,
    /// One per `[[device.point]]`, in file order.
    pub points: Vec<PointSettings<'a>>,
}

pub struct PointSettings<'a> {
    /// `every` of the point, if it has its own.
    pub every: Option<Duration>,
    pub table: Table<'a>,
}

/// What the gateway needs to know of a point that a driver parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub id: PointId,
    pub builtin_type: BuiltinType,
    /// Dimensions of an array, 1 to 3; 0: a scalar. `builtin_type` is then the elements' type.
    pub rank: u8,
    /// Decimal places of the finest step in which its value moves; 0 for integers; `None`: full floating point.
    pub places: Option<u8>,
    /// Between two slots: of a subscribed point the sampling interval.
    pub interval: Duration,
    pub acquisition: Acquisition,
    /// Where it is read, for catalogue and lineage: `modbus-tcp holding:102 unit 1`. No host name, no address.
    pub source: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acquisition {
    /// Every slot gives a reading, good or bad, or is told as missed.
    #[default]
    Polled,
    /// The device sends changes: a slot without reading is one without change, unless it is told as missed.
    Subscribed,
}

/// A transport that this device shares with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedLine {
    /// `/dev/ttyUSB0`, `tcp 10.0.4.17:502`: devices of one name share the line.
    pub name: String,
    /// What all of them must agree on: keys of the device's table, and their values as a message shows them.
    pub settings: Vec<(&'static str, String)>,
    /// Who the device is on the line: `unit 3`. Two devices of one line are rarely meant to be the same.
    pub station: String,
}

/// What a device's table refers to outside of the file, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteProblem {
    /// `device[extruder-7].key`
    pub setting: &'static str,
    pub what: String,
    pub hint: String,
}

/// A configured device. Cheap; touches the network only in `connect`.
pub trait Device: Send + Sync {
    /// In the order of the file, ids dense.
    fn points(&self) -> &[Point];
    /// For logs and status: `10.0.4.17:502`.
    fn address(&self) -> String;
    fn line(&self) -> Option<SharedLine> {
        None
    }
    /// Of the point at this place in `points`: so many live readings in so long a time, and no more.
    fn at_most(&self, place: usize) -> (u32, Duration) {
        (1, self.points()[place].interval)
    }
    /// Whether its sessions fill from the device's history what was missed while it was down: they then take
    /// [`Sink::take_downtime`] and tell of every slot in it.
    fn backfills(&self) -> bool {
        false
    }
    /// Looks at the files that the table names, offline.
    fn problems(&self, _site: &Site) -> Vec<SiteProblem> {
        Vec::new()
    }
    /// Files and ports that its table names, for a fence around everything else.
    fn opens(&self) -> Vec<Opens> {
        Vec::new()
    }
    /// Has its own deadline, below 30 s.
    fn connect<'a>(&'a self, site: &'a Site) -> BoxFuture<'a, Result<Box<dyn Session>, LinkError>>;
}

/// What a device opens of this machine, beside the site's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opens {
    /// To read, at each connect.
    File(PathBuf),
    Secret(Credential),
    /// To read, write and set.
    Port(PathBuf),
}

/// Runs until the link is lost. Polled and subscribed devices look the same from outside: readings arrive at the sink.
/// Dropping a session closes it.
pub trait Session: Send {
    fn run<'a>(&'a mut self, sink: &'a Sink) -> BoxFuture<'a, LinkError>;
}

/// The connection is gone (or never came). A point that cannot be read is not one of these but a bad reading.
#[derive(Debug)]
pub enum LinkError {
    Connect {
        address: String,
        source: std::io::Error,
    },
    /// No complete answer within the deadline.
    Timeout {
        doing: &'static str,
        after: Duration,
    },
    /// The peer sent what the protocol forbids.
    Protocol {
        what: String,
    },
    /// The device or its configuration does not allow it: a certificate that is not trusted, a password that is refused.
    /// What is wrong and what to do.
    Refused {
        what: String,
        hint: String,
    },
    Closed,
    /// The gateway is stopping: the sink is gone.
    SinkClosed,
}

impl std::error::Error for LinkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LinkError::Connect { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::Connect { address, .. } => write!(f, "cannot connect to {address}"),
            LinkError::Timeout { doing, after } => {
                write!(f, "no complete answer within {after:?} while {doing}")
            }
            LinkError::Protocol { what } => write!(f, "the device broke its protocol: {what}"),
            LinkError::Refused { what, hint } => write!(f, "{what}; {hint}"),
            LinkError::Closed => f.write_str("the device closed the connection"),
            LinkError::SinkClosed => f.write_str("the gateway is stopping"),
        }
    }
}

impl From<SinkClosed> for LinkError {
    fn from(_: SinkClosed) -> LinkError {
        LinkError::SinkClosed
    }
}
