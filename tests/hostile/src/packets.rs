//! MQTT 5 as far as a hostile broker needs it: where a packet ends, and what stands in a PUBLISH.

use tokio::io::{AsyncRead, AsyncReadExt};

const PACKET_BYTES_MAX: usize = 4 << 20;

/// The whole packet, header included; nothing at the end of the stream.
pub(crate) async fn next(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut packet = vec![stream.read_u8().await.ok()?];
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = stream.read_u8().await.ok()?;
        packet.push(byte);
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
        if shift > 21 {
            return None;
        }
    }
    let head = packet.len();
    packet.resize(head + length.min(PACKET_BYTES_MAX), 0);
    stream.read_exact(&mut packet[head..]).await.ok()?;
    Some(packet)
}

pub(crate) fn kind(packet: &[u8]) -> &'static str {
    match packet.first().map(|byte| byte >> 4) {
        Some(1) => "connect",
        Some(2) => "connack",
        Some(3) => "publish",
        Some(4) => "puback",
        Some(9) => "suback",
        Some(13) => "pong",
        _ => "other",
    }
}

/// The packet id of a PUBLISH with QoS 1.
pub(crate) fn publish_id(packet: &[u8]) -> Option<u16> {
    let body = 1 + packet.get(1..5)?.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let topic = usize::from(u16::from_be_bytes([*packet.get(body)?, *packet.get(body + 1)?]));
    let at = body + 2 + topic;
    (packet[0] & 0b110 != 0).then_some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]))
}

/// A PUBLISH of a record: KEY, DATA, GAP, CLOSE, and not what the audit log publishes.
pub(crate) fn is_record(packet: &[u8]) -> bool {
    let head = &packet[..packet.len().min(200)];
    let has = |part: &[u8]| head.windows(part.len()).any(|it| it == part);
    has(b"/d/") || has(b"/k/")
}

/// Of a PUBACK, whose header has two bytes.
pub(crate) fn puback_id(packet: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]))
}

pub(crate) fn puback(id: u16, reason: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    vec![0x40, 3, high, low, reason]
}

/// A CONNACK with this reason and these properties, without their length.
pub(crate) fn connack(reason: u8, properties: &[u8]) -> Vec<u8> {
    let length = u8::try_from(properties.len()).unwrap_or(100).min(100);
    let mut packet = vec![0x20, length + 3, 0, reason, length];
    packet.extend_from_slice(&properties[..usize::from(length)]);
    packet
}
