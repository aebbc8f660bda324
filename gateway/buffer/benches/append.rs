//! 64 records of 1 KiB appended and made durable by one commit, on the disk under the temporary directory.
//!
//! sled 0.34.7 is the baseline. Its `flush` is `sync_file_range` and no promise (spacejam/sled#1452); the second figure
//! adds the `fsync` that the promise of a commit needs.

use divan::counter::ItemsCount;
use lingate_buffer::{Buffer, RealDisk, RecordId, Settings};
use lingate_model::{Priority, UtcMicros};
use lingate_seal::{Kid, RecordKind, Sealed};

const RECORDS: u64 = 64;
const BYTES: usize = 1024;

fn main() {
    divan::main();
}

/// A DATA message of the right form, 1 KiB long.
fn record(seq: u64) -> Sealed {
    let protected = [&[0xa3, 0x01, 0x32, 0x03, 0x10, 0x04, 0x48][..], &[9; 8]].concat();
    let piv = seq.to_be_bytes();
    let piv = &piv[piv.iter().take(7).take_while(|byte| **byte == 0).count()..];
    let ciphertext = vec![seq as u8; BYTES - 130 - piv.len()];
    let head =
        [0xd0, 0x83, 0x43, 0xa1, 0x01, 0x03, 0xa2, 0x04, 0x48, 7, 7, 7, 7, 7, 7, 7, 7, 0x06, 0x40 + piv.len() as u8];
    let encrypted = [&head[..], piv, &long(&ciphertext)].concat();
    let signature = [&[0x58, 64][..], &[3; 64]].concat();
    let message = [&[0xd2, 0x84, 0x4f][..], &protected, &[0xa0], &long(&encrypted), &signature].concat();
    let alias = "q7".parse().expect("an alias");
    Sealed::from_stored(RecordKind::Batch, alias, Kid([7; 8]), seq, 500, &message).expect("a DATA message")
}

/// A CBOR byte string of 256 bytes to 64 KiB.
fn long(content: &[u8]) -> Vec<u8> {
    [&[0x59][..], &(content.len() as u16).to_be_bytes(), content].concat()
}

#[divan::bench(max_time = 3)]
fn segment_log(bencher: divan::Bencher<'_, '_>) {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = RealDisk::open(&directory.path().join("buffer")).expect("a disk");
    let (mut buffer, _) = Buffer::open(disk, Settings::new(8 << 30)).expect("a buffer");
    let mut seq = 0;
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        for _ in 0..RECORDS {
            buffer.append(Priority::Normal, &record(seq)).expect("room");
            seq += 1;
        }
        buffer.commit(UtcMicros(0)).expect("a disk that works")
    });
}

/// The whole way: append, commit, hand out, acknowledge, free.
#[divan::bench(max_time = 3)]
fn segment_log_and_drain(bencher: divan::Bencher<'_, '_>) {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = RealDisk::open(&directory.path().join("buffer")).expect("a disk");
    let (mut buffer, _) = Buffer::open(disk, Settings::new(8 << 30)).expect("a buffer");
    let mut seq = 0;
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        for _ in 0..RECORDS {
            buffer.append(Priority::Normal, &record(seq)).expect("room");
            seq += 1;
        }
        buffer.commit(UtcMicros(0)).expect("a disk that works");
        let sent = std::iter::from_fn(|| buffer.next(Priority::Normal).expect("a disk that works"));
        let ids: Vec<RecordId> = sent.map(|(id, _)| id).collect();
        ids.into_iter().for_each(|id| buffer.acknowledge(id).expect("a disk that works"));
    });
}

#[divan::bench(max_time = 3, args = [false, true])]
fn sled(bencher: divan::Bencher<'_, '_>, with_fsync: bool) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = sled::Config::new().path(directory.path().join("sled")).flush_every_ms(None).open().expect("a store");
    let file = std::fs::File::open(directory.path().join("sled/db")).expect("sled's file");
    let mut seq = 0u64;
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        for _ in 0..RECORDS {
            store.insert(seq.to_be_bytes(), record(seq).bytes()).expect("room");
            seq += 1;
        }
        store.flush().expect("a disk that works");
        if with_fsync {
            file.sync_all().expect("a disk that works");
        }
    });
}
