//! Sealed records that nobody can open: the buffer looks at their outside only.

use lingate_model::Priority;
use lingate_seal::{Kid, RecordKind, Sealed};

/// Of this class, with this number over all classes; `size` bytes of ciphertext.
pub(super) fn batch(class: Priority, seq: u64, size: usize) -> Sealed {
    sealed(RecordKind::Batch, 1 + class as u8, seq, 10, size)
}

/// Declares the loss of this number.
pub(super) fn gap(number: u64) -> Sealed {
    sealed(RecordKind::Gap, 200, number, 0, 40)
}

/// A DATA message (wire.md section 4).
fn sealed(kind: RecordKind, kid: u8, seq: u64, readings: u32, size: usize) -> Sealed {
    let protected = [&[0xa3, 0x01, 0x32, 0x03, 0x10, 0x04, 0x48][..], &[9; 8]].concat();
    let number: Vec<u8> = seq.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    let number = if number.is_empty() { vec![0] } else { number };
    let ciphertext: Vec<u8> = (0..size as u64).map(|i| (i * 31 + seq * 7 + u64::from(kid)) as u8).collect();
    let encrypted = [
        &[0xd0, 0x83][..],
        &bytes(&[0xa1, 0x01, 0x03]),
        &[0xa2, 0x04],
        &bytes(&[kid; 8]),
        &[0x06],
        &bytes(&number),
        &bytes(&ciphertext),
    ]
    .concat();
    let message = [&[0xd2, 0x84][..], &bytes(&protected), &[0xa0], &bytes(&encrypted), &bytes(&[3; 64])].concat();
    let alias = format!("q{kid}").parse().expect("an alias");
    Sealed::from_stored(kind, alias, Kid([kid; 8]), seq, readings, &message).expect("of the right form")
}

/// A CBOR byte string.
fn bytes(content: &[u8]) -> Vec<u8> {
    let head = match content.len() {
        length @ 0..24 => vec![0x40 + length as u8],
        length @ 24..256 => vec![0x58, length as u8],
        length => [&[0x59][..], &(length as u16).to_be_bytes()].concat(),
    };
    [&head, content].concat()
}
