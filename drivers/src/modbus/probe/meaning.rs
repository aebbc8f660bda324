use lingate_model::Value;

use super::super::decode::{ByteOrder, Charset, Encoding, Kind, Layout};

/// One way to read the registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Where it begins, counted from the first register that was read.
    pub at: u16,
    pub registers: u16,
    /// As the configuration spells it: `f32`, `string`, `datetime unix-s`.
    pub kind: String,
    pub order: &'static str,
    pub value: String,
}

/// Every type in every order that fits into the registers from their begin, and each register by itself. What a type
/// cannot read (a NaN, a digit above 9, no date) is left out.
pub fn meanings(words: &[u16]) -> Vec<Meaning> {
    let singles = (0_u16..).zip(words).flat_map(|(at, word)| {
        let one = |kind, name| meaning(at, &[*word], kind, name, ("ab", ByteOrder::PLAIN));
        [one(Kind::U16, "u16"), one(Kind::I16, "i16"), one(Kind::F16, "f16"), one(Kind::Bcd(4), "bcd")]
    });
    let pairs = [(Kind::U32, "u32"), (Kind::I32, "i32"), (Kind::F32, "f32"), (Kind::Bcd(8), "bcd")];
    let quads = [(Kind::U64, "u64"), (Kind::I64, "i64"), (Kind::F64, "f64"), (Kind::Bcd(16), "bcd")];
    let long_orders = ByteOrder::OF_64.into_iter().filter(|(name, _)| name.len() == 8);
    let of_two = ByteOrder::OF_32.into_iter().flat_map(|order| pairs.map(|(kind, name)| from_begin(words, kind, name, order)));
    let of_four = long_orders.flat_map(|order| quads.map(|(kind, name)| from_begin(words, kind, name, order)));
    singles.chain(of_two).chain(of_four).chain(texts(words)).chain(times(words)).flatten().collect()
}

fn texts(words: &[u16]) -> impl Iterator<Item = Option<Meaning>> {
    let length = u16::try_from(words.len()).unwrap_or(u16::MAX);
    let read = move |order| meaning(0, words, Kind::Text(length, Charset::Ascii), "string", order);
    ByteOrder::OF_16.into_iter().map(read).map(|found| found.filter(|found| found.value.len() > 2))
}

fn times(words: &[u16]) -> impl Iterator<Item = Option<Meaning>> {
    Layout::NAMES.into_iter().flat_map(move |(name, layout)| {
        let orders: &[(&'static str, ByteOrder)] = match (layout.is_number(), layout.count()) {
            (true, 2) => &ByteOrder::OF_32,
            (true, _) => &ByteOrder::OF_64[..4],
            (false, _) => &ByteOrder::OF_16,
        };
        let kind = Kind::Time(layout, 0);
        orders.iter().map(move |order| from_begin(words, kind, &format!("datetime {name}"), *order))
    })
}

fn from_begin(words: &[u16], kind: Kind, name: &str, order: (&'static str, ByteOrder)) -> Option<Meaning> {
    meaning(0, words.get(..usize::from(kind.count()))?, kind, name, order)
}

fn meaning(at: u16, words: &[u16], kind: Kind, name: &str, order: (&'static str, ByteOrder)) -> Option<Meaning> {
    let value = Encoding { order: order.1, ..Encoding::plain(kind) }.decode(words).ok()?;
    Some(Meaning { at, registers: kind.count(), kind: name.to_owned(), order: order.0, value: show(&value)? })
}

fn show(value: &Value) -> Option<String> {
    Some(match value {
        Value::UInt16(number) => number.to_string(),
        Value::Int16(number) => number.to_string(),
        Value::UInt32(number) => number.to_string(),
        Value::Int32(number) => number.to_string(),
        Value::UInt64(number) => number.to_string(),
        Value::Int64(number) => number.to_string(),
        Value::Float(number) => show_float(f64::from(*number), number.to_string()),
        Value::Double(number) => show_float(*number, number.to_string()),
        Value::String(text) => format!("{text:?}"),
        Value::DateTime(ticks) => show_time(*ticks),
        _ => return None,
    })
}

/// As a person writes it, or with an exponent where that would have more than about ten digits.
fn show_float(number: f64, plain: String) -> String {
    if number == 0.0 || (1e-4..1e9).contains(&number.abs()) { plain } else { format!("{number:.6e}") }
}

/// `2026-11-23T08:45:12.345Z`, out of ticks since 1601.
fn show_time(ticks: i64) -> String {
    let ms = ticks / 10_000;
    let (days, ms) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Years that begin in March: the leap day is the last of its year. From 1601-01-01 to 1600-03-01 are 306 days.
    let day = days + 306;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = 1600 + era * 400 + year_of_era + i64::from(month <= 2);
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn value(words: &[u16], kind: &str, order: &str) -> Option<String> {
        let found = meanings(words).into_iter().find(|found| found.at == 0 && found.kind == kind && found.order == order);
        found.map(|found| found.value)
    }

    #[test]
    fn a_float_is_found_in_the_order_in_which_it_lies() {
        assert_eq!(value(&[0xE979, 0x42F6], "f32", "cdab").unwrap(), "123.456");
        assert_eq!(value(&[0x42F6, 0xE979], "f32", "abcd").unwrap(), "123.456");
        assert_eq!(value(&[0x1A9F, 0xBE77, 0x405E, 0xDD2F], "f64", "efghabcd").unwrap(), "123.456");
        assert_eq!(value(&[0x7FC0, 0], "f32", "abcd"), None, "not a number");
        assert_eq!(value(&[0x42F6], "f32", "abcd"), None, "one register only");
    }

    #[test]
    fn all_orders_and_types_stand_side_by_side() {
        let found = meanings(&[0x1234, 0x5678, 0x1234, 0x5678]);
        let count = |kind: &str, registers| found.iter().filter(|m| m.kind == kind && m.registers == registers).count();
        assert_eq!([count("u16", 1), count("i16", 1), count("bcd", 1)], [4, 4, 4]);
        assert_eq!([count("u32", 2), count("i32", 2), count("f32", 2), count("bcd", 2)], [4, 4, 4, 4]);
        assert_eq!([count("u64", 4), count("i64", 4), count("f64", 4), count("bcd", 4)], [8, 8, 8, 8]);
    }

    #[test]
    fn texts_and_dates_are_recognized() {
        assert_eq!(value(&[0x4558, 0x2D37], "string", "ab").unwrap(), "\"EX-7\"");
        assert_eq!(value(&[0x5845, 0x372D], "string", "ba").unwrap(), "\"EX-7\"");
        assert_eq!(value(&[0, 0], "string", "ab"), None, "an empty text says nothing");
        let date = value(&[0x2611, 0x2308, 0x4512, 0x3452], "datetime siemens-dt", "ab").unwrap();
        assert_eq!(date, "2026-11-23T08:45:12.345Z");
        for (ticks, shown) in [
            (0, "1601-01-01T00:00:00.000Z"),
            (116_444_736_000_000_000, "1970-01-01T00:00:00.000Z"),
            (125_963_423_990_000_000, "2000-02-29T23:59:59.000Z"),
            (2_650_467_743_990_000_000, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(show_time(ticks), shown);
        }
    }
}
