use super::ask::{Ask, Extent};
use super::{Exchange, Fault, Framing, Parsed, copy};

/// Transaction, protocol id, length.
const HEADER: usize = 6;
/// Unit, function with its top bit set, exception code.
const EXCEPTION: usize = 3;
/// Unit and the longest PDU.
const COUNTED_MAX: usize = 254;

pub(super) fn request(transaction: u16, unit: u8, ask: Ask) -> Vec<u8> {
    let body = ask.body(unit);
    let [high, low] = transaction.to_be_bytes();
    let mut frame = vec![high, low, 0, 0, 0, u8::try_from(body.len()).expect("a request has at most 6 bytes")];
    frame.extend(body);
    frame
}

/// Refused as early as it can be: by the header before a byte of the body is there.
pub(super) fn parse(exchange: &Exchange, received: &[u8]) -> Parsed {
    if let Err(fault) = header(exchange, received) {
        return Parsed::Broken(fault);
    }
    let Some([high, low]) = received.get(4..HEADER) else { return Parsed::More };
    let counted = usize::from(u16::from_be_bytes([*high, *low]));
    let frame = HEADER + counted;
    let body = &received[HEADER..received.len().min(frame)];
    if let [unit, pdu @ ..] = body {
        if *unit != exchange.unit {
            return Parsed::Broken(Fault::Unit(*unit));
        }
        match exchange.ask.extent(pdu) {
            Extent::Wrong(fault) => return Parsed::Broken(fault),
            Extent::Whole(length) if length + 1 != counted => {
                return Parsed::Broken(Fault::Length { counted, expected: length + 1 });
            }
            Extent::Unknown if body.len() == counted => {
                return Parsed::Broken(Fault::Length { counted, expected: counted + 1 });
            }
            Extent::Whole(_) | Extent::Unknown => {}
        }
    }
    match received.len().cmp(&frame) {
        std::cmp::Ordering::Less if exchange.framing == Framing::Datagram => {
            Parsed::Broken(Fault::Length { counted: received.len().saturating_sub(HEADER), expected: counted })
        }
        std::cmp::Ordering::Less => Parsed::More,
        std::cmp::Ordering::Equal => Parsed::Answer(copy(received, HEADER + 1..frame)),
        std::cmp::Ordering::Greater => Parsed::Broken(Fault::Unasked),
    }
}

fn header(exchange: &Exchange, received: &[u8]) -> Result<(), Fault> {
    let field = |at: usize| received.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    if field(0).is_some_and(|transaction| transaction != exchange.transaction) {
        return Err(Fault::Transaction);
    }
    if let Some(protocol) = field(2).filter(|protocol| *protocol != 0) {
        return Err(Fault::ProtocolId(protocol));
    }
    let Some(counted) = field(4).map(usize::from) else { return Ok(()) };
    let is_due = match exchange.ask.length() {
        Some(length) => counted == length + 1 || counted == EXCEPTION,
        None => (EXCEPTION..=COUNTED_MAX).contains(&counted),
    };
    let expected = exchange.ask.length().map_or(COUNTED_MAX, |length| length + 1);
    if is_due { Ok(()) } else { Err(Fault::Length { counted, expected }) }
}
