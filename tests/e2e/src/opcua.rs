use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lingate_plant::opcua::{INSECURE, Identity, IdentityOptions};
use serde_json::json;

use crate::Peer;

/// An OPC UA server of `tests/e2e/peers` with everything that it needs and that a gateway needs to come in.
pub struct OpcUaPeer {
    peer: Peer,
    folder: PathBuf,
    server: Identity,
}

pub struct PeerSettings {
    /// Variables `load_00000` ... that all change together.
    pub items: u32,
    pub interval_ms: u32,
}

const USER: &str = "plant";
const PASSWORD: &str = "correct horse";

impl OpcUaPeer {
    /// `program` with these arguments and, behind them, the file that tells the server its settings.
    pub fn start(folder: &Path, program: &Path, script: &Path, settings: &PeerSettings) -> Result<OpcUaPeer> {
        let folder = folder.join("peer");
        // Every server has a namespace of this name.
        let uri = "urn:lingate:peer";
        let options = IdentityOptions { application_uri: uri, ..IdentityOptions::default() };
        let server = Identity::create(&folder.join("server"), &options)?;
        let user = Identity::create(&folder.join("user"), &IdentityOptions::default())?;
        let told = json!({
            "certificate": server.certificate, "key": server.key, "uri": uri, "user": USER, "password": PASSWORD,
            "user_certificate": user.certificate, "items": settings.items, "interval_ms": settings.interval_ms,
            "counts": folder.join("counts.json"),
        });
        let file = folder.join("settings.json");
        fs::write(&file, told.to_string())?;
        secret(&folder.join("password"), PASSWORD.as_bytes())?;
        secret(&folder.join("user.pem"), &fs::read(&user.key)?)?;
        secret(&folder.join("user.der"), &fs::read(&user.certificate)?)?;
        let peer = Peer::start(program, &[script, &file])?;
        Ok(OpcUaPeer { peer, folder, server })
    }

    pub fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}", self.peer.port)
    }

    /// Rounds of changes that the server has written.
    pub fn rounds(&self) -> Result<u64> {
        let text = fs::read_to_string(self.folder.join("counts.json"))?;
        let counts: serde_json::Value = serde_json::from_str(&text)?;
        counts["rounds"].as_u64().context("no rounds in counts.json")
    }

    /// Settings of a device: without protection, by nobody.
    pub fn anonymous(&self) -> String {
        INSECURE.to_owned()
    }

    /// By user name, Basic256Sha256, SignAndEncrypt; the server's certificate is pinned.
    pub fn by_password(&self) -> Result<String> {
        let password = self.folder.join("password");
        Ok(format!("{}user = {USER:?}\npassword = {password:?}", self.pinned("Basic256Sha256")?))
    }

    /// By the user's certificate.
    pub fn by_certificate(&self) -> Result<String> {
        let (certificate, key) = (self.folder.join("user.der"), self.folder.join("user.pem"));
        let pinned = self.pinned("Basic256Sha256")?;
        Ok(format!("{pinned}user_certificate = {certificate:?}\nuser_key = {key:?}"))
    }

    /// By nobody, under another policy.
    pub fn pinned(&self, policy: &str) -> Result<String> {
        let thumbprint = self.server.thumbprint()?;
        Ok(format!("security = \"sign-and-encrypt\"\npolicy = {policy:?}\nserver_thumbprint = \"{thumbprint}\"\n"))
    }
}

/// Readable by nobody else, as the gateway demands.
fn secret(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(bytes)?)
}
