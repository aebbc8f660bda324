//! What was dropped to make room and is not declared yet: a file of losses for each dropped segment, named like it.
//!
//! ```text
//!   0 crc32c of 4.. to end     4 a protobuf `Ledger`
//! ```
//!
//! Numbers take as few bytes as they need: in a small buffer with short epochs the ledgers of a long outage are as large
//! as what waits.

use std::ops::Range;

use lingate_model::Priority;
use lingate_seal::Kid;
use prost::Message;

use crate::disk::remove_if_present;
use crate::report::{Loss, LossCause};
use crate::{Disk, DiskError, segment};

/// By number in the file.
const CAUSES: [LossCause; 4] = [LossCause::Overflow, LossCause::Corruption, LossCause::Purge, LossCause::Quarantine];
const BYTES_MAX: u64 = 1024 * 1024;

#[derive(Clone, PartialEq, Message)]
struct Ledger {
    /// The first position after the segment.
    #[prost(uint64, tag = "1")]
    end: u64,
    #[prost(message, repeated, tag = "2")]
    losses: Vec<Entry>,
}

/// A `Loss`; empty and 0 take no room.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    alias: String,
    #[prost(bytes = "vec", tag = "2")]
    kid: Vec<u8>,
    #[prost(uint64, tag = "3")]
    first_seq: u64,
    /// `last_seq` less `first_seq`.
    #[prost(uint64, tag = "4")]
    more: u64,
    #[prost(uint64, tag = "5")]
    records: u64,
    #[prost(uint64, tag = "6")]
    keys: u64,
    #[prost(uint64, tag = "7")]
    readings: u64,
    /// Number in `CAUSES`.
    #[prost(uint32, tag = "8")]
    cause: u32,
    #[prost(bool, tag = "9")]
    loses_epoch: bool,
    #[prost(bool, tag = "10")]
    maybe_delivered: bool,
    #[prost(message, repeated, tag = "11")]
    notes: Vec<Note>,
}

#[derive(Clone, PartialEq, Message)]
struct Note {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(bytes = "vec", tag = "2")]
    bytes: Vec<u8>,
}

pub(crate) fn path(class: Priority, first: u64) -> String {
    format!("{}/{first:020}.lost", class.name())
}

/// The first position, if this is a ledger's name.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    segment::parse_name(&format!("{}.seg", name.strip_suffix(".lost")?))
}

/// Durable when it returns, with its length; after an error nothing of it stays.
pub(crate) fn write(
    disk: &mut dyn Disk,
    class: Priority,
    positions: &Range<u64>,
    losses: &[Loss],
) -> Result<u64, DiskError> {
    let (path, bytes) = (path(class, positions.start), encode(positions.end, losses));
    // A process that ended while it wrote one may have left it.
    remove_if_present(disk, &path)?;
    let file = disk.create(&path)?;
    let written = disk.write_at(file, 0, &bytes).and_then(|()| disk.sync_data(file));
    disk.close(file);
    if let Err(error) = written.and_then(|()| disk.sync_directory(class.name())) {
        let _ = remove_if_present(disk, &path);
        return Err(error);
    }
    Ok(bytes.len() as u64)
}

/// `None` if it is not whole: then it was never relied upon.
pub(crate) fn read(disk: &mut dyn Disk, class: Priority, first: u64, bytes: u64) -> Option<(Range<u64>, Vec<Loss>)> {
    let mut content = vec![0; usize::try_from(bytes.min(BYTES_MAX)).ok()?];
    let file = disk.open(&path(class, first)).ok()?;
    let count = disk.read_at(file, 0, &mut content);
    disk.close(file);
    content.truncate(count.ok()?);
    let ledger = content.get(4..)?;
    if content[..4] != crc32c::crc32c(ledger).to_le_bytes() {
        return None;
    }
    let ledger = Ledger::decode(ledger).ok()?;
    let losses: Option<Vec<Loss>> = ledger.losses.into_iter().map(|entry| loss(entry, class)).collect();
    Some((first..ledger.end, losses?))
}

fn encode(end: u64, losses: &[Loss]) -> Vec<u8> {
    let ledger = Ledger { end, losses: losses.iter().map(entry).collect() };
    let mut bytes = vec![0; 4];
    bytes.extend(ledger.encode_to_vec());
    let crc = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn entry(loss: &Loss) -> Entry {
    let note = |(seq, bytes): &(u64, Vec<u8>)| Note { seq: *seq, bytes: bytes.clone() };
    Entry {
        alias: loss.alias.as_ref().map_or_else(String::new, ToString::to_string),
        kid: loss.kid.0.to_vec(),
        first_seq: loss.first_seq,
        more: loss.last_seq - loss.first_seq,
        records: loss.records,
        keys: loss.keys,
        readings: loss.readings,
        cause: CAUSES.iter().position(|cause| *cause == loss.cause).expect("it holds every cause") as u32,
        loses_epoch: loss.loses_epoch,
        maybe_delivered: loss.maybe_delivered,
        notes: loss.notes.iter().map(note).collect(),
    }
}

fn loss(entry: Entry, priority: Priority) -> Option<Loss> {
    Some(Loss {
        priority,
        alias: if entry.alias.is_empty() { None } else { Some(entry.alias.parse().ok()?) },
        kid: Kid(entry.kid.try_into().ok()?),
        first_seq: entry.first_seq,
        last_seq: entry.first_seq.checked_add(entry.more)?,
        records: entry.records,
        keys: entry.keys,
        loses_epoch: entry.loses_epoch,
        notes: entry.notes.into_iter().map(|note| (note.seq, note.bytes)).collect(),
        readings: entry.readings,
        cause: *CAUSES.get(usize::try_from(entry.cause).ok()?)?,
        maybe_delivered: entry.maybe_delivered,
    })
}
