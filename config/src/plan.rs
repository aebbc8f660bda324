use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lingate_drivers::Device;
use lingate_model::{DeviceName, EquipmentPath, GatewayId, TenantId};
use lingate_refine::ExportPlan;

use crate::Problems;

/// A configuration in which everything that can be checked offline has been checked.
pub struct Plan {
    pub gateway: GatewayId,
    pub tenant: TenantId,
    pub state_dir: PathBuf,
    pub sandbox: SandboxPlan,
    pub buffer: BufferPlan,
    pub health: HealthListen,
    pub export: ExportPlan,
    pub devices: Vec<DevicePlan>,
    /// SHA-256 of the file's bytes, shown in status.
    pub sha256: [u8; 32],
}

pub struct SandboxPlan {
    /// In order of preference; never empty.
    pub brokers: Vec<Broker>,
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: Credential,
    /// 64 hex digits.
    pub root_sha256: String,
    pub ack: Ack,
}

/// `mqtts://host:port`; no other scheme exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub host: String,
    pub port: u16,
}

/// A secret's place, never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `credential:NAME`: a file in `$CREDENTIALS_DIRECTORY`.
    Systemd(String),
    File(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    Broker,
    // Receipt: refused with a hint until the sandbox sends receipts
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferPlan {
    pub settings: lingate_buffer::Settings,
    /// Time between two group commits: 0 to 10 s.
    pub commit: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthListen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

pub struct DevicePlan {
    pub name: DeviceName,
    /// `driver = "..."`.
    pub kind: &'static str,
    pub equipment: EquipmentPath,
    pub device: Box<dyn Device>,
}

/// Parses and checks a configuration. `file` is only for messages.
pub fn load(_file: &str, _text: &str) -> Result<Plan, Problems> {
    todo!()
}
