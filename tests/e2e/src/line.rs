use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Plant};
use lingate_sandbox::{Broker, BrokerAddress, DatasetReport, Issued, ReceiverHandle};
use serde_json::Value;

use crate::{Daemon, Rig, Settings, Surroundings, wait_for};

/// Only bounds a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One device, one gateway that is enrolled, and the sandbox's own broker.
pub struct Line {
    pub plant: Plant,
    pub rig: Rig,
    pub broker: Broker,
}

impl Line {
    /// `ack`: as [`Surroundings::ack`].
    pub async fn new(binary: &str, ack: &'static str) -> Result<Line> {
        let plant = Plant::start([Line::spec()]).await?;
        let mut rig = Rig::new_in(binary, Surroundings { ack, ..Surroundings::default() })?;
        let broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await?;
        let labels = Labels { every: "50ms", equipment: Some("acme/lingang/load-1"), ..Labels::new("ds-extr-07") };
        let devices = plant.devices()[0].toml(&labels);
        let flush = "{ readings = 100, age = \"60ms\" }";
        rig.enroll(&Settings { broker_port: broker.address().port(), devices, flush, commit: "20ms" })?;
        Ok(Line { plant, rig, broker })
    }

    pub fn spec() -> DeviceSpec {
        DeviceSpec::new("load-1", Kind::Numbered(20), Mode::SelfDescribing)
    }

    pub fn address(&self) -> BrokerAddress {
        BrokerAddress { host: "localhost".to_owned(), port: self.broker.address().port() }
    }

    pub fn receiver(&self) -> Result<ReceiverHandle> {
        self.rig.receiver(self.broker.address().port())
    }

    /// A new bundle, as plant IT brings it: the file appears whole.
    pub fn drop_bundle(&self, issued: &[Issued]) -> Result<u64> {
        let issued = issued.first().context("no gateway is enrolled")?;
        let inbox = self.rig.path().join("state/inbox");
        fs::write(inbox.join("next.part"), &issued.bundle)?;
        fs::rename(inbox.join("next.part"), inbox.join(format!("bundle-{}.json", issued.bundle_version)))?;
        Ok(issued.bundle_version)
    }

    /// Waits until the gateway's status says so.
    pub async fn until(&self, daemon: &Daemon, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<()> {
        let found = wait_for(what, PATIENCE, || daemon.health.status().is_ok_and(|status| is_so(&status))).await;
        found.with_context(|| format!("{}\n{}", daemon.health.status().unwrap_or_default(), self.tail()))
    }

    /// More records than now are acknowledged.
    pub async fn delivers(&self, daemon: &Daemon, records: u64) -> Result<()> {
        let acknowledged = |status: &Value| status["datasets"][0]["acknowledged_records"].as_u64().unwrap_or(0);
        let before = daemon.health.status().map_or(0, |status| acknowledged(&status));
        self.until(daemon, "records are delivered", |status| acknowledged(status) >= before + records).await
    }

    /// Ends it well, delivers the rest, and compares what was accepted with what the receiver has: every record, no hole,
    /// no alarm.
    pub async fn end(&self, daemon: Daemon, receiver: &ReceiverHandle) -> Result<DatasetReport> {
        daemon.terminate()?;
        ensure!(daemon.wait()?.success(), "{}", self.tail());
        ensure!(self.rig.start(&["--once", "1"])?.wait()?.success(), "{}", self.tail());
        let (accepted, ledger) = (self.rig.accepted()?, self.rig.ledger()?);
        let declared = || receiver.report().map_or(0, |report| report.datasets[0].declared_records);
        let arrived = || ledger.identities().is_ok_and(|it| accepted.difference(&it).count() as u64 <= declared());
        wait_for("every accepted record, or its declaration", PATIENCE, arrived).await?;
        let report = receiver.report()?;
        let dataset = report.datasets.into_iter().next().context("nothing was received")?;
        ensure!(dataset.holes == 0 && report.alarm_count == 0, "{dataset:?}, {:?}", report.alarms);
        Ok(dataset)
    }

    /// Readings that the receiver opened and that were read within these microseconds UTC.
    pub fn opened_between(&self, from_us: i64, to_us: i64) -> Result<usize> {
        let all = self.rig.ledger()?.integers()?;
        Ok(all.iter().filter(|(_, time, _)| (from_us..to_us).contains(&time.0)).count())
    }

    /// The end of the gateway's log, for a test that fails.
    pub fn tail(&self) -> String {
        let log = self.rig.log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains("lingate::accepted")).collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// Gateway and test read one clock.
pub fn utc_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
