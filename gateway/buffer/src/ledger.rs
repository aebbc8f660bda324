//! What was dropped to make room and is not declared yet: a file of losses for each dropped segment, named like it.
//!
//! ```text
//!   0 crc32c of 4.. to end     4 end u64: the first position after the segment     12 losses, each:
//!   length u8 and alias (0: none), kid 8 bytes, first, last, records, keys, readings u64, then
//!   a byte each: cause (0 overflow, 1 corruption, 2 purge, 3 quarantine), loses the epoch, maybe delivered, then u32 count of notes, each: seq u64, length u8, bytes
//! ```

use std::ops::Range;

use lingate_model::Priority;
use lingate_seal::Kid;

use crate::disk::remove_if_present;
use crate::report::{Loss, LossCause};
use crate::{Disk, DiskError, segment};

/// By number in the file.
const CAUSES: [LossCause; 4] = [LossCause::Overflow, LossCause::Corruption, LossCause::Purge, LossCause::Quarantine];
const BYTES_MAX: u64 = 1024 * 1024;

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
    let mut rest = content.get(4..)?;
    if content[..4] != crc32c::crc32c(rest).to_le_bytes() {
        return None;
    }
    let end = u64::from_le_bytes(take(&mut rest)?);
    let mut losses = Vec::new();
    while !rest.is_empty() {
        losses.push(decode(&mut rest, class)?);
    }
    Some((first..end, losses))
}

fn encode(end: u64, losses: &[Loss]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&end.to_le_bytes());
    for loss in losses {
        let alias = loss.alias.as_ref().map_or("", |alias| alias.as_str());
        bytes.push(u8::try_from(alias.len()).expect("an alias has at most 32 bytes"));
        bytes.extend_from_slice(alias.as_bytes());
        bytes.extend_from_slice(&loss.kid.0);
        let numbers = [loss.first_seq, loss.last_seq, loss.records, loss.keys, loss.readings];
        numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        bytes.push(CAUSES.iter().position(|cause| *cause == loss.cause).expect("it holds every cause") as u8);
        bytes.extend([loss.loses_epoch, loss.maybe_delivered].map(u8::from));
        bytes.extend_from_slice(&u32::try_from(loss.notes.len()).expect("a segment has fewer frames").to_le_bytes());
        for (seq, note) in &loss.notes {
            bytes.extend_from_slice(&seq.to_le_bytes());
            bytes.push(u8::try_from(note.len()).expect("a note has at most 255 bytes"));
            bytes.extend_from_slice(note);
        }
    }
    let crc = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(rest: &mut &[u8], priority: Priority) -> Option<Loss> {
    let alias = take_short(rest)?;
    let alias = if alias.is_empty() { None } else { Some(std::str::from_utf8(alias).ok()?.parse().ok()?) };
    let kid = Kid(take(rest)?);
    let mut number = || take(rest).map(u64::from_le_bytes);
    let (first_seq, last_seq, records, keys, readings) = (number()?, number()?, number()?, number()?, number()?);
    let [cause, loses_epoch, maybe_delivered] = take(rest)?;
    let (loses_epoch, maybe_delivered) = (loses_epoch == 1, maybe_delivered == 1);
    let cause = *CAUSES.get(usize::from(cause))?;
    let count = u32::from_le_bytes(take(rest)?);
    let mut note = || Some((u64::from_le_bytes(take(rest)?), take_short(rest)?.to_vec()));
    let notes = (0..count).map(|_| note()).collect::<Option<_>>()?;
    Some(Loss {
        notes,
        priority,
        alias,
        kid,
        first_seq,
        last_seq,
        records,
        keys,
        loses_epoch,
        readings,
        cause,
        maybe_delivered,
    })
}

/// As many bytes as the first one says.
fn take_short<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let [length] = take(rest)?;
    let (bytes, left) = rest.split_at_checked(usize::from(length))?;
    *rest = left;
    Some(bytes)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*head)
}
