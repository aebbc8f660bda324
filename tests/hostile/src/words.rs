//! Misbehaviour as words: `late 120ms`, `count -1`, `frame size=8`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use lingate_plant::opcua::{Frame, Say, When};
use lingate_plant::rig::Fault;

/// What happens to one answer of a Modbus unit.
pub(crate) fn fault(text: &str) -> Result<Fault> {
    let (word, rest) = split(text);
    Ok(match word {
        "none" => Fault::None,
        "silence" => Fault::Silence,
        "closed" => Fault::Closed,
        "reset" => Fault::Reset,
        "twice" => Fault::Twice,
        "echo" => Fault::Echo,
        "echo-only" => Fault::EchoOnly,
        "frozen" => Fault::Frozen,
        "late" => Fault::Late(milliseconds(rest)?),
        "drip" => Fault::Drip(milliseconds(rest)?),
        "torn" => Fault::Torn(number(rest)?),
        "torn-and-closed" => Fault::TornAndClosed(number(rest)?),
        "transaction" => Fault::Transaction(number(rest)?),
        "protocol" => Fault::Protocol(number(rest)?),
        "length" => Fault::Length(number(rest)?),
        "unit" => Fault::Unit(number(rest)?),
        "function" => Fault::Function(number(rest)?),
        "count" => Fault::Count(number(rest)?),
        "byte-count" => Fault::ByteCount(number(rest)?),
        "before" => Fault::Before(hex(rest)?),
        "after" => Fault::After(hex(rest)?),
        "merged" => Fault::Merged(number(rest)?),
        "flip" => Fault::Flip(number(rest)?),
        "exception" => Fault::Exception(number(rest)?),
        "exception-to" => {
            let (function, code) = split(rest);
            Fault::ExceptionTo(number(function)?, number(code)?)
        }
        "other-master" => Fault::OtherMaster(number(rest)?),
        "flood" => Fault::Flood(number(rest)?),
        _ => bail!("{text:?} is nothing that a Modbus unit can do"),
    })
}

/// An occasion of an OPC UA server: OPC 10000-6, annex A, for the numbers of the requests.
pub(crate) fn when(text: &str) -> Result<When> {
    Ok(match text {
        "hello" => When::Hello,
        "open" => When::Open,
        "renew" => When::Renew,
        "get-endpoints" => When::Service(428),
        "create-session" => When::Service(461),
        "activate-session" => When::Service(467),
        "read" => When::Service(631),
        "create-items" => When::Service(751),
        "create-subscription" => When::Service(787),
        "publish" => When::Service(826),
        _ => When::Service(number(text)?),
    })
}

/// What an OPC UA server says on an occasion.
pub(crate) fn say(text: &str) -> Result<Say> {
    let (word, rest) = split(text);
    Ok(match word {
        "silence" => Say::Silence,
        "close" => Say::Close,
        "drip" => Say::Drip(milliseconds(rest)?),
        "again" => Say::Again(number(rest)?),
        "fault" => Say::Fault(u32::from_str_radix(rest.trim_start_matches("0x"), 16)?.into()),
        "body" => Say::Body(hex(rest)?),
        "bytes" => {
            let (times, bytes) = split(rest);
            Say::Bytes(hex(bytes)?, number(times)?)
        }
        "flood" => {
            let (chunks, size) = split(rest);
            Say::Flood {
                chunks: number(chunks)?,
                size: number(size.trim_end_matches(" spread"))?,
                is_spread: size.ends_with("spread"),
            }
        }
        "frame" => Say::Frame(frame(rest)?),
        _ => bail!("{text:?} is nothing that an OPC UA server can say"),
    })
}

fn frame(text: &str) -> Result<Frame> {
    let mut frame = Frame::default();
    for part in text.split_whitespace() {
        let (name, value) = part.split_once('=').with_context(|| format!("{part:?} sets nothing"))?;
        match name {
            "size" => frame.size = Some(number(value)?),
            "sequence" => frame.sequence = Some(number(value)?),
            "request" => frame.request = Some(number(value)?),
            "channel" => frame.channel = Some(number(value)?),
            "token" => frame.token = Some(number(value)?),
            "kind" => frame.kind = value.bytes().next(),
            "message" => frame.message = Some(value.as_bytes().try_into()?),
            _ => bail!("{name:?} is no part of a chunk's header"),
        }
    }
    Ok(frame)
}

/// The first word, and what follows.
pub(crate) fn split(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (word, rest.trim())
}

pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().ok().with_context(|| format!("{text:?} is no number that fits here"))
}

fn milliseconds(text: &str) -> Result<Duration> {
    Ok(Duration::from_millis(number(text.trim_end_matches("ms"))?))
}

/// `00ff`, or `00ff*300` for so many of them.
pub(crate) fn hex(text: &str) -> Result<Vec<u8>> {
    let (digits, times) = text.split_once('*').unwrap_or((text, "1"));
    if digits.len() % 2 != 0 || !digits.is_ascii() {
        bail!("{digits:?} are no bytes in hex");
    }
    let bytes = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
    Ok(bytes.collect::<Result<Vec<u8>, _>>()?.repeat(number(times)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_a_peer_does_and_nothing_else_is() {
        assert_eq!(fault("late 120ms").unwrap(), Fault::Late(Duration::from_millis(120)));
        assert_eq!(fault("count -1").unwrap(), Fault::Count(-1));
        assert_eq!(fault("before a5*3").unwrap(), Fault::Before(vec![0xA5; 3]));
        assert_eq!(format!("{:?}", say("frame size=8 kind=C").unwrap()), "frame");
        for wrong in ["", "explode", "count many", "before a", "transaction 65536"] {
            assert!(fault(wrong).is_err(), "{wrong:?}");
        }
        assert!(say("frame colour=7").is_err() && when("noon").is_err());
    }
}
