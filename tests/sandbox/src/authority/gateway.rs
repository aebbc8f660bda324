//! What the authority keeps of every gateway that was ever enrolled.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use lingate_model::GatewayId;

use super::Authority;
use crate::enroll::{Enrolment, Software};
use crate::files::{self, Readers};
use crate::keys::{Jwk, sha256};

/// Audit keys of one gateway that are remembered.
const AUDIT_KEYS_MAX: usize = 8;

/// `gateways/<id>/gateway.json`: what the receiver must know of a gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownGateway {
    pub gateway: String,
    pub tenant: String,
    /// The current signing key first; older ones stay, because their records may still be on their way.
    pub keys: Vec<Jwk>,
    /// What signs the checkpoints of its audit log, newest first; empty: its enrolment named none.
    #[serde(default)]
    pub audit_keys: Vec<Jwk>,
    pub software: Software,
    /// Of the last bundle.
    #[serde(default)]
    pub bundle_version: u64,
    pub bundle_sha256: String,
    /// Serial numbers of its certificates that were not revoked, in hex.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// RFC 3339; from then on nothing that it signed is taken.
    pub revoked_at: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// Another signing key for a known gateway is refused: it may be a stranger.
    Refuse,
    /// The operator knows that the gateway has a new key.
    Accept,
}

impl KnownGateway {
    /// After this request; `known` is what it was before.
    pub(super) fn enrolled(
        known: Option<KnownGateway>,
        enrolment: &Enrolment,
        change: KeyChange,
    ) -> Result<KnownGateway> {
        let keys = keys_after(known.as_ref(), enrolment, change)?;
        let audit_keys = audit_keys(known.as_ref(), enrolment);
        let (version, sha256, certificates) = known.map_or((0, String::new(), Vec::new()), |known| {
            (known.bundle_version, known.bundle_sha256, known.certificates)
        });
        Ok(KnownGateway {
            gateway: enrolment.gateway.to_string(),
            tenant: enrolment.tenant.to_string(),
            keys,
            audit_keys,
            software: enrolment.software.clone(),
            bundle_version: version,
            bundle_sha256: sha256,
            certificates,
            revoked_at: None,
        })
    }
}

fn audit_keys(known: Option<&KnownGateway>, enrolment: &Enrolment) -> Vec<Jwk> {
    let older =
        known.into_iter().flat_map(|known| &known.audit_keys).filter(|key| Some(*key) != enrolment.audit.as_ref());
    enrolment.audit.iter().chain(older).take(AUDIT_KEYS_MAX).cloned().collect()
}

fn keys_after(known: Option<&KnownGateway>, enrolment: &Enrolment, change: KeyChange) -> Result<Vec<Jwk>> {
    let Some(known) = known else { return Ok(vec![enrolment.jwk.clone()]) };
    let tenant = enrolment.tenant.as_str();
    ensure!(known.tenant == tenant, "{} belongs to tenant {}, not to {tenant}", known.gateway, known.tenant);
    ensure!(
        known.revoked_at.is_none() || !known.keys.contains(&enrolment.jwk),
        "{} was revoked with this signing key: it must enrol with a new one",
        known.gateway
    );
    if known.keys[0] != enrolment.jwk && change == KeyChange::Refuse {
        bail!(
            "{} is known with signing key {}, and this request has {}: if the plant confirms the new key, repeat with --new-key",
            known.gateway,
            known.keys[0].kid,
            enrolment.jwk.kid
        );
    }
    if known.revoked_at.is_some() {
        return Ok(vec![enrolment.jwk.clone()]);
    }
    let older = known.keys.iter().filter(|key| **key != enrolment.jwk).cloned();
    Ok(std::iter::once(enrolment.jwk.clone()).chain(older).collect())
}

impl Authority {
    /// Every gateway that was ever enrolled, in the order of their names.
    pub fn known_gateways(&self) -> Result<Vec<KnownGateway>> {
        let mut folders: Vec<_> = fs::read_dir(self.folder.join("gateways"))?.collect::<Result<_, _>>()?;
        folders.sort_by_key(fs::DirEntry::file_name);
        let complete = folders.iter().map(fs::DirEntry::path).filter(|folder| folder.join("gateway.json").exists());
        complete.map(|folder| read_gateway(&folder)).collect()
    }

    /// Every bundle that was ever signed for the gateway, oldest first.
    pub fn bundle_history(&self, gateway: &str) -> Result<Vec<Vec<u8>>> {
        let folder = self.gateway_folder(gateway).join("history");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut files: Vec<PathBuf> =
            fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        files.sort();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.iter().map(|file| fs::read(file).with_context(|| file.display().to_string())).collect()
    }

    pub(super) fn known_gateway(&self, gateway: &GatewayId) -> Result<Option<KnownGateway>> {
        let folder = self.gateway_folder(gateway.as_str());
        if folder.join("gateway.json").exists() { read_gateway(&folder).map(Some) } else { Ok(None) }
    }

    pub(super) fn bundle_before(&self, gateway: &str) -> Option<[u8; 32]> {
        fs::read(self.gateway_folder(gateway).join("bundle.jws.json")).ok().map(|bytes| sha256(&bytes))
    }

    pub(super) fn gateway_folder(&self, gateway: &str) -> PathBuf {
        self.folder.join("gateways").join(gateway)
    }

    /// The version goes down first: a number that was signed once is never signed again.
    pub(super) fn write_gateway(&self, known: &KnownGateway, chain_pem: &str, bundle: &[u8]) -> Result<PathBuf> {
        let folder = self.gateway_folder(&known.gateway);
        let write = |name: &str, bytes: &[u8]| files::write(&folder.join(name), bytes, Readers::Everybody);
        self.remember(known)?;
        write(&format!("history/{:010}.jws.json", known.bundle_version), bundle)?;
        write("gateway.pem", chain_pem.as_bytes())?;
        write("sandbox-ca.pem", self.ca_pem().as_bytes())?;
        write("root.json", &self.root_json()?)?;
        write("bundle.jws.json", bundle)?;
        write("NEXT-STEPS.txt", self.next_steps(known)?.as_bytes())?;
        Ok(folder)
    }

    pub(super) fn remember(&self, known: &KnownGateway) -> Result<()> {
        let text = serde_json::to_string_pretty(known)? + "\n";
        files::write(&self.gateway_folder(&known.gateway).join("gateway.json"), text, Readers::Everybody)
    }

    fn next_steps(&self, known: &KnownGateway) -> Result<String> {
        Ok(include_str!("../next-steps.txt")
            .replace("{gateway}", &known.gateway)
            .replace("{tenant}", &known.tenant)
            .replace("{broker}", &self.broker_url(self.state.broker_port))
            .replace("{root_sha256}", &self.root_sha256()?))
    }
}

fn read_gateway(folder: &Path) -> Result<KnownGateway> {
    let path = folder.join("gateway.json");
    serde_json::from_str(&files::read_text(&path)?).with_context(|| path.display().to_string())
}
