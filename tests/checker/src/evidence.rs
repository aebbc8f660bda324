//! What a run left behind, from every side that can know something.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use lingate_plant::{DeviceSpec, Kind, Mode, PlantDevice};
use serde::{Deserialize, Serialize};

use crate::{DiskImage, Durable, Opened};

/// The file in a run's folder that holds what is neither in the log nor in the store.
pub const RUN_FILE: &str = "run.json";

/// Everything that [`crate::judge`] looks at. Its JSON form leaves out what stands in the log and in the store.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evidence {
    /// What this run is called.
    pub run: String,
    /// A, of the simulators that count what they serve.
    pub served: Vec<ServedDevice>,
    /// A, of machines that tell changes instead of being asked: changes that a subscriber must have been told.
    pub told: u64,
    /// Slots in which nothing was served, by the cause that the run knows; a cause that is not named is not judged.
    pub missed: BTreeMap<String, u64>,
    #[serde(skip)]
    pub durable: Durable,
    #[serde(skip)]
    pub opened: Opened,
    pub values: Option<Values>,
    /// By epoch: with which key its records were sealed, as the holder of a role's key finds it in the KEY message.
    pub keys: BTreeMap<String, KeyUse>,
    /// One word for each injected fault, in order.
    pub faults: Vec<String>,
    pub counts: Counts,
    /// Values lost before acceptance, in a row of one point, times the poll interval, at most so many milliseconds.
    pub unaccepted_ms_max: Option<u64>,
    #[serde(skip)]
    pub images: Vec<DiskImage>,
    /// Points that may leave, `device/point`; empty: not known.
    pub policy: BTreeSet<String>,
    pub liveness: Option<Liveness>,
    pub taps: Option<Taps>,
    pub health: Option<Health>,
    pub least: Least,
}

impl Evidence {
    /// `run.json`, with the gateway's log and the receiver's store beside it.
    pub fn read(folder: &Path) -> Result<Evidence> {
        let file = folder.join(RUN_FILE);
        let text = fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let evidence: Evidence =
            serde_json::from_slice(&text).with_context(|| format!("{} is not what a run writes", file.display()))?;
        evidence.with(&folder.join("gateway.log"), &folder.join("received.sqlite"))
    }

    /// Adds what stands in the log and in the store.
    pub fn with(self, log: &Path, store: &Path) -> Result<Evidence> {
        let text = fs::read(log).with_context(|| format!("{} cannot be read", log.display()))?;
        let durable = Durable::of_log(&String::from_utf8_lossy(&text));
        let devices: Vec<&str> =
            self.served.iter().filter(|device| device.self_describing).map(|device| device.name.as_str()).collect();
        let opened =
            Opened::read(store, &devices).with_context(|| format!("{} is no receiver's store", store.display()))?;
        Ok(Evidence { durable, opened, ..self })
    }
}

/// How the counts of gap records relate to what was served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// Every served value was read, or a gap counts it: the sum is exact.
    #[default]
    Exact,
    /// A process was killed, or answers were lost on their way: gaps count what may have been lost, at least what was.
    AtLeast,
}

/// A polled device and what it served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedDevice {
    pub name: String,
    /// As `lingate-plant` names it: `extruder`, `numbered:200`.
    pub kind: String,
    /// Every value tells device, tag and n: I2 and I4 can be judged value by value.
    pub self_describing: bool,
    pub every_ms: u64,
    /// Polls, and values in honest answers.
    pub polls: u32,
    pub slots: u64,
    /// Modbus function codes that arrived, and how often.
    pub functions: BTreeMap<u8, u64>,
}

impl ServedDevice {
    pub fn of(device: &PlantDevice, every_ms: u64) -> ServedDevice {
        let (spec, served) = (device.spec(), device.served());
        ServedDevice {
            name: spec.name.clone(),
            kind: match spec.kind() {
                Kind::Numbered(count) => format!("numbered:{count}"),
                kind => kind.name().to_owned(),
            },
            self_describing: spec.mode() == Mode::SelfDescribing,
            every_ms,
            polls: served.polls(),
            slots: served.slots,
            functions: served.functions,
        }
    }

    pub fn spec(&self) -> Result<DeviceSpec> {
        let mode = if self.self_describing { Mode::SelfDescribing } else { Mode::Instrument };
        let kind = match self.kind.strip_prefix("numbered:") {
            Some(count) => Kind::Numbered(count.parse().with_context(|| format!("kind {:?}", self.kind))?),
            None => match Kind::MACHINES.into_iter().find(|kind| kind.name() == self.kind) {
                Some(kind) => kind,
                None => bail!("{:?} is no kind of device", self.kind),
            },
        };
        Ok(DeviceSpec::new(&self.name, kind, mode))
    }
}

/// What a `lingate_plant::Checker` found that compared every opened value with what was served; for devices whose values
/// do not tell by themselves what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values {
    pub checked: u64,
    pub bad: u64,
    pub wrong: u64,
}

/// What seals the records of an epoch, in hex. The nonce of record n is the base IV XOR n (wire.md section 4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyUse {
    pub key_sha256: String,
    pub base_iv: String,
}

/// After the last fault was healed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Liveness {
    pub backlog_records: u64,
    /// Until nothing waited any more, and how long it may take.
    pub drained_ms: u64,
    pub drain_limit_ms: u64,
    /// Until a reading that was made after the healing had arrived.
    pub fresh_ms: u64,
    pub fresh_limit_ms: u64,
}

/// What was seen on the wires and in the files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taps {
    /// Texts and byte strings that only the plant knows: searched for, and found.
    pub canaries: u64,
    pub canaries_found: Vec<String>,
    /// Bytes that were searched.
    pub searched_bytes: u64,
}

/// Counters of `/status`, read when nothing moved any more, and what the checker itself counted in that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub accepted_records: u64,
    pub accepted_readings: u64,
    pub records_waiting: u64,
    /// By the log of this process: records without the KEYs, readings, and epochs, each of which has one KEY.
    pub logged_records: u64,
    pub logged_readings: u64,
    pub logged_epochs: u64,
}

/// A run with less than this shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Least {
    /// Records that were accepted and arrived.
    pub records: u64,
    pub faults: u64,
}

impl Default for Least {
    fn default() -> Least {
        Least { records: 10_000, faults: 3 }
    }
}
