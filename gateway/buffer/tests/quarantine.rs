//! Records that are set aside, and a look at a buffer from outside.
#![allow(clippy::unwrap_used)]

mod common;

use common::{all_losses, at, data, drain, fill, gap, open, tiny};
use lingate_buffer::fake::{Crash, FakeDisk};
use lingate_buffer::{LossCause, RecordId, Settings, inspect, quarantined, read_quarantined};
use lingate_model::Priority::Normal;

#[test]
fn a_quarantined_record_is_a_loss_and_its_bytes_stay_until_they_are_delivered() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    let ids = fill(&mut buffer, Normal, 2, 0..5);
    let waiting = drain(&mut buffer);
    buffer.quarantine(ids[2], 0x99, at(7)).unwrap();
    buffer.quarantine(ids[2], 0x99, at(8)).unwrap();
    let [loss] = &all_losses(&mut buffer)[..] else { panic!("one loss") };
    assert_eq!((loss.first_seq, loss.records, loss.readings), (2, 1, 10));
    assert!(loss.cause == LossCause::Quarantine && loss.maybe_delivered);
    buffer.append(Normal, &gap(99, 0)).unwrap();
    buffer.commit(at(9)).unwrap();
    buffer.rewind();
    let seqs: Vec<u64> = drain(&mut buffer).iter().map(|(_, sealed)| sealed.seq()).collect();
    assert_eq!(seqs, [0, 1, 3, 4, 0], "it is not handed out again");

    drop(buffer);
    let disk = disk.crash(Crash::DropAll);
    let (mut buffer, _) = open(&disk, &tiny());
    let held: Vec<_> = buffer.quarantined().cloned().collect();
    assert_eq!((held[0].record, held[0].reason, held[0].utc, held[0].readings), (ids[2], 0x99, at(7), 10));
    assert_eq!(quarantined(&mut disk.clone()).unwrap(), held, "a look from outside");
    let sealed = buffer.read_quarantined(ids[2]).unwrap().unwrap();
    assert_eq!(sealed, waiting[2].1, "to the byte");
    assert_eq!(read_quarantined(&mut disk.clone(), ids[2]).unwrap(), Some(sealed));
    buffer.acknowledge(ids[2]).unwrap();
    assert_eq!((buffer.usage().quarantined, quarantined(&mut disk.clone()).unwrap().len()), (0, 0));
}

#[test]
fn a_crash_between_setting_aside_and_declaring_costs_a_second_try_and_nothing_else() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    let ids = fill(&mut buffer, Normal, 2, 0..3);
    buffer.quarantine(ids[0], 0x99, at(7)).unwrap();
    drop(buffer);
    let disk = disk.crash(Crash::DropAll);
    let (mut buffer, _) = open(&disk, &tiny());
    assert_eq!(drain(&mut buffer).len(), 3);
    buffer.acknowledge(ids[0]).unwrap();
    assert_eq!((all_losses(&mut buffer), buffer.usage().quarantined), (Vec::new(), 0), "it was delivered after all");
}

#[test]
fn the_oldest_that_were_set_aside_go_first_and_the_cap_holds() {
    let disk = FakeDisk::new();
    let settings = Settings { max_bytes: 3 * 8192 + 8192 + 6 * 4096, ..tiny() };
    let (mut buffer, _) = open(&disk, &settings);
    for seq in 0..60 {
        let id = fill(&mut buffer, Normal, 2, seq..seq + 1)[0];
        buffer.quarantine(id, 0x99, at(seq as i64)).unwrap();
        all_losses(&mut buffer);
        buffer.append(Normal, &gap(99, seq)).unwrap();
        buffer.commit(at(seq as i64)).unwrap();
        assert!(disk.used() <= settings.max_bytes && buffer.usage().bytes == disk.used());
    }
    let held: Vec<u64> = buffer.quarantined().map(|held| held.seq).collect();
    assert_eq!(held.last(), Some(&59));
    assert!((5..20).contains(&held.len()) && held.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{held:?}");
}

#[test]
fn a_purge_reaches_what_was_set_aside() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    let ids = fill(&mut buffer, Normal, 2, 0..3);
    fill(&mut buffer, Normal, 3, 0..3);
    buffer.quarantine(ids[0], 0x99, at(7)).unwrap();
    let secret = data(2, 0, 10, 200).bytes().to_vec();
    assert_eq!(buffer.purge(&|alias| alias.as_str() == "q2").unwrap().records, 4);
    assert_eq!(buffer.usage().quarantined, 0);
    for path in disk.paths() {
        let content = disk.contents(&path).unwrap();
        assert!(!content.windows(secret.len()).any(|window| window == secret), "{path} holds bytes of it");
    }
}

#[test]
fn what_was_handed_out_ahead_does_not_come_again_in_its_turn() {
    let (mut buffer, _) = open(&FakeDisk::new(), &tiny());
    fill(&mut buffer, Normal, 2, 0..40);
    let from = buffer.end(Normal);
    fill(&mut buffer, Normal, 2, 40..60);
    fill(&mut buffer, Normal, 3, 0..20);
    let mut ahead = Vec::new();
    while let Some((id, sealed)) = buffer.next_ahead(Normal, from, &|alias, _, _| alias.as_str() == "q3").unwrap() {
        ahead.push((id, sealed.seq()));
        if ahead.len() % 3 == 0 {
            buffer.acknowledge(id).unwrap();
        }
    }
    assert_eq!(ahead.iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    let rest: Vec<(u8, u64)> = drain(&mut buffer).iter().map(|(_, it)| (it.kid().0[0], it.seq())).collect();
    assert_eq!(rest, (0..60).map(|seq| (2, seq)).collect::<Vec<_>>());
    buffer.rewind();
    let again = drain(&mut buffer).len();
    assert_eq!(again, 60 + 20 - 6, "what was acknowledged ahead is done, the rest comes again");
}

#[test]
fn a_look_from_outside_counts_what_is_there_and_changes_nothing() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    fill(&mut buffer, Normal, 2, 0..40);
    let before: Vec<_> = disk.paths().iter().map(|path| disk.contents(path)).collect();
    let looked = inspect(&mut disk.clone(), true).unwrap();
    let walked: Vec<_> = looked[1].segments.iter().map(|segment| segment.walked.clone().unwrap()).collect();
    assert_eq!(walked.iter().map(|it| it.records).sum::<u64>(), 40);
    assert_eq!(walked.iter().map(|it| it.readings).sum::<u64>(), 400);
    assert!(walked.iter().all(|it| it.damaged.is_empty()));
    assert_eq!(disk.paths().iter().map(|path| disk.contents(path)).collect::<Vec<_>>(), before);
    disk.flip("normal/00000000000000000000.seg", 8 * 1000);
    let looked = inspect(&mut disk.clone(), true).unwrap();
    let damaged = &looked[1].segments[0].walked.as_ref().unwrap().damaged;
    assert_eq!(damaged.iter().map(|range| range.end - range.start).sum::<u64>(), 1);
}

#[test]
fn a_look_without_a_cursor_finds_damage_in_the_last_segment_too() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &Settings { segment_bytes: 1 << 20, ..tiny() });
    fill(&mut buffer, Normal, 2, 0..10);
    disk.flip("normal/00000000000000000000.seg", 8 * 1000);
    for slot in [0, 4096] {
        disk.flip("normal/cursor", 8 * slot);
    }
    let looked = inspect(&mut disk.clone(), true).unwrap();
    let walked = looked[1].segments[0].walked.as_ref().unwrap();
    assert_eq!((looked[1].cursor, looked[1].segments.len(), walked.damaged.len()), (None, 1, 1));
}

#[test]
fn a_record_has_a_name_that_reads_back() {
    let id = RecordId { priority: Normal, position: 42 };
    assert_eq!(id.to_string(), "normal-00000000000000000042");
    assert_eq!((id.to_string().parse(), "normal-42".parse()), (Ok(id), Ok(id)));
    for wrong in ["normal", "normal-", "normal--1", "middle-4", "normal-+4", "normal-99999999999999999999999"] {
        assert!(wrong.parse::<RecordId>().is_err(), "{wrong}");
    }
}

#[test]
fn a_purge_destroys_a_torn_record_of_the_quarantine_because_nobody_can_say_whose_it_is() {
    let disk = FakeDisk::new();
    let (mut buffer, _) = open(&disk, &tiny());
    let ids = fill(&mut buffer, Normal, 2, 0..3);
    drain(&mut buffer);
    buffer.quarantine(ids[1], 0x99, at(7)).unwrap();
    drop(buffer);
    let is_there = |disk: &FakeDisk| disk.paths().iter().any(|path| path.starts_with("quarantine/"));
    let path = disk.paths().into_iter().find(|path| path.starts_with("quarantine/")).unwrap();
    disk.flip(&path, 400);
    let (mut buffer, _) = open(&disk, &tiny());
    assert_eq!((buffer.quarantined().count(), is_there(&disk)), (0, true), "it is kept for a closer look");
    buffer.purge(&|alias| alias.as_str() == "q1").unwrap();
    assert!(!is_there(&disk));
}
