use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bundle_refused::BundleRefused;
use crate::lineage::hex;
use crate::thumbprint::sha256;
use crate::{Kid, ed25519_kid, json, jws};

const FILE_MAX: usize = 64 * 1024;
const KEYS_MAX: usize = 16;

/// The keys that may sign bundles: the root file that plant IT compared by fingerprint, or the root inside an accepted
/// bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootSet {
    version: u64,
    threshold: usize,
    keys: BTreeMap<Kid, [u8; 32]>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RootDocument {
    version: u64,
    threshold: usize,
    keys: Vec<RootKey>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RootKey {
    kty: String,
    crv: String,
    kid: String,
    x: String,
}

impl RootSet {
    /// `root.json`: `{"version":1,"threshold":1,"keys":[{"kty":"OKP","crv":"Ed25519","kid":"...","x":"..."}]}`;
    /// `expected_sha256` is the fingerprint of these exact bytes, 64 hex digits, from the configuration.
    pub fn from_file(bytes: &[u8], expected_sha256: &str) -> Result<RootSet, BundleRefused> {
        let found = hex(&sha256(bytes));
        let expected = expected_sha256.trim().to_ascii_lowercase();
        if expected.strip_prefix("sha256:").unwrap_or(&expected) != found {
            return Err(BundleRefused::Fingerprint { expected, found });
        }
        RootSet::from_stored(bytes)
    }

    /// What `to_json` gave, from a place that only this gateway writes: after a bundle changed the root.
    pub fn from_stored(bytes: &[u8]) -> Result<RootSet, BundleRefused> {
        if bytes.len() > FILE_MAX {
            return Err(BundleRefused::TooLarge { bytes: bytes.len(), limit: FILE_MAX });
        }
        let document: RootDocument = json::parse(bytes).map_err(BundleRefused::Malformed)?;
        RootSet::try_from(&document)
    }

    /// A root file of these keys.
    pub fn to_json(&self) -> Vec<u8> {
        let key = |(kid, x): (&Kid, &[u8; 32])| RootKey {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            kid: kid.to_string(),
            x: jws::encode(x),
        };
        let keys = self.keys.iter().map(key).collect();
        let document = RootDocument { version: self.version, threshold: self.threshold, keys };
        serde_json::to_vec(&document).expect("plain texts and numbers")
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// Signatures that a bundle needs.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    pub(crate) fn key(&self, kid: Kid) -> Option<&[u8; 32]> {
        self.keys.get(&kid)
    }
}

impl TryFrom<&RootDocument> for RootSet {
    type Error = BundleRefused;

    fn try_from(document: &RootDocument) -> Result<RootSet, BundleRefused> {
        let mut keys = BTreeMap::new();
        for key in &document.keys {
            let (kid, x) = key.check()?;
            if keys.insert(kid, x).is_some() {
                return Err(BundleRefused::Duplicate { kind: "root key", id: key.kid.clone() });
            }
        }
        if keys.len() > KEYS_MAX || !(1..=keys.len()).contains(&document.threshold) {
            let (threshold, keys) = (document.threshold, keys.len());
            return Err(BundleRefused::malformed(format_args!("a threshold of {threshold} out of {keys} root keys")));
        }
        Ok(RootSet { version: document.version, threshold: document.threshold, keys })
    }
}

impl RootKey {
    fn check(&self) -> Result<(Kid, [u8; 32]), BundleRefused> {
        if (self.kty.as_str(), self.crv.as_str()) != ("OKP", "Ed25519") {
            return Err(BundleRefused::Unknown { kind: "root key type", id: format!("{} {}", self.kty, self.crv) });
        }
        let x = jws::decode_exactly(&self.x)
            .ok_or_else(|| BundleRefused::malformed(format_args!("root key {:?} has no 32 bytes as x", self.kid)))?;
        let kid = ed25519_kid(&x);
        if kid.to_string() != self.kid {
            return Err(BundleRefused::WrongKid { kid: self.kid.clone() });
        }
        Ok((kid, x))
    }
}
