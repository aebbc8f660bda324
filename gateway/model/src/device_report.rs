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
    /// Of a device that has one.
    pub heartbeat: Option<Heartbeat>,
    /// Since the start of the gateway, by snake_case name: `late_answers`, `overflows`, `reconnects`.
    pub counters: BTreeMap<&'static str, u64>,
}

impl DeviceReport {
    pub const SET_ASIDE_MAX: usize = 64;
    /// Characters of a text that came from the device.
    pub const TEXT_MAX: usize = 256;

    /// With every text cut and without control characters, and no more than can be shown, whoever made it.
    pub fn bounded(mut self) -> DeviceReport {
        if let Some(DeviceIdentity { vendor, product, revision }) = &mut self.identity {
            [vendor, product, revision].into_iter().for_each(cut);
        }
        self.security.iter_mut().chain(&mut self.endpoint).for_each(cut);
        self.heartbeat.iter_mut().for_each(|heartbeat| cut(&mut heartbeat.what));
        self.set_aside_count = self.set_aside_count.max(self.set_aside.len());
        self.set_aside.truncate(DeviceReport::SET_ASIDE_MAX);
        self.set_aside.iter_mut().flat_map(|aside| [&mut aside.what, &mut aside.why]).for_each(cut);
        self
    }

    /// Whether everybody on the network can read along: the protocol knows protection, and none is in use.
    pub fn is_unprotected(&self) -> bool {
        self.security.as_deref().is_some_and(|security| security.starts_with("none"))
    }
}

fn cut(text: &mut String) {
    if text.chars().any(char::is_control) || text.chars().count() > DeviceReport::TEXT_MAX {
        *text = text.chars().filter(|c| !c.is_control()).take(DeviceReport::TEXT_MAX).collect();
    }
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

/// A point that must change while its device lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// `holding:0`, or the point's name.
    pub what: String,
    /// Its value has not changed since then, for longer than it may.
    pub still_since: Option<UtcMicros>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_talks_too_much_is_cut_and_cannot_move_a_cursor() {
        let aside =
            |what: &str| SetAside { what: what.to_owned(), why: String::new(), since: UtcMicros(0), again: None };
        let identity =
            DeviceIdentity { vendor: "温".repeat(500), product: "a\u{1b}[2Jb\n".to_owned(), ..Default::default() };
        let set_aside = (0..100).map(|n| aside(&format!("{n}\t"))).collect();
        let report = DeviceReport { identity: Some(identity), set_aside, ..DeviceReport::default() }.bounded();
        let identity = report.identity.unwrap_or_default();
        assert_eq!((identity.vendor.chars().count(), identity.product.as_str()), (256, "a[2Jb"));
        assert_eq!((report.set_aside.len(), report.set_aside_count), (64, 100));
        assert_eq!(report.set_aside[7].what, "7");
    }

    #[test]
    fn only_a_protocol_that_knows_protection_can_lack_it() {
        let with =
            |security: Option<&str>| DeviceReport { security: security.map(str::to_owned), ..Default::default() };
        assert!(with(Some("none (as the configuration says)")).is_unprotected());
        assert!(!with(Some("Basic256Sha256, SignAndEncrypt")).is_unprotected() && !with(None).is_unprotected());
    }
}
