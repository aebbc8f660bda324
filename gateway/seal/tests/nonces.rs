//! No key meets a nonce twice, whatever dies when. `LINGATE_SEALS=10000000` asks for the long run.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::collections::HashSet;

use common::{Role, Seeded, batch, grant, now, open_key, points, signing_key, terms};
use lingate_model::{BuiltinType, PointId, Reading, UtcMicros, Value};
use lingate_seal::{DataMessage, Epoch, GapCause, GapRecord, RecordKind, Sealed};

/// Every message of every life is looked at, also those that a crash kept from the disk: a message that left the epoch
/// used its nonce.
#[test]
fn no_key_meets_a_nonce_twice_over_crashes_at_every_step() {
    let seals: u64 = std::env::var("LINGATE_SEALS").map_or(4_000, |count| count.parse().unwrap());
    let (role, signer) = (Role::new(1), signing_key(2));
    let points = points(&[(BuiltinType::Double, None)]);
    let reading = Reading::good(PointId(0), Value::Double(1.5), UtcMicros(1));
    let batch = batch(&points, vec![reading]);
    let gap = GapRecord::Slots {
        device: "*".to_owned(),
        from: UtcMicros(0),
        to: UtcMicros(1),
        readings: 1,
        cause: GapCause::Overload,
    };
    let mut used: HashSet<([u8; 32], [u8; 12])> = HashSet::new();
    let (mut count, mut previous) = (0, None);
    for life in 0.. {
        if count >= seals {
            break;
        }
        // The machine's randomness goes on; the epoch of the last life is gone, wherever it stood.
        let opened =
            Epoch::open(terms(points.clone(), grant(&[&role])), previous, now(life), &signer, &mut Seeded::new(life));
        let (mut epoch, sealed) = opened.unwrap();
        let key = open_key(sealed[0].bytes(), &signer.public_key(), &role).unwrap().key;
        let mut note = |sealed: &Sealed| {
            if sealed.kind() != RecordKind::Key {
                let seq = DataMessage::parse(sealed.bytes()).unwrap().seq;
                assert!(used.insert((*key.key, key.nonce(seq))), "life {life}, number {seq}");
                count += 1;
            }
        };
        sealed.iter().for_each(&mut note);
        for step in 0..life % 97 {
            let sealed = match step % 5 {
                4 => epoch.seal_gap(&gap, &signer),
                _ => epoch.seal_batch(&batch, &signer),
            };
            note(&sealed.unwrap());
        }
        if life % 3 == 0 {
            let (sealed, closed) = epoch.close(&signer);
            note(&sealed);
            previous = Some(closed);
        }
    }
    assert_eq!(used.len() as u64, count);
    println!("{count} (key, nonce) pairs, all distinct");
}
