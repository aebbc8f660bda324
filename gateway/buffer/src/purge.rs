//! Shredding: the sealed bytes of a dataset are overwritten where they lie, and what of them still waited is lost.

use std::ops::Range;

use lingate_model::DatasetAlias;

use crate::cursor::Save;
use crate::frame::{self, HEADER_BYTES, Header, PURGED};
use crate::log::Log;
use crate::report::{Loss, LossCause, merge};
use crate::segment::{Found, OnError, Walk};
use crate::{Disk, DiskError};

/// What one call of `purge` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Records whose sealed bytes were overwritten, those that were delivered before among them.
    pub records: u64,
    pub bytes: u64,
    /// Records that still waited, and are told as losses.
    pub lost: u64,
}

impl Log {
    /// Overwrites with zeros, syncs, and tells what waited as lost. Headers and notes stay, so that a loss can be declared
    /// to the record, also by a later process. After an error it can be called again: nothing is told twice.
    pub(crate) fn purge(
        &mut self,
        disk: &mut dyn Disk,
        is_meant: &dyn Fn(&DatasetAlias) -> bool,
    ) -> Result<Purged, DiskError> {
        let mut purged = Purged::default();
        // A header that a crash tears must be taken for damage, and not for the torn tail of a commit that never was.
        self.save(disk, Save::Sync)?;
        // What was read ahead must not be handed out.
        self.close_reader(disk);
        let firsts: Vec<u64> = self.segments.keys().copied().collect();
        for first in firsts {
            let range = first..self.end_of(first);
            let mut walk = match Walk::open(disk, self.class, first) {
                // Its records are told as lost when their turn comes.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let shredded = shred(disk, &mut walk, range.end, is_meant, &mut purged);
            disk.close(walk.file);
            self.tell_purged(shredded?, &mut purged);
        }
        Ok(purged)
    }

    fn tell_purged(&mut self, shredded: Vec<(Header, Vec<u8>)>, purged: &mut Purged) {
        let mut run: Option<(Range<u64>, Vec<Loss>)> = None;
        let mut runs = Vec::new();
        for (header, payload) in shredded {
            let position = header.place.position;
            if self.skip.contains(position) {
                continue;
            }
            let loss = Loss::of(self.class, &header.identity, LossCause::Purge, position < self.handed);
            let loss = loss.with_note(&header.identity, &payload);
            match &mut run {
                Some((positions, losses)) if positions.end == position => {
                    positions.end += 1;
                    losses.push(loss);
                }
                _ => runs.extend(run.replace((position..position + 1, vec![loss]))),
            }
        }
        for (positions, losses) in runs.into_iter().chain(run) {
            purged.lost += positions.end - positions.start;
            self.in_flight.extract_if(positions.clone(), |_, _| true).for_each(drop);
            self.ahead.remove(&positions);
            self.skip.insert(positions.clone());
            losses.iter().for_each(|loss| self.bury(loss));
            self.losses.push(merge(losses), positions);
        }
    }
}

/// The frames of the datasets that are meant, as they were before, each with a payload of which only the note is left.
///
/// All payloads are overwritten, and durably, before the first header is: a header that a crash tears would no longer
/// tell whose bytes follow it.
fn shred(
    disk: &mut dyn Disk,
    walk: &mut Walk,
    end: u64,
    is_meant: &dyn Fn(&DatasetAlias) -> bool,
    purged: &mut Purged,
) -> Result<Vec<(Header, Vec<u8>)>, DiskError> {
    let mut shredded = Vec::new();
    let mut headers = Vec::new();
    let mut has_written = false;
    loop {
        match walk.step(disk, 0, Some(end), OnError::GoOn)? {
            Found::Frame { header, mut payload, .. } if is_meant(&header.identity.alias) => {
                if !header.identity.is_purged() {
                    let sealed = header.identity.split(&payload).0.len();
                    payload[..sealed].fill(0);
                    let offset = walk.offset() - header.frame_bytes();
                    disk.write_at(walk.file, offset + HEADER_BYTES as u64, &payload[..sealed])?;
                    headers.push((offset, purged_header(&header, &payload)));
                    purged.records += 1;
                    purged.bytes += sealed as u64;
                }
                shredded.push((header, payload));
            }
            Found::Frame { .. } => {}
            // Nobody can open it, but its bytes go as well. It is told as damage when its turn comes.
            Found::Damage { header: Some(header), .. } if is_meant(&header.identity.alias) => {
                let offset = walk.offset() - header.frame_bytes() + HEADER_BYTES as u64;
                disk.write_at(walk.file, offset, &vec![0; header.length as usize])?;
                has_written = true;
            }
            Found::Damage { .. } => {}
            Found::End => break,
        }
    }
    if has_written || !headers.is_empty() {
        disk.sync_data(walk.file)?;
    }
    for (offset, header) in &headers {
        disk.write_at(walk.file, *offset, header)?;
    }
    if !headers.is_empty() {
        disk.sync_data(walk.file)?;
    }
    Ok(shredded)
}

fn purged_header(header: &Header, payload: &[u8]) -> Vec<u8> {
    let mut identity = header.identity.clone();
    identity.kind |= PURGED;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame::encode(&identity, &header.place, payload, &mut bytes);
    bytes.truncate(HEADER_BYTES);
    bytes
}
