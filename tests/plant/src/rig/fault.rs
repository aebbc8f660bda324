use std::time::Duration;

/// What happens to one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// No answer.
    Silence,
    /// The right answer after this time; the unit does nothing else meanwhile.
    Late(Duration),
    /// Byte by byte, with this time between them.
    Drip(Duration),
    /// Only so many bytes of the frame, then silence.
    Torn(usize),
    /// Only so many bytes, and the connection is closed (a serial line: silence).
    TornAndClosed(usize),
    /// The connection is closed instead of an answer.
    Closed,
    /// The connection is reset instead of an answer.
    Reset,
    /// Added to the transaction id.
    Transaction(u16),
    Protocol(u16),
    /// Another length in the header.
    Length(u16),
    /// Another unit in a frame that is right otherwise.
    Unit(u8),
    Function(u8),
    /// So many registers more or fewer, in a frame that is right otherwise.
    Count(i16),
    /// Another byte count in front of the right bytes.
    ByteCount(u8),
    /// Stray bytes.
    Before(Vec<u8>),
    After(Vec<u8>),
    /// The answer, and again.
    Twice,
    /// The answer, and behind it in the same write the answer of this unit.
    Merged(u8),
    /// One bit of the frame is flipped, counted round its end.
    Flip(usize),
    Exception(u8),
    /// An exception to another function.
    ExceptionTo(u8, u8),
    /// The request comes back before the answer, as on a line with local echo.
    Echo,
    EchoOnly,
    /// Another master asks this unit and is answered, before our answer.
    OtherMaster(u8),
    /// So many bytes that nobody asked for, then the answer.
    Flood(usize),
    /// The registers hold this pattern.
    Pattern(u16),
    /// The answer of the next poll, again and again: nothing in the unit counts any more.
    Frozen,
    /// Exception 2 for every request that touches this register.
    Hole(u16),
}
