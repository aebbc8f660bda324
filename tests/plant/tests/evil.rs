//! The gateway's OPC UA driver against servers that do everything wrong. Each test is a row; what every row must hold is
//! in `bench`: no panic, at most 1 MiB of memory grown, no wrong value, good values again after healing, and an honest
//! machine beside it that did not notice.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panic and brings its own clock")]

#[path = "evil/bench.rs"]
mod bench;
#[path = "common/device.rs"]
mod device;
#[path = "evil/published.rs"]
mod published;
#[path = "evil/rebuilt.rs"]
mod rebuilt;

use std::time::{Duration, Instant};

use bench::{Bench, Outcome, Row};
use lingate_plant::opcua::{Frame, Say, Script, When};
use opcua::core::{RequestMessage, ResponseMessage};
use opcua::types::{
    DataChangeNotification, DataValue, DateTime, ExtensionObject, NotificationMessage, StatusCode, Variant,
};
use published::published;

const CREATE_SESSION: When = When::Service(461);
const ACTIVATE_SESSION: When = When::Service(467);
const READ: When = When::Service(631);
const CREATE_ITEMS: When = When::Service(751);
const CREATE_SUBSCRIPTION: When = When::Service(787);
const PUBLISH: When = When::Service(826);
const REPUBLISH: u32 = 832;

/// Little-endian, as everything in OPC UA Binary.
fn int(number: i32) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

/// A frame of a size that it claims, with so many bytes behind the header.
fn claims(size: u32, bytes: usize) -> Vec<u8> {
    let mut frame = b"MSGF".to_vec();
    frame.extend(size.to_le_bytes());
    frame.resize(8 + bytes, 0x5A);
    frame
}

#[tokio::test]
async fn o01_a_claim_of_four_gibibytes_is_not_believed() {
    let bench = Bench::start().await;
    // 64 MiB are sent, if anybody listens.
    let mut first = claims(u32::MAX, 0);
    first.resize(64 << 10, 0x5A);
    for when in [READ, PUBLISH] {
        bench.plays("O01", Row::new(Script::always(when, Say::Bytes(first.clone(), 1_024)))).await;
    }
    bench.finish().await;
}

#[tokio::test]
async fn o01_not_before_the_session_either() {
    let bench = Bench::start().await;
    let mut first = claims(u32::MAX, 0);
    first.resize(64 << 10, 0x5A);
    for when in [When::Hello, When::Open] {
        let script = Script::always(when, Say::Bytes(first.clone(), 1_024));
        after_a_cut(&bench, "O01 early", script).await;
    }
    bench.finish().await;
}

#[tokio::test]
async fn o02_sizes_that_hold_no_header_end_the_connection() {
    let bench = Bench::start().await;
    for size in [0, 1, 7, 8, 12, 20] {
        let script = Script::always(READ, Say::Frame(Frame { size: Some(size), ..Frame::default() }));
        bench.plays(&format!("O02 size {size}"), Row::new(script)).await;
    }
    bench.finish().await;
}

#[tokio::test]
async fn o03_chunks_without_an_end_are_bounded() {
    let bench = Bench::start().await;
    for is_spread in [false, true] {
        let flood = Say::Flood { chunks: 2_000, size: 16 << 10, is_spread };
        bench.plays(&format!("O03 spread {is_spread}"), Row::new(Script::always(READ, flood))).await;
    }
    bench.finish().await;
}

#[tokio::test]
async fn o04_wrong_sequence_numbers_end_the_connection() {
    let bench = Bench::start().await;
    for sequence in [0, 1, u32::MAX, 0x7FFF_FFFF] {
        let frame = Frame { sequence: Some(sequence), ..Frame::default() };
        bench.plays(&format!("O04 sequence {sequence}"), Row::new(Script::always(READ, Say::Frame(frame)))).await;
    }
    bench.plays("O04 twice", Row::new(Script::always(READ, Say::Again(2)))).await;
    bench.finish().await;
}

#[tokio::test]
async fn o04_answers_to_nobodys_request_do_no_harm() {
    let bench = Bench::start().await;
    for frame in [
        Frame { request: Some(0), ..Frame::default() },
        Frame { request: Some(u32::MAX), ..Frame::default() },
        Frame { channel: Some(1), ..Frame::default() },
        Frame { token: Some(4_711), ..Frame::default() },
        Frame { kind: Some(b'A'), ..Frame::default() },
        Frame { kind: Some(b'X'), ..Frame::default() },
        Frame { message: Some(*b"XYZ"), ..Frame::default() },
        Frame { message: Some(*b"HEL"), ..Frame::default() },
        Frame { message: Some(*b"OPN"), ..Frame::default() },
    ] {
        bench
            .plays(&format!("O04 {frame:?}"), Row { tricks: 1, ..Row::new(Script::always(READ, Say::Frame(frame))) })
            .await;
    }
    bench.finish().await;
}

#[tokio::test]
async fn o05_impossible_lengths_are_a_decoding_error() {
    let bench = Bench::start().await;
    // DataValue with a value: a Double array, a String, a ByteString of that length.
    for length in [i32::MAX, -2, 0x00FF_FFFF] {
        for head in [vec![1, 0x80 | 11], vec![1, 12], vec![1, 15]] {
            let body = [int(1), head, int(length)].concat();
            bench
                .plays(&format!("O05 value of length {length}"), Row::new(Script::always(READ, Say::Body(body))))
                .await;
        }
        let results = Say::Body([int(length), vec![0; 64]].concat());
        bench.plays(&format!("O05 results of length {length}"), Row::new(Script::always(READ, results))).await;
    }
    bench.finish().await;
}

#[tokio::test]
async fn o06_nesting_ends_at_a_depth() {
    let bench = Bench::start().await;
    for depth in [1_000, 60_000] {
        // Variant in Variant; DiagnosticInfo in DiagnosticInfo; ExtensionObject with a body of Variants.
        for (name, head, nested) in [("variant", vec![1], 24_u8), ("array of variants", vec![1], 0x80 | 24)] {
            let mut body = [int(1), head].concat();
            for _ in 0..depth {
                body.push(nested);
                if nested >= 0x80 {
                    body.extend(int(1));
                }
            }
            body.truncate(64_000);
            bench.plays(&format!("O06 {name} x {depth}"), Row::new(Script::always(READ, Say::Body(body)))).await;
        }
        let diagnostics = [int(0), int(1), vec![0x40; depth]].concat();
        bench
            .plays(&format!("O06 diagnostics x {depth}"), Row::new(Script::always(READ, Say::Body(diagnostics))))
            .await;
    }
    bench.finish().await;
}

#[tokio::test]
async fn o07_dimensions_that_do_not_fit_are_no_value() {
    let bench = Bench::start().await;
    // A Byte array of so many items with these dimensions.
    let matrix = |items: usize, dimensions: &[i32]| {
        let numbers: Vec<u8> = dimensions.iter().flat_map(|number| int(*number)).collect();
        let value = [vec![1, 0xC0 | 3], int(items as i32), vec![9; items], int(dimensions.len() as i32), numbers];
        Say::Body([int(1), value.concat(), int(-1)].concat())
    };
    for (items, dimensions) in [
        (0, vec![0, 0]),
        (0, vec![i32::MAX, i32::MAX, i32::MAX]),
        (4, vec![2, 3]),
        (4, vec![-1, -4]),
        (1, vec![1; 2_000]),
        (4, vec![65_536, 65_536]),
    ] {
        bench
            .plays(
                &format!("O07 {items} as {:?}", &dimensions[..2]),
                Row::new(Script::always(READ, matrix(items, &dimensions))),
            )
            .await;
    }
    bench.finish().await;
}

#[tokio::test]
async fn o08_results_in_another_number_or_type_are_never_mixed_up() {
    let bench = Bench::start().await;
    let twist = |change: fn(&mut Vec<DataValue>)| {
        Say::twist(move |_, mut answer| {
            if let ResponseMessage::Read(read) = &mut answer
                && let Some(results) = &mut read.results
            {
                change(results);
            }
            answer
        })
    };
    for (name, say) in [
        ("none", twist(Vec::clear)),
        ("one fewer", twist(|results| drop(results.pop()))),
        ("one more", twist(|results| results.push(Variant::from(7_u32).into()))),
        ("another type", twist(|results| results.iter_mut().for_each(|it| it.value = Some(Variant::from("no"))))),
        ("an array", twist(|results| results.iter_mut().for_each(|it| it.value = Some(Variant::from(vec![1_u32, 2]))))),
    ] {
        bench.plays(&format!("O08 {name}"), Row::new(Script::always(READ, say))).await;
    }
    let nobody = |_: &RequestMessage, mut answer: ResponseMessage| {
        if let ResponseMessage::CreateMonitoredItems(created) = &mut answer {
            created.results = None;
        }
        answer
    };
    after_a_cut(&bench, "O08 no items", Script::always(CREATE_ITEMS, Say::twist(nobody))).await;
    bench.finish().await;
}

#[tokio::test]
async fn o08_values_for_items_that_nobody_has_are_left_out() {
    let bench = Bench::start().await;
    let foreign = published(|values, _| {
        for (value, handle) in values.iter_mut().zip([1 << 31, 77_777, 4_711_000, 1 << 30]) {
            value.client_handle = value.client_handle.wrapping_add(handle);
        }
    });
    bench.plays("O08 foreign handles", Row { tricks: 5, ..Row::new(Script::always(PUBLISH, foreign)) }).await;
    bench.finish().await;
}

#[tokio::test]
async fn o09_silence_and_drips_meet_a_deadline() {
    let bench = Bench::start().await;
    for when in [When::Hello, When::Open, CREATE_SESSION, ACTIVATE_SESSION] {
        for say in [Say::Silence, Say::Drip(Duration::from_millis(50))] {
            let began = Instant::now();
            after_a_cut(&bench, &format!("O09 {when:?} {say:?}"), Script::always(when, say)).await;
            assert!(began.elapsed() < Duration::from_secs(25));
        }
    }
    for say in [Say::Silence, Say::Drip(Duration::from_millis(20))] {
        bench.plays(&format!("O09 read {say:?}"), Row::new(Script::always(READ, say))).await;
    }
    bench.finish().await;
}

#[tokio::test]
async fn o10_a_failed_activation_ends_although_the_socket_stays_open() {
    let bench = Bench::start().await;
    let script = Script::always(ACTIVATE_SESSION, Say::Fault(StatusCode::BadIdentityTokenRejected));
    after_a_cut(&bench, "O10", script).await;
    bench.finish().await;
}

#[tokio::test]
async fn o12_a_hole_in_the_sequence_is_asked_for_again_and_then_declared() {
    let bench = Bench::start().await;
    let hole = published(|_, message| message.sequence_number += 3);
    let outcome =
        bench.plays("O12 hole", Row { tricks: 1, ..Row::new(Script::always(PUBLISH, hole).after(2).times(1)) }).await;
    let asked = outcome.requests.get(&REPUBLISH).copied().unwrap_or(0);
    assert!((1..=20).contains(&asked), "{asked} times asked");
    assert!(outcome.seen.missed.contains_key("notification-lost"), "{:?}", outcome.seen.missed);
    bench.finish().await;
}

#[tokio::test]
async fn o12_endless_messages_do_not_hurry_the_gateway() {
    let bench = Bench::start().await;
    let more = Say::twist(|_, mut answer| {
        if let ResponseMessage::Publish(publish) = &mut answer {
            publish.more_notifications = true;
            publish.notification_message = NotificationMessage::keep_alive(1, DateTime::now());
        }
        answer
    });
    let row = Row { tricks: 10, at_least: Duration::from_secs(2), ..Row::new(Script::always(PUBLISH, more)) };
    let outcome = bench.plays("O12 endless", row).await;
    let publishes = outcome.requests.get(&826).copied().unwrap_or(0);
    assert!(publishes < 2_000, "{publishes} publish requests");
    bench.finish().await;
}

#[tokio::test]
async fn o13_absurd_revised_numbers_are_clamped() {
    let bench = Bench::start().await;
    for (interval, count) in
        [(0.0, 0), (-1.0, u32::MAX), (f64::NAN, 0), (f64::INFINITY, u32::MAX), (1e308, 0), (1e-300, 1)]
    {
        let absurd = Say::twist(move |_, mut answer| {
            if let ResponseMessage::CreateSubscription(created) = &mut answer {
                created.revised_publishing_interval = interval;
                created.revised_lifetime_count = count;
                created.revised_max_keep_alive_count = count;
            }
            answer
        });
        after_a_cut(&bench, &format!("O13 {interval} {count}"), Script::always(CREATE_SUBSCRIPTION, absurd)).await;
    }
    for timeout in [0.0, 1e18, f64::NAN] {
        let absurd = Say::twist(move |_, mut answer| {
            if let ResponseMessage::CreateSession(created) = &mut answer {
                created.revised_session_timeout = timeout;
            }
            answer
        });
        after_a_cut(&bench, &format!("O13 session {timeout}"), Script::always(CREATE_SESSION, absurd)).await;
    }
    bench.finish().await;
}

#[tokio::test]
async fn o14_a_channel_whose_token_is_over_at_once_or_never_renewed_is_built_again() {
    let bench = Bench::start().await;
    let lifetime = |lifetime: u32| {
        Say::twist(move |_, mut answer| {
            if let ResponseMessage::OpenSecureChannel(opened) = &mut answer {
                opened.security_token.revised_lifetime = lifetime;
            }
            answer
        })
    };
    for ms in [0, 1, 200, u32::MAX] {
        after_a_cut(&bench, &format!("O14 lifetime {ms} ms"), Script::always(When::Open, lifetime(ms))).await;
    }
    let other_channel = Say::twist(|_, mut answer| {
        if let ResponseMessage::OpenSecureChannel(opened) = &mut answer {
            opened.security_token.channel_id = 1;
        }
        answer
    });
    after_a_cut(&bench, "O14 other channel", Script::always(When::Open, other_channel)).await;
    bench.finish().await;
}

#[tokio::test]
async fn o19_hostile_words_stay_words() {
    let bench = Bench::start().await;
    let words = "\u{1b}[31mred\r\n2026-01-01 ERROR forged\0\u{202e}gnp\u{7}".repeat(2_000);
    let error = |code: u32| {
        let mut body = code.to_le_bytes().to_vec();
        body.extend((words.len() as u32).to_le_bytes());
        body.extend(words.as_bytes());
        let mut frame = b"ERRF".to_vec();
        frame.extend((8 + body.len() as u32).to_le_bytes());
        frame.extend(body);
        frame
    };
    let short = {
        let mut frame = b"ERRF".to_vec();
        let text = &words.as_bytes()[..300];
        frame.extend((16 + text.len() as u32).to_le_bytes());
        frame.extend(0x8001_0000_u32.to_le_bytes());
        frame.extend((text.len() as u32).to_le_bytes());
        frame.extend(text);
        frame
    };
    for frame in [error(0x8001_0000), short] {
        bench.plays("O19 reason", Row::new(Script::always(READ, Say::Bytes(frame.clone(), 1)))).await;
        after_a_cut(&bench, "O19 early reason", Script::always(When::Open, Say::Bytes(frame, 1))).await;
    }
    // A string that is not UTF-8.
    let body = [int(1), vec![1, 12], int(4), vec![0xFF, 0xFE, 0xC0, 0x80], int(-1)].concat();
    bench.plays("O19 no UTF-8", Row::new(Script::always(READ, Say::Body(body)))).await;
    bench.finish().await;
}

#[tokio::test]
async fn o22_every_status_arrives_as_it_came_and_a_bad_one_has_no_value() {
    let bench = Bench::start().await;
    for status in
        [0x8034_0000, 0x800B_0000, 0x8000_0000, 0x40A4_0000, 0x4000_0000, 0x0000_0480, 0xFFFF_FFFF, 0xC000_0000]
    {
        let say = published(move |values, _| {
            values.iter_mut().for_each(|it| it.value.status = Some(StatusCode::from(status)));
        });
        let row = Row { tricks: 5, ..Row::new(Script::always(PUBLISH, say)) };
        let outcome = bench.plays(&format!("O22 {status:#x}"), row).await;
        let as_it_came = outcome.seen.statuses.keys().any(|seen| seen & 0xFFFF_0000 == status & 0xFFFF_0000);
        assert!(as_it_came, "{status:#x}: {:x?}", outcome.seen.statuses.keys());
    }
    let null = published(|values, _| values.iter_mut().for_each(|it| it.value = DataValue::null()));
    bench.plays("O22 null", Row { tricks: 5, ..Row::new(Script::always(PUBLISH, null)) }).await;
    let overflow =
        published(|values, _| values.iter_mut().for_each(|it| it.value.status = Some(StatusCode::from(0x480))));
    let outcome = bench.plays("O22 overflow", Row { tricks: 3, ..Row::new(Script::always(PUBLISH, overflow)) }).await;
    assert!(outcome.seen.missed.contains_key("device-overflow"), "{:?}", outcome.seen.missed);
    bench.finish().await;
}

#[tokio::test]
async fn o23_one_answer_that_never_comes_does_not_take_the_others_along() {
    let bench = Bench::start().await;
    let row = Row { tricks: 1, ..Row::new(Script::always(READ, Say::Silence).after(3).times(1)) };
    let outcome = bench.plays("O23", row).await;
    assert!(outcome.seen.connected <= 2, "{:?}", outcome.seen.errors);
    bench.finish().await;
}

#[tokio::test]
async fn o24_a_channel_that_is_refused_for_ever_costs_nothing() {
    let bench = Bench::start().await;
    let refused = {
        let mut frame = b"ERRF".to_vec();
        frame.extend(16_u32.to_le_bytes());
        frame.extend(0x8013_0000_u32.to_le_bytes());
        frame.extend((-1_i32).to_le_bytes());
        frame
    };
    let script = Script::always(When::Open, Say::Bytes(refused, 1));
    bench.plays("O24", Row { tricks: 30, is_cut_first: true, ..Row::new(script) }).await;
    bench.finish().await;
}

#[tokio::test]
async fn events_where_values_were_asked_for_are_left_out() {
    let bench = Bench::start().await;
    let other = Say::twist(|_, mut answer| {
        if let ResponseMessage::Publish(publish) = &mut answer {
            let nothing = vec![ExtensionObject::null(), ExtensionObject::new(DataChangeNotification::default())];
            publish.notification_message.notification_data = Some(nothing);
        }
        answer
    });
    bench.plays("no values", Row { tricks: 5, ..Row::new(Script::always(PUBLISH, other)) }).await;
    bench.finish().await;
}

/// For scripts that play before a session is there: the one that is there is lost first.
async fn after_a_cut(bench: &Bench, name: &str, script: Script) -> Outcome {
    bench.plays(name, Row { tricks: 1, is_cut_first: true, ..Row::new(script) }).await
}
