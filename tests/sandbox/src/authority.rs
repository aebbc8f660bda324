//! The authority: a folder with certificate authority, root keys, role keys, policy and the enrolled gateways.

mod change;
mod gateway;
mod role_keys;
mod roots;

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use lingate_model::{GatewayId, TenantId};

use crate::bundle::BundleDraft;
use crate::clock;
use crate::enroll::Enrolment;
use crate::files::{self, Readers};
use crate::keys::{hex, sha256};
use crate::mosquitto;
use crate::pki::{CertificateAuthority, Leaf, serial_of};
use crate::policy::{self, Policy};

pub use change::{DatasetChange, PurposeChange, Server};
pub use gateway::{KeyChange, KnownGateway};
pub(crate) use roots::RootKeys;
use roots::RootNames;

const AUTHORITY_DAYS: u32 = 3650;

#[derive(Clone, Debug)]
pub struct InitOptions {
    pub sandbox_id: String,
    /// Names under which gateways reach the broker; the first one goes into the instructions.
    pub broker_names: Vec<String>,
    pub broker_port: u16,
    /// Where `mosquitto.conf` has it listen; `None`: on every address.
    pub broker_listen: Option<IpAddr>,
    /// Content of `policy.toml`; `None`: the sample.
    pub policy: Option<String>,
    /// 1 to 16 root keys.
    pub root_keys: usize,
    /// So many of them must sign a bundle, and each bundle is signed by all.
    pub root_threshold: usize,
}

impl Default for InitOptions {
    fn default() -> InitOptions {
        InitOptions {
            sandbox_id: "sandbox.example".to_owned(),
            broker_names: vec!["localhost".to_owned()],
            broker_port: 8883,
            broker_listen: None,
            policy: None,
            root_keys: 1,
            root_threshold: 1,
        }
    }
}

/// An opened authority folder. One process at a time writes to it.
pub struct Authority {
    folder: PathBuf,
    state: State,
    ca: CertificateAuthority,
    roots: RootKeys,
}

/// `sandbox.json`.
#[derive(Serialize, Deserialize)]
struct State {
    sandbox: String,
    broker_names: Vec<String>,
    broker_port: u16,
    root: RootNames,
    /// Role keys and gateways' signing keys, in the order of their revocation.
    revoked: Vec<Revoked>,
    #[serde(default)]
    revoked_certificates: Vec<RevokedCertificate>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RevokedCertificate {
    /// In hex.
    serial: String,
    at_unix: i64,
}

/// An entry of the bundle's `revoked`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revoked {
    pub(crate) kid: String,
    /// RFC 3339.
    pub(crate) at: String,
    pub(crate) reason: String,
}

/// What goes back to plant IT; also in `folder`.
#[derive(Clone, Debug)]
pub struct Issued {
    pub gateway: GatewayId,
    pub tenant: TenantId,
    pub folder: PathBuf,
    /// The gateway's certificate and its issuer, PEM.
    pub chain_pem: String,
    pub bundle_version: u64,
    pub bundle: Vec<u8>,
}

impl Issued {
    /// Where the gateway waits for its bundle.
    pub fn topic(&self) -> String {
        format!("lingate/1/{}/{}/b", self.tenant, self.gateway)
    }
}

impl Authority {
    /// Makes a new authority in `folder`, which must not exist or be empty.
    pub fn init(folder: &Path, options: &InitOptions) -> Result<Authority> {
        let is_free = !folder.exists() || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        ensure!(
            is_free,
            "{} exists and is not empty: its keys would be lost for ever (--force moves it aside)",
            folder.display()
        );
        ensure!(!options.broker_names.is_empty(), "the broker needs a name");
        let policy_text = options.policy.clone().unwrap_or_else(policy::sample);
        let policy = Policy::parse(&policy_text)?;
        let roots = RootKeys::generate(1, options.root_keys, options.root_threshold)?;
        for sub in ["", "roles", "root-keys", "gateways", "broker-data"] {
            files::create_folder(&folder.join(sub))?;
        }
        let folder = folder.canonicalize()?;
        let (ca, ca_key) = CertificateAuthority::generate(&format!("CA of {}", options.sandbox_id), AUTHORITY_DAYS)?;
        files::write(&folder.join("ca.key"), ca_key, Readers::Owner)?;
        files::write(&folder.join("ca.pem"), ca.certificate_pem(), Readers::Everybody)?;
        roots.write(&folder)?;
        let authority = Authority {
            state: State {
                sandbox: options.sandbox_id.clone(),
                broker_names: options.broker_names.clone(),
                broker_port: options.broker_port,
                root: roots.names(),
                revoked: Vec::new(),
                revoked_certificates: Vec::new(),
            },
            roots,
            ca,
            folder,
        };
        authority.write_first(&policy, &policy_text, options.broker_listen)?;
        Ok(authority)
    }

    fn write_first(&self, policy: &Policy, policy_text: &str, listen: Option<IpAddr>) -> Result<()> {
        self.write("root.json", self.roots.file(), Readers::Everybody)?;
        self.write_broker_leaf()?;
        self.write_leaf("receiver", &self.ca.client(mosquitto::RECEIVER, AUTHORITY_DAYS)?)?;
        self.write("receipt.key", crate::keys::generate_ed25519_pem(), Readers::Owner)?;
        self.write("policy.toml", policy_text, Readers::Everybody)?;
        self.role_keys(policy)?;
        let configuration = mosquitto::configuration(&self.folder, self.state.broker_port, listen);
        self.write("mosquitto.conf", configuration, Readers::Everybody)?;
        self.write("acl", mosquitto::access_list(&[]), Readers::Everybody)?;
        self.write_revocation_list()?;
        self.write_state()
    }

    pub fn open(folder: &Path) -> Result<Authority> {
        let folder = folder.canonicalize().with_context(|| format!("no authority in {}", folder.display()))?;
        let read = |name: &str| files::read_text(&folder.join(name));
        let state = read("sandbox.json").context("run `lingate-sandbox init` first")?;
        let state: State = serde_json::from_str(&state).context("sandbox.json")?;
        Ok(Authority {
            roots: RootKeys::read(&folder, &state.root)?,
            ca: CertificateAuthority::load(read("ca.pem")?, &read("ca.key")?)?,
            state,
            folder,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn sandbox_id(&self) -> &str {
        &self.state.sandbox
    }

    /// The certificate that gateways and receiver check the broker against, PEM.
    pub fn ca_pem(&self) -> &str {
        self.ca.certificate_pem()
    }

    pub fn root_json(&self) -> Result<Vec<u8>> {
        fs::read(self.folder.join("root.json")).context("root.json")
    }

    /// `root.json`, and those before it, newest first.
    pub(crate) fn root_files(&self) -> Result<Vec<Vec<u8>>> {
        let older = (1..self.roots.version())
            .rev()
            .filter_map(|version| fs::read(self.folder.join(format!("root-{version}.json"))).ok());
        Ok(std::iter::once(self.root_json()?).chain(older).collect())
    }

    /// What plant IT writes into `root_sha256`: 64 hex digits over the exact bytes of `root.json`.
    pub fn root_sha256(&self) -> Result<String> {
        Ok(hex(&sha256(&self.root_json()?)))
    }

    pub fn root_version(&self) -> u64 {
        self.roots.version()
    }

    /// `policy.toml` as it is on disk at this moment.
    pub fn policy(&self) -> Result<Policy> {
        Policy::parse(&files::read_text(&self.folder.join("policy.toml"))?)
    }

    /// Signs certificate and bundle for the gateway that asks, and remembers it for the receiver.
    pub fn issue(&mut self, enroll: &[u8], change: KeyChange) -> Result<Issued> {
        let enrolment = Enrolment::verify(enroll)?;
        let known = self.known_gateway(&enrolment.gateway)?;
        let mut known = KnownGateway::enrolled(known, &enrolment, change)?;
        let days = self.policy()?.certificate.valid_days;
        let chain_pem = self.ca.client_for_request(enrolment.gateway.as_str(), &enrolment.request, days)?;
        known.certificates.push(hex(&serial_of(&chain_pem)?));
        let folder = self.gateway_folder(&known.gateway);
        files::create_folder(&folder.join("history"))?;
        files::write(&folder.join("enroll.json"), enroll, Readers::Everybody)?;
        let issued = self.sign_bundle(known, &chain_pem, None)?;
        self.write_access_list()?;
        Ok(issued)
    }

    /// The next bundle of one gateway. `before`: root keys that it may still know instead of the present ones.
    fn sign_bundle(&self, mut known: KnownGateway, chain_pem: &str, before: Option<&RootKeys>) -> Result<Issued> {
        let policy = self.policy()?;
        known.bundle_version += 1;
        let bundle = BundleDraft {
            sandbox: &self.state.sandbox,
            gateway: &known,
            previous: self.bundle_before(&known.gateway),
            issued_unix: clock::unix_seconds(),
            policy: &policy,
            role_keys: &self.role_keys(&policy)?,
            receipt_key: &self.receipt_key()?,
            revoked: &self.state.revoked,
            roots: &self.roots,
            roots_before: before,
        }
        .sign()?;
        known.bundle_sha256 = hex(&sha256(&bundle));
        let folder = self.write_gateway(&known, chain_pem, &bundle)?;
        Ok(Issued {
            gateway: known.gateway.parse().context("gateway")?,
            tenant: known.tenant.parse().context("tenant")?,
            folder,
            chain_pem: chain_pem.to_owned(),
            bundle_version: known.bundle_version,
            bundle,
        })
    }

    /// The key that signs receipts.
    pub(crate) fn receipt_key(&self) -> Result<lingate_seal::SigningKey> {
        crate::keys::ed25519_from_pem(&files::read_text(&self.folder.join("receipt.key"))?).context("receipt.key")
    }

    /// `mqtts://NAME:PORT` by the broker's first name.
    pub fn broker_url(&self, port: u16) -> String {
        format!("mqtts://{}:{port}", self.state.broker_names[0])
    }

    fn write_broker_leaf(&self) -> Result<()> {
        let mut names = self.state.broker_names.clone();
        names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
        self.write_leaf("broker", &self.ca.server(&names, AUTHORITY_DAYS)?)
    }

    fn write_leaf(&self, name: &str, leaf: &Leaf) -> Result<()> {
        self.write(&format!("{name}.key"), &leaf.key_pem, Readers::Owner)?;
        self.write(&format!("{name}.pem"), &leaf.chain_pem, Readers::Everybody)
    }

    fn write_state(&self) -> Result<()> {
        self.write("sandbox.json", serde_json::to_string_pretty(&self.state)? + "\n", Readers::Everybody)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>, readers: Readers) -> Result<()> {
        files::write(&self.folder.join(name), bytes, readers)
    }
}
