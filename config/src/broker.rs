use std::net::{Ipv4Addr, Ipv6Addr};

use crate::Broker;

/// The port of MQTT over TLS that IANA registered.
const PORT: u16 = 8883;

const EXAMPLE: &str = "write \"mqtts://ingest.sandbox.example:8883\"";

type Refusal = (&'static str, String);

/// `mqtts://host[:port]`, nothing else. The refusal never repeats the text, which may hold a password.
pub(crate) fn parse(text: &str) -> Result<Broker, Refusal> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(("has no scheme", EXAMPLE.to_owned()));
    };
    if scheme != "mqtts" {
        return Err(other_scheme(scheme));
    }
    if rest.contains('@') {
        let hint = "the gateway proves itself by its certificate: leave user and password out".to_owned();
        return Err(("holds a user or a password", hint));
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err(("has something behind host and port", EXAMPLE.to_owned()));
    }
    let (host, port) = split(authority).ok_or(("has no valid port", EXAMPLE.to_owned()))?;
    if !is_host(&host) {
        return Err(("has no valid host name", EXAMPLE.to_owned()));
    }
    Ok(Broker { host, port })
}

fn other_scheme(scheme: &str) -> Refusal {
    let hint = match scheme.to_ascii_lowercase().as_str() {
        "mqtts" => "write mqtts in lower case",
        "mqtt" | "tcp" => "plain MQTT does not exist here: write mqtts:// and the broker's TLS port, usually 8883",
        "ssl" | "tls" | "mqtt+ssl" => "write mqtts:// for MQTT over TLS",
        "http" | "https" | "ws" | "wss" => {
            "the sandbox is reached by MQTT over TLS: write mqtts:// and the broker's TLS port, usually 8883"
        }
        _ => EXAMPLE,
    };
    ("is not an mqtts:// address", hint.to_owned())
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split(authority: &str) -> Option<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().filter(|port| *port > 0)?,
        Some(_) => return None,
        None => PORT,
    };
    Some((host.to_ascii_lowercase(), port))
}

/// An address, or a name by RFC 1123: labels of letters, digits and inner hyphens.
fn is_host(host: &str) -> bool {
    if host.parse::<Ipv6Addr>().is_ok() || host.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // Four numbers that are no address are a slip, not a name.
    let last_is_number = host.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    host.len() <= 253 && !last_is_number && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, u16)>) {
        let found = parse(text).ok().map(|broker| (broker.host, broker.port));
        assert_eq!(found, expected.map(|(host, port)| (host.to_owned(), port)), "{text}");
    }

    #[test]
    fn only_a_host_and_a_port_over_tls_are_a_broker() {
        check("mqtts://ingest.example:8883", Some(("ingest.example", 8883)));
        check("mqtts://Ingest.Example/", Some(("ingest.example", 8883)));
        check("mqtts://10.0.0.7:1", Some(("10.0.0.7", 1)));
        check("mqtts://[fd00::7]:8884", Some(("fd00::7", 8884)));
        check("mqtts://[::1]", Some(("::1", 8883)));
        for bad in [
            "",
            "mqtts://",
            "mqtts://:8883",
            "mqtts://h:",
            "mqtts://h:0",
            "mqtts://h:65536",
            "mqtts://h:+1",
            "mqtts://fd00::7",
            "mqtts://[::1",
            "mqtts://[::1]8883",
            "mqtts://a b",
            "mqtts://-a",
            "mqtts://a..b",
            "mqtts://10.0.0.300",
            "mqtts://h/path",
            "mqtts://u:p@h",
            "mqtt://h",
            "MQTTS://h",
            "h:8883",
            "mqtts://h?x",
            "mqtts://h#x",
            "mqtts://[h]",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn a_refusal_never_repeats_a_password() {
        let (what, hint) = parse("mqtts://user:hunter2@host").expect_err("has a password");
        assert!(!what.contains("hunter2") && !hint.contains("hunter2"));
    }
}
