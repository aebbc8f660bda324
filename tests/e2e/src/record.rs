use lingate_model::DatasetAlias;
use lingate_seal::{Kid, RecordKind, Sealed};

/// A DATA message of the right form (wire.md section 4) that nobody can open, for measurements of what only carries
/// records. `bytes`: 200 to 60,000.
pub fn record(seq: u64, bytes: usize, readings: u32) -> Sealed {
    record_of(&"q7".parse().expect("an alias"), seq, bytes, readings)
}

/// Under the alias of a dataset.
pub fn record_of(alias: &DatasetAlias, seq: u64, bytes: usize, readings: u32) -> Sealed {
    // Five hundred thousand records, then the next epoch.
    let (epoch, seq) = (seq / 500_000, seq % 500_000);
    let kid = Kid((0x0707_0707_0000_0000 | epoch).to_be_bytes());
    let protected = [&[0xa3, 0x01, 0x32, 0x03, 0x10, 0x04, 0x48][..], &[9; 8]].concat();
    let piv = seq.to_be_bytes();
    let piv = &piv[piv.iter().take(7).take_while(|byte| **byte == 0).count()..];
    let head = [&[0xd0, 0x83, 0x43, 0xa1, 0x01, 0x03, 0xa2, 0x04, 0x48][..], &kid.0, &[0x06, 0x40 + piv.len() as u8]];
    let ciphertext = vec![seq as u8 ^ 0x5A; bytes.saturating_sub(130 + piv.len())];
    let encrypted = [&head.concat()[..], piv, &long(&ciphertext)].concat();
    let signature = [&[0x58, 64][..], &[3; 64]].concat();
    let message = [&[0xd2, 0x84, 0x4f][..], &protected, &[0xa0], &long(&encrypted), &signature].concat();
    Sealed::from_stored(RecordKind::Batch, alias.clone(), kid, seq, readings, &message).expect("a DATA message")
}

/// A CBOR byte string (RFC 8949 section 3.1) of up to 64 KiB.
fn long(content: &[u8]) -> Vec<u8> {
    match u8::try_from(content.len()) {
        Ok(length) => [&[0x58, length][..], content].concat(),
        Err(_) => [&[0x59][..], &(content.len() as u16).to_be_bytes(), content].concat(),
    }
}
