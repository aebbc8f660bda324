use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lingate_checker::KeyUse;
use lingate_sandbox::{
    Authority, BrokerAddress, InitOptions, KeyChange, Receiver, ReceiverConfig, ReceiverHandle, ReceiverOptions,
};
use tempfile::TempDir;

use crate::{Daemon, Health, Identity, Launch, Ledger};

const DATASET: &str = "ds-extr-07";
const ROLE: &str = "role:oem-quality";

/// A plant's folder and the sandbox that it is enrolled at.
pub struct Rig {
    folder: TempDir,
    pub authority: Authority,
    binary: PathBuf,
    health: Health,
    /// Variables for every run of the binary.
    pub environment: Vec<(String, String)>,
    pub launch: Launch,
    pub surroundings: Surroundings,
}

/// What few tests need otherwise.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Name or address under which gateway and receiver reach the broker.
    pub broker_host: String,
    /// `buffer.max_size`
    pub buffer: &'static str,
    /// `sandbox.ack`: `broker`, or `receipt`, for which the receiver signs receipts.
    pub ack: &'static str,
}

impl Default for Surroundings {
    fn default() -> Surroundings {
        Surroundings { broker_host: "localhost".to_owned(), buffer: "256MiB", ack: "broker" }
    }
}

/// What differs between tests.
pub struct Settings {
    pub broker_port: u16,
    /// `[[device]]` tables; their dataset is [`DATASET`].
    pub devices: String,
    /// `{ readings = 1000, age = "1s" }`
    pub flush: &'static str,
    pub commit: &'static str,
}

impl Rig {
    /// `binary`: the test's `env!("CARGO_BIN_EXE_lingate-e2e-gateway")`.
    pub fn new(binary: &str) -> Result<Rig> {
        Rig::with(binary, &InitOptions::default())
    }

    pub fn with(binary: &str, options: &InitOptions) -> Result<Rig> {
        let health = Health::Tcp(free_address()?);
        Rig::made(binary, options, health, Surroundings::default())
    }

    /// With a health endpoint that can be reached from every network namespace.
    pub fn new_in(binary: &str, surroundings: Surroundings) -> Result<Rig> {
        let mut broker_names = vec!["localhost".to_owned(), surroundings.broker_host.clone()];
        broker_names.dedup();
        let options = InitOptions { broker_names, ..InitOptions::default() };
        let mut rig = Rig::made(binary, &options, Health::Tcp((Ipv4Addr::LOCALHOST, 0).into()), surroundings)?;
        rig.health = Health::Unix(rig.path().join("health.sock"));
        Ok(rig)
    }

    fn made(binary: &str, options: &InitOptions, health: Health, surroundings: Surroundings) -> Result<Rig> {
        let folder = tempfile::Builder::new().prefix("lingate-e2e-").tempdir()?;
        let authority = Authority::init(&folder.path().join("sandbox"), options)?;
        let binary = std::env::var_os("LINGATE_BIN").map_or_else(|| PathBuf::from(binary), PathBuf::from);
        let (environment, launch) = (Vec::new(), Launch::default());
        Ok(Rig { folder, authority, binary, health, environment, launch, surroundings })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the configuration and goes through the enrolment as plant IT does: `lingate enroll`, then the sandbox's
    /// answer, then the bundle into the inbox.
    pub fn enroll(&mut self, settings: &Settings) -> Result<()> {
        self.enroll_changed(settings, |text| text)
    }

    /// With another configuration than the usual one.
    pub fn enroll_changed(&mut self, settings: &Settings, change: impl FnOnce(String) -> String) -> Result<()> {
        fs::write(self.path().join("lingate.toml"), change(self.configuration(settings)?))?;
        let output = self.lingate(&["enroll", "--config", "lingate.toml", "--output", "enroll.json"])?;
        ensure!(output.status.success(), "enroll: {}", String::from_utf8_lossy(&output.stderr));
        self.name_acknowledgement()?;
        let request = fs::read(self.path().join("enroll.json"))?;
        let issued = self.authority.issue(&request, KeyChange::Refuse)?;
        fs::write(self.path().join("gateway.pem"), &issued.chain_pem)?;
        fs::write(self.path().join("sandbox-ca.pem"), self.authority.ca_pem())?;
        fs::write(self.path().join("state/root.json"), self.authority.root_json()?)?;
        fs::create_dir_all(self.path().join("state/inbox"))?;
        fs::write(self.path().join("state/inbox/bundle.jws.json"), &issued.bundle)?;
        Ok(())
    }

    /// The bundle says which key signs receipts if its policy says that they count.
    fn name_acknowledgement(&self) -> Result<()> {
        let file = self.authority.folder().join("policy.toml");
        let text = fs::read_to_string(&file)?;
        let ack = format!("ack = {:?}", self.surroundings.ack);
        Ok(fs::write(&file, text.replacen("ack = \"broker\"", &ack, 1))?)
    }

    /// Other devices for the next start; everything else stays.
    pub fn change_devices(&self, devices: &str) -> Result<()> {
        let file = self.path().join("lingate.toml");
        let text = fs::read_to_string(&file)?;
        let (head, _) = text.split_once("[[device]]").context("no device in lingate.toml")?;
        Ok(fs::write(&file, format!("{head}{devices}"))?)
    }

    fn configuration(&self, settings: &Settings) -> Result<String> {
        let at = |name: &str| self.path().join(name);
        let health = match &self.health {
            Health::Tcp(address) => address.to_string(),
            Health::Unix(socket) => format!("unix:{}", socket.display()),
        };
        Ok(format!(
            "[gateway]\nid = \"gw-e2e\"\ntenant = \"acme\"\nstate_dir = {:?}\n\n[sandbox]\n\
             broker = \"mqtts://{}:{}\"\nca = {:?}\ncertificate = {:?}\nkey = {:?}\nroot_sha256 = \"{}\"\n\
             ack = \"{}\"\n\n[buffer]\nmax_size = \"{}\"\ncommit = \"{}\"\n\n[health]\nlisten = \"{}\"\n\n[[dataset]]\n\
             id = \"{DATASET}\"\npurpose = \"urn:lingate:purpose:remote-quality\"\nclass = \"general\"\n\
             flush = {}\n\n{}",
            at("state"),
            self.surroundings.broker_host,
            settings.broker_port,
            at("sandbox-ca.pem"),
            at("gateway.pem"),
            at("gateway.key"),
            self.authority.root_sha256()?,
            self.surroundings.ack,
            self.surroundings.buffer,
            settings.commit,
            health,
            settings.flush,
            settings.devices,
        ))
    }

    /// One command of the binary, to its end.
    pub fn lingate(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Launch::default().command(&self.binary);
        let variables = self.environment.iter().map(|(name, value)| (name, value));
        let output = command.args(arguments).envs(variables).current_dir(self.path()).output();
        output.with_context(|| self.binary.display().to_string())
    }

    pub fn start(&self, arguments: &[&str]) -> Result<Daemon> {
        let mut launch = self.launch.clone();
        launch.environment.extend_from_slice(&self.environment);
        Daemon::start(&launch, &self.binary, self.path(), arguments, self.health.clone())
    }

    pub fn receiver(&self, broker_port: u16) -> Result<ReceiverHandle> {
        let config = ReceiverConfig {
            authority: self.authority.folder().to_owned(),
            role: ROLE.to_owned(),
            broker: BrokerAddress { host: self.surroundings.broker_host.clone(), port: broker_port },
            store: format!("sqlite:{}", self.path().join("received.sqlite").display()),
            sink: None,
        };
        let receipts = self.surroundings.ack == "receipt";
        Receiver::start_with(config, ReceiverOptions { receipts, cosign: true, ..ReceiverOptions::default() })
    }

    pub fn ledger(&self) -> Result<Ledger> {
        Ledger::open(&self.path().join("received.sqlite"))
    }

    /// What the KEY messages in the receiver's store hold, opened with the role's key.
    pub fn key_uses(&self) -> Result<BTreeMap<String, KeyUse>> {
        let trust = self.authority.trust(ROLE)?;
        let mut uses = BTreeMap::new();
        for (kid, message) in self.ledger()?.key_messages()? {
            let used = trust.key_use(&message).with_context(|| format!("the KEY of epoch {kid} does not open"))?;
            uses.insert(kid, KeyUse { key_sha256: hex(&used.key_sha256), base_iv: hex(&used.base_iv) });
        }
        Ok(uses)
    }

    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.path().join("gateway.log")).unwrap_or_default()).into_owned())
    }

    /// What the binary reported durable, over all its runs. A line that a kill cut short is not a report.
    pub fn accepted(&self) -> Result<BTreeSet<Identity>> {
        let log = self.log()?;
        let whole = log.split_inclusive('\n').filter(|line| line.ends_with('\n') && line.contains("lingate::accepted"));
        let field = |line: &str, name: &str| {
            line.split_whitespace().find_map(|word| word.strip_prefix(name).map(str::to_owned))
        };
        Ok(whole.filter_map(|line| Some((field(line, "kid=")?, field(line, "seq=")?.parse().ok()?))).collect())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A port that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Asks again until it is true; an error after `limit`. The limit only bounds a failing test.
pub async fn wait_for(what: &str, limit: Duration, mut is_true: impl FnMut() -> bool) -> Result<()> {
    let started = Instant::now();
    while !is_true() {
        ensure!(started.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
