use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

/// The SHA-1 or SHA-256 of a certificate, as servers' tools show it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint(Vec<u8>);

impl Thumbprint {
    pub fn sha256(der: &[u8]) -> Thumbprint {
        Thumbprint(digest(&SHA256, der).as_ref().to_vec())
    }

    /// What OPC UA itself calls the thumbprint (OPC 10000-6, 6.2.2). Fit to recognise, and to pin: nobody can find a
    /// second certificate for a given SHA-1.
    pub fn sha1(der: &[u8]) -> Thumbprint {
        Thumbprint(digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref().to_vec())
    }

    pub fn is_of(&self, der: &[u8]) -> bool {
        *self == if self.0.len() == 20 { Thumbprint::sha1(der) } else { Thumbprint::sha256(der) }
    }
}

impl FromStr for Thumbprint {
    type Err = &'static str;

    /// In hex; colons, blanks and the case of letters do not matter.
    fn from_str(text: &str) -> Result<Thumbprint, &'static str> {
        let digits: Vec<u8> = text.bytes().filter(|b| !matches!(b, b':' | b' ' | b'-')).collect();
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes: Option<Vec<u8>> =
            digits.chunks(2).map(|pair| Some(digit(&pair[0])? << 4 | digit(pair.get(1)?)?)).collect();
        let bytes = bytes.filter(|bytes| matches!(bytes.len(), 20 | 32));
        bytes.map(Thumbprint).ok_or("is not a thumbprint: 40 (SHA-1) or 64 (SHA-256) hex digits")
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_reads_back_in_every_notation() {
        for thumbprint in [Thumbprint::sha1(b"abc"), Thumbprint::sha256(b"abc")] {
            let hex = thumbprint.to_string();
            let colons: Vec<_> = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
            for text in [hex.clone(), hex.to_uppercase(), colons.join(":"), colons.join(" ")] {
                let read: Thumbprint = text.parse().unwrap();
                assert!(read.is_of(b"abc") && !read.is_of(b"abd"), "{text}");
            }
        }
        for wrong in ["", "12", "xy", &"g".repeat(40), &"0".repeat(41), &"ß".repeat(20)] {
            assert!(wrong.parse::<Thumbprint>().is_err(), "{wrong}");
        }
    }
}
