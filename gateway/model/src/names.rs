//! Names, parsed once. What survives cannot break an MQTT topic, a file path, a certificate field or a log line.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not a name of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    Empty,
    TooLong { length: usize, limit: usize },
    BadCharacter { character: char, at: usize, allowed: &'static str },
}

impl std::error::Error for NameError {}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Empty => f.write_str("is empty"),
            NameError::TooLong { length, limit } => write!(f, "has {length} bytes, the limit is {limit}"),
            NameError::BadCharacter { character, at, allowed } => {
                write!(f, "has {character:?} at byte {at}; allowed: {allowed}")
            }
        }
    }
}

fn parse(text: &str, limit: usize, allowed: &'static str, is_allowed: fn(char) -> bool) -> Result<Arc<str>, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > limit {
        return Err(NameError::TooLong { length: text.len(), limit });
    }
    if let Some((at, character)) = text.char_indices().find(|(_, c)| !is_allowed(*c)) {
        return Err(NameError::BadCharacter { character, at, allowed });
    }
    // `.` and `..` are directories, and a file that begins with a dot hides.
    if text.starts_with('.') {
        return Err(NameError::BadCharacter { character: '.', at: 0, allowed: "any but a dot to begin with" });
    }
    Ok(text.into())
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $limit:literal, $allowed:literal, $is_allowed:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                parse(text, $limit, $allowed, $is_allowed).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

names! {
    /// The gateway; also the common name of its certificate and a level of its topics.
    GatewayId, 64, "letters, digits, - _ .", is_plain;
    /// The plant's account at the sandbox; a level of the topics.
    TenantId, 64, "letters, digits, - _ .", is_plain;
    DeviceName, 64, "letters, digits, - _ .", is_plain;
    PointName, 128, "letters, digits, - _ . / [ ]", |c| is_plain(c) || matches!(c, '/' | '[' | ']');
    DatasetId, 64, "letters, digits, - _ .", is_plain;
    /// Opaque name of a dataset in topics, given by the sandbox: it tells nothing about the recipe.
    DatasetAlias, 32, "letters, digits, - _", |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    /// A URI that names what the data may be used for.
    PurposeId, 256, "printable ASCII without spaces", |c| c.is_ascii_graphic();
    /// ISA-95 equipment path, levels parted by `/` (IEC 62264-1, 5.3): enterprise/site/area/line/unit.
    EquipmentPath, 256, "letters, digits, - _ . and / between levels", |c| is_plain(c) || c == '/';
    /// Unit of measure in UCUM's case-sensitive form, such as `Cel`, `bar` or `m3/h`.
    Ucum, 32, "printable ASCII without spaces", |c| c.is_ascii_graphic();
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_break_a_topic_or_a_path_is_refused() {
        for bad in ["", "a/b", "a+b", "#", "a b", "a\n", "a\0", "ünit", ".", "..", ".hidden", &"x".repeat(65)] {
            assert!(bad.parse::<GatewayId>().is_err(), "{bad:?} was accepted as a gateway");
            assert!(bad.parse::<DatasetId>().is_err(), "{bad:?} was accepted as a dataset");
            assert!(bad.parse::<DatasetAlias>().is_err(), "{bad:?} was accepted as an alias");
        }
        assert_eq!("gw-0001".parse::<GatewayId>().unwrap().as_str(), "gw-0001");
        assert_eq!("x".repeat(64).parse::<GatewayId>().unwrap().as_str().len(), 64);
    }

    #[test]
    fn the_error_names_the_character_and_its_place() {
        let said = |text: &str| text.parse::<GatewayId>().unwrap_err().to_string();
        assert_eq!(said("gw 1"), "has ' ' at byte 2; allowed: letters, digits, - _ .");
        assert_eq!(said(".."), "has '.' at byte 0; allowed: any but a dot to begin with");
        assert_eq!(said(""), "is empty");
        assert_eq!(said(&"x".repeat(65)), "has 65 bytes, the limit is 64");
    }

    #[test]
    fn a_refused_character_cannot_break_the_line_that_reports_it() {
        let error = "a\n2026 forged".parse::<DeviceName>().unwrap_err().to_string();
        assert!(error.chars().all(|c| !c.is_control()), "{error:?}");
    }

    #[test]
    fn the_field_s_own_names_are_accepted() {
        assert!("barrel/zone[3].temp".parse::<PointName>().is_ok());
        assert!("acme/lingang/fab2/etch-07".parse::<EquipmentPath>().is_ok());
        assert!("urn:lingate:purpose:remote-quality".parse::<PurposeId>().is_ok());
        for unit in ["Cel", "bar", "m3/h", "10*6/mL", "[pH]", "%"] {
            assert!(unit.parse::<Ucum>().is_ok(), "{unit}");
        }
    }
}
