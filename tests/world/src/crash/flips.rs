//! Every single bit of a segment, flipped at rest.

use lingate_buffer::fake::FakeDisk;
use lingate_buffer::{Buffer, LossCause, Overflow, Settings, inspect};
use lingate_model::{Priority, UtcMicros};

use super::record;

const CLASS: Priority = Priority::Normal;
const SEGMENT: &str = "normal/00000000000000000000.seg";

/// What the flips did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flips {
    pub bits: u64,
    /// Put right: nothing was lost.
    pub repaired: u64,
    /// Cost one frame, which was declared.
    pub lost: u64,
    /// In the segment's own header, which nothing depends on: seen by a look from outside.
    pub noticed: u64,
}

fn settings() -> Settings {
    Settings {
        max_bytes: 1 << 20,
        segment_bytes: 64 << 10,
        overflow: Overflow::DropOldest,
        reserve_bytes: 0,
        uncommitted_bytes: 1 << 20,
    }
}

/// A segment of 64 KiB, full to its last frame, and one begun behind it.
fn written() -> (Vec<(String, Vec<u8>)>, u64) {
    let disk = FakeDisk::new();
    let (mut buffer, _) = Buffer::open(disk.clone(), settings()).expect("a new disk");
    let mut records = 0;
    while disk.paths().iter().filter(|path| path.ends_with(".seg")).count() < 2 {
        let size = if records % 5 == 4 { 60 } else { 800 + records as usize % 7 * 50 };
        buffer.append(CLASS, &record::batch(CLASS, records, size)).expect("there is room");
        buffer.commit(UtcMicros(records as i64)).expect("a disk that works");
        records += 1;
    }
    drop(buffer);
    (disk.paths().into_iter().map(|path| (path.clone(), disk.contents(&path).expect("it is there"))).collect(), records)
}

/// Every `of`th bit from `part`.
///
/// Errors: the first flip that was not seen, cost more than its frame, or was not declared.
pub fn flip_every_bit(part: u64, of: u64) -> Result<Flips, String> {
    let (files, records) = written();
    let bits = files.iter().find(|(path, _)| path == SEGMENT).map_or(0, |(_, bytes)| bytes.len() as u64 * 8);
    if bits < 8 * (60 << 10) {
        return Err(format!("the segment has only {bits} bits"));
    }
    let mut flips = Flips::default();
    for bit in (part..bits).step_by(of as usize) {
        let disk = FakeDisk::new();
        files.iter().for_each(|(path, bytes)| disk.put(path, bytes));
        disk.flip(SEGMENT, bit);
        judge(&disk, records, &mut flips).map_err(|why| format!("bit {bit} of {bits}: {why}"))?;
    }
    Ok(flips)
}

fn judge(disk: &FakeDisk, records: u64, flips: &mut Flips) -> Result<(), String> {
    let (mut buffer, _) = Buffer::open(disk.clone(), settings()).map_err(|error| error.to_string())?;
    let mut came = 0;
    while let Some((id, sealed)) = buffer.next(CLASS).map_err(|error| error.to_string())? {
        let size = sealed.bytes().len();
        let is_whole = (0..8).any(|_| sealed.seq() == id.position) && size > 0;
        let expected = if id.position % 5 == 4 { 60 } else { 800 + id.position as usize % 7 * 50 };
        if !is_whole || sealed != record::batch(CLASS, id.position, expected) {
            return Err(format!("{id} has other bytes"));
        }
        came += 1;
    }
    let losses = buffer.losses();
    let lost: u64 = losses.iter().map(|loss| loss.records).sum();
    let readings: u64 = losses.iter().map(|loss| loss.readings).sum();
    let usage = buffer.usage();
    flips.bits += 1;
    match (came, lost) {
        _ if came + lost != records => Err(format!("{came} came and {lost} were told as lost, of {records}")),
        (_, 0) if usage.repaired == 1 => {
            flips.repaired += 1;
            Ok(())
        }
        (_, 0) => {
            let seen = inspect(&mut disk.clone(), false).map_err(|error| error.to_string())?;
            flips.noticed += 1;
            let is_seen = seen[CLASS as usize].segments.iter().any(|segment| segment.utc.is_none());
            if is_seen { Ok(()) } else { Err("nobody noticed".to_owned()) }
        }
        (_, 1) if readings == 10 && losses[0].cause == LossCause::Corruption => {
            flips.lost += 1;
            Ok(())
        }
        _ => Err(format!("it cost {lost} records with {readings} readings")),
    }
}
