//! The other side: authority, mosquitto, PostgreSQL, receivers. Everything ends with it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lingate_measure::cpu_seconds;
use lingate_sandbox::{Authority, BrokerAddress, Group, InitOptions, Receiver, ReceiverConfig, ReceiverOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database::Server;
use crate::{ROLE, round};

const SANDBOX_ROLE: &str = "role:oem-quality";
/// A receiver that was killed is started again after this time.
const AWAY: Duration = Duration::from_secs(5);

pub(crate) struct Stage {
    folder: TempDir,
    pub(crate) authority: Authority,
    pub(crate) port: u16,
    pub(crate) database: Server,
    broker: Process,
    receivers: Vec<Process>,
    count: u32,
    /// Of receivers that were killed.
    spent_s: f64,
}

pub(crate) struct Usage {
    gateways_s: f64,
    broker_s: f64,
    receivers_s: f64,
    database_s: f64,
    pub(crate) broker_peak_mib: f64,
}

impl Usage {
    /// Seconds of CPU for a million readings, by who spent them.
    pub(crate) fn since(&self, before: &Usage, readings: f64) -> Value {
        let each = |after: f64, before: f64| round((after - before) * 1e6 / readings.max(1.0));
        json!({
            "gateways_per_million": each(self.gateways_s, before.gateways_s),
            "broker_per_million": each(self.broker_s, before.broker_s),
            "receivers_per_million": each(self.receivers_s, before.receivers_s),
            "database_per_million": each(self.database_s, before.database_s),
        })
    }
}

/// Ends with its owner.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stage {
    pub(crate) async fn start(receivers: u32) -> Result<Stage> {
        let folder = tempfile::Builder::new().prefix("lingate-fleet-").tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let options = InitOptions {
            broker_port: port,
            broker_listen: Some(Ipv4Addr::LOCALHOST.into()),
            ..InitOptions::default()
        };
        let authority = Authority::init(&folder.path().join("sandbox"), &options)?;
        let broker = mosquitto(&authority, port).await?;
        let (database, receivers_running) = (Server::start()?, Vec::new());
        Ok(Stage {
            folder,
            authority,
            port,
            database,
            broker,
            receivers: receivers_running,
            count: receivers,
            spent_s: 0.0,
        })
    }

    /// After the enrolment: receivers read who is enrolled.
    pub(crate) fn receive_all(&mut self) -> Result<()> {
        for member in 0..self.count {
            let receiver = self.receiver(member)?;
            self.receivers.push(receiver);
        }
        Ok(())
    }

    /// SIGKILL, and after a while the same member again.
    pub(crate) async fn kill_one(&mut self) -> Result<()> {
        let mut killed = self.receivers.remove(0);
        self.spent_s += cpu_seconds(killed.0.id());
        killed.0.kill()?;
        killed.0.wait()?;
        tokio::time::sleep(AWAY).await;
        let again = self.receiver(0)?;
        self.receivers.insert(0, again);
        Ok(())
    }

    fn receiver(&self, member: u32) -> Result<Process> {
        let told = json!({
            "authority": self.authority.folder(), "port": self.port, "store": self.database.url(), "member": member,
        });
        let mut command = Command::new(std::env::current_exe()?);
        command.env(ROLE, told.to_string()).current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Process(command.spawn()?))
    }

    pub(crate) fn store(&self) -> String {
        self.database.url()
    }

    pub(crate) fn usage(&self) -> Usage {
        let receivers = self.receivers.iter().map(|receiver| cpu_seconds(receiver.0.id()));
        let status = fs::read_to_string(format!("/proc/{}/status", self.broker.0.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let peak_kib: f64 = peak.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0.0);
        Usage {
            gateways_s: cpu_seconds(std::process::id()),
            broker_s: cpu_seconds(self.broker.0.id()),
            receivers_s: receivers.sum::<f64>() + self.spent_s,
            database_s: self.database.cpu_seconds(),
            broker_peak_mib: round(peak_kib / 1024.0),
        }
    }
}

/// As one process of the group; ends when it is killed.
pub(crate) async fn receive(told: &str) -> Result<()> {
    let told: Value = serde_json::from_str(told)?;
    let text = |name: &str| told[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    let port = told["port"].as_u64().and_then(|port| u16::try_from(port).ok()).context("no port")?;
    let config = ReceiverConfig {
        authority: PathBuf::from(text("authority")?),
        role: SANDBOX_ROLE.to_owned(),
        broker: BrokerAddress { host: "localhost".to_owned(), port },
        store: text("store")?,
        sink: None,
    };
    let group = Some(Group { name: "fleet".to_owned(), member: told["member"].to_string() });
    let receiver = Receiver::start_with(config, ReceiverOptions { group, ..ReceiverOptions::default() })?;
    while !receiver.has_failed() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    receiver.stop().await
}

async fn mosquitto(authority: &Authority, port: u16) -> Result<Process> {
    let folder = authority.folder();
    let log = fs::File::create(folder.join("mosquitto.log"))?;
    let found =
        ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"].into_iter().find(|path| fs::exists(path).unwrap_or(false));
    let mut command = Command::new(found.unwrap_or("mosquitto"));
    command.arg("-c").arg(folder.join("mosquitto.conf")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut broker =
        Process(command.spawn().context("mosquitto cannot be started; apt-get install mosquitto postgresql")?);
    let began = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let is_late = began.elapsed() > Duration::from_secs(10);
        ensure!(
            !is_late && broker.0.try_wait()?.is_none(),
            "mosquitto: {}",
            fs::read_to_string(folder.join("mosquitto.log"))?
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(broker)
}
