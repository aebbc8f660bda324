//! Bytes on the wire, without a wire: how a request looks in each framing, and which bytes answer it.
//!
//! | framing | request | what ties an answer to it |
//! |---|---|---|
//! | MBAP (Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3) | transaction, 0, length, unit, PDU | all of these |
//! | RTU (Modbus over Serial Line V1.02, 2.5.1) | unit, PDU, CRC | unit, function, length, CRC |
//! | ASCII (the same, 2.5.2) | `:` unit, PDU, LRC as hexadecimal digits, CR LF | unit, function, length, LRC |
//!
//! The two serial framings have no transaction id. So an exchange also knows which answers are still *owed*: those of
//! requests that were given up. A frame that looks like one of them is never taken, even if it looks right otherwise.

mod ascii;
mod ask;
mod mbap;
mod rtu;
mod serial;

use std::fmt;
use std::ops::Range;

pub(crate) use ask::{Ask, Shape};
#[cfg(test)]
pub(crate) use rtu::crc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Mbap,
    /// MBAP where each datagram is one frame, so that a frame too many harms nobody.
    Datagram,
    Rtu,
    Ascii,
}

impl Framing {
    /// Answers carry the number of their request.
    pub(crate) fn has_transactions(self) -> bool {
        matches!(self, Framing::Mbap | Framing::Datagram)
    }
}

/// One request and what is known of its answer.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) framing: Framing,
    pub(crate) unit: u8,
    pub(crate) ask: Ask,
    transaction: u16,
    request: Vec<u8>,
    /// Answers that may still come to requests of before. Only without transactions.
    owed: Vec<Shape>,
}

/// What the bytes that came since the request say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    More,
    /// The answer: function code and all that follows it, without checksum.
    Answer(Vec<u8>),
    Broken(Fault),
}

/// A frame between the request and its answer that is neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Answers to requests that were given up.
    pub(crate) late: u64,
    /// From other units or to them.
    pub(crate) foreign: u64,
}

/// How an answer broke the protocol. Never tells a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    ProtocolId(u16),
    Length { counted: usize, expected: usize },
    Transaction,
    Unit(u8),
    Function(u8),
    Checksum,
    /// More bytes than the answer.
    Unasked,
    /// Another master asked this unit between our request and its answer.
    Contested,
}

impl Exchange {
    pub(crate) fn new(framing: Framing, transaction: u16, unit: u8, ask: Ask) -> Exchange {
        let request = match framing {
            Framing::Mbap | Framing::Datagram => mbap::request(transaction, unit, ask),
            Framing::Rtu => rtu::frame(&ask.body(unit)),
            Framing::Ascii => ascii::frame(&ask.body(unit)),
        };
        Exchange { framing, unit, ask, transaction, request, owed: Vec::new() }
    }

    pub(crate) fn owing(self, owed: Vec<Shape>) -> Exchange {
        Exchange { owed, ..self }
    }

    pub(crate) fn request(&self) -> &[u8] {
        &self.request
    }

    /// The longest frame (260 bytes, Application Protocol V1.1b3, 4.1; on a serial line 256, 513 in ASCII), and on a
    /// serial line room for an echo of the request and a few foreign frames before it.
    pub(crate) fn room(&self) -> usize {
        match self.framing {
            Framing::Mbap => 260,
            // One byte more shows a datagram that is too long.
            Framing::Datagram => 261,
            Framing::Rtu => 1024,
            Framing::Ascii => 2048,
        }
    }

    /// `is_quiet`: nothing came for a while, so that what is there is whole or will never be.
    pub(crate) fn parse(&self, received: &[u8], is_quiet: bool) -> (Parsed, Passed) {
        match self.framing {
            Framing::Mbap | Framing::Datagram => (mbap::parse(self, received), Passed::default()),
            Framing::Rtu => rtu::parse(self, received, is_quiet),
            Framing::Ascii => ascii::parse(self, received, is_quiet),
        }
    }
}

fn copy(bytes: &[u8], range: Range<usize>) -> Vec<u8> {
    bytes.get(range).unwrap_or_default().to_vec()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::ProtocolId(id) => write!(f, "an answer with protocol id {id}, which is not Modbus"),
            Fault::Length { counted, expected } => write!(
                f,
                "an answer of {counted} bytes where {expected} were due for the registers that were asked; compare the \
                 points' registers and max_registers with the device's manual"
            ),
            Fault::Transaction => f.write_str("an answer with a transaction id that was not asked"),
            Fault::Unit(unit) => write!(f, "an answer of unit {unit}, which was not asked"),
            Fault::Function(function) => write!(f, "an answer to function {function}, which was not asked"),
            Fault::Checksum => f.write_str("an answer whose checksum is wrong"),
            Fault::Unasked => f.write_str("more bytes than the answer"),
            Fault::Contested => f.write_str("another master asked the same unit at the same time"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests;
