use super::*;

const POLICY: &str = "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256";

fn limits() -> Limits {
    Limits { chunk: 8192, message: 20_000, policy_uri: POLICY, certificate: Some(Arc::from(&b"certificate"[..])) }
}

fn frame(kind: &[u8; 4], size: u32) -> Vec<u8> {
    let mut frame = [&kind[..], &size.to_le_bytes()].concat();
    frame.resize(size as usize, 0);
    frame
}

fn header(kind: &[u8; 4], size: u32) -> Vec<u8> {
    [&kind[..], &size.to_le_bytes()].concat()
}

fn opening(policy: &str, certificate: &[u8]) -> Vec<u8> {
    let text = |bytes: &[u8]| [&i32::try_from(bytes.len()).expect("short").to_le_bytes()[..], bytes].concat();
    let body = [&[1, 0, 0, 0][..], &text(policy.as_bytes()), &text(certificate), &text(&[7; 20]), &[0; 40]].concat();
    let size = u32::try_from(body.len() + HEADER).expect("short");
    [&header(b"OPNF", size)[..], &body].concat()
}

/// In one piece and byte by byte: what a guard says does not depend on how the network cuts.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "the cases read better")]
fn check(stream: &[u8], expected: Result<(), Breach>) {
    for piece in [1, 7, stream.len().max(1)] {
        let mut frames = Frames::new(limits());
        let passed = stream.chunks(piece).try_for_each(|bytes| frames.pass(bytes, &Watch::default()));
        assert_eq!(passed, expected, "in pieces of {piece}");
    }
}

fn after_acknowledge(rest: &[u8]) -> Vec<u8> {
    [&frame(b"ACKF", 28)[..], rest].concat()
}

#[test]
fn an_honest_conversation_passes() {
    let mut stream = after_acknowledge(&opening(POLICY, b"certificate"));
    for kind in [b"MSGF", b"MSGC", b"MSGC", b"MSGF", b"MSGC", b"MSGA", b"MSGF"] {
        stream.extend(frame(kind, 8192));
    }
    stream.extend(frame(b"ERRF", 20));
    check(&stream, Ok(()));
}

#[test]
fn a_size_that_cannot_be_is_refused_by_its_header_alone() {
    for size in [0, 1, 7, 8, 23, 8193, 1 << 31, u32::MAX] {
        check(&after_acknowledge(&header(b"MSGF", size)), Err(Breach::Size { kind: *b"MSG", size }));
        check(&after_acknowledge(&header(b"OPNF", size)), Err(Breach::Size { kind: *b"OPN", size }));
    }
    for size in [0, 27, 29, u32::MAX] {
        check(&header(b"ACKF", size), Err(Breach::Size { kind: *b"ACK", size }));
    }
    check(&header(b"ERRF", 70_000), Err(Breach::Size { kind: *b"ERR", size: 70_000 }));
}

#[test]
fn a_frame_that_a_server_never_sends_is_refused() {
    for kind in [b"HELF", b"RHEF", b"CLOF", b"MSGX", b"OPNC", b"ACKC", b"\0\0\0\0"] {
        check(&after_acknowledge(&header(kind, 100)), Err(Breach::Type(*kind)));
    }
    check(&header(b"MSGF", 100), Err(Breach::Type(*b"MSGF")));
    check(&after_acknowledge(&header(b"ACKF", 28)), Err(Breach::Type(*b"ACKF")));
}

#[test]
fn chunks_without_an_end_are_refused() {
    let mut stream = after_acknowledge(&[]);
    for _ in 0..4 {
        stream.extend(frame(b"MSGC", 8192));
    }
    check(&stream, Err(Breach::MessageTooLong));
    let small: Vec<u8> = std::iter::repeat_with(|| frame(b"MSGC", 24)).take(1100).flatten().collect();
    let wide = Limits { message: 1 << 20, ..limits() };
    let mut frames = Frames::new(wide);
    assert_eq!(frames.pass(&after_acknowledge(&small), &Watch::default()), Err(Breach::TooManyChunks));
}

#[test]
fn a_channel_of_another_policy_or_signer_is_refused() {
    check(&after_acknowledge(&opening("http://opcfoundation.org/UA/SecurityPolicy#None", b"certificate")), Err(Breach::Policy));
    check(&after_acknowledge(&opening(POLICY, b"another")), Err(Breach::Certificate));
    check(&after_acknowledge(&opening(POLICY, b"")), Err(Breach::Certificate));
    check(&after_acknowledge(&frame(b"OPNF", 24)), Err(Breach::Policy));
    let mut claims_too_much = frame(b"OPNF", 40);
    claims_too_much[12..16].copy_from_slice(&i32::MAX.to_le_bytes());
    check(&after_acknowledge(&claims_too_much), Err(Breach::Policy));
}
