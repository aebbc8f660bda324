//! A segment file: a header of 48 bytes, then frames with increasing positions. Named by its first position.
//!
//! ```text
//!   0 magic "LINGSEG", version 1      16 first u64          32 created at, i64 microseconds UTC
//!   8 class u8, zero                  24 total u64          40 crc32c of 0..40, zero
//! ```
//!
//! A segment ends where the next one begins, whatever else is written in it: so the tail of a segment whose sync failed
//! is never read.

use lingate_model::{Priority, UtcMicros};

use crate::frame::{HEADER_BYTES, Header, MAGIC, u64_at};
use crate::{Disk, DiskError, FileId};

pub(crate) const SEGMENT_HEADER_BYTES: u64 = 48;
const SEGMENT_MAGIC: [u8; 8] = *b"LINGSEG\x01";
const READ_AHEAD: usize = 64 * 1024;
const BLOCK: usize = 4096;
/// No segment is this long: a disk that refuses to read even behind the end of a file cannot hold us for ever.
const READ_LIMIT: u64 = 128 * 1024 * 1024;

pub(crate) fn path(class: Priority, first: u64) -> String {
    format!("{}/{first:020}.seg", class.name())
}

/// Positions stay below this, so that adding to one never overflows.
pub(crate) const POSITION_LIMIT: u64 = 1 << 62;

/// The first position, if this is a segment's name.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|first| is_number && *first < POSITION_LIMIT)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) class: Priority,
    pub(crate) first: u64,
    /// Readings of the class before this segment.
    pub(crate) total: u64,
    pub(crate) utc: UtcMicros,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES as usize];
        bytes[0..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8] = self.class as u8;
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.total.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.utc.0.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..40]);
        bytes[40..44].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` if anything about it is wrong: the name and the frames then speak for themselves.
    pub(crate) fn read(disk: &mut dyn Disk, file: FileId, class: Priority, first: u64) -> Option<SegmentHeader> {
        let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
        disk.read_at(file, 0, &mut bytes).ok()?;
        let utc = UtcMicros(i64::from_le_bytes(bytes[32..40].try_into().expect("eight bytes")));
        let header = SegmentHeader { class, first, total: u64_at(&bytes, 24), utc };
        (header.encode() == bytes).then_some(header)
    }
}

/// Of a format that comes after this one. Every format keeps the magic, its number behind it, and the checksum of the first
/// 40 bytes, so that a flipped bit is not taken for a version.
pub(crate) fn is_newer(disk: &mut dyn Disk, class: Priority, first: u64) -> bool {
    let Ok(file) = disk.open(&path(class, first)) else { return false };
    let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
    let is_read = disk.read_at(file, 0, &mut bytes).is_ok();
    disk.close(file);
    let (magic, format) = (&SEGMENT_MAGIC[..7], SEGMENT_MAGIC[7]);
    let is_whole = bytes[40..44] == crc32c::crc32c(&bytes[..40]).to_le_bytes();
    is_read && bytes[..7] == *magic && bytes[7] > format && is_whole
}

/// What the next step through a segment finds.
#[derive(Debug)]
pub(crate) enum Found {
    Frame {
        header: Header,
        payload: Vec<u8>,
        /// One bit of its header had flipped, or of a payload on which others depend.
        repaired: bool,
    },
    /// Nothing in `from..to` can be read.
    Damage {
        from: u64,
        to: u64,
        /// Of the one record, if its header is whole.
        header: Option<Header>,
        /// Readings of the class before and after the hole, where a neighbour can tell.
        before: Option<u64>,
        after: Option<u64>,
    },
    /// No frame follows.
    End,
}

/// Steps through the frames of one segment. A bad frame costs itself: it goes on at the next good header.
pub(crate) struct Walk {
    pub(crate) file: FileId,
    pub(crate) header: Option<SegmentHeader>,
    class: Priority,
    /// The position that has to come next.
    position: u64,
    /// Where the next frame starts, or the damage that was met last.
    offset: u64,
    /// Readings of the class before `position`, if known.
    total: Option<u64>,
    window: Window,
}

impl Walk {
    pub(crate) fn open(disk: &mut dyn Disk, class: Priority, first: u64) -> Result<Walk, DiskError> {
        let file = disk.open(&path(class, first))?;
        let header = SegmentHeader::read(disk, file, class, first);
        Ok(Walk {
            file,
            header,
            class,
            position: first,
            offset: SEGMENT_HEADER_BYTES,
            total: header.map(|header| header.total),
            window: Window { start: 0, bytes: Vec::new() },
        })
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn total(&self) -> Option<u64> {
        self.total
    }

    /// The next frame at or after `wanted`; frames before it are stepped over without a look at their payload.
    /// `limit` is where the segment ends if that is known; without it damage up to the end of the file is an `End`.
    /// Blocks that the disk refuses to read count as damaged if `on_error` says so.
    pub(crate) fn step(
        &mut self,
        disk: &mut dyn Disk,
        wanted: u64,
        limit: Option<u64>,
        on_error: OnError,
    ) -> Result<Found, DiskError> {
        loop {
            if limit.is_some_and(|limit| self.position >= limit) {
                return Ok(Found::End);
            }
            let bytes = self.window.fetch(disk, self.file, self.offset, HEADER_BYTES, on_error)?;
            let whole = Header::decode(bytes);
            let repaired = whole.is_none();
            let header = whole.or_else(|| Header::repair(bytes)).filter(|header| self.expects(header));
            let Some(header) = header else { return self.resynchronise(disk, limit, on_error) };
            if !repaired && header.place.position < wanted {
                self.pass(&header);
                continue;
            }
            let frame = self.window.fetch(disk, self.file, self.offset, header.frame_bytes() as usize, on_error)?;
            let mut payload = frame.get(HEADER_BYTES..).unwrap_or_default().to_vec();
            let is_whole = header.matches(&payload);
            if is_whole || (!repaired && header.is_depended_on() && header.put_right(&mut payload)) {
                self.pass(&header);
                return Ok(Found::Frame { header, payload, repaired: repaired || !is_whole });
            }
            if repaired {
                return self.resynchronise(disk, limit, on_error);
            }
            self.pass(&header);
            let (from, before, after) = (header.place.position, Some(header.place.total), self.total);
            return Ok(Found::Damage { from, to: from + 1, header: Some(header), before, after });
        }
    }

    fn expects(&self, header: &Header) -> bool {
        header.place.class == self.class && header.place.position == self.position
    }

    fn pass(&mut self, header: &Header) {
        self.offset += header.frame_bytes();
        self.position = header.place.position + 1;
        self.total = Some(header.place.total.saturating_add(u64::from(header.identity.readings)));
    }

    /// From a bad header to the next good one that could come after it.
    fn resynchronise(
        &mut self,
        disk: &mut dyn Disk,
        limit: Option<u64>,
        on_error: OnError,
    ) -> Result<Found, DiskError> {
        let (from, mut offset) = (self.position, self.offset);
        loop {
            let bytes = self.window.fetch(disk, self.file, offset, READ_AHEAD, on_error)?;
            if bytes.len() < HEADER_BYTES {
                let Some(limit) = limit else { return Ok(Found::End) };
                return Ok(self.lose_until(limit, None));
            }
            let starts = bytes.len() - HEADER_BYTES + 1;
            let found = (0..starts).find_map(|at| {
                let header = Header::decode(bytes[at..].get(..HEADER_BYTES).filter(|b| b[0..4] == MAGIC)?)?;
                // A frame that jumps further than the bytes between could hold belongs somewhere else.
                let room = (offset - self.offset + at as u64) / HEADER_BYTES as u64;
                let jump = header.place.position.checked_sub(from)?;
                (header.place.class == self.class && jump <= room.max(1)).then_some((at, header))
            });
            match found {
                Some((at, header)) => {
                    self.offset = offset + at as u64;
                    let to = limit.map_or(header.place.position, |limit| limit.min(header.place.position));
                    if to == from {
                        // The frame itself is whole, only something lay before it.
                        return self.step(disk, from, limit, on_error);
                    }
                    let total = (to == header.place.position).then_some(header.place.total);
                    return Ok(self.lose_until(to, total));
                }
                None => offset += starts as u64,
            }
        }
    }

    fn lose_until(&mut self, to: u64, total: Option<u64>) -> Found {
        let from = std::mem::replace(&mut self.position, to);
        let before = std::mem::replace(&mut self.total, total);
        Found::Damage { from, to, header: None, before, after: total }
    }
}

/// What to do when the disk refuses to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnError {
    Tell,
    /// Take the blocks that cannot be read for zeros.
    GoOn,
}

/// Reads ahead, so that a small frame does not cost a call.
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Less than asked only at the end of the file.
    fn fetch(
        &mut self,
        disk: &mut dyn Disk,
        file: FileId,
        offset: u64,
        length: usize,
        on_error: OnError,
    ) -> Result<&[u8], DiskError> {
        let holds = offset >= self.start && offset + length as u64 <= self.start + self.bytes.len() as u64;
        if !holds {
            self.bytes = vec![0; length.max(READ_AHEAD)];
            self.start = offset;
            let count = match disk.read_at(file, offset, &mut self.bytes) {
                Err(error) if on_error == OnError::GoOn => salvage(disk, file, offset, &mut self.bytes).ok_or(error),
                other => other,
            };
            let count = count.inspect_err(|_| self.bytes.clear())?;
            self.bytes.truncate(count);
        }
        let at = (offset - self.start) as usize;
        Ok(&self.bytes[at..self.bytes.len().min(at + length)])
    }
}

/// Block by block, zeros where the disk refuses. `None` if it refuses even what it could read before: then the disk is
/// gone, and its records are not damaged.
fn salvage(disk: &mut dyn Disk, file: FileId, offset: u64, bytes: &mut [u8]) -> Option<usize> {
    disk.read_at(file, 0, &mut [0; SEGMENT_HEADER_BYTES as usize]).ok()?;
    let mut end = 0;
    for (index, block) in bytes.chunks_mut(BLOCK).enumerate() {
        let at = index * BLOCK;
        match disk.read_at(file, offset + at as u64, block) {
            Ok(count) => end = if count > 0 { at + count } else { end },
            Err(_) => {
                block.fill(0);
                end = if offset < READ_LIMIT { at + block.len() } else { end };
            }
        }
    }
    Some(end)
}
