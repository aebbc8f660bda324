//! The authority: a folder with certificate authority, root key, role keys, policy and the enrolled gateways.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use lingate_model::{GatewayId, TenantId};
use lingate_seal::SigningKey;

use crate::bundle::{self, BundleDraft};
use crate::clock;
use crate::enroll::{Enrolment, Software};
use crate::files::{self, Readers};
use crate::keys::{self, Jwk, RoleKey, hex, sha256};
use crate::mosquitto;
use crate::pki::{CertificateAuthority, Leaf};
use crate::policy::{self, Policy};

const AUTHORITY_DAYS: u32 = 3650;

#[derive(Clone, Debug)]
pub struct InitOptions {
    pub sandbox_id: String,
    /// Names under which gateways reach the broker; the first one goes into the instructions.
    pub broker_names: Vec<String>,
    pub broker_port: u16,
    /// Content of `policy.toml`; `None`: the sample.
    pub policy: Option<String>,
}

impl Default for InitOptions {
    fn default() -> InitOptions {
        InitOptions {
            sandbox_id: "sandbox.example".to_owned(),
            broker_names: vec!["localhost".to_owned()],
            broker_port: 8883,
            policy: None,
        }
    }
}

/// An opened authority folder. One process at a time writes to it.
pub struct Authority {
    folder: PathBuf,
    state: State,
    ca: CertificateAuthority,
    roots: Vec<SigningKey>,
}

/// `sandbox.json`.
#[derive(Serialize, Deserialize)]
struct State {
    sandbox: String,
    broker_names: Vec<String>,
    broker_port: u16,
    /// Of the last bundle, over all gateways.
    bundle_version: u64,
}

/// `gateways/<id>/gateway.json`: what the receiver must know of a gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownGateway {
    pub gateway: String,
    pub tenant: String,
    /// The current signing key first; older ones stay, because their records may still be on their way.
    pub keys: Vec<Jwk>,
    pub software: Software,
    pub bundle_sha256: String,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// Another signing key for a known gateway is refused: it may be a stranger.
    Refuse,
    /// The operator knows that the gateway has a new key.
    Accept,
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
        for sub in ["", "roles", "gateways", "broker-data"] {
            files::create_folder(&folder.join(sub))?;
        }
        let folder = folder.canonicalize()?;
        let (ca, ca_key) = CertificateAuthority::generate(&format!("CA of {}", options.sandbox_id), AUTHORITY_DAYS)?;
        files::write(&folder.join("ca.key"), ca_key, Readers::Owner)?;
        files::write(&folder.join("ca.pem"), ca.certificate_pem(), Readers::Everybody)?;
        let root_pem = keys::generate_ed25519_pem();
        files::write(&folder.join("root.key"), &root_pem, Readers::Owner)?;
        let authority = Authority {
            state: State {
                sandbox: options.sandbox_id.clone(),
                broker_names: options.broker_names.clone(),
                broker_port: options.broker_port,
                bundle_version: 0,
            },
            roots: vec![keys::ed25519_from_pem(&root_pem)?],
            ca,
            folder,
        };
        authority.write_first(&policy, &policy_text)?;
        Ok(authority)
    }

    fn write_first(&self, policy: &Policy, policy_text: &str) -> Result<()> {
        let root = serde_json::to_string_pretty(&bundle::root_json(&self.roots))? + "\n";
        self.write("root.json", root, Readers::Everybody)?;
        let mut names = self.state.broker_names.clone();
        names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
        self.write_leaf("broker", &self.ca.server(&names, AUTHORITY_DAYS)?)?;
        self.write_leaf("receiver", &self.ca.client(mosquitto::RECEIVER, AUTHORITY_DAYS)?)?;
        self.write("policy.toml", policy_text, Readers::Everybody)?;
        self.role_keys(policy)?;
        let configuration = mosquitto::configuration(&self.folder, self.state.broker_port);
        self.write("mosquitto.conf", configuration, Readers::Everybody)?;
        self.write("acl", mosquitto::access_list(), Readers::Everybody)?;
        self.write_state()
    }

    pub fn open(folder: &Path) -> Result<Authority> {
        let folder = folder.canonicalize().with_context(|| format!("no authority in {}", folder.display()))?;
        let read = |name: &str| files::read_text(&folder.join(name));
        let state = read("sandbox.json").context("run `lingate-sandbox init` first")?;
        Ok(Authority {
            state: serde_json::from_str(&state).context("sandbox.json")?,
            ca: CertificateAuthority::load(read("ca.pem")?, &read("ca.key")?)?,
            roots: vec![keys::ed25519_from_pem(&read("root.key")?).context("root.key")?],
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

    /// What plant IT writes into `root_sha256`: 64 hex digits over the exact bytes of `root.json`.
    pub fn root_sha256(&self) -> Result<String> {
        Ok(hex(&sha256(&self.root_json()?)))
    }

    /// `policy.toml` as it is on disk at this moment.
    pub fn policy(&self) -> Result<Policy> {
        Policy::parse(&files::read_text(&self.folder.join("policy.toml"))?)
    }

    /// Signs certificate and bundle for the gateway that asks, and remembers it for the receiver.
    pub fn issue(&mut self, enroll: &[u8], change: KeyChange) -> Result<Issued> {
        let enrolment = Enrolment::verify(enroll)?;
        let known = self.known_gateway(&enrolment.gateway)?;
        let keys = keys_after(known.as_ref(), &enrolment, change)?;
        let policy = self.policy()?;
        self.state.bundle_version += 1;
        let bundle = BundleDraft {
            sandbox: &self.state.sandbox,
            gateway: enrolment.gateway.as_str(),
            version: self.state.bundle_version,
            previous: self.bundle_before(&enrolment.gateway),
            issued_unix: clock::unix_seconds(),
            policy: &policy,
            role_keys: &self.role_keys(&policy)?,
            roots: &self.roots,
        }
        .sign()?;
        let days = policy.certificate.valid_days;
        let chain_pem = self.ca.client_for_request(enrolment.gateway.as_str(), &enrolment.request, days)?;
        // The version goes down first: a number that was signed once is never signed again.
        self.write_state()?;
        let known = KnownGateway {
            gateway: enrolment.gateway.to_string(),
            tenant: enrolment.tenant.to_string(),
            keys,
            software: enrolment.software,
            bundle_sha256: hex(&sha256(&bundle)),
        };
        let folder = self.write_gateway(&known, &chain_pem, &bundle)?;
        Ok(Issued {
            gateway: enrolment.gateway,
            tenant: enrolment.tenant,
            folder,
            chain_pem,
            bundle_version: self.state.bundle_version,
            bundle,
        })
    }

    /// Every gateway that was ever enrolled, in the order of their names.
    pub fn known_gateways(&self) -> Result<Vec<KnownGateway>> {
        let mut folders: Vec<_> = fs::read_dir(self.folder.join("gateways"))?.collect::<Result<_, _>>()?;
        folders.sort_by_key(fs::DirEntry::file_name);
        folders.iter().map(|folder| read_gateway(&folder.path())).collect()
    }

    fn known_gateway(&self, gateway: &GatewayId) -> Result<Option<KnownGateway>> {
        let folder = self.gateway_folder(gateway.as_str());
        if folder.join("gateway.json").exists() { read_gateway(&folder).map(Some) } else { Ok(None) }
    }

    /// The key of one role, such as `role:oem-quality`.
    pub fn role_key(&self, role: &str) -> Result<RoleKey> {
        let name = policy::role_name(role).with_context(|| format!("{role:?} is not a role: \"role:\" and a name"))?;
        let path = self.folder.join("roles").join(format!("{name}.jwk"));
        RoleKey::from_json(&files::read_text(&path)?).with_context(|| path.display().to_string())
    }

    /// The keys of all roles of the policy; makes those that are missing.
    fn role_keys(&self, policy: &Policy) -> Result<BTreeMap<String, RoleKey>> {
        let mut keys = BTreeMap::new();
        for role in &policy.roles {
            let path = self.folder.join("roles").join(format!("{}.jwk", role.name()));
            if !path.exists() {
                files::write(&path, RoleKey::generate().to_json(), Readers::Owner)?;
            }
            keys.insert(role.id.clone(), self.role_key(&role.id)?);
        }
        Ok(keys)
    }

    fn bundle_before(&self, gateway: &GatewayId) -> Option<[u8; 32]> {
        fs::read(self.gateway_folder(gateway.as_str()).join("bundle.jws.json")).ok().map(|bytes| sha256(&bytes))
    }

    fn gateway_folder(&self, gateway: &str) -> PathBuf {
        self.folder.join("gateways").join(gateway)
    }

    fn write_gateway(&self, known: &KnownGateway, chain_pem: &str, bundle: &[u8]) -> Result<PathBuf> {
        let folder = self.gateway_folder(&known.gateway);
        files::create_folder(&folder)?;
        let write = |name: &str, bytes: &[u8]| files::write(&folder.join(name), bytes, Readers::Everybody);
        write("gateway.json", (serde_json::to_string_pretty(known)? + "\n").as_bytes())?;
        write("gateway.pem", chain_pem.as_bytes())?;
        write("sandbox-ca.pem", self.ca_pem().as_bytes())?;
        write("root.json", &self.root_json()?)?;
        write("bundle.jws.json", bundle)?;
        write("NEXT-STEPS.txt", self.next_steps(known)?.as_bytes())?;
        Ok(folder)
    }

    fn next_steps(&self, known: &KnownGateway) -> Result<String> {
        Ok(include_str!("next-steps.txt")
            .replace("{gateway}", &known.gateway)
            .replace("{tenant}", &known.tenant)
            .replace("{broker}", &self.broker_url(self.state.broker_port))
            .replace("{root_sha256}", &self.root_sha256()?))
    }

    /// `mqtts://NAME:PORT` by the broker's first name.
    pub fn broker_url(&self, port: u16) -> String {
        format!("mqtts://{}:{port}", self.state.broker_names[0])
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

fn read_gateway(folder: &Path) -> Result<KnownGateway> {
    let path = folder.join("gateway.json");
    serde_json::from_str(&files::read_text(&path)?).with_context(|| path.display().to_string())
}

fn keys_after(known: Option<&KnownGateway>, enrolment: &Enrolment, change: KeyChange) -> Result<Vec<Jwk>> {
    let Some(known) = known else { return Ok(vec![enrolment.jwk.clone()]) };
    let tenant = enrolment.tenant.as_str();
    ensure!(known.tenant == tenant, "{} belongs to tenant {}, not to {tenant}", known.gateway, known.tenant);
    if known.keys[0] != enrolment.jwk && change == KeyChange::Refuse {
        bail!(
            "{} is known with signing key {}, and this request has {}: if the plant confirms the new key, repeat with --new-key",
            known.gateway,
            known.keys[0].kid,
            enrolment.jwk.kid
        );
    }
    let older = known.keys.iter().filter(|key| **key != enrolment.jwk).cloned();
    Ok(std::iter::once(enrolment.jwk.clone()).chain(older).collect())
}
