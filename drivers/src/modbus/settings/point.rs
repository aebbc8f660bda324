use std::time::Duration;

use lingate_model::Decimal;

use super::super::decode::{ByteOrder, Encoding, Kind, Scale};
use super::super::plan::Wanted;
use super::super::register::{ADDRESSINGS, Register};
use super::Settings;
use crate::device::PointSettings;
use crate::settings::Table;

/// The driver's own keys of a point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) wanted: Wanted,
    pub(crate) encoding: Encoding,
}

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
pub(super) const ORDERS_32: [(&str, ByteOrder); 4] = [("abcd", PLAIN), ("cdab", WORDS), ("badc", BYTES), ("dcba", BOTH)];
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
