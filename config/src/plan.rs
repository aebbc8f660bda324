use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lingate_drivers::Device;
use lingate_model::{DatasetId, DeviceName, EquipmentPath, GatewayId, TenantId};
use lingate_refine::ExportPlan;

use crate::{KeyPlace, Place, Problem, Problems, TokenKey};

/// A configuration in which everything that can be checked offline has been checked.
pub struct Plan {
    pub gateway: GatewayId,
    pub tenant: TenantId,
    /// Absolute, without `..`.
    pub state_dir: PathBuf,
    pub sandbox: SandboxPlan,
    pub buffer: BufferPlan,
    pub health: HealthListen,
    pub reload: ReloadPlan,
    pub export: ExportPlan,
    /// By dataset; one without is not limited.
    pub quotas: BTreeMap<DatasetId, Quota>,
    /// Datasets whose newest records do not wait behind their backlog.
    pub live_first: BTreeSet<DatasetId>,
    pub devices: Vec<DevicePlan>,
    /// SHA-256 of the file's bytes, shown in status; of several files, of their digests in order.
    pub sha256: [u8; 32],
    /// Where in the file those parts stand that only the daemon can check.
    pub places: Places,
}

pub struct SandboxPlan {
    /// In order of preference; never empty.
    pub brokers: Vec<Broker>,
    pub ca: PathBuf,
    /// Revocation lists of that authority; `None`: revocation is not checked.
    pub crl: Option<PathBuf>,
    pub certificate: PathBuf,
    pub key: KeyPlace,
    /// The key that signs records; `None`: the file that `lingate enroll` makes in the state directory.
    pub signing_key: Option<TokenKey>,
    /// 64 hex digits in lower case.
    pub root_sha256: String,
    pub ack: Ack,
    /// Numbers of crypto suites that may be used, the preferred first.
    pub suites: Vec<u16>,
}

/// `mqtts://host:port`; no other scheme exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// A DNS name or an address; an IPv6 address stands without brackets.
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// A PUBACK for a record that somebody subscribes to.
    Broker,
    /// Every PUBACK, for brokers that hand records on without a subscription.
    BrokerAlone,
    /// A receipt that the sandbox signed.
    Receipt,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferPlan {
    pub settings: lingate_buffer::Settings,
    /// Time between two group commits: 0 to 10 s.
    pub commit: Duration,
    pub replay: Replay,
}

/// How a backlog is sent beside live data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Of the bytes sent while both wait, so many in a thousand are backlog: 10 to 1000.
    pub backlog_share: u16,
    /// Most bytes of backlog in a second; `None`: as fast as the link takes them.
    pub backlog_rate: Option<u64>,
}

/// A dataset's most per day (UTC), as it leaves: records and their sealed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub records: Option<u64>,
    pub bytes: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthListen {
    /// A loopback address; port 0 lets the system choose one.
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReloadPlan {
    /// A start with a file that is wrong goes on with the last one that was good.
    pub last_good: bool,
}

pub struct DevicePlan {
    pub name: DeviceName,
    /// `driver = "..."`.
    pub kind: &'static str,
    pub equipment: EquipmentPath,
    pub device: Box<dyn Device>,
    /// SHA-256 over everything that its driver reads, and over the number of its points: a device whose settings have the
    /// same digest in another file is read in the same way.
    pub settings_sha256: [u8; 32],
}

/// Places of what a file on disk or the sandbox's bundle may contradict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    pub file: String,
    pub gateway: Place,
    pub tenant: Place,
    pub state_dir: Place,
    pub ca: Place,
    pub crl: Place,
    pub certificate: Place,
    pub key: Place,
    pub signing_key: Place,
    pub root_sha256: Place,
    /// Parallel to [`SandboxPlan::brokers`].
    pub brokers: Vec<Place>,
    pub health: Place,
    /// By `DatasetIndex`.
    pub datasets: Vec<DatasetPlaces>,
    /// Parallel to [`Plan::devices`].
    pub devices: Vec<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetPlaces {
    pub id: Place,
    pub purpose: Place,
    pub class: Place,
}

impl Plan {
    /// What a running gateway cannot change, by its setting, as text to compare.
    pub fn fixed(&self) -> Vec<(&'static str, String)> {
        let Plan { gateway, tenant, state_dir, sandbox, buffer, health, .. } = self;
        let settings = &buffer.settings;
        vec![
            ("gateway.id", gateway.to_string()),
            ("gateway.tenant", tenant.to_string()),
            ("gateway.state_dir", format!("{state_dir:?}")),
            ("sandbox.broker", format!("{:?}", sandbox.brokers)),
            ("sandbox.ca", format!("{:?}", sandbox.ca)),
            ("sandbox.crl", format!("{:?}", sandbox.crl)),
            ("sandbox.certificate", format!("{:?}", sandbox.certificate)),
            ("sandbox.key", format!("{:?}", sandbox.key)),
            ("sandbox.signing_key", format!("{:?}", sandbox.signing_key)),
            ("sandbox.root_sha256", sandbox.root_sha256.clone()),
            ("sandbox.ack", format!("{:?}", sandbox.ack)),
            ("sandbox.suites", format!("{:?}", sandbox.suites)),
            ("buffer.max_size", settings.max_bytes.to_string()),
            ("buffer.overflow", format!("{:?}", settings.overflow)),
            ("health.listen", format!("{health:?}")),
        ]
    }

    /// A problem that was found outside the file. `what` goes on where the place's subject ends: `cannot be read: ...`.
    pub fn problem_at(&self, place: &Place, what: impl Into<String>, hint: Option<String>) -> Problem {
        Problem { place: place.clone(), what: what.into(), hint }
    }

    /// `Err` if there is any.
    pub fn report(&self, problems: Vec<Problem>) -> Result<(), Problems> {
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Problems::new(self.places.file.clone(), problems)),
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("gateway", &self.gateway)
            .field("devices", &self.devices.len())
            .finish_non_exhaustive()
    }
}
