//! `ack = "receipt"`: the sandbox's signed word frees a record, and nobody else's.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::collections::BTreeMap;

use lingate_e2e::{Daemon, Line, PATIENCE, wait_for};
use lingate_sandbox::{Message, Receiver, ReceiverConfig, ReceiverHandle, ReceiverOptions, publish_messages};
use lingate_seal::{Entropy, EntropyFailed, EpochReceipt, Kid, RECEIPT_MAX, Receipt, SigningKey};

const TOPIC: &str = "lingate/1/acme/gw-e2e/r";

struct NoChance;

impl Entropy for NoChance {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        bytes.fill(0x42);
        Ok(())
    }
}

/// Reads everything and says nothing.
fn silent_receiver(line: &Line) -> ReceiverHandle {
    let config = ReceiverConfig {
        authority: line.rig.authority.folder().to_owned(),
        role: "role:oem-quality".to_owned(),
        broker: line.address(),
        store: format!("sqlite:{}", line.rig.path().join("received.sqlite").display()),
        sink: None,
    };
    Receiver::start_with(config, ReceiverOptions::default()).unwrap()
}

/// Of every epoch that arrived: all of it, by a key that no bundle names.
fn of_a_stranger(line: &Line) -> Vec<u8> {
    let mut epochs: BTreeMap<[u8; 8], u64> = BTreeMap::new();
    for (kid, seq) in line.rig.ledger().unwrap().identities().unwrap() {
        let next = epochs.entry(u64::from_str_radix(&kid, 16).unwrap().to_be_bytes()).or_default();
        *next = (*next).max(seq + 1);
    }
    let epoch = |(kid, next): (&[u8; 8], &u64)| EpochReceipt { kid: Kid(*kid), next: *next, beyond: Vec::new() };
    let issuer = line.rig.authority.sandbox_id().to_owned();
    let receipt =
        Receipt { issuer, gateway: "gw-e2e".to_owned(), issued_at: 0, epochs: epochs.iter().map(epoch).collect() };
    receipt.sign(&SigningKey::from_pkcs8(&SigningKey::generate_pkcs8(&mut NoChance).unwrap()).unwrap())
}

async fn send(line: &Line, payloads: impl IntoIterator<Item = Vec<u8>>) {
    let message = |payload| Message { topic: TOPIC.to_owned(), payload, retained: false };
    let messages = payloads.into_iter().map(message).collect();
    publish_messages(&line.rig.authority, &line.address(), messages).await.unwrap();
}

/// (awaiting, taken, refused) receipts, and the records that were acknowledged.
fn counts(daemon: &Daemon) -> [u64; 4] {
    let status = daemon.health.status().unwrap();
    let receipts = &status["rights"]["receipts"];
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let acknowledged = number(&status["datasets"][0]["acknowledged_records"]);
    [number(&receipts["awaiting"]), number(&receipts["taken"]), number(&receipts["refused"]), acknowledged]
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_free_what_the_broker_had_acknowledged_and_forged_ones_do_not() {
    let line = Line::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway"), "receipt").await.unwrap();
    let silent = silent_receiver(&line);
    let daemon = line.rig.start(&[]).unwrap();
    let waits = |status: &serde_json::Value| status["rights"]["receipts"]["awaiting"].as_u64() > Some(40);
    line.until(&daemon, "records that the broker has wait for a receipt", waits).await.unwrap();
    assert_eq!(counts(&daemon)[1..], [0, 0, 0], "a PUBACK frees nothing");

    let stranger = of_a_stranger(&line);
    let cut = stranger[..stranger.len() / 2].to_vec();
    send(&line, [stranger, cut, vec![0xD2; RECEIPT_MAX], vec![0xD2; RECEIPT_MAX + 1], Vec::new()]).await;
    let are_refused = |status: &serde_json::Value| status["rights"]["receipts"]["refused"].as_u64() >= Some(3);
    line.until(&daemon, "forged receipts are refused", are_refused).await.unwrap();
    let [awaiting, taken, refused, acknowledged] = counts(&daemon);
    assert!(awaiting > 40 && (taken, acknowledged) == (0, 0), "they freed something");
    assert!((3..=4).contains(&refused), "{refused}: what is too large is not even looked at");

    // The same store, by a receiver that signs.
    silent.stop().await.unwrap();
    line.broker.tap().keep_payloads();
    let receiver = line.receiver().unwrap();
    let are_freed = |status: &serde_json::Value| {
        status["datasets"][0]["acknowledged_records"].as_u64() >= Some(awaiting)
            && status["rights"]["receipts"]["awaiting"].as_u64().is_some_and(|awaiting| awaiting < 40)
    };
    line.until(&daemon, "receipts free them", are_freed).await.unwrap();

    // Genuine ones once more, the oldest last, and one whose signature was touched.
    let sent = line.broker.tap().payloads();
    let mut genuine: Vec<Vec<u8>> =
        sent.iter().filter_map(|message| message.strip_prefix(TOPIC.as_bytes())).map(<[u8]>::to_vec).collect();
    genuine.retain(|payload| payload.first() == Some(&0xD2));
    let (before, replayed) = (counts(&daemon), genuine.len() as u64);
    let mut touched = genuine[0].clone();
    *touched.last_mut().unwrap() ^= 1;
    send(&line, genuine.into_iter().rev().chain([touched])).await;
    wait_for("the replayed ones are looked at", PATIENCE, || {
        let now = counts(&daemon);
        now[1] >= before[1] + replayed && now[2] == before[2] + 1
    })
    .await
    .unwrap();
    let status = daemon.health.status().unwrap();
    let of_dataset = |name: &str| status["datasets"][0][name].as_u64().unwrap();
    assert!(of_dataset("acknowledged_records") <= of_dataset("accepted_records"), "{status}");
    line.delivers(&daemon, 40).await.unwrap();

    let report = line.end(daemon, &receiver).await.unwrap();
    assert!(report.records > 100 && report.declared_records == 0, "{report:?}");
    receiver.stop().await.unwrap();
}
