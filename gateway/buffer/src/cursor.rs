//! What a class remembers beside its records, in two slots of 4 KiB in one file.
//!
//! ```text
//!   0 magic "LGcur", version 1, class u8, clean u8     48 retired u64: readings that need nothing more
//!   8 crc32c of all the rest                             56 condemned u64: given up below, but for what is done
//!  12 u16 length of dead, u16 bytes of the slot that count  64 handed u64: handed out below, perhaps delivered
//!  16 generation u64                                   72 last commit i64, i64::MIN for none
//!  24 floor u64: everything below needs nothing more   80 dead: epochs without KEY or catalogue, each
//!  32 durable u64: everything below was reported            length u8 and alias, kid 8 bytes
//!  40 total u64: readings of everything below durable   then a bitmap: bit i is position floor + i, done
//! ```
//!
//! The slot that was synced last is never written over: the other one is, until a sync makes it the last. Of a bitmap
//! nothing is written behind its last bit, so that a cursor that is written with every commit costs about a hundred bytes;
//! whatever an older one left in the slot behind that does not count. A length of 0 stands for the whole slot.

use std::collections::BTreeMap;

use lingate_model::{DatasetAlias, Priority, UtcMicros};
use lingate_seal::Kid;

use crate::frame::u64_at;
use crate::positions::Positions;
use crate::segment::POSITION_LIMIT;
use crate::{Disk, DiskError, FileId};

const SLOT_BYTES: usize = 4096;
pub(crate) const FILE_BYTES: u64 = 2 * SLOT_BYTES as u64;
const MAGIC: [u8; 6] = *b"LGcur\x01";
const DEAD: usize = 80;
/// More epochs than this is not worth the bitmap: the last are left out.
const DEAD_MAX: usize = 2048;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) done: Positions,
    pub(crate) durable: u64,
    pub(crate) total: u64,
    pub(crate) retired: u64,
    pub(crate) condemned: u64,
    pub(crate) handed: u64,
    pub(crate) dead: BTreeMap<DatasetAlias, Kid>,
    pub(crate) last_commit: Option<UtcMicros>,
    pub(crate) clean: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Save {
    /// To the operating system: survives the process, perhaps not the power.
    Write,
    Sync,
}

pub(crate) struct CursorFile {
    class: Priority,
    file: FileId,
    generation: u64,
    /// The slot that may be written over.
    slot: u64,
}

impl CursorFile {
    /// Opens or makes the file; `None` if neither slot can be read. The caller saves with `Sync` before it relies on
    /// anything.
    pub(crate) fn open(disk: &mut dyn Disk, class: Priority) -> Result<(CursorFile, Option<Cursor>), DiskError> {
        let path = format!("{}/cursor", class.name());
        let file = match disk.open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => disk.create(&path)?,
            other => other?,
        };
        let (generation, slot, cursor) = match newest(disk, file, class) {
            Some((generation, slot, cursor)) => (generation, 1 - slot, Some(cursor)),
            None => {
                // Both slots have their room from the start, whatever else fills the disk later.
                disk.write_at(file, 0, &[0; FILE_BYTES as usize])?;
                (0, 0, None)
            }
        };
        Ok((CursorFile { class, file, generation, slot }, cursor))
    }

    /// For a look from outside: changes nothing.
    pub(crate) fn look(disk: &mut dyn Disk, class: Priority) -> Result<Option<Cursor>, DiskError> {
        let file = match disk.open(&format!("{}/cursor", class.name())) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let found = newest(disk, file, class);
        disk.close(file);
        Ok(found.map(|(_, _, cursor)| cursor))
    }

    /// The slot that was read may be known to the operating system alone: make it durable before the other is touched.
    pub(crate) fn settle(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        disk.sync_data(self.file)?;
        disk.sync_directory(self.class.name())
    }

    pub(crate) fn save(&mut self, disk: &mut dyn Disk, cursor: &Cursor, how: Save) -> Result<(), DiskError> {
        let bytes = encode(cursor, self.class, self.generation.wrapping_add(1));
        disk.write_at(self.file, self.slot * SLOT_BYTES as u64, &bytes)?;
        self.generation = self.generation.wrapping_add(1);
        if how == Save::Sync {
            disk.sync_data(self.file)?;
            self.slot = 1 - self.slot;
        }
        Ok(())
    }
}

/// Generation, slot and content of the newer slot that can be read.
fn newest(disk: &mut dyn Disk, file: FileId, class: Priority) -> Option<(u64, u64, Cursor)> {
    let read = |slot: u64| {
        let mut bytes = vec![0; SLOT_BYTES];
        disk.read_at(file, slot * SLOT_BYTES as u64, &mut bytes).ok()?;
        let (generation, cursor) = decode(&bytes, class)?;
        Some((generation, slot, cursor))
    };
    (0..2).filter_map(read).max_by_key(|(generation, _, _)| *generation)
}

fn encode(cursor: &Cursor, class: Priority, generation: u64) -> Vec<u8> {
    let mut bytes = vec![0; SLOT_BYTES];
    bytes[0..6].copy_from_slice(&MAGIC);
    bytes[6] = class as u8;
    bytes[7] = u8::from(cursor.clean);
    let floor = cursor.done.floor();
    let numbers = [generation, floor, cursor.durable, cursor.total, cursor.retired, cursor.condemned, cursor.handed];
    for (number, place) in numbers.iter().zip(bytes[16..72].chunks_exact_mut(8)) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes[72..80].copy_from_slice(&cursor.last_commit.map_or(i64::MIN, |utc| utc.0).to_le_bytes());
    let dead = encode_dead(&cursor.dead);
    bytes[12..14].copy_from_slice(&u16::try_from(dead.len()).expect("it has a bound").to_le_bytes());
    bytes[DEAD..DEAD + dead.len()].copy_from_slice(&dead);
    let bitmap = &mut bytes[DEAD + dead.len()..];
    let bits = bitmap.len() as u64 * 8;
    for range in cursor.done.above() {
        for bit in range.map(|position| position - floor).take_while(|bit| *bit < bits) {
            bitmap[(bit / 8) as usize] |= 1 << (bit % 8);
        }
    }
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(used.max(DEAD + dead.len()));
    let length = u16::try_from(bytes.len()).expect("a slot has 4 KiB");
    bytes[14..16].copy_from_slice(&length.to_le_bytes());
    seal(&mut bytes);
    bytes
}

fn encode_dead(dead: &BTreeMap<DatasetAlias, Kid>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (alias, kid) in dead {
        let alias = alias.as_str().as_bytes();
        if bytes.len() + 1 + alias.len() + kid.0.len() <= DEAD_MAX {
            bytes.push(u8::try_from(alias.len()).expect("an alias has at most 32 bytes"));
            bytes.extend_from_slice(alias);
            bytes.extend_from_slice(&kid.0);
        }
    }
    bytes
}

fn decode_dead(mut bytes: &[u8]) -> Option<BTreeMap<DatasetAlias, Kid>> {
    let mut dead = BTreeMap::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (alias, rest) = rest.split_at_checked(usize::from(*length))?;
        let (kid, rest) = rest.split_first_chunk()?;
        dead.insert(std::str::from_utf8(alias).ok()?.parse().ok()?, Kid(*kid));
        bytes = rest;
    }
    Some(dead)
}

fn seal(bytes: &mut [u8]) {
    let crc = checksum(bytes);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
}

/// Of everything but its own four bytes.
fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..8]), &bytes[12..])
}

fn decode(bytes: &[u8], class: Priority) -> Option<(u64, Cursor)> {
    let length = match u16::from_le_bytes(bytes.get(14..16)?.try_into().expect("two bytes")) {
        0 => SLOT_BYTES,
        length => usize::from(length),
    };
    let bytes = bytes.get(..length).filter(|bytes| bytes.len() >= DEAD)?;
    let is_whole = bytes[0..6] == MAGIC && bytes[6] == class as u8 && bytes[8..12] == checksum(bytes).to_le_bytes();
    if !is_whole {
        return None;
    }
    let (floor, durable) = (u64_at(bytes, 24), u64_at(bytes, 32));
    if floor > durable || durable >= POSITION_LIMIT {
        return None;
    }
    let (dead, bitmap) = bytes[DEAD..].split_at_checked(usize::from(u16::from_le_bytes([bytes[12], bytes[13]])))?;
    let mut done = Positions::below(floor);
    for (byte, at) in bitmap.iter().zip((floor..).step_by(8)).filter(|(byte, _)| **byte != 0) {
        for position in (0..8).filter(|bit| byte & (1 << bit) != 0).map(|bit| at + bit) {
            done.insert(position..position + 1);
        }
    }
    let last_commit = i64::from_le_bytes(bytes[72..80].try_into().expect("eight bytes"));
    let cursor = Cursor {
        done,
        durable,
        total: u64_at(bytes, 40),
        retired: u64_at(bytes, 48),
        condemned: u64_at(bytes, 56),
        handed: u64_at(bytes, 64),
        dead: decode_dead(dead)?,
        last_commit: (last_commit != i64::MIN).then_some(UtcMicros(last_commit)),
        clean: bytes[7] == 1,
    };
    Some((u64_at(bytes, 16), cursor))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panic")]
    use super::*;

    const BITS: u64 = (SLOT_BYTES - DEAD - 11) as u64 * 8;

    fn cursor() -> Cursor {
        let mut done = Positions::below(100);
        done.insert(102..105);
        done.insert(100 + BITS - 1..100 + BITS);
        Cursor {
            done,
            durable: 1 << 40,
            total: 7,
            retired: 6,
            condemned: 50,
            handed: 104,
            dead: BTreeMap::from([("q7".parse().unwrap(), Kid([7; 8]))]),
            last_commit: Some(UtcMicros(-1)),
            clean: true,
        }
    }

    #[test]
    fn a_slot_comes_back_and_any_flipped_bit_makes_it_unreadable() {
        let bytes = encode(&cursor(), Priority::Low, 9);
        assert_eq!(decode(&bytes, Priority::Low), Some((9, cursor())));
        assert_eq!(decode(&bytes, Priority::High), None);
        for bit in (0..bytes.len() * 8).step_by(5) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged, Priority::Low), None, "bit {bit}");
        }
    }

    #[test]
    fn without_acknowledgements_out_of_order_a_cursor_is_small_and_what_lies_behind_it_does_not_count() {
        let plain = Cursor { done: Positions::below(100), dead: BTreeMap::new(), ..cursor() };
        let mut slot = encode(&cursor(), Priority::Low, 1);
        let bytes = encode(&plain, Priority::Low, 2);
        assert_eq!(bytes.len(), DEAD);
        slot[..bytes.len()].copy_from_slice(&bytes);
        assert_eq!(decode(&slot, Priority::Low), Some((2, plain)));
        slot.truncate(DEAD - 1);
        assert_eq!(decode(&slot, Priority::Low), None);
    }

    #[test]
    fn a_slot_without_a_length_counts_as_a_whole() {
        let mut slot = encode(&cursor(), Priority::Low, 3);
        slot.resize(SLOT_BYTES, 0);
        slot[14..16].fill(0);
        seal(&mut slot);
        assert_eq!(decode(&slot, Priority::Low), Some((3, cursor())));
    }

    #[test]
    fn acknowledgements_too_far_above_the_floor_are_left_out() {
        let mut far = cursor();
        far.done.insert(100 + BITS..100 + BITS + 10);
        assert_eq!(decode(&encode(&far, Priority::Low, 1), Priority::Low), Some((1, cursor())));
    }
}
