use std::collections::BTreeMap;
use std::time::Duration;

use crate::UtcMicros;

/// What a driver knows of its device beyond the readings. Each report replaces the one before it. Never a process value;
/// texts that came from the device are cut to 256 characters and have no control characters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceReport {
    pub identity: Option<DeviceIdentity>,
    /// How the connection is protected: `Basic256Sha256, SignAndEncrypt`, or `none (as the configuration says)`. `None`:
    /// the protocol knows no protection.
    pub security: Option<String>,
    /// The one that is in use, where several are configured.
    pub endpoint: Option<String>,
    /// Device clock less gateway clock, microseconds.
    pub clock_skew_us: Option<i64>,
    pub lateness: Option<Lateness>,
    /// What is not asked, or asked alone and rarely, because the device refuses it. At most [`DeviceReport::SET_ASIDE_MAX`].
    pub set_aside: Vec<SetAside>,
    /// Of them all, also those that did not fit into the list.
    pub set_aside_count: usize,
    /// Since the start of the gateway, by snake_case name: `late_answers`, `overflows`, `reconnects`.
    pub counters: BTreeMap<&'static str, u64>,
}

impl DeviceReport {
    pub const SET_ASIDE_MAX: usize = 64;
}

/// Who the device says it is (Modbus 43/14, OPC UA BuildInfo). Empty: it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceIdentity {
    pub vendor: String,
    pub product: String,
    pub revision: String,
}

/// Between the time at which a slot was due and the time at which it was served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    pub newest: Duration,
    pub worst: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// `holding:104 to 107`, or the point's name.
    pub what: String,
    /// `illegal data address`, `BadNodeIdUnknown`.
    pub why: String,
    pub since: UtcMicros,
    /// When it is asked again.
    pub again: Option<UtcMicros>,
}
