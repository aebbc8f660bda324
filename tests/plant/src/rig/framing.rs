/// How a frame looks on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Mbap,
    Rtu,
    Ascii,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) transaction: u16,
    pub(crate) unit: u8,
    pub(crate) pdu: Vec<u8>,
    /// All of it.
    pub(crate) frame: Vec<u8>,
}

impl Framing {
    /// Cuts the first whole request off.
    pub(crate) fn next(self, bytes: &mut Vec<u8>) -> Option<Request> {
        let (length, transaction, body) = match self {
            Framing::Mbap => {
                let length = 6 + usize::from(u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?]));
                let body = bytes.get(6..length)?.to_vec();
                (length, u16::from_be_bytes([bytes[0], bytes[1]]), body)
            }
            Framing::Rtu => {
                let length = if *bytes.get(1)? == 0x2B { 7 } else { 8 };
                let frame = bytes.get(..length)?;
                let sum = u16::from_le_bytes([frame[length - 2], frame[length - 1]]);
                if sum != crc(&frame[..length - 2]) {
                    // As a device that waits for silence: what is there belongs to no request.
                    bytes.clear();
                    return None;
                }
                (length, 0, frame[..length - 2].to_vec())
            }
            Framing::Ascii => {
                let length = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
                let begin = bytes[..length].iter().rposition(|byte| *byte == b':').map_or(length, |at| at + 1);
                let digits = String::from_utf8_lossy(&bytes[begin.min(length - 2)..length - 2]).into_owned();
                let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
                let body: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
                let sum = body.iter().flatten().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
                let Some(mut body) = body.filter(|body| sum == 0 && body.len() > 2) else {
                    bytes.drain(..length);
                    return self.next(bytes);
                };
                body.pop();
                (length, 0, body)
            }
        };
        let frame = bytes.drain(..length).collect();
        let (unit, pdu) = body.split_first()?;
        Some(Request { transaction, unit: *unit, pdu: pdu.to_vec(), frame })
    }

    pub(crate) fn frame(self, transaction: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
        let body = [&[unit], pdu].concat();
        match self {
            Framing::Mbap => {
                let length = u16::try_from(body.len()).expect("a frame is short");
                [&transaction.to_be_bytes()[..], &[0, 0], &length.to_be_bytes(), &body].concat()
            }
            Framing::Rtu => [&body[..], &crc(&body).to_le_bytes()].concat(),
            Framing::Ascii => {
                let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
                let digits: String = body.iter().chain([&sum]).map(|byte| format!("{byte:02X}")).collect();
                format!(":{digits}\r\n").into_bytes()
            }
        }
    }
}

/// Bit by bit, as the standard tells it.
fn crc(bytes: &[u8]) -> u16 {
    let mut crc = 0xFFFF_u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            let is_odd = crc & 1 == 1;
            crc >>= 1;
            if is_odd {
                crc ^= 0xA001;
            }
        }
    }
    crc
}
