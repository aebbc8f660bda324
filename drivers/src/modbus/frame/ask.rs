use super::super::plan::Request;
use super::super::register::Area;
use super::Fault;

/// Everything that can be asked. There is no write among it, and bytes for a device are made nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Read {
        area: Area,
        start: u16,
        /// 1 to 125 registers, 1 to 2,000 bits.
        count: u16,
    },
    /// Read Device Identification (43/14, Application Protocol V1.1b3, 6.21).
    Identify {
        /// 1: basic.
        level: u8,
        object: u8,
    },
}

/// What tells one answer from another where there are no transaction ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    function: u8,
    /// Of the PDU; `None`: any.
    length: Option<usize>,
}

/// What the first bytes of a PDU say of its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Unknown,
    Whole(usize),
    Wrong(Fault),
}

const IDENTIFY: u8 = 0x2B;
const IDENTIFY_TYPE: u8 = 0x0E;
const IS_EXCEPTION: u8 = 0x80;

impl Ask {
    pub(crate) fn of(request: &Request) -> Ask {
        Ask::Read { area: request.start.area, start: request.start.address, count: request.count }
    }

    fn function(self) -> u8 {
        match self {
            Ask::Read { area, .. } => area as u8,
            Ask::Identify { .. } => IDENTIFY,
        }
    }

    /// Unit and PDU.
    pub(super) fn body(self, unit: u8) -> Vec<u8> {
        match self {
            Ask::Read { area, start, count } => {
                let ([a, b], [c, d]) = (start.to_be_bytes(), count.to_be_bytes());
                vec![unit, area as u8, a, b, c, d]
            }
            Ask::Identify { level, object } => vec![unit, IDENTIFY, IDENTIFY_TYPE, level, object],
        }
    }

    /// Bytes of the PDU that is due, if they are known beforehand.
    pub(crate) fn length(self) -> Option<usize> {
        match self {
            Ask::Read { area, count, .. } if area.is_bits() => Some(2 + usize::from(count.div_ceil(8))),
            Ask::Read { count, .. } => Some(2 + 2 * usize::from(count)),
            Ask::Identify { .. } => None,
        }
    }

    pub(crate) fn shape(self) -> Shape {
        Shape { function: self.function(), length: self.length() }
    }

    /// The same block from its begin, of another shape than any of `owed`. The device answers in order: once this is
    /// answered, nothing of before can come any more.
    pub(crate) fn distinct_from(self, owed: &[Shape]) -> Option<Ask> {
        let Ask::Read { area, start, count } = self else { return None };
        let shorter = (1..count).rev().map(|count| Ask::Read { area, start, count });
        shorter.into_iter().find(|ask| !owed.contains(&ask.shape()))
    }

    pub(super) fn extent(self, pdu: &[u8]) -> Extent {
        let [function, rest @ ..] = pdu else { return Extent::Unknown };
        if *function == self.function() | IS_EXCEPTION {
            return Extent::Whole(2);
        }
        if *function != self.function() {
            return Extent::Wrong(Fault::Function(*function & !IS_EXCEPTION));
        }
        match (self.length(), rest) {
            (_, []) => Extent::Unknown,
            (Some(expected), [count, ..]) if usize::from(*count) + 2 == expected => Extent::Whole(expected),
            (Some(expected), [count, ..]) => {
                // As the header of a frame counts: the unit is one of them.
                Extent::Wrong(Fault::Length { counted: usize::from(*count) + 3, expected: expected + 1 })
            }
            (None, rest) => identification(rest),
        }
    }
}

impl Shape {
    /// Whether a PDU could be the answer that is owed. An exception answers requests of any length.
    pub(super) fn fits(self, pdu: &[u8]) -> bool {
        pdu.first() == Some(&self.function) && self.length.is_none_or(|length| length == pdu.len())
    }
}

/// Type, level, conformity, more, next, number of objects, and for each its id, length and bytes.
fn identification(rest: &[u8]) -> Extent {
    if rest.first().is_some_and(|kind| *kind != IDENTIFY_TYPE) {
        return Extent::Wrong(Fault::Function(IDENTIFY));
    }
    let Some(objects) = rest.get(5) else { return Extent::Unknown };
    let mut at = 6;
    for _ in 0..*objects {
        let Some(length) = rest.get(at + 1) else { return Extent::Unknown };
        at += 2 + usize::from(*length);
    }
    // The longest PDU is 253 bytes.
    if at >= 253 { Extent::Wrong(Fault::Length { counted: at + 2, expected: 254 }) } else { Extent::Whole(at + 1) }
}
