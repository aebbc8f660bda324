//! Whatever happened to the files: `open` starts, at most what was hit is missing, and that is told.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::{all_losses, at, data, drain, fill, gap, open, tiny};
use lingate_buffer::fake::{Call, Crash, FakeDisk};
use lingate_buffer::{Buffer, Loss, LossCause, RecordId, Settings};
use lingate_model::Priority::{self, High, Low, Normal};
use lingate_seal::Kid;

const FIRST: &str = "normal/00000000000000000000.seg";

/// Closed cleanly, with records 0 to 29 in class normal, in several segments.
fn thirty() -> FakeDisk {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    for start in (0..30).step_by(5) {
        fill(&mut buffer, Normal, 7, start..start + 5);
    }
    buffer.close(at(2)).unwrap();
    disk
}

fn segments(disk: &FakeDisk) -> Vec<String> {
    disk.paths().into_iter().filter(|path| path.starts_with("normal/") && path.ends_with(".seg")).collect()
}

/// What comes and what is told as lost, after a restart.
fn outcome(disk: &FakeDisk) -> (BTreeSet<u64>, Vec<Loss>) {
    let (mut buffer, _) = open(disk, &tiny());
    let came = drain(&mut buffer).into_iter().map(|(id, _)| id.position).collect();
    (came, all_losses(&mut buffer))
}

fn named(seq: u64) -> Loss {
    Loss {
        priority: Normal,
        alias: Some("q7".parse().unwrap()),
        kid: Kid([7; 8]),
        first_seq: seq,
        last_seq: seq,
        records: 1,
        keys: 0,
        loses_epoch: false,
        notes: Vec::new(),
        readings: 10,
        cause: LossCause::Corruption,
        maybe_delivered: false,
    }
}

#[test]
fn a_damaged_frame_is_declared_and_costs_nothing_else() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    for seq in 0..2 {
        buffer.append(Normal, &data(7, seq, 10, 16)).unwrap();
    }
    buffer.commit(at(1)).unwrap();
    buffer.close(at(2)).unwrap();
    let bits = disk.contents(FIRST).unwrap().len() as u64 * 8;
    let mut lost = 0;
    for bit in 0..bits {
        disk.flip(FIRST, bit);
        let damaged = disk.crash(Crash::KeepAll);
        disk.flip(FIRST, bit);
        let (came, losses) = outcome(&damaged);
        let missing: Vec<u64> = (0..2).filter(|seq| !came.contains(seq)).collect();
        assert!(missing.len() <= 1, "bit {bit} cost {missing:?}");
        assert_eq!(losses, missing.iter().map(|seq| named(*seq)).collect::<Vec<_>>(), "bit {bit}");
        lost += missing.len() as u64;
    }
    assert!(lost * 2 > bits / 2, "{lost} of {bits} flips were noticed");
}

#[test]
fn a_flipped_bit_after_a_crash_is_told_as_well() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    fill(&mut buffer, Normal, 7, 0..5);
    fill(&mut buffer, Normal, 7, 5..6);
    // Even when the cursor of the last commit is lost, the frame of the second commit vouches for the first.
    let disk = disk.crash(Crash::DropAll);
    disk.flip(FIRST, 48 * 8 + 2000 * 8);
    let (came, losses) = outcome(&disk);
    assert_eq!(came.len(), 5);
    assert_eq!(losses.iter().map(|loss| (loss.records, loss.maybe_delivered)).collect::<Vec<_>>(), [(1, true)]);
}

/// It was written and its sync failed, then the process ended: the next one finds it behind a damaged frame, and counts it.
#[test]
fn what_counts_behind_damage_is_durable_before_anything_comes_after_it() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    fill(&mut buffer, Normal, 7, 0..3);
    buffer.append(Normal, &data(7, 3, 10, 200)).unwrap();
    disk.fail_next(Call::SyncData, 9, std::io::ErrorKind::Other);
    assert!(buffer.commit(at(2)).is_err());
    disk.heal();
    let disk = disk.crash(Crash::KeepAll);
    disk.flip(FIRST, 8 * (disk.contents(FIRST).unwrap().len() as u64 * 5 / 8));
    let (buffer, recovery) = open(&disk, &tiny());
    assert_eq!((recovery.records, buffer.end(Normal)), (4, 4));
    let (came, losses) = outcome(&disk.crash(Crash::DropAll));
    assert_eq!(came, BTreeSet::from([0, 1, 3]));
    assert_eq!(losses.iter().map(|loss| (loss.first_seq, loss.records)).collect::<Vec<_>>(), [(2, 1)]);
}

#[test]
fn one_flipped_bit_of_a_gap_record_is_put_right() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    buffer.append_noted(Normal, &gap(7, 0), b"what it said").unwrap();
    buffer.commit(at(1)).unwrap();
    let (_, written) = buffer.next(Normal).unwrap().unwrap();
    buffer.close(at(2)).unwrap();
    // Behind the segment's header and the frame's.
    let bits = disk.contents(FIRST).unwrap().len() as u64 * 8;
    for bit in (48 + 104) * 8..bits {
        disk.flip(FIRST, bit);
        let (mut buffer, _) = open(&disk.crash(Crash::KeepAll), &tiny());
        disk.flip(FIRST, bit);
        let came: Vec<_> = drain(&mut buffer).into_iter().map(|(_, sealed)| sealed).collect();
        assert_eq!(came, std::slice::from_ref(&written), "bit {bit}");
        assert_eq!((all_losses(&mut buffer), buffer.usage().repaired), (vec![], 1), "bit {bit}");
    }
}

#[test]
fn a_damaged_last_record_is_still_its_streams_last() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    fill(&mut buffer, Normal, 7, 0..3);
    buffer.close(at(2)).unwrap();
    let bytes = disk.contents(FIRST).unwrap().len() as u64;
    disk.flip(FIRST, (bytes - 9) * 8);
    let (_, recovery) = open(&disk.crash(Crash::KeepAll), &tiny());
    assert_eq!(recovery.heads.values().collect::<Vec<_>>(), [&(Kid([7; 8]), Some(2))]);
    // Two bits of its header: nobody knows whose it was, so nobody's last record is known.
    let frame = (bytes - 48) / 3;
    [20, 40].iter().for_each(|at| disk.flip(FIRST, (bytes - frame + at) * 8));
    let (_, recovery) = open(&disk.crash(Crash::KeepAll), &tiny());
    assert!(recovery.heads.is_empty(), "{:?}", recovery.heads);
}

#[test]
fn a_wiped_page_costs_the_frames_on_it_and_their_readings_are_counted() {
    for path in segments(&thirty()) {
        for start in (0..3500).step_by(500) {
            let disk = thirty();
            let mut bytes = disk.contents(&path).unwrap();
            let end = bytes.len().min(start + 700);
            bytes[start.min(end)..end].fill(0);
            disk.put(&path, &bytes);
            let (came, losses) = outcome(&disk);
            let missing = 30 - came.len() as u64;
            assert!(missing <= 4, "{missing} frames for 700 bytes");
            assert_eq!(losses.iter().map(|loss| loss.records).sum::<u64>(), missing, "{path} {start}");
            // The header of the segment is the only witness of what came before its first frame.
            let is_told = losses.iter().map(|loss| loss.readings).sum::<u64>() == missing * 10;
            assert!(is_told || start == 0, "{path} {start}: {losses:?}");
        }
    }
}

/// Two streams in turns, and damage of any size: each number that does not come is told by name, as the holes in an epoch's
/// numbers are what a receiver asks about.
#[test]
fn every_number_that_damage_takes_is_told_by_name() {
    let mut state = 1_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut lost = 0;
    for round in 0..400 {
        let disk = FakeDisk::new();
        let (mut buffer, _) = open(&disk, &tiny());
        for seq in 0..30 {
            buffer.append(Normal, &data(7, seq, 10, 150)).unwrap();
            buffer.append(Normal, &data(8, seq, 10, 60)).unwrap();
            buffer.commit(at(1)).unwrap();
        }
        buffer.close(at(2)).unwrap();
        let paths = segments(&disk);
        let path = &paths[random(paths.len() as u64) as usize];
        let bytes = disk.contents(path).unwrap();
        let start = random(bytes.len() as u64);
        if round % 2 == 0 {
            // Eight bits close to each other: headers that cannot be repaired.
            (0..8).for_each(|_| disk.flip(path, (start * 8 + random(3000)).min(bytes.len() as u64 * 8 - 1)));
        } else {
            let (start, mut bytes) = (start as usize, bytes);
            let end = bytes.len().min(start + 512);
            bytes[start..end].fill(0);
            disk.put(path, &bytes);
        }
        let (mut buffer, _) = open(&disk, &tiny());
        let came: BTreeSet<_> = drain(&mut buffer).into_iter().map(|(_, it)| (it.kid(), it.seq())).collect();
        let losses = all_losses(&mut buffer);
        let tells = |loss: &&Loss, kid, seq| loss.kid == kid && (loss.first_seq..=loss.last_seq).contains(&seq);
        for (kid, seq) in [7, 8].into_iter().flat_map(|kid| (0..30).map(move |seq| (Kid([kid; 8]), seq))) {
            let told: Vec<_> = losses.iter().filter(|loss| tells(loss, kid, seq)).collect();
            let is_told =
                if came.contains(&(kid, seq)) { told.iter().all(|it| it.maybe_delivered) } else { !told.is_empty() };
            assert!(is_told, "{round}: {kid:?} {seq}: {losses:?}");
        }
        assert_eq!(losses.iter().map(|loss| loss.records).sum::<u64>(), 60 - came.len() as u64, "{round}: {losses:?}");
        lost += 60 - came.len();
    }
    assert!(lost > 500, "{lost} records");
}

#[test]
fn a_missing_or_emptied_or_foreign_segment_costs_what_was_in_it() {
    let reference = thirty();
    let paths = segments(&reference);
    assert!(paths.len() >= 3);
    for (index, path) in paths.iter().enumerate() {
        for harm in 0..4 {
            let disk = thirty();
            match harm {
                0 => disk.take(path),
                1 => disk.put(path, &[]),
                2 => disk.put(path, &[0x5a; 5000]),
                _ => disk.put(path, &reference.contents(&paths[(index + 1) % paths.len()]).unwrap()),
            }
            let (came, losses) = outcome(&disk);
            let missing: Vec<u64> = (0..30).filter(|seq| !came.contains(seq)).collect();
            assert!((1..=12).contains(&missing.len()), "{path} {harm}: {missing:?}");
            assert_eq!(losses.iter().map(|loss| loss.records).sum::<u64>(), missing.len() as u64, "{path} {harm}");
        }
    }
}

#[test]
fn a_truncated_segment_costs_its_tail_at_any_length() {
    let path = segments(&thirty()).pop().unwrap();
    let whole = thirty().contents(&path).unwrap();
    for length in 0..whole.len() {
        let disk = thirty();
        disk.put(&path, &whole[..length]);
        let (mut buffer, recovery) = open(&disk, &tiny());
        assert_eq!(recovery.torn_bytes, 0, "what was durable is not torn");
        let came = drain(&mut buffer).len() as u64;
        let lost: u64 = all_losses(&mut buffer).iter().map(|loss| loss.records).sum();
        assert_eq!(came + lost, 30, "{length}");
        // The places of what was lost are not used again.
        assert_eq!(fill(&mut buffer, Normal, 7, 30..31), [RecordId { priority: Normal, position: 30 }]);
    }
}

#[test]
fn a_lost_cursor_delivers_again_and_forgets_nothing() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    let ids = fill(&mut buffer, Normal, 7, 0..40);
    ids[..20].iter().for_each(|id| buffer.acknowledge(*id).unwrap());
    buffer.close(at(2)).unwrap();
    let cursor = disk.contents("normal/cursor").unwrap();
    for harm in 0..4 {
        let disk = disk.crash(Crash::KeepAll);
        match harm {
            0 => disk.take("normal/cursor"),
            1 => disk.put("normal/cursor", &[]),
            2 => disk.put("normal/cursor", &vec![0xff; cursor.len()]),
            _ => disk.put("normal/cursor", &disk.contents("high/cursor").unwrap()),
        }
        let (came, losses) = outcome(&disk);
        assert_eq!(losses, [], "{harm}");
        assert!((20..40).all(|seq| came.contains(&seq)), "{harm}: {came:?}");
    }
}

#[test]
fn one_bad_slot_of_the_cursor_leaves_the_other() {
    let disk = thirty();
    for slot in 0..2 {
        let harmed = disk.crash(Crash::KeepAll);
        harmed.flip("normal/cursor", (slot * 4096 + 30) * 8);
        let (came, losses) = outcome(&harmed);
        assert_eq!((came.len(), losses.len()), (30, 0), "slot {slot}");
    }
}

#[test]
fn files_that_are_not_ours_change_nothing() {
    let disk = thirty();
    for name in [
        "x.seg",
        "1.seg",
        "99999999999999999999.seg",
        "00000000000000000003.seg",
        "00000000000000000003.seg.old",
        "core",
    ] {
        disk.put(&format!("normal/{name}"), b"something else");
    }
    disk.put("normal/18446744073709551615.seg", &[]);
    disk.put("stray", &[1; 100]);
    let (came, losses) = outcome(&disk);
    assert_eq!((came.len(), losses.len()), (30, 0));
}

#[test]
fn damage_is_told_again_until_a_commit_has_come_after_it() {
    let disk = thirty();
    disk.flip(FIRST, 48 * 8 + 150 * 8);
    for maybe_delivered in [false, true] {
        let (mut buffer, _) = open(&disk, &tiny());
        assert_eq!(drain(&mut buffer).len(), 29);
        assert_eq!(all_losses(&mut buffer), [Loss { maybe_delivered, ..named(0) }]);
    }
    let (mut buffer, _) = open(&disk, &tiny());
    let came = drain(&mut buffer);
    assert_eq!(all_losses(&mut buffer).len(), 1);
    buffer.append(Normal, &gap(9, 0)).unwrap();
    buffer.commit(at(3)).unwrap();
    buffer.rewind();
    assert_eq!(drain(&mut buffer).len(), 30, "29 and the gap record");
    assert_eq!(all_losses(&mut buffer), []);
    came.iter().for_each(|(id, _)| buffer.acknowledge(*id).unwrap());
    assert_eq!(buffer.usage().records_waiting, 1, "a lost record does not pin the floor");
    buffer.close(at(4)).unwrap();
    let (came, losses) = outcome(&disk);
    assert_eq!((came.len(), losses.len()), (1, 0));
}

#[test]
fn a_loss_whose_gap_record_was_not_committed_is_told_again() {
    let disk = thirty();
    disk.flip(FIRST, 48 * 8 + 150 * 8);
    let (mut buffer, _) = open(&disk, &tiny());
    drain(&mut buffer);
    assert_eq!(all_losses(&mut buffer).len(), 1);
    buffer.append(Normal, &gap(9, 0)).unwrap();
    disk.fail_next(Call::SyncData, 1, std::io::ErrorKind::Other);
    buffer.commit(at(3)).unwrap_err();
    drop(buffer);
    let (_, losses) = outcome(&disk.crash(Crash::KeepAll));
    assert_eq!(losses.len(), 1);
}

#[test]
fn a_torn_tail_is_cut_in_silence() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    let ids = fill(&mut buffer, Low, 7, 0..3);
    disk.fail_next(Call::SyncData, 1, std::io::ErrorKind::Other);
    for seq in 3..6 {
        buffer.append(Low, &data(7, seq, 10, 200)).unwrap();
    }
    buffer.commit(at(2)).unwrap_err();
    let path = "low/00000000000000000000.seg";
    let written = disk.contents(path).unwrap();
    for length in written.len() - 700..written.len() {
        let disk = disk.crash(Crash::KeepAll);
        disk.put(path, &written[..length]);
        let (mut buffer, recovery) = open(&disk, &tiny());
        let came: Vec<RecordId> = drain(&mut buffer).into_iter().map(|(id, _)| id).collect();
        assert_eq!(came[..3], ids);
        assert_eq!(all_losses(&mut buffer), []);
        assert!(recovery.torn_bytes < 500 && recovery.records == came.len() as u64);
        fill(&mut buffer, Low, 7, 9..10);
        buffer.rewind();
        assert_eq!(drain(&mut buffer).len(), came.len() + 1);
    }
}

#[test]
fn a_disk_that_fails_to_read_for_a_while_costs_nothing() {
    let disk = thirty();
    let (mut buffer, _) = open(&disk, &tiny());
    disk.fail_next(Call::Read, 3, std::io::ErrorKind::Other);
    buffer.next(Normal).unwrap_err();
    buffer.next(Normal).unwrap_err();
    assert_eq!(drain(&mut buffer).len(), 30);
}

#[test]
fn a_block_that_can_never_be_read_costs_the_frames_on_it() {
    let disk = thirty();
    let (mut buffer, _) = open(&disk, &tiny());
    let (path, bytes) = (segments(&disk)[1].clone(), 2000..2001);
    disk.make_unreadable(&path, bytes.clone());
    let mut came = 0;
    for _ in 0..40 {
        came += u64::from(matches!(buffer.next(Normal), Ok(Some(_))));
    }
    let losses = all_losses(&mut buffer);
    // Blocks of 4 KiB are given up at once, and a tiny segment has only one.
    let lost: u64 = losses.iter().map(|loss| loss.records).sum();
    assert_eq!(came + lost, 30);
    assert!((1..=9).contains(&lost), "{losses:?}");
    assert_eq!(losses.iter().map(|loss| loss.readings).sum::<u64>(), lost * 10);
}

#[test]
fn a_disk_that_is_gone_is_an_error_and_not_a_loss() {
    let disk = thirty();
    let (mut buffer, _) = open(&disk, &tiny());
    disk.fail_next(Call::Read, u64::MAX, std::io::ErrorKind::Other);
    for _ in 0..20 {
        buffer.next(Normal).unwrap_err();
    }
    disk.heal();
    assert_eq!(drain(&mut buffer).len(), 30);
    assert_eq!(buffer.losses(), []);
}

#[test]
fn positions_near_the_end_of_their_range_are_refused_not_wrapped() {
    let disk = FakeDisk::new();
    for class in Priority::ALL {
        disk.put(&format!("{}/09223372036854775807.seg", class.name()), &[0; 100]);
    }
    let settings = Settings { ..tiny() };
    let (mut buffer, _) = open(&disk, &settings);
    assert_eq!(fill(&mut buffer, High, 1, 0..1), [RecordId { priority: High, position: 0 }]);
}

#[test]
fn a_segment_of_a_newer_version_is_refused_and_left_as_it_is() {
    let disk = thirty();
    let name = segments(&disk).pop().unwrap();
    let mut bytes = disk.contents(&name).unwrap();
    bytes[7] = 2;
    disk.put(&name, &bytes);
    assert!(Buffer::open(disk.crash(Crash::KeepAll), tiny()).is_ok(), "without its checksum it is a flipped bit");
    let sum = crc32c::crc32c(&bytes[..40]).to_le_bytes();
    bytes[40..44].copy_from_slice(&sum);
    disk.put(&name, &bytes);
    let refused = Buffer::open(disk.crash(Crash::KeepAll), tiny()).err().unwrap().to_string();
    assert!(refused.contains(&name) && refused.contains("newer version"), "{refused}");
    assert_eq!(disk.contents(&name).unwrap(), bytes);
}
