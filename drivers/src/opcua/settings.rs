use std::time::Duration;

use super::address::Address;
use super::identity::Identity;
use super::security::Security;
use super::trust::Rules;
use crate::settings::Table;

/// The driver's own keys of a device that say how it is reached; what is read there is in `point`.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// 1 to 8, the preferred one first.
    pub(crate) endpoints: Vec<Address>,
    pub(crate) security: Security,
    pub(crate) rules: Rules,
    pub(crate) identity: Identity,
    /// From the first packet to the activated session.
    pub(crate) connect_timeout: Duration,
    /// For one request and its whole answer.
    pub(crate) timeout: Duration,
    /// After which the server drops a session that it hears nothing of.
    pub(crate) session_timeout: Duration,
    pub(crate) keep_alive: Duration,
    /// Bytes of one answer.
    pub(crate) max_message: u32,
}

const SECOND: Duration = Duration::from_secs(1);
const ENDPOINTS_MAX: usize = 8;

impl Settings {
    pub(crate) fn take(table: &mut Table<'_>) -> Settings {
        let security = Security::take(table);
        Settings {
            endpoints: take_endpoints(table),
            rules: Rules::take(table, &security),
            identity: Identity::take(table, &security),
            connect_timeout: take_duration(table, "connect_timeout", SECOND..=20 * SECOND, 10 * SECOND),
            timeout: take_duration(table, "timeout", SECOND / 2..=60 * SECOND, 5 * SECOND),
            session_timeout: take_duration(table, "session_timeout", 10 * SECOND..=3600 * SECOND, 30 * SECOND),
            keep_alive: take_duration(table, "keep_alive", SECOND / 2..=60 * SECOND, 2 * SECOND),
            max_message: take_max_message(table),
            security,
        }
    }
}

fn take_duration(table: &mut Table<'_>, key: &'static str, range: std::ops::RangeInclusive<Duration>, default: Duration) -> Duration {
    table.take(key).duration(range).unwrap_or(default)
}

/// From 64 KiB, one chunk, to 64 MiB.
fn take_max_message(table: &mut Table<'_>) -> u32 {
    let size = table.take("max_message").size(64 << 10..=64 << 20).unwrap_or(1 << 20);
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// `address` for one, `endpoints` for several.
fn take_endpoints(table: &mut Table<'_>) -> Vec<Address> {
    let both = table.has("address") && table.has("endpoints");
    if !table.has("endpoints") {
        let _ = table.take("endpoints");
        return table.require("address").parsed_with(Address::parse).into_iter().collect();
    }
    let one = table.take("address").parsed_with(Address::parse);
    let texts = table.take("endpoints").texts(1..=ENDPOINTS_MAX);
    if both {
        table.problem("address", "stands beside \"endpoints\"", Some("put it into the list".to_owned()));
    }
    let mut endpoints: Vec<Address> = one.into_iter().collect();
    for text in texts {
        match Address::parse(&text) {
            Ok(address) if endpoints.contains(&address) => table.problem("endpoints", format!("names {address} twice"), None),
            Ok(address) => endpoints.push(address),
            Err((what, hint)) => table.problem("endpoints", format!("{text:?} {what}"), hint),
        }
    }
    endpoints
}
