use super::super::super::decode::{Charset, Kind, Layout};
use super::super::super::register::Register;
use crate::settings::Table;

#[derive(Clone, Copy, Debug, PartialEq)]
enum KindWord {
    Number(Kind),
    Bool,
    Bit,
    Bcd,
    Text,
    Time,
}

const KINDS: [(&str, KindWord); 14] = [
    ("u16", KindWord::Number(Kind::U16)),
    ("i16", KindWord::Number(Kind::I16)),
    ("u32", KindWord::Number(Kind::U32)),
    ("i32", KindWord::Number(Kind::I32)),
    ("u64", KindWord::Number(Kind::U64)),
    ("i64", KindWord::Number(Kind::I64)),
    ("f16", KindWord::Number(Kind::F16)),
    ("f32", KindWord::Number(Kind::F32)),
    ("f64", KindWord::Number(Kind::F64)),
    ("bool", KindWord::Bool),
    ("bit", KindWord::Bit),
    ("bcd", KindWord::Bcd),
    ("string", KindWord::Text),
    ("datetime", KindWord::Time),
];

/// The keys that complete a type.
const COMPLETING: [(&str, KindWord); 6] = [
    ("bit", KindWord::Bit),
    ("digits", KindWord::Bcd),
    ("length", KindWord::Text),
    ("charset", KindWord::Text),
    ("layout", KindWord::Time),
    ("utc_offset", KindWord::Time),
];

/// Coils and discrete inputs are always `bool`; registers never are.
pub(super) fn take_kind(table: &mut Table<'_>, register: Option<Register>) -> Option<Kind> {
    let is_bits = register.map(|register| register.area.is_bits());
    let key = if is_bits == Some(false) { table.require("type") } else { table.take("type") };
    let word = key.word(&KINDS);
    let of_registers = complete(table, word);
    match (is_bits?, word) {
        (true, None) if table.has("type") => None,
        (true, None | Some(KindWord::Bool)) => Some(Kind::Bool),
        (true, Some(_)) => {
            table.problem("type", "is for registers, a coil or discrete input is a \"bool\"", None);
            None
        }
        (false, Some(KindWord::Bool)) => {
            let hint = "write type = \"bit\" and bit = 0 to 15";
            table.problem("type", "is for coils and discrete inputs, a register has 16 bits", Some(hint.to_owned()));
            None
        }
        (false, _) => of_registers,
    }
}

fn complete(table: &mut Table<'_>, word: Option<KindWord>) -> Option<Kind> {
    for (key, of) in COMPLETING {
        if word != Some(of) && table.has(key) {
            let name = KINDS.iter().find(|(_, word)| *word == of).map_or("", |(name, _)| *name);
            table.problem(key, format!("belongs to type = {name:?}"), None);
        }
    }
    let bit = table.take("bit").integer(0..=15_u8);
    let digits = table.take("digits").integer(2..=16_u8);
    let length = table.take("length").integer(1..=125_u16);
    let charset = table.take("charset").word(&Charset::NAMES).unwrap_or(Charset::Ascii);
    let layout = table.take("layout").word(&Layout::NAMES);
    let utc_offset = table.take("utc_offset").parsed_with(parse_utc_offset).unwrap_or(0);
    match word? {
        KindWord::Number(kind) => Some(kind),
        KindWord::Bool => None,
        KindWord::Bit => {
            needs(table, "bit", "needs the number of the bit", "write bit = 0 for the least significant, up to 15");
            bit.map(Kind::Bit)
        }
        KindWord::Bcd => {
            needs(table, "digits", "needs the number of its digits", "write digits = 4 for one register, up to 16 for four");
            digits.map(Kind::Bcd)
        }
        KindWord::Text => {
            needs(table, "length", "needs its length in registers", "write length = 8 for a text of up to 16 letters");
            length.map(|length| Kind::Text(length, charset))
        }
        KindWord::Time => {
            let known: Vec<_> = Layout::NAMES.iter().map(|(name, _)| *name).collect();
            needs(table, "layout", "needs the layout of the date", &format!("known: {}", known.join(", ")));
            layout.map(|layout| Kind::Time(layout, utc_offset))
        }
    }
}

fn needs(table: &mut Table<'_>, key: &str, what: &str, hint: &str) {
    if !table.has(key) {
        table.problem("type", what, Some(hint.to_owned()));
    }
}

/// `+08:00`, in minutes.
fn parse_utc_offset(text: &str) -> Result<i16, (String, Option<String>)> {
    let parse = |text: &str| {
        let (sign, rest) = text.split_at_checked(1)?;
        let (hours, minutes) = rest.split_once(':').filter(|_| rest.len() == 5)?;
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(hours) || !is_digits(minutes) {
            return None;
        }
        let (hours, minutes): (i16, i16) = (hours.parse().ok()?, minutes.parse().ok()?);
        let total = (hours <= 14 && minutes < 60).then_some(hours * 60 + minutes)?;
        match sign {
            "+" => Some(total),
            "-" => Some(-total),
            _ => None,
        }
    };
    let hint = "write the device's local time less UTC as \"+08:00\"; a device that changes to summer time cannot be told";
    parse(text).ok_or_else(|| ("is not an offset from UTC".to_owned(), Some(hint.to_owned())))
}
