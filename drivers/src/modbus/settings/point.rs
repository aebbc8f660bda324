mod checks;
mod kind;

use std::time::Duration;

use lingate_model::Decimal;

use self::checks::take_checks;
use self::kind::take_kind;
use super::super::decode::{ByteOrder, Encoding, Kind, Scale};
use super::super::plan::Wanted;
use super::super::register::{ADDRESSINGS, Register};
use super::Settings;
use crate::device::PointSettings;
use crate::settings::Table;

/// The driver's own keys of a point.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) wanted: Wanted,
    pub(crate) encoding: Encoding,
    /// So many equal values in a row mean that the device does not live any more.
    pub(crate) heartbeat: Option<u32>,
}

impl Item {
    /// `None` if a key is missing or wrong; the problems stay in the point's table.
    pub(crate) fn take(point: &mut PointSettings<'_>, device: &Settings, every: Duration) -> Option<Item> {
        let table = &mut point.table;
        let addressing = table.take("addressing").word(&ADDRESSINGS).unwrap_or(device.addressing);
        let register = table.require("register").parsed_or_integer(|text| Register::parse(text, addressing));
        let kind = take_kind(table, register);
        let elements = take_elements(table, kind);
        let order = take_order(table, kind, device.order);
        let scale = take_scale(table, kind);
        let checks = take_checks(table, kind);
        // Two equal values come of every device that counts slower than it is asked.
        let heartbeat = table.take("heartbeat").integer(3..=100_000);
        let (register, kind) = (register?, kind?);
        let encoding = Encoding { kind, elements, order, scale, checks };
        let wanted = Wanted { register, count: encoding.count(), interval: point.every.unwrap_or(every) };
        let item = Item { wanted, encoding, heartbeat };
        item.fits(table, device).then_some(item)
    }

    /// For catalogue and lineage: `holding:102`, `holding:110.3`, `input:0[8]`.
    pub(crate) fn source(&self) -> String {
        let register = self.wanted.register;
        match (self.encoding.kind, self.encoding.elements) {
            (Kind::Bit(bit), _) => format!("{register}.{bit}"),
            (_, Some(count)) => format!("{register}[{count}]"),
            _ => register.to_string(),
        }
    }

    fn fits(&self, table: &mut Table<'_>, device: &Settings) -> bool {
        let Wanted { register, count, .. } = self.wanted;
        let (unit, key, count_max) = match register.area.is_bits() {
            true => ("bits", "max_bits", device.limits.bits),
            false => ("registers", "max_registers", device.limits.registers),
        };
        if u32::from(register.address) + u32::from(count) > 0x1_0000 {
            table.problem("register", format!("needs {count} {unit} from {register}, the last one is 65535"), None);
            return false;
        }
        if count > count_max {
            let what = format!("needs {count} {unit} in one request, {key} is {count_max}");
            let cause = if self.encoding.elements.is_some() { "count" } else { "type" };
            table.problem(cause, what, None);
            return false;
        }
        true
    }
}

/// `count = 8` makes an array.
fn take_elements(table: &mut Table<'_>, kind: Option<Kind>) -> Option<u16> {
    let elements = table.take("count").integer(1..=2000_u16);
    let allows_arrays = kind.is_none_or(|kind| kind.is_number() || kind == Kind::Bool);
    if elements.is_some() && !allows_arrays {
        table.problem("count", "is for numbers, coils and discrete inputs", None);
        return None;
    }
    elements
}

/// A device's order is for numbers of several registers; everything else says so itself.
fn take_order(table: &mut Table<'_>, kind: Option<Kind>, of_device: ByteOrder) -> ByteOrder {
    let words: &[(&str, ByteOrder)] = match kind {
        Some(Kind::Bool) => return ByteOrder::PLAIN,
        Some(kind) if is_of_single_registers(kind) => &ByteOrder::OF_16,
        Some(kind) if kind.count() == 4 => &ByteOrder::OF_64,
        _ => &ByteOrder::OF_32,
    };
    // A point whose type is unknown is refused anyway: no second problem for it.
    let order = table.take("word_order");
    let order = if kind.is_some() { order.word(words) } else { None };
    order.unwrap_or(if kind.is_some_and(is_of_single_registers) { ByteOrder::PLAIN } else { of_device })
}

/// Only the bytes within each register have an order.
fn is_of_single_registers(kind: Kind) -> bool {
    match kind {
        Kind::Text(..) => true,
        Kind::Time(layout, _) => !layout.is_number(),
        kind => kind.count() == 1,
    }
}

/// One of `scale` and `offset` is enough.
fn take_scale(table: &mut Table<'_>, kind: Option<Kind>) -> Option<Scale> {
    if kind.is_some_and(|kind| !kind.is_number()) {
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
