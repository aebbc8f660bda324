//! Gateways, each with a hostile broker, hostile bundles and hostile visitors of its health endpoint, one row after the other.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lingate_checker::{Evidence, Least, Liveness, ServedDevice, judge};
use lingate_e2e::{Daemon, PATIENCE, Rig, Settings, wait_for};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, PlantDevice};
use lingate_sandbox::{Broker, ReceiverHandle};
use tokio::task::JoinSet;

use crate::proxy::Proxy;
use crate::{Catalogue, FRESH_MS, Played, Row, Totals, broker, bundle, health};

const EVERY_MS: u64 = 50;
/// Gateways at the same time: rows mostly wait.
const SCENES: usize = 4;

/// Plays all rows of brokers, bundles and visitors, or those that `is_asked` names.
pub async fn play(
    catalogue: &Catalogue,
    binary: &str,
    is_asked: impl Fn(&Row) -> bool,
) -> Result<(Vec<Played>, Totals)> {
    let is_here = |row: &&Row| !(row.broker.is_empty() && row.bundle.is_empty() && row.health.is_empty());
    let rows: Vec<Row> = catalogue.0.iter().filter(is_here).filter(|row| is_asked(row)).cloned().collect();
    let mut scenes = JoinSet::new();
    for share in 0..SCENES {
        let rows: Vec<Row> = rows.iter().skip(share).step_by(SCENES).cloned().collect();
        let binary = binary.to_owned();
        scenes.spawn_blocking(move || alone(&binary, &rows));
    }
    let (mut played, mut totals) = (Vec::new(), Totals { session: "uplink", ..Totals::default() });
    while let Some(scene) = scenes.join_next().await {
        let (rows, more) = scene??;
        played.extend(rows);
        totals = totals.and(more);
    }
    played.sort_by(|one, other| one.row.cmp(&other.row));
    Ok((played, totals))
}

/// With threads of its own, so that no scene waits while another one counts.
fn alone(binary: &str, rows: &[Row]) -> Result<(Vec<Played>, Totals)> {
    if rows.is_empty() {
        return Ok((Vec::new(), Totals::default()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async { Scene::open(binary).await?.play(rows).await })
}

struct Scene {
    rig: Rig,
    device: PlantDevice,
    inner: Broker,
    proxy: Proxy,
    receiver: ReceiverHandle,
}

impl Scene {
    async fn open(binary: &str) -> Result<Scene> {
        let spec = DeviceSpec::new("load-1", Kind::Numbered(40), Mode::SelfDescribing);
        let device = PlantDevice::start_at(spec, (Ipv4Addr::LOCALHOST, 0).into()).await?;
        let mut rig = Rig::new(binary)?;
        let inner = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await?;
        let proxy = Proxy::start(&rig.authority, inner.address()).await?;
        let labels =
            Labels { every: "50ms", equipment: Some("acme/lingang/load-1"), ..Labels::new(crate::plant::DATASET) };
        rig.enroll(&Settings {
            broker_port: proxy.address.port(),
            devices: device.toml(&labels),
            flush: "{ readings = 200, age = \"100ms\" }",
            commit: "50ms",
        })?;
        proxy.impersonate(crate::certificates::gateway(rig.path())?);
        let receiver = rig.receiver(inner.address().port())?;
        let is_subscribed = || rig.ledger().and_then(|ledger| ledger.is_subscribed()).unwrap_or(false);
        wait_for("the receiver's session", PATIENCE, is_subscribed).await?;
        Ok(Scene { rig, device, inner, proxy, receiver })
    }

    async fn play(mut self, rows: &[Row]) -> Result<(Vec<Played>, Totals)> {
        let daemon = self.rig.start(&[])?;
        let mut played = Vec::new();
        ensure!(self.fresh().await?.is_some(), "nothing arrives before any fault:\n{}", self.tail());
        for row in rows {
            let began = Instant::now();
            let mut one = self.play_row(row, &daemon).await.with_context(|| format!("{}\n{}", row.id, self.tail()))?;
            one.took_ms = began.elapsed().as_millis() as u64;
            played.push(one);
        }
        let totals = self.conclude(daemon, &played).await?;
        Ok((played, totals))
    }

    async fn play_row(&mut self, row: &Row, daemon: &Daemon) -> Result<Played> {
        let mut played = Played::new(row);
        let told = self.proxy.told_to_strangers();
        for script in &row.broker {
            let parts = (&self.proxy, &self.rig.authority, daemon);
            played.tricks += broker::play(script, parts, &mut played.complaints).await?;
            self.heals(&mut played).await?;
        }
        if !row.health.is_empty() {
            let address = daemon.health.address().context("the endpoint is on TCP")?;
            played.tricks += health::play(&row.health, address, &mut played.complaints);
            self.heals(&mut played).await?;
        }
        if !row.bundle.is_empty() {
            let came = bundle::play(&row.bundle, &mut self.rig, daemon).await;
            played.complaints.extend(came.err().map(|error| format!("{error:#}")));
            played.tricks += row.bundle.len() as u64;
            let healed = bundle::heal(&mut self.rig, daemon).await;
            played.complaints.extend(healed.err().map(|error| format!("{error:#}")));
            self.heals(&mut played).await?;
        }
        if self.proxy.told_to_strangers() > told {
            played.complaints.push("the gateway spoke to a broker that is none".to_owned());
        }
        Ok(played)
    }

    async fn heals(&self, played: &mut Played) -> Result<()> {
        match self.fresh().await? {
            Some(waited) => played.fresh_ms = played.fresh_ms.max(Some(waited)),
            None => played.complaints.push(format!("no fresh record within {FRESH_MS} ms: {}", self.tail())),
        }
        Ok(())
    }

    /// Until a record arrives that was not accepted yet when this was asked.
    async fn fresh(&self) -> Result<Option<u64>> {
        let (before, began) = (self.rig.accepted()?, Instant::now());
        loop {
            let (accepted, arrived) = (self.rig.accepted()?, self.receiver.identities()?);
            if accepted.iter().any(|record| !before.contains(record) && arrived.contains(record)) {
                return Ok(Some(began.elapsed().as_millis() as u64));
            }
            if began.elapsed().as_millis() as u64 > FRESH_MS && !before.is_empty() {
                return Ok(None);
            }
            ensure!(began.elapsed() < PATIENCE, "nothing is accepted:\n{}", self.tail());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn conclude(self, daemon: Daemon, played: &[Played]) -> Result<Totals> {
        let mut totals = Totals { session: "uplink", rows: played.len(), ..Totals::default() };
        totals.peak_rss_kib = daemon.load()?.peak_kib;
        let mut pages = crate::judge::pages(&daemon);
        self.device.stop().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
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
        self.receiver.stop().await?;
        let functions = self.device.served().functions;
        totals.modbus_frames = functions.values().sum();
        totals.modbus_forbidden = functions.iter().filter(|(id, _)| !matches!(id, 1..=4 | 43)).map(|(_, n)| n).sum();
        pages.extend(self.proxy.kept().concat());
        crate::judge::log_and_disk(&mut totals, &self.rig, &pages, std::slice::from_ref(&self.device))?;
        let fresh_ms = played.iter().filter_map(|row| row.fresh_ms).max().unwrap_or(0);
        let evidence = Evidence {
            run: "a hostile broker".to_owned(),
            served: vec![ServedDevice::of(&self.device, EVERY_MS)],
            faults: played.iter().map(|row| row.row.clone()).collect(),
            keys: self.rig.key_uses()?,
            liveness: Some(Liveness { fresh_ms, fresh_limit_ms: FRESH_MS, ..Liveness::default() }),
            least: Least { records: 20, faults: 1 },
            ..Evidence::default()
        };
        let folder = self.rig.path();
        let verdict = judge(&evidence.with(&folder.join("gateway.log"), &folder.join("received.sqlite"))?);
        crate::judge::take(&mut totals, &verdict);
        self.inner.shutdown().await;
        Ok(totals)
    }

    fn tail(&self) -> String {
        crate::judge::tail(&self.rig)
    }
}
