//! An enrolled gateway that seals real batches, and a receiver's desk to take them.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

pub mod publisher;

use std::sync::Arc;
use std::time::Duration;

use lingate_model::{
    BuiltinType, Class, ClockState, DeviceIdentity, Now, PointId, Priority, Reading, StatusCode, UtcMicros, Value,
};
use lingate_refine::{
    Batch, ContextKind, DatasetIndex, DatasetPlan, Export, ExportPlan, Flush, PointPlan, Refinery, Step,
};
use lingate_sandbox::{Arrival, Authority, Event, GatewayIdentity, InitOptions, Intake, Report, Store, Topic};
use lingate_seal::{
    Bundle, DescribedDevice, Entropy, EntropyFailed, Epoch, EpochTerms, GapRecord, Grant, PreviousEpoch, RecordKind,
    RootSet, Sealed, SigningKey,
};
use ring::rand::SecureRandom;
use tempfile::TempDir;

pub const ROLE: &str = "role:oem-quality";
pub const DATASET: &str = "ds-extr-07";
pub const POINTS: [(&str, BuiltinType, Option<u8>); 3] = [
    ("extruder-7/melt_temperature", BuiltinType::Double, Some(1)),
    ("extruder-7/screw_speed", BuiltinType::UInt16, None),
    ("extruder-7/order", BuiltinType::String, None),
];

pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        ring::rand::SystemRandom::new().fill(bytes).map_err(|_| EntropyFailed)
    }
}

#[allow(clippy::disallowed_methods, reason = "bundles are dated by the real clock")]
pub fn now() -> Now {
    let utc = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Now { monotonic: Duration::from_secs(1), utc: UtcMicros(utc.as_micros() as i64), clock: ClockState::Synced }
}

/// An authority in a folder of its own, which goes away with it.
pub struct World {
    pub folder: TempDir,
    pub authority: Authority,
}

impl World {
    pub fn new() -> World {
        World::with(&InitOptions::default())
    }

    pub fn with(options: &InitOptions) -> World {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::init(&folder.path().join("sandbox"), options).unwrap();
        World { folder, authority }
    }

    pub fn gateway(&mut self, name: &str) -> Gateway {
        Gateway::new(self.authority.enroll_for_test(name, "acme").unwrap())
    }

    pub fn store_file(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("store.sqlite").display())
    }

    /// Over the store of this world: a second one continues where the first ended.
    pub fn desk(&self) -> Desk {
        Desk { intake: Intake::new(self.authority.trust(ROLE).unwrap(), Store::open(&self.store_file()).unwrap()) }
    }
}

pub struct Desk {
    pub intake: Intake,
}

impl Desk {
    pub fn take(&mut self, arrivals: &[Arrival]) -> Vec<Event> {
        self.intake.take(arrivals, now().utc).unwrap()
    }

    pub fn report(&self) -> Report {
        self.intake.store().report().unwrap()
    }

    pub fn rejected(&self, reason: &str) -> u64 {
        self.report().rejected.get(reason).copied().unwrap_or(0)
    }
}

#[derive(Clone)]
pub struct Gateway {
    pub identity: GatewayIdentity,
    pub grant: Grant,
}

impl Gateway {
    pub fn new(identity: GatewayIdentity) -> Gateway {
        let roots = RootSet::from_file(&identity.root_json, &identity.root_sha256).unwrap();
        let bundle = Bundle::verify(&identity.bundle, &roots, None, &identity.gateway, now().utc).unwrap();
        let (dataset, purpose) = (plan().id, plan().purpose);
        let grant = bundle.grant(&dataset, &purpose, Class::General, now().utc).unwrap();
        Gateway { identity, grant }
    }

    pub fn signer(&self) -> SigningKey {
        SigningKey::from_pkcs8(&self.identity.signing_pkcs8).unwrap()
    }

    pub fn arrival(&self, sealed: &Sealed) -> Arrival {
        let channel = if sealed.kind() == RecordKind::Key { "k" } else { "d" };
        let (tenant, gateway) = (&self.identity.tenant, &self.identity.gateway);
        let topic = format!("lingate/1/{tenant}/{gateway}/{channel}/{}", sealed.alias());
        assert!(Topic::parse(&topic).is_some());
        Arrival { topic, payload: sealed.bytes().to_vec() }
    }

    pub fn open(&self, previous: Option<PreviousEpoch>) -> Stream {
        let terms = EpochTerms {
            gateway: self.identity.gateway.clone(),
            software: "lingate 0.1.0 sha256:00".to_owned(),
            dataset: plan(),
            points: points(),
            devices: vec![device()],
            grant: self.grant.clone(),
        };
        self.open_with(terms, previous)
    }

    pub fn open_with(&self, terms: EpochTerms, previous: Option<PreviousEpoch>) -> Stream {
        let (epoch, opening) = Epoch::open(terms, previous, now(), &self.signer(), &mut SystemEntropy).unwrap();
        let sent = opening.iter().map(|sealed| self.arrival(sealed)).collect();
        Stream { gateway: self.clone(), epoch, sent }
    }

    /// KEY, catalogue, lineage, `batches` of three readings each, close: the whole of an epoch.
    pub fn epoch(&self, batches: i64) -> Vec<Arrival> {
        let mut stream = self.open(None);
        (0..batches).for_each(|n| stream.batch(&rows(n, 1)));
        stream.close().0
    }
}

/// An open epoch and everything that it has sealed, in order.
pub struct Stream {
    pub gateway: Gateway,
    pub epoch: Epoch,
    pub sent: Vec<Arrival>,
}

impl Stream {
    pub fn batch(&mut self, readings: &[Reading]) {
        let sealed = self.epoch.seal_batch(&batch(readings), &self.gateway.signer()).unwrap();
        self.sent.push(self.gateway.arrival(&sealed));
    }

    pub fn gap(&mut self, gap: &GapRecord) {
        let sealed = self.epoch.seal_gap(gap, &self.gateway.signer()).unwrap();
        self.sent.push(self.gateway.arrival(&sealed));
    }

    pub fn close(mut self) -> (Vec<Arrival>, PreviousEpoch) {
        let (sealed, previous) = self.epoch.close(&self.gateway.signer());
        self.sent.push(self.gateway.arrival(&sealed.unwrap()));
        (self.sent, previous)
    }
}

/// The one of all points.
pub fn device() -> DescribedDevice {
    let identity =
        DeviceIdentity { vendor: "Acme".to_owned(), product: "挤出机".to_owned(), revision: "2.1".to_owned() };
    let security = Some("none (as the configuration says)".to_owned());
    DescribedDevice { name: "extruder-7".to_owned(), identity, security }
}

pub fn plan() -> DatasetPlan {
    DatasetPlan {
        id: DATASET.parse().unwrap(),
        purpose: "urn:lingate:purpose:remote-quality".parse().unwrap(),
        ceiling: Class::General,
        flush: Flush { readings: 100_000, age: Duration::from_secs(3600) },
        priority: Priority::Normal,
        padding: 0,
    }
}

pub fn points() -> Vec<Arc<PointPlan>> {
    let point = |(alias, (name, builtin_type, places)): (u32, &(&str, BuiltinType, Option<u8>))| {
        let steps = if alias == 1 { vec![Step::deadband("5".parse().unwrap())] } else { Vec::new() };
        let context = (alias == 2).then_some(ContextKind::Batch);
        Arc::new(PointPlan {
            id: PointId(alias),
            name: (*name).to_owned(),
            export: Some(Export { context, ..Export::new(DatasetIndex(0), alias, Some(Class::General), steps) }),
            builtin_type: *builtin_type,
            rank: 0,
            places: *places,
            unit: Some("Cel".parse().unwrap()),
            range: None,
            equipment: "acme/lingang/hall-2/line-A/extruder-7".parse().unwrap(),
            interval: Duration::from_millis(500),
            source: format!("modbus-tcp holding:{alias} unit 1"),
        })
    };
    (0..).zip(&POINTS).map(point).collect()
}

/// `count` rounds of one reading per point; every value tells its number.
pub fn rows(first: i64, count: i64) -> Vec<Reading> {
    (first..first + count).flat_map(row).collect()
}

pub fn time(n: i64) -> UtcMicros {
    UtcMicros(1_795_400_000_000_000 + n * 500_000)
}

pub fn row(n: i64) -> Vec<Reading> {
    let melt = match n % 7 {
        3 => Reading::bad(PointId(0), StatusCode::BAD_SENSOR_FAILURE, time(n)),
        _ => Reading::good(PointId(0), Value::Double(180.0 + n as f64 / 10.0), time(n)),
    };
    let speed = Value::UInt16(u16::try_from(n * 10 % 60_000).unwrap());
    let order = Value::String(format!("order-{}", n / 3).into());
    vec![melt, Reading::good(PointId(1), speed, time(n)), Reading::good(PointId(2), order, time(n))]
}

/// The only way to a batch: through the refinery.
pub fn batch(readings: &[Reading]) -> Batch {
    let points = points();
    let mut refinery = Refinery::new(ExportPlan { datasets: vec![plan()], points });
    for reading in readings {
        assert!(refinery.refine(now(), reading.clone()).is_none());
    }
    refinery.close(now(), DatasetIndex(0)).unwrap()
}

/// What the events contain, as (point, time, value or status), in order.
pub fn opened(events: &[Event]) -> Vec<(String, UtcMicros, Result<Value, StatusCode>)> {
    let batches = events.iter().filter_map(|event| match event {
        Event::Batch(batch) => Some(batch),
        _ => None,
    });
    let readings = batches.flat_map(|batch| &batch.readings);
    readings.map(|r| (r.point.to_string(), r.time, r.value.clone().ok_or(r.status))).collect()
}

pub fn expected(readings: &[Reading]) -> Vec<(String, UtcMicros, Result<Value, StatusCode>)> {
    let name = |reading: &Reading| POINTS[reading.point.index()].0.to_owned();
    readings.iter().map(|r| (name(r), r.gateway_time, r.value.clone().ok_or(r.status))).collect()
}

pub fn alarms(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Alarm(_))).count()
}
