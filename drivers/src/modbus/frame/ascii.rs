use super::serial::{Meaning, meaning};
use super::{Exchange, Fault, Parsed, Passed};

/// `:`, every byte as two hexadecimal digits, CR LF.
pub(super) fn frame(body: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digits = |byte: u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    let mut frame = vec![b':'];
    frame.extend(body.iter().copied().chain([lrc(body)]).flat_map(digits));
    frame.extend(b"\r\n");
    frame
}

/// A frame begins at each `:` anew. An echo of the request is passed over once.
pub(super) fn parse(exchange: &Exchange, received: &[u8], is_quiet: bool) -> (Parsed, Passed) {
    let mut passed = Passed::default();
    let mut is_broken = false;
    let mut rest = received.strip_prefix(exchange.request()).unwrap_or(received);
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let line = &rest[..end];
        rest = &rest[end + 2..];
        let Some(begin) = line.iter().rposition(|byte| *byte == b':') else { continue };
        let Some(body) = decode(&line[begin + 1..]) else {
            is_broken = true;
            continue;
        };
        match meaning(exchange, &body) {
            Meaning::Answer => return (Parsed::Answer(body[1..].to_vec()), passed),
            Meaning::Broken(fault) => return (Parsed::Broken(fault), passed),
            Meaning::Pass(frame) => {
                passed.late += frame.late;
                passed.foreign += frame.foreign;
            }
        }
    }
    match is_broken && is_quiet {
        true => (Parsed::Broken(Fault::Checksum), passed),
        false => (Parsed::More, passed),
    }
}

/// Unit and PDU, if all is in order.
fn decode(digits: &[u8]) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || digits.len() > 512 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok();
    let mut bytes: Vec<u8> = digits.chunks_exact(2).map(byte).collect::<Option<_>>()?;
    let sum = bytes.pop()?;
    (bytes.len() >= 2 && sum == lrc(&bytes)).then_some(bytes)
}

/// Modbus over Serial Line V1.02, 6.2.1: the two's complement of the sum.
pub(super) fn lrc(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}
