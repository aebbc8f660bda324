//! Records that a broker refuses for ever: kept apart, listed, and sent again when a person says so.
//!
//! ```text
//! quarantine/normal-00000000000000000042.rec
//!   0 magic "LGQ\x01", reason u8, zero      12 zero
//!   8 crc32c of 12.. to end                 16 set aside at, i64 microseconds UTC     24 the frame (frame.rs)
//! ```
//!
//! A record is here before its gap record is written, so a crash between the two leaves it in both places and costs a
//! second try. It counts as lost from then on, `maybe_delivered`; what a retry delivers is never declared again.

use std::collections::BTreeMap;

use lingate_model::{DatasetAlias, Priority, UtcMicros};
use lingate_seal::{Kid, Sealed};

use crate::disk::remove_if_present;
use crate::frame::{HEADER_BYTES, Header};
use crate::report::RecordId;
use crate::{Disk, DiskError, inspect};

pub(crate) const DIRECTORY: &str = "quarantine";
const MAGIC: [u8; 4] = *b"LGQ\x01";
const HEAD_BYTES: usize = 24;

/// A record that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    pub record: RecordId,
    pub alias: DatasetAlias,
    pub kid: Kid,
    pub seq: u64,
    pub readings: u32,
    /// Of the file.
    pub bytes: u64,
    /// What the broker said, in the owner's numbers.
    pub reason: u8,
    pub utc: UtcMicros,
}

/// The folder, as it was found and as it was changed since.
#[derive(Default)]
pub(crate) struct Quarantine {
    held: BTreeMap<RecordId, Quarantined>,
    /// Not whole, so that nobody can say whose they are.
    torn: Vec<RecordId>,
}

impl Quarantine {
    /// What is not whole is left where it is, and not listed. A purge of any dataset destroys it.
    pub(crate) fn open(disk: &mut dyn Disk) -> Quarantine {
        let (mut held, mut torn) = (BTreeMap::new(), Vec::new());
        for record in disk.list(DIRECTORY).unwrap_or_default().iter().filter_map(|entry| parse_name(&entry.name)) {
            match read(disk, record) {
                Ok(Some((found, _))) => drop(held.insert(record, found)),
                _ => torn.push(record),
            }
        }
        Quarantine { held, torn }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.held.values().map(|held| held.bytes).sum()
    }

    pub(crate) fn held(&self) -> impl Iterator<Item = &Quarantined> {
        self.held.values()
    }

    pub(crate) fn holds(&self, record: RecordId) -> bool {
        self.held.contains_key(&record)
    }

    /// Durable when it returns. The oldest go when it would grow beyond `limit` bytes: they were declared long ago.
    pub(crate) fn put(
        &mut self,
        disk: &mut dyn Disk,
        (record, reason, utc): (RecordId, u8, UtcMicros),
        frame: &[u8],
        limit: u64,
    ) -> Result<(), DiskError> {
        let bytes = encode(reason, utc, frame);
        while self.bytes() + bytes.len() as u64 > limit {
            let oldest = self.held.values().min_by_key(|held| held.utc).map(|held| held.record);
            let Some(oldest) = oldest else { break };
            self.remove(disk, oldest)?;
        }
        disk.create_directory(DIRECTORY)?;
        let path = path(record);
        remove_if_present(disk, &path)?;
        let file = disk.create(&path)?;
        let written = disk.write_at(file, 0, &bytes).and_then(|()| disk.sync_data(file));
        disk.close(file);
        let synced = written.and_then(|()| disk.sync_directory(DIRECTORY)).and_then(|()| disk.sync_directory(""));
        if let Err(error) = synced {
            let _ = remove_if_present(disk, &path);
            return Err(error);
        }
        let found = decode(record, &bytes).expect("it was encoded just now").0;
        self.held.insert(record, found);
        Ok(())
    }

    pub(crate) fn remove(&mut self, disk: &mut dyn Disk, record: RecordId) -> Result<(), DiskError> {
        remove_if_present(disk, &path(record))?;
        self.held.remove(&record);
        disk.sync_directory(DIRECTORY)
    }

    /// Overwrites with zeros, syncs and removes those of these datasets; says how many, and their bytes.
    pub(crate) fn shred(
        &mut self,
        disk: &mut dyn Disk,
        is_meant: &dyn Fn(&DatasetAlias) -> bool,
    ) -> Result<(u64, u64), DiskError> {
        let meant: Vec<Quarantined> = self.held.values().filter(|held| is_meant(&held.alias)).cloned().collect();
        for held in &meant {
            overwrite(disk, held.record)?;
            self.remove(disk, held.record)?;
        }
        while let Some(torn) = self.torn.last().copied() {
            match overwrite(disk, torn) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => self.remove(disk, torn)?,
            }
            self.torn.pop();
        }
        Ok((meant.len() as u64, meant.iter().map(|held| held.bytes).sum()))
    }
}

fn overwrite(disk: &mut dyn Disk, record: RecordId) -> Result<(), DiskError> {
    let file = disk.open(&path(record))?;
    let content = inspect::whole(disk, file);
    let zeros = content.map(|content| vec![0; content.len()]);
    let written = zeros.and_then(|zeros| disk.write_at(file, 0, &zeros)).and_then(|()| disk.sync_data(file));
    disk.close(file);
    written
}

/// A record that was set aside, from its file; `None` if that is not there or not whole.
pub(crate) fn read(disk: &mut dyn Disk, record: RecordId) -> Result<Option<(Quarantined, Sealed)>, DiskError> {
    let file = match disk.open(&path(record)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let content = inspect::whole(disk, file);
    disk.close(file);
    Ok(decode(record, &content?))
}

pub(crate) fn path(record: RecordId) -> String {
    format!("{DIRECTORY}/{record}.rec")
}

pub(crate) fn parse_name(name: &str) -> Option<RecordId> {
    name.strip_suffix(".rec")?.parse().ok()
}

fn encode(reason: u8, utc: UtcMicros, frame: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES];
    bytes[0..4].copy_from_slice(&MAGIC);
    bytes[4] = reason;
    bytes[16..24].copy_from_slice(&utc.0.to_le_bytes());
    bytes.extend_from_slice(frame);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..8]), &bytes[12..]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(record: RecordId, bytes: &[u8]) -> Option<(Quarantined, Sealed)> {
    let (head, frame) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..8]), &bytes[12..]);
    if head[0..4] != MAGIC || head[8..12] != crc.to_le_bytes() {
        return None;
    }
    let header = Header::decode(frame)?;
    let sealed = crate::store::sealed(&header.identity, &frame[HEADER_BYTES..])?;
    let utc = UtcMicros(i64::from_le_bytes(head[16..24].try_into().ok()?));
    let found = Quarantined {
        record,
        alias: header.identity.alias,
        kid: header.identity.kid,
        seq: header.identity.seq,
        readings: header.identity.readings,
        bytes: bytes.len() as u64,
        reason: head[4],
        utc,
    };
    Some((found, sealed))
}

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}-{:020}", self.priority.name(), self.position))
    }
}

impl std::str::FromStr for RecordId {
    type Err = String;

    fn from_str(text: &str) -> Result<RecordId, String> {
        let parts = text.split_once('-').and_then(|(class, digits)| {
            let priority = Priority::ALL.into_iter().find(|priority| priority.name() == class)?;
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            Some(RecordId { priority, position: digits.parse().ok().filter(|_| is_number)? })
        });
        parts.ok_or_else(|| "a record is named like normal-42: a class and a position".to_owned())
    }
}
