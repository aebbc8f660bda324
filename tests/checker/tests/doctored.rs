//! The checker checked: evidence of an honest run holds, and each way of breaking a promise is caught by its invariant.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::BTreeMap;

use lingate_checker::{
    Counts, DiskImage, Durable, Epoch, Evidence, Gap, Health, KeyUse, Least, Liveness, Lost, Opened, OpenedValue,
    Record, ServedDevice, Steps, Taps, Values, judge,
};
use lingate_model::Value;
use lingate_plant::{DeviceSpec, Kind, Mode};
use lingate_seal::GapCause;

const POLLS: u32 = 12_000;
/// Causes of slots in which nothing was served.
const NEVER_SERVED: [&str; 5] = ["DeviceDown", "DecodeFailure", "Overload", "DeviceOverflow", "NotificationLost"];
const KID: &str = "00000000000000aa";

fn spec() -> DeviceSpec {
    DeviceSpec::new("press", Kind::Numbered(1), Mode::SelfDescribing)
}

/// One record for each poll: the serve counter and one value.
fn honest() -> Evidence {
    let values = (1..=POLLS).flat_map(|n| {
        let spec = spec();
        let tags: Vec<String> = spec.tags().iter().map(|tag| tag.name.clone()).collect();
        tags.into_iter().map(move |tag| {
            let Some(Value::UInt32(word)) = spec.expected(&tag, n) else { panic!("an integer") };
            value(&format!("press/{tag}"), n, word)
        })
    });
    let values: Vec<OpenedValue> = values.collect();
    let records: BTreeMap<_, _> =
        (0..u64::from(POLLS)).map(|seq| (id(seq), Record { arrival_us: 0, readings: 2 })).collect();
    let readings = values.len() as u64;
    let epoch = Epoch { dataset: "ds".to_owned(), readings, ..Epoch::default() };
    Evidence {
        run: "honest".to_owned(),
        served: vec![ServedDevice {
            name: "press".to_owned(),
            kind: "numbered:1".to_owned(),
            self_describing: true,
            every_ms: 100,
            polls: POLLS,
            slots: readings,
            functions: BTreeMap::from([(3, u64::from(POLLS))]),
        }],
        durable: Durable {
            records: records.keys().cloned().collect(),
            readings,
            last_records: u64::from(POLLS),
            last_readings: readings,
            last_epochs: 1,
            processes: 1,
            ..Durable::default()
        },
        opened: Opened {
            epochs: BTreeMap::from([(KID.to_owned(), epoch)]),
            points: values.iter().map(|value| value.point.clone()).collect(),
            records,
            readings,
            steps: vec![Steps { step: 1, seen: readings, kept: readings }],
            values,
            ..Opened::default()
        },
        values: Some(Values { checked: readings, bad: 0, wrong: 0 }),
        faults: ["kill", "outage", "stop"].map(str::to_owned).to_vec(),
        unaccepted_ms_max: Some(1_000),
        images: vec![DiskImage::default()],
        keys: BTreeMap::from([(KID.to_owned(), key("11", "0102030405060708090a0b0c"))]),
        policy: ["press/n_holding", "press/tag_000"].map(str::to_owned).into(),
        liveness: Some(Liveness {
            drained_ms: 10,
            drain_limit_ms: 30_000,
            fresh_ms: 10,
            fresh_limit_ms: 10_000,
            ..Liveness::default()
        }),
        taps: Some(Taps::default()),
        health: Some(Health {
            accepted_records: u64::from(POLLS) + 1,
            accepted_readings: readings,
            records_waiting: 0,
            logged_records: u64::from(POLLS),
            logged_readings: readings,
            logged_epochs: 1,
        }),
        ..Evidence::default()
    }
}

fn key(key: &str, base_iv: &str) -> KeyUse {
    KeyUse { key_sha256: key.to_owned(), base_iv: base_iv.to_owned() }
}

fn id(seq: u64) -> (String, u64) {
    (KID.to_owned(), seq)
}

fn value(point: &str, n: u32, word: u32) -> OpenedValue {
    let (kid, seq, time_us) = (KID.to_owned(), u64::from(n) - 1, i64::from(n) * 100_000);
    OpenedValue { point: point.to_owned(), kid, ordinal: 0, seq, time_us, value: Some(word) }
}

fn gap(lost: Lost, readings: u64, cause: &str) -> Gap {
    Gap { kid: KID.to_owned(), seq: 0, lost, readings, cause: cause.to_owned(), maybe_delivered: false }
}

/// Values of polls that do not arrive.
fn lose(evidence: &mut Evidence, polls: std::ops::RangeInclusive<u32>) {
    let opened = &mut evidence.opened;
    opened.values.retain(|value| !polls.contains(&((value.seq + 1) as u32)));
    let lost = u64::from(polls.end() - polls.start() + 1) * 2;
    opened.readings -= lost;
    opened.epochs.get_mut(KID).unwrap().readings -= lost;
    (opened.steps[0].seen, opened.steps[0].kept) = (opened.readings, opened.readings);
}

/// The invariants that are violated when `doctor` had the evidence in its hands.
fn violated(doctor: impl FnOnce(&mut Evidence)) -> Vec<u8> {
    let mut evidence = honest();
    doctor(&mut evidence);
    let verdict = judge(&evidence);
    assert_eq!(verdict.holds(), verdict.violated().is_empty(), "{}", verdict.to_json());
    verdict.violated()
}

#[test]
fn an_honest_run_holds_every_invariant() {
    let verdict = judge(&honest());
    assert!(verdict.holds(), "{}", verdict.to_json());
    assert_eq!(verdict.outcomes.len(), 13);
    assert!(!verdict.to_json().contains("not_judged\":{\"I"), "{}", verdict.to_json());
}

#[test]
fn i1_an_accepted_record_that_is_nowhere_is_lost() {
    assert_eq!(
        violated(|it| {
            it.durable.records.insert((KID.to_owned(), 99_999));
        }),
        [1]
    );
    let declared = |it: &mut Evidence| {
        it.durable.records.insert((KID.to_owned(), 99_999));
        let lost = Lost::Records { kid: KID.to_owned(), first: 99_999, last: 99_999 };
        it.opened.gaps.push(gap(lost, 0, "Overflow"));
    };
    assert!(violated(declared).is_empty(), "it is declared");
}

#[test]
fn i2_a_value_that_was_never_served_is_invented() {
    let later = |it: &mut Evidence| it.served[0].polls -= 1;
    // The values of that poll do not count as arrived either.
    assert_eq!(violated(later), [2, 7]);
    let foreign = |it: &mut Evidence| it.opened.values[0].point = "press/tag_777".to_owned();
    assert!(violated(foreign).contains(&2));
}

#[test]
fn i3_a_value_of_another_tag_or_poll_is_wrong() {
    let shifted = |it: &mut Evidence| it.opened.values[1].value = it.opened.values[1].value.map(|word| word ^ 1 << 31);
    assert!(violated(shifted).contains(&3));
    let stale = |it: &mut Evidence| it.values.as_mut().unwrap().wrong = 1;
    assert_eq!(violated(stale), [3]);
}

#[test]
fn i4_a_served_value_that_is_nowhere_or_twice_is_found() {
    let undeclared = |it: &mut Evidence| {
        it.counts = Counts::AtLeast;
        lose(it, 5_000..=5_003);
    };
    // Nothing counts it, and nothing covers it.
    assert_eq!(violated(undeclared), [4, 7]);
    let twice = |it: &mut Evidence| {
        it.opened.values.push(it.opened.values.last().unwrap().clone());
    };
    assert!(violated(twice).contains(&4));
}

#[test]
fn i4_a_gap_must_lie_where_the_values_are_missing() {
    let declared = |from: i64, to: i64| {
        violated(|it| {
            it.counts = Counts::AtLeast;
            lose(it, 5_000..=5_003);
            let (device, from_us, to_us) = ("*".to_owned(), from * 100_000, to * 100_000);
            it.opened.gaps.push(gap(Lost::Slots { device, from_us, to_us }, 8, "UncleanStop"));
        })
    };
    assert!(declared(4_999, 5_004).is_empty());
    assert_eq!(declared(7_000, 7_004), [4]);
}

#[test]
fn i4_a_gap_excuses_no_more_than_it_declares() {
    let declared = |polls: i64, readings: u64| {
        violated(|it| {
            it.counts = Counts::AtLeast;
            it.unaccepted_ms_max = None;
            lose(it, 5_000..=5_099);
            let (device, from_us, to_us) = ("*".to_owned(), 500_000_000, 500_000_000 + polls * 100_000);
            it.opened.gaps.push(gap(Lost::Slots { device, from_us, to_us }, readings, "UncleanStop"));
        })
    };
    assert!(declared(100, 200).is_empty());
    assert_eq!(declared(100, 150), [4, 7], "fewer readings than were lost");
    assert_eq!(declared(10, 200), [4], "a tenth of the time");
    let records = |readings: u64| {
        violated(|it| {
            it.counts = Counts::AtLeast;
            it.unaccepted_ms_max = None;
            lose(it, 5_000..=5_099);
            it.opened.records.retain(|(_, seq), _| !(5_000..=5_099).contains(&(seq + 1)));
            it.durable.records = it.opened.records.keys().cloned().collect();
            it.opened.gaps.push(gap(
                Lost::Records { kid: KID.to_owned(), first: 4_999, last: 5_098 },
                readings,
                "Overflow",
            ));
        })
    };
    assert!(records(200).is_empty());
    assert_eq!(records(20), [4, 7]);
}

#[test]
fn i4_more_loss_before_acceptance_than_allowed_is_found() {
    let long = |it: &mut Evidence| {
        it.counts = Counts::AtLeast;
        lose(it, 5_000..=5_099);
        let (device, from_us, to_us) = ("*".to_owned(), 499_900_000, 510_000_000);
        it.opened.gaps.push(gap(Lost::Slots { device, from_us, to_us }, 200, "UncleanStop"));
    };
    assert_eq!(violated(long), [4]);
}

#[test]
fn i5_and_i9_one_identity_with_two_contents_is_found() {
    let clone = |it: &mut Evidence| it.opened.alarms.push(("clone".to_owned(), "x".to_owned()));
    assert_eq!(violated(clone), [5, 9]);
    assert_eq!(violated(|it| it.durable.repeated = 1), [9]);
}

#[test]
fn i9_one_key_under_two_names_is_found_where_a_nonce_comes_again() {
    const OTHER: &str = "00000000000000cc";
    let second = |it: &mut Evidence, key: KeyUse| {
        let epoch = Epoch { dataset: "ds".to_owned(), ordinal: 1, ..Epoch::default() };
        it.opened.epochs.insert(OTHER.to_owned(), epoch);
        it.opened.records.insert((OTHER.to_owned(), 0), Record::default());
        it.keys.insert(OTHER.to_owned(), key);
    };
    assert_eq!(violated(|it| second(it, key("11", "0102030405060708090a0b0c"))), [9]);
    // Number 0 of the one has the nonce of number 1 of the other.
    assert_eq!(violated(|it| second(it, key("11", "0102030405060708090a0b0d"))), [9]);
    assert!(violated(|it| second(it, key("11", "ff02030405060708090a0b0c"))).is_empty(), "another nonce");
    assert!(violated(|it| second(it, key("22", "0102030405060708090a0b0c"))).is_empty(), "another key");
    let unknown = |it: &mut Evidence| {
        second(it, key("22", "00"));
        it.keys.remove(OTHER);
    };
    assert_eq!(violated(unknown), [9]);
    let mut evidence = honest();
    evidence.keys.clear();
    assert!(judge(&evidence).to_json().contains("\"I9\":\"no KEY message was opened"));
}

#[test]
fn i6_a_swap_a_hole_and_a_wrong_root_are_found() {
    assert_eq!(violated(|it| it.opened.epochs.get_mut(KID).unwrap().order_violations = 1), [6]);
    assert_eq!(violated(|it| it.opened.epochs.get_mut(KID).unwrap().wrong_root = true), [6]);
    assert_eq!(
        violated(|it| {
            it.opened.records.insert((KID.to_owned(), 12_001), Record::default());
        }),
        [6]
    );
    // Two polls that stand the wrong way round in a stream whose numbers are right.
    assert_eq!(violated(|it| it.opened.values.swap(0, 2)), [6]);
    let whole_epoch = |it: &mut Evidence| {
        it.opened.epochs.get_mut(KID).unwrap().previous = Some(("00000000000000bb".to_owned(), 3));
    };
    assert_eq!(violated(whole_epoch), [6]);
    assert_eq!(violated(|it| it.opened.alarms.push(("close".to_owned(), "x".to_owned()))), [6]);
}

#[test]
fn i7_a_gap_that_is_off_by_one_missing_or_over_delivered_records_is_found() {
    for cause in GapCause::ALL.map(|cause| format!("{cause:?}")) {
        // Of a device that served nothing, nothing is missing: its slots are counted where nothing was served.
        let is_of_slots = NEVER_SERVED.contains(&cause.as_str());
        let off_by = |declared: u64| {
            violated(|it| {
                lose(it, 5_000..=5_003);
                let (device, from_us, to_us) = ("press".to_owned(), 499_900_000, 500_400_000);
                if is_of_slots {
                    it.served[0].slots -= 8;
                    it.missed = BTreeMap::from([(cause.clone(), 8)]);
                }
                it.opened.gaps.push(gap(Lost::Slots { device, from_us, to_us }, declared, &cause));
            })
        };
        assert!(!off_by(8).contains(&7), "{cause}");
        assert!(off_by(7).contains(&7), "{cause}: one too few");
        assert!(off_by(9).contains(&7), "{cause}: one too many");
    }
    assert_eq!(violated(|it| lose(it, 5_000..=5_003)), [7], "no gap at all");
    // The same range, declared once more by the next process, is the same loss, and a part of it is none beside it.
    let twice = |it: &mut Evidence| {
        lose(it, 5_000..=5_003);
        it.opened.records.retain(|(_, seq), _| !(5_000..=5_003).contains(&(seq + 1)));
        it.durable.records = it.opened.records.keys().cloned().collect();
        let lost = || Lost::Records { kid: KID.to_owned(), first: 4_999, last: 5_002 };
        let part = Lost::Records { kid: KID.to_owned(), first: 5_000, last: 5_000 };
        it.opened.gaps.extend([gap(part, 2, "Overflow"), gap(lost(), 8, "Overflow"), gap(lost(), 8, "Overflow")]);
    };
    assert!(violated(twice).is_empty());
    let delivered = |it: &mut Evidence| {
        it.opened.gaps.push(gap(Lost::Records { kid: KID.to_owned(), first: 7, last: 7 }, 0, "Overflow"));
    };
    assert_eq!(violated(delivered), [7]);
    let maybe = |it: &mut Evidence| {
        delivered(it);
        it.opened.gaps[0].maybe_delivered = true;
    };
    assert!(violated(maybe).is_empty());
    // Of a range that may have been delivered, what arrived is no loss, and what did not is one.
    let partly = |readings: u64| {
        violated(move |it| {
            lose(it, 5_000..=5_003);
            it.opened.records.retain(|(_, seq), _| !(5_000..=5_003).contains(&(seq + 1)));
            it.durable.records = it.opened.records.keys().cloned().collect();
            let lost = Lost::Records { kid: KID.to_owned(), first: 4_997, last: 5_002 };
            it.opened.gaps.push(Gap { maybe_delivered: true, ..gap(lost, readings, "Overflow") });
        })
    };
    assert!(partly(12).is_empty() && partly(11) == [7] && partly(13) == [7]);
    assert_eq!(violated(|it| it.opened.steps[0].kept -= 1), [7]);
}

#[test]
fn i8_a_record_that_left_the_disk_and_did_not_arrive_is_found() {
    assert_eq!(
        violated(|it| {
            it.images[0].accepted.insert(id(3));
        }),
        [8]
    );
    let on_disk = |it: &mut Evidence| {
        it.images[0].accepted.insert(id(3));
        it.images[0].waiting.insert(id(3));
    };
    assert!(violated(on_disk).is_empty());
}

#[test]
fn i10_a_point_outside_the_policy_is_found() {
    assert_eq!(
        violated(|it| {
            it.opened.points.insert("press/recipe".to_owned());
        }),
        [10]
    );
}

#[test]
fn i11_a_slow_drain_and_a_dead_line_are_found() {
    assert_eq!(violated(|it| it.liveness.as_mut().unwrap().drained_ms = 30_001), [11]);
    assert_eq!(violated(|it| it.liveness.as_mut().unwrap().fresh_ms = 10_001), [11]);
}

#[test]
fn i12_a_write_and_a_canary_are_found() {
    assert_eq!(
        violated(|it| {
            it.served[0].functions.insert(6, 1);
        }),
        [12]
    );
    assert_eq!(violated(|it| it.taps.as_mut().unwrap().canaries_found.push("the log".to_owned())), [12]);
}

#[test]
fn i13_health_that_counts_otherwise_is_found() {
    assert_eq!(violated(|it| it.health.as_mut().unwrap().accepted_readings += 1), [13]);
    assert_eq!(violated(|it| it.health.as_mut().unwrap().accepted_records -= 1), [13]);
    assert_eq!(violated(|it| it.health.as_mut().unwrap().records_waiting = 1), [13]);
}

#[test]
fn a_run_with_too_few_records_or_faults_is_vacuous() {
    for doctor in [
        |it: &mut Evidence| it.least = Least { records: 12_001, faults: 3 },
        |it: &mut Evidence| it.least = Least { records: 10_000, faults: 4 },
    ] {
        let mut evidence = honest();
        doctor(&mut evidence);
        let verdict = judge(&evidence);
        assert!(!verdict.holds() && verdict.violated().is_empty());
        assert!(verdict.to_json().contains("\"verdict\":\"vacuous\""), "{}", verdict.to_json());
    }
    assert_eq!(Least::default(), Least { records: 10_000, faults: 3 });
}

#[test]
fn what_gives_no_evidence_is_named_with_its_reason() {
    let mut evidence = honest();
    (evidence.images, evidence.health) = (Vec::new(), None);
    let verdict = judge(&evidence);
    assert!(verdict.holds());
    assert!(verdict.to_json().contains("\"I8\":\"no image of the disk was taken\""), "{}", verdict.to_json());
}
