use std::time::Duration;

use super::super::decode::ByteOrder;
use super::super::plan::Limits;
use super::super::register::{ADDRESSINGS, Addressing};
use crate::settings::Table;

/// The driver's own keys of a device.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) unit: u8,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) limits: Limits,
    /// Before every request but the first.
    pub(crate) pause: Duration,
    pub(crate) pause_after_connect: Duration,
    pub(super) addressing: Addressing,
    pub(super) order: ByteOrder,
}

const PORT: u16 = 502;
const MILLISECOND: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

impl Settings {
    /// Wrong keys read as their defaults; the problems stay in `table`.
    pub(crate) fn take(table: &mut Table<'_>) -> Settings {
        let address = table.require("address").parsed_with(parse_address);
        let (host, port) = address.unwrap_or_else(|| (String::new(), PORT));
        Settings {
            host,
            port,
            unit: table.take("unit").integer(0..=u8::MAX).unwrap_or(1),
            timeout: table.take("timeout").duration(MILLISECOND * 10..=MINUTE).unwrap_or(Duration::from_secs(1)),
            connect_timeout: table.take("connect_timeout").duration(MILLISECOND * 10..=PAUSE_MAX * 4).unwrap_or(Duration::from_secs(3)),
            limits: Limits {
                registers: table.take("max_registers").integer(1..=125).unwrap_or(125),
                bits: table.take("max_bits").integer(1..=2000).unwrap_or(2000),
                gap: table.take("max_gap").integer(0..=100).unwrap_or(8),
            },
            pause: table.take("pause").duration(Duration::ZERO..=PAUSE_MAX).unwrap_or_default(),
            pause_after_connect: table.take("pause_after_connect").duration(Duration::ZERO..=PAUSE_MAX).unwrap_or_default(),
            addressing: table.take("addressing").word(&ADDRESSINGS).unwrap_or(Addressing::ZeroBased),
            order: table.take("word_order").word(&ByteOrder::OF_32).unwrap_or_default(),
        }
    }
}

/// `host`, `host:port`, `[::1]:502`.
fn parse_address(text: &str) -> Result<(String, u16), (String, Option<String>)> {
    let hint = || Some("write it as \"10.0.4.17:502\" or \"plc-7.plant.example\"".to_owned());
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or(rest))),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '%');
    if host.is_empty() || host.len() > 253 || !host.chars().all(is_host) {
        return Err(("has no host".to_owned(), hint()));
    }
    match port.map_or(Ok(PORT), str::parse) {
        Ok(port) if port > 0 => Ok((host.to_owned(), port)),
        _ => Err(("has no port from 1 to 65535 behind the host".to_owned(), hint())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, u16)>) {
        assert_eq!(parse_address(text).ok(), expected.map(|(host, port)| (host.to_owned(), port)), "{text}");
    }

    #[test]
    fn an_address_is_a_host_with_or_without_a_port() {
        check("10.0.4.17", Some(("10.0.4.17", 502)));
        check("plc-7.plant.example:1502", Some(("plc-7.plant.example", 1502)));
        check("[::1]", Some(("::1", 502)));
        check("[fe80::1%eth0]:503", Some(("fe80::1%eth0", 503)));
        for wrong in ["", ":502", "host:", "host:0", "host:65536", "host:x", "a b", "::1", "http://x", "[::1]502x"] {
            check(wrong, None);
        }
    }
}
