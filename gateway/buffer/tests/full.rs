//! Too little room: the buffer's own limit, and the disk's.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::{all_losses, at, catalogue, data, drain, drain_class, fill, gap, open, tiny};
use lingate_buffer::fake::{Call, Crash, FakeDisk};
use lingate_buffer::{AppendError, Buffer, Loss, LossCause, Overflow, RecordId, Settings};
use lingate_model::Priority::{self, High, Low, Normal};

/// Room for six segments.
fn small(overflow: Overflow) -> Settings {
    Settings { max_bytes: 3 * 8192 + 8192 + 6 * 4096, overflow, ..tiny() }
}

/// As the engine does it: commit, then declare what was lost and commit that.
fn commit_and_declare(buffer: &mut Buffer<FakeDisk>, gaps: &mut u64) -> Vec<Loss> {
    let _ = buffer.commit(at(1));
    let losses = all_losses(buffer);
    for loss in &losses {
        buffer.append(loss.priority, &gap(99, *gaps)).unwrap();
        *gaps += 1;
    }
    let _ = buffer.commit(at(1));
    losses
}

fn seqs(losses: &[Loss]) -> BTreeSet<u64> {
    losses.iter().flat_map(|loss| loss.first_seq..=loss.last_seq).collect()
}

#[test]
fn on_overflow_the_oldest_of_the_lowest_class_goes_and_is_declared_to_the_record() {
    let disk = FakeDisk::new();
    let settings = small(Overflow::DropOldest);
    let (mut buffer, _) = open(&disk, &settings);
    let (mut gaps, mut losses) = (0, Vec::new());
    fill(&mut buffer, High, 1, 0..5);
    for seq in 0..200 {
        buffer.append(Normal, &data(2, seq, 10, 200)).unwrap();
        if seq < 20 {
            buffer.append(Low, &data(3, seq, 10, 200)).unwrap();
        }
        losses.extend(commit_and_declare(&mut buffer, &mut gaps));
        assert!(disk.used() <= settings.max_bytes, "{} bytes at {seq}", disk.used());
        assert_eq!(disk.used(), buffer.usage().bytes);
    }
    assert!(losses.iter().all(|loss| loss.cause == LossCause::Overflow && !loss.maybe_delivered));
    let first_normal = losses.iter().position(|loss| loss.priority == Normal).unwrap();
    assert!(losses[..first_normal].iter().all(|loss| loss.priority == Low), "low goes first");
    assert_eq!(drain_class(&mut buffer, High).len(), 5, "a higher class is not touched");
    let (of_normal, of_low): (Vec<_>, Vec<_>) =
        losses.into_iter().filter(|l| l.kid.0[0] != 99).partition(|l| l.kid.0[0] == 2);
    for (priority, losses, count) in [(Normal, of_normal, 200), (Low, of_low, 20)] {
        let came: BTreeSet<u64> = drain_class(&mut buffer, priority)
            .iter()
            .filter(|(_, r)| r.kid().0[0] != 99)
            .map(|(_, r)| r.seq())
            .collect();
        let lost = seqs(&losses);
        assert!(came.is_disjoint(&lost));
        assert_eq!(came.union(&lost).count(), count);
        assert_eq!(losses.iter().map(|loss| loss.records).sum::<u64>(), lost.len() as u64);
        assert_eq!(losses.iter().map(|loss| loss.readings).sum::<u64>(), lost.len() as u64 * 10);
    }
}

#[test]
fn the_buffer_never_grows_beyond_its_cap() {
    for (overflow, declares) in
        [(Overflow::DropOldest, true), (Overflow::DropOldest, false), (Overflow::RefuseNew, false)]
    {
        let disk = FakeDisk::new();
        let settings = small(overflow);
        let (mut buffer, _) = open(&disk, &settings);
        let (mut gaps, mut refused) = (0, 0);
        for seq in 0..300 {
            let priority = Priority::ALL[(seq % 3) as usize];
            let record = data(priority as u8, seq, 1, (seq * 37 % 1500) as usize);
            let is_refused = matches!(buffer.append(priority, &record), Err(AppendError::Full));
            refused += u64::from(is_refused && (priority == High || overflow == Overflow::RefuseNew));
            if declares {
                commit_and_declare(&mut buffer, &mut gaps);
            } else {
                buffer.commit(at(1)).unwrap();
            }
            assert!(disk.used() <= settings.max_bytes, "{} bytes at {seq}", disk.used());
        }
        assert_eq!(refused > 0, overflow == Overflow::RefuseNew, "the highest class drops without waiting for anybody");
    }
}

#[test]
fn what_was_handed_out_and_dropped_may_have_arrived() {
    let (mut buffer, _) = open(&FakeDisk::new(), &small(Overflow::DropOldest));
    fill(&mut buffer, Normal, 2, 0..1);
    let first = buffer.next(Normal).unwrap().unwrap().0;
    let (mut gaps, mut losses) = (0, Vec::new());
    for seq in 1..100 {
        buffer.append(Normal, &data(2, seq, 10, 200)).unwrap();
        losses.extend(commit_and_declare(&mut buffer, &mut gaps));
    }
    let maybe: Vec<_> = losses.iter().filter(|loss| loss.maybe_delivered).collect();
    assert_eq!(maybe.iter().map(|loss| (loss.first_seq, loss.records)).collect::<Vec<_>>(), [(0, 1)]);
    // A late acknowledgement does no harm.
    buffer.acknowledge(first).unwrap();
}

#[test]
fn acknowledged_records_of_a_dropped_segment_are_not_declared() {
    let (mut buffer, _) = open(&FakeDisk::new(), &small(Overflow::DropOldest));
    let ids = fill(&mut buffer, Normal, 2, 0..5);
    buffer.acknowledge(ids[1]).unwrap();
    buffer.acknowledge(ids[3]).unwrap();
    let (mut gaps, mut losses) = (0, Vec::new());
    for seq in 5..80 {
        buffer.append(Normal, &data(2, seq, 10, 200)).unwrap();
        losses.extend(commit_and_declare(&mut buffer, &mut gaps));
    }
    let lost = seqs(&losses);
    assert!(lost.contains(&0) && lost.contains(&2) && lost.contains(&4));
    assert!(!lost.contains(&1) && !lost.contains(&3));
}

#[test]
fn a_segment_is_dropped_only_when_its_losses_are_written_down() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &small(Overflow::DropOldest));
    let mut seq = 0;
    let (segment, ledger) = ("normal/00000000000000000000.seg", "normal/00000000000000000000.lost");
    while disk.paths().contains(&segment.to_owned()) || seq == 0 {
        disk.record();
        fill(&mut buffer, Normal, 2, seq..seq + 1);
        seq += 1;
    }
    let calls = disk.recorded();
    let at_call = |call: Call, path: &str| calls.iter().position(|(c, p)| *c == call && p.starts_with(path)).unwrap();
    assert!(at_call(Call::SyncData, ledger) < at_call(Call::SyncDirectory, "normal"), "content, then name");
    assert!(at_call(Call::SyncDirectory, "normal") < at_call(Call::SyncData, "normal/cursor"), "losses, then cursor");
    assert!(at_call(Call::SyncData, "normal/cursor") < at_call(Call::Remove, segment), "cursor, then removal");
    // The process ends here, and once more after the losses were told: each time they are told again.
    for _ in 0..2 {
        drop(buffer);
        (buffer, _) = open(&disk.crash(Crash::KeepAll), &small(Overflow::DropOldest));
        let losses = all_losses(&mut buffer);
        assert_eq!(losses.iter().map(|loss| loss.first_seq).collect::<Vec<_>>(), [0]);
        let came: BTreeSet<u64> = drain(&mut buffer).iter().map(|(_, record)| record.seq()).collect();
        assert_eq!(seqs(&losses), (0..seq).filter(|seq| !came.contains(seq)).collect());
    }
    buffer.hold_losses(Normal, true);
    buffer.commit(at(2)).unwrap();
    drop(buffer);
    (buffer, _) = open(&disk, &small(Overflow::DropOldest));
    assert!(!all_losses(&mut buffer).is_empty(), "held losses are not declared");
    buffer.append(Normal, &gap(99, 0)).unwrap();
    buffer.commit(at(2)).unwrap();
    assert!(!disk.paths().contains(&ledger.to_owned()), "declared losses need no ledger");
    drop(buffer);
    assert_eq!(all_losses(&mut open(&disk, &small(Overflow::DropOldest)).0), []);
}

#[test]
fn what_an_epoch_lost_with_its_key_is_told_again_until_it_is_declared() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &small(Overflow::DropOldest));
    buffer.append(Normal, &catalogue(2)).unwrap();
    let mut last = 0;
    while last == 0 || disk.paths().contains(&"normal/00000000000000000000.seg".to_owned()) {
        last += 1;
        fill(&mut buffer, Normal, 2, last..last + 1);
    }
    let mut told = seqs(&all_losses(&mut buffer));
    buffer.append(Normal, &gap(99, 0)).unwrap();
    buffer.commit(at(2)).unwrap();
    assert!(
        drain_class(&mut buffer, Normal).iter().all(|(_, record)| record.kid().0[0] == 99),
        "nobody understands them"
    );
    // The rest of the epoch was found lost, and nobody took the losses. Whatever is saved meanwhile, they are told again.
    for crash in [Crash::KeepAll, Crash::DropAll] {
        buffer.commit(at(3)).unwrap();
        drop(buffer);
        (buffer, _) = open(&disk.crash(crash), &small(Overflow::DropOldest));
        drain_class(&mut buffer, Normal);
    }
    told.extend(seqs(&all_losses(&mut buffer)));
    assert_eq!(told, (0..=last).collect());
}

#[test]
fn refuse_new_refuses_until_space_returns_and_still_takes_gap_records() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &small(Overflow::RefuseNew));
    let mut seq = 0;
    let error = loop {
        match buffer.append(Normal, &data(2, seq, 10, 200)) {
            Ok(_) => seq += 1,
            Err(error) => break error,
        }
        buffer.commit(at(1)).unwrap();
    };
    assert!(matches!(error, AppendError::Full));
    assert_eq!(all_losses(&mut buffer), []);
    buffer.append(Normal, &gap(99, 0)).unwrap();
    buffer.commit(at(1)).unwrap();
    let waiting = drain(&mut buffer);
    assert_eq!(waiting.len() as u64, seq + 1);
    for (id, _) in &waiting[..30] {
        buffer.acknowledge(*id).unwrap();
    }
    buffer.append(Normal, &data(2, seq, 10, 200)).unwrap();
}

#[test]
fn a_lower_class_never_pushes_out_a_higher_one() {
    let (mut buffer, _) = open(&FakeDisk::new(), &small(Overflow::DropOldest));
    let mut seq = 0;
    while buffer.usage().segments < 6 && all_losses(&mut buffer).is_empty() {
        fill(&mut buffer, High, 1, seq..seq + 1);
        seq += 1;
    }
    let refused = (0..60).find_map(|seq| buffer.append(Low, &data(3, seq, 1, 200)).err()).unwrap();
    assert!(matches!(refused, AppendError::Full));
}

#[test]
fn memory_between_two_commits_is_bounded() {
    let (mut buffer, _) = open(&FakeDisk::new(), &Settings { uncommitted_bytes: 2000, ..tiny() });
    let refused = (0..100).find_map(|seq| buffer.append(Normal, &data(2, seq, 1, 200)).err()).unwrap();
    assert!(matches!(refused, AppendError::Uncommitted { bytes: 1..=2000, limit: 2000 }));
    buffer.commit(at(1)).unwrap();
    buffer.append(Normal, &data(2, 9, 1, 200)).unwrap();
    let huge = buffer.append(Normal, &data(2, 10, 1, 4096)).unwrap_err();
    assert!(matches!(huge, AppendError::TooLarge { bytes: 4097.., limit: ..4096 }));
}

#[test]
fn on_a_full_disk_the_reserve_lets_the_gap_record_down_and_comes_back() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    fill(&mut buffer, Normal, 2, 0..40);
    disk.set_capacity(Some(disk.used() + 100));
    let (mut gaps, mut losses) = (0, Vec::new());
    let mut reserve_was_gone = false;
    for seq in 40..65 {
        buffer.append(High, &data(1, seq, 10, 200)).unwrap();
        disk.record();
        let committed = buffer.commit(at(2)).unwrap();
        assert_eq!(committed.records.len(), 1, "the reserve is enough for every commit");
        reserve_was_gone |= disk.recorded().contains(&(Call::Remove, "reserve".to_owned()));
        losses.extend(commit_and_declare(&mut buffer, &mut gaps));
    }
    assert!(reserve_was_gone);
    assert!(losses.iter().all(|loss| loss.priority == Normal && loss.cause == LossCause::Overflow));
    assert!(!losses.is_empty());
    assert!(disk.paths().contains(&"reserve".to_owned()), "it is there for the next time");
    assert_eq!(drain_class(&mut buffer, High).len(), 25);
    let (mut buffer, _) = open(&disk.crash(Crash::DropAll), &tiny());
    assert_eq!(drain_class(&mut buffer, High).len(), 25, "a full disk does not stop the start");
    assert_eq!(buffer.losses(), []);
}

#[test]
fn on_a_full_disk_records_stay_in_memory_and_acknowledgements_still_free_space() {
    let disk = FakeDisk::new();
    let settings = Settings { overflow: Overflow::RefuseNew, reserve_bytes: 0, ..tiny() };
    let (mut buffer, _) = open(&disk, &settings);
    let ids = fill(&mut buffer, Normal, 2, 0..40);
    disk.set_capacity(Some(disk.used()));
    buffer.append(Normal, &data(2, 40, 10, 200)).unwrap();
    for _ in 0..3 {
        assert_eq!(buffer.commit(at(2)).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        assert!(buffer.has_uncommitted());
    }
    assert_eq!(drain(&mut buffer).len(), 40);
    let before = disk.used();
    ids.iter().for_each(|id| buffer.acknowledge(*id).unwrap());
    assert!(disk.used() < before - 3 * 4096);
    let expected = RecordId { priority: Normal, position: 40 };
    assert_eq!(buffer.commit(at(3)).unwrap().records.iter().map(|(id, _, _)| *id).collect::<Vec<_>>(), [expected]);
    assert_eq!(drain(&mut buffer).len(), 1);
}

#[test]
fn a_partial_commit_names_what_is_durable_and_keeps_the_rest() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    for (seq, priority) in (0..).zip(Priority::ALL) {
        buffer.append(priority, &data(2, seq, 10, 200)).unwrap();
    }
    // High is written first: its segment's creation is the first, Normal's the second.
    let calls = disk.calls();
    disk.fail_call(calls + 6, std::io::ErrorKind::Other);
    let first = buffer.commit(at(1)).unwrap();
    let second = buffer.commit(at(2)).unwrap();
    let names: Vec<u64> = first.records.iter().chain(&second.records).map(|(_, _, seq)| *seq).collect();
    assert_eq!(names, [0, 1, 2]);
    assert!(first.records.len() == 1 && !buffer.has_uncommitted());
    assert_eq!(drain(&mut buffer).len(), 3);
}
