//! No key meets a nonce twice, whatever dies when. `LINGATE_SEALS=10000000` asks for the long run.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Role, Seeded, batch, grant, now, open_key, points, signing_key, terms};
use lingate_model::{BuiltinType, PointId, Reading, UtcMicros, Value};
use lingate_refine::Batch;
use lingate_seal::{
    ContentKey, DataMessage, Epoch, GapCause, GapRecord, HeldKey, RecordKind, Sealed, SigningFailed, SigningKey,
};

const WORKERS: u64 = 2;

/// Signs what opens an epoch. Behind it a signature costs more than all the rest, and no key or nonce depends on it.
struct Opens {
    key: SigningKey,
    is_opening: Arc<AtomicBool>,
}

impl HeldKey for Opens {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SigningFailed> {
        Ok(if self.is_opening.load(Ordering::Relaxed) { self.key.sign(message) } else { [7; 64] })
    }
}

struct Worker {
    role: Role,
    signer: SigningKey,
    is_opening: Arc<AtomicBool>,
    batch: Batch,
    points: Vec<Arc<lingate_refine::PointPlan>>,
    seals: u64,
    /// Of every life; within a life the nonces are compared.
    keys: HashSet<[u8; 32]>,
}

impl Worker {
    fn new() -> Worker {
        let points = points(&[(BuiltinType::Double, None)]);
        let reading = Reading::good(PointId(0), Value::Double(1.5), UtcMicros(1));
        let is_opening = Arc::new(AtomicBool::new(true));
        let held = Opens { key: signing_key(2), is_opening: is_opening.clone() };
        Worker {
            role: Role::new(1),
            signer: SigningKey::held(signing_key(2).verifying_key().clone(), Box::new(held)),
            is_opening,
            batch: batch(&points, vec![reading]),
            points,
            seals: 0,
            keys: HashSet::new(),
        }
    }

    /// One process, from its first epoch to its death after so many messages. The machine's randomness goes on.
    fn live(&mut self, life: u64, steps: u64) {
        let gap = GapRecord::Slots {
            device: "*".to_owned(),
            from: UtcMicros(0),
            to: UtcMicros(1),
            readings: 1,
            cause: GapCause::Overload,
        };
        self.is_opening.store(true, Ordering::Relaxed);
        let terms = terms(self.points.clone(), grant(&[&self.role]));
        let (mut epoch, sealed) = Epoch::open(terms, None, now(life), &self.signer, &mut Seeded::new(life)).unwrap();
        self.is_opening.store(false, Ordering::Relaxed);
        let key = open_key(sealed[0].bytes(), &self.signer.public_key(), &self.role).unwrap().key;
        assert!(self.keys.insert(*key.key), "life {life} has the key of another");
        let mut used = Used { key, nonces: HashSet::new(), seals: 0 };
        sealed.iter().for_each(|sealed| used.note(sealed));
        for step in 0..steps {
            let sealed = match step % 5 {
                4 => epoch.seal_gap(&gap, &self.signer),
                _ => epoch.seal_batch(&self.batch, &self.signer),
            };
            used.note(&sealed.unwrap());
        }
        if life.is_multiple_of(3) {
            used.note(&epoch.close(&self.signer).0.unwrap());
        }
        self.seals += used.seals;
    }
}

struct Used {
    key: ContentKey,
    nonces: HashSet<[u8; 12]>,
    seals: u64,
}

impl Used {
    /// Every message, also those that a crash keeps from the disk: what left the epoch used its nonce.
    fn note(&mut self, sealed: &Sealed) {
        if sealed.kind() != RecordKind::Key {
            let seq = DataMessage::parse(sealed.bytes()).unwrap().seq;
            assert!(self.nonces.insert(self.key.nonce(seq)), "number {seq} of {}", self.key.kid);
            self.seals += 1;
        }
    }
}

/// After every number of messages a process dies, at least once.
#[test]
fn no_key_meets_a_nonce_twice_over_crashes_at_every_step() {
    let seals: u64 = std::env::var("LINGATE_SEALS").map_or(4_000, |count| count.parse().unwrap());
    // Short lives for a short run, so that every step is in it.
    let longest = if seals > 1_000_000 { 2_003 } else { 67 };
    let work = move |first: u64| {
        let mut worker = Worker::new();
        for life in (first..).step_by(WORKERS as usize) {
            if worker.seals >= seals / WORKERS {
                break;
            }
            worker.live(life, life % longest);
        }
        worker
    };
    let workers: Vec<_> = (0..WORKERS).map(|first| std::thread::spawn(move || work(first))).collect();
    let done: Vec<Worker> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    let keys: HashSet<_> = done.iter().flat_map(|worker| &worker.keys).collect();
    assert_eq!(keys.len(), done.iter().map(|worker| worker.keys.len()).sum::<usize>(), "two lives share a key");
    let count: u64 = done.iter().map(|worker| worker.seals).sum();
    assert!(count >= seals && keys.len() as u64 >= count / (longest + 4));
    println!("{count} (key, nonce) pairs of {} processes, all distinct", keys.len());
}
