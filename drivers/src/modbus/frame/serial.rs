use super::ask::Extent;
use super::{Exchange, Fault, Passed};

/// What a frame of a serial line, whose checksum is right, means for an exchange. `body`: unit and PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Answer,
    /// Not for us, and no obstacle.
    Pass(Passed),
    Broken(Fault),
}

pub(super) fn meaning(exchange: &Exchange, body: &[u8]) -> Meaning {
    let [unit, pdu @ ..] = body else { return Meaning::Broken(Fault::Checksum) };
    if *unit != exchange.unit {
        return Meaning::Pass(Passed { late: 0, foreign: 1 });
    }
    if exchange.owed.iter().any(|owed| owed.fits(pdu)) {
        return Meaning::Pass(Passed { late: 1, foreign: 0 });
    }
    match exchange.ask.extent(pdu) {
        Extent::Whole(length) if length == pdu.len() => Meaning::Answer,
        Extent::Wrong(fault) => Meaning::Broken(fault),
        Extent::Whole(length) => Meaning::Broken(Fault::Length { counted: body.len(), expected: length + 1 }),
        Extent::Unknown => Meaning::Broken(Fault::Length { counted: body.len(), expected: body.len() + 1 }),
    }
}
