use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::super::frame::Framing;
use super::super::transport::{Parity, Peer, Role, Rs485, Serial, Tls, Transport};
use crate::settings::{Credential, Table, parse_path, show_duration};

/// The kinds of device of this driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Tls,
    Rtu,
    Ascii,
    RtuOverTcp,
    AsciiOverTcp,
}

impl Protocol {
    const ALL: [Protocol; 7] = [
        Protocol::Tcp,
        Protocol::Udp,
        Protocol::Tls,
        Protocol::Rtu,
        Protocol::Ascii,
        Protocol::RtuOverTcp,
        Protocol::AsciiOverTcp,
    ];

    pub(crate) fn of(kind: &str) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|protocol| protocol.kind() == kind)
    }

    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Protocol::Tcp => "modbus-tcp",
            Protocol::Udp => "modbus-udp",
            Protocol::Tls => "modbus-tls",
            Protocol::Rtu => "modbus-rtu",
            Protocol::Ascii => "modbus-ascii",
            Protocol::RtuOverTcp => "modbus-rtu-over-tcp",
            Protocol::AsciiOverTcp => "modbus-ascii-over-tcp",
        }
    }
}

const PORT: u16 = 502;
/// Registered for Modbus/TCP Security.
const TLS_PORT: u16 = 802;

const PARITIES: [(&str, Parity); 3] = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
const RS485: [(&str, Option<Rs485>); 3] = [
    ("off", None),
    ("kernel", Some(Rs485 { is_inverted: false })),
    ("kernel-inverted", Some(Rs485 { is_inverted: true })),
];

pub(super) fn take_transport(table: &mut Table<'_>, protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Tcp => Transport::Tcp { peer: take_peer(table, PORT), framing: Framing::Mbap },
        Protocol::RtuOverTcp => Transport::Tcp { peer: take_peer(table, PORT), framing: Framing::Rtu },
        Protocol::AsciiOverTcp => Transport::Tcp { peer: take_peer(table, PORT), framing: Framing::Ascii },
        Protocol::Udp => Transport::Udp { peer: take_peer(table, PORT) },
        Protocol::Tls => {
            let peer = take_peer(table, TLS_PORT);
            let tls = Box::new(take_tls(table, &peer));
            Transport::Tls { peer, tls }
        }
        Protocol::Rtu => Transport::Serial { serial: take_serial(table, 8), framing: Framing::Rtu },
        Protocol::Ascii => Transport::Serial { serial: take_serial(table, 7), framing: Framing::Ascii },
    }
}

fn take_peer(table: &mut Table<'_>, port: u16) -> Peer {
    let peer = table.require("address").parsed_with(|text| parse_address(text, port));
    peer.unwrap_or(Peer { host: String::new(), port })
}

/// RTU needs bytes of 8 bits; ASCII has 7 in the standard and 8 in many devices.
fn take_serial(table: &mut Table<'_>, data_bits: u8) -> Serial {
    let data_bits_least = data_bits;
    let parity = table.take("parity").word(&PARITIES).unwrap_or(Parity::Even);
    // A character always has the same length (Modbus over Serial Line V1.02, 2.5.1).
    let stop_bits = if parity == Parity::None { 2 } else { 1 };
    Serial {
        path: table.require("port").parsed_with(parse_path).unwrap_or_default(),
        baud: table.take("baud").integer(300..=4_000_000).unwrap_or(19_200),
        parity,
        data_bits: table.take("data_bits").integer(data_bits_least..=8).unwrap_or(data_bits),
        stop_bits: table.take("stop_bits").integer(1..=2).unwrap_or(stop_bits),
        rs485: table.take("rs485").word(&RS485).unwrap_or(None),
        turnaround: table.take("turnaround").duration(Duration::ZERO..=Duration::from_secs(5)).unwrap_or_default(),
    }
}

fn take_tls(table: &mut Table<'_>, peer: &Peer) -> Tls {
    let name = table.take("server_name").string();
    let server_name = ServerName::try_from(name.clone().unwrap_or_else(|| peer.host.clone()));
    if server_name.is_err() && name.is_some() {
        table.problem("server_name", "is neither a host name nor an address", None);
    }
    let role = table.take("role").string();
    Tls {
        ca: take_path(table, "ca"),
        certificate: take_path(table, "certificate"),
        key: take_key(table),
        server_name: server_name.unwrap_or_else(|_| ServerName::try_from("nobody").expect("it is a host name")),
        role: match role.as_deref() {
            None => Role::Any,
            Some("none") => Role::None,
            Some(role) => Role::Named(role.to_owned()),
        },
    }
}

fn take_path(table: &mut Table<'_>, key: &'static str) -> PathBuf {
    table.require(key).parsed_with(parse_path).unwrap_or_default()
}

/// Its text is never repeated: it may be the key itself.
fn take_key(table: &mut Table<'_>) -> Credential {
    let text = table.require("key").string();
    let key = text.as_deref().and_then(Credential::parse);
    if key.is_none() && text.is_some() {
        let hint = "write \"credential:NAME\" or the whole path of a file".to_owned();
        table.problem("key", "is neither a credential nor a path from /", Some(hint));
    }
    key.unwrap_or_else(|| Credential::Systemd("none".to_owned()))
}

impl Transport {
    /// Devices of one name share the line.
    pub(crate) fn line_name(&self) -> String {
        match self {
            Transport::Tcp { peer, .. } | Transport::Tls { peer, .. } => format!("tcp {peer}"),
            Transport::Udp { peer } => format!("udp {peer}"),
            // `/dev/serial/by-id/...` and `/dev/ttyUSB0` are one port, if one leads to the other.
            Transport::Serial { serial, .. } => {
                let path = std::fs::canonicalize(&serial.path).unwrap_or_else(|_| serial.path.clone());
                path.display().to_string()
            }
            #[cfg(test)]
            Transport::Pipe { .. } => "pipe".to_owned(),
        }
    }

    /// What all devices of a line must agree on, by key.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        match self {
            Transport::Serial { serial, .. } => vec![
                ("baud", serial.baud.to_string()),
                ("data_bits", serial.data_bits.to_string()),
                ("parity", word_of(&PARITIES, &serial.parity)),
                ("stop_bits", serial.stop_bits.to_string()),
                ("rs485", word_of(&RS485, &serial.rs485)),
                ("turnaround", show_duration(serial.turnaround)),
            ],
            Transport::Tls { tls, .. } => vec![
                ("server_name", tls.server_name.to_str().into_owned()),
                ("ca", tls.ca.display().to_string()),
                ("certificate", tls.certificate.display().to_string()),
            ],
            _ => Vec::new(),
        }
    }
}

fn word_of<T: PartialEq>(words: &[(&str, T)], value: &T) -> String {
    words.iter().find(|(_, known)| known == value).map_or_else(String::new, |(word, _)| (*word).to_owned())
}

/// `host`, `host:port`, `[::1]:502`.
fn parse_address(text: &str, default: u16) -> Result<Peer, (String, Option<String>)> {
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
    match port.map_or(Ok(default), str::parse) {
        Ok(port) if port > 0 => Ok(Peer { host: host.to_owned(), port }),
        _ => Err(("has no port from 1 to 65535 behind the host".to_owned(), hint())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, u16)>) {
        let expected = expected.map(|(host, port)| Peer { host: host.to_owned(), port });
        assert_eq!(parse_address(text, PORT).ok(), expected, "{text}");
    }

    #[test]
    fn a_serial_port_and_a_link_to_it_are_one_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let (port, link) = (folder.path().join("ttyUSB0"), folder.path().join("by-id"));
        std::fs::write(&port, "").expect("a file");
        std::os::unix::fs::symlink(&port, &link).expect("a link");
        let name = |path: &std::path::Path| {
            let text = format!("port = {path:?}");
            let file = crate::settings::DeTable::parse(&text).expect("TOML");
            let mut table = Table::new(file.get_ref(), file.span(), "");
            take_transport(&mut table, Protocol::Rtu).line_name()
        };
        assert_eq!(name(&port), name(&link));
        assert_ne!(name(&port), name(&folder.path().join("ttyUSB1")), "one that is not there is told by its name");
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
