//! Shredding a dataset: nothing of its sealed bytes stays, all of it is told, and nobody else notices.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::{all_losses, at, data, drain_class, open, tiny};
use lingate_buffer::fake::{Crash, FakeDisk};
use lingate_buffer::{Buffer, DiskError, Loss, LossCause, Purged};
use lingate_model::Priority::Normal;

const DOOMED: u8 = 1;
const OTHER: u8 = 2;
const RECORDS: u64 = 12;

fn purge(buffer: &mut Buffer<FakeDisk>) -> Result<Purged, DiskError> {
    buffer.purge(&|alias| alias.as_str() == "q1")
}

/// Two datasets, record by record in turn, over several segments; the first three of each are acknowledged.
fn filled() -> (FakeDisk, Buffer<FakeDisk>) {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    for seq in 0..RECORDS {
        buffer.append(Normal, &data(DOOMED, seq, 10, 200)).unwrap();
        buffer.append_noted(Normal, &data(OTHER, seq, 10, 200), b"note").unwrap();
    }
    buffer.commit(at(1)).unwrap();
    for _ in 0..6 {
        let (id, _) = buffer.next(Normal).unwrap().unwrap();
        buffer.acknowledge(id).unwrap();
    }
    buffer.commit(at(1)).unwrap();
    (disk, buffer)
}

/// Sealed bytes of the dataset that a thief of this disk would find.
fn found(disk: &FakeDisk) -> Vec<u64> {
    let files: Vec<Vec<u8>> = disk.paths().iter().filter_map(|path| disk.contents(path)).collect();
    let is_there = |seq: &u64| {
        let record = data(DOOMED, *seq, 10, 200);
        // The ciphertext alone: heads and kids are the same in every record.
        let needle = &record.bytes()[60..250];
        files.iter().any(|file| file.windows(needle.len()).any(|window| window == needle))
    };
    (0..RECORDS).filter(is_there).collect()
}

/// A header that the crash tore tells of no dataset: such records are only counted.
fn told_of(losses: Vec<Loss>, causes: &[LossCause]) -> (BTreeSet<u64>, u64) {
    let (named, torn): (Vec<Loss>, Vec<Loss>) = losses.into_iter().partition(|loss| loss.alias.is_some());
    let mut told = BTreeSet::new();
    for loss in named {
        assert!(loss.alias.as_ref().is_some_and(|alias| alias.as_str() == "q1"), "{loss:?}");
        assert!(causes.contains(&loss.cause), "{loss:?}");
        assert_eq!(loss.readings, 10 * loss.records);
        for seq in loss.first_seq..=loss.last_seq {
            assert!(told.insert(seq), "{seq} is told twice");
        }
    }
    (told, torn.iter().map(|loss| loss.records).sum())
}

fn told(buffer: &mut Buffer<FakeDisk>, causes: &[LossCause]) -> BTreeSet<u64> {
    let (told, torn) = told_of(all_losses(buffer), causes);
    assert_eq!(torn, 0);
    told
}

#[test]
fn a_purged_dataset_leaves_no_sealed_byte_and_is_told_to_the_record() {
    let (disk, mut buffer) = filled();
    assert_eq!(found(&disk).len() as u64, RECORDS, "the judge must see what is there");
    let purged = purge(&mut buffer).unwrap();
    assert_eq!((purged.records, purged.lost), (RECORDS, RECORDS - 3));
    assert!(found(&disk).is_empty());
    let seqs: Vec<u64> = drain_class(&mut buffer, Normal).iter().map(|(_, sealed)| sealed.seq()).collect();
    assert_eq!(seqs, (3..RECORDS).collect::<Vec<_>>(), "the other dataset is delivered as ever");
    assert_eq!(told(&mut buffer, &[LossCause::Purge]), (3..RECORDS).collect());
    assert_eq!(purge(&mut buffer).unwrap(), Purged::default(), "nothing is left to do or to tell");
}

#[test]
fn what_was_purged_and_not_declared_is_told_again_after_a_restart() {
    let (disk, mut buffer) = filled();
    purge(&mut buffer).unwrap();
    drop(buffer);
    let disk = disk.crash(Crash::KeepAll);
    let (mut buffer, _) = open(&disk, &tiny());
    assert_eq!(drain_class(&mut buffer, Normal).len() as u64, RECORDS - 3);
    assert_eq!(told(&mut buffer, &[LossCause::Purge]), (3..RECORDS).collect());
    buffer.commit(at(2)).unwrap();
    drop(buffer);
    let (mut buffer, _) = open(&disk.crash(Crash::KeepAll), &tiny());
    assert_eq!(drain_class(&mut buffer, Normal).len() as u64, RECORDS - 3);
    assert_eq!(told(&mut buffer, &[LossCause::Purge]), BTreeSet::new(), "a declared loss is told once");
}

/// A frame that was half overwritten is damage; either way it is told once and cannot be opened.
#[test]
fn a_purge_that_is_cut_at_any_call_is_finished_by_the_next() {
    let before = filled().0.calls();
    let (disk, mut buffer) = filled();
    purge(&mut buffer).unwrap();
    for call in before..=disk.calls() {
        for crash in [Crash::DropAll, Crash::KeepAll, Crash::Random(call), Crash::Random(call << 32 | 1)] {
            let (disk, mut buffer) = filled();
            disk.cut_power_after(call);
            let _ = purge(&mut buffer);
            drop(buffer);
            let disk = disk.crash(crash);
            let (mut buffer, _) = open(&disk, &tiny());
            purge(&mut buffer).unwrap();
            assert!(found(&disk).is_empty(), "call {call}");
            let others = drain_class(&mut buffer, Normal);
            assert!(others.iter().all(|(_, sealed)| sealed.alias().as_str() == "q2"));
            let others: BTreeSet<u64> = others.iter().map(|(_, sealed)| sealed.seq()).collect();
            assert!((3..RECORDS).all(|seq| others.contains(&seq)), "call {call}, {crash:?}: only {others:?}");
            let (told, torn) = told_of(all_losses(&mut buffer), &[LossCause::Purge, LossCause::Corruption]);
            let missing = (3..RECORDS).filter(|seq| !told.contains(seq)).count() as u64;
            assert!(missing <= torn && torn <= 1, "call {call}: {missing} of {told:?}, {torn} torn");
        }
    }
}
