use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use lingate_buffer::{Buffer, RealDisk, Recovery, Settings};
use lingate_engine::{Engine, Input, LinkLimits, Output, Rules, Setup};
use lingate_model::{BuiltinType, Class, ClockState, Now, PointId, Priority, Reading, UtcMicros};
use lingate_refine::{Batch, DatasetIndex, DatasetPlan, Export, ExportPlan, Flush, PointPlan, Refinery};
use lingate_seal::{Bundle, Epoch, EpochTerms, RootSet, SigningKey, VerifiedBundle, jws};

use crate::signal::{BEGIN, Noise, Signal, Signals};

/// The time of a poll: one each second.
pub fn now(poll: usize) -> Now {
    let monotonic = Duration::from_secs(poll as u64);
    Now { monotonic, utc: UtcMicros(BEGIN + monotonic.as_micros() as i64), clock: ClockState::Synced }
}

/// So many polls of so many points.
pub fn polls(signal: Signal, points: usize, polls: usize) -> Vec<Vec<Reading>> {
    let mut signals = Signals::new(signal, points);
    (0..polls).map(|poll| signals.poll(now(poll).utc)).collect()
}

/// Points that a driver reads as float32 without any declared resolution, and no steps but those that every point has.
pub fn plan(points: usize, readings: u32) -> ExportPlan {
    let dataset = DatasetPlan {
        id: "ds-cost".parse().expect("a dataset's name"),
        purpose: "urn:lingate:purpose:cost".parse().expect("a purpose"),
        ceiling: Class::General,
        flush: Flush { readings, age: Duration::from_secs(3_600) },
        priority: Priority::Normal,
        padding: 0,
    };
    let point = |alias: u32| {
        Arc::new(PointPlan {
            id: PointId(alias),
            name: format!("plant/v{alias}"),
            export: Some(Export::new(DatasetIndex(0), alias, Some(Class::General), Vec::new())),
            builtin_type: BuiltinType::Float,
            rank: 0,
            places: None,
            unit: None,
            range: None,
            equipment: "acme/lingang/hall-1/line-2".parse().expect("a path"),
            interval: Duration::from_secs(1),
            source: format!("modbus-tcp holding:{} unit 1", 2 * alias),
        })
    };
    ExportPlan { datasets: vec![dataset], points: (0..points as u32).map(point).collect() }
}

/// All batches that these polls fill.
pub fn batches(refinery: &mut Refinery, polls: Vec<Vec<Reading>>) -> Vec<Batch> {
    let readings = polls.into_iter().enumerate().flat_map(|(at, poll)| poll.into_iter().map(move |it| (at, it)));
    readings.filter_map(|(at, reading)| refinery.refine(now(at), reading)).collect()
}

/// An open epoch and its key.
pub fn epoch(points: usize, readings: u32) -> Result<(Epoch, SigningKey)> {
    let (signer, bundle) = (signing_key()?, bundle()?);
    let ExportPlan { mut datasets, points } = plan(points, readings);
    let dataset = datasets.remove(0);
    let grant = bundle.grant(&dataset.id, &dataset.purpose, dataset.ceiling, UtcMicros(BEGIN))?;
    let terms = EpochTerms {
        gateway: "gw-0001".parse()?,
        software: "cost 1 sha256:00".to_owned(),
        dataset,
        points,
        devices: Vec::new(),
        grant,
    };
    Ok((Epoch::open(terms, None, now(0), &signer, &mut Noise(7))?.0, signer))
}

pub fn buffer(folder: &Path) -> Result<(Buffer<RealDisk>, Recovery)> {
    Ok(Buffer::open(RealDisk::open(folder)?, Settings::new(1 << 30))?)
}

/// The whole engine on a real disk, with a link.
pub fn engine(folder: &Path, points: usize, readings: u32) -> Result<Engine<RealDisk>> {
    let (buffer, recovery) = buffer(folder)?;
    let setup = Setup {
        gateway: "gw-0001".parse()?,
        tenant: "acme".parse()?,
        software: "cost 1 sha256:00".to_owned(),
        export: plan(points, readings),
        devices: vec![("plant".parse()?, PointId(0))],
        signer: signing_key()?,
        rules: Rules::default(),
        bundle: Some(bundle()?),
        buffer,
        recovery,
        commit_every: Duration::from_millis(200),
        window: 64,
        entropy: Box::new(Noise(7)),
    };
    let mut engine = Engine::new(now(0), setup);
    feed(&mut engine, now(0), Input::LinkUp(LinkLimits { in_flight: 65_535, packet_bytes: 1 << 20 }));
    Ok(engine)
}

/// A broker that acknowledges at once. Gives the bytes of the records that it took.
pub fn feed(engine: &mut Engine<RealDisk>, now: Now, input: Input) -> usize {
    engine.handle(now, input);
    let mut bytes = 0;
    while let Some(output) = engine.poll() {
        if let Output::Publish { id, sealed, .. } = output {
            bytes += sealed.bytes().len();
            engine.handle(now, Input::Acked(id));
        }
    }
    bytes
}

fn signing_key() -> Result<SigningKey> {
    Ok(SigningKey::from_pkcs8(&SigningKey::generate_pkcs8(&mut Noise(1))?)?)
}

fn bundle() -> Result<VerifiedBundle> {
    let root = signing_key()?;
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
        "roles":[{{"id":"role:cost","party":"urn:lingate:party:cost","kids":["{kid}"]}}],
        "purposes":[{{"id":"urn:lingate:purpose:cost","statement":"Measure.","valid_from":"2026-01-01T00:00:00Z",
        "valid_until":"2100-01-01T00:00:00Z"}}],
        "datasets":[{{"id":"ds-cost","alias":"b1","purposes":["urn:lingate:purpose:cost"],"roles":["role:cost"],
        "class_ceiling":"general"}}],"rotation":{{"epoch_s":86400,"epoch_msgs":1048576}},"ack":"broker"}}"#
    );
    let bytes = jws::sign_general(payload.as_bytes(), &[(&root.kid(), &root)]);
    let roots = RootSet::from_stored(root_json.as_bytes())?;
    Ok(Bundle::verify(&bytes, &roots, None, &"gw-0001".parse()?, UtcMicros(BEGIN))?)
}
