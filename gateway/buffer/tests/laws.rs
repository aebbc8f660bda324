//! What a healthy buffer promises, on a disk in memory and on a real one.
#![allow(clippy::unwrap_used)]

mod common;

use common::{at, data, drain, drain_class, fill, gap, open, tiny};
use lingate_buffer::fake::{Call, Crash, FakeDisk};
use lingate_buffer::{Buffer, BufferError, Disk, RealDisk, RecordId, Recovery, Settings, Usage};
use lingate_model::Priority::{High, Low, Normal};
use lingate_seal::Kid;

#[test]
fn nothing_is_handed_out_before_it_is_durable() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    buffer.append(Normal, &data(1, 0, 5, 100)).unwrap();
    assert!(buffer.has_uncommitted());
    assert_eq!(buffer.next(Normal).unwrap(), None);
    disk.fail_next(Call::SyncData, 1, std::io::ErrorKind::Other);
    buffer.commit(at(1)).unwrap_err();
    assert_eq!(buffer.next(Normal).unwrap(), None);
    let committed = buffer.commit(at(2)).unwrap();
    assert_eq!((committed.records.len(), committed.readings), (1, 5));
    assert_eq!(buffer.next(Normal).unwrap().unwrap().1, data(1, 0, 5, 100));
    assert_eq!(buffer.next(Normal).unwrap(), None);
}

#[test]
fn a_commit_is_one_sync_per_dirty_class() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    for priority in [High, Low] {
        fill(&mut buffer, priority, 1, 0..1);
    }
    disk.record();
    for seq in 1..4 {
        buffer.append(High, &data(1, seq, 1, 50)).unwrap();
        buffer.append(Low, &data(1, seq, 1, 50)).unwrap();
    }
    let order: Vec<_> = buffer.commit(at(2)).unwrap().records.iter().map(|(id, _, seq)| (id.priority, *seq)).collect();
    assert_eq!(order, [(High, 1), (Low, 1), (High, 2), (Low, 2), (High, 3), (Low, 3)]);
    let syncs: Vec<_> = disk.recorded().into_iter().filter(|(call, _)| *call == Call::SyncData).collect();
    assert_eq!(syncs.len(), 2, "{syncs:?}");
}

#[test]
fn a_segment_whose_sync_failed_is_never_written_again_and_stays_readable() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    let before = fill(&mut buffer, Normal, 1, 0..2);
    disk.record();
    disk.fail_next(Call::SyncData, 1, std::io::ErrorKind::Other);
    let after = buffer.append(Normal, &data(1, 2, 1, 50)).unwrap();
    buffer.commit(at(2)).unwrap_err();
    buffer.commit(at(3)).unwrap();
    let writes = disk.recorded().into_iter().filter(|(call, path)| *call == Call::Write && path.ends_with("000.seg"));
    assert_eq!(writes.count(), 1, "only the one whose sync failed");
    let expected: Vec<RecordId> = before.into_iter().chain([after]).collect();
    for crash in [Crash::DropAll, Crash::KeepAll] {
        let (mut buffer, _) = open(&disk.crash(crash), &tiny());
        assert_eq!(drain(&mut buffer).into_iter().map(|(id, _)| id).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn frames_whose_sync_failed_become_durable_at_the_next_start() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    fill(&mut buffer, Normal, 1, 0..2);
    disk.fail_next(Call::SyncData, 1, std::io::ErrorKind::Other);
    buffer.append(Normal, &data(1, 2, 1, 50)).unwrap();
    buffer.commit(at(2)).unwrap_err();
    // The process is killed: the system still shows the frame that the disk has not got.
    let disk = disk.crash(Crash::KeepAll);
    let (mut buffer, _) = open(&disk, &tiny());
    assert_eq!(drain(&mut buffer).len(), 3);
    let (mut buffer, _) = open(&disk.crash(Crash::DropAll), &tiny());
    assert_eq!(drain(&mut buffer).len(), 3, "what was handed out is durable");
}

#[test]
fn acknowledgements_in_any_order_give_the_disk_back() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    let mut ids = fill(&mut buffer, Normal, 1, 0..100);
    let full = disk.used();
    ids.rotate_left(37);
    ids.reverse();
    for id in &ids {
        buffer.acknowledge(*id).unwrap();
        buffer.acknowledge(*id).unwrap();
    }
    let usage = buffer.usage();
    assert_eq!((usage.records_waiting, usage.readings_waiting, usage.segments), (0, 0, 1));
    assert!(disk.used() + 36_000 < full);
    let (mut buffer, recovery) = open(&disk.crash(Crash::DropAll), &tiny());
    assert!(recovery.records <= 10, "only what the open segment holds may come again");
    assert_eq!(fill(&mut buffer, Normal, 1, 100..101)[0].position, 100);
}

#[test]
fn one_record_that_is_not_acknowledged_keeps_its_segment_and_those_after_it() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    let ids = fill(&mut buffer, Normal, 1, 0..100);
    let segments = buffer.usage().segments;
    for id in ids.iter().filter(|id| id.position != 50) {
        buffer.acknowledge(*id).unwrap();
    }
    assert!((segments / 3..segments).contains(&buffer.usage().segments));
    assert_eq!(drain(&mut buffer).iter().map(|(id, _)| id.position).collect::<Vec<_>>(), [50]);
    // The bitmap remembers the others through a restart.
    buffer.close(at(3)).unwrap();
    let (mut buffer, recovery) = open(&disk, &tiny());
    assert_eq!((recovery.clean, recovery.records), (true, 1));
    assert_eq!(drain(&mut buffer).iter().map(|(id, _)| id.position).collect::<Vec<_>>(), [50]);
    buffer.acknowledge(ids[50]).unwrap();
    assert_eq!(buffer.usage().segments, 1);
}

#[test]
fn a_segment_is_removed_only_after_the_cursor_is_durable() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    let ids = fill(&mut buffer, Normal, 1, 0..30);
    disk.record();
    ids.iter().for_each(|id| buffer.acknowledge(*id).unwrap());
    let calls = disk.recorded();
    for (index, (call, _)) in calls.iter().enumerate().filter(|(_, (call, _))| *call == Call::Remove) {
        assert_eq!(calls[index - 1], (Call::SyncData, "normal/cursor".to_owned()), "{call:?}");
        assert_eq!(calls[index + 1], (Call::SyncDirectory, "normal".to_owned()));
    }
    assert!(calls.iter().any(|(call, _)| *call == Call::Remove));
}

#[test]
fn the_cursor_is_written_after_1024_acknowledgements_without_a_commit() {
    let disk = FakeDisk::new();
    let settings = Settings { segment_bytes: 1 << 20, uncommitted_bytes: 1 << 20, max_bytes: 8 << 20, ..tiny() };
    let (mut buffer, _) = open(&disk, &settings);
    let ids = fill(&mut buffer, Normal, 1, 0..1100);
    ids.iter().for_each(|id| buffer.acknowledge(*id).unwrap());
    let (_, recovery) = open(&disk.crash(Crash::KeepAll), &settings);
    assert_eq!(recovery.records, 76);
}

#[test]
fn a_cursor_that_was_synced_survives_any_later_one_that_was_not() {
    let disk = FakeDisk::new();
    let settings = Settings { segment_bytes: 4 << 20, uncommitted_bytes: 4 << 20, max_bytes: 32 << 20, ..tiny() };
    let (mut buffer, _) = open(&disk, &settings);
    let ids = fill_small(&mut buffer, 8000);
    // Acknowledged all over the bitmap, so that a slot that was written in part is not whole.
    let acknowledge = |buffer: &mut Buffer<FakeDisk>, from: usize| {
        ids.iter().skip(from).step_by(100).for_each(|id| buffer.acknowledge(*id).unwrap());
    };
    acknowledge(&mut buffer, 1);
    buffer.close(at(2)).unwrap();
    let (mut buffer, recovery) = open(&disk, &settings);
    for round in 2..6 {
        acknowledge(&mut buffer, round);
        buffer.commit(at(3)).unwrap();
    }
    for seed in 0..60 {
        let (_, again) = open(&disk.crash(Crash::Random(seed)), &settings);
        assert!(again.records <= recovery.records, "seed {seed}: {} records", again.records);
    }
}

fn fill_small(buffer: &mut Buffer<FakeDisk>, count: u64) -> Vec<RecordId> {
    let ids = (0..count).map(|seq| buffer.append(Normal, &data(1, seq, 1, 0)).unwrap()).collect();
    buffer.commit(at(1)).unwrap();
    ids
}

#[test]
fn after_a_rewind_all_that_waits_comes_again_in_order() {
    let (mut buffer, _) = open(&FakeDisk::new(), &tiny());
    let ids = fill(&mut buffer, Normal, 1, 0..40);
    assert_eq!(drain(&mut buffer).len(), 40);
    for id in ids.iter().step_by(2) {
        buffer.acknowledge(*id).unwrap();
    }
    for _ in 0..3 {
        buffer.rewind();
        let again: Vec<u64> = drain(&mut buffer).iter().map(|(id, _)| id.position).collect();
        assert_eq!(again, (1..40).step_by(2).collect::<Vec<_>>());
    }
}

#[test]
fn usage_and_recovery_tell_what_waits_and_since_when() {
    let disk = FakeDisk::new();
    let (mut buffer, recovery) = open(&disk, &tiny());
    assert_eq!(recovery, Recovery { clean: true, ..Recovery::default() });
    for second in 0..40 {
        buffer.append(Normal, &data(1, second, 3, 200)).unwrap();
        buffer.commit(at(second as i64)).unwrap();
    }
    for (id, _) in drain(&mut buffer).into_iter().take(15) {
        buffer.acknowledge(id).unwrap();
    }
    let expected = (25, 75, Some(at(15)));
    let tell = |usage: Usage| (usage.records_waiting, usage.readings_waiting, usage.oldest);
    assert_eq!(tell(buffer.usage()), expected);
    buffer.close(at(40)).unwrap();
    let (mut buffer, recovery) = open(&disk, &tiny());
    let heads = [("q1".parse().unwrap(), (Kid([1; 8]), Some(39)))].into();
    assert_eq!(recovery, Recovery { clean: true, last_commit: Some(at(39)), records: 25, torn_bytes: 0, heads });
    assert!(buffer.usage().oldest <= Some(at(15)));
    buffer.next(Normal).unwrap();
    assert_eq!(tell(buffer.usage()), expected);
    drop(buffer);
    let (_, recovery) = open(&disk, &tiny());
    assert!(!recovery.clean, "the second life was not closed");
}

#[test]
fn two_buffers_cannot_share_a_directory() {
    let disk = FakeDisk::new();
    let (buffer, _) = open(&disk, &tiny());
    assert!(matches!(Buffer::open(disk.clone(), tiny()), Err(BufferError::Locked)));
    drop(buffer);
    open(&disk, &tiny());
}

#[test]
fn a_real_directory_is_private_locked_and_survives() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("buffer");
    let settings = Settings::new(64 << 20);
    let (mut buffer, _) = Buffer::open(RealDisk::open(&root).unwrap(), settings.clone()).unwrap();
    assert!(matches!(Buffer::open(RealDisk::open(&root).unwrap(), settings.clone()), Err(BufferError::Locked)));
    for seq in 0..100 {
        buffer.append(Low, &data(1, seq, 1, 3000)).unwrap();
    }
    buffer.append(High, &gap(2, 0)).unwrap();
    assert_eq!(buffer.commit(at(1)).unwrap().records.len(), 101);
    let usage = buffer.usage();
    drop(buffer);
    let mut on_disk = 0;
    for path in ["", "LOCK", "reserve", "low", "low/cursor", "low/00000000000000000000.seg", "high/cursor"] {
        let metadata = std::fs::metadata(root.join(path)).unwrap();
        let mode = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path}");
    }
    for entry in ["low", "normal", "high"].iter().flat_map(|class| std::fs::read_dir(root.join(class)).unwrap()) {
        on_disk += entry.unwrap().metadata().unwrap().len();
    }
    assert_eq!(on_disk + std::fs::metadata(root.join("reserve")).unwrap().len(), usage.bytes);
    let (mut buffer, recovery) = Buffer::open(RealDisk::open(&root).unwrap(), settings.clone()).unwrap();
    assert_eq!((recovery.clean, recovery.records), (false, 101));
    let mut count = 0;
    while let Some((id, sealed)) = buffer.next(Low).unwrap() {
        assert_eq!(sealed, data(1, count, 1, 3000));
        buffer.acknowledge(id).unwrap();
        count += 1;
    }
    assert_eq!(count, 100);
    buffer.close(at(2)).unwrap();
    let (_, recovery) = Buffer::open(RealDisk::open(&root).unwrap(), settings).unwrap();
    assert_eq!((recovery.clean, recovery.records), (true, 1));
}

#[test]
fn the_real_disk_answers_as_the_fake_one_does() {
    let parent = tempfile::tempdir().unwrap();
    let mut fake = FakeDisk::new();
    let mut real = RealDisk::open(&parent.path().join("buffer")).unwrap();
    let disks: [&mut dyn Disk; 2] = [&mut fake, &mut real];
    for disk in disks {
        disk.lock().unwrap();
        disk.create_directory("a").unwrap();
        disk.create_directory("a").unwrap();
        let file = disk.create("a/x").unwrap();
        assert_eq!(disk.create("a/x").unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(disk.open("a/y").unwrap_err().kind(), std::io::ErrorKind::NotFound);
        assert_eq!(disk.remove("a/y").unwrap_err().kind(), std::io::ErrorKind::NotFound);
        disk.write_at(file, 3, b"abc").unwrap();
        let mut bytes = [9; 8];
        assert_eq!(disk.read_at(file, 1, &mut bytes).unwrap(), 5);
        assert_eq!(&bytes, b"\0\0abc\x09\x09\x09");
        assert_eq!(disk.read_at(file, 7, &mut bytes).unwrap(), 0);
        disk.truncate(file, 4).unwrap();
        disk.sync_data(file).unwrap();
        disk.sync_directory("a").unwrap();
        let listed = disk.list("a").unwrap();
        assert_eq!(listed.iter().map(|e| (e.name.as_str(), e.bytes)).collect::<Vec<_>>(), [("x", 4)]);
        assert_eq!(disk.list("b").unwrap_err().kind(), std::io::ErrorKind::NotFound);
        disk.close(file);
        assert_eq!(disk.write_at(file, 0, b"x").unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
        disk.remove("a/x").unwrap();
        assert_eq!(disk.list("a").unwrap(), []);
    }
}

#[test]
fn at_the_true_limits_a_segment_is_full_at_8_mib_to_the_byte() {
    let disk = FakeDisk::new();
    let settings = Settings { uncommitted_bytes: 64 << 20, ..Settings::new(8 << 30) };
    let (mut buffer, _) = open(&disk, &settings);
    // Two frames and the segment's header are 8 MiB exactly.
    let half = (8 * 1024 * 1024 - 48) / 2 - 104;
    let around = data(1, 0, 1, 100_000).bytes().len() - 100_000;
    let ids: Vec<RecordId> = [0, 0, 1, 0]
        .into_iter()
        .zip(0..)
        .map(|(more, seq)| buffer.append(Normal, &data(1, seq, 1, half - around + more)).unwrap())
        .collect();
    buffer.commit(at(1)).unwrap();
    let first = disk.contents("normal/00000000000000000000.seg").unwrap();
    assert_eq!((first.len(), buffer.usage().segments), (8 * 1024 * 1024, 3));
    let (mut buffer, recovery) = open(&disk.crash(Crash::DropAll), &settings);
    assert_eq!(recovery.records, 4);
    assert_eq!(drain_class(&mut buffer, Normal).into_iter().map(|(id, _)| id).collect::<Vec<_>>(), ids);
    ids.iter().for_each(|id| buffer.acknowledge(*id).unwrap());
    assert_eq!(buffer.usage().segments, 1);
}
