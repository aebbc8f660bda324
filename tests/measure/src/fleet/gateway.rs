use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lingate_buffer::{Buffer, RealDisk, Settings};
use lingate_engine::{Engine, Input, Output, Rules, Setup};
use lingate_measure::{Walk, utc_us};
use lingate_model::{BuiltinType, Class, ClockState, Now, PointId, Priority, Reading, UtcMicros, Value};
use lingate_refine::{DatasetIndex, DatasetPlan, Export, ExportPlan, Flush, PointPlan, Step};
use lingate_sandbox::{Authority, GatewayIdentity};
use lingate_seal::{Bundle, Entropy, EntropyFailed, RootSet, SigningKey};
use ring::rand::{SecureRandom, SystemRandom};
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};

use crate::PATIENCE;
use crate::link::Link;

const DATASET: &str = "ds-extr-07";
const PURPOSE: &str = "urn:lingate:purpose:remote-quality";
const BUFFER_BYTES: u64 = 4 << 20;
const WINDOW: usize = 64;
const READINGS_IN_BATCH: u32 = 500;

#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) points: u32,
    pub(crate) every_ms: u64,
    pub(crate) flush_ms: u64,
}

/// What all gateways do at the moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Connect,
    Read,
    Finish,
}

/// What became durable in a gateway, and was acknowledged.
pub(crate) struct Sent {
    pub(crate) made: u64,
    pub(crate) readings: u64,
    pub(crate) records: u64,
}

/// A gateway that is enrolled.
pub(crate) struct Gateway {
    number: u32,
    identity: GatewayIdentity,
    pace: Pace,
}

impl Gateway {
    pub(crate) fn new(authority: &mut Authority, number: u32, pace: Pace) -> Result<Gateway> {
        let identity = authority.enroll_for_test(&format!("gw-{number:05}"), "acme")?;
        Ok(Gateway { number, identity, pace })
    }

    /// To the end, when everything that it read is acknowledged.
    pub(crate) async fn run(
        self,
        port: u16,
        buffers: Arc<TempDir>,
        mut phase: watch::Receiver<Phase>,
        connected: Arc<Semaphore>,
    ) -> Result<Sent> {
        let began = Instant::now();
        let now = || now(began);
        let folder = buffers.path().join(self.number.to_string());
        let mut engine = self.engine(&folder, now())?;
        let mut link = Link::open(&self.identity, port)?;
        let mut walk = Walk::new(self.pace.points as usize);
        let (mut sent, mut drained, mut was_up) = (Sent { made: 0, readings: 0, records: 0 }, false, false);
        // Polls of a thousand machines do not fall on one moment.
        let offset = Duration::from_millis(u64::from(self.number) * 7 % self.pace.every_ms);
        let mut next_poll = None;
        let mut last = Instant::now();
        loop {
            let rest = engine.wake_at().map(|at| at.saturating_sub(now().monotonic));
            let wake = tokio::time::Instant::now() + rest.unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(1));
            let poll: tokio::time::Instant = next_poll.unwrap_or(wake + Duration::from_secs(3_600));
            tokio::select! {
                input = link.next() => {
                    if matches!(input, Input::LinkUp(_)) && !std::mem::replace(&mut was_up, true) {
                        connected.add_permits(1);
                    }
                    engine.handle(now(), input);
                }
                Ok(()) = phase.changed() => match *phase.borrow_and_update() {
                    Phase::Connect => {}
                    Phase::Read => next_poll = Some(tokio::time::Instant::now() + offset),
                    Phase::Finish => {
                        (next_poll, last) = (None, Instant::now());
                        engine.handle(now(), Input::Drain);
                    }
                },
                () = tokio::time::sleep_until(poll) => {
                    next_poll = Some(poll + Duration::from_millis(self.pace.every_ms));
                    walk.turn();
                    sent.made += u64::from(self.pace.points);
                    engine.handle(now(), Input::Readings(readings(&walk)));
                }
                () = tokio::time::sleep_until(wake) => engine.handle(now(), Input::Wake),
            }
            while let Some(output) = engine.poll() {
                match output {
                    Output::Publish { id, topic, sealed } => link.publish(id, topic, &sealed),
                    Output::Accepted(accepted) => {
                        sent.readings += accepted.readings;
                        sent.records += accepted.records.len() as u64;
                    }
                    Output::Drained => drained = true,
                    _ => {}
                }
            }
            if drained && engine.status().buffer.records_waiting == 0 {
                engine.finish(now()).context("the buffer cannot be closed")?;
                return Ok(sent);
            }
            ensure!(!drained || last.elapsed() < PATIENCE, "gateway {}: not everything is acknowledged", self.number);
        }
    }

    fn engine(&self, folder: &std::path::Path, now: Now) -> Result<Engine<RealDisk>> {
        std::fs::create_dir_all(folder)?;
        let (buffer, recovery) = Buffer::open(RealDisk::open(folder)?, Settings::new(BUFFER_BYTES))?;
        let roots = RootSet::from_file(&self.identity.root_json, &self.identity.root_sha256)?;
        let bundle = Bundle::verify(&self.identity.bundle, &roots, None, &self.identity.gateway, now.utc)?;
        let setup = Setup {
            gateway: self.identity.gateway.clone(),
            tenant: self.identity.tenant.clone(),
            software: "fleet 1 sha256:00".to_owned(),
            export: self.plan()?,
            devices: vec![(format!("m{:05}", self.number).parse()?, PointId(0))],
            signer: SigningKey::from_pkcs8(&self.identity.signing_pkcs8)?,
            rules: Rules::default(),
            bundle: Some(bundle),
            buffer,
            recovery,
            commit_every: Duration::from_millis(200),
            window: WINDOW,
            entropy: Box::new(Random),
        };
        Ok(Engine::new(now, setup))
    }

    fn plan(&self) -> Result<ExportPlan> {
        let dataset = DatasetPlan {
            id: DATASET.parse()?,
            purpose: PURPOSE.parse()?,
            ceiling: Class::General,
            flush: Flush { readings: READINGS_IN_BATCH, age: Duration::from_millis(self.pace.flush_ms) },
            priority: Priority::Normal,
            padding: 0,
        };
        let point = |alias: u32| {
            let steps = vec![Step::Round { to: "0.1".parse()? }];
            Ok(Arc::new(PointPlan {
                id: PointId(alias),
                name: format!("m{:05}/v{alias:03}", self.number),
                export: Some(Export::new(DatasetIndex(0), alias, Some(Class::General), steps)),
                builtin_type: BuiltinType::Float,
                rank: 0,
                places: Some(1),
                unit: Some("Cel".parse()?),
                range: None,
                equipment: "acme/lingang/hall-2/line-A/extruder-7".parse()?,
                interval: Duration::from_millis(self.pace.every_ms),
                source: format!("modbus-tcp holding:{} unit 1", 2 * alias),
            }))
        };
        Ok(ExportPlan { datasets: vec![dataset], points: (0..self.pace.points).map(point).collect::<Result<_>>()? })
    }
}

fn readings(walk: &Walk) -> Vec<Reading> {
    let utc = UtcMicros(utc_us() as i64);
    (0..).zip(walk.values()).map(|(point, value)| Reading::good(PointId(point), Value::Float(value), utc)).collect()
}

fn now(began: Instant) -> Now {
    Now { monotonic: began.elapsed(), utc: UtcMicros(utc_us() as i64), clock: ClockState::Synced }
}

struct Random;

impl Entropy for Random {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        SystemRandom::new().fill(bytes).map_err(|_| EntropyFailed)
    }
}
