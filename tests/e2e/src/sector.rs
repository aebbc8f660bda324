//! A sector sample of `config/examples` as it runs: its machines, its gateway, a sandbox that grants what the sample asks
//! for, and a receiver.

use std::fs::{self, DirBuilder};
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lingate_plant::sample::{Ports, Running, Sample};
use lingate_sandbox::{
    Authority, Broker, BrokerAddress, InitOptions, KeyChange, Receiver, ReceiverConfig, ReceiverHandle,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::Ledger;

/// Between two values of a machine that speaks OPC UA.
const TICK: Duration = Duration::from_millis(50);
const ROLE: &str = "role:analyst";

/// What the sandbox grants of a sample.
#[derive(Clone, Copy, Debug)]
pub struct Granted {
    pub dataset: &'static str,
    pub purpose: &'static str,
    /// `general` or `important`.
    pub ceiling: &'static str,
}

/// Everything but the gateway's process is stopped when it is dropped.
pub struct Sector {
    folder: TempDir,
    binary: PathBuf,
    pub running: Running,
    pub receiver: ReceiverHandle,
    _broker: Broker,
}

impl Sector {
    /// Enrolled, with the machines' certificates believed and the bundle in the inbox.
    pub async fn start(binary: &str, sample: Sample, granted: &[Granted]) -> Result<Sector> {
        let folder = tempfile::Builder::new().prefix("lingate-sector-").tempdir()?;
        let binary = std::env::var_os("LINGATE_BIN").map_or_else(|| PathBuf::from(binary), PathBuf::from);
        let running = sample.start(&Ports::default(), TICK).await?;
        let options = InitOptions { policy: Some(policy(granted)), ..InitOptions::default() };
        let mut authority = Authority::init(&folder.path().join("sandbox"), &options)?;
        let broker = Broker::start(&authority, (Ipv4Addr::LOCALHOST, 0).into()).await?;
        let port = broker.address().port();
        let text = at_home(&sample.configuration(running.addresses()), folder.path(), port, &authority.root_sha256()?);
        fs::write(folder.path().join("lingate.toml"), text)?;
        enroll(&binary, folder.path(), &mut authority)?;
        believe(&folder.path().join("state/devices/opcua/trusted"), &running)?;
        let receiver = Receiver::start(ReceiverConfig {
            authority: authority.folder().to_owned(),
            role: ROLE.to_owned(),
            broker: BrokerAddress { host: "localhost".to_owned(), port },
            store: format!("sqlite:{}", folder.path().join("received.sqlite").display()),
            sink: None,
        })?;
        Ok(Sector { folder, binary, running, receiver, _broker: broker })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The gateway's program.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// One command of the gateway, to its end.
    pub fn lingate(&self, arguments: &[&str]) -> Result<Output> {
        lingate(&self.binary, self.path(), arguments)
    }

    /// What `lingate plan --json` says.
    pub fn plan(&self) -> Result<Value> {
        let output = self.lingate(&["plan", "--config", "lingate.toml", "--json"])?;
        ensure!(output.status.success(), "plan: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice::<Value>(&output.stdout)?["policy"].take())
    }

    pub fn ledger(&self) -> Result<Ledger> {
        Ledger::open(&self.path().join("received.sqlite"))
    }
}

fn lingate(binary: &Path, folder: &Path, arguments: &[&str]) -> Result<Output> {
    let output = Command::new(binary).args(arguments).current_dir(folder).env("RUST_LOG", "info,rumqttc=warn").output();
    output.with_context(|| binary.display().to_string())
}

/// `policy.toml` of the sandbox.
fn policy(granted: &[Granted]) -> String {
    let mut purposes: Vec<&str> = granted.iter().map(|granted| granted.purpose).collect();
    purposes.sort_unstable();
    purposes.dedup();
    let head = "[bundle]\nvalid_days = 90\nepoch_seconds = 3600\nepoch_messages = 100000\n\n[certificate]\nvalid_days = 30\n\n\
                [[role]]\nid = \"role:analyst\"\nparty = \"urn:lingate:party:analyst\"\n\n\
                [[role]]\nid = \"role:auditor\"\nparty = \"urn:lingate:party:auditor\"\n";
    let purpose = |id: &&str| {
        format!(
            "\n[[purpose]]\nid = {id:?}\nstatement = \"Only this, and nothing for third parties.\"\n\
             valid_from = \"2020-01-01T00:00:00Z\"\nvalid_until = \"2099-01-01T00:00:00Z\"\n"
        )
    };
    let dataset = |(number, Granted { dataset, purpose, ceiling }): (usize, &Granted)| {
        let approval = if *ceiling == "important" { "approval = \"CAC-2026-0417\"\n" } else { "" };
        format!(
            "\n[[dataset]]\nid = {dataset:?}\nalias = \"alias{number}\"\npurposes = [{purpose:?}]\n\
             roles = [\"role:analyst\", \"role:auditor\"]\nclass_ceiling = {ceiling:?}\n{approval}retention_days = 30\n"
        )
    };
    let purposes: String = purposes.iter().map(purpose).collect();
    let datasets: String = granted.iter().enumerate().map(dataset).collect();
    format!("{head}{purposes}{datasets}")
}

/// The sample's own folders, broker and fingerprint become these.
fn at_home(sample: &str, home: &Path, broker_port: u16, root_sha256: &str) -> String {
    let home = home.display();
    let broker = format!("mqtts://localhost:{broker_port}");
    let text = sample
        .replace("/var/lib/lingate", &format!("{home}/state"))
        .replace("/etc/lingate/", &format!("{home}/"))
        .replace("credential:gateway.key", &format!("{home}/gateway.key"))
        .replace("mqtts://ingest.sandbox.example:8883", &broker)
        .replace("mqtts://ingest-a.sandbox.example:8883", &broker)
        .replace("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", root_sha256)
        // A run of some seconds would see no slot and no window of a minute.
        .replace("\", interval = \"1m\"", "\", interval = \"2s\"")
        .replace("every = \"1m\"", "every = \"2s\"")
        .replace("listen = \"127.0.0.1:9273\"", &format!("listen = \"unix:{home}/health.sock\""));
    if text.contains("[health]") { text } else { format!("{text}\n[health]\nlisten = \"unix:{home}/health.sock\"\n") }
}

/// As plant IT does it.
fn enroll(binary: &Path, home: &Path, authority: &mut Authority) -> Result<()> {
    let output = lingate(binary, home, &["enroll", "--config", "lingate.toml", "--output", "enroll.json"])?;
    ensure!(output.status.success(), "enroll: {}", String::from_utf8_lossy(&output.stderr));
    let issued = authority.issue(&fs::read(home.join("enroll.json"))?, KeyChange::Refuse)?;
    fs::write(home.join("gateway.pem"), &issued.chain_pem)?;
    fs::write(home.join("sandbox-ca.pem"), authority.ca_pem())?;
    fs::write(home.join("state/root.json"), authority.root_json()?)?;
    fs::create_dir_all(home.join("state/inbox"))?;
    Ok(fs::write(home.join("state/inbox/bundle.jws.json"), &issued.bundle)?)
}

fn believe(trusted: &Path, running: &Running) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(trusted)?;
    for machine in &running.machines {
        let identity = machine.identity().context("a secure machine has a certificate")?;
        fs::write(trusted.join(format!("{}.der", machine.spec().name)), identity.der()?)?;
    }
    Ok(())
}
