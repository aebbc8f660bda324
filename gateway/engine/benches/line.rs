//! Readings per second through the line and through its parts, and bytes per sealed batch.
//!
//! Ten points of a slow process at the resolution of its instruments: AR(1) traces in steps of 0.1, read every 10 ms
//! with some jitter, deadband 0.15 and rounding to 0.1.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panic")]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use divan::Bencher;
use divan::counter::ItemsCount;

use lingate_buffer::{Buffer, RealDisk, Settings};
use lingate_engine::{Engine, Input, LinkLimits, Output, Setup};
use lingate_model::{BuiltinType, Class, ClockState, Now, PointId, Priority, Reading, UtcMicros, Value};
use lingate_refine::{Batch, DatasetIndex, DatasetPlan, Export, ExportPlan, Flush, PointPlan, Refinery, Step};
use lingate_seal::{
    Bundle, Entropy, EntropyFailed, Epoch, EpochTerms, RecordKind, RootSet, Sealed, SigningKey, VerifiedBundle, jws,
};

const POINTS: u32 = 10;
const POLLS: usize = 2_000;
const READINGS: usize = POLLS * POINTS as usize;
const POLL_EVERY: Duration = Duration::from_millis(10);
const BATCHES: [u32; 3] = [100, 500, 1_000];
/// 2026-03-01T08:00:00Z.
const BEGIN: i64 = 1_772_352_000_000_000;

fn main() {
    print_bytes_per_reading();
    divan::main();
}

fn print_bytes_per_reading() {
    println!("bytes of a sealed batch: envelope, signature and step counts included, MQTT and TLS not");
    println!("readings   deadband and rounding          neither");
    for readings in BATCHES {
        let mean = |minimize| {
            let sealed = sealed_batches(readings, minimize);
            sealed.iter().map(|sealed| sealed.bytes().len() as f64).sum::<f64>() / sealed.len() as f64
        };
        let show = |bytes: f64| format!("{bytes:>6.0}  {:>5.2} a reading", bytes / f64::from(readings));
        println!("{readings:>8}   {:<28}   {}", show(mean(true)), show(mean(false)));
    }
    let kept: usize = batches(BATCHES[0], true).iter().map(|batch| batch.readings().len()).sum();
    println!("of {READINGS} readings the deadband keeps {kept}\n");
}

/// Everything, on a real disk; the broker acknowledges at once.
#[divan::bench(args = BATCHES, sample_count = 10)]
fn line_to_a_broker(bencher: Bencher, batch: u32) {
    bench_line(bencher, batch, true);
}

/// Everything, on a real disk; there is no link.
#[divan::bench(args = BATCHES, sample_count = 10)]
fn line_to_the_disk(bencher: Bencher, batch: u32) {
    bench_line(bencher, batch, false);
}

fn bench_line(bencher: Bencher, batch: u32, is_up: bool) {
    let polls = traces();
    let start = || {
        let folder = tempfile::tempdir().unwrap();
        (engine(folder.path(), batch, is_up), polls.clone(), folder)
    };
    bencher.counter(ItemsCount::new(READINGS)).with_inputs(start).bench_local_refs(|(engine, polls, _)| {
        for (at, readings) in polls.drain(..).enumerate() {
            handle(engine, now(at), Input::Readings(readings));
        }
        handle(engine, now(POLLS), Input::Drain);
    });
}

#[divan::bench(args = BATCHES, sample_count = 20)]
fn refine_only(bencher: Bencher, batch: u32) {
    let polls = traces();
    let start = || (Refinery::new(plan(batch, true)), polls.clone());
    bencher.counter(ItemsCount::new(READINGS)).with_inputs(start).bench_local_refs(|(refinery, polls)| {
        for (at, readings) in polls.drain(..).enumerate() {
            for reading in readings {
                divan::black_box(refinery.refine(now(at), reading));
            }
        }
    });
}

/// Columns, zstd, AES-GCM and Ed25519; counted in readings that were kept.
#[divan::bench(args = BATCHES, sample_count = 20)]
fn seal_only(bencher: Bencher, batch: u32) {
    let batches = batches(batch, true);
    let kept: usize = batches.iter().map(|batch| batch.readings().len()).sum();
    let signer = signing_key();
    bencher.counter(ItemsCount::new(kept)).with_inputs(|| open_epoch(batch, true, &signer)).bench_local_refs(|epoch| {
        for batch in &batches {
            divan::black_box(epoch.seal_batch(batch, &signer).unwrap());
        }
    });
}

/// Two records a commit, as the line does at its batch of 100; counted in readings that were kept.
#[divan::bench(args = BATCHES, sample_count = 10)]
fn append_and_commit_only(bencher: Bencher, batch: u32) {
    let sealed = sealed_batches(batch, true);
    let kept: usize = sealed.iter().map(|sealed| sealed.readings() as usize).sum();
    let start = || {
        let folder = tempfile::tempdir().unwrap();
        (buffer(folder.path()), folder)
    };
    bencher.counter(ItemsCount::new(kept)).with_inputs(start).bench_local_refs(|(buffer, _)| {
        for pair in sealed.chunks(2) {
            for sealed in pair {
                buffer.0.append(Priority::Normal, sealed).unwrap();
            }
            buffer.0.commit(UtcMicros(BEGIN)).unwrap();
        }
    });
}

fn handle(engine: &mut Engine<RealDisk>, now: Now, input: Input) {
    engine.handle(now, input);
    while let Some(output) = engine.poll() {
        if let Output::Publish { id, .. } = output {
            engine.handle(now, Input::Acked(id));
        }
    }
}

fn engine(folder: &std::path::Path, batch: u32, is_up: bool) -> Engine<RealDisk> {
    let (buffer, recovery) = buffer(folder);
    let setup = Setup {
        gateway: "gw-0001".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        software: "bench 1 sha256:00".to_owned(),
        export: plan(batch, true),
        devices: vec![("plant".parse().unwrap(), PointId(0))],
        signer: signing_key(),
        rules: lingate_engine::Rules::default(),
        bundle: Some(bundle()),
        buffer,
        recovery,
        commit_every: Duration::from_millis(200),
        window: 64,
        entropy: Box::new(Noise(7)),
    };
    let mut engine = Engine::new(now(0), setup);
    if is_up {
        handle(&mut engine, now(0), Input::LinkUp(LinkLimits { in_flight: 65_535, packet_bytes: 1 << 20 }));
    }
    engine
}

fn buffer(folder: &std::path::Path) -> (Buffer<RealDisk>, lingate_buffer::Recovery) {
    Buffer::open(RealDisk::open(folder).unwrap(), Settings::new(1 << 30)).unwrap()
}

fn sealed_batches(batch: u32, minimize: bool) -> Vec<Sealed> {
    let signer = signing_key();
    let mut epoch = open_epoch(batch, minimize, &signer);
    let sealed: Vec<Sealed> =
        batches(batch, minimize).iter().map(|batch| epoch.seal_batch(batch, &signer).unwrap()).collect();
    assert!(sealed.len() > 1 && sealed.iter().all(|it| it.kind() == RecordKind::Batch && it.readings() == batch));
    sealed
}

/// Full batches of the traces.
fn batches(batch: u32, minimize: bool) -> Vec<Batch> {
    let mut refinery = Refinery::new(plan(batch, minimize));
    let polls = traces().into_iter().enumerate();
    polls
        .flat_map(|(at, readings)| readings.into_iter().map(move |it| (at, it)))
        .filter_map(|(at, reading)| refinery.refine(now(at), reading))
        .collect()
}

fn open_epoch(batch: u32, minimize: bool, signer: &SigningKey) -> Epoch {
    let ExportPlan { mut datasets, points } = plan(batch, minimize);
    let dataset = datasets.remove(0);
    let grant = bundle().grant(&dataset.id, &dataset.purpose, dataset.ceiling, UtcMicros(BEGIN)).unwrap();
    let terms = EpochTerms {
        gateway: "gw-0001".parse().unwrap(),
        software: "bench 1 sha256:00".to_owned(),
        dataset,
        points,
        devices: Vec::new(),
        grant,
    };
    Epoch::open(terms, None, now(0), signer, &mut Noise(7)).unwrap().0
}

fn now(poll: usize) -> Now {
    let monotonic = POLL_EVERY * poll as u32;
    Now { monotonic, utc: UtcMicros(BEGIN + monotonic.as_micros() as i64), clock: ClockState::Synced }
}

/// AR(1) around 20 to 200, coefficient 0.995, as an instrument with a resolution of 0.1 shows it.
fn traces() -> Vec<Vec<Reading>> {
    let mut noise = Noise(42);
    let means: Vec<f64> = (1..=POINTS).map(|point| 20.0 * f64::from(point)).collect();
    let mut state = means.clone();
    (0..POLLS)
        .map(|at| {
            let time = UtcMicros(now(at).utc.0 + (noise.next() % 400) as i64);
            let mut read = |point: usize| {
                state[point] = means[point] + 0.995 * (state[point] - means[point]) + 0.08 * noise.normal();
                let shown = (state[point] * 10.0).round() / 10.0;
                Reading::good(PointId(point as u32), Value::Double(shown), time)
            };
            (0..POINTS as usize).map(&mut read).collect()
        })
        .collect()
}

fn plan(batch: u32, minimize: bool) -> ExportPlan {
    let dataset = DatasetPlan {
        id: "ds-bench".parse().unwrap(),
        purpose: "urn:lingate:purpose:bench".parse().unwrap(),
        ceiling: Class::General,
        flush: Flush { readings: batch, age: Duration::from_secs(3_600) },
        priority: Priority::Normal,
        padding: 0,
    };
    let steps = match minimize {
        true => vec![Step::deadband("0.15".parse().unwrap()), Step::Round { to: "0.1".parse().unwrap() }],
        false => Vec::new(),
    };
    let point = |alias: u32| {
        let export = Export::new(DatasetIndex(0), alias, Some(Class::General), steps.clone());
        Arc::new(PointPlan {
            id: PointId(alias),
            name: format!("plant/zone[{alias}].temperature"),
            export: Some(export),
            builtin_type: BuiltinType::Double,
            rank: 0,
            places: Some(1),
            unit: Some("Cel".parse().unwrap()),
            range: None,
            equipment: "acme/lingang/hall-1/line-2".parse().unwrap(),
            interval: POLL_EVERY,
            source: format!("modbus-tcp holding:{} unit 1", 100 + 2 * alias),
        })
    };
    ExportPlan { datasets: vec![dataset], points: (0..POINTS).map(point).collect() }
}

fn signing_key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate_pkcs8(&mut Noise(1)).unwrap()).unwrap()
}

fn bundle() -> VerifiedBundle {
    let root = signing_key();
    let root_json = format!(
        r#"{{"version":1,"threshold":1,"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{}","x":"{}"}}]}}"#,
        root.kid(),
        BASE64URL.encode(root.public_key())
    );
    // The base point: any X25519 key will do, nobody opens this.
    let mut recipient = [0; 32];
    recipient[0] = 9;
    let (kid, x) = (lingate_seal::x25519_kid(&recipient), BASE64URL.encode(recipient));
    let (from, until) = (BEGIN / 1_000_000 - 300, BEGIN / 1_000_000 + 86_400);
    let payload = format!(
        r#"{{"spec":"lingate/1","iss":"sandbox.example","aud":["gw-0001"],"version":1,"iat":{from},"nbf":{from},
        "exp":{until},"root":{root_json},"suites":[1],"keys":[{{"kty":"OKP","crv":"X25519","kid":"{kid}",
        "alg":"HPKE-3-KE","use":"enc","x":"{x}","nbf":{from},"exp":{until}}}],
        "roles":[{{"id":"role:bench","party":"urn:lingate:party:bench","kids":["{kid}"]}}],
        "purposes":[{{"id":"urn:lingate:purpose:bench","statement":"Measure.","valid_from":"2026-01-01T00:00:00Z",
        "valid_until":"2100-01-01T00:00:00Z"}}],
        "datasets":[{{"id":"ds-bench","alias":"b1","purposes":["urn:lingate:purpose:bench"],"roles":["role:bench"],
        "class_ceiling":"general"}}],"rotation":{{"epoch_s":3600,"epoch_msgs":1048576}},"ack":"broker"}}"#
    );
    let bytes = jws::sign_general(payload.as_bytes(), &[(&root.kid(), &root)]);
    let roots = RootSet::from_stored(root_json.as_bytes()).unwrap();
    Bundle::verify(&bytes, &roots, None, &"gw-0001".parse().unwrap(), UtcMicros(BEGIN)).unwrap()
}

/// SplitMix64.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Standard normal, as the sum of twelve uniform numbers.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| (self.next() >> 11) as f64 / (1_u64 << 53) as f64).sum::<f64>() - 6.0
    }
}

impl Entropy for Noise {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
