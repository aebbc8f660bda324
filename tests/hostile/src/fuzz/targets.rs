//! Every parser of bytes that somebody else wrote, as a function of bytes.

use anyhow::{Context, Result};
use lingate_buffer::{Buffer, Settings, fake::FakeDisk};
use lingate_drivers::{modbus, opcua};
use lingate_model::{Priority, UtcMicros};
use lingate_seal::{
    Bundle, DataMessage, EpochReceipt, KeyMessage, Kid, Receipt, ReceiptMessage, RootSet, SigningKey, parse_body,
    unpack,
};

/// Of the committed bundle.
const NOW: UtcMicros = UtcMicros(1_795_500_000_000_000);

pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Honest inputs beside those in `corpus/NAME`.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Whether it was taken; a panic is a crash.
    pub(crate) run: fn(&[u8]) -> bool,
}

pub(crate) const TARGETS: [Target; 12] = [
    Target { name: "mbap", seeds: mbap, run: |bytes| modbus::fuzz::answer("mbap", bytes, true) },
    Target { name: "rtu", seeds: rtu, run: |bytes| modbus::fuzz::answer("rtu", bytes, true) },
    Target { name: "ascii", seeds: ascii, run: |bytes| modbus::fuzz::answer("ascii", bytes, true) },
    Target { name: "opcua-frame", seeds: opcua_frames, run: |bytes| opcua::fuzz::passed(bytes) == bytes.len() },
    Target { name: "mqtt-in", seeds: mqtt, run: mqtt_in },
    Target { name: "bundle", seeds: Vec::new, run: bundle },
    Target { name: "root", seeds: Vec::new, run: |bytes| RootSet::from_stored(bytes).is_ok() },
    Target { name: "cose-receipt", seeds: receipts, run: |bytes| ReceiptMessage::parse(bytes).is_ok() },
    Target { name: "cose-message", seeds: Vec::new, run: message },
    Target { name: "toml", seeds: toml, run: |bytes| lingate_config::load_bytes("lingate.toml", bytes).is_ok() },
    Target { name: "segment", seeds: Vec::new, run: segment },
    Target { name: "http", seeds: http, run: lingate::fuzz::http },
];

/// Ten registers of unit 17, as the request of `answer` asks for.
fn registers() -> Vec<u8> {
    [&[17, 3, 20][..], &[7; 20]].concat()
}

fn mbap() -> Vec<Vec<u8>> {
    vec![[&[0x12, 0x34, 0, 0, 0, 23][..], &registers()].concat(), vec![0x12, 0x34, 0, 0, 0, 3, 17, 0x83, 2]]
}

fn rtu() -> Vec<Vec<u8>> {
    let framed = |body: &[u8]| {
        let mut crc = 0xFFFF_u16;
        for byte in body {
            crc ^= u16::from(*byte);
            (0..8).for_each(|_| crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 });
        }
        [body, &crc.to_le_bytes()].concat()
    };
    vec![framed(&registers()), framed(&[17, 0x83, 2]), [framed(&[9, 3, 2, 0, 1]), framed(&registers())].concat()]
}

fn ascii() -> Vec<Vec<u8>> {
    let framed = |body: &[u8]| {
        let lrc = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
        let hex: String = body.iter().chain([&lrc]).map(|byte| format!("{byte:02X}")).collect();
        format!(":{hex}\r\n").into_bytes()
    };
    vec![framed(&registers()), framed(&[17, 0x83, 2])]
}

fn opcua_frames() -> Vec<Vec<u8>> {
    let acknowledge = [b"ACKF".as_slice(), &28_u32.to_le_bytes(), &[0; 20]].concat();
    let uri = b"http://opcfoundation.org/UA/SecurityPolicy#None";
    let open = [&1_u32.to_le_bytes()[..], &(uri.len() as u32).to_le_bytes(), uri, &[0xFF; 8], &[1; 40]].concat();
    let frame = |kind: &[u8], body: &[u8]| [kind, &(body.len() as u32 + 8).to_le_bytes(), body].concat();
    let (open, message) = (frame(b"OPNF", &open), frame(b"MSGF", &[2; 60]));
    let part = frame(b"MSGC", &[3; 60]);
    vec![[acknowledge.clone(), open, part, message].concat(), [acknowledge, frame(b"ERRF", &[0; 12])].concat()]
}

fn mqtt() -> Vec<Vec<u8>> {
    let publish = [&[0x32, 23, 0, 5][..], b"a/b/c", &[0, 7, 6, 3, 0, 3], b"x/y", b"hello"].concat();
    vec![
        vec![0x20, 9, 0, 0, 6, 0x21, 0, 10, 0x22, 0, 10],
        vec![0x40, 4, 0, 7, 0x10, 0],
        vec![0x90, 4, 0, 1, 0, 1],
        vec![0xD0, 0],
        vec![0xE0, 2, 0x8E, 0],
        publish,
    ]
}

fn mqtt_in(bytes: &[u8]) -> bool {
    let mut stream = bytes::BytesMut::from(bytes);
    (0..64).take_while(|_| rumqttc::Packet::read(&mut stream, Some(300 << 10)).is_ok()).count() > 0
}

fn bundle(bytes: &[u8]) -> bool {
    thread_local! {
        static ROOTS: RootSet = RootSet::from_stored(include_bytes!("../../corpus/root/root.json"))
            .expect("the committed root is good");
    }
    let gateway = "gw-e2e".parse().expect("a good name");
    ROOTS.with(|roots| Bundle::verify(bytes, roots, None, &gateway, NOW).is_ok())
}

fn receipts() -> Vec<Vec<u8>> {
    let signed = || -> Result<Vec<u8>> {
        let key = SigningKey::from_pkcs8(&SigningKey::generate_pkcs8(&mut Fixed)?).ok().context("a key")?;
        let epochs = (0..3).map(|n| EpochReceipt { kid: Kid([n; 8]), next: 7 << n, beyond: Vec::new() }).collect();
        let receipt = Receipt { issuer: "sandbox".to_owned(), gateway: "gw-e2e".to_owned(), issued_at: 1, epochs };
        Ok(receipt.sign(&key))
    };
    vec![signed().expect("a receipt can be signed")]
}

struct Fixed;

impl lingate_seal::Entropy for Fixed {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), lingate_seal::EntropyFailed> {
        bytes.fill(0x42);
        Ok(())
    }
}

fn message(bytes: &[u8]) -> bool {
    let body = unpack(bytes).is_ok_and(|body| parse_body(&body).is_ok()) || parse_body(bytes).is_ok();
    KeyMessage::parse(bytes).is_ok() | DataMessage::parse(bytes).is_ok() | body
}

fn toml() -> Vec<Vec<u8>> {
    vec![lingate_config::REFERENCE.into()]
}

fn http() -> Vec<Vec<u8>> {
    let ask =
        |line: &str, headers: &str| format!("{line} HTTP/1.1\r\nHost: localhost:9273\r\n{headers}\r\n").into_bytes();
    let chunked = b"5\r\nhello\r\n0\r\n\r\n";
    vec![
        ask("GET /", "Accept-Language: zh-CN,zh;q=0.9,en;q=0.1\r\n"),
        ask("GET /?lang=zh&x=%00", "Connection: keep-alive\r\n"),
        ask("GET /ready", "Accept: application/json\r\n"),
        ask("GET /metrics", "Accept: application/openmetrics-text;version=1.0.0\r\n"),
        ask("GET /events", "Accept: text/event-stream\r\nLast-Event-ID: 7\r\n"),
        ask("HEAD /status", "Range: bytes=0-1\r\nIf-None-Match: *\r\n"),
        [ask("POST /live", "Transfer-Encoding: chunked\r\nTrailer: x\r\n"), chunked.to_vec()].concat(),
        [ask("GET /live", "Content-Length: 5\r\nExpect: 100-continue\r\n"), b"hello".to_vec()].concat(),
        ask("GET http://localhost/live", "Upgrade: h2c\r\nConnection: Upgrade\r\n"),
    ]
}

/// A disk with one segment of these bytes, opened and read to its end; as far as it goes, records come out.
fn segment(bytes: &[u8]) -> bool {
    const RECORDS_MAX: usize = 10_000;
    let disk = FakeDisk::new();
    disk.put("normal/00000000000000000000.seg", bytes);
    let Ok((mut buffer, _)) = Buffer::open(disk, Settings::new(1 << 20)) else { return false };
    (0..RECORDS_MAX).take_while(|_| matches!(buffer.next(Priority::Normal), Ok(Some(_)))).count() > 0
}
