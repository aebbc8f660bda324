//! The envelope: what it costs, what it refuses, and that nothing in it can be changed.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{
    Opened, Role, Seeded, batch, grant, now, open_data, open_epoch, open_key, points, sha256, signing_key, terms,
};
use coset::{CborSerializable, TaggedCborSerializable};
use lingate_model::{BuiltinType, Class, PointId, Reading, UtcMicros, Value};
use lingate_seal::wire::sealed::Message;
use lingate_seal::{
    DataMessage, Entropy, EntropyFailed, Epoch, GapCause, GapRecord, Grant, KeyMessage, Kid, MessageRefused,
    PreviousEpoch, RecordKind, SealError, Sealed, SigningKey, Tree, policy_sha256,
};
use proptest::prelude::*;

const SHAPES: [(BuiltinType, Option<u8>); 2] = [(BuiltinType::Double, Some(1)), (BuiltinType::String, None)];

fn readings(count: i64) -> Vec<Reading> {
    let reading = |n: i64| Reading::good(PointId(0), Value::Double(n as f64 / 10.0), UtcMicros(n * 1000));
    (0..count).map(reading).collect()
}

fn gap(readings: u64) -> GapRecord {
    let (kid, cause) = (Kid([1; 8]), GapCause::Overflow);
    GapRecord::Records { kid, first_seq: 3, last_seq: 9, readings, cause, maybe_delivered: true }
}

/// KEY, catalogue, lineage, two batches, two gaps, close.
fn stream(signer: &SigningKey, role: &Role) -> Vec<Sealed> {
    let points = points(&SHAPES);
    let (mut epoch, mut sealed) = open_epoch(points.clone(), role, signer);
    sealed.push(epoch.seal_batch(&batch(&points, readings(50)), signer).unwrap());
    sealed.push(epoch.seal_gap(&gap(7), signer).unwrap());
    sealed.push(epoch.seal_batch(&batch(&points, readings(5)), signer).unwrap());
    sealed.push(epoch.seal_gap(&gap(8), signer).unwrap());
    sealed.push(epoch.close(signer).0.unwrap());
    sealed
}

fn open_all(stream: &[Sealed], signer: &SigningKey, role: &Role) -> (Opened, Vec<Message>) {
    let opened = open_key(stream[0].bytes(), &signer.public_key(), role).unwrap();
    let messages = stream[1..].iter().map(|s| open_data(s.bytes(), &signer.public_key(), &opened).unwrap()).collect();
    (opened, messages)
}

#[test]
fn the_same_randomness_gives_the_same_bytes() {
    let (signer, role) = (signing_key(1), Role::new(1));
    assert_eq!(stream(&signer, &role), stream(&signer, &role));
}

#[test]
fn other_randomness_gives_another_key_and_another_epoch() {
    let open = |seed| {
        let terms = terms(points(&SHAPES), grant(&[&Role::new(1)]));
        Epoch::open(terms, None, now(0), &signing_key(1), &mut Seeded::new(seed)).unwrap().0.kid()
    };
    assert_ne!(open(1), open(2));
}

#[test]
fn numbers_are_dense_from_zero_in_the_order_of_kinds() {
    use RecordKind::{Batch, Catalogue, EpochClose, Key, Lineage};
    let stream = stream(&signing_key(1), &Role::new(1));
    let numbers: Vec<(RecordKind, u64)> = stream.iter().map(|sealed| (sealed.kind(), sealed.seq())).collect();
    let gap = RecordKind::Gap;
    let expected =
        [(Key, 0), (Catalogue, 0), (Lineage, 1), (Batch, 2), (gap, 3), (Batch, 4), (gap, 5), (EpochClose, 6)];
    assert_eq!(numbers, expected);
    for sealed in &stream[1..] {
        let data = DataMessage::parse(sealed.bytes()).unwrap();
        assert_eq!((data.kid, data.seq), (sealed.kid(), sealed.seq()));
    }
}

#[test]
fn the_claims_commit_to_catalogue_lineage_policy_and_predecessor() {
    let (signer, role) = (signing_key(1), Role::new(1));
    let previous = PreviousEpoch { kid: Kid([9; 8]), last_seq: 41 };
    let terms = terms(points(&SHAPES), grant(&[&role]));
    let policy = policy_sha256(&terms.dataset, &terms.points);
    let (_, sealed) = Epoch::open(terms, Some(previous), now(0), &signer, &mut Seeded::new(1)).unwrap();
    let key = KeyMessage::parse(sealed[0].bytes()).unwrap();
    let (_, messages) = open_all(&sealed, &signer, &role);
    let Message::Lineage(lineage) = &messages[1] else { panic!("the second DATA is the lineage") };
    assert_eq!(key.claims.lineage_sha256, sha256(&lineage.document));
    assert_eq!(
        key.claims.catalogue_sha256,
        sha256(&body(sealed[1].bytes(), &open_key(sealed[0].bytes(), &signer.public_key(), &role).unwrap()))
    );
    assert_eq!((key.claims.policy_sha256, key.claims.previous), (policy, Some(previous)));
    assert_eq!((key.claims.issuer.as_str(), key.claims.subject.as_str()), ("gw-0001", "ds-extr-07"));
    assert_eq!(key.claims.expires, key.claims.issued_at + 3600);
}

fn body(bytes: &[u8], opened: &Opened) -> Vec<u8> {
    let data = DataMessage::parse(bytes).unwrap();
    let plain =
        common::decrypt(&*opened.key.key, opened.key.nonce(data.seq), &data.aad(&opened.epoch_id), data.ciphertext);
    lingate_seal::unpack(&plain.unwrap()).unwrap()
}

#[test]
fn the_lineage_is_prov_json_that_names_every_source_and_the_epoch_by_cti() {
    let (signer, role) = (signing_key(1), Role::new(1));
    let sealed = stream(&signer, &role);
    let (_, messages) = open_all(&sealed, &signer, &role);
    let Message::Lineage(lineage) = &messages[1] else { panic!("the second DATA is the lineage") };
    assert_eq!(lineage.media, "application/json");
    let document: serde_json::Value = serde_json::from_slice(&lineage.document).unwrap();
    let cti: String =
        KeyMessage::parse(sealed[0].bytes()).unwrap().claims.cti.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(document["entity"]["lingate:source/1"]["prov:label"], "extruder-1/point-1");
    assert!(document["entity"][format!("lingate:epoch/{cti}")].is_object());
    let relations = [
        ("used", "prov:activity", "activity"),
        ("used", "prov:entity", "entity"),
        ("wasGeneratedBy", "prov:activity", "activity"),
        ("wasAssociatedWith", "prov:agent", "agent"),
        ("wasAssociatedWith", "prov:plan", "entity"),
        ("wasInformedBy", "prov:informant", "activity"),
    ];
    for (relation, role, kind) in relations {
        for link in document[relation].as_object().unwrap().values() {
            assert!(document[kind][link[role].as_str().unwrap()].is_object(), "{relation} {link}");
        }
    }
}

#[test]
fn a_point_above_the_ceiling_is_named_nowhere() {
    let (signer, role) = (signing_key(1), Role::new(1));
    let mut points = points(&[(BuiltinType::Int16, None); 3]);
    let secret = Arc::make_mut(&mut points[1]);
    secret.export.as_mut().unwrap().class = Some(Class::Important);
    let (_, sealed) = open_epoch(points, &role, &signer);
    let (_, messages) = open_all(&sealed, &signer, &role);
    let (Message::Catalogue(catalogue), Message::Lineage(lineage)) = (&messages[0], &messages[1]) else {
        panic!("catalogue and lineage come first")
    };
    let names: Vec<&str> = catalogue.tags.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(names, ["extruder-1/point-0", "", "extruder-1/point-2"]);
    assert!(catalogue.tags.iter().all(|tag| tag.class == 0));
    let document = String::from_utf8_lossy(&lineage.document);
    assert!(document.contains("point-2") && !document.contains("point-1"));
}

#[test]
fn the_close_tells_the_count_the_readings_and_the_root_over_all_data_before_it() {
    let (signer, role) = (signing_key(1), Role::new(1));
    let stream = stream(&signer, &role);
    let (_, messages) = open_all(&stream, &signer, &role);
    let Some(Message::Close(close)) = messages.last() else { panic!("the last DATA is the close") };
    let mut tree = Tree::default();
    stream[1..7].iter().for_each(|sealed| tree.push(&sha256(sealed.bytes())));
    assert_eq!((close.last_seq, close.readings, &close.data_root[..]), (6, 55, &tree.root()[..]));
}

#[test]
fn gaps_are_chained_by_hash_and_keep_every_field() {
    let (signer, role) = (signing_key(1), Role::new(1));
    let stream = stream(&signer, &role);
    let (opened, messages) = open_all(&stream, &signer, &role);
    let (Message::Gap(first), Message::Gap(second)) = (&messages[3], &messages[5]) else { panic!("two gaps") };
    assert!(first.previous_gap.is_empty());
    assert_eq!(second.previous_gap, sha256(&body(stream[4].bytes(), &opened)));
    assert_eq!((first.first_seq, first.last_seq, first.readings, first.cause), (3, 9, 7, GapCause::Overflow as i32));
    assert!(first.maybe_delivered && first.kid == [1; 8]);
}

#[test]
fn every_recipient_opens_the_key_and_nobody_else_does() {
    let (signer, roles) = (signing_key(1), [Role::new(1), Role::new(2), Role::new(3)]);
    let terms = terms(points(&SHAPES), grant(&[&roles[0], &roles[1]]));
    let (_, sealed) = Epoch::open(terms, None, now(0), &signer, &mut Seeded::new(1)).unwrap();
    let opens = |role| open_key(sealed[0].bytes(), &signer.public_key(), role).is_some();
    assert!(opens(&roles[0]) && opens(&roles[1]) && !opens(&roles[2]));
    assert!(open_key(sealed[0].bytes(), &signing_key(2).public_key(), &roles[0]).is_none());
}

#[test]
fn every_flipped_bit_of_a_key_message_is_noticed() {
    let (signer, role) = (signing_key(1), Role::new(1));
    let mut bytes = stream(&signer, &role)[0].bytes().to_vec();
    flip_every_bit(&mut bytes, |bytes| open_key(bytes, &signer.public_key(), &role).is_some());
}

#[test]
fn every_flipped_bit_of_a_data_message_is_noticed() {
    let (signer, role) = (signing_key(1), Role::new(1));
    let stream = stream(&signer, &role);
    let opened = open_key(stream[0].bytes(), &signer.public_key(), &role).unwrap();
    let mut bytes = stream[3].bytes().to_vec();
    flip_every_bit(&mut bytes, |bytes| open_data(bytes, &signer.public_key(), &opened).is_some());
}

fn flip_every_bit(bytes: &mut [u8], opens: impl Fn(&[u8]) -> bool) {
    assert!(opens(bytes));
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(!opens(bytes), "bit {bit} was changed and nobody noticed");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Even with a signature that is right, the ciphertext belongs to its epoch and its number.
#[test]
fn a_data_message_of_another_epoch_or_number_does_not_open() {
    let (signer, role) = (signing_key(1), Role::new(1));
    let stream = stream(&signer, &role);
    let opened = open_key(stream[0].bytes(), &signer.public_key(), &role).unwrap();
    let data = DataMessage::parse(stream[3].bytes()).unwrap();
    let open =
        |seq, epoch_id| common::decrypt(&*opened.key.key, opened.key.nonce(seq), &data.aad(epoch_id), data.ciphertext);
    assert!(open(2, &opened.epoch_id).is_some());
    assert!(open(3, &opened.epoch_id).is_none());
    assert!(open(2, &[0; 32]).is_none());
}

#[test]
fn the_envelope_costs_127_bytes_and_at_most_129_with_a_number_of_three_bytes() {
    let (signer, role) = (signing_key(1), Role::new(1));
    let points = points(&SHAPES);
    let (mut epoch, _) = open_epoch(points.clone(), &role, &signer);
    // Text that zstd cannot shorten, so that the plaintext is between 256 bytes and 64 KiB.
    let text: String = (0..1500_u32).map(|n| char::from(b' ' + sha256(&n.to_be_bytes())[0] % 94)).collect();
    let reading = Reading::good(PointId(1), Value::String(text.into()), UtcMicros(1));
    let batch = batch(&points, vec![reading]);
    let mut overhead = |gaps: u64| {
        (0..gaps).for_each(|_| drop(epoch.seal_gap(&gap(1), &signer).unwrap()));
        let sealed = epoch.seal_batch(&batch, &signer).unwrap();
        sealed.bytes().len() - (DataMessage::parse(sealed.bytes()).unwrap().ciphertext.len() - 16)
    };
    assert_eq!([overhead(0), overhead(300), overhead(66_000)], [127, 128, 129]);
}

#[test]
fn padding_hides_the_length_within_its_multiple() {
    let (signer, points) = (signing_key(1), points(&SHAPES));
    let mut terms = terms(points.clone(), grant(&[&Role::new(1)]));
    terms.dataset.padding = 512;
    let (mut epoch, _) = Epoch::open(terms, None, now(0), &signer, &mut Seeded::new(1)).unwrap();
    let mut length = |count| {
        let sealed = epoch.seal_batch(&batch(&points, readings(count)), &signer).unwrap();
        DataMessage::parse(sealed.bytes()).unwrap().ciphertext.len() - 16
    };
    assert_eq!([length(1), length(90)], [512, 512]);
}

#[test]
fn an_epoch_is_spent_by_age_by_number_and_at_the_end_of_the_right() {
    let (signer, points, role) = (signing_key(1), points(&SHAPES), Role::new(1));
    let open = |grant: Grant| {
        Epoch::open(terms(points.clone(), grant), None, now(10), &signer, &mut Seeded::new(1)).unwrap().0
    };
    let by_age = open(Grant { epoch_seconds: 60, ..grant(&[&role]) });
    assert_eq!((by_age.is_spent(now(69)), by_age.is_spent(now(70))), (false, true));
    assert_eq!(by_age.ends_at(), now(70).monotonic);
    let by_right = open(Grant { not_after: now(30).utc, ..grant(&[&role]) });
    assert_eq!(by_right.ends_at(), now(30).monotonic);
    let mut by_number = open(Grant { epoch_messages: 5, ..grant(&[&role]) });
    for is_spent in [false, true] {
        by_number.seal_batch(&batch(&points, readings(1)), &signer).unwrap();
        assert_eq!(by_number.is_spent(now(11)), is_spent);
    }
    assert_eq!(by_number.close(&signer).1.last_seq, 4);
}

#[test]
fn nothing_is_opened_without_what_it_needs() {
    let (signer, role) = (signing_key(1), Role::new(1));
    let open = |grant: Grant| {
        let terms = terms(points(&SHAPES), grant);
        Epoch::open(terms, None, now(0), &signer, &mut Seeded::new(1)).map(|_| ()).unwrap_err()
    };
    let good = || grant(&[&role]);
    assert_eq!(open(Grant { ceiling: Class::Important, ..good() }), SealError::ApprovalMissing);
    assert_eq!(open(Grant { not_after: now(0).utc, ..good() }), SealError::Expired);
    assert_eq!(open(Grant { recipients: Vec::new(), ..good() }), SealError::Recipients(0));
    assert!(matches!(open(Grant { policies: vec![[0; 32]], ..good() }), SealError::PolicyNotApproved(_)));
    let mut low_order = good();
    low_order.recipients[0].public = vec![0; 32];
    assert_eq!(open(low_order.clone()), SealError::Recipient(low_order.recipients[0].kid));
    let mut twice = good();
    twice.recipients.push(twice.recipients[0].clone());
    assert_eq!(open(twice), SealError::Recipients(2));
}

#[test]
fn without_randomness_nothing_is_opened() {
    struct Failing(u32);
    impl Entropy for Failing {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
            self.0 = self.0.checked_sub(1).ok_or(EntropyFailed)?;
            bytes.fill(1);
            Ok(())
        }
    }
    let open = |draws| {
        let terms = terms(points(&SHAPES), grant(&[&Role::new(1)]));
        Epoch::open(terms, None, now(0), &signing_key(1), &mut Failing(draws)).map(|_| ())
    };
    for draws in 0..6 {
        assert_eq!(open(draws), Err(SealError::Entropy(EntropyFailed)));
    }
    assert_eq!(open(6), Ok(()));
}

#[test]
fn stored_bytes_come_back_only_as_what_they_are() {
    let stream = stream(&signing_key(1), &Role::new(1));
    let alias = stream[0].alias();
    let restored =
        |s: &Sealed, kid, seq, kind| Sealed::from_stored(kind, alias.clone(), kid, seq, s.readings(), s.bytes());
    for sealed in &stream {
        assert_eq!(restored(sealed, sealed.kid(), sealed.seq(), sealed.kind()).as_ref(), Ok(sealed));
        assert!(restored(sealed, Kid([0; 8]), sealed.seq(), sealed.kind()).is_err());
        assert!(restored(sealed, sealed.kid(), sealed.seq() + 1, sealed.kind()).is_err());
        let other = if sealed.kind() == RecordKind::Key { RecordKind::Batch } else { RecordKind::Key };
        assert!(restored(sealed, sealed.kid(), sealed.seq(), other).is_err());
    }
}

/// An independent reader of COSE sees the same message.
#[test]
fn coset_reads_a_data_message() {
    let stream = stream(&signing_key(1), &Role::new(1));
    let data = DataMessage::parse(stream[3].bytes()).unwrap();
    let sign1 = coset::CoseSign1::from_tagged_slice(stream[3].bytes()).unwrap();
    assert_eq!(sign1.protected.header.key_id, data.signer.0);
    assert_eq!(sign1.tbs_data(&[]), data.to_be_signed());
    let encrypt0 = coset::CoseEncrypt0::from_tagged_slice(&sign1.payload.unwrap()).unwrap();
    assert_eq!(encrypt0.unprotected.key_id, data.kid.0);
    assert_eq!(encrypt0.unprotected.partial_iv, [2]);
    assert_eq!(encrypt0.ciphertext.as_deref(), Some(data.ciphertext));
    assert_eq!(encrypt0.protected.to_vec().unwrap(), [0xa1, 0x01, 0x03]);
}

#[test]
fn messages_beyond_their_bounds_are_refused_unread() {
    let long = vec![0; lingate_seal::KEY_MESSAGE_MAX + 1];
    assert!(matches!(KeyMessage::parse(&long).err(), Some(MessageRefused::TooLong { .. })));
    let long = vec![0; lingate_seal::DATA_MESSAGE_MAX + 1];
    assert!(matches!(DataMessage::parse(&long).err(), Some(MessageRefused::TooLong { .. })));
}

#[test]
fn nonces_of_an_epoch_never_repeat() {
    let (signer, role) = (signing_key(1), Role::new(1));
    let stream = stream(&signer, &role);
    let (opened, _) = open_all(&stream, &signer, &role);
    let nonces: BTreeSet<[u8; 12]> = (0..70_000).map(|seq| opened.key.nonce(seq)).collect();
    assert_eq!(nonces.len(), 70_000);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_end_without_panic(bytes: Vec<u8>, at in 0_usize..400, cut in 0_usize..400) {
        let _ = (KeyMessage::parse(&bytes).is_ok(), DataMessage::parse(&bytes).is_ok());
        let sealed = stream(&signing_key(1), &Role::new(1));
        for message in [sealed[0].bytes(), sealed[3].bytes()] {
            let mut broken = message.to_vec();
            let end = (at + bytes.len()).min(broken.len());
            if at < end {
                broken[at..end].copy_from_slice(&bytes[..end - at]);
            }
            broken.truncate(broken.len().saturating_sub(cut));
            let _ = (KeyMessage::parse(&broken).is_ok(), DataMessage::parse(&broken).is_ok());
        }
    }
}
