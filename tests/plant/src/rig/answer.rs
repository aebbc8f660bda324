use std::time::Duration;

use super::fault::Fault;
use super::framing::{Framing, Request};
use super::{Shared, lock};

/// What a unit does for one request, step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Wait(Duration),
    Send(Vec<u8>),
    Close,
    Reset,
}

/// Of a serial line nobody answers for a unit that is not there; a converter with transactions does (exception 11).
pub(crate) fn answer(shared: &Shared, framing: Framing, request: &Request) -> Vec<Step> {
    shared.note(request.unit, request.pdu.first().copied().unwrap_or(0));
    let fault = shared.next_fault(request.unit);
    let Some(unit) = shared.units.get(&request.unit) else {
        let exception = [request.pdu[0] | 0x80, 11];
        let frame = framing.frame(request.transaction, request.unit, &exception);
        return if framing == Framing::Mbap { vec![Step::Send(frame)] } else { Vec::new() };
    };
    let extra = if let Fault::Count(extra) = fault { extra } else { 0 };
    let pattern = if let Fault::Pattern(pattern) = fault { Some(pattern) } else { None };
    if fault == Fault::Silence {
        return Vec::new();
    }
    if let (Fault::Hole(hole), [function, a, b, c, d]) = (&fault, &request.pdu[..]) {
        let (start, count) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
        if (start..start.saturating_add(count)).contains(hole) {
            return vec![Step::Send(framing.frame(request.transaction, request.unit, &[function | 0x80, 2]))];
        }
    }
    let pdu = match fault {
        // What a copy counts is forgotten with it.
        Fault::Frozen => lock(unit).clone().answer(&request.pdu, extra, pattern),
        _ => lock(unit).answer(&request.pdu, extra, pattern),
    };
    distort(shared, framing, request, &pdu, fault)
}

fn distort(shared: &Shared, framing: Framing, request: &Request, pdu: &[u8], fault: Fault) -> Vec<Step> {
    let of = |unit: u8, pdu: &[u8]| framing.frame(request.transaction, unit, pdu);
    let frame = of(request.unit, pdu);
    let header = |at: usize, value: u16| {
        let mut frame = frame.clone();
        if framing == Framing::Mbap {
            frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
        }
        vec![Step::Send(frame)]
    };
    let send = |parts: &[&[u8]]| vec![Step::Send(parts.concat())];
    match fault {
        Fault::None | Fault::Silence | Fault::Frozen | Fault::Count(_) | Fault::Pattern(_) | Fault::Hole(_) => {
            vec![Step::Send(frame)]
        }
        Fault::Late(time) => vec![Step::Wait(time), Step::Send(frame)],
        Fault::Drip(time) => frame.iter().flat_map(|byte| [Step::Send(vec![*byte]), Step::Wait(time)]).collect(),
        Fault::Torn(count) => send(&[&frame[..count.min(frame.len())]]),
        Fault::TornAndClosed(count) => vec![Step::Send(frame[..count.min(frame.len())].to_vec()), Step::Close],
        Fault::Closed => vec![Step::Close],
        Fault::Reset => vec![Step::Reset],
        Fault::Transaction(add) => header(0, request.transaction.wrapping_add(add)),
        Fault::Protocol(id) => header(2, id),
        Fault::Length(length) => header(4, length),
        Fault::Unit(unit) => send(&[&of(unit, pdu)]),
        Fault::Function(function) => send(&[&of(request.unit, &[&[function], &pdu[1..]].concat())]),
        Fault::ByteCount(count) => send(&[&of(request.unit, &[&pdu[..1], &[count], &pdu[2..]].concat())]),
        Fault::Before(bytes) => send(&[&bytes, &frame]),
        Fault::After(bytes) => send(&[&frame, &bytes]),
        Fault::Twice => send(&[&frame, &frame]),
        Fault::Merged(unit) => send(&[&frame, &of(unit, pdu)]),
        Fault::Flip(bit) => {
            let mut frame = frame;
            let bit = bit % (frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
            vec![Step::Send(frame)]
        }
        Fault::Exception(code) => send(&[&of(request.unit, &[request.pdu[0] | 0x80, code])]),
        Fault::ExceptionTo(function, code) => send(&[&of(request.unit, &[function | 0x80, code])]),
        Fault::Echo => send(&[&request.frame, &frame]),
        Fault::EchoOnly => send(&[&request.frame]),
        Fault::OtherMaster(unit) => {
            // Of our own unit it asks other registers: the same question would have the same answer.
            let mut question = request.pdu.clone();
            if unit == request.unit
                && let Some(address) = question.get_mut(2)
            {
                *address ^= 1;
            }
            // It begins no poll of its own, by which ours are judged.
            let answers =
                shared.units.get(&unit).map(|other| of(unit, &lock(other).clone().answer(&question, 0, None)));
            send(&[&of(unit, &question), &answers.unwrap_or_default(), &frame])
        }
        Fault::Flood(bytes) => {
            let flood = (0..bytes / 4096).map(|_| Step::Send(vec![0x5A; 4096]));
            flood.chain([Step::Send(frame)]).collect()
        }
    }
}
