//! One record on disk: a header of 104 bytes, then the sealed bytes, then the owner's note. Little endian.
//!
//! ```text
//!   0 magic "LGf1"            32 total u64: readings of the class before this record
//!   4 crc32c of 8..104        40 stable u64: positions below were durable when this was written
//!   8 crc32c of 12.. to end   48 committed at, i64 microseconds UTC
//!  12 length u32 of payload   56 kid, 8 bytes          68 class u8   70 alias length u8
//!  16 position u64            64 readings u32          69 kind u8    71 note length u8, 72 alias, 32 bytes, zero padded
//!  24 seq u64
//! ```
//!
//! The header has a checksum of its own, so that a damaged payload still tells who it was, and a damaged header can be
//! told from a damaged length. One flipped bit in a header is repaired: at 100 bytes CRC32C has distance 6. One in a
//! payload on which other records depend is found by the change that it makes in the other checksum.

use lingate_model::{DatasetAlias, Priority, UtcMicros};
use lingate_seal::{Kid, RecordKind};

/// Of CRC32C (Castagnoli), reflected.
const POLYNOMIAL: u32 = 0x82F6_3B78;
pub(crate) const HEADER_BYTES: usize = 104;
pub(crate) const MAGIC: [u8; 4] = *b"LGf1";
const ALIAS_BYTES: usize = 32;
/// In `kind`: the sealed bytes were overwritten, only header and note are left.
pub(crate) const PURGED: u8 = 0x80;

/// A record as the log knows it: identity in clear, content sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) kind: u8,
    pub(crate) alias: DatasetAlias,
    pub(crate) kid: Kid,
    pub(crate) seq: u64,
    pub(crate) readings: u32,
    /// So many bytes at the payload's end are the owner's note.
    pub(crate) note: u8,
}

/// Where and when a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) class: Priority,
    pub(crate) position: u64,
    pub(crate) stable: u64,
    pub(crate) total: u64,
    pub(crate) utc: UtcMicros,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) identity: Identity,
    pub(crate) place: Place,
    pub(crate) length: u32,
    checksum: u32,
}

/// Appends one frame to `out`.
pub(crate) fn encode(identity: &Identity, place: &Place, payload: &[u8], out: &mut Vec<u8>) {
    let alias = identity.alias.as_str().as_bytes();
    let mut header = [0; HEADER_BYTES];
    header[0..4].copy_from_slice(&MAGIC);
    header[12..16].copy_from_slice(&u32::try_from(payload.len()).expect("a payload fits a segment").to_le_bytes());
    header[16..24].copy_from_slice(&place.position.to_le_bytes());
    header[24..32].copy_from_slice(&identity.seq.to_le_bytes());
    header[32..40].copy_from_slice(&place.total.to_le_bytes());
    header[40..48].copy_from_slice(&place.stable.to_le_bytes());
    header[48..56].copy_from_slice(&place.utc.0.to_le_bytes());
    header[56..64].copy_from_slice(&identity.kid.0);
    header[64..68].copy_from_slice(&identity.readings.to_le_bytes());
    header[68] = place.class as u8;
    header[69] = identity.kind;
    header[71] = identity.note;
    header[70] = u8::try_from(alias.len()).expect("an alias has at most 32 bytes");
    header[72..72 + alias.len()].copy_from_slice(alias);
    let body = crc32c::crc32c_append(crc32c::crc32c(&header[12..]), payload);
    header[8..12].copy_from_slice(&body.to_le_bytes());
    let head = crc32c::crc32c(&header[8..]);
    header[4..8].copy_from_slice(&head.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
}

pub(crate) fn frame_bytes(payload: usize) -> u64 {
    (HEADER_BYTES + payload) as u64
}

impl Identity {
    pub(crate) fn is_purged(&self) -> bool {
        self.kind & PURGED != 0
    }

    /// The sealed bytes and the note.
    pub(crate) fn split<'a>(&self, payload: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        payload.split_at(payload.len().saturating_sub(usize::from(self.note)))
    }
}

impl Header {
    pub(crate) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.length as usize)
    }

    /// A header exactly as it was written; `bytes` has at least 104.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Header> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        if bytes[0..4] != MAGIC || u32_at(bytes, 4) != crc32c::crc32c(&bytes[8..]) {
            return None;
        }
        let alias = bytes[72..72 + ALIAS_BYTES].get(..usize::from(bytes[70]))?;
        Some(Header {
            identity: Identity {
                kind: bytes[69],
                alias: std::str::from_utf8(alias).ok()?.parse().ok()?,
                kid: Kid(bytes[56..64].try_into().expect("eight bytes")),
                seq: u64_at(bytes, 24),
                readings: u32_at(bytes, 64),
                note: bytes[71],
            },
            place: Place {
                class: Priority::ALL.into_iter().find(|class| *class as u8 == bytes[68])?,
                position: u64_at(bytes, 16),
                stable: u64_at(bytes, 40),
                total: u64_at(bytes, 32),
                utc: UtcMicros(i64::from_le_bytes(bytes[48..56].try_into().expect("eight bytes"))),
            },
            length: u32_at(bytes, 12),
            checksum: u32_at(bytes, 8),
        })
    }

    /// The header that these bytes were before exactly one bit flipped. Believe it only if the payload agrees.
    pub(crate) fn repair(bytes: &[u8]) -> Option<Header> {
        let mut bytes: [u8; HEADER_BYTES] = *bytes.first_chunk()?;
        let off: u32 = bytes.iter().zip(MAGIC).map(|(byte, magic)| (byte ^ magic).count_ones()).sum();
        match off {
            0 => (4 * 8..HEADER_BYTES * 8).find_map(|bit| {
                bytes[bit / 8] ^= 1 << (bit % 8);
                let header = Header::decode(&bytes);
                bytes[bit / 8] ^= 1 << (bit % 8);
                header
            }),
            1 => {
                bytes[0..4].copy_from_slice(&MAGIC);
                Header::decode(&bytes)
            }
            _ => None,
        }
    }

    /// Do header and payload belong together, to the bit? `frame` starts with the header.
    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.length as usize && self.body_checksum(payload) == self.checksum
    }
}

impl Header {
    /// Other records depend on this one: nobody opens an epoch without its KEY, nobody understands it without its
    /// catalogue, and a gap record speaks for records that are gone.
    pub(crate) fn is_depended_on(&self) -> bool {
        let kinds = [RecordKind::Key, RecordKind::Catalogue, RecordKind::Gap];
        kinds.iter().any(|kind| *kind as u8 == self.identity.kind)
    }

    /// Flips the one bit that makes the payload match, if there is one. Each bit of a frame shorter than 2^31 bits
    /// changes CRC32C in a way of its own; damage of another sort passes for such a bit once in 2^32 / bits.
    pub(crate) fn put_right(&self, payload: &mut [u8]) -> bool {
        if payload.len() != self.length as usize {
            return false;
        }
        let wanted = self.checksum ^ self.body_checksum(payload);
        // The last bit's change, then that of the bit before, and so on.
        let mut change = POLYNOMIAL;
        for bit in (0..payload.len() * 8).rev() {
            if change == wanted {
                payload[bit / 8] ^= 1 << (bit % 8);
                return self.matches(payload);
            }
            change = (change >> 1) ^ if change & 1 == 1 { POLYNOMIAL } else { 0 };
        }
        false
    }

    fn body_checksum(&self, payload: &[u8]) -> u32 {
        let mut again = Vec::with_capacity(HEADER_BYTES);
        encode(&self.identity, &self.place, &[], &mut again);
        again[12..16].copy_from_slice(&self.length.to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c(&again[12..]), payload)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panic")]
    use proptest::prelude::*;

    use super::*;

    fn frame(position: u64, seq: u64, readings: u32, alias: &str, payload: &[u8]) -> Vec<u8> {
        let identity = Identity { kind: 4, alias: alias.parse().unwrap(), kid: Kid([7; 8]), seq, readings, note: 3 };
        let place = Place { class: Priority::High, position, stable: position / 2, total: 9, utc: UtcMicros(-5) };
        let mut out = Vec::new();
        encode(&identity, &place, payload, &mut out);
        out
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(position: u64, seq: u64, readings: u32, alias in "[a-z0-9_-]{1,32}",
                                       payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let bytes = frame(position, seq, readings, &alias, &payload);
            let header = Header::decode(&bytes).unwrap();
            prop_assert!(header.matches(&payload));
            prop_assert_eq!(header.frame_bytes(), bytes.len() as u64);
            prop_assert_eq!(
                (header.place.position, header.identity.seq, header.identity.readings, header.identity.alias.as_str()),
                (position, seq, readings, alias.as_str())
            );
        }

        #[test]
        fn garbage_is_no_header(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Header::decode(&bytes), None);
            prop_assert_eq!(Header::repair(&bytes), None);
        }
    }

    #[test]
    fn every_single_bit_of_a_header_is_repaired_and_of_a_payload_is_noticed() {
        let bytes = frame(3, 4, 5, "q7", b"sealed");
        let original = Header::decode(&bytes).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let header = Header::decode(&damaged).or_else(|| Header::repair(&damaged)).unwrap();
            assert_eq!(header, original, "bit {bit}");
            assert_eq!(header.matches(&damaged[HEADER_BYTES..]), bit < HEADER_BYTES * 8, "bit {bit}");
        }
    }

    #[test]
    fn two_flipped_bits_are_never_taken_for_another_header() {
        let bytes = frame(3, 4, 5, "q7", b"");
        for first in (0..HEADER_BYTES * 8).step_by(7) {
            for second in (first + 1..HEADER_BYTES * 8).step_by(41) {
                let mut damaged = bytes.clone();
                damaged[first / 8] ^= 1 << (first % 8);
                damaged[second / 8] ^= 1 << (second % 8);
                assert_eq!(Header::decode(&damaged).or_else(|| Header::repair(&damaged)), None, "{first} {second}");
            }
        }
    }

    #[test]
    fn any_one_flipped_bit_of_a_payload_is_found_and_no_two() {
        let payload: Vec<u8> = (0..700_u32).map(|n| (n * 7) as u8).collect();
        let bytes = frame(9, 3, 0, "q7", &payload);
        let header = Header::decode(&bytes).unwrap();
        for bit in 0..payload.len() * 8 {
            let mut damaged = payload.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(header.put_right(&mut damaged), "bit {bit}");
            assert_eq!(damaged, payload, "bit {bit}");
            damaged[bit / 8] ^= 1 << (bit % 8);
            damaged[(bit / 8 + 13) % 700] ^= 1;
            assert!(!header.put_right(&mut damaged), "bit {bit} and another");
        }
        assert!(!header.put_right(&mut payload[1..].to_vec()));
    }
}
