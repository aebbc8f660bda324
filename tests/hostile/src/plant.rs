//! Nine good devices and, beside them, a hostile one for each row, all on one gateway at the same time.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lingate_checker::{Counts, Evidence, Least, ServedDevice, judge};
use lingate_e2e::{Daemon, PATIENCE, Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::Broker;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::modbus::Unit;
use crate::opcua::Server;
use crate::{Catalogue, FRESH_MS, Played, Row, Totals};

pub(crate) const DATASET: &str = "ds-extr-07";
const GOOD: usize = 9;
const GOOD_EVERY_MS: u64 = 200;
const GOOD_TAGS: u16 = 20;

/// Plays all rows of devices, or those that `is_asked` names.
pub async fn play(
    catalogue: &Catalogue,
    binary: &str,
    is_asked: impl Fn(&Row) -> bool,
) -> Result<(Vec<Played>, Totals)> {
    let (mut units, mut servers) = (Vec::new(), Vec::new());
    for row in catalogue.0.iter().filter(|row| is_asked(row)) {
        if let Some(script) = &row.modbus {
            units.push(Arc::new(Unit::start(row, script).await.with_context(|| row.id.clone())?));
        }
        if let Some(script) = &row.opcua {
            servers.push(Arc::new(Server::start(row, script).await.with_context(|| row.id.clone())?));
        }
    }
    if units.is_empty() && servers.is_empty() {
        return Ok((Vec::new(), Totals { session: "devices", ..Totals::default() }));
    }
    Scene::open(binary, units, servers).await?.play().await
}

struct Scene {
    rig: Rig,
    broker: Broker,
    good: Plant,
    units: Vec<Arc<Unit>>,
    servers: Vec<Arc<Server>>,
    receiver: lingate_sandbox::ReceiverHandle,
}

impl Scene {
    async fn open(binary: &str, units: Vec<Arc<Unit>>, servers: Vec<Arc<Server>>) -> Result<Scene> {
        let spec = |n: usize| DeviceSpec::new(format!("good-{n}"), Kind::Numbered(GOOD_TAGS), Mode::SelfDescribing);
        let good = Plant::start((1..=GOOD).map(spec)).await?;
        let mut rig = Rig::new(binary)?;
        let broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await?;
        let labels = Labels { every: "200ms", ..Labels::new(DATASET) };
        let mut tables: Vec<String> = good.devices().iter().map(|device| device.toml(&labels)).collect();
        tables.extend(units.iter().map(|unit| unit.toml()));
        tables.extend(servers.iter().map(|server| server.toml()));
        rig.enroll(&Settings {
            broker_port: broker.address().port(),
            devices: tables.join("\n"),
            flush: "{ readings = 2000, age = \"200ms\" }",
            commit: "50ms",
        })?;
        let receiver = rig.receiver(broker.address().port())?;
        let is_subscribed = || rig.ledger().and_then(|ledger| ledger.is_subscribed()).unwrap_or(false);
        wait_for("the receiver's session", PATIENCE, is_subscribed).await?;
        Ok(Scene { rig, broker, good, units, servers, receiver })
    }

    async fn play(self) -> Result<(Vec<Played>, Totals)> {
        let daemon = self.rig.start(&[])?;
        let status = Status::watch(&daemon);
        let names = self.units.iter().map(|unit| &unit.row.id).chain(self.servers.iter().map(|server| &server.row.id));
        for name in names.map(|id| id.to_lowercase()) {
            let is_there = || status.good(&name).is_some_and(|good| good > 0);
            wait_for(&format!("honest values of {name}"), PATIENCE, is_there).await.with_context(|| self.tail())?;
        }
        let mut rows = JoinSet::new();
        for unit in &self.units {
            let (unit, status) = (Arc::clone(unit), status.clone());
            rows.spawn(async move { unit.play(|| status.good(&unit.spec.name)).await });
        }
        for server in &self.servers {
            let (server, status) = (Arc::clone(server), status.clone());
            let name = server.row.id.to_lowercase();
            rows.spawn(async move { server.play(|| status.good(&name)).await });
        }
        let mut played = rows.join_all().await;
        played.sort_by(|one, other| one.row.cmp(&other.row));
        let totals = self.conclude(daemon, &mut played).await?;
        Ok((played, totals))
    }

    /// All peers are honest: the load ends, the rest arrives, and everything is judged.
    async fn conclude(self, daemon: Daemon, played: &mut [Played]) -> Result<Totals> {
        let mut totals = Totals { session: "devices", rows: played.len(), ..Totals::default() };
        totals.peak_rss_kib = daemon.load()?.peak_kib;
        let pages = crate::judge::pages(&daemon);
        for device in self.good.devices() {
            device.stop().await;
        }
        // What was served is accepted within an age and a commit.
        tokio::time::sleep(Duration::from_secs(2)).await;
        daemon.terminate()?;
        ensure!(daemon.wait()?.success(), "the gateway did not end well:\n{}", self.tail());
        let complete = || {
            let accepted = self.rig.accepted().unwrap_or_default();
            self.receiver.identities().is_ok_and(|arrived| accepted.is_subset(&arrived))
        };
        if !complete() {
            ensure!(self.rig.start(&["--once", "1"])?.wait()?.success(), "{}", self.tail());
        }
        let _ = wait_for("every accepted record", PATIENCE, complete).await;
        self.count(&mut totals);
        self.receiver.stop().await?;
        crate::judge::log_and_disk(&mut totals, &self.rig, &pages, self.good.devices())?;
        crate::judge::hostile_values(&mut totals, &self.rig, &self.units, played)?;
        let evidence = Evidence {
            run: "good devices beside hostile ones".to_owned(),
            served: self.good.devices().iter().map(|device| ServedDevice::of(device, GOOD_EVERY_MS)).collect(),
            faults: played.iter().map(|row| row.row.clone()).collect(),
            counts: Counts::AtLeast,
            keys: self.rig.key_uses()?,
            least: Least { records: 20, faults: 1 },
            ..Evidence::default()
        };
        let folder = self.rig.path();
        let verdict = judge(&evidence.with(&folder.join("gateway.log"), &folder.join("received.sqlite"))?);
        crate::judge::take(&mut totals, &verdict);
        self.broker.shutdown().await;
        Ok(totals)
    }

    fn count(&self, totals: &mut Totals) {
        let honest = self.good.devices().iter().map(|device| device.served().functions);
        for functions in honest.chain(self.units.iter().map(|unit| unit.rig.asked().functions)) {
            totals.modbus_frames += functions.values().sum::<u64>();
            let others = functions.iter().filter(|(function, _)| !matches!(function, 1..=4 | 43));
            totals.modbus_forbidden += others.map(|(_, count)| count).sum::<u64>();
        }
        for server in &self.servers {
            let (requests, forbidden) = server.requests();
            totals.opcua_requests += requests;
            totals.opcua_forbidden += forbidden;
        }
    }

    fn tail(&self) -> String {
        crate::judge::tail(&self.rig)
    }
}

/// The daemon's status, asked once for all rows.
#[derive(Clone)]
pub(crate) struct Status(Arc<Mutex<Value>>);

impl Status {
    /// Until nobody holds it any more.
    pub(crate) fn watch(daemon: &Daemon) -> Status {
        let status = Status(Arc::default());
        let (shared, health) = (Arc::downgrade(&status.0), daemon.health.clone());
        std::thread::spawn(move || {
            while let Some(shared) = shared.upgrade() {
                if let Ok(status) = health.status() {
                    *shared.lock().unwrap_or_else(PoisonError::into_inner) = status;
                }
                drop(shared);
                std::thread::sleep(Duration::from_millis(150));
            }
        });
        status
    }

    /// Good readings of a device until now.
    pub(crate) fn good(&self, device: &str) -> Option<u64> {
        let status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let device = status["devices"].as_array()?.iter().find(|it| it["name"] == device)?;
        Some(device["readings"].as_u64()? - device["bad_readings"].as_u64()?)
    }
}

/// How long it takes until there are more good readings than now; a complaint if that is too long.
pub(crate) async fn until_fresh(complaints: &mut Vec<String>, good: impl Fn() -> Option<u64>) -> Option<u64> {
    let (healed, before) = (Instant::now(), good().unwrap_or(0));
    loop {
        let waited = healed.elapsed().as_millis() as u64;
        if good().is_some_and(|good| good > before) {
            return Some(waited);
        }
        if waited > FRESH_MS {
            complaints.push(format!("no good reading within {FRESH_MS} ms"));
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
