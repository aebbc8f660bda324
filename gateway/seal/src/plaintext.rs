//! What is under the encryption: `codec (1 byte) || uvarint length || body || zero padding`.

use prost::Message;

use crate::wire;

/// Decompressed body at most, in bytes.
pub const BODY_MAX: usize = 16 * 1024 * 1024;

const RAW: u8 = 0;
const ZSTD: u8 = 1;
/// Longest uvarint of a length below [`BODY_MAX`].
const LENGTH_MAX: usize = 4;
const ZSTD_LEVEL: i32 = 3;
/// A larger multiple would only fill memory and link.
const PADDING_MAX: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaintextRefused {
    #[error("the plaintext ends before its body")]
    Truncated,
    #[error("the plaintext's codec is not known")]
    Codec,
    #[error("the body is larger than its bound")]
    TooLarge,
    #[error("the compressed body is broken")]
    Compression,
    #[error("the padding is not zero")]
    Padding,
    #[error("the body is not a lingate.v1.Sealed message")]
    Body,
}

/// The body, decompressed within [`BODY_MAX`].
pub fn unpack(plaintext: &[u8]) -> Result<Vec<u8>, PlaintextRefused> {
    let (codec, rest) = plaintext.split_first().ok_or(PlaintextRefused::Truncated)?;
    let (length, rest) = decode_length(rest)?;
    let (body, padding) = rest.split_at_checked(length).ok_or(PlaintextRefused::Truncated)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(PlaintextRefused::Padding);
    }
    match *codec {
        RAW => Ok(body.to_vec()),
        ZSTD => decompress(body),
        _ => Err(PlaintextRefused::Codec),
    }
}

/// The message inside of a body.
pub fn parse_body(body: &[u8]) -> Result<wire::sealed::Message, PlaintextRefused> {
    wire::Sealed::decode(body).ok().and_then(|sealed| sealed.message).ok_or(PlaintextRefused::Body)
}

/// The frame promises its size, and memory is only taken for that much.
fn decompress(body: &[u8]) -> Result<Vec<u8>, PlaintextRefused> {
    let size = match zstd::zstd_safe::get_frame_content_size(body) {
        Ok(Some(size)) => usize::try_from(size).map_err(|_| PlaintextRefused::TooLarge)?,
        _ => return Err(PlaintextRefused::Compression),
    };
    if size > BODY_MAX {
        return Err(PlaintextRefused::TooLarge);
    }
    let plain = zstd::bulk::decompress(body, size).map_err(|_| PlaintextRefused::Compression)?;
    (plain.len() == size).then_some(plain).ok_or(PlaintextRefused::Compression)
}

fn decode_length(bytes: &[u8]) -> Result<(usize, &[u8]), PlaintextRefused> {
    let mut length = 0;
    for (at, byte) in bytes.iter().take(LENGTH_MAX).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((length, &bytes[at + 1..]));
        }
    }
    Err(if bytes.len() < LENGTH_MAX { PlaintextRefused::Truncated } else { PlaintextRefused::TooLarge })
}

/// Packs bodies one after the other, with the compressor's memory kept between them.
pub(crate) struct Packer {
    compressor: zstd::bulk::Compressor<'static>,
    compressed: Vec<u8>,
    /// 0: no padding.
    padding: usize,
}

impl Packer {
    pub(crate) fn new(padding: u32) -> Packer {
        let compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).expect("the level is one that zstd has");
        Packer { compressor, compressed: Vec::new(), padding: (padding as usize).min(PADDING_MAX) }
    }

    /// With room for the tag, so that encryption happens in place. `body` is at most [`BODY_MAX`] long.
    pub(crate) fn pack(&mut self, body: &[u8]) -> Vec<u8> {
        let (codec, content) = match self.compress(body) {
            true => (ZSTD, self.compressed.as_slice()),
            false => (RAW, body),
        };
        let mut plaintext = Vec::with_capacity(content.len() + self.padding + 32);
        plaintext.push(codec);
        encode_length(content.len(), &mut plaintext);
        plaintext.extend_from_slice(content);
        if self.padding > 1 {
            plaintext.resize(plaintext.len().next_multiple_of(self.padding), 0);
        }
        plaintext
    }

    /// Whether it became smaller.
    fn compress(&mut self, body: &[u8]) -> bool {
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(body.len()));
        match self.compressor.compress_to_buffer(body, &mut self.compressed) {
            Ok(length) => length < body.len(),
            Err(_) => false,
        }
    }
}

fn encode_length(mut length: usize, bytes: &mut Vec<u8>) {
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_packed_unpacks_to_the_same_bytes(
            body in proptest::collection::vec(0_u8..4, 0..600), noise: Vec<u8>, padding in 0_u32..300,
        ) {
            for body in [body, noise] {
                let plaintext = Packer::new(padding).pack(&body);
                prop_assert_eq!(plaintext.len() % padding.max(1) as usize, 0);
                prop_assert_eq!(unpack(&plaintext), Ok(body));
            }
        }

        #[test]
        fn any_plaintext_ends_without_panic(bytes: Vec<u8>) {
            let _ = unpack(&bytes).map(|body| parse_body(&body));
        }
    }

    #[test]
    fn a_body_that_would_grow_stays_raw() {
        assert_eq!(Packer::new(0).pack(b"abc"), [RAW, 3, b'a', b'b', b'c']);
        assert_eq!(Packer::new(0).pack(&[7; 4000])[0], ZSTD);
    }

    #[test]
    fn a_bomb_is_refused_before_memory_is_taken() {
        let bomb = zstd::bulk::compress(&vec![0; BODY_MAX + 1], 3).unwrap();
        let mut plaintext = vec![ZSTD];
        encode_length(bomb.len(), &mut plaintext);
        plaintext.extend_from_slice(&bomb);
        assert_eq!(unpack(&plaintext), Err(PlaintextRefused::TooLarge));
    }

    #[test]
    fn padding_that_carries_something_is_refused() {
        assert_eq!(unpack(&[RAW, 1, 7, 0, 0]), Ok(vec![7]));
        assert_eq!(unpack(&[RAW, 1, 7, 0, 1]), Err(PlaintextRefused::Padding));
        assert_eq!(unpack(&[RAW, 2, 7]), Err(PlaintextRefused::Truncated));
        assert_eq!(unpack(&[9, 0]), Err(PlaintextRefused::Codec));
    }
}
