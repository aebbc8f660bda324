//! MQTT 5 packets as far as a tap needs them: where one ends, what a PUBLISH carries, how a PUBACK looks.

/// Larger packets end the connection.
const PACKET_BYTES_MAX: usize = 16 << 20;

/// The first whole packet of `bytes`, by its length.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Packet(usize),
    Incomplete,
    /// Not MQTT, or too large.
    Broken,
}

pub(crate) fn cut(bytes: &[u8]) -> Cut {
    let Some(rest) = bytes.get(1..) else { return Cut::Incomplete };
    let Some((length, head)) = variable_length(rest) else {
        return if rest.len() >= 4 { Cut::Broken } else { Cut::Incomplete };
    };
    let end = 1 + head + length;
    match end {
        _ if end > PACKET_BYTES_MAX => Cut::Broken,
        _ if end > bytes.len() => Cut::Incomplete,
        _ => Cut::Packet(end),
    }
}

/// (value, bytes used); nothing if it is incomplete or longer than 4 bytes (MQTT 5, 1.5.5).
fn variable_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) topic: &'a str,
    /// 0 with QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) payload: &'a [u8],
}

pub(crate) fn is_puback(packet: &[u8]) -> bool {
    packet.first().is_some_and(|byte| byte >> 4 == 4)
}

/// A whole PUBLISH packet (MQTT 5, 3.3); nothing for other packets.
pub(crate) fn publish(packet: &[u8]) -> Option<Publish<'_>> {
    let first = *packet.first()?;
    if first >> 4 != 3 {
        return None;
    }
    let (_, head) = variable_length(packet.get(1..)?)?;
    let (length, rest) = packet.get(1 + head..)?.split_first_chunk()?;
    let (topic, mut rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let mut packet_id = 0;
    if first & 0b110 != 0 {
        let (id, after) = rest.split_first_chunk()?;
        (packet_id, rest) = (u16::from_be_bytes(*id), after);
    }
    let (properties, head) = variable_length(rest)?;
    Some(Publish { topic: str::from_utf8(topic).ok()?, packet_id, payload: rest.get(head + properties..)? })
}

pub(crate) fn puback(packet_id: u16, reason: u8) -> Vec<u8> {
    let [high, low] = packet_id.to_be_bytes();
    vec![0x40, 3, high, low, reason]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    /// QoS 1, topic "a/b", packet id 7, one property (content type "x"), payload "hello".
    const PUBLISH: &[u8] = &[0x32, 17, 0, 3, b'a', b'/', b'b', 0, 7, 4, 3, 0, 1, b'x', b'h', b'e', b'l', b'l', b'o'];

    #[test]
    fn a_publish_is_found_and_read() {
        assert_eq!(cut(PUBLISH), Cut::Packet(PUBLISH.len()));
        assert_eq!(publish(PUBLISH).unwrap(), Publish { topic: "a/b", packet_id: 7, payload: b"hello" });
        assert_eq!(publish(&puback(7, 0x97)), None);
        assert!(is_puback(&puback(7, 0x97)));
    }

    #[test]
    fn no_cut_and_no_byte_makes_the_reader_panic() {
        for end in 0..PUBLISH.len() {
            assert_eq!(cut(&PUBLISH[..end]), Cut::Incomplete, "{end}");
            let _ = publish(&PUBLISH[..end]);
        }
        for at in 0..PUBLISH.len() {
            for byte in [0, 0x7f, 0x80, 0xff] {
                let mut changed = PUBLISH.to_vec();
                changed[at] = byte;
                let (_, _) = (cut(&changed), publish(&changed));
            }
        }
        assert_eq!(cut(&[0x30, 0xff, 0xff, 0xff, 0xff, 1]), Cut::Broken);
        assert_eq!(cut(&[0x30, 0xff, 0xff, 0xff, 0x7f]), Cut::Broken, "256 MiB");
    }
}
