//! The part of CBOR that the envelope uses, in deterministic encoding (RFC 8949, 4.2.1): shortest heads, definite
//! lengths, map keys in bytewise order. The decoder refuses everything else, reads nothing twice and allocates nothing.

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const NULL: u8 = 0xf6;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    #[error("ends in the middle of an item")]
    Truncated,
    #[error("has bytes after its last item")]
    Trailing,
    #[error("is not in deterministic encoding")]
    NotDeterministic,
    #[error("has another item than the format says")]
    Unexpected,
    #[error("has an item beyond its bound")]
    TooLarge,
}

/// Appends items to one buffer. The caller writes map entries in bytewise order of their keys.
#[derive(Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    pub fn with_capacity(bytes: usize) -> Encoder {
        Encoder { bytes: Vec::with_capacity(bytes) }
    }

    pub fn array(&mut self, items: usize) -> &mut Self {
        self.head(ARRAY, items as u64)
    }

    pub fn map(&mut self, entries: usize) -> &mut Self {
        self.head(MAP, entries as u64)
    }

    pub fn tag(&mut self, tag: u64) -> &mut Self {
        self.head(TAG, tag)
    }

    pub fn unsigned(&mut self, value: u64) -> &mut Self {
        self.head(UNSIGNED, value)
    }

    pub fn int(&mut self, value: i64) -> &mut Self {
        match u64::try_from(value) {
            Ok(value) => self.head(UNSIGNED, value),
            Err(_) => self.head(NEGATIVE, !value as u64),
        }
    }

    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(BYTES, value.len() as u64);
        self.bytes.extend_from_slice(value);
        self
    }

    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(TEXT, value.len() as u64);
        self.bytes.extend_from_slice(value.as_bytes());
        self
    }

    pub fn null(&mut self) -> &mut Self {
        self.bytes.push(NULL);
        self
    }

    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let major = major << 5;
        let big_endian = value.to_be_bytes();
        match value {
            0..=23 => self.bytes.push(major | big_endian[7]),
            24..=0xff => self.bytes.extend_from_slice(&[major | 24, big_endian[7]]),
            0x100..=0xffff => {
                self.bytes.push(major | 25);
                self.bytes.extend_from_slice(&big_endian[6..]);
            }
            0x1_0000..=0xffff_ffff => {
                self.bytes.push(major | 26);
                self.bytes.extend_from_slice(&big_endian[4..]);
            }
            _ => {
                self.bytes.push(major | 27);
                self.bytes.extend_from_slice(&big_endian);
            }
        }
        self
    }
}

/// Walks over received bytes, which stay where they are.
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder { rest: bytes }
    }

    /// An array of exactly `items`.
    pub fn array(&mut self, items: usize) -> Result<(), CborError> {
        (self.array_up_to(items)? == items).then_some(()).ok_or(CborError::Unexpected)
    }

    /// Number of items, at most `limit`.
    pub fn array_up_to(&mut self, limit: usize) -> Result<usize, CborError> {
        self.count(ARRAY, limit)
    }

    /// A map of exactly `entries`.
    pub fn map(&mut self, entries: usize) -> Result<(), CborError> {
        (self.count(MAP, entries)? == entries).then_some(()).ok_or(CborError::Unexpected)
    }

    /// Number of entries, at most `limit`; the caller refuses keys that do not ascend.
    pub fn map_up_to(&mut self, limit: usize) -> Result<usize, CborError> {
        self.count(MAP, limit)
    }

    pub fn tag(&mut self, tag: u64) -> Result<(), CborError> {
        (self.expect(TAG)? == tag).then_some(()).ok_or(CborError::Unexpected)
    }

    pub fn unsigned(&mut self) -> Result<u64, CborError> {
        self.expect(UNSIGNED)
    }

    /// Integers of CBOR's 65-bit range that do not fit are beyond every bound here.
    pub fn int(&mut self) -> Result<i64, CborError> {
        match self.head()? {
            (UNSIGNED, value) => i64::try_from(value).map_err(|_| CborError::TooLarge),
            (NEGATIVE, value) => i64::try_from(value).map(|value| !value).map_err(|_| CborError::TooLarge),
            _ => Err(CborError::Unexpected),
        }
    }

    /// An integer that can only be this one: a map key or a fixed algorithm.
    pub fn exactly(&mut self, value: i64) -> Result<(), CborError> {
        (self.int()? == value).then_some(()).ok_or(CborError::Unexpected)
    }

    pub fn bytes(&mut self, limit: usize) -> Result<&'a [u8], CborError> {
        let length = self.count(BYTES, limit)?;
        self.take(length)
    }

    pub fn bytes_exactly<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        self.bytes(N)?.try_into().map_err(|_| CborError::Unexpected)
    }

    pub fn text(&mut self, limit: usize) -> Result<&'a str, CborError> {
        let length = self.count(TEXT, limit)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| CborError::Unexpected)
    }

    /// True, and one byte further, if a null is next.
    pub fn skip_null(&mut self) -> bool {
        let is_null = self.rest.first() == Some(&NULL);
        if is_null {
            self.rest = &self.rest[1..];
        }
        is_null
    }

    pub fn finish(self) -> Result<(), CborError> {
        self.rest.is_empty().then_some(()).ok_or(CborError::Trailing)
    }

    fn count(&mut self, major: u8, limit: usize) -> Result<usize, CborError> {
        let count = self.expect(major)?;
        usize::try_from(count).ok().filter(|count| *count <= limit).ok_or(CborError::TooLarge)
    }

    fn expect(&mut self, major: u8) -> Result<u64, CborError> {
        let (found, value) = self.head()?;
        (found == major).then_some(value).ok_or(CborError::Unexpected)
    }

    fn head(&mut self) -> Result<(u8, u64), CborError> {
        let initial = self.take(1)?[0];
        let (width, shortest) = match initial & 0x1f {
            small @ 0..=23 => return Ok((initial >> 5, u64::from(small))),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(CborError::NotDeterministic),
        };
        let value = self.take(width)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        (value >= shortest).then_some((initial >> 5, value)).ok_or(CborError::NotDeterministic)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], CborError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(CborError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_int(value: i64) {
        let mut encoder = Encoder::default();
        encoder.int(value);
        let bytes = encoder.finish();
        let mut other = Vec::new();
        ciborium::into_writer(&value, &mut other).unwrap();
        assert_eq!(bytes, other);
        let mut decoder = Decoder::new(&bytes);
        assert_eq!(decoder.int(), Ok(value));
        assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn integers_at_every_width_have_the_shortest_head() {
        for edge in [0, 23, 24, 255, 256, 65_535, 65_536, 0xffff_ffff, 0x1_0000_0000, i64::MAX] {
            check_int(edge);
            check_int(!edge);
        }
    }

    #[test]
    fn a_longer_head_than_needed_and_indefinite_lengths_are_refused() {
        for bytes in [&[0x18, 23][..], &[0x19, 0, 255], &[0x1a, 0, 0, 255, 255], &[0x5f, 0xff], &[0x9f, 0xff]] {
            assert_eq!(Decoder::new(bytes).head(), Err(CborError::NotDeterministic), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_length_beyond_the_input_or_the_bound_is_refused_before_anything_is_read() {
        assert_eq!(Decoder::new(&[0x5b, 255, 255, 255, 255, 255, 255, 255, 255]).bytes(9), Err(CborError::TooLarge));
        assert_eq!(Decoder::new(&[0x44, 1, 2]).bytes(9), Err(CborError::Truncated));
        assert_eq!(Decoder::new(&[0x44, 1, 2, 3, 4]).bytes(3), Err(CborError::TooLarge));
    }

    proptest! {
        #[test]
        fn any_integer_survives(value: i64) {
            check_int(value);
        }

        #[test]
        fn any_input_ends_without_panic(bytes: Vec<u8>) {
            let mut decoder = Decoder::new(&bytes);
            while decoder.head().is_ok() {}
        }
    }
}
