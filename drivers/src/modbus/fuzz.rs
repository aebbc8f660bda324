//! The way in for programs that make up what devices send. Nothing of the gateway uses it.

use super::frame::{Ask, Exchange, Framing, Parsed};
use super::register::Area;

/// An answer as it may come by `mbap`, `datagram`, `rtu` or `ascii`; whether it is taken for one to our request for ten
/// holding registers of unit 17.
pub fn answer(framing: &str, received: &[u8], is_quiet: bool) -> bool {
    let framing = match framing {
        "mbap" => Framing::Mbap,
        "datagram" => Framing::Datagram,
        "rtu" => Framing::Rtu,
        _ => Framing::Ascii,
    };
    let ask = Ask::Read { area: Area::Holding, start: 100, count: 10 };
    let (parsed, _) = Exchange::new(framing, 0x1234, 17, ask).parse(received, is_quiet);
    matches!(parsed, Parsed::Answer(_))
}
