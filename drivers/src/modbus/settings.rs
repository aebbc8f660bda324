use std::time::Duration;

use lingate_model::Decimal;

use super::decode::{ByteOrder, Encoding, Kind, Scale};
use super::plan::{Limits, Wanted};
use super::register::{Addressing, Register};
use crate::device::PointSettings;
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
    addressing: Addressing,
    order: ByteOrder,
}

/// The driver's own keys of a point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) wanted: Wanted,
    pub(crate) encoding: Encoding,
}

const PORT: u16 = 502;
const MILLISECOND: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

const ADDRESSINGS: [(&str, Addressing); 2] =
    [("zero-based", Addressing::ZeroBased), ("one-based", Addressing::OneBased)];

const KINDS: [(&str, KindWord); 10] = [
    ("u16", KindWord::Number(Kind::U16)),
    ("i16", KindWord::Number(Kind::I16)),
    ("u32", KindWord::Number(Kind::U32)),
    ("i32", KindWord::Number(Kind::I32)),
    ("u64", KindWord::Number(Kind::U64)),
    ("i64", KindWord::Number(Kind::I64)),
    ("f32", KindWord::Number(Kind::F32)),
    ("f64", KindWord::Number(Kind::F64)),
    ("bool", KindWord::Bool),
    ("bit", KindWord::Bit),
];

#[derive(Clone, Copy)]
enum KindWord {
    Number(Kind),
    Bool,
    Bit,
}

const PLAIN: ByteOrder = ByteOrder { are_words_reversed: false, are_bytes_swapped: false };
const BYTES: ByteOrder = ByteOrder { are_words_reversed: false, are_bytes_swapped: true };
const WORDS: ByteOrder = ByteOrder { are_words_reversed: true, are_bytes_swapped: false };
const BOTH: ByteOrder = ByteOrder { are_words_reversed: true, are_bytes_swapped: true };

const ORDERS_16: [(&str, ByteOrder); 2] = [("ab", PLAIN), ("ba", BYTES)];
const ORDERS_32: [(&str, ByteOrder); 4] = [("abcd", PLAIN), ("cdab", WORDS), ("badc", BYTES), ("dcba", BOTH)];
const ORDERS_64: [(&str, ByteOrder); 8] = [
    ("abcd", PLAIN),
    ("cdab", WORDS),
    ("badc", BYTES),
    ("dcba", BOTH),
    ("abcdefgh", PLAIN),
    ("ghefcdab", WORDS),
    ("badcfehg", BYTES),
    ("hgfedcba", BOTH),
];

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
            order: table.take("word_order").word(&ORDERS_32).unwrap_or_default(),
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

impl Item {
    /// `None` if a key is missing or wrong; the problems stay in the point's table.
    pub(crate) fn take(point: &mut PointSettings<'_>, device: &Settings, every: Duration) -> Option<Item> {
        let table = &mut point.table;
        let addressing = table.take("addressing").word(&ADDRESSINGS).unwrap_or(device.addressing);
        let register = table.require("register").parsed_or_integer(|text| Register::parse(text, addressing));
        let kind = take_kind(table, register);
        let order = take_order(table, kind, device.order);
        let scale = take_scale(table, kind);
        let (register, kind) = (register?, kind?);
        let item = Item {
            wanted: Wanted { register, count: kind.count(), interval: point.every.unwrap_or(every) },
            encoding: Encoding { kind, order, scale },
        };
        item.fits(table, device).then_some(item)
    }

    fn fits(&self, table: &mut Table<'_>, device: &Settings) -> bool {
        let Wanted { register, count, .. } = self.wanted;
        if u32::from(register.address) + u32::from(count) > 0x1_0000 {
            table.problem("register", format!("needs {count} registers from {register}, the last one is 65535"), None);
            return false;
        }
        if !register.area.is_bits() && count > device.limits.registers {
            let what = format!("needs {count} registers in one request, max_registers is {}", device.limits.registers);
            table.problem("type", what, None);
            return false;
        }
        true
    }
}

/// Coils and discrete inputs are always `bool`; registers never are.
fn take_kind(table: &mut Table<'_>, register: Option<Register>) -> Option<Kind> {
    let is_bits = register.map(|register| register.area.is_bits());
    let key = if is_bits == Some(false) { table.require("type") } else { table.take("type") };
    let word = key.word(&KINDS);
    let bit = table.take("bit").integer(0..=15_u8);
    if table.has("bit") && !matches!(word, Some(KindWord::Bit)) {
        table.problem("bit", "belongs to type = \"bit\"", None);
    }
    match (is_bits?, word) {
        (true, None) if table.has("type") => None,
        (true, None | Some(KindWord::Bool)) => Some(Kind::Bool),
        (true, Some(_)) => {
            table.problem("type", "is for registers, a coil or discrete input is a \"bool\"", None);
            None
        }
        (false, Some(KindWord::Number(kind))) => Some(kind),
        (false, Some(KindWord::Bit)) => {
            if !table.has("bit") {
                let hint = "write bit = 0 for the least significant, up to 15";
                table.problem("type", "needs the number of the bit", Some(hint.to_owned()));
            }
            bit.map(Kind::Bit)
        }
        (false, Some(KindWord::Bool)) => {
            let hint = "write type = \"bit\" and bit = 0 to 15";
            table.problem("type", "is for coils and discrete inputs, a register has 16 bits", Some(hint.to_owned()));
            None
        }
        (false, None) => None,
    }
}

/// A device's order is for values of several registers; a swapped single register says so itself.
fn take_order(table: &mut Table<'_>, kind: Option<Kind>, of_device: ByteOrder) -> ByteOrder {
    let words: &[(&str, ByteOrder)] = match kind {
        Some(Kind::Bool) => &[],
        Some(Kind::Bit(_) | Kind::U16 | Kind::I16) => &ORDERS_16,
        Some(Kind::U64 | Kind::I64 | Kind::F64) => &ORDERS_64,
        Some(Kind::U32 | Kind::I32 | Kind::F32) | None => &ORDERS_32,
    };
    let is_single = kind.is_some_and(|kind| kind.count() == 1);
    if words.is_empty() {
        return PLAIN;
    }
    // A point whose type is unknown is refused anyway: no second problem for it.
    let order = table.take("word_order");
    let order = if kind.is_some() { order.word(words) } else { None };
    order.unwrap_or(if is_single { PLAIN } else { of_device })
}

/// One of `scale` and `offset` is enough.
fn take_scale(table: &mut Table<'_>, kind: Option<Kind>) -> Option<Scale> {
    if kind.is_some_and(Kind::is_truth) {
        return None;
    }
    let (factor, offset) = (table.take("scale").decimal(), table.take("offset").decimal());
    if factor == Some(Decimal::ZERO) {
        table.problem("scale", "is 0, so that every value would be the same", None);
    }
    if factor.is_none() && offset.is_none() {
        return None;
    }
    Some(Scale { factor: factor.unwrap_or(Decimal::ONE), offset: offset.unwrap_or(Decimal::ZERO) })
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
