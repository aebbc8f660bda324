//! A gateway under load between a device that says in every value what it is, and mosquitto: what faults are injected
//! into, and what the checker judges afterwards.

use std::cell::{Ref, RefCell};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lingate_checker::{Counts, DiskImage, Durable, Evidence, Health, Least, Liveness, ServedDevice, Verdict, judge};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, PlantDevice};
use lingate_sandbox::ReceiverHandle;
use serde_json::Value;

use crate::{Daemon, Launch, Mosquitto, Rig, Settings, Surroundings, wait_for};

/// The limit only bounds a run that fails; receipts that were lost with a broker are asked for after 60 s.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long a drain may take beside what the backlog needs, and a fresh reading after the last fault.
const DRAIN_MS: u64 = 30_000;
const FRESH_MS: u64 = 10_000;

/// The load of a stage.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub points: u16,
    pub every_ms: u64,
    pub readings_per_record: u32,
    pub flush_ms: u64,
    pub commit_ms: u64,
}

impl Default for Load {
    /// 10,000 readings and 400 records a second.
    fn default() -> Load {
        Load { points: 200, every_ms: 20, readings_per_record: 25, flush_ms: 200, commit_ms: 50 }
    }
}

/// Where things stand, beside the load.
#[derive(Clone, Debug)]
pub struct Places {
    pub device: Ipv4Addr,
    pub broker: Ipv4Addr,
    pub broker_keeps: bool,
    pub surroundings: Surroundings,
    pub launch: Launch,
}

impl Default for Places {
    fn default() -> Places {
        Places {
            device: Ipv4Addr::LOCALHOST,
            broker: Ipv4Addr::LOCALHOST,
            broker_keeps: true,
            surroundings: Surroundings::default(),
            launch: Launch::default(),
        }
    }
}

pub struct Stage {
    pub rig: Rig,
    pub device: PlantDevice,
    pub mosquitto: Mosquitto,
    pub load: Load,
    /// Faults, notes and images until now.
    pub evidence: Evidence,
    pub opened_at: Instant,
    receiver: ReceiverHandle,
    daemon: Option<Daemon>,
    log: RefCell<Log>,
}

/// The gateway's log as far as it was read: runs with hundreds of lives read it thousands of times.
#[derive(Default)]
struct Log {
    read: u64,
    durable: Durable,
}

impl Stage {
    /// Everything is there and enrolled; the gateway does not run yet.
    pub async fn open(run: &str, binary: &str, load: Load, places: Places) -> Result<Stage> {
        let spec = DeviceSpec::new("load-1", Kind::Numbered(load.points), Mode::SelfDescribing);
        let device = PlantDevice::start_at(spec, (places.device, 0).into()).await?;
        let mut rig = Rig::new_in(binary, places.surroundings)?;
        rig.launch = places.launch;
        let mosquitto = Mosquitto::start_at(&rig.authority, places.broker, places.broker_keeps).await?;
        let every = format!("{}ms", load.every_ms);
        let labels = Labels { every: &every, equipment: Some("acme/lingang/load-1"), ..Labels::new("ds-extr-07") };
        let flush = format!("{{ readings = {}, age = \"{}ms\" }}", load.readings_per_record, load.flush_ms);
        rig.enroll(&Settings {
            broker_port: mosquitto.port,
            devices: device.toml(&labels),
            flush: flush.leak(),
            commit: format!("{}ms", load.commit_ms).leak(),
        })?;
        let receiver = rig.receiver(mosquitto.port)?;
        // Before it has a session, the broker acknowledges and has nobody to keep a record for.
        wait_for("the receiver's session", PATIENCE, || {
            rig.ledger().and_then(|ledger| ledger.is_subscribed()).unwrap_or(false)
        })
        .await?;
        let policy = device.spec().tags().iter().map(|tag| format!("load-1/{}", tag.name)).collect();
        let evidence = Evidence { run: run.to_owned(), policy, ..Evidence::default() };
        Ok(Stage {
            rig,
            device,
            mosquitto,
            load,
            evidence,
            opened_at: Instant::now(),
            receiver,
            daemon: None,
            log: RefCell::default(),
        })
    }

    /// Starts the gateway; the first record that it reports durable ends the wait.
    pub async fn start(&mut self) -> Result<()> {
        let before = self.durable()?.records.len();
        self.daemon = Some(self.rig.start(&[])?);
        self.wait("a durable record", |stage| Ok(stage.durable()?.records.len() > before)).await
    }

    pub fn daemon(&self) -> Result<&Daemon> {
        self.daemon.as_ref().context("the gateway runs")
    }

    pub fn fault(&mut self, word: &str) {
        self.evidence.faults.push(word.to_owned());
    }

    pub fn kill(&mut self) -> Result<()> {
        self.evidence.counts = Counts::AtLeast;
        self.daemon.take().context("the gateway runs")?.kill()
    }

    /// SIGTERM, and its end.
    pub fn stop(&mut self) -> Result<()> {
        let daemon = self.daemon.take().context("the gateway runs")?;
        daemon.terminate()?;
        let ended = daemon.wait()?;
        ensure!(ended.success(), "the gateway ended with {ended}:\n{}", self.last_words());
        Ok(())
    }

    /// What the gateway said last.
    pub fn last_words(&self) -> String {
        let log = self.rig.log().unwrap_or_default();
        let told: Vec<&str> = log.lines().filter(|line| !line.contains("lingate::accepted")).collect();
        told[told.len().saturating_sub(15)..].join("\n")
    }

    pub async fn pause(&self, milliseconds: u64) {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }

    pub fn durable(&self) -> Result<Ref<'_, Durable>> {
        if let Ok(mut file) = File::open(self.rig.path().join("gateway.log")) {
            let Log { read, durable } = &mut *self.log.borrow_mut();
            file.seek(SeekFrom::Start(*read))?;
            let mut more = Vec::new();
            file.read_to_end(&mut more)?;
            // A character that is cut at the end belongs to a line that is not whole.
            *read += durable.read_on(&String::from_utf8_lossy(&more)) as u64;
        }
        Ok(Ref::map(self.log.borrow(), |log| &log.durable))
    }

    pub fn status(&self) -> Result<Value> {
        self.daemon()?.health.status()
    }

    /// Until it is true; an error if the gateway ends meanwhile.
    pub async fn wait(&mut self, what: &str, mut is_true: impl FnMut(&Stage) -> Result<bool>) -> Result<()> {
        let started = Instant::now();
        loop {
            if is_true(self).unwrap_or(false) {
                return Ok(());
            }
            let has_ended = self.daemon.as_mut().is_some_and(|daemon| daemon.has_ended().unwrap_or(true));
            ensure!(!has_ended, "{what}: the gateway ended by itself:\n{}", self.last_words());
            ensure!(
                started.elapsed() < PATIENCE,
                "{what}: not within {PATIENCE:?}:\n{}\nstatus {}\nreceiver {:?}",
                self.last_words(),
                self.status().unwrap_or_default(),
                self.receiver.link()
            );
            self.pause(50).await;
        }
    }

    /// Records flow to the receiver: so many more than now.
    pub async fn arrive(&mut self, more: u64) -> Result<()> {
        let arrived = |stage: &Stage| -> Result<u64> { Ok(stage.receiver.live()?.values().map(|it| it.records).sum()) };
        let before = arrived(self)?;
        self.wait("records at the receiver", |stage| Ok(arrived(stage)? >= before + more)).await
    }

    /// An image of the disk, while no gateway runs, beside what the receiver has when nothing more comes.
    pub async fn take_image(&mut self) -> Result<()> {
        // The broker may have been away, and what it queued comes with the receiver's next connection.
        wait_for("the receiver's connection", PATIENCE, || self.receiver.link().connected).await?;
        let mut arrived = self.receiver.identities()?;
        loop {
            self.pause(500).await;
            let now = self.receiver.identities()?;
            if now.len() == arrived.len() {
                break;
            }
            arrived = now;
        }
        arrived.extend(self.declared(&arrived)?);
        let waiting = DiskImage::waiting_in(&self.rig.path().join("state/buffer"))?;
        let accepted = self.durable()?.records.clone();
        self.evidence.images.push(DiskImage { accepted, waiting, arrived });
        Ok(())
    }

    /// Identities that gaps declare, of those that were accepted.
    fn declared(&self, arrived: &std::collections::BTreeSet<(String, u64)>) -> Result<Vec<(String, u64)>> {
        let opened = lingate_checker::Opened::read(&self.rig.path().join("received.sqlite"), &[])?;
        let durable = self.durable()?;
        let missing = durable.records.difference(arrived);
        let is_declared = |(kid, seq): &&(String, u64)| {
            opened.gaps.iter().any(|gap| match &gap.lost {
                lingate_checker::Lost::Records { kid: of, first, last } => of == kid && (first..=last).contains(&seq),
                lingate_checker::Lost::Slots { .. } => false,
            })
        };
        Ok(missing.filter(is_declared).cloned().collect())
    }

    /// All faults are healed: measures the drain, stops the load, compares, and judges.
    pub async fn conclude(mut self, least: Least) -> Result<Verdict> {
        if self.daemon.is_none() {
            self.start().await?;
        }
        self.evidence.liveness = Some(self.measure_liveness().await?);
        self.last_until_it_shows(least.records).await?;
        self.device.stop().await;
        self.evidence.health = Some(self.rest().await?);
        let load = self.daemon()?.load()?;
        self.stop()?;
        let durable = self.durable()?.records.clone();
        let complete = || self.receiver.identities().is_ok_and(|it| durable.is_subset(&it));
        // What does not come is for the checker to tell.
        let _ = wait_for("every accepted record", Duration::from_secs(5), complete).await;
        self.receiver.stop().await?;
        self.evidence.keys = self.rig.key_uses()?;
        let evidence =
            Evidence { least, served: vec![ServedDevice::of(&self.device, self.load.every_ms)], ..self.evidence };
        let folder = self.rig.path();
        fs::write(folder.join(lingate_checker::RUN_FILE), serde_json::to_vec_pretty(&evidence)?)?;
        let evidence = evidence.with(&folder.join("gateway.log"), &folder.join("received.sqlite"))?;
        let mut verdict = judge(&evidence);
        verdict.note("seconds", self.opened_at.elapsed().as_secs());
        verdict.note("peak_rss_kib", load.peak_kib);
        if let Some(kept) = std::env::var_os("LINGATE_KEEP").filter(|_| !verdict.holds()) {
            keep(folder, std::path::Path::new(&kept).join(&verdict.run).as_path())?;
        }
        Ok(verdict)
    }

    /// A machine that is slow today serves the same load for longer.
    async fn last_until_it_shows(&mut self, least: u64) -> Result<()> {
        self.wait("enough records", |stage| {
            let received = stage.receiver.identities()?;
            Ok(stage.durable()?.records.intersection(&received).count() as u64 >= least)
        })
        .await
    }

    /// The newest accepted record of this moment, and everything that waits, until it has arrived.
    async fn measure_liveness(&mut self) -> Result<Liveness> {
        let backlog_records = self.status().map_or(0, |status| waiting(&status));
        let before = self.durable()?.records.clone();
        let healed = Instant::now();
        let fresh = |stage: &Stage| {
            let received = stage.receiver.identities()?;
            Ok(stage.durable()?.records.iter().any(|id| !before.contains(id) && received.contains(id)))
        };
        self.wait("a fresh reading", fresh).await?;
        let fresh_ms = healed.elapsed().as_millis() as u64;
        self.wait(
            "an empty backlog",
            |stage| Ok(before.is_subset(&stage.receiver.identities()?) || is_drained(stage)?),
        )
        .await?;
        let drained_ms = healed.elapsed().as_millis() as u64;
        Ok(Liveness {
            backlog_records,
            drained_ms,
            // At least 1,000 records a second.
            drain_limit_ms: DRAIN_MS + backlog_records,
            fresh_ms,
            fresh_limit_ms: FRESH_MS + backlog_records,
        })
    }

    /// Counters when nothing moves any more. The down device is declared from time to time, so ask until log and status
    /// agree on what there is to count.
    async fn rest(&mut self) -> Result<Health> {
        let mut health = Health::default();
        let mut steady = 0;
        self.wait("a gateway at rest", |stage| {
            let durable = stage.durable()?;
            let told = Health {
                logged_records: durable.last_records,
                logged_readings: durable.last_readings,
                logged_epochs: durable.last_epochs,
                ..health_of(&stage.status()?)
            };
            steady = if told == health && told.records_waiting == 0 { steady + 1 } else { 0 };
            health = told;
            // Longer than the status may lag behind.
            Ok(steady >= 10)
        })
        .await?;
        Ok(health)
    }
}

fn is_drained(stage: &Stage) -> Result<bool> {
    let status = stage.status()?;
    Ok(waiting(&status) == 0 || status["buffer"]["oldest_age_seconds"].as_f64().is_some_and(|age| age < 1.0))
}

fn waiting(status: &Value) -> u64 {
    status["buffer"]["records_waiting"].as_u64().unwrap_or(0)
}

fn health_of(status: &Value) -> Health {
    let of = |name: &str| {
        let datasets = status["datasets"].as_array().map(Vec::as_slice).unwrap_or_default();
        datasets.iter().filter_map(|dataset| dataset[name].as_u64()).sum()
    };
    Health {
        accepted_records: of("accepted_records"),
        accepted_readings: of("accepted_readings"),
        records_waiting: waiting(status),
        ..Health::default()
    }
}

/// For a closer look: what the checker reads.
fn keep(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for name in [lingate_checker::RUN_FILE, "gateway.log", "received.sqlite", "lingate.toml"] {
        fs::copy(from.join(name), to.join(name))?;
    }
    Ok(())
}
