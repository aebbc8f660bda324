//! Which bytes are an answer, and which never.

use proptest::prelude::*;

use super::super::register::Area;

use super::*;

const TWO: Ask = Ask::Read { area: Area::Holding, start: 0x6B, count: 2 };

fn exchange(framing: Framing, ask: Ask) -> Exchange {
    Exchange::new(framing, 0x1234, 0x11, ask)
}

fn rtu(body: &[u8]) -> Vec<u8> {
    rtu::frame(body)
}

#[track_caller]
fn check(framing: Framing, ask: Ask, received: &[u8], expected: &Parsed) {
    assert_eq!(exchange(framing, ask).parse(received, false).0, *expected, "{received:02x?}");
}

#[test]
fn requests_are_those_of_the_standards_examples() {
    let bits = Ask::Read { area: Area::Coil, start: 0x13, count: 0x13 };
    assert_eq!(exchange(Framing::Mbap, TWO).request(), [0x12, 0x34, 0, 0, 0, 6, 0x11, 3, 0, 0x6B, 0, 2]);
    assert_eq!(exchange(Framing::Rtu, bits).request(), [0x11, 1, 0, 0x13, 0, 0x13, 0x8E, 0x92]);
    assert_eq!(exchange(Framing::Ascii, bits).request(), b":1101001300" .iter().chain(b"13C8\r\n").copied().collect::<Vec<_>>());
    let identify = Ask::Identify { level: 1, object: 0 };
    assert_eq!(exchange(Framing::Mbap, identify).request()[4..], [0, 5, 0x11, 0x2B, 0x0E, 1, 0]);
    // Modbus over Serial Line V1.02, 6.2.2: the example's checksum, low byte first on the wire.
    assert_eq!(crc(&[2, 7]), 0x1241);
}

#[test]
fn nothing_but_the_four_reads_and_the_identification_can_be_asked() {
    let asks = Area::ALL.map(|area| Ask::Read { area, start: 7, count: 1 });
    let asks = asks.into_iter().chain([Ask::Identify { level: 1, object: 0 }]);
    let functions: Vec<u8> = asks.map(|ask| exchange(Framing::Mbap, ask).request()[7]).collect();
    assert_eq!(functions, [1, 2, 3, 4, 0x2B]);
}

#[test]
fn the_answer_that_is_due_and_an_exception_pass_in_every_framing() {
    let pdus: [&[u8]; 2] = [&[3, 4, 0, 7, 0, 8], &[0x83, 2]];
    for pdu in pdus {
        let body = [&[0x11], pdu].concat();
        let mbap = [&[0x12, 0x34, 0, 0, 0, body.len() as u8], body.as_slice()].concat();
        check(Framing::Mbap, TWO, &mbap, &Parsed::Answer(pdu.to_vec()));
        check(Framing::Datagram, TWO, &mbap, &Parsed::Answer(pdu.to_vec()));
        check(Framing::Rtu, TWO, &rtu(&body), &Parsed::Answer(pdu.to_vec()));
        check(Framing::Ascii, TWO, &ascii::frame(&body), &Parsed::Answer(pdu.to_vec()));
        (0..mbap.len()).for_each(|end| check(Framing::Mbap, TWO, &mbap[..end], &Parsed::More));
        let frame = rtu(&body);
        (0..frame.len()).for_each(|end| check(Framing::Rtu, TWO, &frame[..end], &Parsed::More));
    }
}

#[test]
fn an_answer_of_any_other_length_is_refused_by_its_header() {
    for length in (0..=u16::MAX).filter(|length| !matches!(length, 3 | 7)).step_by(41).chain([1, 2, 5, 9, 253, 254, 255, 256, 260]) {
        let [high, low] = length.to_be_bytes();
        let fault = Fault::Length { counted: usize::from(length), expected: 7 };
        check(Framing::Mbap, TWO, &[0x12, 0x34, 0, 0, high, low], &Parsed::Broken(fault));
    }
    check(Framing::Mbap, TWO, &[0x12, 0x34, 0, 7], &Parsed::Broken(Fault::ProtocolId(7)));
    check(Framing::Mbap, TWO, &[0x12, 0x35], &Parsed::Broken(Fault::Transaction));
    check(Framing::Mbap, TWO, &[0x12, 0x34, 0, 0, 0, 7, 0x12], &Parsed::Broken(Fault::Unit(0x12)));
    check(Framing::Mbap, TWO, &[0x12, 0x34, 0, 0, 0, 7, 0x11, 4], &Parsed::Broken(Fault::Function(4)));
    check(Framing::Mbap, TWO, &[0x12, 0x34, 0, 0, 0, 3, 0x11, 3], &Parsed::More);
    let inner = Fault::Length { counted: 5, expected: 7 };
    check(Framing::Mbap, TWO, &[0x12, 0x34, 0, 0, 0, 7, 0x11, 3, 2], &Parsed::Broken(inner));
    check(Framing::Mbap, TWO, &[0x12, 0x34, 0, 0, 0, 7, 0x11, 3, 4, 0, 7, 0, 8, 0], &Parsed::Broken(Fault::Unasked));
}

#[test]
fn an_echo_is_no_answer_even_where_it_looks_like_one() {
    // 24 bits at 0x0300: the request reads as an answer of three bytes.
    let ask = Ask::Read { area: Area::Coil, start: 0x0300, count: 24 };
    for framing in [Framing::Rtu, Framing::Ascii] {
        let exchange = exchange(framing, ask);
        let frame = |body: &[u8]| if framing == Framing::Rtu { rtu(body) } else { ascii::frame(body) };
        assert_eq!(exchange.parse(exchange.request(), true).0, Parsed::More);
        let answer = frame(&[0x11, 1, 3, 1, 2, 3]);
        let both = [exchange.request(), &answer].concat();
        assert_eq!(exchange.parse(&both, false).0, Parsed::Answer(vec![1, 3, 1, 2, 3]));
    }
}

#[test]
fn other_units_are_passed_over_and_another_master_on_our_unit_is_not() {
    let answer = rtu(&[0x11, 3, 4, 0, 7, 0, 8]);
    let foreign = [rtu(&[0x12, 3, 0, 0, 0, 1]), rtu(&[0x12, 3, 2, 9, 9]), rtu(&[5, 16, 0, 0, 0, 1, 2, 7, 7])].concat();
    let (parsed, passed) = exchange(Framing::Rtu, TWO).parse(&[foreign, answer.clone()].concat(), false);
    assert_eq!((parsed, passed.foreign), (Parsed::Answer(vec![3, 4, 0, 7, 0, 8]), 3));
    let contested = [rtu(&[0x11, 3, 0, 0, 0, 2]), answer].concat();
    check(Framing::Rtu, TWO, &contested, &Parsed::Broken(Fault::Contested));
}

#[test]
fn an_answer_that_is_owed_to_an_earlier_request_is_never_taken() {
    let owing = |framing| exchange(framing, Ask::Read { area: Area::Holding, start: 0, count: 1 }).owing(vec![TWO.shape()]);
    let (late, due) = ([0x11, 3, 4, 0, 7, 0, 8], [0x11, 3, 2, 0, 9]);
    for (framing, frame) in [(Framing::Rtu, rtu::frame as fn(&[u8]) -> Vec<u8>), (Framing::Ascii, ascii::frame)] {
        assert_eq!(owing(framing).parse(&frame(&late), true).1, Passed { late: 1, foreign: 0 });
        let both = [frame(&late), frame(&due)].concat();
        assert_eq!(owing(framing).parse(&both, false).0, Parsed::Answer(due[1..].to_vec()));
    }
    let shapes = [TWO.shape(), Ask::Read { area: Area::Holding, start: 0, count: 3 }.shape()];
    let distinct = Ask::Read { area: Area::Holding, start: 9, count: 3 }.distinct_from(&shapes).unwrap();
    assert_eq!(distinct, Ask::Read { area: Area::Holding, start: 9, count: 1 });
    assert_eq!(distinct.distinct_from(&[]), None);
}

#[test]
fn noise_before_an_answer_costs_only_the_silence_and_a_flipped_bit_the_answer() {
    let answer = rtu(&[0x11, 3, 4, 0, 7, 0, 8]);
    for noise in [&[0][..], &[0xFF, 0x11], &[0x11, 3, 200], &[0x11, 3]] {
        let received = [noise, &answer].concat();
        assert_eq!(exchange(Framing::Rtu, TWO).parse(&received, true).0, Parsed::Answer(vec![3, 4, 0, 7, 0, 8]), "{noise:?}");
    }
    for bit in 0..answer.len() * 8 {
        let mut flipped = answer.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        for is_quiet in [false, true] {
            let parsed = exchange(Framing::Rtu, TWO).parse(&flipped, is_quiet).0;
            assert!(!matches!(parsed, Parsed::Answer(_)), "bit {bit}: {parsed:?}");
        }
    }
}

#[test]
fn an_identification_ends_where_its_objects_end() {
    let pdu = [0x2B, 0x0E, 1, 1, 0, 0, 2, 0, 2, b'A', b'B', 1, 1, b'C'];
    let ask = Ask::Identify { level: 1, object: 0 };
    let body = [&[0x11], &pdu[..]].concat();
    check(Framing::Rtu, ask, &rtu(&body), &Parsed::Answer(pdu.to_vec()));
    let mbap = [&[0x12, 0x34, 0, 0, 0, 15], body.as_slice()].concat();
    check(Framing::Mbap, ask, &mbap, &Parsed::Answer(pdu.to_vec()));
    let mut lies = mbap;
    lies[15] = 200;
    let parsed = exchange(Framing::Mbap, ask).parse(&lies, false).0;
    assert!(matches!(parsed, Parsed::Broken(_)), "{parsed:?}");
}

fn framings() -> impl Strategy<Value = Framing> {
    prop_oneof![Just(Framing::Mbap), Just(Framing::Datagram), Just(Framing::Rtu), Just(Framing::Ascii)]
}

proptest! {
    /// Garbage has one chance in 2^40 to be an answer of a serial line.
    #[test]
    fn no_garbage_is_an_answer_and_none_panics(
        framing in framings(),
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x11), Just(3), Just(b':'), Just(b'\r'), Just(b'\n')], 0..300),
        is_quiet in any::<bool>(),
    ) {
        let (parsed, _) = exchange(framing, TWO).parse(&bytes, is_quiet);
        prop_assert!(!matches!(parsed, Parsed::Answer(_)));
    }

    /// The library that others trust reads our frames as we do.
    #[test]
    fn tokio_modbus_reads_the_same_registers(words in prop::collection::vec(any::<u16>(), 1..=125)) {
        let ask = Ask::Read { area: Area::Input, start: 0, count: words.len() as u16 };
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let body = [&[0x11, 4, bytes.len() as u8], bytes.as_slice()].concat();
        let Parsed::Answer(pdu) = exchange(Framing::Rtu, ask).parse(&rtu(&body), false).0 else { panic!("no answer") };
        let answer = super::super::talk::answer(pdu, ask).unwrap();
        prop_assert_eq!(answer, super::super::talk::Answer::Registers(words));
    }
}
