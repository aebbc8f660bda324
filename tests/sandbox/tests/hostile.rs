//! What an enemy, a broken network or a broken gateway may send. All of it is bounded, counted and survived.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use common::*;
use lingate_sandbox::Arrival;
use lingate_seal::{EpochTerms, GapCause, GapRecord};

#[test]
fn no_flipped_bit_is_taken_and_none_harms_what_follows() {
    let mut world = World::new();
    let sent = world.gateway("gw-0001").epoch(1);
    let mut desk = world.desk();
    for (at, honest) in sent.iter().enumerate() {
        let before = desk.report().datasets.first().map_or(0, |dataset| dataset.records);
        let length = honest.payload.len();
        for byte in (0..length).step_by(1 + length / 40).chain([length - 1]) {
            let mut flipped = honest.clone();
            flipped.payload[byte] ^= 1 << (byte % 8);
            assert!(opened(&desk.take(&[flipped])).is_empty(), "message {at}, byte {byte}");
        }
        assert_eq!(desk.report().datasets.first().map_or(0, |dataset| dataset.records), before);
        desk.take(std::slice::from_ref(honest));
    }
    let report = desk.report();
    assert_eq!((report.datasets[0].records, report.datasets[0].holes, report.held), (4, 0, 0), "{report}");
    assert_eq!(report.datasets[0].readings, 3);
}

#[test]
fn a_duplicate_is_counted_and_changes_nothing() {
    let mut world = World::new();
    let sent = world.gateway("gw-0001").epoch(3);
    let mut desk = world.desk();
    let first = opened(&desk.take(&sent));
    assert!(opened(&desk.take(&sent)).is_empty());
    let dataset = &desk.report().datasets[0];
    assert_eq!((first.len() as u64, dataset.readings), (9, 9));
    assert_eq!((dataset.duplicates, dataset.records), (6, 6), "a retained KEY that comes again is none");
}

#[test]
fn records_before_their_key_and_their_catalogue_wait() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let mut stream = gateway.open(None);
    (0..3).for_each(|n| stream.batch(&rows(n, 1)));
    let [key, catalogue, rest @ ..] = &stream.sent[..] else { panic!("an epoch opens with KEY and catalogue") };
    let mut desk = world.desk();
    assert!(desk.take(rest).is_empty());
    assert_eq!(desk.report().held, 4);
    assert!(desk.take(std::slice::from_ref(key)).is_empty());
    assert_eq!(desk.report().held, 3, "only lineage can be read without the catalogue");
    // A restart in between loses nothing of it.
    let mut desk = world.desk();
    assert_eq!(opened(&desk.take(std::slice::from_ref(catalogue))), expected(&rows(0, 3)));
    let report = desk.report();
    assert_eq!((report.held, report.datasets[0].holes), (0, 0));
}

#[test]
fn any_order_of_arrival_gives_the_same_readings() {
    let mut world = World::new();
    let mut sent = world.gateway("gw-0001").epoch(5);
    sent.reverse();
    let mut desk = world.desk();
    let mut readings = opened(&desk.take(&sent));
    readings.sort_by_key(|(_, time, _)| *time);
    let mut times = expected(&rows(0, 5));
    times.sort_by_key(|(_, time, _)| *time);
    assert_eq!(readings, times);
    let report = desk.report();
    let dataset = &report.datasets[0];
    assert_eq!((dataset.holes, dataset.wrong_roots, report.alarm_count), (0, 0, 0), "{report}");
    assert!(dataset.order_violations > 0);
}

#[test]
fn a_swap_is_an_order_violation_and_a_resend_is_not() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let mut sent = gateway.epoch(4);
    sent.swap(4, 5);
    let mut desk = world.desk();
    desk.take(&sent);
    desk.take(&sent[3..5]);
    assert_eq!(desk.report().datasets[0].order_violations, 1);
    let mut old = gateway.open(None);
    old.batch(&rows(0, 1));
    desk.take(&old.sent);
    desk.take(&gateway.epoch(1));
    old.batch(&rows(1, 1));
    desk.take(&old.sent[4..]);
    assert_eq!(desk.report().datasets[0].order_violations, 2, "an older epoch goes on after a newer one began");
}

#[test]
fn two_contents_for_one_number_are_a_cloned_gateway() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let terms = |software: &str| EpochTerms {
        gateway: gateway.identity.gateway.clone(),
        software: software.to_owned(),
        dataset: plan(),
        points: points(),
        devices: Vec::new(),
        grant: gateway.grant.clone(),
    };
    // A snapshot of a virtual machine: the same randomness, the same moment, and then different readings.
    let open = || {
        let clock = lingate_model::Now { utc: time(0), ..now() };
        lingate_seal::Epoch::open(terms("lingate"), None, clock, &gateway.signer(), &mut Repeated).unwrap()
    };
    let ((mut one, opening), (mut two, _)) = (open(), open());
    let mut desk = world.desk();
    let opening: Vec<_> = opening.iter().map(|sealed| gateway.arrival(sealed)).collect();
    desk.take(&opening);
    let first = gateway.arrival(&one.seal_batch(&batch(&rows(0, 1)), &gateway.signer()).unwrap());
    let second = gateway.arrival(&two.seal_batch(&batch(&rows(7, 1)), &gateway.signer()).unwrap());
    assert_eq!(alarms(&desk.take(&[first.clone(), first])), 0);
    assert_eq!(alarms(&desk.take(&[second])), 1);
    let report = desk.report();
    assert_eq!((report.rejected["clone"], report.datasets[0].alarms, report.datasets[0].readings), (1, 1, 3));
    assert!(report.alarms[0].contains("cloned gateway"), "{report}");
}

struct Repeated;

impl lingate_seal::Entropy for Repeated {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), lingate_seal::EntropyFailed> {
        bytes.fill(7);
        Ok(())
    }
}

#[test]
fn a_stranger_can_only_raise_a_counter() {
    let mut world = World::new();
    let stranger = World::new().gateway("gw-0001");
    world.gateway("gw-0001");
    let mut desk = world.desk();
    let sent = stranger.epoch(2);
    assert!(desk.take(&sent).is_empty());
    assert_eq!(desk.rejected("unknown signer"), sent.len() as u64);
    let nonsense = ["", "lingate/1/acme/gw-0001/d/q7", "lingate/1/a/b/c", &"x".repeat(70_000)];
    for topic in nonsense {
        desk.take(&[Arrival { topic: topic.to_owned(), payload: vec![0xd2; 300] }]);
    }
    let report = desk.report();
    assert_eq!((report.alarm_count, report.held, report.datasets.len()), (0, 0, 0));
}

#[test]
fn a_gateway_cannot_speak_for_another() {
    let mut world = World::new();
    let one = world.gateway("gw-0001");
    world.gateway("gw-0002");
    let mut desk = world.desk();
    let mut sent = one.epoch(1);
    for arrival in &mut sent {
        arrival.topic = arrival.topic.replace("gw-0001", "gw-0002");
    }
    desk.take(&sent);
    assert_eq!(desk.rejected("foreign topic"), sent.len() as u64);
    assert_eq!(desk.report().alarm_count, sent.len() as u64);
}

#[test]
fn a_gateway_cannot_add_records_to_the_epoch_of_another() {
    let mut world = World::new();
    let (one, two) = (world.gateway("gw-0001"), world.gateway("gw-0002"));
    let mut stream = one.open(None);
    stream.batch(&rows(0, 1));
    let honest = stream.sent.pop().unwrap();
    let mut desk = world.desk();
    desk.take(&stream.sent);
    let forged = signed_by(&two, &honest);
    assert_eq!(alarms(&desk.take(&[forged])), 1);
    assert_eq!(desk.rejected("foreign signer"), 1);
    assert_eq!(opened(&desk.take(&[honest])), expected(&rows(0, 1)));
}

/// The same record, honestly signed by another gateway and on its topic.
fn signed_by(gateway: &Gateway, honest: &Arrival) -> Arrival {
    let signer = gateway.signer();
    let mut bytes = honest.payload.clone();
    let before = lingate_seal::DataMessage::parse(&honest.payload).unwrap().signer.0;
    let at = bytes.windows(8).position(|window| window == before).unwrap();
    bytes[at..at + 8].copy_from_slice(&signer.kid().0);
    let signature = signer.sign(&lingate_seal::DataMessage::parse(&bytes).unwrap().to_be_signed());
    let end = bytes.len();
    bytes[end - 64..].copy_from_slice(&signature);
    let topic = honest.topic.replace("gw-0001", gateway.identity.gateway.as_str());
    Arrival { topic, payload: bytes }
}

#[test]
fn a_key_beyond_its_grant_is_refused_with_everything_under_it() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let terms = EpochTerms {
        gateway: gateway.identity.gateway.clone(),
        software: "lingate".to_owned(),
        dataset: plan(),
        points: points(),
        devices: Vec::new(),
        grant: gateway.grant.clone(),
    };
    let mut purpose = terms.clone();
    purpose.grant.purpose = "urn:lingate:purpose:advertising".parse().unwrap();
    let mut audience = terms.clone();
    audience.grant.sandbox = "sandbox.elsewhere".to_owned();
    let mut dataset = terms.clone();
    dataset.dataset.id = "ds-bio-01".parse().unwrap();
    let mut issuer = terms.clone();
    issuer.gateway = "gw-0009".parse().unwrap();
    let mut class = terms.clone();
    class.grant.ceiling = lingate_model::Class::Important;
    class.grant.approval = Some("made up".to_owned());
    let mut lifetime = terms;
    lifetime.grant.epoch_seconds = 200_000;
    let mut desk = world.desk();
    for (reason, terms) in [
        ("purpose", purpose),
        ("audience", audience),
        ("dataset", dataset),
        ("issuer", issuer),
        ("class", class),
        ("lifetime", lifetime),
    ] {
        let mut stream = gateway.open_with(terms, None);
        stream.batch(&rows(0, 1));
        let refused_before = desk.rejected("refused epoch");
        // One record comes early and is thrown away with the others.
        let early = stream.sent.remove(3);
        let events = desk.take(&[&[early][..], &stream.sent].concat());
        assert_eq!(alarms(&events), 1, "{reason}");
        assert_eq!(desk.rejected(reason), 1, "{reason}");
        assert_eq!(desk.rejected("refused epoch") - refused_before, 3, "{reason}");
    }
    let report = desk.report();
    assert_eq!((report.held, report.datasets.len()), (0, 0), "{report}");
}

#[test]
fn what_waits_for_a_key_is_bounded() {
    let mut world = World::new();
    let mut stream = world.gateway("gw-0001").open(None);
    stream.batch(&rows(0, 1));
    let record = stream.sent[3].clone();
    let mut desk = world.desk();
    desk.take(&vec![record; 4200]);
    assert_eq!((desk.report().held, desk.rejected("hold full")), (4096, 4200 - 4096));
    desk.take(&stream.sent[..3]);
    let report = desk.report();
    assert_eq!((report.held, report.datasets[0].records, report.datasets[0].duplicates), (0, 3, 4095));
}

#[test]
fn a_role_that_is_no_recipient_opens_nothing() {
    let mut world = World::new();
    let policy = std::fs::read_to_string(world.authority.folder().join("policy.toml")).unwrap();
    let more = "\n[[role]]\nid = \"role:other\"\nparty = \"urn:lingate:party:other\"\n";
    std::fs::write(world.authority.folder().join("policy.toml"), policy + more).unwrap();
    let sent = world.gateway("gw-0001").epoch(1);
    let trust = world.authority.trust("role:other").unwrap();
    let store = lingate_sandbox::Store::open(&world.store_file()).unwrap();
    let mut desk = Desk { intake: lingate_sandbox::Intake::new(trust, store) };
    assert!(desk.take(&sent).is_empty());
    assert_eq!((desk.rejected("not for us"), desk.rejected("refused epoch")), (1, sent.len() as u64 - 1));
}

#[test]
fn a_gap_without_sense_is_refused() {
    let mut world = World::new();
    let mut stream = world.gateway("gw-0001").open(None);
    let kid = stream.epoch.kid();
    let cause = GapCause::Overflow;
    stream.gap(&GapRecord::Records { kid, first_seq: 9, last_seq: 3, readings: 1, cause, maybe_delivered: false });
    let readings = u64::MAX;
    stream.gap(&GapRecord::Slots { device: "e".to_owned(), from: time(0), to: time(1), readings, cause });
    let mut desk = world.desk();
    desk.take(&stream.sent);
    assert_eq!(desk.rejected("gap"), 1);
    assert_eq!(desk.report().datasets[0].gap_readings["overflow"], i64::MAX as u64, "a lie stays visible");
}
