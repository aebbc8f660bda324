use super::serial::{Meaning, meaning};
use super::{Exchange, Fault, Parsed, Passed, copy};

/// Unit, function and checksum.
const SHORTEST: usize = 4;
/// Of a read and of a write of one value: unit, function, two fields, checksum.
const REQUEST: usize = 8;

/// A body with its checksum, low byte first.
pub(super) fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = body.to_vec();
    frame.extend(crc(body).to_le_bytes());
    frame
}

/// Frames one after the other from the begin; what is no frame is noise. Noise is passed over only when the line is
/// quiet or when our answer stands behind it whole: until then it may be the begin of a longer frame.
pub(super) fn parse(exchange: &Exchange, received: &[u8], is_quiet: bool) -> (Parsed, Passed) {
    let mut passed = Passed::default();
    let mut at = echo(exchange, received);
    let mut has_noise = false;
    while at < received.len() {
        let rest = &received[at..];
        if let Some(length) = whole(exchange, rest) {
            match meaning(exchange, &rest[..length - 2]) {
                Meaning::Answer => return (Parsed::Answer(copy(rest, 1..length - 2)), passed),
                Meaning::Broken(_) if is_request(rest, length) => return (Parsed::Broken(Fault::Contested), passed),
                Meaning::Broken(fault) => return (Parsed::Broken(fault), passed),
                Meaning::Pass(frame) => {
                    passed.late += frame.late;
                    passed.foreign += frame.foreign;
                    at += length;
                    continue;
                }
            }
        }
        if could_become_a_frame(exchange, rest) && !is_quiet && !has_noise {
            return (Parsed::More, passed);
        }
        has_noise = true;
        at += 1;
    }
    let is_long_enough = received.len() >= exchange.ask.length().map_or(SHORTEST + 1, |length| length + 3);
    match has_noise && is_quiet && is_long_enough {
        true => (Parsed::Broken(Fault::Checksum), passed),
        false => (Parsed::More, passed),
    }
}

/// A line with local echo repeats the request before the answer. Until it differs from the request it is one: the
/// request for 17 to 24 bits at an address from 0x0300 is, byte for byte, a valid answer to itself.
fn echo(exchange: &Exchange, received: &[u8]) -> usize {
    let request = exchange.request();
    let is_echo = received.len() >= request.len() && received.starts_with(request);
    if is_echo { request.len() } else { 0 }
}

/// The length of a frame with a right checksum at the begin of `bytes`.
fn whole(exchange: &Exchange, bytes: &[u8]) -> Option<usize> {
    let lengths = lengths(exchange, bytes);
    lengths.into_iter().flatten().find(|length| {
        let Some((body, sum)) = bytes.get(..*length).and_then(|frame| frame.split_last_chunk::<2>()) else { return false };
        u16::from_le_bytes(*sum) == crc(body)
    })
}

fn could_become_a_frame(exchange: &Exchange, bytes: &[u8]) -> bool {
    bytes.len() < 3 || lengths(exchange, bytes).into_iter().flatten().any(|length| length > bytes.len())
}

/// As answer and as request. The unit that was asked is taken at its word in any function; of others, those functions
/// whose lengths are in the standard.
fn lengths(exchange: &Exchange, bytes: &[u8]) -> [Option<usize>; 2] {
    let &[unit, function, third, ..] = bytes else { return [None, None] };
    let counted = SHORTEST + 1 + usize::from(third);
    match function {
        1..=4 => [Some(counted), Some(REQUEST)],
        5 | 6 => [None, Some(REQUEST)],
        15 | 16 => [bytes.get(6).map(|count| REQUEST + 1 + usize::from(*count)), Some(REQUEST)],
        0x2B if unit == exchange.unit => [identification(exchange, bytes), Some(7)],
        0x81..=0xFF => [Some(SHORTEST + 1), None],
        _ => [None, None],
    }
}

fn identification(exchange: &Exchange, bytes: &[u8]) -> Option<usize> {
    match exchange.ask.extent(&bytes[1..]) {
        super::ask::Extent::Whole(length) => Some(length + 3),
        // Longer than what is there.
        super::ask::Extent::Unknown => Some(bytes.len() + 1),
        super::ask::Extent::Wrong(_) => None,
    }
}

fn is_request(bytes: &[u8], length: usize) -> bool {
    length == REQUEST && bytes.get(2).is_some_and(|third| usize::from(*third) + SHORTEST + 1 != REQUEST)
}

/// CRC-16 of Modbus over Serial Line V1.02, 6.2.2.
pub(crate) fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| (crc >> 8) ^ TABLE[usize::from((crc as u8) ^ byte)])
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut crc, mut bit) = (index as u16, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};
