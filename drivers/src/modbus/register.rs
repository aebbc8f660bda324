use std::fmt;

/// The four tables of a Modbus device, by the function code that reads them (Modbus Application Protocol V1.1b3, 6.1
/// to 6.4). There is no other function code in this driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Area {
    Coil = 1,
    Discrete = 2,
    Holding = 3,
    Input = 4,
}

impl Area {
    pub(crate) const ALL: [Area; 4] = [Area::Coil, Area::Discrete, Area::Holding, Area::Input];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Area::Coil => "coil",
            Area::Discrete => "discrete",
            Area::Holding => "holding",
            Area::Input => "input",
        }
    }

    /// Single bits; the other two hold registers of 16 bits.
    pub(crate) fn is_bits(self) -> bool {
        matches!(self, Area::Coil | Area::Discrete)
    }

    /// The digit that PLC notation puts in front: 40103 is a holding register.
    fn of_plc_digit(digit: u8) -> Option<Area> {
        Some(match digit {
            b'0' => Area::Coil,
            b'1' => Area::Discrete,
            b'3' => Area::Input,
            b'4' => Area::Holding,
            _ => return None,
        })
    }
}

/// What the number in `register` counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// As on the wire: the first register is 0.
    ZeroBased,
    /// As in most manuals: the first register is 1, in PLC notation 40001.
    OneBased,
}

pub(crate) const ADDRESSINGS: [(&str, Addressing); 2] =
    [("zero-based", Addressing::ZeroBased), ("one-based", Addressing::OneBased)];

/// Where a value begins, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Register {
    pub(crate) area: Area,
    pub(crate) address: u16,
}

type Advice = (String, Option<String>);

impl Register {
    /// `holding:102`, `coil:0x1F`, or with one-based addressing `40103` and `400103`.
    pub(crate) fn parse(text: &str, addressing: Addressing) -> Result<Register, Advice> {
        match text.split_once(':') {
            Some((area, number)) => Register::parse_named(area.trim(), number.trim(), addressing),
            None => Register::parse_plc(text, addressing),
        }
    }

    fn parse_named(area: &str, number: &str, addressing: Addressing) -> Result<Register, Advice> {
        let Some(area) = Area::ALL.into_iter().find(|known| known.name() == area) else {
            let meant = crate::settings::nearest(area, Area::ALL.map(Area::name));
            let what = "names no area; allowed are coil, discrete, holding, input".to_owned();
            return Err((what, meant.map(|word| format!("did you mean \"{word}:{number}\"?"))));
        };
        let number = match number.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        let Ok(number) = number else {
            return Err(("has no register number behind the colon".to_owned(), Some(EXAMPLE.to_owned())));
        };
        Register::at(area, number, addressing)
    }

    /// Always counts from one: five digits reach register 9,999, six digits reach 65,536.
    fn parse_plc(text: &str, addressing: Addressing) -> Result<Register, Advice> {
        let digits = text.as_bytes();
        let area = digits.first().copied().and_then(Area::of_plc_digit);
        let is_number = digits.iter().all(u8::is_ascii_digit);
        let (Some(area), true, 5 | 6, Ok(number)) = (area, is_number, digits.len(), text.get(1..).unwrap_or("").parse()) else {
            return Err(("is not a register".to_owned(), Some(EXAMPLE.to_owned())));
        };
        let register = Register::at(area, number, Addressing::OneBased)?;
        if addressing == Addressing::ZeroBased {
            let hint = format!("write \"{register}\", or set addressing = \"one-based\"");
            return Err(("is PLC notation, which counts from one".to_owned(), Some(hint)));
        }
        Ok(register)
    }

    fn at(area: Area, number: u32, addressing: Addressing) -> Result<Register, Advice> {
        let first = u32::from(addressing == Addressing::OneBased);
        match number.checked_sub(first).and_then(|address| u16::try_from(address).ok()) {
            Some(address) => Ok(Register { area, address }),
            None => Err((format!("is outside {first} to {}", first + 0xFFFF), None)),
        }
    }
}

const EXAMPLE: &str = "write it as \"holding:102\", or as 40103 with addressing = \"one-based\"";

/// `holding:102`, counted from zero.
impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.area.name(), self.address)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;
    use Addressing::{OneBased, ZeroBased};

    #[track_caller]
    fn check(text: &str, addressing: Addressing, expected: Result<&str, &str>) {
        let parsed = Register::parse(text, addressing).map(|register| register.to_string());
        assert_eq!(parsed.as_deref().map_err(|(what, _)| what.as_str()), expected, "{text}");
    }

    #[test]
    fn both_notations_name_the_same_register() {
        check("holding:102", ZeroBased, Ok("holding:102"));
        check("holding:103", OneBased, Ok("holding:102"));
        check("40103", OneBased, Ok("holding:102"));
        check("400103", OneBased, Ok("holding:102"));
        check("coil:0x1F", ZeroBased, Ok("coil:31"));
        check("00032", OneBased, Ok("coil:31"));
        check("10001", OneBased, Ok("discrete:0"));
        check("365536", OneBased, Ok("input:65535"));
    }

    #[test]
    fn what_is_no_register_says_why() {
        check("holding:65536", ZeroBased, Err("is outside 0 to 65535"));
        check("holding:0", OneBased, Err("is outside 1 to 65536"));
        check("40000", OneBased, Err("is outside 1 to 65536"));
        check("465537", OneBased, Err("is outside 1 to 65536"));
        check("40103", ZeroBased, Err("is PLC notation, which counts from one"));
        check("holdng:1", ZeroBased, Err("names no area; allowed are coil, discrete, holding, input"));
        for nonsense in ["", "4", "103", "20001", "4010x", "40 03", "4+003", "\u{20ac}12"] {
            check(nonsense, OneBased, Err("is not a register"));
        }
        check("holding:-1", ZeroBased, Err("has no register number behind the colon"));
        let (_, hint) = Register::parse("40103", ZeroBased).unwrap_err();
        assert_eq!(hint.unwrap(), "write \"holding:102\", or set addressing = \"one-based\"");
    }
}
