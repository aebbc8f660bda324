use super::super::settings::Protocol;
use super::{ProbeError, Target};
use crate::LinkError;

/// As Modbus Application Protocol V1.1b3, 7, calls it.
pub fn exception_name(code: u8) -> &'static str {
    match code {
        1 => "illegal function",
        2 => "illegal data address",
        3 => "illegal data value",
        4 => "server device failure",
        5 => "acknowledge",
        6 => "server device busy",
        7 => "negative acknowledge, of an older standard",
        8 => "memory parity error",
        10 => "gateway path unavailable",
        11 => "gateway target device failed to respond",
        _ => "not in the standard",
    }
}

/// `exception 02, illegal data address: ...`, with what to do.
pub fn exception(code: u8) -> String {
    let what = match code {
        1 => "the device has no such area, or the role of lingate's certificate may not read it; try input instead of \
              holding, or the other way",
        2 => "no such register, or not so many; try the address less one (manuals often count from one), a --count of 1, \
              or --scan",
        3 => "not so many registers at once; try a smaller --count",
        4 => "the device failed inside, or a gateway says so of a unit that is not there; look at the device's display",
        5 => "the device needs longer for this; ask again later",
        6 => "the device is busy; ask again later",
        8 => "the device found its memory damaged; it needs service",
        10 => "the gateway in between has no line to this unit; look at the gateway's own settings",
        11 => "the gateway in between asked the unit, and it did not answer; is the unit number right, is it powered?",
        _ => "the device's manual may know what it means",
    };
    format!("exception {code:02X}, {}: {what}", exception_name(code))
}

/// What to do about an error; empty: it says so itself.
pub fn advice(target: &Target, error: &ProbeError) -> &'static str {
    let protocol = Protocol::of(&target.driver);
    let is_udp = protocol == Some(Protocol::Udp);
    let is_serial = matches!(protocol, Some(Protocol::Rtu | Protocol::Ascii));
    let ProbeError::Link(loss) = error else { return "" };
    match loss {
        LinkError::Timeout { doing: "reading", .. } if is_udp => {
            "with UDP nothing tells whether anybody is there; most devices speak Modbus on TCP only (--transport tcp)"
        }
        LinkError::Timeout { doing: "reading", .. } if is_serial => {
            "are speed, parity and stop bits those of the device, is the unit number right, are the two wires of RS-485 \
             exchanged? --scan asks other units, a slow device needs a longer --timeout"
        }
        LinkError::Timeout { doing: "reading", .. } => {
            "somebody takes the connection and does not answer: is the unit number right? Some devices answer only unit \
             255 or 0, converters often speak --transport rtu-over-tcp, slow devices need a longer --timeout"
        }
        LinkError::Timeout { .. } => "is the address right, is the device powered, does a firewall stand between?",
        LinkError::Closed if is_udp => "the host is there, and nobody listens on this UDP port",
        LinkError::Closed => "many devices allow one client at a time, or close the connection for an unknown unit",
        LinkError::Protocol { .. } => "is it another transport (--transport)?",
        LinkError::Connect { .. } | LinkError::Refused { .. } | LinkError::SinkClosed => "",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_exception_of_the_standard_has_its_own_name_and_advice() {
        let codes = [1, 2, 3, 4, 5, 6, 8, 10, 11];
        let told: std::collections::BTreeSet<_> = codes.map(|code| exception(code)[13..].to_owned()).into();
        assert_eq!(told.len(), codes.len());
        assert!(exception(2).starts_with("exception 02, illegal data address: "));
        assert!(exception(11).starts_with("exception 0B, gateway target device failed to respond: "));
        assert!(exception(0x55).starts_with("exception 55, not in the standard: "));
    }

    #[test]
    fn silence_means_something_else_on_each_transport() {
        let told = |driver: &str| {
            let target = Target { driver: driver.to_owned(), ..Target::default() };
            let after = Duration::from_secs(1);
            advice(&target, &ProbeError::Link(LinkError::Timeout { doing: "reading", after }))
        };
        assert!(told("modbus-udp").contains("UDP"), "{}", told("modbus-udp"));
        assert!(told("modbus-rtu").contains("parity") && told("modbus-ascii").contains("parity"));
        assert!(told("modbus-tcp").contains("rtu-over-tcp"));
    }
}
