//! The root keys: a set with a version and a threshold. Here all of them lie in one folder; a sandbox that means it
//! keeps them apart, offline, and brings only signatures together.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use lingate_seal::SigningKey;

use crate::files::{self, Readers};
use crate::keys::{self, Jwk};

/// As many as a gateway takes.
const KEYS_MAX: usize = 16;

pub(crate) struct RootKeys {
    version: u64,
    threshold: usize,
    keys: Vec<RootKey>,
}

struct RootKey {
    pem: String,
    key: SigningKey,
}

/// In `sandbox.json`: which keys of the folder `root-keys` are the root at present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RootNames {
    version: u64,
    threshold: usize,
    kids: Vec<String>,
}

impl RootKeys {
    pub(super) fn generate(version: u64, count: usize, threshold: usize) -> Result<RootKeys> {
        ensure!((1..=KEYS_MAX).contains(&count), "{count} root keys: 1 to {KEYS_MAX} are allowed");
        ensure!((1..=count).contains(&threshold), "a threshold of {threshold} with {count} root keys can never be met");
        let key = || {
            let pem = keys::generate_ed25519_pem();
            Ok(RootKey { key: keys::ed25519_from_pem(&pem)?, pem })
        };
        Ok(RootKeys { version, threshold, keys: (0..count).map(|_| key()).collect::<Result<_>>()? })
    }

    pub(super) fn read(folder: &Path, names: &RootNames) -> Result<RootKeys> {
        let key = |kid: &String| {
            let path = folder.join("root-keys").join(format!("{kid}.key"));
            let pem = files::read_text(&path)?;
            let key = keys::ed25519_from_pem(&pem).with_context(|| path.display().to_string())?;
            Ok(RootKey { key, pem })
        };
        let keys = names.kids.iter().map(key).collect::<Result<_>>()?;
        Ok(RootKeys { version: names.version, threshold: names.threshold, keys })
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        self.keys.iter().try_for_each(|root| {
            let path = folder.join("root-keys").join(format!("{}.key", root.key.kid()));
            files::write(&path, &root.pem, Readers::Owner)
        })
    }

    pub(super) fn names(&self) -> RootNames {
        let kids = self.keys.iter().map(|root| root.key.kid().to_string()).collect();
        RootNames { version: self.version, threshold: self.threshold, kids }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn signers(&self) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter().map(|root| &root.key)
    }

    /// The content of `root.json`, also inside every bundle.
    pub(crate) fn json(&self) -> Value {
        let jwk = |root: &RootKey| Jwk::of(root.key.verifying_key());
        let keys: Vec<_> = self.keys.iter().map(jwk).collect();
        json!({"version": self.version, "threshold": self.threshold, "keys": keys})
    }

    /// `root.json`.
    pub(super) fn file(&self) -> String {
        serde_json::to_string_pretty(&self.json()).expect("a JSON value serializes") + "\n"
    }
}
